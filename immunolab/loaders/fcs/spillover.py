"""Spillover matrices: from FCS keywords, CSV and FlowJo files, matched to a tube's channels and checked.

What makes compensation wrong (a channel that is not there, a singular matrix) is an error; what
is unusual but usable comes back in words.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import DataFileError, nearest
from immunolab.events.tube import Spillover
from immunolab.input_files import read_input_text
from immunolab.loaders.fcs.text import visible

# in the order in which they are looked for: the standard's first, then instruments' own
SPILLOVER_KEYWORDS = ("$SPILLOVER", "SPILL", "$SPILL", "SPILLOVER", "$COMP")
_MOST_CHANNELS = 2_000  # in a keyword; more than any instrument has, and a guard of memory
# coefficients (share of a dye's signal in another channel) outside these are reported, outside the next refused:
# negative ones come from overcompensated controls, ones above 1 from tandems and wrong pairs (judgement)
_LEAST_WORRYING, _MOST_WORRYING = -0.1, 1.0
_LEAST_BELIEVABLE, _MOST_BELIEVABLE = -1.0, 10.0
_SINGULAR = 1e8  # condition number from which float32 signals keep no digit after inversion
_OTHER = "read the tube with another matrix (CSV or FlowJo .mtx), or with none (spillover=None)"


def keyword_spillover(text: Mapping[str, str], file: str = "") -> tuple[Spillover | None, list[str]]:
    """Return the matrix an FCS file carries, in the file's own channel words, and what is unusual about it.

    Parameters
    ----------
    text
        The keywords of TEXT.
    file
        For messages.

    Returns
    -------
    tuple of (Spillover or None, list of str)
        None when the file carries none. ``$COMP`` has no channel names and gets the numbers ``1..n``. ``$DFCmTOn``
        records what the instrument subtracted already and is reported, not applied.

    Raises
    ------
    DataFileError
        When a keyword's number of values does not fit its number of channels.
    """
    notes: list[str] = []
    for keyword in SPILLOVER_KEYWORDS:
        fields = [field.strip() for field in text.get(keyword, "").strip().strip(",").split(",")]
        if fields in ([""], ["0"]):
            continue
        n = int(fields[0]) if re.fullmatch(r"[0-9]{1,6}", fields[0]) else 0
        if n > 0 and len(fields) == n + 1 and keyword != "$COMP":
            notes.append(f"{keyword} names {n} channels but holds no values; the tube has no matrix of its own")
            continue
        numbered = [str(i) for i in range(1, n + 1)]
        names = numbered if keyword == "$COMP" else [visible(name) for name in fields[1 : n + 1]]
        values = fields[1:] if keyword == "$COMP" else fields[n + 1 :]
        if not 0 < n <= _MOST_CHANNELS or len(values) != n * n:
            raise DataFileError(
                f"{keyword} has the wrong size: {n:,} channels need {n * n:,} values, it holds {len(values):,}",
                file,
                _OTHER,
            )
        return Spillover(tuple(names), _numbers(values, keyword, file).reshape(n, n), keyword), notes
    recorded = [key for key in text if re.fullmatch(r"\$DFC[0-9]+TO[0-9]+", key) and _not_zero(text[key])]
    if recorded:
        notes.append("TEXT records compensation done by the instrument ($DFCmTOn); it is not applied again")
    return None, notes


def _not_zero(word: str) -> bool:
    return bool(re.search(r"[1-9]", word))


def _numbers(words: Sequence[str], place: str, file: str) -> NDArray[np.float64]:
    try:
        return np.array([float(word) for word in words], dtype=np.float64)
    except ValueError:
        wrong = sum(not re.fullmatch(r"[-+.0-9eE]+", word.strip()) for word in words)
        raise DataFileError(f"{place}: {wrong or 'some'} values are not numbers", file, _OTHER) from None


def read_spillover(path: str | Path) -> Spillover:
    """Read a matrix from CSV or tab-separated text (channel names, then rows) or FlowJo's .mtx.

    A first column of names is allowed in CSV; its order wins over the order of the header. FlowJo
    10 writes XML, FlowJo 9 text with a title and a line of affixes before the names.

    Parameters
    ----------
    path
        The matrix file.

    Raises
    ------
    DataFileError
        Names line or element.
    """
    file = str(path)
    try:
        raw = read_input_text(path)
    except OSError as error:
        raise DataFileError(
            f"the spillover matrix cannot be opened: {error.strerror}", file, "check the path"
        ) from None
    except UnicodeDecodeError:
        raise DataFileError("the spillover matrix is not UTF-8 text", file, "export it as CSV or .mtx") from None
    if raw.lstrip().startswith("<?xml") or "spilloverMatrix" in raw[:2000]:
        return _from_xml(raw, file)
    return _from_text(raw, file)


def _from_xml(raw: str, file: str) -> Spillover:
    """Return FlowJo's matrix: one ``spillover`` element a dye; a coefficient left out is 0, or 1 of the dye itself."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    try:
        root = ElementTree.fromstring(raw)
    except (ElementTree.ParseError, DefusedXmlException) as error:
        raise DataFileError(
            f"the matrix is not well-formed XML: {error}", file, "export it from FlowJo again"
        ) from None
    rows: dict[str, dict[str, str]] = {}
    for element in root.iter():
        if _local(element.tag) == "spillover":
            name = _attribute(element.attrib, "parameter")
            if name in rows:
                raise DataFileError(f"channel {name} is duplicated", file, "keep one matrix a file")
            rows[name] = {
                _attribute(cell.attrib, "parameter"): _attribute(cell.attrib, "value")
                for cell in element
                if _local(cell.tag) == "coefficient"
            }
    if not rows:
        raise DataFileError("the file holds no spilloverMatrix element", file, "export the matrix from FlowJo")
    names = list(rows)
    words = [rows[row].get(column, "1" if row == column else "0") for row in names for column in names]
    unknown = {column for row in rows.values() for column in row} - set(names)
    if unknown:
        raise DataFileError(f"spillover into {', '.join(sorted(unknown))}, which has no row", file, _OTHER)
    return Spillover(tuple(names), _numbers(words, "coefficient", file).reshape(len(names), -1), file)


