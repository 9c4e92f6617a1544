"""Traffic lights of a run's tubes: the worst on the report, those to look at on a page of their own with pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from immunolab.quality.qc import TubeQuality
from immunolab.quality.topics import light, worst
from immunolab.report.qc_page import light_rows, qc_page
from immunolab.results.findings.checks import tube_checks, tube_warnings
from immunolab.results.run import Run
from immunolab.results.tube import COURSE
from immunolab.schema.files import write_atomically

LIGHTS_PAGE = "quality.html"  # beside the report, as `immunolab qc` names it
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
    status = [worst(lit) for lit in _lit(warned).values()]
    counts = {word: status.count(word) for word in ("fail", "warn")} | {"ok": _sound(run)}
    rows = light_rows(_worst(run, _ON_REPORT), {})
    return {**rows, "counts": counts, "page": LIGHTS_PAGE, "shown": min(len(status), _ON_PAGE)}


def write_lights(run: Run) -> None:
    """Write the page of the tubes to look at, each with the picture of its run where that was not steady.

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
    pictures = {name: seen.read_bytes() for name in found.samples if (seen := _course(run, name)).exists()}
    left_out = flagged - len(found)
    more = f" ({left_out} more to look at are in quality.csv)" if left_out else ""
    text = qc_page(found, pictures, run.study.name, more_ok=_sound(run), more=more)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def _worst(run: Run, most: int) -> TubeQuality:
    """Return the checks of the worst tubes among those to look at."""
    checks = tube_checks(run)
    found = TubeQuality.of(checks[checks["sample_id"].isin(tube_warnings(run)["sample_id"])])
    return TubeQuality(found.table[found.table["sample_id"].isin(found.samples[:most])])


def _sound(run: Run) -> int:
    return int(tube_checks(run)["sample_id"].nunique() - tube_warnings(run)["sample_id"].nunique())


def _lit(warned: pd.DataFrame) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for sample, check, status in zip(warned["sample_id"], warned["check"], warned["status"], strict=True):
        found.setdefault(str(sample), []).append(light(str(check), str(status)))
    return found


def _course(run: Run, sample: str) -> Path:
    return run.folder / "samples" / str(sample) / COURSE
