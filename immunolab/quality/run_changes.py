"""When cytometer, lasers, voltages, software, lot, operator or site change over a study, and between whose visits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from immunolab.quality.acquisition import cytometer_of, detector_voltages, header_date
from immunolab.study.batch_order import natural

_WITHIN_CYTOMETER = ("lasers", "voltages", "software")  # of another cytometer they are others anyway
_GRAVITY = ("cytometer", "lasers", "voltages", "lot", "site", "operator", "software")  # worst first (judgement)
_SHOWN_DETECTORS = 3  # that a line names
_FEW = 2  # changes of one kind that are named by themselves; of more one line says how many (judgement)
_SOFTWARE = ("CREATOR", "CYTOMETER CONFIG NAME")


@dataclass(frozen=True)
class TubeSetup:
    """How a tube was stained and acquired, as sheet and header say.

    Attributes
    ----------
    batch, taken
        Of the sheet; "" and None where it does not say; ``taken`` of the header where that has a date.
    began
        Time of day in the header; "" without one.
    words
        ``cytometer``, ``software``, ``lot``, ``site`` and ``operator``; what is not known is absent.
    lasers, voltages
        By name and detector.
    """

    sample_id: str
    panel: str
    patient: str
    visit: str
    batch: str
    taken: date | None
    began: str
    words: Mapping[str, str]
    lasers: Mapping[str, str] = field(default_factory=dict)
    voltages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunChange:
    """A change in how tubes were stained or acquired.

    Attributes
    ----------
    kind
        ``cytometer``, ``lasers``, ``voltages``, ``software``, ``lot``, ``site`` or ``operator``.
    text
        In words, with the date or batch from which it holds.
    within, pairs
        Patients with a compared pair of visits on either side of it, and all with such a pair.
    """

    kind: str
    text: str
    within: int
    pairs: int

    @property
    def message(self) -> str:
        """In words, with whose change it may be."""
        if not self.pairs:
            return self.text
        return f"{self.text}; between the compared visits of {self.within} of {self.pairs} patients"


def tube_setup(
    text: Mapping[str, str],
    *,
    tube: tuple[str, str, str, str],
    batch: str,
    taken: date | None,
    sheet: Mapping[str, str],
) -> TubeSetup:
    """Return how a tube was stained and acquired.

    Parameters
    ----------
    text
        Keywords of the file, upper case.
    tube
        Its sample_id, panel, patient and visit.
    batch, taken
        Of the sheet.
    sheet
        ``lot``, ``site`` and ``operator`` of the sheet; empty ones are not known.
    """
    said = {"cytometer": cytometer_of(text), "software": ", ".join(filter(None, map(text.get, _SOFTWARE)))}
    words = {kind: word for kind, word in (said | dict(sheet)).items() if word}
    when, began = header_date(text.get("$DATE", "")) or taken, text.get("$BTIM", "").strip()
    return TubeSetup(*tube, batch, when, began, words, _lasers(text), _by_detector(detector_voltages(text)))


def _lasers(text: Mapping[str, str]) -> dict[str, str]:
    """Return names and area scaling of lasers (BD, Cytek), wavelength and power by detector (FCS 3.1), as written."""
    found = {}
    for key in sorted(text, key=natural):
        value, laser = text[key].strip(), re.fullmatch(r"LASER(\d+)(NAME|ASF)", key)
        detector = re.fullmatch(r"\$P(\d+)([LO])", key)
        if laser and laser[2] == "NAME":
            found[f"laser {laser[1]}"] = value
        elif laser:
            found[f"area scaling of laser {laser[1]} ({text.get(f'LASER{laser[1]}NAME', '').strip()})"] = value
        elif detector and (name := text.get(f"$P{detector[1]}N", "").strip()):
            found[f"{'wavelength' if detector[2] == 'L' else 'laser power'} of {name}"] = value
    return found


def _by_detector(voltages: Mapping[str, float]) -> dict[str, float]:
    """Return voltages by detector: area, height and width of one have the same."""
    found: dict[str, float] = {}
    for name, volt in voltages.items():
        base = re.sub(r"[-_ ][AHW]$", "", name)
        found[base if found.get(base, volt) == volt else name] = volt
    return found


def run_changes(tubes: Sequence[TubeSetup], contrasts: Sequence[tuple[str, str]] = ()) -> list[RunChange]:
    """Return what changes over a study's tubes in the order of their acquisition, the worst first.

    The worst is what changes between the compared visits of the most patients; among those what moves signals most.
    Tubes without a date are ordered by their batch where no tube of the panel has a date, and left out else.

    Parameters
    ----------
    tubes
        All of the study, of any panels.
    contrasts
        Visits that are compared.
    """
    found: list[RunChange] = []
    for panel in dict.fromkeys(tube.panel for tube in tubes):
        own = _in_order([tube for tube in tubes if tube.panel == panel])
        where = f" (panel {panel})" if panel and len({tube.panel for tube in tubes}) > 1 else ""
        for kind in _GRAVITY:
            for some, said in _comparable(own, kind):
                found += _changes(kind, some, where + said, contrasts)
    merged: dict[tuple[str, str], RunChange] = {}
    for one in found:
        merged.setdefault((one.kind, one.text), one)
    return sorted(merged.values(), key=lambda one: (-one.within / max(one.pairs, 1), _GRAVITY.index(one.kind)))


def _in_order(tubes: Sequence[TubeSetup]) -> list[TubeSetup]:
    if any(tube.taken for tube in tubes):
        dated = [(tube.taken, tube.began, tube) for tube in tubes if tube.taken]
        return [tube for _, _, tube in sorted(dated, key=lambda one: one[:2])]
    return sorted((tube for tube in tubes if tube.batch), key=lambda tube: natural(tube.batch))


def _comparable(tubes: Sequence[TubeSetup], kind: str) -> Iterator[tuple[list[TubeSetup], str]]:
    """Yield tubes that may be set beside each other in one respect, and words that set them apart from others."""
    if kind not in _WITHIN_CYTOMETER:
        yield [tube for tube in tubes if _level(kind, tube)], ""
        return
    machines = list(dict.fromkeys(tube.words.get("cytometer", "") for tube in tubes))
    for machine in machines:
        own = [tube for tube in tubes if tube.words.get("cytometer", "") == machine]
        known = [tube for tube in own if _level(kind, tube)]
        yield known, f" ({machine})" if len(machines) > 1 and machine else ""


def _changes(
    kind: str, tubes: Sequence[TubeSetup], where: str, contrasts: Sequence[tuple[str, str]]
) -> Iterator[RunChange]:
    """Yield the changes of one kind over tubes in order; one for all where there are many."""
    levels = [_level(kind, tube) for tube in tubes]
    steps = [i for i in range(1, len(tubes)) if _differs(levels[i - 1], levels[i])]
    if len(steps) > _FEW:
        seen = len({tuple(sorted(level.items())) for level in levels})
        largest = max(steps, key=lambda i: _size(levels[i - 1], levels[i]))
        text = (
            f"{_plural(kind)} {len(steps)} times from {_when(tubes[0])} to {_when(tubes[-1])}, {seen} settings in "
            f"{len(tubes)} tubes{where}; the largest on {_when(tubes[largest])}: "
            f"{_said(kind, levels[largest - 1], levels[largest])}"
        )
        yield RunChange(kind, text, *_within(tubes, levels, contrasts))
        return
    for i in steps:
        text = f"from {_when(tubes[i])} on: {_said(kind, levels[i - 1], levels[i])}{where}"
        count = f", {i} tubes before, {len(tubes) - i} after"
        sides = [{"": str(n >= i)} for n in range(len(tubes))]
        yield RunChange(kind, text + count, *_within(tubes, sides, contrasts))


def _level(kind: str, tube: TubeSetup) -> dict[str, str]:
    if kind == "voltages":
        return {name: f"{volt:g}" for name, volt in tube.voltages.items()}
    if kind == "lasers":
        return dict(tube.lasers)
    return {kind: tube.words[kind]} if kind in tube.words else {}


def _differs(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    return any(before[name] != after[name] for name in before if name in after)


def _size(before: Mapping[str, str], after: Mapping[str, str]) -> float:
    """Return the largest relative change of a number among settings; 1 for words."""
    return max((_relative(before[name], after[name]) for name in before if name in after), default=0.0)


def _relative(before: str, after: str) -> float:
    try:
        return abs(float(after) - float(before)) / max(abs(float(before)), 1e-9)
    except ValueError:
        return float(before != after)


def _when(tube: TubeSetup) -> str:
    return tube.taken.isoformat() if tube.taken else f"batch {tube.batch}"


def _plural(kind: str) -> str:
    return f"{kind} change" if kind.endswith("s") else f"{kind} changes"


def _said(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    names = [name for name in before if name in after and before[name] != after[name]]
    if kind not in ("voltages", "lasers"):
        return f"{kind} {before[kind]} -> {after[kind]}"
    names.sort(key=lambda name: -_relative(before[name], after[name]))
    unit = " V" if kind == "voltages" else ""
    shown = ", ".join(f"{name} {before[name]} -> {after[name]}{unit}" for name in names[:_SHOWN_DETECTORS])
    more = f" and {len(names) - _SHOWN_DETECTORS} more" if len(names) > _SHOWN_DETECTORS else ""
    return f"{shown}{more}"


def _within(
    tubes: Sequence[TubeSetup], levels: Sequence[Mapping[str, str]], contrasts: Sequence[tuple[str, str]]
) -> tuple[int, int]:
    """Return the patients whose compared visits are of different levels, and all with such a pair of visits."""
    of: dict[tuple[str, str], set[tuple[tuple[str, str], ...]]] = {}
    for tube, level in zip(tubes, levels, strict=True):
        of.setdefault((tube.patient, tube.visit), set()).add(tuple(sorted(level.items())))
    paired, moved = set(), set()
    for patient in {tube.patient for tube in tubes if tube.patient}:
        for before, after in contrasts:
            if (patient, before) in of and (patient, after) in of:
                paired.add(patient)
                if of[patient, before] != of[patient, after]:
                    moved.add(patient)
    return len(moved), len(paired)
