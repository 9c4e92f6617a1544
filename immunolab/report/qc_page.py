"""quality.html: the checks of tubes on one page, worst first, with traffic lights and a picture of each run."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from immunolab.quality.qc import SIGNS, TubeQuality
from immunolab.quality.topics import worst
from immunolab.report.document import document, place_name
from immunolab.version import VERSION

LIGHTS_PAGE = "quality.html"
"""Name of the page, in the folder of `immunolab qc` and beside a run's report."""
_WORDS = {"ok": "ok", "warn": "look at it", "fail": "do not use as it is", "": "not checked"}
MEANINGS: Mapping[str, Any] = {"words": _WORDS, "signs": SIGNS}
"""What the templates name lights by."""


def qc_page(
    found: TubeQuality,
    pictures: Mapping[str, bytes],
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
        PNG of each tube's run, by sample_id.
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


def light_rows(found: TubeQuality, pictures: Mapping[str, bytes], *, more_ok: int = 0) -> dict[str, Any]:
    """Return what the templates take for traffic lights: ``tubes``, ``topics`` and ``counts``.

    Parameters
    ----------
    found, pictures, more_ok
        As in `qc_page`.
    """
    lights = found.lights
    tubes = [_tube(found, sample, list(lights.loc[sample]), pictures.get(sample)) for sample in found.samples]
    counts = {status: sum(tube["status"] == status for tube in tubes) for status in ("fail", "warn", "ok")}
    return {"tubes": tubes, "topics": list(lights.columns), "counts": counts | {"ok": counts["ok"] + more_ok}}


def _tube(found: TubeQuality, sample: str, lights: list[str], picture: bytes | None) -> dict[str, Any]:
    warned = found.warnings(sample)
    own = found.table[found.table["sample_id"] == sample]
    events = own.loc[own["check"] == "events", "value"]
    return {
        "id": place_name("tube", sample),
        "name": sample,
        "status": worst([status for status in lights if status]),
        "lights": lights,
        "events": f"{int(events.iloc[0]):,}" if len(events) else "",
        "said": [(str(row["status"]), str(row["message"])) for _, row in warned.iterrows()],
        "picture": b64encode(picture).decode() if picture else "",
    }
