"""Gating contact sheets: one picture a sample, drawn from its stored gate views."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from immunolab.plots.gate_views import read_views
from immunolab.plots.gates import draw_contact_sheet
from immunolab.plots.style import png
from immunolab.report.figures import embedded
from immunolab.report.run_tables import RunTables
from immunolab.study.sheet import Sample

_THUMBNAIL = 0.3  # of the picture's own size


@dataclass(frozen=True)
class Sheet:
    """A sample's contact sheet: where it lies relative to the page, and a small picture (base64 of a PNG)."""

    sample_id: str
    patient_id: str
    visit: str
    link: str
    picture: str


def contact_sheets(run: RunTables, out: Path) -> list[Sheet]:
    """Draw ``samples/SAMPLE_ID/gating.png`` of every measured sample, patient by patient, visits side by side."""
    order = {name: i for i, name in enumerate(dict.fromkeys(s.patient_id for s in run.samples))}
    found = []
    for sample in sorted(run.samples, key=lambda s: order[s.patient_id]):
        views = out / "samples" / sample.sample_id / "views.npz"
        if views.exists():
            picture = draw_sheet(views, _title(sample))
            link = f"samples/{sample.sample_id}/gating.png"
            found.append(Sheet(sample.sample_id, sample.patient_id, sample.visit, link, embedded(picture, _THUMBNAIL)))
    return found


def draw_sheet(views: Path, title: str) -> Path:
    """Draw a sample's contact sheet beside its views, unless it was drawn from the same views, and return its path."""
    from PIL import Image, PngImagePlugin

    target = views.with_name("gating.png")
    source = sha256(views.read_bytes() + title.encode()).hexdigest()
    if target.exists():
        with Image.open(target) as old:
            if getattr(old, "text", {}).get("views") == source:
                return target
    picture = png(draw_contact_sheet(read_views(views), title=title), dpi=150)
    words = PngImagePlugin.PngInfo()
    words.add_text("views", source)
    with Image.open(BytesIO(picture)) as image:
        image.save(target, pnginfo=words, dpi=(150, 150))
    return target


def _title(sample: Sample) -> str:
    return f"{sample.patient_id}, {sample.visit}, sample {sample.sample_id}"
