"""What the features of a single-cell file are: genes by symbol, surface proteins by marker, hashtags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.errors import DataFileError
from immunolab.vocabulary.panel import resolve_label
from immunolab.vocabulary.signatures import ensembl_symbols, expected_levels, lineages

_SYMBOL_COLUMNS = (
    "gene_symbols",
    "gene_symbol",
    "feature_name",
    "symbol",
    "symbols",
    "gene_name",
    "gene_names",
    "name",
)
_TYPE_COLUMNS = ("feature_types", "feature_type", "modality")
ABOUT_FEATURES = (*_SYMBOL_COLUMNS, *_TYPE_COLUMNS)
"""Columns of ``var`` that say what a feature is."""
_LEAST_KNOWN = 20  # genes of the signatures among ids; fewer name no lineage (judgement)
_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{8,}(\.\d+)?$")
_ID_AND_SYMBOL = re.compile(r"^ENS[A-Z]*G\d{8,}(?:\.\d+)?[_|:]+(.+)$")
_PREFIX = re.compile(r"^(hg19|hg38|GRCh37|GRCh38)_+")
_OTHER_GENOME = re.compile(r"^(mm9|mm10|mm39|GRCm38|GRCm39|rn6|rn7|mRatBN7)[._-]")
_DOTTED = re.compile(r"^(HLA|MT)\.")  # HLA-DRA, MT-CO1 as R's make.names writes them
_HASHTAG = re.compile(r"hash\s*tag|^hto|^hash|sample[_ ]?tag", re.IGNORECASE)
# an isotype names its species or its subclass alone; an antibody against immunoglobulin names neither, or Fc
_CONTROL = re.compile(
    r"isotype|(?<!anti[ _.-])\b(rat|mouse|hamster)[ _.-]*ig[gma]|"
    r"^(ctrl|control)?[ _.-]*[mr]?igg\d[abc]?(?![a-z])(?!.*fc)",
    re.IGNORECASE,
)
_ABSEQ = re.compile(r"[|._][^|]+?[|._]AHS\d{4}[|._]pAbO$", re.IGNORECASE)  # BD: name:clone|gene|catalogue number|pAbO
_COPY = re.compile(r"[.-]\d$")  # what anndata and R add to a name that is there twice
_PREFIX_OF_TAG = re.compile(r"^(adt|ab|prot(ein)?|hu(man)?|hums)(?=[ _.:-]|CD\d)[ _.:-]?", re.IGNORECASE)
_COPY_OF_CD = re.compile(r"^(CD\d+[a-z]*)[._-]\d$", re.IGNORECASE)  # CD14-1 is a second CD14, and not CD141
_TAG_TAIL = re.compile(r"([_.-](total\w*|adt|ab|protein|TotalSeq\w*))+$", re.IGNORECASE)
_MOUSE, _HUMAN = "the genes are those of a mouse", "signatures here are human"
_UNUSED = 0.05  # of the cells that a hashtag would have in equal samples: one that fewer carry was not used (judgement)
_DOUBLE = "hashtag_doublet"
_NONE = "hashtag_none"


@dataclass(frozen=True)
class Features:
    """Columns of the matrix by what they are.

    Attributes
    ----------
    genes, gene_columns
        Symbols, each once, and their columns; of a duplicated symbol the first column is taken.
    protein_names, protein_columns
        Surface proteins as the file names them, and their columns.
    notes
        What was done to find them, in words.
    hashtag_names, hashtag_columns
        Antibodies that mark the samples of a pool, as the file names them, and their columns.
    """

    genes: tuple[str, ...]
    gene_columns: NDArray[np.int64]
    protein_names: tuple[str, ...]
    protein_columns: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    hashtag_names: tuple[str, ...] = ()
    hashtag_columns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def split_features(var: pd.DataFrame, where: str) -> Features:
    """Return which columns are genes and which are surface proteins.

    Parameters
    ----------
    var
        The features as the file lists them, one row a column of the matrix.
    where
        The file, for messages.

    Raises
    ------
    DataFileError
        Gene ids without symbols of which none is known here, or names that are no human genes.
    """
    kinds = _kinds(var)
    is_protein = np.array([kind.startswith(("antibody", "protein", "adt")) for kind in kinds], dtype=bool)
    is_gene = np.array([kind in ("", "gene expression", "gene", "rna") for kind in kinds], dtype=bool)
    names = np.array([str(name) for name in var.index], dtype=object)
    genes = np.flatnonzero(is_gene & ~is_protein)
    is_hashtag = is_protein & np.array([bool(_HASHTAG.search(str(name))) for name in names], dtype=bool)
    proteins, hashtags = np.flatnonzero(is_protein & ~is_hashtag), np.flatnonzero(is_hashtag)
    symbols, notes = _symbols(var.iloc[genes], where) if genes.size else ([], [])
    if len(set(symbols)) < len(symbols):
        repeated = pd.Series(symbols).value_counts()
        shown = ", ".join(repeated.index[repeated > 1][:3])
        notes = [*notes, f"{int((repeated > 1).sum())} gene symbols are duplicated ({shown}); the first counts"]
        first = np.sort(np.unique(np.array(symbols, dtype=object).astype(str), return_index=True)[1])
        genes, symbols = genes[first], [symbols[i] for i in first]
    _check_human(symbols, where)
    return Features(
        tuple(symbols), genes, tuple(names[proteins]), proteins, tuple(notes), tuple(names[hashtags]), hashtags
    )


def _kinds(var: pd.DataFrame) -> list[str]:
    column = next((c for c in _TYPE_COLUMNS if c in var.columns), None)
    if column is None:
        return [""] * len(var)
    return [str(kind).strip().lower() for kind in var[column]]


def _symbols(var: pd.DataFrame, where: str) -> tuple[list[str], list[str]]:
    """Return a symbol for each gene, and what was done in words."""
    names = [str(name).strip() for name in var.index]
    notes = []
    both = [_ID_AND_SYMBOL.match(name) for name in names]
    if sum(map(bool, both)) > len(names) / 2:
        notes.append("gene names hold an id and a symbol; the symbol is taken")
        names = [found.group(1) if found else name for found, name in zip(both, names, strict=True)]
    ids = np.array([bool(_ENSEMBL.match(name)) for name in names])
    if ids.mean() > 0.5:
        column = next((c for c in _SYMBOL_COLUMNS if c in var.columns), None)
        if column is not None:
            notes.append(f"gene ids are replaced by the symbols of var['{column}']")
            names = [str(s) if str(s) not in ("", "nan") else n for s, n in zip(var[column], names, strict=True)]
        else:
            names, found = _by_ensembl(names, where)
            notes.append(found)
    stripped = [_PREFIX.sub("", name) for name in names]
    _check_one_genome(names, where, has_human=stripped != names)
    if stripped != names:
        notes.append("the genome's prefix is taken off the gene names")
    stripped, dotted = _with_hyphens(stripped)
    notes += dotted
    known = _known_genes()
    upper = [name.upper() for name in stripped]
    if not known & set(stripped) and known & set(upper) and all(name == name.lower() for name in stripped):
        notes.append("gene symbols are in lower case; they are read in upper case")
        return upper, notes
    return stripped, notes


def _check_one_genome(names: Sequence[str], where: str, *, has_human: bool) -> None:
    other = next((found.group(1) for name in names if (found := _OTHER_GENOME.match(name))), "")
    if other and not has_human:
        raise DataFileError(f"the genes are of another genome ({other})", where, _HUMAN)
    if other:
        hint = "keep the cells that are human, and the human genes alone"
        raise DataFileError(f"the genes are of two genomes, one of them {other}: cells may be of either", where, hint)


def _with_hyphens(names: list[str]) -> tuple[list[str], list[str]]:
    """Return symbols with the hyphens that R turned into dots, where no name has one, and a note on it."""
    if any("-" in name for name in names) or not any(_DOTTED.match(name) for name in names):
        return names, []
    hyphened = {
        gene.replace("-", "."): gene for gene in (*expected_levels().genes, *ensembl_symbols().values()) if "-" in gene
    }
    found = [hyphened.get(name) or _DOTTED.sub(r"\1-", name) for name in names]
    n = sum(a != b for a, b in zip(names, found, strict=True))
    return found, [f"{n} gene symbols have dots for hyphens, as R writes them (HLA.DRA, MT.CO1); read with hyphens"]


def _known_genes() -> set[str]:
    return {gene for genes in lineages().values() for gene in genes}


def _by_ensembl(names: list[str], where: str) -> tuple[list[str], str]:
    known = ensembl_symbols()
    found = {name: known[bare] for name in names if (bare := name.split(".")[0]) in known}
    if sum(name.startswith("ENSMUSG") for name in names) > len(names) / 2:
        raise DataFileError(_MOUSE, where, _HUMAN)
    if len(found) < _LEAST_KNOWN:
        hint = "add the symbols as var['gene_symbols']"
        raise DataFileError(f"genes are named by ids, and {len(found)} of them are known here", where, hint)
    note = f"gene ids without symbols: the {len(found)} that signatures need are named, the others keep their id"
    return [found.get(name, name) for name in names], note


_GENES_IN_ROWS = 5  # known genes among the names of rows: no cell is called so


def _check_human(symbols: Sequence[str], where: str) -> None:
    known = _known_genes()
    human, mouse = (len(genes & set(symbols)) for genes in (known, {gene.capitalize() for gene in known}))
    if not symbols or human >= max(mouse, 1):
        return
    if mouse > human:
        raise DataFileError(_MOUSE, where, _HUMAN)
    shown = ", ".join(symbols[:3])
    raise DataFileError(f"none of the genes is known ({shown} ...)", where, "name genes by HGNC symbol or Ensembl id")


def check_rows_are_cells(names: Sequence[str], where: str) -> None:
    """Raise where the rows of a matrix are named as genes are.

    Parameters
    ----------
    names
        Of its rows.
    where
        The file, for messages.

    Raises
    ------
    DataFileError
        They are genes.
    """
    if len(_known_genes() & set(names)) >= _GENES_IN_ROWS:
        raise DataFileError("its rows are genes and its columns cells", where, "write it the other way: cells.T")


def protein_markers(
    names: Sequence[str], widths: Sequence[float] | None = None
) -> tuple[tuple[str, ...], list[int], list[str]]:
    """Return the markers of the proteins to keep, their columns, and a note for each that repeats a marker.

    Isotype controls and hashtags are left out.

    Parameters
    ----------
    names
        Surface proteins as the file names them (``CD4_TotalSeqB``).
    widths
        How far the values of each reach: of two antibodies against one marker the wider counts; None: the first.
    """
    found: dict[str, int] = {}
    notes: list[str] = []
    for column, name in enumerate(names):
        plain = _TAG_TAIL.sub("", name.strip())
        if _HASHTAG.search(plain) or _CONTROL.search(plain):
            continue
        marker = _marker(name.strip(), plain)
        first = found.setdefault(marker, column)
        if first != column:
            wider = widths is not None and widths[column] > widths[first]
            found[marker] = column if wider else first
            why = "the first" if widths is None else f"'{names[found[marker]]}', of the wider range,"
            notes.append(f"proteins '{names[first]}' and '{name}' are both {marker}; {why} counts")
    return tuple(found), list(found.values()), notes


def _marker(name: str, plain: str) -> str:
    """Return the marker of a protein by its whole name, without its tag, a copy's number, or gene and clone."""
    if copied := _COPY_OF_CD.match(_PREFIX_OF_TAG.sub("", plain)):
        name = plain = copied.group(1)
    bare = _ABSEQ.sub("", plain)
    spellings = (name, plain, _COPY.sub("", plain), bare, bare.split(":")[0], _PREFIX_OF_TAG.sub("", plain))
    return next((found for text in spellings if (found := resolve_label(text).marker)), plain)


