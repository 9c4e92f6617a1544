"""How far two readers of a run agree: their final gates in the same tubes, and what they accepted and rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pandas as pd

from immunolab.audit.log import AuditLog
from immunolab.comparison.concordance import Agreement, cohen_kappa
from immunolab.comparison.gating_agreement import gating_agreement
from immunolab.errors import InputError, Problem
from immunolab.gating.gates import Gate
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import GatedTube, gate_tube
from immunolab.results.record import RECORD
from immunolab.results.run import Run
from immunolab.results.two_gatings import counted_twice, events_in_common
from immunolab.review.open_tubes import with_gates
from immunolab.review.session import Session
from immunolab.schema.agreement import GATING_PAIRS, READERS
from immunolab.schema.files import file_sha256
from immunolab.schema.flags import withheld
from immunolab.vocabulary.display_names import display_name

_WORDS = ("accept", "reject")
_SHOWN = {
    "population": "Gate",
    "n_tubes": "Tubes",
    "n_moved": "Moved by either",
    "cv": "CV (%)",
    "concordance": "Lin's concordance",
    "kappa_events": "Kappa of events",
    "n_decided": "Decided by both",
    "kappa_decisions": "Kappa of decisions",
}


@dataclass(frozen=True)
class ReadersAgreement:
    """How far readers agree.

    Attributes
    ----------
    table
        Rows of `READERS`.
    tubes
        Rows of `GATING_PAIRS` by the two readers.
    """

    table: pd.DataFrame
    tubes: Mapping[tuple[str, str], pd.DataFrame]

    def answer(self) -> dict[str, Any]:
        """Return the table as the page of a review shows it: columns, and rows from the left."""
        names = {"reader_a": "First reader", "reader_b": "Second reader"} if len(self.tubes) > 1 else {}
        columns = {**_SHOWN, **names}
        rows = self.table[list(columns)].assign(population=self.table["population"].map(display_name))
        plain = rows.astype(object).where(rows.notna(), None)
        return {"columns": list(columns.values()), "rows": plain.to_numpy().tolist()}


def closed_reviews(log: AuditLog, run: Run) -> list[Session]:
    """Return the closed reviews of a run, in the order in which they were opened.

    Parameters
    ----------
    log
        Of the run's study.
    run
        Finished; a review belongs to one record of one run.
    """
    made = file_sha256(run.folder / RECORD)
    opened = {
        str(entry.fields["review"]): entry.by
        for entry in log.entries()
        if entry.kind == "review_opened" and entry.fields.get("run") == made
    }
    sessions = [Session(log, review, reader, str) for review, reader in opened.items()]
    return [session for session in sessions if session.closed]


def readers_agreement(log: AuditLog, run: Run) -> ReadersAgreement:
    """Return how far each two readers agree who have closed their reviews of a run.

    Parameters
    ----------
    log
        Of the run's study.
    run
        Finished.

    Raises
    ------
    InputError
        Fewer than two reviews of the run are closed.
    DataFileError
        The file of a tube whose gates were moved is not there, or is another one now.
    """
    closed = closed_reviews(log, run)
    if len(closed) < 2:
        n = "no review" if not closed else f"one review (by {closed[0].reader})"
        hint = "a second reader reviews the same run: immunolab review OUT --reader NAME, and closes the review"
        raise InputError(Problem("", "readers", f"{n} of this run is closed, two are needed", hint))
    names = _names(closed)
    tubes = {}
    rows: list[dict[str, object]] = []
    for a, b in combinations(range(len(closed)), 2):
        pair = names[a], names[b]
        tubes[pair] = _pairs(run, closed[a], closed[b])
        rows += list(_rows(pair, tubes[pair], closed[a], closed[b]))
    return ReadersAgreement(READERS.frame(rows), tubes)


def _names(sessions: list[Session]) -> list[str]:
    """Return what readers are called: their names, or their reviews' where one person reviewed twice."""
    readers = [session.reader for session in sessions]
    return [s.reader if readers.count(s.reader) == 1 else s.review for s in sessions]


