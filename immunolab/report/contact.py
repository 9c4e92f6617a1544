"""Gating contact sheets: one picture a sample, drawn from its stored gate views."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.plots.drawn_memory import free_drawn
from immunolab.plots.figure_files import QUICK, picture
from immunolab.plots.gate_views import read_views
from immunolab.plots.gates import draw_contact_sheet
from immunolab.results.run import Run
from immunolab.schema.files import write_atomically
from immunolab.study.sheet import Sample
from immunolab.version import code_key

if TYPE_CHECKING:
    from PIL.Image import Image

_COLOURS = 256  # of a sheet: what a PNG's palette holds; its density has fewer


@dataclass(frozen=True)
class Sheet:
    """A sample's contact sheet: its path relative to the page, the views it is drawn from, its title."""

    sample_id: str
    patient_id: str
    visit: str
    link: str
    views: Path
    title: str


def contact_sheets(run: Run) -> list[Sheet]:
    """Return the contact sheets of every measured sample, ``samples/SAMPLE_ID/gating.png``, patient by patient.

    Parameters
    ----------
    run
        Its folder holds the views of each sample.

    Returns
    -------
    list of Sheet
        A patient's visits side by side.
    """
    folder = run.folder / "samples"
    order = {name: i for i, name in enumerate(dict.fromkeys(s.patient_id for s in run.samples))}
    samples = [s for s in run.samples if (folder / s.sample_id / "views.npz").exists()]
    samples.sort(key=lambda s: order[s.patient_id])
    return [_sheet(s, folder / s.sample_id / "views.npz") for s in samples]


def _sheet(sample: Sample, views: Path) -> Sheet:
    title = f"{sample.patient_id}, {sample.visit}, sample {sample.sample_id}"
    link = f"samples/{sample.sample_id}/gating.png"
    return Sheet(sample.sample_id, sample.patient_id, sample.visit, link, views, title)


def draw_sheet(views: Path, title: str) -> Path:
    """Draw a sample's contact sheet beside its views, unless this code drew it from the same views; return its path.

    Parameters
    ----------
    views
        The sample's views.
    title
        Above the sheet.
    """
    from PIL import Image

    target = views.with_name("gating.png")
    source = sha256(views.read_bytes() + title.encode() + code_key().encode()).hexdigest()
    if target.exists():
        with Image.open(target) as old:
            if getattr(old, "text", {}).get("views") == source:
                return target
    free_drawn()
    drawn = picture(draw_contact_sheet(read_views(views), title=title), dpi=150)
    sheet = _in_few_colours(drawn, source)
    write_atomically(target, lambda part: part.write_bytes(sheet))
    return target


def _in_few_colours(drawn: Image, views: str) -> bytes:
    """Return pixels as a PNG in a palette, a third of the size: sheets are most of what a large study stores."""
    from io import BytesIO

    from PIL import PngImagePlugin
    from PIL.Image import Dither, Quantize

    words, buffer = PngImagePlugin.PngInfo(), BytesIO()
    words.add_text("views", views)
    few = drawn.quantize(_COLOURS, method=Quantize.FASTOCTREE, dither=Dither.NONE)
    few.save(buffer, format="PNG", pnginfo=words, compress_level=QUICK)
    return buffer.getvalue()
