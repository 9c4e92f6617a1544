"""How far gating here agrees with gating elsewhere: counts beside counts, and event by event where both are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.errors import InputError, Problem
from immunolab.gating.same_populations import matched_paths
from immunolab.gating.strategy import Strategy
from immunolab.schema.csv_files import read_text
from immunolab.schema.flags import Flag
from immunolab.schema.gating import AGREEMENT

_SAMPLE = ("sample_id", "sample", "file", "filename", "file_name", "name")
_PATH = ("path", "population", "gate", "gate_path")
_COUNT = ("n_events", "count", "n_there", "count_flowjo", "events", "n")
_STATISTIC = " | "  # between population and statistic in the head of a column of FlowJo's tables
_COUNT_COLUMN = f"{_STATISTIC}Count"
Masks = Mapping[str, NDArray[np.bool_]]


def agreement(
    counts: pd.DataFrame,
    reference: pd.DataFrame,
    events: pd.DataFrame | None = None,
    *,
    binned: Mapping[tuple[str, str], tuple[int, int]] | None = None,
) -> pd.DataFrame:
    """Return counts there and here, population by population.

    Parameters
    ----------
    counts
        Rows of `immunolab.schema.tables.COUNTS`.
    reference
        Columns sample_id, path, n_events, as `read_reference_counts` gives them.
    events
        Precision, recall and f1 by sample_id and path, as `event_agreement` gives them.
    binned
        By (sample_id, path), the fewest and most events that FlowJo's display of 256 bins can leave in a
        population, as `display_bins.bin_bounds` gives them. Counts that differ and are both
        within these are flagged ``display_bins``: the geometry here is exact.

    Returns
    -------
    DataFrame
        A row for every population counted on either side; a population of another path there is the one here whose
        name either side has once (``path_there``). ``difference_percent_of_parent`` is 100 (n_here - n_there)
        / n_parent_here. Flags: ``display_bins``, ``only_here``, ``only_there``.
    """
    here = counts[["sample_id", "population", "path", "n_events", "n_parent"]]
    there = _on_paths(reference, counts)
    both = here.merge(there, on=["sample_id", "path"], how="outer", suffixes=("", "_there"))
    if events is not None and len(events):
        both = both.merge(events, on=["sample_id", "path"], how="left")
    parents: dict[tuple[str, str], float] = {}
    for of in ("path", "path_there"):
        parents |= there.set_index(["sample_id", of])["n_events"].to_dict()
    rows = [_compare(row, parents, binned or {}) for row in both.to_dict("records")]
    order = {key: place for place, key in enumerate(zip(counts["sample_id"], counts["path"], strict=True))}
    rows.sort(key=lambda row: (order.get((row["sample_id"], row["path"]), len(order)), str(row["path"])))
    return pd.DataFrame(rows, columns=AGREEMENT.names)


def event_agreement(here: Masks, there: Masks, sample_id: str) -> pd.DataFrame:
    """Return precision, recall and F1 of the populations known on both sides, with what is there as the truth.

    A ratio with denominator 0 is empty.

    Parameters
    ----------
    here, there
        Events x populations by path, bool; all of one tube.
    sample_id
        Written into each row.

    Returns
    -------
    DataFrame
        sample_id, path, precision, recall, f1 (each 0..1), one row a shared population.
    """
    rows = []
    for path, other in matched_paths(list(here), list(there), {}):
        shared = int(np.count_nonzero(here[path] & there[other]))
        n_here, n_there = int(np.count_nonzero(here[path])), int(np.count_nonzero(there[other]))
        rows.append(
            {
                "sample_id": sample_id,
                "path": path,
                "precision": _ratio(shared, n_here),
                "recall": _ratio(shared, n_there),
                "f1": _ratio(2 * shared, n_here + n_there),
            }
        )
    return pd.DataFrame(rows, columns=["sample_id", "path", "precision", "recall", "f1"])


def masks_of_labels(labels: Sequence[str], strategy: Strategy) -> dict[str, NDArray[np.bool_]]:
    """Return events by path for per-event labels that name populations (by name where unique, or by path).

    Parameters
    ----------
    labels
        One word an event.
    strategy
        Whose populations the labels name.
    """
    values = np.asarray(labels, dtype=str)
    names = [population.name for population in strategy.populations]
    found = {}
    for population in strategy.populations:
        words = [population.path] + ([population.name] if names.count(population.name) == 1 else [])
        mask = np.isin(values, words)
        if mask.any():
            found[population.path] = mask
    return found


def read_reference_counts(path: Path | str) -> pd.DataFrame:
    """Read counts of another program from a CSV.

    Either each row has a sample, a path (or population) and a count; or, as in FlowJo's tables, a row is a sample
    and every other column a population's counts (``CD3+/CD4``, ``CD3+/CD4 | Count``; other statistics are left out).

    Raises
    ------
    InputError
        The file cannot be read, or a column is missing.
    """
    frame = _long(read_text(path))
    columns = {name.strip().lower(): name for name in frame.columns}
    chosen, problems = {}, []
    for meaning, words in (("sample_id", _SAMPLE), ("path", _PATH), ("n_events", _COUNT)):
        hit = next((columns[word] for word in words if word in columns), None)
        if hit is None:
            have = ", ".join(map(str, frame.columns))
            message = f"no column for {meaning}: one of {', '.join(words)} is needed"
            problems.append(Problem(str(path), "", message, f"the file has: {have}"))
        else:
            chosen[meaning] = frame[hit]
    if problems:
        raise InputError(problems)
    counts = pd.to_numeric(chosen["n_events"], errors="coerce")
    bad = chosen["n_events"].index[counts.isna() & (chosen["n_events"] != "")]
    if len(bad):
        rows = dict.fromkeys(f"row {row + 2}" for row in bad)
        raise InputError([Problem(str(path), row, "the count is not a number") for row in rows])
    table = pd.DataFrame({"sample_id": chosen["sample_id"].map(_bare), "path": chosen["path"], "n_events": counts})
    return table[table["n_events"].notna()].reset_index(drop=True)


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of one column a population with one row a count; any other table as it is."""
    columns = {name.strip().lower(): name for name in frame.columns}
    sample = next((columns[word] for word in _SAMPLE if word in columns), None)
    if sample is None or any(word in columns for word in (*_PATH, *_COUNT)):
        return frame
    paths = {name: name.removesuffix(_COUNT_COLUMN).strip() for name in frame.columns if name != sample}
    wide = frame[[sample, *(name for name, path in paths.items() if _STATISTIC not in path)]].rename(columns=paths)
    return wide.melt(id_vars=sample, var_name="path", value_name="n_events", ignore_index=False)


