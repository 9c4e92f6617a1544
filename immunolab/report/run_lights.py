"""Traffic lights of a run's tubes: the worst on the report, those to look at on a page of their own with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from immunolab.plots.gate_views import GateView, read_views
from immunolab.plots.light_views import LIGHTS
from immunolab.quality.qc import TubeQuality
from immunolab.quality.topics import worst
from immunolab.report.across_pictures import AcrossPictures
from immunolab.report.light_pictures import LightPictures
from immunolab.report.qc_page import LIGHTS_PAGE, light_rows, qc_page
from immunolab.results.findings.checks import tube_checks, tube_warnings
from immunolab.results.run import Run
from immunolab.results.tube import COURSE
from immunolab.schema.files import write_atomically

GATES_PICTURE = "gating.png"
"""Picture of all gates of a tube, in its folder."""
_ON_REPORT = 20  # tubes: what a manager looks through in a minute (judgement)
_ON_PAGE = 250  # tubes with their pictures, 40 kB each: 10 MB (judgement)


def run_lights(run: Run) -> dict[str, Any]:
    """Return what the report's section takes of the worst tubes; empty where no tube is to be looked at.

    Parameters
    ----------
    run
        The finished run.
    """
    warned = tube_warnings(run)
    if warned.empty:
        return {}
    status = [worst(list(own)) for _, own in warned.groupby("sample_id")["status"]]
    counts = {word: status.count(word) for word in ("fail", "warn")} | {"ok": _sound(run)}
    rows = light_rows(_worst(run, _ON_REPORT), None)
    shown = min(len(status), _ON_PAGE)
    return {**rows, "counts": counts, "shared": _shared(run), "page": LIGHTS_PAGE, "shown": shown}


def write_lights(run: Run) -> None:
    """Write the page of the tubes to look at, each with the picture of what was found in it.

    Parameters
    ----------
    run
        Its folder holds the pictures; of a run without a warning nothing is written.
    """
    flagged = tube_warnings(run)["sample_id"].nunique()
    path = run.folder / LIGHTS_PAGE
    if not flagged:
        path.unlink(missing_ok=True)  # of an earlier report
        return
    found = _worst(run, _ON_PAGE)
    pictures = LightPictures(tube_checks(run), partial(_course, run), partial(_views, run), AcrossPictures(run))
    left_out = flagged - len(found)
    more = f" (in quality.csv {left_out} more to look at)" if left_out else ""
    text = qc_page(
        found,
        pictures,
        run.study.name,
        more_ok=_sound(run),
        more=more,
        whole=TubeQuality.of(tube_checks(run)),
        links=_gates(run, found.samples),
    )
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def _worst(run: Run, most: int) -> TubeQuality:
    """Return the checks of the worst tubes among those to look at."""
    found, warned = TubeQuality.of(tube_checks(run)), set(tube_warnings(run)["sample_id"])
    shown = [sample for sample in found.samples if sample in warned][:most]
    return TubeQuality(found.table[found.table["sample_id"].isin(shown)])


def _sound(run: Run) -> int:
    return int(tube_checks(run)["sample_id"].nunique() - tube_warnings(run)["sample_id"].nunique())


def _shared(run: Run) -> list[str]:
    """Return the checks that warn in most tubes, with how many of all."""
    return TubeQuality(tube_checks(run)).shared


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
