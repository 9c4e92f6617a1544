"""Clinical scores, one module a score.

Every module of this package with a constant ``SCORE`` (a `ScoreMethod`) is registered under the score's name. Scores
that add up items are not written in Python: each is a YAML file in ``scales/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from immunolab.clinical.scores.method import Criterion, ScoreMethod

__all__ = ["criteria", "levels", "score_methods"]


@lru_cache(maxsize=1)
def score_methods() -> Mapping[str, ScoreMethod]:
    """Return every registered score by name, a score after the one it follows."""
    modules = (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    found = [module.SCORE for module in modules if hasattr(module, "SCORE")]
    ordered = sorted(found, key=lambda method: bool(method.follows))
    return MappingProxyType({method.name: method for method in ordered})


def criteria(score: str) -> tuple[Criterion, ...]:
    """Return what a responder by a score must reach, least demanding first; none for a score without responders.

    Parameters
    ----------
    score
        Its name.
    """
    method = score_methods().get(score)
    return method.criteria if method else ()


def levels(name: str) -> tuple[tuple[float, str], ...]:
    """Return the values of a score or variable that a rule turns on, each with its meaning; none for most.

    Parameters
    ----------
    name
        Of the score or variable.
    """
    tables = (method.levels or {} for method in score_methods().values())
    return tuple(level for table in tables for level in table.get(name, ()))
