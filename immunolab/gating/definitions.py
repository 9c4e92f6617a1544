"""Every published definition of a subset, gated beside the default one."""

from __future__ import annotations

from dataclasses import replace

from immunolab.gating.strategy import Boolean, Declared, Population, Strategy
from immunolab.gating.strategy_parser import cloud_of
from immunolab.vocabulary.phenotypes import spell_phenotype
from immunolab.vocabulary.populations import Definition, definitions


def with_all_definitions(strategy: Strategy) -> Strategy:
    """Return the strategy with one population more for each definition it does not follow yet.

    The population is named by the definition's id and is a child of the definition's parent. It is
    optional: a panel without its markers leaves it out. Definitions whose parent or excluded
    populations the strategy does not have are skipped.
    """
    paths = {p.name: p.path for p in strategy.populations}
    followed = {p.definition for p in strategy.populations}
    added: list[Population] = []
    for definition in definitions():
        known = {definition.parent, *definition.exclude} <= paths.keys()
        if known and definition.id not in followed and definition.id not in paths:
            added += _populations(definition, paths)
    optional = {**strategy.settings.get("optional", {}), **{p.path: "true" for p in added}}
    settings = {**strategy.settings, "optional": optional}
    return replace(strategy, populations=(*strategy.populations, *added), settings=settings)


def _populations(definition: Definition, paths: dict[str, str]) -> list[Population]:
    """Return the definition's population last, after the phenotypes it is put together from."""
    parent = paths[definition.parent]
    path = f"{parent}/{definition.id}"
    excluded = tuple(paths[name] for name in definition.exclude)
    gates = [_gate(conditions) for conditions in definition.phenotypes if conditions]
    if len(gates) == 1 and not excluded:
        return [Population(path, gates[0], definition.id)]
    parts = [
        Population(f"{parent}/{spell_phenotype(conditions)} of {definition.id}", gate)
        for conditions, gate in zip(definition.phenotypes, gates, strict=False)
    ]
    if len(parts) > 1 and excluded:
        either = Population(
            f"{path} before exclusion", Boolean("or", tuple(p.path for p in parts), (False,) * len(parts))
        )
        parts.append(either)
        members: tuple[str, ...] = (either.path,)
    else:
        members = tuple(p.path for p in parts)
    if len(members) > 1:
        return [*parts, Population(path, Boolean("or", members, (False,) * len(members)), definition.id)]
    operands = (*members, *excluded)
    if not operands:
        return [Population(path, None, definition.id)]
    complement = (False,) * len(members) + (True,) * len(excluded)
    return [*parts, Population(path, Boolean("and", operands, complement), definition.id)]


def _gate(conditions: tuple[tuple[str, str], ...]) -> Declared:
    cloud = cloud_of(conditions)
    return (
        Declared("diagonal", {"x": cloud[0], "y": cloud[1]}) if cloud else Declared("where", {"phenotype": conditions})
    )
