"""The audit log: what is appended stays, and whatever is changed afterwards is named by its number."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from immunolab.audit.entry import NOTHING_BEFORE, Entry, hash_of
from immunolab.audit.log import AuditLog, Happening
from immunolab.errors import InputError

AT = "2026-03-01T09:30:00Z"
N = 5


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study's folder with a log of five entries."""
    folder = tmp_path_factory.mktemp("five")
    entries = [Happening("decision", {"tube": f"T{i}", "percent": 1.5 + i}, "A. Reader", AT) for i in range(N)]
    AuditLog(folder).append_all(entries)
    return folder


@pytest.fixture
def log(five: Path, tmp_path: Path) -> AuditLog:
    """Return a log of five entries, to be changed."""
    shutil.copytree(five / "review", tmp_path / "review")
    return AuditLog(tmp_path)


def _lines(log: AuditLog) -> list[bytes]:
    return (log.folder / "audit.jsonl").read_bytes().splitlines(keepends=True)


def _write(log: AuditLog, lines: list[bytes]) -> None:
    (log.folder / "audit.jsonl").write_bytes(b"".join(lines))


def _named(log: AuditLog, *numbers: int) -> None:
    """Check that something is found, that each number is named, and that nothing can be added."""
    text = "\n".join(str(problem) for problem in log.problems())
    for number in numbers:
        assert f"entry {number} " in text
    with pytest.raises(InputError):
        log.append("decision", {}, by="A. Reader", at=AT)


def _rehashed(line: bytes, **changes: object) -> bytes:
    data = json.loads(line) | changes
    del data["hash"]
    return Entry(**data, hash=hash_of(data)).line()


def test_entries_are_chained_and_read_back(log: AuditLog) -> None:
    entries = log.entries()
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert [entry.before for entry in entries] == [NOTHING_BEFORE, *(entry.hash for entry in entries[:-1])]
    assert entries[2].fields == {"tube": "T2", "percent": 3.5}
    assert log.append("undo", {}, by="B", at=AT) == log.entries()[-1].hash == log.end()[1]
    assert not log.problems()


def test_the_hash_is_the_sha256_of_canonical_json(log: AuditLog) -> None:
    data = json.loads(_lines(log)[1])
    stored = data.pop("hash")
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == stored


