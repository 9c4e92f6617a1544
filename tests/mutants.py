"""Damaged input files: how they are damaged, read and judged; short runs in test_fuzz.py, long in benchmarks/fuzz.py.

A mutant passes when it is read or refused with an ImmunolabError within its time, and, where that can be checked from
the file itself, when nothing of it is lost in silence.
"""

from __future__ import annotations

import io
import os
import random
import re
import signal
import tempfile
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from immunolab.errors import ImmunolabError

SECONDS = 5.0  # of a processor that a mutant may take (issue 16)
_WAITING = 300.0  # s of wall: what has not ended by then waits, however busy the machine is
# what has broken readers: absurd numbers, signs of other grammars, characters that cannot be seen
EVIL = (
    "", " ", "0", "-1", "1e999", "9" * 30, "9" * 400, "nan", "inf", "-inf", "1e-320", "0x10", "1_000", "1,5", "½", "²",
    "٣", "null", "true", "~", "*", "&a", "!!python/object:os.system", "{}", "[]", "{a: [", "'", '"', "\\", "$", "%",
    "#", "=1+1", "\t", "\r", "\n", "\0", "\x1b[2J", "\u202e", "\ufeff", "é", "漢字", "\ud7ff", "A" * 300,
    "../../etc/passwd", "/dev/zero", "CD4+", "/",
    "//", "P1", "<", "&amp;", "&#0;", "]]>", "NaN%", "9**9**9", "(", "mg/0", "2024-02-30",
    "99999-01-01", "0000-00-00", "1/1/1", "W0", "-0", "+", "--", "...", "1;2;3", "a,b", "\x85", "\u2028", "🧬",
)  # fmt: skip


class Hang(BaseException):
    """A mutant took longer than it may; no reader can catch it as an error of its file."""


@dataclass(frozen=True)
class Kind:
    """A kind of file: its sound examples, how one is damaged, who reads it, and what may not be lost."""

    suffix: str
    sound: Callable[[], list[bytes]]
    damage: Callable[[random.Random, bytes], bytes]
    read: Callable[[Path], object]
    lost: Callable[[bytes, object], str] = lambda raw, read: ""
    apart: bool = False  # in a process of its own, which the library behind it may end


@dataclass
class Tries:
    """What mutants of one kind came to."""

    n: int = 0
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, tuple[int, str]] = field(default_factory=dict)

    def fail(self, name: str, seed: int, text: str) -> None:
        """Note a failure; the first of each class keeps its seed and traceback."""
        self.failures[name] += 1
        self.examples.setdefault(name, (seed, text))


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise Hang where the block takes more of a processor, or waits for minutes."""

    def stop(*_: object) -> None:
        raise Hang

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, _WAITING)}
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, limit in timers.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def try_mutants(kind: Kind, n: int, *, first: int = 0) -> Tries:
    """Return what mutants ``first`` to ``first + n - 1`` of a kind come to; the same numbers make the same mutants."""
    tries = Tries()
    with tempfile.TemporaryDirectory() as work, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for seed in range(first, first + n):
            _try(kind, seed, Path(work), tries)
    return tries


def mutant(kind: Kind, seed: int) -> bytes:
    """Return one mutant's bytes."""
    rng = random.Random(seed)
    return kind.damage(rng, rng.choice(_sound(kind.sound)))


@cache
def _sound(make: Callable[[], list[bytes]]) -> list[bytes]:
    return make()


def _try(kind: Kind, seed: int, work: Path, tries: Tries) -> None:
    raw = mutant(kind, seed)
    path = work / f"mutant{kind.suffix}"
    path.write_bytes(raw)
    started = _used()
    outcome, text = (_apart if kind.apart else _outcome)(kind, path, raw)
    took = _used() - started
    tries.n += 1
    tries.slowest = max(tries.slowest, took)
    if outcome == "read":
        tries.read += 1
    elif outcome == "refused":
        tries.refused += 1
    else:
        tries.fail(outcome, seed, text)
    if took > SECONDS and outcome != "took too long":
        tries.fail("took too long", seed, f"{took:.1f} s, then {outcome}")


def _used() -> float:
    """Return the seconds of a processor that this process and its ended children took."""
    return sum(os.times()[:4])


def _outcome(kind: Kind, path: Path, raw: bytes) -> tuple[str, str]:
    try:
        with limited(2 * SECONDS):
            found = kind.read(path)
    except ImmunolabError as error:
        return ("refused", "") if str(error).strip() else ("refused without a word", repr(error))
    except Hang:
        return "took too long", traceback.format_exc()
    except Exception as error:  # noqa: BLE001  whatever is raised is a finding
        place = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in place if "/immunolab/" in frame.filename]
        where = f"{Path(own[-1].filename).name}:{own[-1].name}" if own else "?"
        return f"{type(error).__name__} in {where}", traceback.format_exc()
    lost = kind.lost(raw, found)
    return (f"lost in silence: {lost}", lost) if lost else ("read", "")


