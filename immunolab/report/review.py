"""What to look at before the numbers are used: populations withheld or doubtful, the gravest first, and borders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pandas as pd

from immunolab.report.html_table import Grid, grid
from immunolab.results.run import Run
from immunolab.schema.flags import Flag, flag, shown
from immunolab.vocabulary.display_names import display_name

_COLUMNS = {
    "number": "The number is",
    "populations": "Populations",
    "samples": "Samples",
    "word": "Flag",
    "message": "What it says",
    "where": "In",
}
_NAMED = 6  # samples named of a row; more are in tables/counts.csv
# whose reason has the figures
_EXPLAINED = frozenset(
    {
        Flag.IMPLAUSIBLE,
        Flag.NO_SIGNAL,
        Flag.OUT_OF_RANGE,
        Flag.T_CELLS_UNASSIGNED,
        Flag.STAINING,
        Flag.AT_SCATTER_END,
    }
)
_SAMPLING = frozenset({Flag.BELOW_LOD, Flag.BELOW_LOQ})  # of the blood taken, not of the gates: last of the doubtful


def review_grid(run: Run) -> Grid:
    """Return a row for each flag of rank unusable or doubtful and the populations that carry it in the same samples.

    Parameters
    ----------
    run
        Its counts hold the flags.
    """
    rows = pd.DataFrame(_rows(run.counts), columns=[*_COLUMNS, "order"])
    rows = rows.sort_values(["order", "samples"], ascending=[True, False], kind="stable")
    return grid(rows, _COLUMNS, empty="No population is withheld or doubtful.", alarms=("number",))


def _rows(counts: pd.DataFrame) -> Iterator[dict[str, object]]:
    carried: dict[str, dict[str, list[str]]] = {}
    reasons: dict[tuple[str, str], str] = {}
    for row in counts.to_dict("records"):
        for word in shown(row["flag"]):
            carried.setdefault(word, {}).setdefault(str(row["population"]), []).append(str(row["sample_id"]))
            if word in _EXPLAINED and isinstance(row["reason"], str):
                reasons.setdefault((word, str(row["population"])), f"; {row['sample_id']}: {row['reason']}")
    for word, populations in carried.items():
        alike: dict[tuple[str, ...], list[str]] = {}
        for population, samples in populations.items():
            alike.setdefault(tuple(samples), []).append(population)
        for where, names in alike.items():
            more = f" and {len(where) - _NAMED} more" if len(where) > _NAMED else ""
            yield {
                "number": "withheld" if flag(word).rank == "unusable" else "doubtful",
                "populations": ", ".join(map(display_name, names)),
                "samples": len(where),
                "word": word,
                "message": flag(word).meaning + reasons.get((word, names[0]), ""),
                "where": ", ".join(where[:_NAMED]) + more,
                "order": (flag(word).rank != "unusable") + (flag(word) in _SAMPLING),
            }


def borders_grid(run: Run) -> Grid:
    """Return the borders summed up over samples: range in instrument units, method, control, scope, flags.

    Parameters
    ----------
    run
        Its thresholds.
    """
    frame = run.thresholds
    if frame.empty:
        return Grid(("Population", "Marker"), (), "No border was placed or imported.")
    keys = ["population", "marker", "channel", "method", "control", "scope"]
    groups = frame.fillna({"marker": ""}).groupby(keys, sort=False)
    table = groups["threshold_raw"].agg(["size", "min", "median", "max"]).reset_index()
    table["flags"] = groups["flag"].agg(_tallied).to_numpy()
    table["name"] = table["population"].map(display_name)
    columns = {
        "name": "Population",
        "marker": "Marker",
        "channel": "Channel",
        "size": "Samples",
        "min": "Lowest",
        "median": "Median",
        "max": "Highest",
        "method": "Method",
        "control": "Control",
        "scope": "One for each",
        "flags": "Doubtful in",
        "population": "In tables as",
    }
    return grid(table, columns, alarms=("flags",))


def _tallied(flags: Iterable[object]) -> str:
    """Return the words that are more than notes, each with the number of samples that carry it."""
    tally = Counter(word for field in flags for word in shown(field))
    return ", ".join(f"{word} {n}" for word, n in tally.most_common())
