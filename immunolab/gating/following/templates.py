"""Which tubes are templates: those that the gates were drawn on."""

from __future__ import annotations

from collections.abc import Sequence

from immunolab.errors import InputError, Problem
from immunolab.events.tube import Tube
from immunolab.gating.following.template import Template
from immunolab.gating.gate_source import Gates
from immunolab.gating.strategy import Declared, Strategy

_HINT = "name the tube that they were drawn on: --template FILE, templates: [FILE] in study.yaml, follow=tube in Python"


def choose_templates(gates: Gates, tubes: Sequence[Tube], named: Sequence[Tube] = ()) -> list[Tube]:
    """Return the tubes whose gates are carried to the others; no event is looked at.

    Parameters
    ----------
    gates
        As read from a workspace, Gating-ML or YAML.
    tubes
        The tubes to gate.
    named
        Templates that the user names; without any they are the tubes that the gate file names.

    Raises
    ------
    InputError
        Gates are not drawn, or it is unclear which tube they were drawn on.
    """
    if problems := _not_drawn(gates):
        raise InputError(problems)
    if named:
        return list(named)
    found = [tube for tube in tubes if gates.names_file(tube.file, tube.keywords)]
    if not found:
        raise InputError(Problem("", "follow", "none of the tubes is one that the gates were drawn on", _HINT))
    first, *others = [gates.for_file(tube.file, tube.keywords).strategy.populations for tube in found]
    if len(found) == len(tubes) and others and all(other == first for other in others):
        message = f"the gate file has the same gates for all {len(tubes)} tubes"
        raise InputError(Problem("", "follow", message, _HINT))
    return found


def templates_of(gates: Gates, tubes: Sequence[Tube]) -> list[Template]:
    """Return tubes as templates with the gates drawn on them.

    Parameters
    ----------
    gates
        Of which each tube's are taken.
    tubes
        With events.

    Raises
    ------
    GatingError
        The gate file has no gates for a tube, or none can be evaluated on it.
    """
    return [Template(tube, gates.for_file(tube.file, tube.keywords)) for tube in tubes]


def own_strategies(gates: Gates, tubes: Sequence[Tube]) -> dict[str, Strategy]:
    """Return sample_id -> the strategy of each tube that the gate file names.

    Parameters
    ----------
    gates
        As read; a strategy that serves every file names none.
    tubes
        Each with its own sample_id.
    """
    named = [tube for tube in tubes if gates.names_file(tube.file, tube.keywords)]
    return {tube.sample_id: gates.for_file(tube.file, tube.keywords).strategy for tube in named}


def _not_drawn(gates: Gates) -> list[Problem]:
    if gates.declared is None:
        return []
    placed = [p.path for p in gates.declared.populations if isinstance(p.gate, Declared)]
    hint = "follow moves rectangles, polygons and ellipses that were drawn; leave it out for gates placed by data"
    return [Problem("", path, "the gate is placed by data, not drawn", hint) for path in placed]
