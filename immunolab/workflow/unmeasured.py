"""Endpoints that will have no row, and why: what the panels cannot gate and the tables do not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from immunolab.errors import ImmunolabError, nearest
from immunolab.events.tube import Tube
from immunolab.gating.panel_compatibility import lacking_markers
from immunolab.gating.strategy import Strategy
from immunolab.gating.strategy_file import builtin_names, builtin_strategy
from immunolab.study.endpoints import Assay, Endpoint, StimulatedMinusUnstimulated
from immunolab.study.rows import UNSTIMULATED
from immunolab.study.sheet import Study
from immunolab.study.trial import Trial
from immunolab.vocabulary.phenotypes import spell_phenotype
from immunolab.vocabulary.populations import definitions, populations
from immunolab.workflow.clinic import ClinicSources
from immunolab.workflow.panels import PanelGates, read_channels

_COUNT, _BEADS = "lymphocytes_per_ul", "beads_per_tube"
_STIMULATED = "a stimulated tube (column stimulation)"


@dataclass(frozen=True)
class GatedNames:
    """What the panel of a tube lets its strategy gate.

    Attributes
    ----------
    names
        Populations that are gated.
    lacking
        Population that is not -> the markers that the panel lacks.
    markers
        Markers of the panel.
    """

    names: frozenset[str] = frozenset()
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    markers: frozenset[str] = frozenset()

    @classmethod
    def of(cls, strategy: Strategy, tube: Tube) -> Self:
        """Return what a strategy gates in a tube of these channels.

        Parameters
        ----------
        strategy
            Its gates are placed by data.
        tube
            Its channels count; it may hold no event.

        Raises
        ------
        GatingError
            The panel lacks markers that required populations need.
        """
        lacking = {path.rsplit("/", 1)[1]: names for path, names in lacking_markers(strategy, tube).items()}
        markers = frozenset(channel.marker for channel in tube.channels if channel.marker)
        return cls(frozenset(p.name for p in strategy.populations) - lacking.keys(), lacking, markers)

    @classmethod
    def declared(cls, strategy: Strategy | None) -> Self:
        """Return all populations of a strategy, where the panel is not known or the gates are drawn."""
        return cls(frozenset(p.name for p in strategy.populations) if strategy else frozenset())


@dataclass(frozen=True)
class Unmeasured:
    """What keeps endpoints from a row.

    Attributes
    ----------
    never
        A sentence on the endpoints that have none at all; "" without one.
    partly
        A sentence on those that have none at some visits; "" without one.
    lacking
        Population that an endpoint needs -> the markers that the panel lacks for it, in words.
    """

    never: str = ""
    partly: str = ""
    lacking: Mapping[str, str] = field(default_factory=dict)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Both sentences, without empty ones."""
        return tuple(filter(None, (self.never, self.partly)))


def unmeasured(
    endpoints: Iterable[Endpoint],
    study: Study,
    panels: Mapping[str, PanelGates],
    clinic: ClinicSources | None,
    gated: Mapping[str, GatedNames],
) -> Unmeasured:
    """Return which endpoints have no row, at all or at some visits, each with what is missing.

    Parameters
    ----------
    endpoints
        Those asked for.
    study, panels, clinic
        The study, its gates, and the tables of its clinic.
    gated
        sample_id -> what is gated in it; every sample of flow but controls.
    """
    never: dict[str, list[str]] = {}
    partly: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    for endpoint in endpoints:
        needed, there = _source_of(endpoint, study, panels, clinic, gated)
        lacking = sorted(needed - there)
        for one in lacking:
            never.setdefault(_why(one, there, gated), []).append(endpoint.id)
            if reason := _panel_lacks(one, gated):
                reasons[one] = reason
        if endpoint.counted and needed and not lacking:
            for words in _gaps(endpoint, study, gated):
                partly.setdefault(words, []).append(endpoint.id)
    absent = "; ".join(f"{why} for {', '.join(names)}" for why, names in never.items())
    gaps = "; ".join(f"{', '.join(names)} {why}" for why, names in partly.items())
    return Unmeasured(
        f"needed by an endpoint and not measured in this study: {absent}" if absent else "",
        f"not measured at every visit: {gaps}" if gaps else "",
        reasons,
    )


def _panel_lacks(name: str, gated: Mapping[str, GatedNames]) -> str:
    """Return which markers the panel lacks for a population, and which definition it has them for; "" elsewhere."""
    own = next((one for one in gated.values() if name in one.lacking), None)
    if own is None:
        return ""
    other = _other_definition(name, own.markers)
    return f"the panel lacks {', '.join(own.lacking[name])}{'; ' if other else ''}{other}"


def _why(name: str, there: set[str], gated: Mapping[str, GatedNames]) -> str:
    if lacks := _panel_lacks(name, gated):
        return f"'{name}' ({lacks})"
    if name in populations():
        return f"'{name}' (no panel's gates have it)"
    meant = "" if name == _COUNT else nearest(name, there)
    return f"'{name}'" + (f" ({meant})" if meant else "")