def _bare(sample: str) -> str:
    return Path(sample).stem if sample.lower().endswith((".fcs", ".lmd")) else sample


def _on_paths(reference: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Return the reference with paths as they are here, and as they are there."""
    bare = reference["path"].astype(str).str.strip("/")
    full = "/" + bare.where(bare != "root", "").str.removeprefix("root/")
    here = {there: path for path, there in matched_paths(list(counts["path"].unique()), list(full.unique()), {})}
    paths = full.map(lambda path: here.get(path, path))
    return reference[["sample_id", "n_events"]].assign(path=paths, path_there=full)


def _compare(
    row: Mapping[str, object],
    there: Mapping[tuple[str, str], float],
    binned: Mapping[tuple[str, str], tuple[int, int]],
) -> dict[str, object]:
    """Return one population's row: counts here and there, and why they may differ.

    ``there`` is the other program's count by (sample, path), ``binned`` the fewest and most events that its display
    bins allow.
    """
    sample, path = str(row["sample_id"]), str(row["path"])
    n_here, n_there, n_parent = (_whole(row.get(key)) for key in ("n_events", "n_events_there", "n_parent"))
    path_there = path if pd.isna(row["path_there"]) else str(row["path_there"])
    above = (path if path_there.count("/") == 1 else path_there).rsplit("/", 1)[0] or "/"  # a bare name has no parent
    n_parent_there = n_there if path == "/" else _whole(there.get((sample, above)))
    difference = None if n_here is None or n_there is None else n_here - n_there
    flag = Flag.ONLY_THERE if n_here is None else Flag.ONLY_HERE if n_there is None else ""
    if difference and (sample, path_there) in binned:
        fewest, most = binned[sample, path_there]
        within = all(n is not None and fewest <= n <= most for n in (n_here, n_there))
        flag = Flag.DISPLAY_BINS if within else ""
    return {
        "sample_id": sample,
        "population": "root" if path == "/" else path.rsplit("/", 1)[1],
        "path": path,
        "n_there": n_there,
        "n_here": n_here,
        "difference": difference,
        "n_parent_here": n_parent,
        "percent_of_parent_there": _percent(n_there, n_parent_there),
        "percent_of_parent_here": _percent(n_here, n_parent),
        "difference_percent_of_parent": _percent(difference, n_parent),
        "precision": row.get("precision"),
        "recall": row.get("recall"),
        "f1": row.get("f1"),
        "flag": flag or None,
        "path_there": path_there if path_there != path else None,
    }


def _whole(value: object) -> int | None:
    return None if value is None or pd.isna(value) else int(value)  # type: ignore[call-overload]


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else 100.0 * part / whole
