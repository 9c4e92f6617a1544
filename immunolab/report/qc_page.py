"""quality.html: the checks of tubes on one page, worst first, with traffic lights and a picture of each run."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from immunolab.quality.qc import SIGNS, TubeQuality
from immunolab.quality.topics import SEEN_IN_RUN, worst
from immunolab.report.document import document, place_name
from immunolab.report.light_pictures import LightPicture, LightPictures
from immunolab.version import VERSION

LIGHTS_PAGE = "quality.html"
"""Name of the page, in the folder of `immunolab qc` and beside a run's report."""
_WORDS = {"ok": "ok", "warn": "look at it", "fail": "do not use as it is", "": "not checked"}
MEANINGS: Mapping[str, Any] = {"words": _WORDS, "signs": SIGNS}
"""What the templates name lights by."""


def qc_page(
    found: TubeQuality,
    pictures: LightPictures | None,
    title: str,
    *,
    more_ok: int = 0,
    more: str = "",
    shared: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
) -> str:
    """Return the page as HTML text; every text from outside is escaped.

    Parameters
    ----------
    found
        The checks.
    pictures
        Draws what is to be looked at; None for a page without pictures.
    title
        What was checked, in words.
    more_ok, more
        Tubes without a warning that are not among them, and words on tubes that are left out.
    shared
        Checks that warn in more than half of all tubes, in words.
    links
        Picture of each tube's gates, relative to the page, by sample_id.
    """
    context = {
        **light_rows(found, pictures, more_ok=more_ok),
        "title": title,
        "more": more,
        "shared": shared,
        "links": links or {},
        "version": VERSION,
    }
    return document({**context, **MEANINGS}, "quality.html.j2")


def light_rows(found: TubeQuality, pictures: LightPictures | None, *, more_ok: int = 0) -> dict[str, Any]:
    """Return what the templates take for traffic lights: ``tubes``, ``topics`` and ``counts``.

    Parameters
    ----------
    found, pictures, more_ok
        As in `qc_page`.
    """
    lights = found.lights
    tubes = [_tube(found, sample, list(lights.loc[sample]), pictures) for sample in found.samples]
    counts = {status: sum(tube["status"] == status for tube in tubes) for status in ("fail", "warn", "ok")}
    return {"tubes": tubes, "topics": list(lights.columns), "counts": counts | {"ok": counts["ok"] + more_ok}}


def _tube(found: TubeQuality, sample: str, lights: list[str], pictures: LightPictures | None) -> dict[str, Any]:
    warned = found.warnings(sample)
    own = found.table[found.table["sample_id"] == sample]
    events = own.loc[own["check"] == "events", "value"]
    seen = list(pictures.of(sample, warned)) if pictures else []
    drawn = {check for check, _ in seen}
    by_png: dict[bytes, LightPicture] = {}
    for _, one in seen:  # two checks of one channel have one picture
        known = by_png.get(one.png)
        by_png[one.png] = one if known is None else replace(known, caption=f"{known.caption}; {one.caption}")
    course = pictures.course(sample) if pictures else None
    said = [(str(row["status"]), str(row["message"]), str(row["check"])) for row in warned.to_dict("records")]
    return {
        "id": place_name("tube", sample),
        "name": sample,
        "status": worst([status for status in lights if status]),
        "lights": lights,
        "events": f"{int(events.iloc[0]):,}" if len(events) else "",
        "said": [(status, text) for status, text, _ in said],
        "in_words": [(status, text) for status, text, check in said if check not in drawn],
        "pictures": [{**vars(one), "png": b64encode(one.png).decode()} for one in by_png.values()],
        "unsteady": any(check in SEEN_IN_RUN for _, _, check in said),
        "course": b64encode(course).decode() if course else "",
    }
