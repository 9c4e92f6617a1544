"""Genes that mark states of CD4 T cells and lineages of blood, and the Ensembl ids of those genes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from immunolab.config import build, read_package_yaml
from immunolab.errors import InputError, Problem, nearest


@dataclass(frozen=True)
class _Signatures:
    schema: str
    sets: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Lineages:
    schema: str
    cluster_names: tuple[str, ...]
    lineages: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class _MarkerLevels:
    schema: str
    levels: tuple[float, ...]
    kinds: dict[str, str]
    beyond_blood: dict[str, str]
    genes: dict[str, str]


@dataclass(frozen=True)
class ExpectedLevels:
    """What is expected of genes in each kind of blood cell.

    Attributes
    ----------
    kinds, lineage
        Names of the kinds, and the lineage that each is called by.
    beyond_blood
        In words, by kind: those that no mononuclear cells of blood are.
    genes
        Symbols.
    levels
        Genes x kinds, counts per 10,000.
    """

    kinds: tuple[str, ...]
    lineage: tuple[str, ...]
    beyond_blood: Mapping[str, str]
    genes: tuple[str, ...]
    levels: NDArray[np.float64]


@dataclass(frozen=True)
class GeneProgramme:
    """A programme of CD4 T cells.

    Attributes
    ----------
    states
        Those that a cell with it may be in: ``naive``, ``memory``.
    genes
        Symbol -> how many times as high as in a resting cell.
    """

    states: tuple[str, ...]
    genes: dict[str, float]


@dataclass(frozen=True)
class _Programmes:
    schema: str
    programmes: dict[str, GeneProgramme]


@dataclass(frozen=True)
class _Genes:
    schema: str
    ensembl: dict[str, str]


@cache
def _signatures() -> _Signatures:
    return build(_Signatures, read_package_yaml("immunolab.vocabulary", "signatures.yaml"))


def signature(name: str) -> tuple[str, ...]:
    """Return the genes that go up together in a state (``Treg_core``, ``IL2_STAT5_response`` ...).

    Raises
    ------
    InputError
        Names the nearest signature.
    """
    sets = _signatures().sets
    if name not in sets:
        hint = f"{nearest(name, sets)} known: {', '.join(sets)}".strip()
        raise InputError(Problem("", "signature", f"unknown signature '{name}'", hint))
    return sets[name]


def lineages() -> Mapping[str, tuple[str, ...]]:
    """Return the marker genes of each lineage of blood."""
    return _lineages().lineages


def cluster_names() -> tuple[str, ...]:
    """Return the populations that a cluster of flow events may be named after."""
    return _lineages().cluster_names


@cache
def _lineages() -> _Lineages:
    return build(_Lineages, read_package_yaml("immunolab.vocabulary", "lineages.yaml"))


@cache
def expected_levels() -> ExpectedLevels:
    """Return what is expected of marker genes in each kind of blood cell."""
    file = build(_MarkerLevels, read_package_yaml("immunolab.vocabulary", "marker_levels.yaml"))
    digits = np.array([[int(digit) for digit in row] for row in file.genes.values()])
    return ExpectedLevels(
        tuple(file.kinds),
        tuple(file.kinds.values()),
        file.beyond_blood,
        tuple(file.genes),
        np.array(file.levels)[digits],
    )


@cache
def cd4_programmes() -> Mapping[str, GeneProgramme]:
    """Return the programmes of CD4 T cells by name; those that name no population give no label."""
    return build(_Programmes, read_package_yaml("immunolab.vocabulary", "cd4_programmes.yaml")).programmes


@cache
def ensembl_symbols() -> Mapping[str, str]:
    """Return symbol by Ensembl gene id, for the genes of signatures and lineages only."""
    return build(_Genes, read_package_yaml("immunolab.vocabulary", "genes.yaml")).ensembl
