"""Populations in markers, as HIPC and ImmPort write them: ``CD3+CD4+CD8-CD25hiCD127lo``."""

from __future__ import annotations

from immunolab.results.run import Run
from immunolab.vocabulary.phenotypes import parse_phenotype, spell_phenotype
from immunolab.vocabulary.populations import definition, definitions


def population_strings(run: Run) -> dict[str, str]:
    """Return the definition of each population in markers, by path; empty where the tree names no marker.

    Each population has the markers of its own definition after those of the populations that it is cut from; where both
    name a marker, its own counts. What is taken out by a boolean gate is written as ``not Treg``.

    Parameters
    ----------
    run
        The finished run.
    """
    rows = run.counts.drop_duplicates("path")
    defined = dict(zip(rows["path"].astype(str), rows["definition"].fillna("").astype(str), strict=True))
    return {path: definition_string(path, defined) for path in defined if path != "/"}


def definition_string(path: str, defined: dict[str, str]) -> str:
    """Return the definition of one population in markers.

    Parameters
    ----------
    path
        Of the population.
    defined
        Id of the published definition of every path.
    """
    known = {one.id for one in definitions()}
    levels: dict[str, str] = {}
    without: list[str] = []
    steps = path.strip("/").split("/")
    for depth in range(1, len(steps) + 1):
        name = defined.get("/" + "/".join(steps[:depth]), "")
        if name not in known:
            continue
        one = definition(name)
        if one.phenotype and " or " not in one.phenotype:
            for condition in parse_phenotype(one.phenotype):
                levels.pop(condition.marker, None)
                levels[condition.marker] = spell_phenotype([condition])
        without += [f" not {other}" for other in one.exclude]
    return "".join(levels.values()) + "".join(dict.fromkeys(without))
