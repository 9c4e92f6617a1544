"""When and on what tubes were acquired, as sheet and headers say: days, cytometers, voltages; nothing else is kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from immunolab.schema.across_tubes import ACQUISITIONS

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED = 4  # voltages that a text names
_CENTURY = 2000  # of a year of two digits: digital cytometers have no older files


@dataclass(frozen=True)
class TubeHeader:
    """What is looked at of one tube.

    Attributes
    ----------
    batch, taken
        Of the sheet; "" and None where it does not say.
    text
        Keywords of the file, upper case.
    """

    sample_id: str
    panel: str
    batch: str
    taken: date | None
    text: Mapping[str, str]


def acquisition_table(headers: Sequence[TubeHeader]) -> pd.DataFrame:
    """Return rows of `ACQUISITIONS`.

    Days are counted from the first tube, cytometers are numbered by model and serial number as they first appear: no
    date, name or number of the headers is in the table. The sheet's date, which may be that of the blood, counts where
    a header has none.

    Parameters
    ----------
    headers
        In the order of the sheet.
    """
    days = {one.sample_id: header_date(one.text.get("$DATE", "")) or one.taken for one in headers}
    first = min((day for day in days.values() if day), default=None)
    machines = [cytometer_of(one.text) for one in headers]
    numbers = {key: i + 1 for i, key in enumerate(dict.fromkeys(filter(None, machines)))}
    usual = _usual_voltages(headers, machines)
    rows = []
    for one, machine in zip(headers, machines, strict=True):
        found = days[one.sample_id]
        day = (found - first).days if found and first else None
        cytometer = f"cytometer {numbers[machine]}" if machine else ""
        made_up = ", ".join(filter(None, (cytometer if len(numbers) > 1 else "", f"day {day}")))
        batch = one.batch or (made_up if day is not None else "")
        settings = _settings(detector_voltages(one.text), usual[one.panel, machine])
        rows.append({
            "sample_id": one.sample_id, "panel": one.panel, "batch": batch, "day": day, "cytometer": cytometer,
            "settings": settings,
        })  # fmt: skip
    return ACQUISITIONS.frame([{key: None if value == "" else value for key, value in row.items()} for row in rows])


def cytometer_of(text: Mapping[str, str]) -> str:
    """Return model and serial number of the cytometer of a header; "" where it names none.

    Parameters
    ----------
    text
        Keywords of the file, upper case.
    """
    return " ".join(filter(None, (text.get(key, "").strip() for key in ("$CYT", "$CYTSN"))))


def header_date(written: str) -> date | None:
    """Return a date of ``$DATE``: dd-mmm-yyyy by the standard; yyyy-mm-dd and dd-mmm-yy, as instruments write, too.

    Parameters
    ----------
    written
        As in the header.
    """
    parts = re.split(r"[-/. ]+", written.strip().lower())
    if len(parts) != 3:
        return None
    try:
        if parts[1][:3] in _MONTHS:
            year = int(parts[2])
            return date(year + (_CENTURY if year < 100 else 0), _MONTHS.index(parts[1][:3]) + 1, int(parts[0]))
        if len(parts[0]) == 4:
            return date(int(parts[0]), int(parts[1]), int(parts[2]))
    except ValueError:
        return None
    return None  # day and month in digits: which is which is not known


def detector_voltages(text: Mapping[str, str]) -> dict[str, float]:
    """Return voltage by detector, of those that have one.

    Parameters
    ----------
    text
        Keywords of the file, upper case.
    """
    found = {}
    for key, value in text.items():
        number = re.fullmatch(r"\$P(\d+)V", key)
        name = text.get(f"$P{number[1]}N", "") if number else ""
        try:
            voltage = float(value)
        except ValueError:
            continue
        if name and voltage > 0:
            found[name] = voltage
    return found


def _usual_voltages(headers: Sequence[TubeHeader], machines: Sequence[str]) -> dict[tuple[str, str], dict[str, float]]:
    """Return the most frequent voltage of each detector, by panel and cytometer."""
    seen: dict[tuple[str, str], dict[str, Counter[float]]] = {}
    for one, machine in zip(headers, machines, strict=True):
        counts = seen.setdefault((one.panel, machine), {})
        for name, voltage in detector_voltages(one.text).items():
            counts.setdefault(name, Counter())[voltage] += 1
    return {key: {name: c.most_common(1)[0][0] for name, c in counts.items()} for key, counts in seen.items()}


def _settings(voltages: Mapping[str, float], usual: Mapping[str, float]) -> str:
    others = [f"{name} {volt:g} for {usual[name]:g} V" for name, volt in voltages.items() if volt != usual[name]]
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return ", ".join(others[:_NAMED]) + more
