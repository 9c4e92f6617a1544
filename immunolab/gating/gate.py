"""`immunolab.gate`: one tube, or several that share borders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from immunolab.errors import InputError, Problem, unknown_words
from immunolab.events.tube import Tube
from immunolab.gating.gate_source import Gates, named_strategy, read_gates
from immunolab.gating.placement.fit import fit
from immunolab.gating.placement.rules import SCOPES, Scope
from immunolab.gating.placement.scales import measure_scales
from immunolab.gating.strategy import Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import GatedTube, gate_tube
from immunolab.progress import phases, progress
from immunolab.schema.gating import Specimen

Follow = bool | Tube | Sequence[Tube]


@overload
def gate(
    tubes: Tube,
    strategy: Strategy | Path | str,
    *,
    share: Scope | None = None,
    patients: Mapping[str, str] | None = None,
    batches: Mapping[str, str] | None = None,
    controls: Mapping[tuple[str, str], Tube] | None = None,
    specimen: Specimen | None = None,
    follow: Follow = False,
    seed: int = 0,
    quiet: bool = False,
) -> GatedTube: ...


@overload
def gate(
    tubes: Sequence[Tube],
    strategy: Strategy | Path | str,
    *,
    share: Scope | None = None,
    patients: Mapping[str, str] | None = None,
    batches: Mapping[str, str] | None = None,
    controls: Mapping[tuple[str, str], Tube] | None = None,
    specimen: Specimen | None = None,
    follow: Follow = False,
    seed: int = 0,
    quiet: bool = False,
) -> list[GatedTube]: ...


def gate(
    tubes: Tube | Sequence[Tube],
    strategy: Strategy | Path | str,
    *,
    share: Scope | None = None,
    patients: Mapping[str, str] | None = None,
    batches: Mapping[str, str] | None = None,
    controls: Mapping[tuple[str, str], Tube] | None = None,
    specimen: Specimen | None = None,
    follow: Follow = False,
    seed: int = 0,
    quiet: bool = False,
) -> GatedTube | list[GatedTube]:
    """Gate a tube, or several tubes that share the borders which data place.

    Parameters
    ----------
    tubes
        One tube, or several with different ``sample_id``; a tube without one is named by its file.
    strategy
        A `Strategy`, a FlowKit GatingStrategy, the name of a shipped strategy, or a file: ``.yaml``, FlowJo
        ``.wsp``, Gating-ML ``.xml``.
    share
        Which tubes share a border: each ``sample`` alone, a ``patient``'s tubes within a batch, a ``batch``, or
        the whole ``study``. None leaves it to the rules of the strategy. Gates that were drawn are not moved
        without `follow`.
    patients, batches
        The patient and the batch of each sample_id. A sample not named is its own patient, in one common batch.
    controls
        (batch, marker) to the tube stained without that marker's dye; the marker "" is an unstained tube.
    specimen
        What the tubes hold: ``blood`` is adult human blood, whose shares of each population are bounded; ``other`` is
        anything else (mouse, tissue, sorted cells), where none is. None leaves it to the strategy.
    follow
        Carry drawn gates: from the tube given, or from each of several, to the others. True: from the tubes that the
        workspace names. Gates follow the position of the clouds, not how many cells are in them, and tubes of one scope
        (`share`, by default a patient's tubes within a batch) share a move. False: gates stay where they were drawn.
    seed
        Of placing: the same seed and tubes give the same gates.
    quiet
        Show no progress of several tubes.

    Returns
    -------
    GatedTube or list of GatedTube
        A `GatedTube`, or a list of them in the order of the tubes. Gates that a tube cannot answer are in
        ``left_out``.

    Raises
    ------
    InputError
        Something given is not a tube, the strategy cannot be read, `share` or `specimen` is unknown, or patients or
        batches name samples that are not there.
    GatingError
        A required marker is missing, no gate can be evaluated, or two tubes share a sample_id.

    Examples
    --------
    >>> tube = il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs")
    >>> gated = il.gate(tube, "treg_th17_tfh_teff")
    >>> round(gated.percent("Treg", of="CD4"), 1)
    4.8
    >>> len(gated["Treg"])
    66

    Two visits of one patient, with the same borders:

    >>> names = ("SLE001_W0", "SLE001_W10")
    >>> tubes = [il.read_fcs(f"sample_data/sle/fcs/{name}.fcs") for name in names]
    >>> both = il.gate(tubes, "treg_th17_tfh_teff", share="patient", patients=dict.fromkeys(names, "SLE001"))
    >>> [round(one.percent("CD4", of="CD3")) for one in both]
    [64, 62]
    """
    named = [_named(tube) for tube in _tubes(tubes)]
    _check_choices(share, [tube.sample_id for tube in named], {"patients": patients or {}, "batches": batches or {}})
    source = _source(strategy).of(specimen)
    if source.declared is not None:
        source = replace(source, declared=measure_scales(source.declared, named, batches))
    groups = _groups(named, patients or {}, batches or {})
    if follow is not False:
        gates = _followed(source, named, follow, share or "patient", groups, seed)
    elif source.declared is not None and source.needs_fit:
        with phases("placing gates", ("on all tubes",), quiet=quiet or isinstance(tubes, Tube)):
            fitted = fit(source.declared, named, controls=controls, groups=groups, seed=seed, share=share)
        gates = [fitted.gates_of(tube.sample_id) for tube in named]
    else:
        gates = [source.for_file(tube.file, tube.keywords) for tube in named]
    pairs = list(zip(named, gates, strict=True))
    bar = progress(pairs, len(pairs), "gating", quiet=quiet or isinstance(tubes, Tube))
    gated = [gate_tube(tube, placed, seed=seed) for tube, placed in bar]
    return gated[0] if isinstance(tubes, Tube) else gated


def _groups(
    tubes: Sequence[Tube], patients: Mapping[str, str], batches: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    return {
        tube.sample_id: {
            "patient": patients.get(tube.sample_id, tube.sample_id),
            "batch": batches.get(tube.sample_id, ""),
        }
        for tube in tubes
    }


def _followed(
    source: Gates,
    tubes: Sequence[Tube],
    follow: Follow,
    share: Scope,
    groups: Mapping[str, Mapping[str, str]],
    seed: int,
) -> list[TubeGates]:
    from immunolab.gating.following.follow import follow as carry
    from immunolab.gating.following.templates import choose_templates, own_strategies, templates_of

    named = [] if isinstance(follow, bool) else [_named(tube) for tube in _tubes(follow)]
    templates = templates_of(source, choose_templates(source, tubes, named))
    carried = carry(templates, tubes, own=own_strategies(source, tubes), groups=groups, share=share, seed=seed)
    return [carried.gates_of(tube.sample_id) for tube in tubes]


def _tubes(given: Any) -> list[Tube]:
    """Return what was given as a list of tubes; a file's name is the likely slip."""
    single = isinstance(given, Tube | str | Path) or not isinstance(given, Iterable)
    several: list[Any] = [given] if single else list(given)
    others = [item for item in several if not isinstance(item, Tube)]
    if not several:
        hint = "no file was found? look at the pattern that names them, and read each with read_fcs(file)"
        raise InputError(Problem("", "tubes", "there is no tube", hint))
    if others:
        hint = "read the files first: gate(immunolab.read_fcs(file), strategy)"
        raise InputError([Problem("", "tubes", f"{str(item)[:80]!r} is not a tube", hint) for item in others])
    return several


def _source(strategy: Any) -> Gates:
    if isinstance(strategy, Strategy):
        return Gates(strategy)
    if isinstance(strategy, Path | str):
        return read_gates(named_strategy(strategy))
    if type(strategy).__module__.partition(".")[0] == "flowkit":
        from immunolab.gating.exchange.from_flowkit import from_flowkit

        read = from_flowkit(strategy)
        if isinstance(read, Strategy):
            return Gates(read)
    hint = "give a Strategy, a FlowKit GatingStrategy, the name of a shipped strategy, or a .yaml, .wsp or .xml file"
    raise InputError(Problem("", "strategy", f"{type(strategy).__name__} is not a gating strategy", hint))


def _named(tube: Tube) -> Tube:
    return tube if tube.sample_id else replace(tube, sample_id=Path(tube.file).stem or "tube")


def _check_choices(share: str | None, names: Sequence[str], given: Mapping[str, Mapping[str, str]]) -> None:
    problems = [
        Problem("", key, f"there is no tube '{name}'", f"the tubes are: {', '.join(names)}")
        for key, mapping in given.items()
        for name in mapping
        if name not in names
    ]
    if share is not None:
        problems += unknown_words(share=(share, SCOPES))
    if problems:
        raise InputError(problems)
