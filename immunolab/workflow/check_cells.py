"""What can be wrong with a study's single cells, from the heads of their files; no cell is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from immunolab.errors import DataFileError, Problem, nearest
from immunolab.study.sheet import Sample, Study

_NO_CELLS = "the file holds no cells"
_NAMED = 5  # samples of a file in a message


def cell_problems(study: Study) -> tuple[list[Problem], list[Problem]]:
    """Return the problems of a study's single-cell files and of the reference that labels them, and notes.

    Parameters
    ----------
    study
        As `read_study` gives it.
    """
    files: dict[Path, list[Sample]] = {}
    for sample in study.samples:
        if sample.modality == "single_cell":
            files.setdefault(sample.file, []).append(sample)
    problems, notes = [], list[Problem]()
    for file, samples in files.items():
        try:
            found, said = _check_file(file, samples)
        except DataFileError as error:
            found, said = [Problem(str(file), "", error.message, error.hint)], []
        problems += found
        notes += said
    problems += _check_reference(study)
    return problems, notes


def _check_file(file: Path, samples: Sequence[Sample]) -> tuple[list[Problem], list[Problem]]:
    from immunolab.loaders.cell_header import read_cell_header

    header = read_cell_header(file)
    if header.n_cells == 0:
        return [Problem(str(file), "", _NO_CELLS, "write the cells again, or leave the file out")], []
    named = header.samples
    if named is None:
        return [], []
    shown = ", ".join(named[:_NAMED]) + (", ..." if len(named) > _NAMED else "")
    asked = [sample.sample_id for sample in samples]
    lacking = [name for name in asked if name not in named]
    if len(asked) > 1:
        return [
            Problem(str(file), f"sample {name}", f"the file has no cells of sample '{name}'", f"its samples: {shown}")
            for name in lacking
        ], []
    if lacking and len(named) > 1:
        text = f"its cells are of {len(named)} samples ({shown}), all taken as sample '{asked[0]}', as lanes of one are"
        return [], [Problem(str(file), "", text)]
    return [], []


def _check_reference(study: Study) -> Iterator[Problem]:
    """Yield what is wrong with the labelled reference that study.yaml names."""
    chosen = study.single_cells
    if chosen.reference is None:
        return
    from immunolab.loaders.cell_header import read_cell_header

    try:
        columns = read_cell_header(chosen.reference).columns
    except DataFileError as error:
        yield Problem(str(chosen.reference), "", error.message, error.hint)
        return
    if columns and chosen.labels not in columns:
        hint = nearest(chosen.labels, columns) or f"it has: {', '.join(columns)}"
        yield Problem(str(chosen.reference), f"obs, column '{chosen.labels}'", "there is no such column", hint)
