"""Which populations overrides reach, in the words of their flags."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from immunolab.gating.strategy import Strategy
from immunolab.schema.flags import READERS, Flag, split


def with_readers(strategy: Strategy, used: Collection[str]) -> Strategy:
    """Return a strategy whose populations say that their gate is a reader's, or that they depend on one that is.

    Parameters
    ----------
    strategy
        Its populations come before what depends on them.
    used
        Paths of the gates that a reader placed.
    """
    reached: set[str] = set()
    populations = []
    for one in strategy.populations:
        words = [word for word in split(one.flag) if word != Flag.BY_HAND or one.path not in used]
        if one.path in used:
            words.append(Flag.OVERRIDDEN)
        elif one.depends_on & reached:
            words.append(Flag.BELOW_OVERRIDE)
        if READERS.intersection(words):
            reached.add(one.path)
        populations.append(replace(one, flag=";".join(dict.fromkeys(words))))
    return replace(strategy, populations=tuple(populations))


def with_stale(strategy: Strategy, stale: Collection[str]) -> Strategy:
    """Return a strategy whose populations say that a reader replaced their gate, which is not used.

    Parameters
    ----------
    strategy
        Its gates as they are used.
    stale
        Paths of those populations.
    """
    populations = tuple(
        replace(one, flag=";".join([*split(one.flag), Flag.STALE_OVERRIDE])) if one.path in stale else one
        for one in strategy.populations
    )
    return replace(strategy, populations=populations)


def reached_names(strategy: Strategy) -> frozenset[str]:
    """Return the names of the populations that a reader's gate reaches, its own among them.

    Parameters
    ----------
    strategy
        As `with_readers` gave it.
    """
    return frozenset(one.name for one in strategy.populations if READERS.intersection(split(one.flag)))
