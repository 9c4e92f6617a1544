"""Where everything of each patient is: the way into a report of many patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from immunolab.report.contact import Sheet
from immunolab.report.figure import PICTURES_ON_PAGE, Written
from immunolab.report.html_table import Cell, Grid
from immunolab.results.run import Run


def patient_index(run: Run, pictures: Iterable[Written], sheets: Sequence[Sheet]) -> Grid:
    """Return a row a patient with links to the patient's page, gates and contact sheets; no row for few patients.

    Parameters
    ----------
    run
        The finished run.
    pictures
        Its figures.
    sheets
        Its contact sheets.
    """
    cohorts = {s.patient_id: s.cohort for s in run.samples}
    if len(cohorts) <= PICTURES_ON_PAGE:
        return Grid((), ())
    pages: dict[str, list[Written]] = {}
    gates: dict[str, list[Written]] = {}
    for picture in pictures:
        if picture.patient:
            found = pages if picture.section == "one_pagers" else gates
            found.setdefault(picture.patient, []).append(picture)
    own: dict[str, dict[str, Sheet]] = {}
    for sheet in sheets:
        own.setdefault(sheet.patient_id, {}).setdefault(sheet.visit, sheet)
    there = dict.fromkeys(sheet.visit for sheet in sheets)
    visits = list(dict.fromkeys([*(visit for visit in run.sampled_visits if visit in there), *there]))
    most = max((len(found) for found in gates.values()), default=0)
    headings = ("Patient", "Cohort", *(["Course"] if pages else []), *(f"Gates {i + 1}" for i in range(most)), *visits)
    rows = tuple(
        (
            Cell(patient),
            Cell(cohort),
            *([_figure(pages.get(patient, []), 0)] if pages else []),
            *(_figure(gates.get(patient, []), i) for i in range(most)),
            *(_sheet(own.get(patient, {}).get(visit)) for visit in visits),
        )
        for patient, cohort in cohorts.items()
    )
    return Grid(headings, rows)


def _figure(found: Sequence[Written], place: int) -> Cell:
    return Cell("page", link=f"figures/{found[place].name}.png") if place < len(found) else Cell("")


def _sheet(sheet: Sheet | None) -> Cell:
    return Cell("every gate", link=sheet.link) if sheet else Cell("")
