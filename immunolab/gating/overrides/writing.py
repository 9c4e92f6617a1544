"""Overrides written to their file: readable, and with every digit beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from immunolab.config import flow_yaml
from immunolab.gating.overrides.entry_words import exact_text, gate_words
from immunolab.gating.overrides.override import Override
from immunolab.gating.overrides.remarks import HEAD
from immunolab.schema.files import write_atomically

_ENTRIES = 20_000  # whose text is kept: a study of 500 tubes x 12 gates, three times over (judgement)


def write_overrides(overrides: Iterable[Override], path: Path | str) -> None:
    """Write the overrides of a study, whole or not at all; the same ones give the same bytes.

    Parameters
    ----------
    overrides
        In the order in which they were made: of the same tube and population the last one counts.
    path
        Usually ``overrides.yaml`` beside study.yaml; replaced when it exists.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    text = overrides_text(overrides)
    write_atomically(Path(path), lambda part: part.write_text(text, encoding="utf-8"))


def overrides_text(overrides: Iterable[Override]) -> str:
    """Return overrides as the text of their file.

    Parameters
    ----------
    overrides
        In the order in which they were made.
    """
    entries = ["".join(f"\n{line}" for line in one.remarks) + _entry(one) for one in overrides]
    return HEAD + ("overrides:\n" + "".join(entries) if entries else "overrides: []\n")


@lru_cache(maxsize=_ENTRIES)
def _entry(override: Override) -> str:
    lines = [f"{key}: {flow_yaml(value)}" for key, value in _keys(override)]
    return "\n- " + "\n  ".join(lines) + "\n"


def _keys(one: Override) -> Iterator[tuple[str, Any]]:
    yield "id", one.id
    if one.change != one.id:
        yield "change", one.change
    yield "sample", one.sample_id
    if one.path:
        yield "population", one.path
    if one.borders:
        yield "threshold", {b.marker: list(b.at) if len(b.at) > 1 else b.at[0] for b in one.borders}
    if one.gate is not None:
        yield "gate", gate_words(one.gate)
    if one.was is not None:
        yield "was", gate_words(one.was)
    texts = {"reason": one.reason, "comment": one.comment, "reader": one.reader, "at": one.at}
    yield from ((key, text) for key, text in texts.items() if text)
    shares = {"percent_before": one.percent_before, "percent_after": one.percent_after}
    yield from ((key, share) for key, share in shares.items() if share is not None)
    hashes = {"file_sha256": one.file_sha256, "entry": one.entry}
    yield from ((key, text) for key, text in hashes.items() if text)
    exact = {key: exact_text(gate) for key, gate in (("gate", one.gate), ("was", one.was)) if gate is not None}
    if exact:
        yield "exact", exact
