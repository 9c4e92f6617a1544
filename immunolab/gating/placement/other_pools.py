"""Borders that a pool's own events do not show, taken from the other pools of its study; pools that are unlike them.

A pool is what shares a border, mostly a patient's tubes of one batch. Empirical Bayes would weigh every border with
those of the other pools. On simulated studies that changed nothing or did harm where a pool's own events show a border
(there resampling is as far apart as patients are), and a great deal where they show none: there the own weight is zero,
and only there is a border taken over. A patient's own visits share it still, so that a drug does not move its own gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.placement.placed import Placed
from immunolab.gating.placement.placed_gate import PLACEMENT_SD, Generators
from immunolab.gating.placement.rules import Scope
from immunolab.gating.placement.run_method import RESAMPLES
from immunolab.gating.placement.tube_state import TubePool
from immunolab.gating.tube_gates import PoolBorder
from immunolab.intervals import NORMAL_95
from immunolab.schema.flags import Flag

OTHERS: Literal["others"] = "others"  # method and control of a border that other pools gave
# fewest other pools that show where a border usually is (judgement: the middle two of four agree, or none is usual)
_FEWEST = 4
# chance that a pool like the others is called unlike them, by Student's t of their number (judgement: a study has some
# thousand borders; of a normal this is beyond 4 sd)
_UNLIKE = 1 / 16_000
# words of a border that a pool's own events do not show
_NOT_SHOWN = frozenset(
    {
        Flag.NO_BORDER, Flag.NO_VALLEY, Flag.UNIMODAL, Flag.NO_POSITIVES, Flag.NO_CORNER_CLOUD, Flag.TOO_FEW_EVENTS,
        Flag.NO_REFERENCE, Flag.SMALL_REFERENCE, Flag.BEYOND_DATA, Flag.ANCESTOR_VALLEY,
    }
)  # fmt: skip

Usuals = Mapping[tuple[tuple[str, ...], tuple[str, ...]], "Usual"]  # (key, pool) of a `PoolBorder` to what is usual


@dataclass(frozen=True)
class Usual:
    """Where the other pools of a study have a border.

    Attributes
    ----------
    value, sd
        Median, and how far one more pool's border is from it: display scale.
    spread
        Standard deviation of the events behind it, display scale.
    n
        Number of pools.
    scope
        ``batch`` where they are of the pool's own batch, else ``study``.
    """

    value: float
    sd: float
    spread: float
    n: int
    scope: Scope

    @property
    def useful(self) -> bool:
        """Whether it says where to part two groups: it is surer than a group is wide."""
        return self.sd < self.spread

    @property
    def words(self) -> str:
        """The pools in words."""
        return f"{self.n} other pools of the {self.scope} (display {self.value:.3g}, SD {self.sd:.2g})"


@dataclass(frozen=True)
class SharedBorder:
    """A pool's border after the other pools were looked at.

    Attributes
    ----------
    placed
        Its own, or that of the others.
    scope
        Of the events it was estimated from.
    usual
        The others' border where the pool's own is unlike it, display scale; else NaN.
    """

    placed: Placed
    scope: Scope
    usual: float = np.nan

    @property
    def borrowed(self) -> bool:
        """Whether it is the border of other pools."""
        return self.placed.method == OTHERS


def usual_of(others: Sequence[PoolBorder], batch: str) -> Usual | None:
    """Return where pools have a border: those of a batch, or all of them, whichever agree more; None of too few.

    Parameters
    ----------
    others
        The same border in other pools; those that do not show it are left out.
    batch
        Of the pool that asks.
    """
    return _Shown([one for one in others if one.shown]).without((), batch)


def _summary(values: NDArray[np.float64], spreads: NDArray[np.float64], scope: Scope) -> Usual:
    n, middle = len(values), float(np.median(values))
    # two kinds of patients are wide apart: a robust spread would call the fewer of them unlike
    sd = float(np.std(values, ddof=1))
    spread = float(np.median(spreads))
    # of one more pool about the median, whose own variance is pi / 2 times that of a mean
    return Usual(middle, float(np.hypot(sd * np.sqrt(1 + np.pi / 2 / n), PLACEMENT_SD * spread)), spread, n, scope)


def usuals(borders: Sequence[PoolBorder]) -> dict[tuple[tuple[str, ...], tuple[str, ...]], Usual]:
    """Return, for each border and each pool, where the others have it.

    Parameters
    ----------
    borders
        Of all pools of a study, one panel.
    """
    by_key: dict[tuple[str, ...], dict[tuple[str, ...], PoolBorder]] = {}
    for one in borders:
        by_key.setdefault(one.key, {})[one.pool] = one
    batches = {one.pool: one.batch for one in borders}
    found = {}
    for key, rows in by_key.items():
        shown = _Shown([one for one in rows.values() if one.shown])
        for pool, batch in batches.items():
            usual = shown.without(pool, batch)
            if usual is not None:
                found[key, pool] = usual
    return found


class _Shown:
    """One border in every pool that shows it, as arrays: a study of thousands of pools leaves each of them out once."""

    def __init__(self, rows: Sequence[PoolBorder]) -> None:
        self._values = np.array([one.value for one in rows])
        self._spreads = np.array([one.spread for one in rows])
        self._batches = np.array([one.batch for one in rows], dtype=object)
        self._rows: dict[str, list[int]] = {}  # by tube
        for row, one in enumerate(rows):
            for tube in one.pool:
                self._rows.setdefault(tube, []).append(row)

    def without(self, pool: tuple[str, ...], batch: str) -> Usual | None:
        """Return where the pools that share no tube with one have the border, as `usual_of` gives it."""
        others = np.ones(len(self._values), dtype=np.bool_)
        others[[row for tube in pool for row in self._rows.get(tube, ())]] = False
        sets: tuple[tuple[NDArray[np.bool_], Scope], ...] = (
            (others, "study"),
            (others & (self._batches == batch), "batch"),
        )
        found = [
            _summary(self._values[rows], self._spreads[rows], scope)
            for rows, scope in sets
            if np.count_nonzero(rows) >= _FEWEST
        ]
        return min(found, key=lambda one: one.sd, default=None)


def is_unlike(own: PoolBorder, usual: Usual) -> bool:
    """Whether a border that a pool's own events show is further from the usual one than chance allows."""
    from scipy.special import stdtrit  # here, for gating with drawn gates needs no scipy

    limit = float(stdtrit(usual.n - 1, 1 - _UNLIKE / 2))
    return own.shown and usual.useful and abs(own.value - usual.value) > limit * float(np.hypot(usual.sd, own.sd))


