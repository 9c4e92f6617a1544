"""What the page lists: the gates of a run, and for one gate every tube, worst first, with its flags and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from immunolab.results.run import Run
from immunolab.schema.flags import flag, shown, withheld

_WEIGHT = {"unusable": 2.0, "doubtful": 1.0}  # of a flag in the order, where no better order is there


class GridRows:
    """A run's counts by gate and sample."""

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
        counts = run.counts[run.counts["sample_id"].isin(list(sample_ids))]
        self._rows: dict[str, dict[str, dict[str, Any]]] = {path: {} for path in gates}
        for row in counts.to_dict("records"):
            if row["path"] in self._rows:
                self._rows[row["path"]][row["sample_id"]] = _row(row)

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
        words = dict.fromkeys(word for rows in self._rows.values() for row in rows.values() for word in row["flags"])
        return [{"word": word, "meaning": flag(word).meaning} for word in sorted(words)]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    words = [str(word) for word in shown(row["flag"])]
    percent = row["percent_of_parent"]
    hidden = withheld(row["flag"]) or pd.isna(percent)
    return {
        "n": int(row["n_events"]),
        "n_parent": int(row["n_parent"]),
        "percent": None if hidden else float(percent),
        "flags": words,
        "why": "; ".join(flag(word).meaning for word in words),
        "score": sum(_WEIGHT.get(flag(word).rank, 0.0) for word in words),
    }
