"""Overrides put into the gates of a tube: what they reach is flagged, what is no longer known of it is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from immunolab.errors import InputError
from immunolab.events.tube import Tube
from immunolab.gating.borders import number
from immunolab.gating.changes.regate import BorderRecords, reflagged
from immunolab.gating.gates import Gate, Population
from immunolab.gating.imported_thresholds import imported_thresholds
from immunolab.gating.overrides.border_rows import border_rows
from immunolab.gating.overrides.flagging import reached_names, with_readers, with_stale
from immunolab.gating.overrides.moved_since import moved_since
from immunolab.gating.overrides.override import Override
from immunolab.gating.overrides.shown import shown_gate
from immunolab.gating.overrides.stated import Meant
from immunolab.gating.tube_gates import OverrideUse, Threshold, TubeGates
from immunolab.gating.validation import evaluable, gate_problems
from immunolab.schema.overrides import Status

CHANGED_FILE = "the tube's file has changed since (sha256): the reader saw other events"


def overridden(gates: TubeGates, overrides: Sequence[Override], tube: Tube, sha256: str = "") -> TubeGates:
    """Return a tube's gates with those that a reader placed, each in place of the automatic one.

    Gates below stay where they were placed. Populations whose gate is a reader's, and all that depend on them, are
    flagged; how far their share depends on gates, and what they count under other rules, is left out, for it is known
    of the automatic gates only. A population without a border has its number again.

    Parameters
    ----------
    gates
        Of the tube, placed or drawn.
    overrides
        Of this tube, in the order in which they were made; a later one of the same gate counts.
    tube
        Its channels; events are not looked at.
    sha256
        Of the tube's file now; "" asks nothing of it.

    Returns
    -------
    TubeGates
        ``overrides`` says what became of each; one that cannot be used is ``stale``, with the reason, and changes
        nothing but a flag.
    """
    if not overrides:
        return gates
    work = _Overriding(gates, tube, sha256 or tube.sha256)
    for one in overrides:
        work.apply(one)
    return work.result()


class _Overriding:
    """A tube's gates while its overrides are put in, one after the other."""

    def __init__(self, gates: TubeGates, tube: Tube, sha256: str) -> None:
        self._gates = gates
        self._tube = tube
        self._sha256 = sha256
        self._before = {p.path: p for p in gates.strategy.populations}
        self._now: dict[str, Gate | None] = {p.path: p.gate for p in gates.strategy.populations}
        self._meant = Meant(gates.strategy, tube)
        self._uses: list[OverrideUse] = []
        self._markers: list[frozenset[str] | None] = []  # of each use: the borders it moved, None for a whole gate

    def apply(self, one: Override) -> None:
        """Put in one override, or record why it is stale."""
        try:
            found = self._meant.gates(one, self._now)
        except InputError as error:
            problem = error.problems[0]
            text = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
            known = [p for p in self._before.values() if one.path in (p.path, p.name)]
            self._record(one, known[0] if len(known) == 1 else None, None, "stale", text)
            return
        changed = bool(one.file_sha256 and self._sha256 and one.file_sha256 != self._sha256)
        for path, gate in found.items():
            population = self._before[path]
            fault = CHANGED_FILE if changed else self._fault(path, gate)
            if fault:
                self._record(one, population, gate, "stale", fault)
                continue
            self._replace_earlier(path, one)
            self._now[path] = gate
            self._record(one, population, gate, "applied", moved_since(one.was, population.gate))

    def _fault(self, path: str, gate: Gate) -> str:
        """Return why a gate cannot be evaluated on the tube."""
        own = replace(self._before[path], path="/gate", gate=gate)
        strategy = replace(self._gates.strategy, populations=(own,))
        return next((f"{p.message}; {p.hint}" for p in gate_problems(strategy, self._tube)), "")

    def _replace_earlier(self, path: str, one: Override) -> None:
        markers = self._marker_names(one)
        for i, (use, earlier) in enumerate(zip(self._uses, self._markers, strict=True)):
            covered = markers is None or (earlier is not None and earlier <= markers)
            if use.path == path and covered and use.status != "replaced":
                self._uses[i] = replace(use, status="replaced", message=f"by the later override {one.id}")

    def _marker_names(self, one: Override) -> frozenset[str] | None:
        return None if one.gate is not None else frozenset(self._meant.same(border.marker) for border in one.borders)

    def _record(
        self, one: Override, population: Population | None, gate: Gate | None, status: Status, message: str
    ) -> None:
        self._markers.append(self._marker_names(one))
        use = replace(stale_use(one, message), status=status)
        if population is not None:
            use = replace(
                use,
                population=population.name,
                path=population.path,
                automatic=shown_gate(population.gate),
                override=use.override if gate is None else shown_gate(gate),
                parent=population.parent,
            )
        self._uses.append(use)

    def result(self) -> TubeGates:
        """Return the gates with every override that can be used."""
        used = {use.path for use in self._uses if use.status == "applied" and use.path}
        stale = {use.path for use in self._uses if use.status == "stale" and use.path} - used
        gates = replace(self._gates, overrides=tuple(self._uses))
        if not used:
            return replace(gates, strategy=with_stale(gates.strategy, stale))
        rows = self._rows()
        records = BorderRecords(rows, gates.strategy, self._tube, (), ())
        drawn = tuple(replace(one, gate=self._now[path]) for path, one in self._before.items())
        moved = replace(gates.strategy, populations=drawn)
        flagged = reflagged(moved, gates.strategy, used, {path: path for path in self._before}, records)
        strategy = with_stale(with_readers(flagged, used), stale)
        reached = reached_names(strategy)
        return replace(
            gates,
            strategy=strategy,
            automatic=gates.strategy,
            thresholds=border_rows(rows, strategy.populations, self._before, records, self._uses),
            spreads=tuple(one for one in gates.spreads if reached.isdisjoint((one.population, one.parent))),
            rule_counts=tuple(one for one in gates.rule_counts if reached.isdisjoint((one.population, one.parent))),
        )

    def _rows(self) -> tuple[Threshold, ...]:
        """Return the records of the automatic borders; of drawn gates those of their rectangles."""
        if self._gates.thresholds is not None:
            return self._gates.thresholds
        return imported_thresholds(evaluable(self._gates.strategy, self._tube)[0], self._tube)


def stale_use(one: Override, message: str) -> OverrideUse:
    """Return what is recorded of an override that no gate of a tube is meant by.

    Parameters
    ----------
    one
        The override.
    message
        Why it is not used.
    """
    stated = ", ".join(f"{border.marker} {_stated(border.at)}" for border in one.borders)
    return OverrideUse(
        sample_id=one.sample_id,
        population=one.path.rsplit("/", 1)[-1] or f"gates on {one.borders[0].marker}",
        path=None,
        id=one.id,
        change=one.change,
        status="stale",
        message=message or None,
        automatic=None,
        override=stated if one.gate is None else shown_gate(one.gate),
        parent=None,
        reason=one.reason,
        comment=one.comment or None,
        reader=one.reader,
        at=one.at or None,
        entry=one.entry or None,
    )


def _stated(at: Sequence[float | None]) -> str:
    if len(at) == 1:
        return f"at {number(at[0] or 0.0)}"
    low, high = ("open" if end is None else number(end) for end in at)
    return f"from {low} to {high}"
