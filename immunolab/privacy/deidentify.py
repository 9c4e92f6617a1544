"""Write FCS files anew with nothing in them that identifies a person."""

from __future__ import annotations

import binascii
import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from immunolab.errors import DataFileError, InputError, Problem
from immunolab.privacy.allowed import rebuild
from immunolab.privacy.keyfile import add_to_key, all_codes, new_codes, read_key
from immunolab.privacy.sources import DataSet, fcs_files, opened
from immunolab.schema.files import file_sha256, remove_unfinished, write_atomically
from immunolab.schema.formula_cells import neutralised

AUDIT = "audit.csv"
_BLOCK = 1 << 22  # bytes copied or hashed at a time
_TEXT_START = 256  # byte; after the HEADER's 58, with room for user-defined segments
_MOST_IN_HEADER = 99_999_999  # the HEADER has 8 characters for an offset; larger ones are in TEXT (FCS 3.1)
# tried in this order: the first that no value contains needs no doubling
_DELIMITERS = "|\x0c\x1e!~^"


@dataclass(frozen=True)
class Record:
    """What was done to one data set; holds nothing of the original but counts and the hash of its events.

    Attributes
    ----------
    file
        The file written, in OUT.
    data_set
        Counted from 0.
    n_events
        Events in it.
    data_sha256_before, data_sha256_after
        Of the DATA bytes in the source and as read back from OUT.
    keywords_kept, keywords_dropped
        Counts.
    channels_renamed, labels_reduced
        Channels concerned, as ``$P3N``.
    """

    file: str
    data_set: int
    n_events: int
    data_sha256_before: str
    data_sha256_after: str
    keywords_kept: int
    keywords_dropped: int
    channels_renamed: str
    labels_reduced: str


@dataclass(frozen=True)
class Deidentified:
    """The files written, what could not be read, and where the key is."""

    records: tuple[Record, ...]
    failures: tuple[Problem, ...]
    key: Path


def deidentify(paths: Iterable[str | Path], out: str | Path, *, key: str | Path | None = None) -> Deidentified:
    """Write FCS files under study codes, with an allow-listed TEXT, the same DATA bytes and nothing else.

    Originals are never touched. OUT gets ``CODE.fcs`` for every file, and ``audit.csv``.

    Parameters
    ----------
    paths
        Files, and folders that are searched through.
    out
        A folder outside every folder of ``paths``.
    key
        CSV with the columns ``file`` and ``code``, outside OUT; read when it exists, and written for
        the files it does not name. By default it is beside OUT and is called ``OUT_key.csv``.

    Returns
    -------
    Deidentified
        Files that could not be read are in ``failures``; the others are done.

    Raises
    ------
    InputError
        Lists every fault of paths, folders and key file; nothing has been written then.
    """
    out = Path(out)
    given = [Path(path) for path in paths]
    key = Path(key) if key is not None else out.resolve().with_name(f"{out.resolve().name}_key.csv")
    _check_places(given, out, key)
    remove_unfinished(out)
    remove_unfinished(key.resolve().parent, key.name)
    sources = fcs_files(given)
    if not sources:
        raise InputError(
            Problem(", ".join(map(str, given)), "", "there is no FCS file", "name files or a folder of them")
        )
    codes = read_key(key, sources) if key.exists() else {}
    failures: list[Problem] = []
    hashes: dict[Path, str] = {}
    for source in sources:
        try:
            with opened(source):
                hashes[source] = file_sha256(source)
        except DataFileError as error:
            failures.append(Problem(str(source), "", error.message, error.hint))
    missing = {source: digest for source, digest in hashes.items() if source not in codes}
    fresh = new_codes(missing, all_codes(key))
    targets = {source: out / f"{(codes | fresh)[source]}.fcs" for source in hashes}
    _check_targets(sources, targets.values())
    out.mkdir(parents=True, exist_ok=True)
    if fresh or not key.exists():
        add_to_key(key, fresh)
    records = [record for source, target in targets.items() for record in _rewrite(source, target)]
    records.sort(key=lambda record: (record.file, record.data_set))
    _write_audit(out / AUDIT, records)
    return Deidentified(tuple(records), tuple(failures), key)


def _check_places(given: Sequence[Path], out: Path, key: Path) -> None:
    problems = []
    folder = out.resolve()
    if key.resolve().is_relative_to(folder):
        problems.append(Problem(str(key), "", "the key file is inside the output", "keep it apart: it names patients"))
    if out.exists() and not out.is_dir():
        problems.append(Problem(str(out), "", "the output is a file", "name a folder"))
    for path in given:
        if path.is_dir() and folder.is_relative_to(path.resolve()):
            hint = "choose a folder outside, so that originals and output never mix"
            problems.append(Problem(str(out), "", "the output is inside a folder of originals", hint))
    if problems:
        raise InputError(problems)