def _local(tag: object) -> str:
    return str(tag).rsplit("}", 1)[-1]


def _attribute(attributes: Mapping[str, str], name: str) -> str:
    return next((value for key, value in attributes.items() if _local(key) == name), "")


def _from_text(raw: str, file: str) -> Spillover:
    lines = raw.lstrip("\ufeff").splitlines()
    # FlowJo 9: a title and a line with the affixes of compensated names come before the names
    if len(lines) > 2 and re.match(r"\s*<.*[\t>]", lines[1]):
        lines = lines[2:]
    filled = [line for line in lines if line.strip()]
    if len(filled) < 2:
        raise DataFileError("the file holds no matrix", file, "one line of channel names, then one line a channel")
    delimiter = max("\t,;", key=filled[0].count)
    table = [[cell.strip() for cell in row] for row in csv.reader(filled, delimiter=delimiter)]
    header = [cell.lstrip("#").strip() for cell in table[0]]
    rows = [row[:-1] if row[-1] == "" and len(row) > len(header) else row for row in table[1:]]
    while header and not header[-1]:
        header.pop()
    named = len(header) > 0 and (header[0] == "" or all(len(row) == len(header) + 1 for row in rows))
    names = header[1:] if named and header[0] == "" else header
    labels = [row[0] for row in rows] if named else names
    values = [row[1 : len(names) + 1] if named else row[: len(names)] for row in rows]
    short = [i for i, row in enumerate(values, start=2) if len(row) != len(names)]
    if len(values) != len(names) or short:
        place = f"; line {short[0]} of the matrix has {len(values[short[0] - 2])} values" if short else ""
        raise DataFileError(
            f"the matrix has the wrong size: {len(names)} channels, {len(values)} rows{place}", file, _OTHER
        )
    matrix = _numbers([cell for row in values for cell in row], "the matrix", file).reshape(len(names), -1)
    if named and labels != names:
        matrix = _reordered(matrix, labels, names, file)
    return Spillover(tuple(names), matrix, file)


def _reordered(matrix: NDArray[np.float64], labels: list[str], names: list[str], file: str) -> NDArray[np.float64]:
    """Return rows in the order of the columns; row names may carry what FlowJo adds (``FITC-A :: CD4``)."""
    plain = [label.split(" :: ")[0].strip() for label in labels]
    if sorted(plain) != sorted(names):
        only = ", ".join(sorted(set(plain) ^ set(names))) or "a name is duplicated"
        raise DataFileError(f"row and column names of the matrix differ: {only}", file, _OTHER)
    return matrix[[plain.index(name) for name in names]]