def _pairs(run: Run, a: Session, b: Session) -> pd.DataFrame:
    """Return rows of `GATING_PAIRS`: only tubes that a reader changed are read again."""
    rows: list[dict[str, object]] = []
    for sample, counts in run.counts.groupby("sample_id", sort=False):
        own = [session.gates(str(sample)) for session in (a, b)]
        if any(own):
            rows += _changed(run.tube(str(sample)), own[0], own[1])
        else:
            rows += [_same(str(sample), row) for row in counts.to_dict("records") if row["path"] != "/"]
    return GATING_PAIRS.frame(rows)


def _same(sample: str, row: Mapping[str, Any]) -> dict[str, object]:
    """Return a population of a tube that both readers left as it was."""
    n, of = row["n_events"], row["n_parent"]
    agreed = {
        "n_both": n,
        "n_both_parents": of,
        "n_a_shared": n,
        "n_b_shared": n,
        "f1": 1.0 if n else None,
        "kappa": 1.0 if 0 < n < of else None,
    }
    return counted_twice(sample, row, row) | agreed


def _changed(tube: GatedTube, a: Mapping[str, Gate], b: Mapping[str, Gate]) -> list[dict[str, object]]:
    """Return the populations of a tube by either reader's gates."""
    read = tuple(_gated(tube, gates) for gates in (a, b))
    counts = [{str(row["path"]): row for row in one.counts.to_dict("records")} for one in read]
    return [
        counted_twice(tube.sample_id, counts[0][path], counts[1][path])
        | events_in_common((read[0], read[1]), path, path)
        for path in counts[0]
        if path != "/" and path in counts[1]
    ]


def _gated(tube: GatedTube, gates: Mapping[str, Gate]) -> GatedTube:
    """Return a tube with a reader's gates; a number that was withheld for want of a border is there again."""
    strategy = with_gates(tube.strategy, gates)
    placed = tuple(replace(p, flag="") if p.path in gates and withheld(p.flag) else p for p in strategy.populations)
    return gate_tube(tube.tube, TubeGates(replace(strategy, populations=placed), tube.borders))


def _rows(pair: tuple[str, str], tubes: pd.DataFrame, a: Session, b: Session) -> Iterator[dict[str, object]]:
    moved = {
        (one.sample_id, one.path) for session in (a, b) for change in session.changes for _, one in change.places()
    }
    for row in gating_agreement(tubes).to_dict("records"):
        path = str(row["path_a"])
        n, same, kappa = _decisions(a, b, path)
        yield {
            "reader_a": pair[0], "reader_b": pair[1], "path": path,
            **{name: row[name] for name in ("population", "n_tubes", "cv", "f1", "flag")},
            **{name: row[name] for name in ("concordance", "concordance_ci_low", "concordance_ci_high")},
            "n_moved": sum(where == path for _, where in moved), "kappa_events": row["kappa"],
            "n_decided": n, "n_same": same, "kappa_decisions": kappa.value,
            "kappa_decisions_ci_low": kappa.low, "kappa_decisions_ci_high": kappa.high,
        }  # fmt: skip


def _decisions(a: Session, b: Session, path: str) -> tuple[int, int, Agreement]:
    """Return tubes that both decided, those decided alike, and kappa."""
    words = [
        {
            one.sample_id: one.word
            for (_, where), one in session.decisions.items()
            if where == path and one.word in _WORDS
        }
        for session in (a, b)
    ]
    table = [[0, 0], [0, 0]]
    for sample in words[0].keys() & words[1].keys():
        table[_WORDS.index(words[0][sample])][_WORDS.index(words[1][sample])] += 1
    n = sum(map(sum, table))
    return n, table[0][0] + table[1][1], cohen_kappa(table)
