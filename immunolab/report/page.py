"""report.html: one page that holds everything a reader without the program needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from immunolab.plots.drawn_memory import drawn_at_once, many_drawn
from immunolab.plots.style import style
from immunolab.report import disposition as flow
from immunolab.report import method_tables, methods
from immunolab.report.by_readers import overrides_grid
from immunolab.report.contact import Sheet, contact_sheets, draw_sheet
from immunolab.report.contents import contents
from immunolab.report.document import document, place_name
from immunolab.report.exports import remove_stale_exports
from immunolab.report.figure import ReportFigure, Written, write_figure
from immunolab.report.figures import figures_of
from immunolab.report.first_screen import first_screen
from immunolab.report.long_tables import LongTables
from immunolab.report.manifest import write_manifest
from immunolab.report.other_tables import other_tables
from immunolab.report.patient_index import patient_index
from immunolab.report.patients import components_grid, patient_grid, responders_grid
from immunolab.report.qc_page import MEANINGS
from immunolab.report.review import borders_grid, review_grid
from immunolab.report.run_courses import MOST_COURSES, run_courses
from immunolab.report.run_lights import run_lights, write_lights
from immunolab.report.shift_tables import shift_grid, slope_grid, tests_grid
from immunolab.results.run import REPORT, Run
from immunolab.schema.files import write_atomically

Apply = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
_FIGURES_HELD = 400  # until they are drawn (judgement: 20 MB of data; a study of 60 patients has as many)


def write_report(run: Run, *, apply: Apply = map) -> Path:
    """Write ``report.html``, ``figures/`` and ``manifest.json`` into a run's folder and return the page's path.

    Where a tube is to be looked at, ``quality.html`` is written too.

    Tables of more rows than a page holds are on pages of their own in ``pages/``, with their first rows on the page.
    Figures of an earlier report in the folder are replaced, and files exported from another one removed. The gating
    figure of every sample whose folder holds gate views is drawn, unless it is up to date.

    Parameters
    ----------
    run
        The finished run; its folder holds ``tables/`` and ``samples/``.
    apply
        Maps a function over figures and sheets, in order, perhaps in several processes.
    """
    folder = run.folder / "figures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sheets = contact_sheets(run)
    pictures: list[Written] = []
    with many_drawn():
        for some in _batches(chain(figures_of(run), sheets)):
            pictures += [one for one in apply(partial(_drawn, folder=folder), some) if one is not None]
    page = run.folder / REPORT
    text = render(run, pictures, sheets)
    write_lights(run)
    write_atomically(page, lambda part: part.write_text(text, encoding="utf-8"))
    write_manifest(run)
    remove_stale_exports(run.folder)
    return page


def _batches(made: Iterator[ReportFigure | Sheet]) -> Iterator[list[ReportFigure | Sheet]]:
    """Yield figures so many at a time: those of thousands of patients are not held together, with their data."""
    while some := list(islice(made, _FIGURES_HELD)):
        yield some


def _drawn(job: ReportFigure | Sheet, folder: Path) -> Written | None:
    """Draw a figure into a folder, or a sheet beside its views: that one the page only leads to."""
    with drawn_at_once(), style():  # once: the house style is set in 1 ms, and asked for at every turn
        if isinstance(job, ReportFigure):
            return write_figure(job, folder)
        draw_sheet(job.views, job.title)
        return None


def render(run: Run, pictures: Sequence[Written], sheets: Sequence[Sheet]) -> str:
    """Return the page as HTML text, and write the pages of long tables; every text from outside is escaped."""
    page = _context(run, pictures, sheets)
    beside = LongTables(run.folder, {"study": run.study.name, "above": "../"})
    return document(
        {**page, "lights": run_lights(run), **MEANINGS, "contents": contents(page), "long_tables": beside, "above": ""}
    )


def _context(run: Run, pictures: Sequence[Written], sheets: Sequence[Sheet]) -> dict[str, Any]:
    trial = run.study.trial
    return {
        "study": run.study.name,
        "trial": trial,
        "version": run.versions["immunolab"],
        "n_patients": len({s.patient_id for s in run.samples}),
        **first_screen(run, pictures),
        "cohorts": [_cohort(run, cohort, [p for p in pictures if p.cohort == cohort]) for cohort in run.cohorts],
        "further": [p for p in pictures if p.section == "quality"],
        "gating": [p for p in pictures if p.section == "gating"],
        "sheets": sheets,
        "index": patient_index(run, pictures, sheets),
        "sample_flow": flow.sample_flow(run),
        "visit_flow": flow.visit_flow(run),
        "unpaired": flow.unpaired(run),
        "deviations": flow.deviations(run),
        "quality": flow.quality(run),
        "courses": run_courses(run),
        "most_courses": MOST_COURSES,
        "failures": flow.failures(run),
        "review": review_grid(run),
        "by_readers": overrides_grid(run) if len(run.overrides) else None,
        "thresholds": borders_grid(run),
        "gate_rules": method_tables.gate_rules_grid(run),
        "responders": responders_grid(run),
        "components": components_grid(run),
        "others": other_tables(run),
        "registered": method_tables.registered_grid(run),
        "warnings": method_tables.warnings_grid(run),
        "definitions": method_tables.definitions_grid(run),
        "methods": methods.methods_text(run),
        "miflowcyt": methods.miflowcyt(run),
    }


def _cohort(run: Run, cohort: str, pictures: list[Written]) -> dict[str, Any]:
    return {
        "name": cohort,
        "key": place_name("cohort", cohort or "all"),
        "shifts": shift_grid(run, cohort),
        "slopes": slope_grid(run, cohort),
        "tests": tests_grid(run, cohort),
        "overview": [p for p in pictures if p.section == "cohort"],
        "families": [
            {"role": role, "figures": [p for p in pictures if p.section == role]}
            for role in ("primary", "secondary", "exploratory")
        ],
        "clinic": [p for p in pictures if p.section == "clinic"],
        "pictures": [p for p in pictures if p.section == "patients"],
        "pages": [p for p in pictures if p.section == "one_pagers"],
        "patients": _patients(run, cohort),  # one at a time: in a large study each has thousands of rows
    }


def _patients(run: Run, cohort: str) -> Iterator[dict[str, Any]]:
    for _, row in run.shifts_of(cohort).iterrows():
        endpoint = str(row["endpoint"])
        yield {
            "id": place_name("patients", endpoint, cohort),
            "title": run.label_of(endpoint).axis,
            "role": row["role"],
            "open": row["role"] == "primary",
            "grid": patient_grid(run, cohort, endpoint),
        }
