"""Figures as pixels and as files that come out the same twice: PNG, PDF, SVG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immunolab.plots.drawing import KeptRenderer, drawn_again
from immunolab.plots.pdf_fonts import lean_fonts
from immunolab.plots.png_file import png_file
from immunolab.plots.style import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

QUICK = 4  # level of compression of pictures of few colours: half the time of the default, a tenth larger


def save(fig: Figure, path: Path, *, dpi: int = 300) -> None:
    """Write a figure as PDF, PNG or SVG (by suffix) with no date or version inside: same figure, same bytes.

    Parameters
    ----------
    fig
        The figure.
    path
        Where to; the suffix names the kind of file.
    dpi
        Dots per inch of a PNG.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        path.write_bytes(png_file(picture(fig, dpi=dpi), dpi))
        return
    metadata: dict[str, dict[str, Any]] = {
        ".pdf": {"CreationDate": None, "ModDate": None, "Producer": "immunolab", "Creator": "immunolab"},
        ".svg": {"Date": None, "Creator": "immunolab"},
    }
    with style(), lean_fonts() if path.suffix == ".pdf" else nullcontext():
        settle(fig)
        fig.savefig(path, dpi=dpi, metadata=metadata[path.suffix])


def settle(fig: Figure) -> None:
    """Lay a figure out once and keep the places, so that saving it again neither moves nor costs anything."""
    layout = fig.get_layout_engine()
    if layout is not None:
        layout.execute(fig)
        fig.set_layout_engine(None)


def picture(fig: Figure, *, dpi: int) -> Image:
    """Return a figure's pixels, red, green and blue, so that one drawing is a file and a picture of the page.

    Parameters
    ----------
    fig
        The figure.
    dpi
        Dots per inch.
    """
    with _agg(fig, dpi) as renderer:
        fig.draw(renderer)
        return _pixels(renderer)


def drawn_once(fig: Figure, *, dpi: int) -> tuple[Image, Figure]:
    """Return a figure's pixels, and a figure that is saved as PDF or SVG in half the time and looks the same.

    Parameters
    ----------
    fig
        The figure.
    dpi
        Dots per inch.
    """
    with _agg(fig, dpi) as renderer:
        kept: Any = KeptRenderer(renderer)
        fig.draw(kept)
        return _pixels(renderer), drawn_again(kept, tuple(fig.get_size_inches()))


@contextmanager
def _agg(fig: Figure, dpi: int) -> Iterator[Any]:
    """Give the renderer of a figure at a resolution, which the figure forgets afterwards."""
    from matplotlib.backend_bases import FigureCanvasBase
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    own = fig.dpi
    with style():
        settle(fig)
        canvas = FigureCanvasAgg(fig)
        fig.dpi = dpi
        try:
            yield canvas.get_renderer()  # type: ignore[no-untyped-call]
        finally:
            fig.dpi = own
            FigureCanvasBase(fig)  # takes the canvas's place: its pixels are let go


def _pixels(renderer: Any) -> Image:
    from PIL.Image import frombuffer

    size = int(renderer.width), int(renderer.height)
    return frombuffer("RGBA", size, renderer.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")


def png(fig: Figure, *, dpi: int = 160) -> bytes:
    """Return a figure as PNG bytes; same figure, same bytes.

    Parameters
    ----------
    fig
        The figure.
    dpi
        Dots per inch.
    """
    return png_file(picture(fig, dpi=dpi), dpi)
