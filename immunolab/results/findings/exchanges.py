"""What says that files were exchanged: one file twice, names, dates, and cells that look like another patient's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from immunolab.quality.acquired_order import who_contradicts
from immunolab.results.run import Run
from immunolab.schema.flags import Check
from immunolab.study.sample import files_twice

MOST_NAMED = 12
"""Patients named one by one in a sentence; judgement: more are counted."""

Found = tuple[Literal["quality", "exchange"], str]
_AS_LABELLED = "They are compared as labelled."


def exchange_concerns(run: Run) -> Iterator[Found]:
    """Yield what in a run's files is of another patient or visit than the sheet says, as kind and sentence.

    Parameters
    ----------
    run
        The finished run.
    """
    if found := files_twice(run.samples):
        said = "One file is given to several patients or visits, which then differ in nothing"
        yield "quality", f"{said}: {_some(found)}."
    if found := _named_otherwise(run):
        yield "exchange", f"Files that name another patient or visit than the sheet: {_some(found)}. {_AS_LABELLED}"
    if found := _contradicted(run):
        said = "Dates in the files contradict the sheet, as where two files were exchanged"
        yield "exchange", f"{said}: {_some(found)}. {_AS_LABELLED}"
    if found := _alike(run):
        said = "In what visits hardly change, tubes look like another patient's, as where two files were exchanged"
        yield "exchange", f"{said}: {_some(found)}. {_AS_LABELLED}"


def _some(found: Sequence[str]) -> str:
    more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return "; ".join(found[:MOST_NAMED]) + more


def _named_otherwise(run: Run) -> list[str]:
    """Return ``P04 W0 (its file name names visit W10, the sheet W0)`` of each tube."""
    rows = run.quality[run.quality["check"] == Check.NAMED_OTHER]
    messages = dict(zip(rows["sample_id"].astype(str), rows["message"].astype(str), strict=True))
    return [f"{s.patient_id} {s.visit} ({messages[s.sample_id]})" for s in run.samples if s.sample_id in messages]


def _contradicted(run: Run) -> list[str]:
    """Return the patients whose files have dates that the sheet does not allow."""
    rows = run.quality[run.quality["check"].isin((Check.ACQUIRED_ORDER, Check.ACQUIRED_EARLY))]
    visits = {sample.sample_id: (sample.patient_id, sample.visit) for sample in run.samples}
    return who_contradicts(
        (*visits[row.sample_id], str(row.check), float(row.value), str(row.message))
        for row in rows.itertuples()
        if row.sample_id in visits
    )


def _alike(run: Run) -> list[str]:
    """Return ``P02 and P04`` of each two patients of whom tubes may be exchanged."""
    rows = run.table("identity")
    rows = rows[rows["suspected"] == "yes"] if len(rows) else rows
    return list(
        dict.fromkeys(
            " and ".join(sorted((str(row.patient_id), str(row.nearest_patient)))) for row in rows.itertuples()
        )
    )
