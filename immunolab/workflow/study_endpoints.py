"""Which endpoints a study compares, from its trial and its gates; no event is read."""

from __future__ import annotations

from collections.abc import Mapping

from immunolab.errors import ImmunolabError
from immunolab.gating.panel_compatibility import arrange
from immunolab.quantify import with_companions
from immunolab.study.endpoints import Endpoint, PercentOfParent
from immunolab.study.sheet import Study
from immunolab.workflow.panels import PanelGates, read_channels

# gates of the built-in strategies that clean a tube or lead to subsets: no answer about a patient
_ON_THE_WAY = frozenset(
    [
        "singlets",
        "viable",
        "leukocytes",
        "small_and_blasts",
        "small",
        "T_any_size",
        "lymphocytes",
        "not_T",
        "mem_conv",
        "helper",
    ]
)
_FIRST = ("Treg", "Th17", "Tfh", "Teff", "Th")  # beginnings of the names that are reported first, in this order


def study_endpoints(study: Study, panels: Mapping[str, PanelGates]) -> tuple[Endpoint, ...]:
    """Return what the study compares, one denominator each.

    A study without a trial whose gates hold none of the default subsets compares every population but those that lead
    to others, as percent of its parent: regulatory and helper T cells first.

    Parameters
    ----------
    study
        The study as read.
    panels
        Gates by panel name.
    """
    known = _population_names(study, panels)
    endpoints = study.endpoints
    if study.trial is None and known and not any(known.keys() & set(e.needs.populations[:1]) for e in endpoints):
        subsets = sorted((name for name in known if known[name] != "root" and name not in _ON_THE_WAY), key=_place)
        endpoints = tuple(_percent_of_parent(name, known[name]) for name in subsets)
    absolute = any(s.lymphocytes_per_ul is not None for s in study.samples)
    beads = any(s.beads_per_tube is not None for s in study.samples)
    return with_companions(endpoints, absolute=absolute, beads=beads)


def _place(name: str) -> int:
    """Return where a population is reported: the sooner, the lower; others as the gates have them."""
    return next((i for i, first in enumerate(_FIRST) if name.startswith(first)), len(_FIRST))


def _population_names(study: Study, panels: Mapping[str, PanelGates]) -> dict[str, str]:
    names: dict[str, str] = {}
    for sample in study.samples:
        panel = panels.get(sample.panel)
        if panel is None or sample.control_of:
            continue
        try:
            tube = read_channels(sample.file, panel)
            gates = panel.gates.for_file(sample.file.name, tube.keywords)
            strategy = arrange(gates.strategy, tube) if gates.needs_placing else gates.strategy
        except ImmunolabError:
            continue  # the sample fails by name when its gates are needed
        names |= {p.name: p.parent for p in strategy.populations}
        if panel.gates.declared is not None and len(panels) == 1:
            break
    return names


def _percent_of_parent(name: str, parent: str) -> Endpoint:
    return PercentOfParent(
        id=f"{name}_pct_{parent}",
        source="every population of the gating strategy",
        role="exploratory",
        population=name,
        parent=parent,
    )
