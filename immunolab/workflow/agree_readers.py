"""Agreement of the readers of a run, written: a table, and a figure for each two readers."""

from __future__ import annotations

from pathlib import Path

from immunolab.audit.log import AuditLog
from immunolab.errors import InputError, Problem
from immunolab.plots.figure_files import save
from immunolab.plots.readers import readers_plot
from immunolab.results.record import read_run
from immunolab.review.readers import ReadersAgreement, readers_agreement
from immunolab.schema.agreement import READERS
from immunolab.vocabulary.display_names import display_name


def agree_readers(run: Path | str, out: Path | str) -> ReadersAgreement:
    """Compare the readers who have closed their reviews of a run; write a table and figures.

    Parameters
    ----------
    run
        The folder that ``immunolab run`` wrote.
    out
        Folder for ``readers_agreement.csv`` and ``figures/readers_1.pdf``, one figure for each two readers.

    Raises
    ------
    InputError
        There is no finished run, its study or log is not there, or fewer than two reviews of it are closed.
    """
    finished = read_run(run)
    if not finished.study.folder.is_dir():
        hint = "put the study back where the run read it, or run it again from where it is now"
        raise InputError(Problem(str(finished.study.folder), "", "the run's study is not there", hint))
    found = readers_agreement(AuditLog(finished.study.folder), finished)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Problem(str(folder), "", f"cannot be made: {error.strerror}", "name another folder")) from None
    READERS.write(found.table, folder / f"{READERS.name}.csv")
    for place, (_, rows) in enumerate(found.table.groupby(["reader_a", "reader_b"], sort=False), 1):
        drawn = readers_plot(rows)
        for suffix in (".png", ".pdf"):
            save(drawn, folder / "figures" / f"readers_{place}{suffix}")
    return found


def readers_text(found: ReadersAgreement) -> str:
    """Return a line for each two readers.

    Parameters
    ----------
    found
        As `agree_readers` gives it.
    """
    lines = []
    for (a, b), rows in found.table.groupby(["reader_a", "reader_b"], sort=False):
        cv, kappa = rows["cv"].astype(float), rows["kappa_events"].astype(float)
        moved = int((rows["n_moved"] > 0).sum())
        text = f"{a} and {b}: {len(rows)} gates, {moved} of them moved in a tube"
        if cv.notna().any():
            text += f"; largest CV {cv.max():.1f} % ({display_name(str(rows.loc[cv.idxmax(), 'population']))})"
        lines.append(f"{text}, lowest kappa of events {kappa.min():.2f}" if kappa.notna().any() else text)
    return "\n".join(lines)
