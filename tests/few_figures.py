"""Fewer figures than a report has, for tests that look at none or at one of each kind; other tests draw all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from immunolab.report import page
from immunolab.report.figure import ReportFigure
from immunolab.report.figures import figures_of


def one_of_a_kind(figures: Iterable[ReportFigure]) -> list[ReportFigure]:
    """Return the last figure of each kind: some 25 of a study's 60 to 90, most of them pairs of one more subset."""
    return list({one.name.split("_")[0]: one for one in figures}.values())


@contextmanager
def no_figures() -> Iterator[None]:
    """Write reports without figures inside, but for the pictures of gates."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(page, "figures_of", lambda run: ())
        yield


@contextmanager
def few_figures() -> Iterator[None]:
    """Write reports with one figure of each kind inside."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(page, "figures_of", lambda run: one_of_a_kind(figures_of(run)))
        yield
