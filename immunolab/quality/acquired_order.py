"""Whether the days in the headers of a patient's tubes contradict the order of the visits, or the day of the blood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from immunolab.schema.flags import Check
from immunolab.study.sample import Sample

_OTHER_CALENDAR = 1  # days: clock and sheet may be of different time zones


@dataclass(frozen=True)
class Contradiction:
    """A tube whose header has a day that the sheet does not allow.

    Attributes
    ----------
    check
        `Check.ACQUIRED_ORDER` or `Check.ACQUIRED_EARLY`.
    days
        Later (above 0) or earlier (below) than the sheet allows.
    text
        In words, without a date.
    """

    sample: Sample
    check: Check
    days: int
    text: str

    @property
    def row(self) -> dict[str, object]:
        """The row of `QUALITY`."""
        place = {"sample_id": self.sample.sample_id, "check": self.check.value, "value": self.days}
        limit = -_OTHER_CALENDAR if self.check == Check.ACQUIRED_EARLY else 0
        return {**place, "limit": limit, "status": "warn", "message": self.text}


def contradicted_days(
    tubes: Sequence[tuple[Sample, date | None]], visits: Sequence[str] = ()
) -> tuple[list[Contradiction], str]:
    """Return the tubes whose own date contradicts the sheet, as where files were exchanged, and what is not judged.

    A patient's tubes of one panel are set in the order of the sheet: by date, study day, or the order of visits, of
    those that have one. One acquired before that of an earlier visit contradicts it; frozen cells are left out, for
    they may be thawed in any order. So does one acquired before the blood was taken. Tubes of the same day say
    nothing. Where most tubes of a study seem to be acquired before their blood was taken, the cytometer's clock is
    another, and that is not judged.

    Parameters
    ----------
    tubes
        Samples and the date of their header, None where it has none; controls are left out.
    visits
        In their order, as far as it is known.
    """
    dated = [(sample, day) for sample, day in tubes if day and sample.patient_id and sample.gated and not sample.bridge]
    groups: dict[tuple[str, str, str], list[tuple[Sample, date]]] = {}
    for sample, day in dated:
        if sample.specimen != "frozen_pbmc":
            groups.setdefault((sample.patient_id, sample.panel, sample.stimulation), []).append((sample, day))
    order = {name: i for i, name in enumerate(visits)}
    found = [one for own in groups.values() for one in _turned(own, order)]
    known = [(sample, (day - sample.date).days) for sample, day in dated if sample.date]
    early = [(sample, days) for sample, days in known if days < -_OTHER_CALENDAR]
    if len(early) > len(known) / 2:
        why = f"in {len(early)} of {len(known)} tubes the header's date lies before the sheet's: not compared with it"
        return found, why
    return [*found, *(_early(sample, days) for sample, days in early)], ""


def _turned(own: Sequence[tuple[Sample, date]], order: dict[str, int]) -> Iterator[Contradiction]:
    """Yield the tubes of a patient and panel that were acquired in another order than the sheet's."""
    places = [(sample.date, sample.study_day, order.get(sample.visit)) for sample, _ in own]
    which = next((i for i in (0, 1) if all(place[i] is not None for place in places)), 2)
    sheet = [(place[which], *tube) for place, tube in zip(places, own, strict=True) if place[which] is not None]
    by_sheet = sorted(sheet, key=lambda one: (one[0], one[2]))
    for (place, before, first), (next_place, after, second) in pairwise(by_sheet):
        days = (first - second).days
        if days <= 0 or place == next_place:
            continue
        said = f"{days} day{'s' if days > 1 else ''}"
        late = f"acquired {said} after {after.visit}, a later visit"
        yield Contradiction(before, Check.ACQUIRED_ORDER, days, late)
        yield Contradiction(
            after, Check.ACQUIRED_ORDER, -days, f"acquired {said} before {before.visit}, an earlier visit"
        )


def _early(sample: Sample, days: int) -> Contradiction:
    return Contradiction(sample, Check.ACQUIRED_EARLY, days, f"acquired {-days} days before the blood was taken")


def who_contradicts(found: Iterable[tuple[str, str, str, float, str]]) -> list[str]:
    """Return ``P04 (W0 acquired 70 days after W10, a later visit)`` for each patient.

    Parameters
    ----------
    found
        Patient, visit, check, days and text of each; of two tubes in the wrong order the late one is named.
    """
    said: dict[str, dict[str, None]] = {}
    for patient, visit, check, days, text in found:
        if days > 0 or check == Check.ACQUIRED_EARLY:
            said.setdefault(patient, {})[f"{visit} {text}"] = None
    return [f"{patient} ({'; '.join(own)})" for patient, own in said.items()]
