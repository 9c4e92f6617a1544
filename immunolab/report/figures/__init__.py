"""Figures of the report, one module a subject; a module is registered by its constant ``FIGURES``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

from immunolab.report.figure import FigureSet, ReportFigure, unique
from immunolab.results.run import Run


def figure_sets() -> list[FigureSet]:
    """Return every registered set, in the order of their places."""
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    return sorted((module.FIGURES for module in modules if hasattr(module, "FIGURES")), key=lambda one: one.place)


def figures_of(run: Run) -> Iterator[ReportFigure]:
    """Yield every figure of a run, each under a name of its own: cohort by cohort, then those of the whole run."""
    return unique(_made(run))


def _made(run: Run) -> Iterator[ReportFigure]:
    sets = figure_sets()
    for cohort in run.cohorts:
        for one in sets:
            if one.per_cohort:
                yield from (replace(made, cohort=cohort) for made in one.per_cohort(run, cohort))
    for one in sets:
        if one.per_run:
            yield from one.per_run(run)
