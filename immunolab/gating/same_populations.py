"""Which populations of two gatings are the same: by path, or by a name that either has once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# endings that leave a name's meaning as it is: `CD3+`, `CD4 naive T cells` and `B cells` are CD3, CD4 naive and B; a
# minus is meant, and so are the T of `NK T cells`, which are no NK cells, and one that is part of a word (`MAIT cells`)
_ENDINGS = re.compile(
    r"(?:[\s_]*\+|(?:(?<=[\d+])|(?<!NK)(?<![\s_])[\s_]+)T[\s_-]*cells?|[\s_]*cells?)+$", re.IGNORECASE
)
_BETWEEN = re.compile(r"[\s_]+")


def matched_paths(first: Sequence[str], second: Sequence[str], same: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the paths that mean one population: named so, equal, or the only ones that end in one name.

    Names are first compared as they are, then without case, blanks and endings such as ``+`` or ``cells``.

    Parameters
    ----------
    first, second
        Paths of either gating; all events (``/``) are left out.
    same
        Name or path in the first -> name or path in the second.
    """
    found: dict[str, str] = {}
    for one, other in same.items():
        for path in (p for p in first if called(p, one)):
            hits = [q for q in second if called(q, other)]
            if hits:
                found.setdefault(path, hits[0])
    left = [[p for p in own if p != "/"] for own in (first, second)]
    found |= {p: p for p in left[0] if p in left[1] and p not in found and p not in found.values()}
    for name in (_name, _plain_name):
        names = [[name(p) for p in own] for own in left]
        for path, word in zip(left[0], names[0], strict=True):
            if path not in found and names[0].count(word) == 1 and names[1].count(word) == 1:
                other = left[1][names[1].index(word)]
                if other not in found.values():
                    found[path] = other
    return [(path, found[path]) for path in first if path in found]


def called(path: str, word: str) -> bool:
    """Return whether a word means a population: it is its path or its name.

    Parameters
    ----------
    path
        Of the population.
    word
        As the user wrote it.
    """
    return word in (path, _name(path))


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _plain_name(path: str) -> str:
    name = _name(path).strip()
    return _BETWEEN.sub("", _ENDINGS.sub("", name) or name).casefold()
