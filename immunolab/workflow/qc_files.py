"""`immunolab qc`: the checks of FCS files, written as tables and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from immunolab.errors import InputError, Problem
from immunolab.plots.gate_views import GateView
from immunolab.plots.light_views import light_views
from immunolab.plots.steadiness import course_png
from immunolab.quality.qc import Looked, TubeQuality, checked
from immunolab.quality.topics import SEEN_IN_RUN, light
from immunolab.report.light_pictures import LightPictures
from immunolab.report.qc_page import LIGHTS_PAGE, ON_PAGE, qc_page
from immunolab.schema.across_tubes import SPILLOVER
from immunolab.schema.files import write_atomically
from immunolab.schema.gating import QUALITY, REMOVED_STRETCHES

_MOST_LINES = 20  # tubes that the terminal names: what is seen without scrolling (judgement)
_MOST_KINDS = 8  # of faults that it says what to do about


def qc_files(files: Sequence[str | Path], out: str | Path, *, panel: str | Path | None = None) -> TubeQuality:
    """Check FCS files; write ``quality.csv``, ``removed_stretches.csv``, ``spillover.csv`` and ``quality.html``.

    Parameters
    ----------
    files
        FCS files; one that cannot be read is in the tables with the reason.
    out
        Folder for the results.
    panel
        Channel and marker, for files without marker names.

    Returns
    -------
    TubeQuality
        The worst tube first.

    Raises
    ------
    InputError
        A file is not there (all of them are listed), or the folder cannot be made.
    """
    courses: dict[str, bytes] = {}
    views: dict[str, list[GateView]] = {}

    def keep(one: Looked) -> None:
        unsteady = any(
            light(str(row["check"]), str(row["status"])) != "ok" and row["check"] in SEEN_IN_RUN for row in one.checks
        )
        if one.run.stretches is not None and (unsteady or len(courses) < ON_PAGE):
            courses[one.tube.sample_id] = course_png(one.tube, one.run)
        views[one.tube.sample_id] = light_views(one.tube, one.cleaned, one.kinds, one.checks)

    found = checked(list(files), panel=panel, looked=keep)
    pictures = LightPictures(found.table, courses.get, lambda name: views.get(name, []))
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Problem(str(folder), "", f"cannot be made: {error.strerror}", "name another folder")) from None
    QUALITY.write(found.table, folder / "quality.csv")
    REMOVED_STRETCHES.write(found.removed, folder / "removed_stretches.csv")
    SPILLOVER.write(found.spillover, folder / "spillover.csv")
    text = qc_page(found, pictures, _tubes(len(found)))
    write_atomically(folder / LIGHTS_PAGE, lambda part: part.write_text(text, encoding="utf-8"))
    return found


def qc_text(found: TubeQuality) -> str:
    """Return the worst tubes, a line a tube, what most tubes have in one line, and what to do about each kind of fault.

    Parameters
    ----------
    found
        As `qc_files` returns.
    """
    common = {kind.check for kind in found.kinds if kind.is_shared and kind.status != "fail"}
    lines, alike, warned = [], 0, 0
    for sample in found.samples:
        faults = found.faults(sample)
        own = faults[~faults["check"].isin(common)]
        warned += bool(len(faults))
        alike += bool(len(faults)) and not len(own)
        if len(own):
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            lines.append(f"{own['status'].iloc[0]}  {sample}: {own['message'].iloc[0]}{more}")
    shown = lines[:_MOST_LINES]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more tubes to look at, on the page")
    for kind in (one for one in found.kinds if one.check in common):
        shown.append(
            f"in {len(kind.samples)} of {len(found)} tubes  {kind.check}, as {kind.samples[0]}: {kind.message}"
        )
    if alike:
        shown.append(f"{_tubes(alike)} with nothing else")
    return "\n".join([*shown, f"{len(found) - warned} of {len(found)} tubes without a warning", *_what_to_do(found)])


def _what_to_do(found: TubeQuality) -> list[str]:
    """Return a line for each kind of fault, the worst first."""
    kinds = found.kinds[:_MOST_KINDS]
    return [
        f"{'what to do: ' if not i else '            '}{kind.check} ({_tubes(len(kind.samples))}): {kind.advice}"
        for i, kind in enumerate(kinds)
    ]


def _tubes(n: int) -> str:
    return f"{n} tube{'' if n == 1 else 's'}"