def match_spillover(
    matrix: Spillover, names: Sequence[str], labels: Sequence[str] = (), file: str = ""
) -> tuple[Spillover | None, list[str]]:
    """Return the matrix in the tube's channel names, and what is unusual about it in words.

    A channel is found by its name, its name in another case or without ``Comp-``, its label, or
    its number. An absent channel that neither gives nor takes spillover is left out. None comes
    back when the tube's channels carry ``Comp-`` and the matrix does not: such an export is
    compensated already.

    Parameters
    ----------
    matrix
        In the words of the file it was read from.
    names, labels
        ``$PnN`` and ``$PnS`` of the tube's channels.
    file
        For messages.

    Raises
    ------
    DataFileError
        Unknown channels, a channel twice, values that are not finite, an absurd diagonal or
        coefficient, a singular matrix.
    """
    where = file or matrix.source
    rows, absent = _rows(matrix, names, labels)
    _check_values(matrix, where)
    notes: list[str] = []
    if absent:
        _check_absent(matrix, absent, names, where)
        notes.append(
            f"channels of the spillover matrix that the tube lacks: {len(absent)}; they share no spillover "
            "with the others and were left out"
        )
    kept = [i for i in range(len(matrix.channels)) if i not in absent]
    found = [names[rows[i]] for i in kept]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise DataFileError(f"the spillover matrix names {', '.join(twice)} twice", where, _OTHER)
    values = np.ascontiguousarray(matrix.matrix[np.ix_(kept, kept)])
    if np.allclose(np.diag(values), 100.0):
        values = values / 100.0
        notes.append("the spillover matrix is in percent; it was divided by 100")
    if not kept:
        return None, notes
    notes += _judge(values, found, where)
    prefixed = [n for i, n in zip(kept, found, strict=True) if _is_compensated_name(n, matrix.channels[i])]
    if prefixed and not np.allclose(values, np.eye(len(kept)), atol=1e-5):
        notes.append(
            "channels are called Comp-...: the events are compensated already, the matrix is not applied again"
        )
        return None, notes
    return Spillover(tuple(found), values, matrix.source), notes


def _is_compensated_name(channel: str, in_matrix: str) -> bool:
    return bool(re.match(r"(FJ)?Comp-", channel)) and not re.match(r"(FJ)?Comp-", in_matrix)


def _rows(matrix: Spillover, names: Sequence[str], labels: Sequence[str]) -> tuple[dict[int, int], set[int]]:
    ways: list[dict[str, int]] = [
        {name: i for i, name in enumerate(names)},
        {_plain(name): i for i, name in enumerate(names)},
        {label: i for i, label in enumerate(labels) if label},
        {str(i + 1): i for i in range(len(names))},
    ]
    rows: dict[int, int] = {}
    for i, name in enumerate(matrix.channels):
        words = (name, _plain(name), name, name)
        row = next((way[word] for way, word in zip(ways, words, strict=True) if word in way), None)
        if row is not None:
            rows[i] = row
    return rows, set(range(len(matrix.channels))) - set(rows)


def _plain(name: str) -> str:
    return re.sub(r"^(fj)?comp-", "", name.strip().lower())


def _check_values(matrix: Spillover, where: str) -> None:
    if not np.isfinite(matrix.matrix).all():
        raise DataFileError("the spillover matrix holds values that are not finite", where, _OTHER)


def _check_absent(matrix: Spillover, absent: set[int], names: Sequence[str], where: str) -> None:
    rest = [i for i in range(len(matrix.channels)) if i not in absent]
    gone = sorted(absent)
    shared = matrix.matrix[np.ix_(gone, rest)].any(axis=1) | matrix.matrix[np.ix_(rest, gone)].any(axis=0)
    if shared.any() or not rest:
        unknown = [matrix.channels[i] for i in gone]
        hint = f"{nearest(unknown[0], names)} {_OTHER}".strip()
        raise DataFileError(f"the spillover matrix names channels the tube lacks: {', '.join(unknown)}", where, hint)


def _judge(values: NDArray[np.float64], names: Sequence[str], where: str) -> list[str]:
    diagonal = np.diag(values)
    aside = values - np.diag(diagonal)
    if (diagonal <= 0).any():
        name = names[int(np.argmin(diagonal))]
        raise DataFileError(f"the spillover matrix is absurd: the diagonal of {name} is not positive", where, _OTHER)
    if aside.max(initial=0) > _MOST_BELIEVABLE or aside.min(initial=0) < _LEAST_BELIEVABLE:
        extreme = np.unravel_index(np.argmax(np.abs(aside)), aside.shape)
        raise DataFileError(
            f"the spillover matrix is absurd: {aside[extreme]:g} from {names[int(extreme[0])]} into "
            f"{names[int(extreme[1])]} (believable: {_LEAST_BELIEVABLE:g} to {_MOST_BELIEVABLE:g})",
            where,
            _OTHER,
        )
    if not np.linalg.cond(values) < _SINGULAR:
        raise DataFileError("the spillover matrix is singular: it cannot be inverted", where, _OTHER)
    notes = []
    if not np.allclose(diagonal, 1.0, atol=1e-3):
        notes.append("the diagonal of the spillover matrix is not 1 everywhere")
    if aside.max(initial=0) > _MOST_WORRYING:
        notes.append(
            "the spillover matrix holds coefficients above 1: a dye is brighter in another channel than its own"
        )
    if aside.min(initial=0) < _LEAST_WORRYING:
        notes.append(f"the spillover matrix holds coefficients below {_LEAST_WORRYING:g}")
    return notes