@pytest.mark.parametrize("number", range(1, N + 1))
@pytest.mark.parametrize("field", ["number", "kind", "by", "at", "fields", "before", "hash"])
def test_each_edited_field_of_each_entry_is_named(log: AuditLog, number: int, field: str) -> None:
    lines = _lines(log)
    data = json.loads(lines[number - 1])
    other = {"number": data["number"] + 7, "fields": data["fields"] | {"percent": 99.0}}
    data[field] = other.get(field, "0" + str(data[field])[1:] if field in ("before", "hash") else "other")
    if data == json.loads(lines[number - 1]):
        data[field] = "1" + data[field][1:]
    lines[number - 1] = json.dumps(data, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    _write(log, lines)
    _named(log, number)


@pytest.mark.parametrize("number", range(1, N + 1))
def test_an_entry_that_was_edited_and_hashed_again_is_named(log: AuditLog, number: int) -> None:
    lines = _lines(log)
    lines[number - 1] = _rehashed(lines[number - 1], by="Another Reader")
    _write(log, lines)
    _named(log, number)


@pytest.mark.parametrize("number", range(1, N + 1))
def test_each_removed_entry_is_named(log: AuditLog, number: int) -> None:
    lines = _lines(log)
    del lines[number - 1]
    _write(log, lines)
    _named(log, number)


@pytest.mark.parametrize("number", range(1, N))
def test_each_pair_of_swapped_neighbours_is_named(log: AuditLog, number: int) -> None:
    lines = _lines(log)
    lines[number - 1], lines[number] = lines[number], lines[number - 1]
    _write(log, lines)
    _named(log, number)


@pytest.mark.parametrize("number", range(1, N + 1))
@pytest.mark.parametrize("place", range(N + 1))
def test_each_entry_that_is_there_twice_is_named(log: AuditLog, number: int, place: int) -> None:
    lines = _lines(log)
    lines.insert(place, lines[number - 1])
    _write(log, lines)
    _named(log, number)


@pytest.mark.parametrize("number", range(1, N + 2))
def test_each_inserted_entry_is_named(log: AuditLog, number: int) -> None:
    """One with a sound hash, that follows the entry before it, in front of each entry and at the end."""
    lines = _lines(log)
    before = json.loads(lines[number - 2])["hash"] if number > 1 else NOTHING_BEFORE
    lines.insert(number - 1, _rehashed(lines[0], number=number, before=before, by="Nobody"))
    _write(log, lines)
    _named(log, number)


def test_every_byte_of_a_line_is_held(log: AuditLog) -> None:
    lines = _lines(log)
    for place in range(len(lines[1])):
        changed = bytearray(lines[1])
        changed[place] ^= 1
        _write(log, [lines[0], bytes(changed), *lines[2:]])
        assert log.problems(), place
    _write(log, [lines[0], lines[1].replace(b",", b", ", 1), *lines[2:]])
    _named(log, 2)


@pytest.mark.parametrize("kept", range(N))
def test_a_log_cut_at_its_end_is_found_by_its_head(log: AuditLog, kept: int) -> None:
    _write(log, _lines(log)[:kept])
    _named(log, *range(kept + 1, N + 1))


def test_a_last_line_cut_within_is_no_interrupted_writing(log: AuditLog) -> None:
    lines = _lines(log)
    for length in (0, 1, len(lines[-1]) // 2, len(lines[-1]) - 1):
        _write(log, [*lines[:-1], lines[-1][:length]])
        _named(log, N)


def test_a_missing_or_edited_head_and_a_missing_log_are_said(log: AuditLog) -> None:
    head, file = log.folder / "audit.head", log.folder / "audit.jsonl"
    content, lines = head.read_bytes(), file.read_bytes()
    head.unlink()
    assert "audit.head  is missing" in str(log.problems()[0])
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        head.write_bytes(bytes(changed))
        assert log.problems(), place
    head.write_bytes(content)
    file.unlink()
    assert "audit.head counts 5 entries" in str(log.problems()[0])
    file.write_bytes(lines)
    assert not log.problems()


@pytest.mark.parametrize("length", [1, 40, -1])
def test_a_torn_last_line_is_moved_aside_and_named(log: AuditLog, length: int) -> None:
    """A process killed within a line: nothing before it is lost, the log goes on, and says what happened."""
    line = _rehashed(_lines(log)[-1], number=N + 1, before=log.end()[1])
    with (log.folder / "audit.jsonl").open("ab") as file:
        file.write(line[:length])
    assert [str(problem).partition("\n")[0] for problem in log.problems()] == [
        f"review/audit.jsonl  entry 6 was not written to its end ({len(line[:length])} bytes); "
        "the next entry moves it aside"
    ]
    assert len(log.entries()) == N
    log.append("decision", {"tube": "T9"}, by="A. Reader", at=AT)
    assert not log.problems()
    assert [entry.kind for entry in log.entries()[N:]] == ["torn_line", "decision"]
    assert (log.folder / "audit.torn").read_bytes() == line[:length] + b"\n"


def test_what_a_kill_between_line_and_head_leaves_is_sound(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    from immunolab.audit import log as module

    written: list[int] = []

    def once(path: Path, head: object) -> None:
        written.append(1)
        if len(written) == 2:
            raise KeyboardInterrupt
        real(path, head)  # type: ignore[arg-type]

    real = module.write_head
    monkeypatch.setattr(module, "write_head", once)
    with pytest.raises(KeyboardInterrupt):
        log.append("decision", {"tube": "T9"}, by="A. Reader", at=AT)
    monkeypatch.undo()
    after = AuditLog(log.folder.parent)
    assert not after.problems()
    after.append("decision", {}, by="A. Reader", at=AT)
    assert [entry.number for entry in after.entries()] == [1, 2, 3, 4, 5, 6, 7]
    assert not after.problems()


_WRITER = """
import sys
from immunolab.audit.log import AuditLog
log = AuditLog(sys.argv[1])
with log:
    for i in range(10_000):
        print(log.append("decision", {"i": i, "text": "x" * 3000}, by="A", at="2026-03-01T09:30:00Z"), flush=True)
"""


def test_a_killed_writer_loses_no_entry_that_was_returned(tmp_path: Path) -> None:
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        returned = [writer.stdout.readline().strip() for _ in range(5)]
        with pytest.raises(InputError, match="another process is writing to this study's log"):
            AuditLog(tmp_path).append("decision", {}, by="B", at=AT)
        os.kill(writer.pid, signal.SIGKILL)
        returned += writer.stdout.read().split()
        writer.wait()
        log = AuditLog(tmp_path)
        log.append("decision", {}, by="B", at=AT)
        assert set(returned) <= {entry.hash for entry in log.entries()}
        assert not log.problems()


def test_threads_share_a_log(tmp_path: Path) -> None:
    with AuditLog(tmp_path) as log:
        work: Callable[[], object] = lambda: [log.append("undo", {}, by="A", at=AT) for _ in range(4)]  # noqa: E731
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(log.entries()) == 16
    assert not log.problems()


def test_a_log_that_is_held_goes_on_after_a_change_from_outside_only_if_sound(log: AuditLog) -> None:
    with log:
        log.append("undo", {}, by="A", at=AT)
        _write(log, _lines(log)[1:])
        with pytest.raises(InputError, match="entry 1 was removed"):
            log.append("undo", {}, by="A", at=AT)


def test_what_is_no_entry_is_refused_and_nothing_written(log: AuditLog) -> None:
    before = _lines(log)
    with pytest.raises(InputError, match="did you mean 'decision'"):
        log.append("decisions", {}, by="A", at=AT)
    with pytest.raises(InputError, match="nobody is named") as found:
        log.append("undo", {}, by=" ", at="2026-03-01 09:30")
    assert "no time with a zone" in str(found.value)
    for fields in ({"x": float("nan")}, {"x": {1: 2}}, {"x": object()}):
        with pytest.raises(InputError, match="cannot be written as JSON"):
            log.append("undo", fields, by="A", at=AT)
    assert _lines(log) == before


def test_a_place_that_cannot_hold_a_log_is_said_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="copy the study into a folder of this computer"):
        AuditLog("s3://bucket/study")
    (tmp_path / "review").write_text("a file")
    with pytest.raises(InputError, match="copy the study into a folder that you may write to"):
        AuditLog(tmp_path).append("undo", {}, by="A", at=AT)
