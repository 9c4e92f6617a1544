"""Which tubes and populations of two gatings are the same: by content or name, and as the user says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from immunolab.errors import InputError, Problem, nearest
from immunolab.gating.same_populations import called
from immunolab.workflow.agree_sides import Side, SideTube
from immunolab.workflow.agree_tube import TubeAgreement, TubePair


def paired_tubes(a: Side, b: Side, files: Side) -> tuple[Side, Side, tuple[TubePair, ...]]:
    """Return both sides with the tubes that are looked for, and the tubes of both.

    Tubes are the same by content where both sides have it, else by sample_id, else by the stem of the file's name. A
    stem that several tubes of a side have is none of theirs.

    Parameters
    ----------
    a, b
        The gatings.
    files
        FCS files that are named beside them.

    Raises
    ------
    InputError
        Neither side has tubes of its own, and no files are named.
    """
    first, second = (files.tubes if side.by_files and files.tubes else side.tubes for side in (a, b))
    if first is None and second is None:
        raise InputError(Problem("", "--files", "neither gating names tubes", "name the FCS files with --files"))
    first, second = first or second or (), second or first or ()
    by_hash = {tube.sha256: tube for tube in second if tube.sha256}
    by_first, by_name = tubes_by_name(first), tubes_by_name(second)
    pairs = []
    for tube in first:
        names = [name for name in (tube.sample_id, *sorted(tube.names)) if by_first.get(name) is tube]
        named = [by_name[name] for name in names if name in by_name]
        if tube.sha256:  # the same name for other events is no pair
            named = [other for other in named if not other.sha256]
        found = by_hash.get(tube.sha256) or next(iter(named), None)
        if found is not None:
            pairs.append(TubePair(tube, found))
    return replace(a, tubes=first), replace(b, tubes=second), tuple(pairs)


def tubes_by_name(tubes: Sequence[SideTube]) -> dict[str, SideTube]:
    """Return the tube that each name means: a sample_id its own, a file's stem only where one tube has it.

    Parameters
    ----------
    tubes
        Of one side.
    """
    n = Counter(name for tube in tubes for name in tube.names)
    return {name: tube for tube in tubes for name in tube.names if n[name] == 1} | {t.sample_id: t for t in tubes}


def alone_reason(tube: SideTube, side: Side, other: Side, files: Side) -> str:
    """Return why a tube of one side has none beside it in the other.

    Parameters
    ----------
    tube
        Of ``side``.
    side, other
        The gatings.
    files
        FCS files that are named beside them.
    """
    alike = [own for own in other.tubes or () if tube.names & own.names]
    if any(tube.sha256 and own.sha256 for own in alike):
        return f"{other.word} has other events under this name"
    if alike:
        return "several tubes go by its name: give them sample_ids of their own"
    if other.by_files and files.tubes:
        return f"no file of it is named with --files, on which {other.word} is evaluated"
    return f"only {side.word} has it"


def same_problems(
    same: Mapping[str, str], compared: Sequence[TubeAgreement], words: tuple[str, str]
) -> Iterator[Problem]:
    """Yield a problem for each word of ``--same`` that means no population, or several of one tube.

    Parameters
    ----------
    same
        Population of the first gating -> that of the second.
    compared
        The tubes, compared.
    words
        What the gatings are called.
    """
    sides: list[list[set[str]]] = [[], []]
    for one in compared:
        for own, letter, only in zip(sides, "ab", (one.only_a, one.only_b), strict=True):
            own.append({str(row[f"path_{letter}"]) for row in one.rows} | set(only))
    for pair in same.items():
        for name, own, word in zip(pair, sides, words, strict=True):
            hits = max(([path for path in sorted(paths) if called(path, name)] for paths in own), key=len, default=[])
            if len(hits) > 1:
                text = f"'{name}' is {len(hits)} populations of {word}: {', '.join(hits)}"
                yield Problem("", "--same", text, "name one by its path")
            if not hits and any(own):
                have = sorted({path.rsplit("/", 1)[-1] for paths in own for path in paths})
                hint = nearest(name, have) or f"it has: {', '.join(have[:8])}"
                yield Problem("", "--same", f"{word} has no population '{name}'", hint)