def _apart(kind: Kind, path: Path, raw: bytes) -> tuple[str, str]:
    """Return the outcome in a child; one that the library ends is what `read_through` is for, and is refused."""
    from immunolab.loaders.hdf5 import read_through

    for through in (True, False):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            step = Kind(kind.suffix, kind.sound, kind.damage, lambda p: read_through(str(p))) if through else kind
            outcome, text = _outcome(step, path, raw)
            with os.fdopen(writing, "w") as answer:
                answer.write(f"{outcome}\n{text[-4000:]}")
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            outcome, _, text = answer.read().partition("\n")
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return ("refused", "") if through else (f"ended by signal {os.WTERMSIG(status)}", "")
        if outcome != "read":
            return outcome, text
    return outcome, text


def flip_bytes(rng: random.Random, raw: bytes) -> bytes:
    """Return bytes with some replaced, inserted, removed or repeated, or the end cut off."""
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        at = rng.randrange(len(changed))
        way = rng.randrange(6)
        if way == 0:
            changed[at] = rng.randrange(256)
        elif way == 1:
            changed[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0"))
        elif way == 2:
            changed[at:at] = rng.randbytes(rng.randrange(1, 8))
        elif way == 3:
            del changed[at : at + rng.choice((1, 2, 8, 64))]
        elif way == 4:
            changed[at:at] = changed[at : at + rng.choice((4, 32, 256))]
        elif rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def damage_text(rng: random.Random, raw: bytes) -> bytes:
    """Return a text with words, lines or bytes damaged."""
    if rng.random() < 0.2:
        return flip_bytes(rng, raw)
    text = raw.decode("utf-8", "replace")
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        text = rng.choice((_word, _word, _word, _word, _line, _piece))(rng, text)
    return text.encode("utf-8", "surrogatepass")


def _word(rng: random.Random, text: str) -> str:
    """Replace one word or number, or put something into it."""
    words = list(re.finditer(r"[^\s,;:<>\"'={}\[\]/]+", text))
    if not words:
        return rng.choice(EVIL)
    word = rng.choice(words)
    new = rng.choice((rng.choice(EVIL), rng.choice(EVIL) + word[0], word[0] + rng.choice(EVIL), rng.choice(words)[0]))
    return text[: word.start()] + new + text[word.end() :]


def _line(rng: random.Random, text: str) -> str:
    """Remove, repeat, move or indent a line."""
    lines = text.split("\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    way = rng.randrange(5)
    if way == 0:
        del lines[i]
    elif way == 1:
        lines.insert(j, lines[i])
    elif way == 2:
        lines[i], lines[j] = lines[j], lines[i]
    elif way == 3:
        lines[i] = "  " + lines[i]
    else:
        lines[i] = lines[i][: rng.randrange(len(lines[i]) + 1)]
    return "\n".join(lines)


def _piece(rng: random.Random, text: str) -> str:
    """Remove or repeat a stretch, or end the text."""
    at = rng.randrange(len(text) + 1)
    length = rng.choice((1, 5, 40))
    return rng.choice((text[:at] + text[at + length :], text[: at + length] + text[at:], text[:at]))


def damage_fcs(rng: random.Random, raw: bytes) -> bytes:
    """Return an FCS file with bytes, or the value of a keyword, damaged; HEADER is left as it is."""
    if rng.random() < 0.5:
        return flip_bytes(rng, raw)
    last = int(raw[18:26])
    head, text, rest = raw[:58], raw[58 : last + 1], raw[last + 1 :]
    parts = text.split(text[:1])
    for _ in range(rng.choice((1, 1, 2, 4))):
        i = rng.randrange(len(parts))
        new = rng.choice((rng.choice(EVIL), str(rng.randrange(-(2**40), 2**40)), rng.choice(parts).decode("latin-1")))
        parts[i] = new.encode("utf-8", "surrogatepass")
    changed = text[:1].join(parts)
    if rng.random() < 0.5:  # of the same length, so that DATA stays where it is said to be
        changed = changed[: len(text)].ljust(len(text), text[:1])
    return head + changed + rest


def damage_zip(rng: random.Random, raw: bytes) -> bytes:
    """Return a workbook with one part damaged as text and packed again, or its bytes damaged."""
    if rng.random() < 0.25:
        return flip_bytes(rng, raw)
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        contents = {name: parts.read(name) for name in parts.namelist()}
    likely = [name for name in contents if "sheet" in name or "shared" in name or "styles" in name]
    name = rng.choice(likely if rng.random() < 0.8 else list(contents))
    contents[name] = damage_text(rng, contents[name])
    if rng.random() < 0.03:
        del contents[name]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as parts:
        for name, content in contents.items():
            parts.writestr(name, content)
    return out.getvalue()
