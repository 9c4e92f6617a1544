"""`immunolab qc`: the checks of FCS files, written as tables and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from immunolab.errors import InputError, Problem
from immunolab.plots.gate_views import GateView
from immunolab.plots.light_views import light_views
from immunolab.plots.steadiness import course_png
from immunolab.quality.qc import Looked, TubeQuality, checked
from immunolab.report.light_pictures import LightPictures
from immunolab.report.qc_page import LIGHTS_PAGE, qc_page
from immunolab.schema.files import write_atomically
from immunolab.schema.gating import QUALITY, REMOVED_STRETCHES


def qc_files(files: Sequence[str | Path], out: str | Path, *, panel: str | Path | None = None) -> TubeQuality:
    """Check FCS files; write ``quality.csv``, ``removed_stretches.csv`` and ``quality.html``.

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
        if one.run.stretches is not None:
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
    text = qc_page(found, pictures, f"{len(found)} tube{'' if len(found) == 1 else 's'}", shared=found.shared)
    write_atomically(folder / LIGHTS_PAGE, lambda part: part.write_text(text, encoding="utf-8"))
    return found


def qc_text(found: TubeQuality) -> str:
    """Return the tubes that warn or fail, the worst first, a line a tube.

    Parameters
    ----------
    found
        As `qc_files` returns.
    """
    lines = []
    for sample in found.samples:
        warned = found.warnings(sample)
        if len(warned):
            more = f" (and {len(warned) - 1} more)" if len(warned) > 1 else ""
            lines.append(f"{warned['status'].iloc[0]}  {sample}: {warned['message'].iloc[0]}{more}")
    sound = len(found) - len(lines)
    shared = [f"in more than half of the tubes: {', '.join(found.shared)}"] if found.shared else []
    return "\n".join([*lines, *shared, f"{sound} of {len(found)} tubes without a warning"])
