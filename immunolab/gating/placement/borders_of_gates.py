"""Placing one border in a pool of tubes: the control order, its fallbacks, and the interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from immunolab.errors import GatingError
from immunolab.events.transforms import Asinh, Identity, Linear, Transform
from immunolab.gating.method_registry import Array, Control, Cut, method
from immunolab.gating.placement.borders import Corner, diagonal, diagonal_draws
from immunolab.gating.placement.rules import AUTO, CONTROL_ORDER, DENSITY, Border, Rule
from immunolab.gating.placement.thresholds import ENOUGH_EVENTS, valley
from immunolab.gating.placement.tube_state import TubePool

RESAMPLES = 24
_LARGEST_RESAMPLE = 4000
_DISAGREE = 2.0
_STEADY_COFACTOR, _STEADY_TOP, _STEP = 150.0, 262144.0, 1e-3
_QUIET = ("no_fmo", "no_unstained")


@dataclass(frozen=True)
class Placed:
    """One border: its value, what it rests on, its interval, and resampled values.

    ``draws`` vary with the events drawn; ``spread`` is the standard deviation of the events the
    border holds off, on the display scale.
    """

    marker: str
    value: float
    method: str
    control: Control
    ci_low: float
    ci_high: float
    flags: tuple[str, ...]
    reason: str
    spread: float
    draws: Array

    @property
    def loud_flags(self) -> tuple[str, ...]:
        """Flags that qualify the population, not only the border's choice of control."""
        return tuple(flag for flag in self.flags if flag not in _QUIET)


@dataclass(frozen=True)
class _Attempt:
    cut: Cut
    control: Control
    method: str
    draws: Array
    source: str


def place_border(
    pool: TubePool, parent: str, marker: str, border: Border, rule: Rule, rng: np.random.Generator | None
) -> Placed:
    """Place one border of a marker among a parent's events.

    Tries the rule's method, or the control order for ``auto``; a method that finds no border, or
    has too few events, gives way to the next, and the flags say so.
    """
    notes: list[str] = []
    flags: list[str] = []
    weak: _Attempt | None = None
    for attempt in _attempts(pool, parent, marker, border, rule, rng, notes, flags):
        flags += [flag for flag in attempt.cut.flags if flag not in flags]
        if np.isnan(attempt.cut.value):
            continue
        if "too_few_events" in attempt.cut.flags and weak is None:
            weak = attempt
            continue
        return _placed(pool, parent, marker, attempt, flags, notes)
    if weak is None:
        nothing = _Attempt(Cut(np.nan), "fixed", "none", np.empty(0), "no border could be placed")
        return _placed(pool, parent, marker, nothing, [*flags, "no_border"], notes)
    return _placed(pool, parent, marker, weak, flags, notes)


def place_corner(
    pool: TubePool, parent: str, x: str, y: str, of: str, options: dict[str, object], rng: np.random.Generator | None
) -> tuple[Corner, tuple[Placed, Placed]]:
    """Place the border of the cloud in the corner of two channels; see `borders.diagonal`."""
    values = pool.values(x, parent), pool.values(y, parent)
    found = pool.reference((x, y), of or "CD4_naive", parent)
    reference = (found[0], found[1]) if found is not None else None
    corner = diagonal(*values, reference, **options)  # type: ignore[arg-type]
    none = np.empty(0), np.empty(0)
    draws = none if rng is None else diagonal_draws(*values, reference, corner, rng, RESAMPLES)
    internal = not {"no_reference", "small_reference"} & set(corner.flags)
    control: Control = "internal" if internal else "density"
    reason = f"cloud against {of or 'CD4_naive'} ({len(reference[0])} events)" if reference and internal else "cloud"
    both = []
    for name, cut, drawn in zip((x, y), (corner.x, corner.y), draws, strict=True):
        flags = [*cut.flags, *_saturation(pool, parent, name)]
        low, high = interval(cut.value, drawn)
        both.append(Placed(name, cut.value, "diagonal", control, low, high, tuple(flags), reason, cut.spread, drawn))
    return corner, (both[0], both[1])


def interval(value: float, draws: Array) -> tuple[float, float]:
    """Return the 95 % interval of a border from its resampled values; NaN without any."""
    if len(draws) < 2 or np.isnan(value):
        return np.nan, np.nan
    half = 1.96 * float(np.std(draws, ddof=1))
    return value - half, value + half


