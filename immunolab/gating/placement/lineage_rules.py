"""What a border's rule becomes for one gate: the lineage whose events place it, its reference, its partner's side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from immunolab.gating.method_registry import REGISTERED
from immunolab.gating.placement.placed_gate import Side
from immunolab.gating.placement.rules import NAIVE, OWN_NAIVE, Rule
from immunolab.gating.placement.tube_state import TubePool
from immunolab.schema.flags import Flag

# a border placed on one lineage of T cells serves no other, whose cells carry other amounts of the marker
_LINEAGES = ("CD4", "CD8")
# what is doubtful of a reference population's own gate, so that its events may be other cells
_DOUBTS = frozenset({Flag.NO_VALLEY, Flag.UNIMODAL, Flag.NO_PEAK, Flag.NO_POSITIVES, Flag.WIDE_INTERVAL})


def placing_path(rule: Rule, pool: TubePool, parent: str) -> str:
    """Return the path of the population whose events place a border: of the parent's own lineage.

    Parameters
    ----------
    rule
        Its ``on`` names a population; "" for the parent.
    pool
        Tubes in which populations above the border are placed.
    parent
        Path of the gate's parent.
    """
    on = (_lineage(parent) or rule.on) if rule.on in _LINEAGES else rule.on
    return (pool.path_of(on) if on else None) or parent


def with_own_naive(rule: Rule, pool: TubePool, parent: str) -> Rule:
    """Return the rule with its reference named, where that is the naive cells of the parent's lineage.

    Parameters
    ----------
    rule, pool, parent
        As of `placing_path`.
    """
    if rule.of != OWN_NAIVE:
        return rule
    own = f"{_lineage(parent)}_naive"
    return replace(rule, of=own if pool.path_of(own) else NAIVE)


def rests_on_doubt(method: str, rule: Rule, pool: TubePool, where: str) -> bool:
    """Return whether a border was placed beside naive cells of another lineage whose own gate is doubtful in a tube.

    Naive cells say there which group is naive. It is not said of a border at a quantile of its reference: on simulated
    tubes whose naive cells were in doubt such borders were right (CXCR5, CCR6, CXCR3; 2026-11-27).

    Parameters
    ----------
    method
        What placed it.
    rule
        Names the reference, the parent's own naive cells by their name.
    pool, where
        The tubes, and the path of the population whose events placed the border.
    """
    chosen = REGISTERED.get(method)
    path = pool.path_of(rule.of or NAIVE)
    if chosen is None or not chosen.card.outside_reference or path is None or path.startswith(f"{where}/"):
        return False
    return any(_DOUBTS.intersection(tube.flags.get(path, ())) for tube in pool.tubes)


def beside_partner(rule: Rule, marker: str, sides: Sequence[Side]) -> Rule:
    """Return the rule of a marker's border with the quadrant that the partner's side in the same gate decides.

    Parameters
    ----------
    rule
        Of a method of two channels, or any other, which stays as it is.
    marker
        Whose border it is.
    sides
        All sides of the gate.
    """
    chosen = REGISTERED.get(rule.by)
    if chosen is None or "quadrant" not in chosen.defaults or marker != chosen.card.channels[1]:
        return rule
    side = next((side for name, border, side in sides if name == rule.partner and border == "pos"), None)
    if side is None or "quadrant" in rule.parameters:
        return rule
    return replace(rule, parameters={**rule.parameters, "quadrant": "++" if side == "lower" else "-+"})


def _lineage(path: str) -> str:
    """Return the T-cell lineage that a population is of; "" for none."""
    return next((name for name in _LINEAGES if name in path.split("/")), "")
