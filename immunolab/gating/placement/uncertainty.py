"""How sure a percentage is: the gates' uncertainty beside the counting uncertainty.

Four sources of error are carried. *Counting*: Jeffreys' binomial interval of the events counted.
*Resampling*: every data-driven border was placed again on resampled events. *Placement*: a border
may be beside where it belongs even with endless events (a reference that is not quite like the
cells it represents, spillover left over, a batch effect within the pool); each resampled border is
moved by a normal error of `placed_gate.PLACEMENT_SD` (or that of its method, where it is known) times
the spread of the events behind it. The
moved borders are carried down the tree together, so that a border in an empty valley adds nothing
and one through a shoulder adds much. *Classification*: even behind a perfect border some cells are
on the wrong side, about `MISPLACED` of a subset in all, and their number is a matter of chance.

``gate_low`` and ``gate_high`` join resampling, placement and classification: where the percentage
of the cells in this very tube may be. ``low`` and ``high`` add counting: where the percentage in the
blood may be that the tube was drawn from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from immunolab.events.subsample import subsample
from immunolab.events.tube import Tube
from immunolab.gating.evaluate import count_each
from immunolab.gating.method_results import Array
from immunolab.gating.placement.fit import Fitted
from immunolab.gating.strategy import ROOT, Gate, Population, Strategy
from immunolab.gating.tube_gates import GateSpread
from immunolab.intervals import NORMAL_95, jeffreys_percent

# cells let in and cells lost, as a share of a subset, on simulated tubes (F1 near 0.93; benchmarks/gating_accuracy.py,
# 2026-11-22)
MISPLACED = 0.15
_EVENTS = 20_000  # events that carry the gates' uncertainty (judgement: time against a percentage's steadiness)
_COLUMNS = [
    "sample_id", "path", "denominator", "percent",
    "gate_low", "gate_high", "count_low", "count_high", "low", "high",
]  # fmt: skip


def percent_intervals(
    fitted: Fitted, sample_id: str, events: Tube, *, denominators: Sequence[str] = ()
) -> pd.DataFrame:
    """Return intervals of every population's percentage in one sample.

    Parameters
    ----------
    fitted
        With `Fitted.alternatives`.
    events
        The tube, all events or a sample of them; at most 20,000 carry the gates' uncertainty.
    denominators
        Names of populations that percentages below them are wanted of, beside percent of parent.

    Returns
    -------
    DataFrame
        Columns sample_id, path, denominator, percent, gate_low, gate_high, count_low, count_high, low, high: all in
        percent, one row a population and denominator. ``low`` and ``high`` join both sources on the logit scale.
        Without events in the denominator the figures are empty.
    """
    strategy = fitted.strategies[sample_id]
    few = subsample(events, _EVENTS)
    others = _others(strategy, fitted.alternatives.get(sample_id, {}))
    placed, *drawn = _counts([strategy, *others], few)
    whole = placed if few is events else _counts([strategy], events)[0]
    rows = []
    for population in strategy.populations:
        for base in _bases(population, strategy, denominators):
            n, of = whole[population.path], whole[base]
            here = _logit(placed[population.path], placed[base])
            moved = np.array([_logit(counts[population.path], counts[base]) - here for counts in drawn])
            name = base.rsplit("/", 1)[1] if base else ROOT
            rows.append({"sample_id": sample_id, "path": population.path, "denominator": name, **_limits(n, of, moved)})
    return pd.DataFrame(rows, columns=_COLUMNS)


def gate_spreads(fitted: Fitted, tube: Tube, pairs: Iterable[tuple[str, str]]) -> tuple[GateSpread, ...]:
    """Return the standard error that placing its gates gives each wanted (population, denominator).

    A percentage of which no limit is known (an empty denominator, a limit at 0 or 100) has none.

    Parameters
    ----------
    fitted
        Placed gates with their resampled borders.
    tube
        The tube that is counted.
    pairs
        (population, denominator) by name.

    Returns
    -------
    tuple of GateSpread
        Standard errors on the logit scale.
    """
    from scipy.special import logit  # here, for gating with drawn gates needs no scipy

    wanted = set(pairs)
    table = percent_intervals(fitted, tube.sample_id, tube, denominators=sorted({parent for _, parent in wanted}))
    found = []
    for row in table.itertuples():
        name = row.path.rsplit("/", 1)[1]
        if (name, row.denominator) in wanted and row.gate_low > 0 and row.gate_high < 100:
            width = logit(row.gate_high / 100) - logit(row.gate_low / 100)
            found.append(GateSpread(name, row.denominator, float(width) / (2 * NORMAL_95)))
    return tuple(found)


def _limits(n: int, of: int, moved: Array) -> dict[str, float]:
    from scipy.special import expit

    if of == 0:
        return dict.fromkeys(_COLUMNS[3:], np.nan)
    share, z = _logit(n, of), NORMAL_95
    # rms about the placed gate, so that a gate whose resamples are all on one side is not called certain
    count_sd = float(np.sqrt(1 / (n + 0.5) + 1 / (of - n + 0.5)))
    gate_sd = float(np.sqrt(np.mean(moved**2) + MISPLACED * count_sd**2)) if len(moved) else 0.0
    joint = float(np.hypot(gate_sd, count_sd))
    count_low, count_high = jeffreys_percent(n, of)
    return {
        "percent": 100 * n / of,
        "gate_low": 100 * float(expit(share - z * gate_sd)),
        "gate_high": 100 * float(expit(share + z * gate_sd)),
        "count_low": count_low,
        "count_high": count_high,
        "low": min(100 * float(expit(share - z * joint)), count_low),
        "high": max(100 * float(expit(share + z * joint)), count_high),
    }


def _bases(population: Population, strategy: Strategy, denominators: Sequence[str]) -> list[str]:
    """Return the paths a population's percentage is wanted of: its parent, then named ancestors."""
    bases = [population.parent_path]
    for other in strategy.populations:
        below = population.path.startswith(f"{other.path}/")
        if other.name in denominators and below and other.path not in bases:
            bases.append(other.path)
    return bases


def _others(strategy: Strategy, alternatives: Mapping[str, Sequence[Gate]]) -> list[Strategy]:
    """Return the strategy with all gates replaced by those of one resample, once for each resample."""
    rounds = max((len(gates) for gates in alternatives.values()), default=0)
    return [
        replace(
            strategy,
            populations=tuple(
                replace(p, gate=alternatives[p.path][i]) if p.path in alternatives else p for p in strategy.populations
            ),
        )
        for i in range(rounds)
    ]


def _counts(strategies: Sequence[Strategy], events: Tube) -> list[dict[str, int]]:
    return [{"": events.n_events, **counts} for counts in count_each(strategies, events)]


def _logit(n: int, of: int) -> float:
    from scipy.special import logit

    return float(logit((n + 0.5) / (of + 1.0)))