def resampled(function: Callable[[Array], Cut], values: Array, rng: np.random.Generator | None) -> Array:
    """Return borders of resampled events (at most 4000 a round, deviations scaled to all of them)."""
    if len(values) < 2 or rng is None:
        return np.empty(0)
    size = min(len(values), _LARGEST_RESAMPLE)
    draws = np.array([function(values[rng.integers(0, len(values), size)]).value for _ in range(RESAMPLES)])
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return draws
    return np.asarray(draws.mean() + (draws - draws.mean()) * np.sqrt(size / len(values)))


def _attempts(
    pool: TubePool,
    parent: str,
    marker: str,
    border: Border,
    rule: Rule,
    rng: np.random.Generator | None,
    notes: list[str],
    flags: list[str],
) -> Iterator[_Attempt]:
    on = pool.path_of(rule.on) if rule.on else None
    source = parent if on is None else on
    for name in _order(rule):
        if name == "diagonal":
            yield from _by_corner(pool, source, marker, border, rule, rng, notes)
        elif name in ("fmo", "unstained"):
            yield from _by_control(pool, source, marker, name, rule, rng, notes, flags)
        elif name == "internal_reference":
            yield from _by_reference(pool, source, marker, rule, rng, notes, flags)
        elif name == DENSITY:
            yield from _by_density(pool, source, marker, rule, rng)
        elif name == "fixed":
            if "at" in rule.parameters:
                yield _Attempt(Cut(float(rule.parameters["at"])), "fixed", "fixed", np.empty(0), "the strategy's value")
        else:
            yield _by_parent(pool, source, marker, name, rule, rng)


def _order(rule: Rule) -> tuple[str, ...]:
    if rule.by == AUTO:
        return CONTROL_ORDER
    fallback = tuple(name for name in ("internal_reference", DENSITY) if name != rule.by)
    if rule.by == "fixed":
        return ("fixed",)
    return (rule.by, *fallback)


def _by_parent(
    pool: TubePool, path: str, marker: str, name: str, rule: Rule, rng: np.random.Generator | None
) -> _Attempt:
    chosen = method(name)
    settings = rule.settings(name)
    if name == "valley" and "within" not in settings:
        # a valley below zero signal is compensation noise, never the edge of positive cells
        zero = pool.tubes[0].dimension(marker).transform.apply([0.0])
        settings["within"] = (float(zero[0]), np.inf)

    def run(values: Array) -> Cut:
        try:
            found = chosen.function(values, **settings)
        except Exception as error:
            raise GatingError(f"threshold method '{name}' failed: {type(error).__name__}: {error}", path) from error
        return found if isinstance(found, Cut) else Cut(float(found))

    values = pool.values(marker, path)
    cut = run(values)
    draws = resampled(run, values, rng) if np.isfinite(cut.value) else np.empty(0)
    return _Attempt(cut, chosen.card.control, name, draws, f"{len(values)} events of {_name(path)}")


def _by_density(
    pool: TubePool, path: str, marker: str, rule: Rule, rng: np.random.Generator | None
) -> Iterator[_Attempt]:
    """The parent's valley; else, for a lineage marker, the nearest ancestor's; else the main summit's tail.

    An ancestor's valley parts lineages. It says nothing of a marker whose positives are a state of
    the parent's own cells, such as CD69.
    """
    yield _by_parent(pool, path, marker, "valley", rule, rng)
    above = path if rule.by == "valley" else ""
    while above:
        above = above.rsplit("/", 1)[0]
        wider = _by_parent(pool, above, marker, "valley", rule, rng)
        if np.isfinite(wider.cut.value) and above:
            cut = replace(wider.cut, flags=(*wider.cut.flags, "ancestor_valley"))
            yield replace(wider, cut=cut)
            break
    yield _by_parent(pool, path, marker, "tail", rule, rng)


def _by_reference(
    pool: TubePool,
    path: str,
    marker: str,
    rule: Rule,
    rng: np.random.Generator | None,
    notes: list[str],
    flags: list[str],
) -> Iterator[_Attempt]:
    found = pool.reference((marker,), rule.of, path)
    if found is None:
        notes.append(f"no reference population {rule.of}" if rule.of else "no reference population named")
        if rule.of:
            flags.append("no_reference")
        return
    values = found[0]
    if len(values) < ENOUGH_EVENTS:
        notes.append(f"only {len(values)} events of {rule.of}")
        flags.append("small_reference")
        return
    settings = rule.settings("internal_reference")
    shown = pool.tubes[0].dimension(marker).transform
    steady = _steady_scale(shown)

    def run(sample: Array) -> Cut:
        if steady is None:
            cut: Cut = method("internal_reference").function(sample, **settings)
            return cut
        cut = method("internal_reference").function(steady.apply(shown.inverse(sample)), **settings)
        value, beside = shown.apply(steady.inverse([cut.value, cut.value + _STEP]))
        return replace(cut, value=float(value), spread=cut.spread * float(beside - value) / _STEP)

    cut = run(values)
    text = f"{len(values)} events of {rule.of}"
    yield _Attempt(cut, "internal", "internal_reference", resampled(run, values, rng), text)


