"""Is a change of a locked plan, and of a log, found at every byte? ``python benchmarks/locked_plan.py [STUDY]``.

Every byte of plan.lock.json is changed, left out and written twice, one after the other; the same for every line of a
log of fifty entries. Printed: how many changes were tried, and how many were not found.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from immunolab.analysis_plan.lock import LOCK_FILE, read_lock
from immunolab.audit.log import AuditLog, Happening
from immunolab.errors import InputError
from immunolab.workflow.plan import lock_plan

AT = "2026-03-01T09:30:00Z"
ENTRIES = 50


def changed(content: bytes, step: int = 1) -> Iterator[bytes]:
    """Yield a content with one byte changed, left out, or twice."""
    for place in range(0, len(content), step):
        for other in (bytes([content[place] ^ 1]), b"", content[place : place + 1] * 2):
            yield content[:place] + other + content[place + 1 :]


def tried(file: Path, found: Callable[[], bool]) -> str:
    """Return how many changes of a file were tried, and how many were not found."""
    content, n, missed = file.read_bytes(), 0, 0
    for other in changed(content):
        file.write_bytes(other)
        n, missed = n + 1, missed + (not found())
    file.write_bytes(content)
    return f"{file.name}: {len(content)} bytes, {n} changes, {missed} not found"


def main(study: Path) -> None:
    """Lock a copy of a study, and change what was written."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "study"
        shutil.copytree(study, copy)
        lock_plan(copy, by="benchmark", at=AT)
        print(tried(copy / LOCK_FILE, lambda: is_refused(copy)))
        log = AuditLog(copy)
        log.append_all([Happening("decision", {"tube": f"T{i}"}, "benchmark", AT) for i in range(ENTRIES)])
        for name in ("audit.jsonl", "audit.head"):
            print(tried(log.folder / name, lambda: bool(log.problems())))


def is_refused(folder: Path) -> bool:
    """Whether a locked plan is refused."""
    try:
        read_lock(folder)
    except InputError:
        return True
    return False


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sample_data/sle"))
