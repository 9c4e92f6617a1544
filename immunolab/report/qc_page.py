"""quality.html: the checks of tubes on one page, worst first, with traffic lights and a picture of each run."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from immunolab.plots.numbers import with_minus
from immunolab.quality.advice import advice
from immunolab.quality.qc import SIGNS, TubeQuality
from immunolab.quality.topics import SEEN_IN_RUN, worst
from immunolab.quality.worst_first import lit_rows
from immunolab.report.document import document, place_name
from immunolab.report.light_pictures import LightPictures
from immunolab.version import VERSION

LIGHTS_PAGE = "quality.html"
"""Name of the page, in the folder of `immunolab qc` and beside a run's report."""
_WORDS = {"ok": "ok", "warn": "look at it", "fail": "do not use as it is", "": "not checked"}
ON_PAGE = 250
"""Most tubes that a page shows with their pictures, 40 kB each: 10 MB (judgement)."""
_NAMED = 3  # tubes that a kind of fault names
MEANINGS: Mapping[str, Any] = {"words": _WORDS, "signs": SIGNS}
"""What the templates name lights by."""


def qc_page(
    found: TubeQuality,
    pictures: LightPictures | None,
    title: str,
    *,
    only_lit: bool = False,
    links: Mapping[str, str] | None = None,
) -> str:
    """Return the page as HTML text, with the worst tubes where there are many; every text from outside is escaped.

    Parameters
    ----------
    found
        The checks of all tubes.
    pictures
        Draws what is to be looked at; None for a page without pictures.
    title
        What was checked, in words.
    only_lit
        Whether tubes that are ok are left out.
    links
        Picture of each tube's gates, relative to the page, by sample_id.
    """
    shown = worst_tubes(found, ON_PAGE, only_lit=only_lit)
    rows = light_rows(found, shown, pictures)
    to_look_at = rows["counts"]["fail"] + rows["counts"]["warn"]
    left_out = to_look_at - sum(tube["status"] != "ok" for tube in rows["tubes"])
    context = {
        **rows,
        "title": title,
        "more": f" (in quality.csv {left_out:,} more to look at)" if left_out else "",
        "kinds": _kinds(found, set(shown)),
        "links": links or {},
        "version": VERSION,
    }
    return document({**context, **MEANINGS}, "quality.html.j2")


def worst_tubes(found: TubeQuality, most: int, *, only_lit: bool) -> list[str]:
    """Return the worst tubes, the worst first.

    Parameters
    ----------
    found
        The checks of all tubes.
    most
        How many at most.
    only_lit
        Whether tubes that are ok are left out.
    """
    lit = set(lit_rows(found.table)["sample_id"])
    return [sample for sample in found.samples if sample in lit or not only_lit][:most]


def light_rows(found: TubeQuality, samples: Sequence[str], pictures: LightPictures | None) -> dict[str, Any]:
    """Return what the templates take for traffic lights: ``tubes``, ``topics`` and ``counts``, which are of all tubes.

    Parameters
    ----------
    found, pictures
        As in `qc_page`.
    samples
        The tubes that are shown.
    """
    part = TubeQuality(found.table[found.table["sample_id"].isin(samples)])
    lights = part.lights
    statuses = [worst([status for status in own if status]) for own in found.lights.to_numpy()]
    return {
        "tubes": [_tube(part, sample, list(lights.loc[sample]), pictures) for sample in samples],
        "topics": list(lights.columns),
        "counts": {status: statuses.count(status) for status in ("fail", "warn", "ok")},
    }


@dataclass(frozen=True)
class Said:
    """What a reader learns of a check.

    Attributes
    ----------
    status, check, message
        As quality.csv has them.
    """

    status: str
    check: str
    message: str

    @property
    def advice(self) -> str:
        """What to do about it."""
        return advice(self.check, self.status)


def _kinds(whole: TubeQuality, shown: AbstractSet[str]) -> list[dict[str, Any]]:
    """Return what was found in all tubes, with the worst of those that the page has."""
    return [
        {
            "status": kind.status,
            "name": kind.check.replace("_", " "),
            "n": len(kind.samples),
            "of": len(whole),
            "is_shared": kind.is_shared,
            "tubes": [(name, place_name("tube", name)) for name in kind.samples if name in shown][:_NAMED],
            "advice": kind.advice,
        }
        for kind in whole.kinds
    ]


def _tube(found: TubeQuality, sample: str, lights: list[str], pictures: LightPictures | None) -> dict[str, Any]:
    warned = found.faults(sample)
    own = found.table[found.table["sample_id"] == sample]
    events = own.loc[own["check"] == "events", "value"]
    seen = list(pictures.of(sample, warned)) if pictures else []
    drawn = {check for check, _ in seen}
    by_png: dict[bytes, dict[str, Any]] = {}
    for check, one in seen:  # two checks of one channel have one picture
        shown = {**vars(one), "png": b64encode(one.png).decode(), "advice": advice(check, one.status)}
        shown["caption"] = with_minus(one.caption)
        known = by_png.setdefault(one.png, shown)
        if known is not shown:
            known["caption"] += f"; {shown['caption']}"
    course = pictures.course(sample) if pictures else None
    said = [
        Said(str(row["status"]), str(row["check"]), with_minus(str(row["message"])))
        for row in warned.to_dict("records")
    ]
    return {
        "id": place_name("tube", sample),
        "name": sample,
        "status": worst([status for status in lights if status]),
        "lights": lights,
        "events": f"{int(events.iloc[0]):,}" if len(events) else "",
        "said": said,
        "in_words": [one for one in said if one.check not in drawn],
        "pictures": list(by_png.values()),
        "unsteady": any(one.check in SEEN_IN_RUN for one in said),
        "course": b64encode(course).decode() if course else "",
    }
