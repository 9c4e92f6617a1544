"""Label the cells of an AnnData in place, or of a file; `immunolab label`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.cells.label import LabelledCells, label_cells
from immunolab.cells.lineage import share_of
from immunolab.cells.population_tree import definition_of, parents_of
from immunolab.cells.reference import label_by_reference
from immunolab.errors import InputError, Problem
from immunolab.events.cells import STORED, check_anndata, notes_of, storable
from immunolab.loaders.single_cell import check_no_events, interpret_cells, read_cells
from immunolab.progress import quietly
from immunolab.schema.cells import LABELS
from immunolab.version import VERSION

if TYPE_CHECKING:
    from anndata import AnnData


def label(
    cells: AnnData,
    *,
    population: str = "",
    reference: AnnData | Path | str | None = None,
    labels: str = "",
    sample_column: str = "",
    seed: int = 0,
    quiet: bool = False,
) -> None:
    """Label single cells in place: lineages, and Treg, naive, memory and helper subsets of CD4 T cells.

    Parameters
    ----------
    cells
        As `immunolab.read_cells` gives them, or any AnnData with raw counts, log-normalised genes or surface
        proteins (``obsm["protein"]``). It gets:

        - ``obs["immunolab_label"]``, ``obs["immunolab_confidence"]`` (0 to 1), ``obs["immunolab_passed"]`` (quality);
        - ``obsm["populations"]``: which cells are in each population, overlapping as in a gate tree;
        - ``obsm["immunolab_probability"]``: of each population among the cells of its parent, else missing;
        - ``obsm["X_immunolab"]``: the space that lineages are learnt in;
        - ``uns["immunolab"]``: populations, thresholds, quality, notes, version.
    population
        What the cells were sorted as (``CD3``, ``CD4``, ``CD8``, ``NK``, ``B``, ``Mono``, ``DC``, ``pDC``, ``HSPC``);
        "" where they were not, or nothing is known.
    reference, labels
        Labelled cells of your own (an AnnData, or its file) and the column of its ``obs`` with the labels: cells then
        get these labels by a regularised classifier, with a calibrated probability, or ``unlike the reference``. Labels
        that name a population of the vocabulary (``CD4 T cells``, ``Treg``) are called so. A reference that lacks CD4,
        or CD8, T cells cannot set them apart from the other: cells whose own genes and proteins do not say the one it
        has are called ``CD3``. Cells of another lineage than their label by their own genes and proteins, clearly more
        than in the reference, are unlike it. Notes give their numbers.
    sample_column
        Column of ``obs`` that names the sample; "" looks for the usual ones.
    seed
        Of every random draw.
    quiet
        Show no bar.

    Raises
    ------
    DataFileError
        There are no cells, or no genes or proteins that can be used.
    InputError
        It is no AnnData, holds the events of a tube, is backed by a file, or cells are not sorted as that population;
        a reference without that column, with too few cells of two labels, or with too little in common.
    """
    check_anndata(cells)
    if "kind" in cells.var:
        hint = "gate a tube with immunolab.gate; label takes cells of immunolab.read_cells"
        raise InputError(Problem("", "cells", "these are the events of a tube, not single cells", hint))
    if cells.isbacked:
        hint = "label(cells := cells.to_memory()), write_h5ad, and open that file with backed=True"
        raise InputError(Problem("", "cells", "these cells are in a file; labels need all of them in memory", hint))
    with quietly(quiet):
        data = interpret_cells(cells, sample_column=sample_column)
        found = _found(data, population, reference, labels, seed)
    cells.obs["sample_id"] = pd.Categorical(found.table["sample_id"])
    cells.obs["immunolab_label"] = pd.Categorical(found.table["label"])
    cells.obs["immunolab_confidence"] = found.table["confidence"].to_numpy()
    cells.obs["immunolab_passed"] = found.quality.passed
    cells.obsm["populations"] = pd.DataFrame(dict(found.members), index=cells.obs_names)
    cells.obsm["immunolab_probability"] = pd.DataFrame(dict(found.chance), index=cells.obs_names)
    cells.obsm["X_immunolab"] = found.points
    parents = parents_of(found.members)
    by = found.definition
    populations = [(name, parents[name], by or definition_of(name, found.by_protein) or "") for name in found.members]
    cells.uns[STORED] = {
        **cells.uns.get(STORED, {}),
        "populations": pd.DataFrame(populations, columns=["name", "parent", "gate"]),
        "thresholds": storable(found.thresholds),
        "quality": storable(found.quality.table),
        "notes": list(found.notes),
        "notes_of_reading": list(notes_of(data)),  # which labelling again begins with
        "version": VERSION,
    }


def _found(
    cells: AnnData, population: str, reference: AnnData | Path | str | None, labels: str, seed: int
) -> LabelledCells:
    """Return labels by a reference where there is one, else by genes and proteins."""
    if reference is None or (isinstance(reference, str) and not reference):
        if labels:
            raise InputError(Problem("", "labels", "labels need a reference that has them", "reference='cells.h5ad'"))
        return label_cells(cells, population=population, seed=seed)
    problems = []
    if population:
        text = "a reference calls all its labels: a declared sort has no part in that"
        problems.append(Problem("", "population", text, "leave one of the two out"))
    if not labels:
        problems.append(
            Problem("", "labels", "the column of the reference's labels is not named", "labels='cell_type'")
        )
    if problems:
        raise InputError(problems)
    return label_by_reference(cells, read_reference(reference), labels, seed=seed)


def read_reference(reference: AnnData | Path | str) -> AnnData:
    """Return a reference under the storage contract.

    Raises
    ------
    DataFileError
        The file cannot be used.
    InputError
        It is no AnnData.
    """
    if isinstance(reference, (str, Path)):
        cells = read_cells(reference)
        check_no_events(cells, str(reference))
        return cells
    check_anndata(reference)
    return interpret_cells(reference)


def label_file(
    path: Path | str,
    out: Path | str,
    *,
    population: str = "",
    reference: Path | str = "",
    labels: str = "",
    sample_column: str = "",
    empty: AnnData | Path | str | None = None,
    seed: int = 0,
) -> LabelledCells:
    """Label the cells of a file and write the table of labels.

    Parameters
    ----------
    path, sample_column, empty
        See `read_cells`.
    out
        The CSV to write.
    population, reference, labels
        See `label`.
    seed
        Of every random draw.

    Raises
    ------
    DataFileError
        The file cannot be used.
    InputError
        Cells are not sorted as that population.
    """
    cells = read_cells(path, sample_column=sample_column, empty=empty)
    check_no_events(cells, str(path))
    found = _found(cells, population, reference, labels, seed)
    LABELS.write(found.table, Path(out))
    return found


def label_text(found: LabelledCells) -> str:
    """Return the notes, limits and label shares as lines for the terminal."""
    return "\n".join(_lines(found))


def _lines(found: LabelledCells) -> Iterator[str]:
    yield from (f"note: {note}" for note in found.notes)
    shares = share_of(found.table["label"].to_numpy())
    counted = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    yield f"{len(found.table):,} cells: {counted}"