def _steady_scale(shown: Transform) -> Asinh | None:
    """Return the scale on which negative cells spread evenly, where the display scale is another; None where it is not.

    Logicle and its kin stretch the noise around zero, so that standard deviations counted from there
    would put a border far too high. The linear part of the asinh grows with the instrument's range.
    """
    top = getattr(shown, "t", None)
    if isinstance(shown, (Asinh, Identity, Linear)) or top is None:
        return None
    return Asinh(_STEADY_COFACTOR * float(top) / _STEADY_TOP)


def _by_control(
    pool: TubePool,
    path: str,
    marker: str,
    name: str,
    rule: Rule,
    rng: np.random.Generator | None,
    notes: list[str],
    flags: list[str],
) -> Iterator[_Attempt]:
    tubes = pool.controls.get(marker if name == "fmo" else "", ())
    if not tubes:
        notes.append(f"no {'FMO' if name == 'fmo' else 'unstained'} tube of this batch")
        flags.append(f"no_{name}")
        return
    channels = {c.name for c in pool.tubes[0].events.channels}
    sound = [t for t in tubes if t.has(marker) and {c.name for c in t.events.channels} == channels and path in t.masks]
    if not sound and not path:
        sound = [t for t in tubes if t.has(marker) and {c.name for c in t.events.channels} == channels]
    if not sound:
        notes.append(f"the {name} tube has another panel")
        flags.append("control_mismatch")
        return
    each = [tube.axis(marker)[tube.inside(path)] for tube in sound]
    values = np.concatenate(each)
    settings = rule.settings(name)

    def run(sample: Array) -> Cut:
        cut: Cut = method(name).function(sample, **settings)
        return cut

    cut = run(values)
    draws = resampled(run, values, rng)
    if len(each) > 1:
        # which control is taken is part of the uncertainty
        draws = np.concatenate([resampled(run, one, rng) for one in each if len(one) >= ENOUGH_EVENTS] or [draws])
    flags += _disagreement(pool, path, marker, cut)
    control: Control = "fmo" if name == "fmo" else "unstained"
    yield _Attempt(cut, control, name, draws, f"{len(values)} events of the control")


def _disagreement(pool: TubePool, path: str, marker: str, cut: Cut) -> list[str]:
    density = valley(pool.values(marker, path))
    if np.isnan(density.value) or np.isnan(cut.value) or cut.spread <= 0:
        return []
    return ["fmo_density_disagree"] if abs(density.value - cut.value) > _DISAGREE * cut.spread else []


def _by_corner(
    pool: TubePool,
    path: str,
    marker: str,
    border: Border,
    rule: Rule,
    rng: np.random.Generator | None,
    notes: list[str],
) -> Iterator[_Attempt]:
    if not all(tube.has(rule.partner) for tube in pool.tubes):
        notes.append(f"no {rule.partner} in the panel")
        return
    x, y = (rule.partner, marker) if border == "lo" else (marker, rule.partner)
    _, both = place_corner(pool, path, x, y, rule.of, {"slope": 0.0}, rng)
    mine = both[1] if border == "lo" else both[0]
    if "no_corner_cloud" in mine.flags:
        notes.append(f"no cloud {x}hi {y}lo")
        return
    cut = Cut(mine.value, mine.flags, mine.spread)
    yield _Attempt(cut, mine.control, "diagonal", mine.draws, mine.reason)


def _placed(pool: TubePool, parent: str, marker: str, attempt: _Attempt, flags: list[str], notes: list[str]) -> Placed:
    low, high = interval(attempt.cut.value, attempt.draws)
    if "ancestor_valley" not in attempt.cut.flags and attempt.method == "valley":
        flags = [flag for flag in flags if flag not in ("no_valley", "unimodal")]
    words = dict.fromkeys([*flags, *_saturation(pool, parent, marker)])
    reason = "; ".join([attempt.source, *dict.fromkeys(notes)])
    return Placed(
        marker, attempt.cut.value, attempt.method, attempt.control, low, high,
        tuple(words), reason, attempt.cut.spread, attempt.draws,
    )  # fmt: skip


def _saturation(pool: TubePool, path: str, marker: str) -> list[str]:
    return ["saturated"] if any(tube.saturated(marker, tube.inside(path)) for tube in pool.tubes) else []


def _name(path: str) -> str:
    return path.rsplit("/", 1)[1] if path else "root"