def _check_targets(sources: Sequence[Path], targets: Iterable[Path]) -> None:
    originals = {source.resolve() for source in sources}
    problems = [
        Problem(str(target), "", "writing this would replace an original", "choose another folder or code")
        for target in targets
        if target.resolve() in originals
    ]
    if problems:
        raise InputError(problems)


def _rewrite(source: Path, target: Path) -> list[Record]:
    def write(part: Path) -> list[Record]:
        with opened(source) as (handle, sets), part.open("wb") as out:
            records = [_write(handle, data_set, out, target, last=data_set is sets[-1]) for data_set in sets]
        after = _read_back(part)
        return [replace(record, data_sha256_after=digest) for record, digest in zip(records, after, strict=True)]

    return write_atomically(target, write)


def _write(handle: BinaryIO, data_set: DataSet, out: BinaryIO, target: Path, *, last: bool) -> Record:
    header, rebuilt = data_set.header, rebuild(data_set.header)
    digest = _write_data_set(
        out, header.version, rebuilt.keywords, handle, header.data_start, header.data_bytes, last=last
    )
    return Record(
        file=target.name,
        data_set=header.dataset,
        n_events=header.n_events,
        data_sha256_before=digest,
        data_sha256_after="",
        keywords_kept=len(rebuilt.keywords),
        keywords_dropped=len(rebuilt.dropped),
        channels_renamed=" ".join(rebuilt.names_changed),
        labels_reduced=" ".join(rebuilt.labels_changed),
    )


def _read_back(path: Path) -> list[str]:
    """Return the SHA-256 of DATA of every data set, found anew from the header that was written."""
    digests = []
    with opened(path) as (handle, sets):
        for data_set in sets:
            digest, left = hashlib.sha256(), data_set.header.data_bytes
            handle.seek(data_set.header.data_start)
            while left and (block := handle.read(min(_BLOCK, left))):
                digest.update(block)
                left -= len(block)
            digests.append(digest.hexdigest())
    return digests


def _write_audit(path: Path, records: Sequence[Record]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*(field.name for field in fields(Record)), "immunolab_version"])
        rows = ([*astuple(record), version("immunolab")] for record in records)
        writer.writerows([neutralised(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def _write_data_set(
    out: BinaryIO, version: str, keywords: Mapping[str, str], source: BinaryIO, start: int, length: int, *, last: bool
) -> str:
    """Write HEADER, TEXT, DATA and CRC of one data set; return the SHA-256 of DATA.

    Parameters
    ----------
    out
        At the place where the data set begins.
    version
        Of FCS. An FCS 2.0 data set whose DATA ends beyond byte 99,999,999 becomes 3.0, because
        2.0 cannot say where such DATA is.
    keywords
        Of TEXT, without those that say where segments are.
    source, start, length
        Where DATA comes from, in bytes.
    last
        Whether no data set follows.
    """
    if version == "2.0" and _TEXT_START + length + 100_000 > _MOST_IN_HEADER:
        version = "3.0"
    text, begin = _laid_out(keywords, version, length, last)
    end = begin + length - 1 if length else 0
    begin = begin if length else 0
    in_header = (begin, end) if end <= _MOST_IN_HEADER else (0, 0)
    header = f"FCS{version}    " + "".join(
        f"{n:8d}" for n in (_TEXT_START, _TEXT_START + len(text) - 1, *in_header, 0, 0)
    )
    head = header.encode("ascii").ljust(_TEXT_START) + text
    out.write(head)
    crc, digest, left = binascii.crc_hqx(head, 0), hashlib.sha256(), length
    source.seek(start)
    while left:
        block = source.read(min(_BLOCK, left))
        if not block:
            raise EOFError("DATA is shorter than its header says")
        out.write(block)
        digest.update(block)
        crc, left = binascii.crc_hqx(block, crc), left - len(block)
    if version != "2.0":
        out.write(f"{crc:08d}".encode("ascii"))  # CRC-16-CCITT from HEADER to the end of DATA
    return digest.hexdigest()


def _laid_out(keywords: Mapping[str, str], version: str, length: int, last: bool) -> tuple[bytes, int]:
    """Return TEXT and the first byte of DATA; the offsets are in TEXT, whose length they change."""
    delimiter = next(d for d in _DELIMITERS if not any(d in value for value in keywords.values()))
    begin = _TEXT_START
    while True:
        end = begin + length - 1 if length else 0
        size = begin + length + (0 if version == "2.0" else 8)
        places = {"$NEXTDATA": "0" if last else str(size)}
        if version != "2.0":
            places |= {"$BEGINDATA": str(begin if length else 0), "$ENDDATA": str(end)}
            places |= dict.fromkeys(("$BEGINSTEXT", "$ENDSTEXT", "$BEGINANALYSIS", "$ENDANALYSIS"), "0")
        pairs = {**places, **keywords}
        text = delimiter + "".join(f"{key}{delimiter}{value}{delimiter}" for key, value in pairs.items() if value)
        raw = text.encode("ascii")
        if begin == _TEXT_START + len(raw):
            return raw, begin
        begin = _TEXT_START + len(raw)
