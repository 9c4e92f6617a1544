"""What the page lists of a gate: every tube's counts, flags, and its place in the order, worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from immunolab.results.review_order import review_order
from immunolab.results.run import Run
from immunolab.schema.flags import flag, shown, withheld


class GridRows:
    """A run's counts by gate and sample, with the order of `review_order`.

    Attributes
    ----------
    gates
        Parent by path.
    """

    def __init__(self, run: Run, sample_ids: Sequence[str], gates: Mapping[str, str]) -> None:
        """Index the counts.

        Parameters
        ----------
        run
            Finished.
        sample_ids
            Of the tubes that are reviewed.
        gates
            Parent by path, of the gates that are reviewed.
        """
        self.gates = dict(gates)
        self._rows: dict[str, dict[str, dict[str, Any]]] = {path: {} for path in gates}
        order = review_order(run)
        said = {
            (sample, path): {"score": round(score, 3), "why": why}
            for sample, path, score, why in order[["sample_id", "path", "score", "why"]].itertuples(index=False)
        }
        counts = run.counts[run.counts["sample_id"].isin(list(sample_ids))]
        for row in counts.to_dict("records"):
            place = (row["sample_id"], row["path"])
            if row["path"] in self._rows:
                found = grid_row(row) | said.get(place, {"score": 0.0, "why": ""})
                self._rows[row["path"]][row["sample_id"]] = found

    def rows(self, path: str) -> Mapping[str, dict[str, Any]]:
        """Return a gate's rows by sample; a KeyError where there is no such gate.

        Parameters
        ----------
        path
            Of the population.
        """
        return self._rows[path]

    def flags(self) -> list[dict[str, str]]:
        """Return every word that a row carries, with its meaning."""
        words = {word for rows in self._rows.values() for row in rows.values() for word in row["flags"]}
        return [{"word": word, "meaning": flag(word).meaning} for word in sorted(words)]


def grid_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is listed of a count: events, percent (None where it is withheld) and the flags to look at.

    Parameters
    ----------
    row
        Of the table `COUNTS`.
    """
    percent = row["percent_of_parent"]
    hidden = percent is None or pd.isna(percent) or withheld(row["flag"])
    return {
        "n": int(row["n_events"]),
        "n_parent": int(row["n_parent"]),
        "percent": None if hidden else round(float(percent), 4),
        "flags": [str(word) for word in shown(row["flag"])],
    }