def changes(own: PoolBorder, usual: Usual | None) -> bool:
    """Whether the other pools have a say in a border: they give it, or it is unlike theirs.

    Parameters
    ----------
    own
        The border as the pool's own events placed it.
    usual
        Where the others have it; None where too few have.
    """
    return usual is not None and usual.useful and (not own.shown or is_unlike(own, usual))


class OtherPools:
    """Compares each pool's borders with those of the other pools.

    Parameters
    ----------
    rng
        Returns a generator for words.
    given
        What is usual, of a study whose pools are placed one by one; None looks at the pools that are compared.
    """

    def __init__(self, rng: Generators, given: Usuals | None = None) -> None:
        self._rng = rng
        self._given = given
        self._own: dict[tuple[tuple[str, ...], tuple[str, ...]], PoolBorder] = {}

    @property
    def own(self) -> tuple[PoolBorder, ...]:
        """Every border as its pool's own events placed it."""
        return tuple(self._own.values())

    def compare(self, found: Sequence[tuple[tuple[str, ...], TubePool, Placed]]) -> list[SharedBorder]:
        """Return the border of each pool: its own, or that of the others where its own events show none.

        Parameters
        ----------
        found
            Words that name the border, the pool, and its own border. One without resampled values is left as it is.
        """
        own = [_own_border(key, pool, placed) for key, pool, placed in found]
        self._own |= {(one.key, one.pool): one for one in own if one is not None}
        known = usuals([one for one in own if one is not None]) if self._given is None else self._given
        shared = []
        for one, (_, pool, placed) in zip(own, found, strict=True):
            usual = known.get((one.key, one.pool)) if one is not None else None
            if one is None or usual is None:
                shared.append(SharedBorder(placed, pool.scope))
            else:
                shared.append(self._with(one, pool, placed, usual))
        return shared

    def _with(self, own: PoolBorder, pool: TubePool, placed: Placed, usual: Usual) -> SharedBorder:
        if not changes(own, usual):
            return SharedBorder(placed, pool.scope)
        if own.shown:
            reason = f"{placed.reason}; unlike {usual.words}"
            return SharedBorder(replace(placed, reason=reason), pool.scope, usual.value)
        drawn = self._rng(OTHERS, *own.key, *own.pool).normal(usual.value, usual.sd, RESAMPLES)
        half = NORMAL_95 * usual.sd
        flags = (*(flag for flag in placed.flags if flag not in _NOT_SHOWN), Flag.BORROWED)
        return SharedBorder(
            Placed(
                placed.marker, usual.value, OTHERS, OTHERS, usual.value - half, usual.value + half, flags,
                f"the pool's own events show no border ({placed.reason}): that of {usual.words}", usual.spread, drawn,
            ),
            usual.scope,
        )  # fmt: skip


def _own_border(key: tuple[str, ...], pool: TubePool, placed: Placed) -> PoolBorder | None:
    """Return the record of a border; None of one that was fixed or not resampled, which has no error."""
    shown = bool(np.isfinite(placed.value)) and not _NOT_SHOWN & set(placed.flags)
    if (placed.control == "fixed" and placed.method != "none") or (shown and len(placed.draws) < 2):
        return None
    tubes = tuple(sorted(tube.sample_id for tube in pool.tubes))
    batch = ";".join(sorted({tube.batch for tube in pool.tubes}))
    sd = float(np.std(placed.draws, ddof=1)) if len(placed.draws) > 1 else 0.0
    return PoolBorder(key, tubes, batch, float(placed.value) if shown else 0.0, sd, placed.spread, shown)
