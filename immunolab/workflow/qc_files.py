"""`immunolab qc`: the checks of FCS files, written as tables and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from immunolab.errors import InputError, Problem
from immunolab.events.tube import Tube
from immunolab.plots.steadiness import course_png
from immunolab.quality.qc import TubeQuality, checked
from immunolab.quality.steadiness import Steadiness
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
    pictures: dict[str, bytes] = {}

    def draw(tube: Tube, found: Steadiness) -> None:
        if found.stretches is not None:
            pictures[tube.sample_id] = course_png(tube, found)

    found = checked(list(files), panel=panel, looked=draw)
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