def isotype_columns(names: Sequence[str]) -> list[int]:
    """Return the columns of isotype controls.

    Parameters
    ----------
    names
        Surface proteins as the file names them.
    """
    return [column for column, name in enumerate(names) if _is_isotype(_TAG_TAIL.sub("", name.strip()))]


def _is_isotype(name: str) -> bool:
    return bool(_CONTROL.search(name)) and not _HASHTAG.search(name)


def hashtag_samples(counts: NDArray[np.float64], names: Sequence[str]) -> tuple[NDArray[np.object_], str]:
    """Return the sample each cell's hashtags name, and how many have one; cells with two or none are called so.

    Each hashtag's background is what the cells carry whose strongest hashtag is another one; a cell
    is positive nearer to the median of those that it is strongest in than to the background's, on
    log(1 + count) (after Stoeckius et al. 2018, Genome Biol 19:224).

    Parameters
    ----------
    counts
        Hashtag counts, cells x hashtags.
    names
        The sample of each hashtag.
    """
    log = np.log1p(counts)
    strongest = np.bincount(log.argmax(axis=1), minlength=log.shape[1]) / max(len(log), 1)
    used = strongest >= _UNUSED / log.shape[1]
    unused = [name for name, there in zip(names, used, strict=True) if not there]
    names, log = [name for name, there in zip(names, used, strict=True) if there], log[:, used]
    best = log.argmax(axis=1)
    positive = np.zeros(log.shape, dtype=bool)
    for column in range(log.shape[1]):
        own, others = log[best == column, column], log[best != column, column]
        if own.size:
            low = float(np.median(others)) if others.size else 0.0
            positive[:, column] = log[:, column] > (low + float(np.median(own))) / 2
    n = positive.sum(axis=1)
    samples = np.array([names[i] for i in positive.argmax(axis=1)], dtype=object)
    samples[n == 0], samples[n > 1] = _NONE, _DOUBLE
    one, two, none = int((n == 1).sum()), int((n > 1).sum()), int((n == 0).sum())
    left = f"; no cells of {', '.join(unused)}" if unused else ""
    return samples, f"hashtags: {one} cells of one sample, {two} of two, {none} of none{left}"
