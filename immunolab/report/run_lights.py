"""Traffic lights of a run's tubes: the worst on the report, those to look at on a page of their own with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from immunolab.plots.gate_views import GateView, read_views
from immunolab.plots.light_views import LIGHTS
from immunolab.quality.qc import TubeQuality
from immunolab.report.across_pictures import AcrossPictures
from immunolab.report.light_pictures import LightPictures
from immunolab.report.qc_page import LIGHTS_PAGE, ON_PAGE, light_rows, qc_page, worst_tubes
from immunolab.results.findings.checks import tube_checks, tube_warnings
from immunolab.results.run import Run
from immunolab.results.tube import COURSE
from immunolab.schema.files import write_atomically

GATES_PICTURE = "gating.png"
"""Picture of all gates of a tube, in its folder."""
_ON_REPORT = 20  # tubes: what a manager looks through in a minute (judgement)


def run_lights(run: Run) -> dict[str, Any]:
    """Return what the report's section takes of the worst tubes; empty where no tube is to be looked at.

    Parameters
    ----------
    run
        The finished run.
    """
    found = TubeQuality.of(tube_checks(run))
    rows = light_rows(found, worst_tubes(found, _ON_REPORT, only_lit=True), None)
    to_look_at = rows["counts"]["fail"] + rows["counts"]["warn"]
    return (
        {**rows, "shared": found.shared, "page": LIGHTS_PAGE, "shown": min(to_look_at, ON_PAGE)} if to_look_at else {}
    )


def write_lights(run: Run) -> None:
    """Write the page of the tubes to look at, each with the picture of what was found in it.

    Parameters
    ----------
    run
        Its folder holds the pictures; of a run without a warning nothing is written.
    """
    path = run.folder / LIGHTS_PAGE
    if tube_warnings(run).empty:
        path.unlink(missing_ok=True)  # of an earlier report
        return
    found = TubeQuality.of(tube_checks(run))
    pictures = LightPictures(tube_checks(run), partial(_course, run), partial(_views, run), AcrossPictures(run))
    text = qc_page(found, pictures, run.study.name, only_lit=True, links=_gates(run, found.samples))
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def _gates(run: Run, samples: Sequence[str]) -> dict[str, str]:
    """Return where the picture of each tube's gates is, beside the page."""
    names = {name: f"samples/{name}/{GATES_PICTURE}" for name in samples}
    return {name: quote(path) for name, path in names.items() if (run.folder / path).exists()}


def _course(run: Run, sample: str) -> bytes | None:
    path = run.folder / "samples" / sample / COURSE
    return path.read_bytes() if path.exists() else None


def _views(run: Run, sample: str) -> list[GateView]:
    """Return the views of a tube's checks; none of a run before there were any, and of single cells."""
    path = run.folder / "samples" / sample / LIGHTS
    return read_views(path) if path.exists() else []