def _other_definition(name: str, markers: frozenset[str]) -> str:
    """Return, in words, a population of the same subset that the panel's markers define; "" without one."""
    known = {definition.id: definition for definition in definitions()}
    mine = known.get(populations()[name].definition) if name in populations() else None
    for other in populations().values():
        found = known.get(other.definition)
        if mine and found and found != mine and found.subset == mine.subset and set(found.required) <= markers:
            where = [one for one in builtin_names() if other.id in {p.name for p in builtin_strategy(one).populations}]
            strategy = f", as in the strategy {where[0]}" if where else ""
            return f"{spell_phenotype(found.phenotypes[0])} defines {other.id}{strategy}"
    return ""


def panel_names(study: Study, panels: Mapping[str, PanelGates]) -> dict[str, GatedNames]:
    """Return what is gated in every tube of a study, from the headers; files that cannot be read are left out.

    Parameters
    ----------
    study, panels
        The study, and its gates by panel name.
    """
    found = {}
    for sample in study.samples:
        panel = panels.get(sample.panel)
        if panel is None or not sample.gated:
            continue
        try:
            tube = read_channels(sample.file, panel)
            gates = panel.gates.for_file(sample.file.name, tube.keywords)
            one = GatedNames.of(gates.strategy, tube) if gates.needs_placing else GatedNames.declared(gates.strategy)
        except ImmunolabError:
            continue  # the sample fails by name when it is read or gated
        found[sample.sample_id] = one
    return found


def _gaps(endpoint: Endpoint, study: Study, gated: Mapping[str, GatedNames]) -> Iterator[str]:
    """Yield at how many visits of patients no tube holds all populations of an endpoint, and what is missing there."""
    visits: dict[tuple[str, str], list[GatedNames]] = {}
    for sample in study.samples:
        if sample.sample_id in gated:
            visits.setdefault((sample.patient_id, sample.visit), []).append(gated[sample.sample_id])
    needed = {name for name in endpoint.needs.populations if name != "root"}
    without = [tubes for tubes in visits.values() if not any(needed <= one.names for one in tubes)]
    if without:
        lost = {name for tubes in without for one in tubes for name in needed & one.lacking.keys()}
        words = sorted(
            {marker for tubes in without for one in tubes for n in lost for marker in one.lacking.get(n, ())}
        )
        missing = f" (the panel lacks {', '.join(words)})" if words else ""
        yield f"at {len(without)} of {len(visits)} visits of patients{missing}"


def _source_of(
    endpoint: Endpoint,
    study: Study,
    panels: Mapping[str, PanelGates],
    clinic: ClinicSources | None,
    gated: Mapping[str, GatedNames],
) -> tuple[set[str], set[str]]:
    """Return the names an endpoint needs, and those there are of their kind."""
    needs = endpoint.needs
    of_cells = any(s.modality == "single_cell" for s in study.samples)
    if of_cells and isinstance(endpoint, Assay) and endpoint.population:
        return set(), set()  # the cells answer it, or say why they do not
    if endpoint.counted:
        drawn = [panel.gates.declared is None for panel in panels.values()]
        if any(drawn) or of_cells:
            return set(), set()  # names of imported gates and of cells are matched when they are read
        needed = {*needs.populations, *([_COUNT] if needs.blood_count else [])}
        needed |= {_BEADS} if needs.beads else set()
        made = {name for one in gated.values() for name in one.names}
        if isinstance(endpoint, StimulatedMinusUnstimulated):
            needed.add(endpoint.stimulation or _STIMULATED)
            stimuli = {sample.stimulation for sample in study.samples} - {"", UNSTIMULATED}
            made |= stimuli | ({_STIMULATED} if stimuli else set())
        counted = any(sample.lymphocytes_per_ul for sample in study.samples)
        beads = any(sample.beads_per_tube for sample in study.samples)
        return needed, made | {"root"} | ({_COUNT} if counted else set()) | ({_BEADS} if beads else set())
    outcomes = clinic.happened.get("outcomes") if clinic else None
    if needs.outcomes:
        return set(needs.outcomes), set() if outcomes is None else set(map(str, outcomes["endpoint"]))
    held = {str(name) for name in (*clinic.measurements["variable"], *clinic.scores["score"])} if clinic else set()
    if needs.assays:  # under the assay's name, that of its parts, or the endpoint's
        names = {endpoint.id} if endpoint.id in held else set(needs.assays)
        return names, held | {variable.partition(".")[0] for variable in held}
    return {*needs.scores, *needs.variables}, held


def unknown_populations(trial: Trial) -> tuple[str, ...]:
    """Return a note on each population that a trial asks for and no built-in gates have; gates of the lab's own may.

    Parameters
    ----------
    trial
        A design.
    """
    there = {p.name for name in builtin_names() for p in builtin_strategy(name).populations} | set(populations())
    asked: dict[str, list[str]] = {}
    for endpoint in trial.expanded_endpoints():
        for name in endpoint.needs.populations:
            if name not in there:
                asked.setdefault(name, []).append(endpoint.id)
    return tuple(
        f"no built-in gates have '{name}'{f' ({meant})' if (meant := nearest(name, there)) else ''}, which "
        f"{', '.join(ids)} need{'s' if len(ids) == 1 else ''}: only gates of your own can have it"
        for name, ids in asked.items()
    )
