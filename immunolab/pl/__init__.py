"""Figures of the face: each takes what the other functions of `immunolab` return, and gives matplotlib Axes back.

``ax=None`` makes a new figure, which a notebook shows by itself. Axes of events are in instrument units on a display
scale, so that ``ax.axvline(3000)`` is at 3,000. Each name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from immunolab.pl.bridges import levey_jennings
    from immunolab.pl.channels import histogram, scatter
    from immunolab.pl.gating import gate, gates, tree
    from immunolab.pl.genes import volcano
    from immunolab.pl.groups import profiles, umap
    from immunolab.pl.outcomes import course, forest, paired, patient
    from immunolab.pl.run_course import steadiness
    from immunolab.pl.series import ridges
    from immunolab.pl.spill import compensation

_VERBS = {
    "scatter": "channels",
    "histogram": "channels",
    "ridges": "series",
    "compensation": "spill",
    "steadiness": "run_course",
    "gate": "gating",
    "gates": "gating",
    "tree": "gating",
    "umap": "groups",
    "profiles": "groups",
    "paired": "outcomes",
    "forest": "outcomes",
    "course": "outcomes",
    "patient": "outcomes",
    "volcano": "genes",
    "levey_jennings": "bridges",
}

__all__ = [
    "compensation",
    "course",
    "forest",
    "gate",
    "gates",
    "histogram",
    "levey_jennings",
    "paired",
    "patient",
    "profiles",
    "ridges",
    "scatter",
    "steadiness",
    "tree",
    "umap",
    "volcano",
]


def __getattr__(name: str) -> Any:
    if name not in _VERBS:
        from immunolab.errors import nearest

        hint = nearest(name, __all__)
        raise AttributeError(f"immunolab.pl has no figure '{name}'; {hint or 'it has: ' + ', '.join(__all__)}")
    return getattr(import_module(f"immunolab.pl.{_VERBS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
