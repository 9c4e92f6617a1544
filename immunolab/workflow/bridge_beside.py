"""Step: gates that data place beside drawn ones, for checking the bridging controls alone.

Drawn gates do not know where they would be without the bridge; gates that data place do. So where gates are drawn, the
shares that the shipped strategy has under the same names are counted by its gates twice, with each tube's own borders
and with those that follow the bridge, and a bridge on which the two disagree is not believed for that share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from immunolab.gating.following.bridge import BridgeMoves, BridgeRefused, followed
from immunolab.gating.following.channel_move import ENOUGH
from immunolab.gating.gate_source import BUILTIN, read_gates
from immunolab.gating.same_populations import matched_paths
from immunolab.gating.strategy import Strategy
from immunolab.gating.tube_gates import RuleCount, TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.schema.bridges import DATA_GATES, DATA_GATES_FOLLOW
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.bridge_places import PanelPlaces
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.place import FitJob, fit_jobs
from immunolab.workflow.read_tube import Prepared
from immunolab.workflow.scales import scaled_panels
from immunolab.workflow.store import Store

Share = tuple[str, str]
"""A population and its denominator."""


def follows(study: Study) -> bool:
    """Return whether borders of a study follow bridging controls, so that drawn gates are checked by others.

    Parameters
    ----------
    study
        Names its bridging controls and what is done with them.
    """
    return study.quality.bridge == "follow" and bool(study.bridges)


def beside_jobs(
    study: Study,
    panels: Mapping[str, PanelGates],
    prepared: Mapping[str, Prepared],
    pairs: tuple[Share, ...],
    store: Store,
    seed: int,
) -> list[tuple[tuple[str, ...], FitJob]]:
    """Return the sets of tubes, of panels with drawn gates, on which data place those of the shipped strategy.

    Parameters
    ----------
    study, panels, prepared, pairs, store, seed
        As in `immunolab.workflow.place.fit_jobs`; a study whose borders follow nothing has none.
    """
    if not follows(study):
        return []
    drawn = {name: panel for name, panel in panels.items() if not panel.gates.needs_fit}
    others = {name: replace(panel, gates=read_gates(BUILTIN).of(panel.gates.specimen)) for name, panel in drawn.items()}
    jobs = fit_jobs(study, scaled_panels(study, others, prepared), prepared, pairs, store, seed, resample=False)
    return [job for _, job in jobs]


def anchor_of(places: PanelPlaces, sample: Sample, order: Sequence[str]) -> str:
    """Return the batch that the borders of a patient, placed by data, follow from: the reference, or most tubes'.

    Parameters
    ----------
    places
        Of the panel.
    sample
        A tube of the patient.
    order
        Batches in run order.
    """
    own = Counter(s.batch for s in places.patients if s.patient_id == sample.patient_id)
    if places.study.quality.reference in own:
        return str(places.study.quality.reference)
    return min(own, key=lambda batch: (-own[batch], order.index(batch)))


@dataclass
class Beside:
    """Gates that data placed on the tubes of a panel whose own gates are drawn.

    Attributes
    ----------
    places
        The panel's bridging controls and patients' tubes, with these gates.
    order
        Batches in run order.
    shares
        Share of the drawn gates -> the same of these.
    trusted
        Tubes of bridging controls that borders follow, by sample_id: what is said of others is no word on these.
    """

    places: PanelPlaces
    order: Sequence[str]
    shares: Mapping[Share, Share]
    trusted: Collection[str]
    _found: dict[tuple[str, str], BridgeMoves | None] = field(default_factory=dict)

    def counts(self, sample: Sample) -> tuple[RuleCount, ...]:
        """Return what a tube counts with its own borders, and with those that follow the bridge from another batch.

        Parameters
        ----------
        sample
            A tube of a patient; nothing is returned where no bridge or no gate leads to it.
        """
        if sample.sample_id not in self.places.gates or not self.shares:
            return ()
        first, own = anchor_of(self.places, sample, self.order), self.places.gates[sample.sample_id].strategy
        carried = own if first == sample.batch else self._carried(sample, first)
        if carried is None:
            return ()
        return (
            *self._counted(DATA_GATES, sample, own),
            *self._counted(DATA_GATES_FOLLOW, sample, carried),
        )

    def _carried(self, sample: Sample, first: str) -> Strategy | None:
        tubes = [s for s in self.places.patients if s.batch == first and s.patient_id == sample.patient_id]
        moves = self._moves(first, sample.batch)
        if not tubes or moves is None:
            return None
        there, own = (self.places.gates[s.sample_id].strategy for s in (tubes[0], sample))
        try:
            return followed(there, own, moves)
        except BridgeRefused:
            return None

    def _moves(self, first: str, second: str) -> BridgeMoves | None:
        if (first, second) not in self._found:
            known = [s for s in self.places.bridges if s.sample_id in self.trusted]
            before, after = ({s.bridge: s for s in known if s.batch == b} for b in (first, second))
            name = min((material for material in before if material in after), default="")
            self._found[first, second] = self._moves_by(before[name], after[name]) if name else None
        return self._found[first, second]

    def _moves_by(self, before: Sample, after: Sample) -> BridgeMoves | None:
        tubes = self.places.of_bridges[before.sample_id], self.places.of_bridges[after.sample_id]
        return BridgeMoves(*tubes) if min(one.tube.n_events for one in tubes) >= ENOUGH else None

    def _counted(self, rule: str, sample: Sample, strategy: Strategy) -> list[RuleCount]:
        gated = gate_tube(self.places.tube(sample), TubeGates(strategy))
        sizes = {name: int(mask.sum()) for name, mask in gated.named_masks.items()}
        known = {mine: other for mine, other in self.shares.items() if sizes.keys() >= set(other)}
        joint = gated.joint_counts(tuple(known.values()))
        return [
            RuleCount(rule, *mine, joint[other], sizes[other[1]])
            for mine, other in known.items()
            if other in joint and not any(gated.is_withheld(name) for name in other)
        ]


def beside_of(
    drawn: PanelPlaces,
    placed: Mapping[str, TubeGates],
    pairs: Sequence[Share],
    order: Sequence[str],
    trusted: Collection[str],
) -> Beside | None:
    """Return the gates beside those of a panel; None where data placed none.

    Parameters
    ----------
    drawn
        The panel's tubes with its own gates.
    placed
        Gates that data placed, by sample_id.
    pairs
        Shares that are counted, as the drawn gates name them.
    order
        Batches in run order.
    trusted
        Tubes of bridging controls that borders follow.
    """
    places = replace(drawn, gates=placed)
    names = [s.sample_id for s in drawn.patients if s.sample_id in placed]
    if not names:
        return None
    mine, others = ([p.path for p in one.gates[names[0]].strategy.populations] for one in (drawn, places))
    same = {own.rsplit("/", 1)[-1]: other.rsplit("/", 1)[-1] for own, other in matched_paths(mine, others, {})}
    shares = {(a, b): (same[a], same[b]) for a, b in pairs if a in same and b in same}
    return Beside(places, order, shares, trusted)
