"""Find what could identify a person in FCS files; never shows a value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from immunolab.errors import DataFileError
from immunolab.loaders.fcs.text import HEADER_BYTES, Span, span_of, whole_number
from immunolab.privacy.allowed import allowed_keyword
from immunolab.privacy.sources import DataSet, fcs_files, opened

_CLASSES: dict[str, frozenset[str]] = {
    "patient or specimen": frozenset(
        {"$SRC", "$SMNO", "SAMPLE ID", "PATIENT ID", "PATIENT NAME", "SPECIMEN NAME", "CASE NUMBER", "ACCESSION",
         "@SAMPLEID1", "@SAMPLEID2", "@SAMPLEID3", "@SAMPLEID4", "TUBE NAME", "$FIL", "FIL", "FILENAME", "$CELLS",
         "$COM", "$PROJ", "EXPERIMENT NAME", "GROUPNAME", "WELL ID", "$WELLID", "PLATE NAME", "PLATE ID", "$PLATEID",
         "$PLATENAME", "SUBJECT", "$SAMPLE", "$SPECIMENID", "$CARRIERID"}
    ),
    "people": frozenset({"$OP", "$EXP", "EXPORT USER NAME", "CREATOR", "$LAST_MODIFIER", "$ORIGINATOR", "USER"}),
    "place or device": frozenset(
        {"$INST", "$SYS", "$CYTSN", "CYTNUM", "GUID", "$ORIGINALITY", "CYTOMETER CONFIG NAME"}
    ),
    "date or time": frozenset(
        {"$DATE", "$BTIM", "$ETIM", "EXPORT TIME", "$LAST_MODIFIED", "$BEGINDATETIME", "$ENDDATETIME",
         "CYTOMETER CONFIG CREATE DATE", "SETUP DATE"}
    ),
}  # fmt: skip
_PATTERNS: dict[str, re.Pattern[str]] = {
    "e-mail address": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}\.\w"),
    "telephone or record number": re.compile(r"(?<![\d.])\d{3}[ -]?\d{3,4}[ -]?\d{2,5}(?![\d.])"),
    "date": re.compile(
        r"(?<!\d)(?:(?:19|20)\d\d[-/.]?[01]\d[-/.]?[0-3]\d|[0-3]?\d[-/. ]"
        r"(?:[01]?\d|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*[-/. ](?:19|20)?\d\d)(?!\d)", re.IGNORECASE
    ),
    "Chinese, Japanese or Korean text": re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"),
}  # fmt: skip
_COMPANIONS = {
    ".wsp": "FlowJo workspace",
    ".jo": "FlowJo workspace",
    ".acs": "ACS container",
    ".wspt": "FlowJo template",
}
_LEAST_RECURRING = 4  # characters of a word worth looking for elsewhere; shorter ones recur by chance (judgement)
_BLOCK = 1 << 20  # bytes searched at a time


@dataclass(frozen=True)
class Identifier:
    """One place that holds, or may hold, what identifies a person. The value is never kept.

    Attributes
    ----------
    file
        The file.
    data_set
        Of the file, counted from 0.
    key
        Keyword, segment, or ``file name``.
    rule
        Why it was reported.
    """

    file: str
    data_set: int
    key: str
    rule: str


def scan(paths: Iterable[str | Path]) -> list[Identifier]:
    """Report what in FCS files could identify a person: file, keyword and rule, never a value.

    A file that cannot be read is reported too, since nothing is known about it.

    Parameters
    ----------
    paths
        Files, and folders that are searched through.

    Returns
    -------
    list of Identifier
        One record a place where something identifying was found; empty where nothing was.

    Raises
    ------
    InputError
        Lists every path that does not exist.

    Examples
    --------
    >>> {found.key for found in il.scan(["sample_data/sle/fcs/SLE001_W0.fcs"])}
    {'$FIL'}
    """
    given = [Path(path) for path in paths]
    findings: list[Identifier] = []
    for path in fcs_files(given):
        try:
            with opened(path) as (handle, sets):
                for i, data_set in enumerate(sets):
                    findings += _in_data_set(path, i, handle, data_set, i + 1 == len(sets))
        except DataFileError as error:
            findings.append(Identifier(str(path), 0, "file", f"cannot be read: {error.message}"))
        findings += [Identifier(str(path), 0, "file name", rule) for rule in _patterns(path.stem)]
    for folder in (path for path in given if path.is_dir()):
        for path in sorted(folder.rglob("*")):
            if kind := _COMPANIONS.get(path.suffix.lower()):
                findings.append(Identifier(str(path), 0, "file", f"{kind}: holds paths and user names"))
    return findings


def findings_text(findings: Iterable[Identifier]) -> str:
    """Return findings as lines to read: file by file, the keys of each rule together."""
    grouped: dict[str, dict[str, list[str]]] = {}
    for finding in findings:
        place = f"{finding.key} (data set {finding.data_set})" if finding.data_set else finding.key
        grouped.setdefault(finding.file, {}).setdefault(finding.rule, []).append(place)
    lines = []
    for file, rules in grouped.items():
        lines.append(file)
        lines += [f"    {rule}: {', '.join(dict.fromkeys(keys))}" for rule, keys in rules.items()]
    return "\n".join(lines)


def _in_data_set(path: Path, i: int, handle: BinaryIO, data_set: DataSet, last: bool) -> Iterator[Identifier]:
    file, text = str(path), data_set.header.text
    for key, value in text.items():
        for rule in _rules(key, value.strip(), path):
            yield Identifier(file, i, key, rule)
    if data_set.supplemental:
        yield Identifier(file, i, "supplemental TEXT", "segment that is not needed")
    if span_of(whole_number(text.get("$BEGINANALYSIS", "")), whole_number(text.get("$ENDANALYSIS", ""))):
        yield Identifier(file, i, "ANALYSIS", "segment that is not needed")
    if _holds_hidden_bytes(handle, data_set, last):
        yield Identifier(file, i, "bytes outside TEXT and DATA", "hidden or OTHER segment")


def _rules(key: str, value: str, path: Path) -> list[str]:
    if not value or allowed_keyword(key, value):
        return []
    rules = [name for name, keys in _CLASSES.items() if key in keys]
    rules += [f"looks like: {name}" for name in _patterns(value)]
    if len(value) >= _LEAST_RECURRING and value.casefold() in str(path).casefold():
        rules.append("recurs in the file or folder name")
    if re.fullmatch(r"\$P\d+[NS]", key):
        rules.append("words that are no marker, dye or detector")
    return rules or ["not on the allow-list"]


def _patterns(value: str) -> list[str]:
    found = [name for name, pattern in _PATTERNS.items() if pattern.search(value)]
    if not found and _PATTERNS["Chinese, Japanese or Korean text"].search(_as_gbk(value)):
        found.append("Chinese, Japanese or Korean text")
    return found


def _as_gbk(value: str) -> str:
    """Read text that was taken for Latin-1 as GBK; empty when it is none."""
    try:
        raw = value.encode("latin-1")
        return "" if raw.isascii() else raw.decode("gbk")
    except UnicodeError:
        return ""


def _holds_hidden_bytes(handle: BinaryIO, data_set: DataSet, last: bool) -> bool:
    """Return whether anything but blanks, zeros or a CRC is outside HEADER, TEXT and the events."""
    header, segments = data_set.header, data_set.segments
    origin = segments.origin
    events = Span(header.data_start - origin, header.data_start - origin + header.data_bytes - 1)
    known = sorted([Span(0, HEADER_BYTES - 1), segments.text, events], key=lambda span: span.first)
    size = handle.seek(0, 2) - origin
    step = whole_number(header.text.get("$NEXTDATA", "")) or 0
    end = size if last or not 0 < step < size else step
    at = 0
    for span in [*known, Span(end, end)]:
        if span.first > at and _is_written(handle, origin + at, span.first - at):
            return True
        at = max(at, span.last + 1)
    return False


def _is_written(handle: BinaryIO, start: int, length: int) -> bool:
    handle.seek(start)
    first, left = True, length
    while left > 0:
        block = handle.read(min(_BLOCK, left))
        if not block:
            return False
        left -= len(block)
        if first and left == 0 and len(block) <= 10 and re.fullmatch(rb"[\s\0]*\d{0,8}[\s\0]*", block):
            return False  # the CRC word
        if block.strip(b" \0\r\n\t"):
            return True
        first = False
    return False
