"""Which endpoints a study compares, from its trial and its gates; no event is read."""

from __future__ import annotations

from collections.abc import Mapping

from immunolab.errors import ImmunolabError
from immunolab.gating.panel_compatibility import arrange
from immunolab.quantify import with_companions
from immunolab.study.endpoints import Endpoint, PercentOfParent
from immunolab.study.sheet import Study
from immunolab.workflow.panels import PanelGates, read_channels


def study_endpoints(study: Study, panels: Mapping[str, PanelGates]) -> tuple[Endpoint, ...]:
    """Return what the study compares, one denominator each.

    A study without a trial whose gates hold none of the default subsets compares every population
    as percent of its parent.

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
        endpoints = tuple(_percent_of_parent(name, parent) for name, parent in known.items() if parent != "root")
    absolute = any(s.lymphocytes_per_ul is not None for s in study.samples)
    beads = any(s.beads_per_tube is not None for s in study.samples)
    return with_companions(endpoints, absolute=absolute, beads=beads)


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
