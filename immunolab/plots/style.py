"""One look for every figure: sizes, colours, fonts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from immunolab.plots.text_places import keep_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MM = 1 / 25.4  # inches
WIDTH = 180 * MM  # inches: the full width of a printed page's text
HALF = 88 * MM  # inches: one of two columns of a printed page
SMALL = 7.0  # points, the smallest text on any figure

# Okabe and Ito's palette, safe for colour-blind readers (Wong 2011, Nature Methods 8:441).
_BLUE, _ORANGE, _GREEN, _VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
_PURPLE, _SKY, _BLACK = "#CC79A7", "#56B4E9", "#000000"
SUBSET_COLOURS = {
    "Treg": _BLUE,
    "FOXP3": _BLUE,
    "Th17": _ORANGE,
    "Tfh": _GREEN,
    "Teff": _VERMILION,
    "Tconv": _VERMILION,
    "CD4_EM": _VERMILION,
    "Th1": _PURPLE,
    "Th2": _SKY,
    "Tfr": _BLACK,
}
NEUTRAL, MISSING = "#4D4D4D", "#D9D9D9"
VERDICT_COLOURS = {"rise": "#542788", "fall": "#B35806", "within_noise": "#9E9E9E", "not_evaluable": "#FFFFFF"}
VERDICT_SYMBOLS = {"rise": "▲", "fall": "▼", "within_noise": "●", "not_evaluable": "○"}
VERDICT_MARKERS = {"rise": "^", "fall": "v", "within_noise": "o", "not_evaluable": "x"}
ON_CYCLE, LATER_SEGMENT, FOLLOW_UP = "#FBE3C0", "#FDF4E4", "#E3EAF2"
ALARM = "#B00020"
BATCH_COLOURS = (_BLUE, _ORANGE, _GREEN, _VERMILION, _PURPLE, _SKY, _BLACK, NEUTRAL)

_FONT = "DejaVu Sans"  # comes with matplotlib, so text is set alike on every machine
_WIDER = (  # fonts with Chinese letters, the first that is found; TrueType outlines, which a PDF can embed, come first
    "Droid Sans Fallback",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Arial Unicode MS",
    "Noto Sans SC",
    "Noto Sans CJK SC",
)
_WIDER_FILES = (  # Debian's places of the first two, for a font installed after matplotlib listed them
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
)
FONT_NEEDED = "fonts-droid-fallback or fonts-wqy-zenhei (Debian), or another TrueType font with Chinese letters"

_SETTINGS: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "figure.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 0.9,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # a fixed place: seeking one measures every tick twice
    "axes.formatter.useoffset": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # embedded TrueType: journals refuse Type 3
    "pdf.compression": 4,  # zlib's level: a tenth less time than the default's 6, a thirtieth larger
    "svg.hashsalt": "immunolab",
    "svg.fonttype": "path",
    "text.usetex": False,
    "text.parse_math": False,  # a "$" in a user's name is a dollar
    "image.composite_image": False,  # joining a page's densities draws each once more, at the page's size
    "figure.constrained_layout.w_pad": 0.06,
    "figure.constrained_layout.h_pad": 0.05,
}


_inside: ContextVar[bool] = ContextVar("style", default=False)


@contextmanager
def style() -> Iterator[None]:
    """Draw inside with the house style; the caller's rcParams come back afterwards.

    Starts from matplotlib's defaults, so that a figure does not depend on what the caller has set. Works as
    ``with style():`` and as the decorator ``@style()``; inside another such block it costs nothing.
    """
    if _inside.get():
        yield
        return
    import matplotlib as mpl

    keep_places(_inside.get)
    token = _inside.set(True)
    try:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_SETTINGS | {"font.family": fonts()})
            yield
            interactive = mpl.is_interactive()  # a notebook's backend, loaded with its first figure, turns it on
        mpl.interactive(interactive)
    finally:
        _inside.reset(token)


@cache
def fonts() -> list[str]:
    """Return the fonts of every figure: matplotlib's own, then one with Chinese letters where this computer has one."""
    from matplotlib.font_manager import fontManager

    known = {entry.name for entry in fontManager.ttflist}
    for path in map(Path, () if known & set(_WIDER) else _WIDER_FILES):
        if path.exists():
            fontManager.addfont(path)
    found = {entry.name: entry for entry in fontManager.ttflist}
    wider = [name for name in _WIDER if name in found][:1]
    for name in wider:  # also where letters are bold, for want of its own bold
        fontManager.ttflist.append(replace(found[name], weight=700))
    return [_FONT, *wider]


@cache
def _letters(name: str) -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(name)).get_charmap())


def letters_without_font(texts: Iterable[str]) -> str:
    """Return the letters that no font of the figures has: they are drawn as boxes.

    Parameters
    ----------
    texts
        What is written on a figure.
    """
    used = {letter for text in texts for letter in text if ord(letter) > 127}
    return "".join(sorted(x for x in used if not any(ord(x) in _letters(name) for name in fonts())))


def figure(
    width: float = WIDTH, height: float = 80 * MM, *, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """Return an empty figure (inches) that belongs to no window and not to pyplot; a notebook shows it as a value.

    Parameters
    ----------
    width, height
        Size in inches.
    layout
        Matplotlib's layout engine; None leaves the places as they are set.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with style():
        new = _shown_figure()(figsize=(width, height), layout=layout)
    FigureCanvasAgg(new)
    return new


@cache
def _shown_figure() -> type[Figure]:
    """Return the class of figures that a notebook shows whether or not it has loaded pyplot."""
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """A figure that is a picture where it is the value of a cell."""

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=self.dpi)
            return buffer.getvalue()

    return ShownFigure


def axes(ax: Axes | None, width: float = HALF, height: float = 75 * MM) -> Axes:
    """Return ``ax``, or the axes of a new pyplot figure (inches) that a notebook shows by itself.

    Parameters
    ----------
    ax
        Axes of the caller; None makes a new figure.
    width, height
        Size of the new figure in inches.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.tick_params(labelsize=SMALL, width=0.6)
    for text in (ax.xaxis.label, ax.yaxis.label):
        text.set_fontsize(8)
    for side, spine in ax.spines.items():
        spine.set(visible=side in ("left", "bottom"), linewidth=0.6)
    return ax


def colour(population: str) -> str:
    """Return the fixed colour of a subset, whatever its definition; grey for all others and ratios.

    Parameters
    ----------
    population
        Population name, or a ratio ``A/B``.
    """
    if "/" in population:
        return NEUTRAL
    hits = [name for name in SUBSET_COLOURS if population == name or population.startswith((f"{name}_", f"{name} "))]
    return SUBSET_COLOURS[max(hits, key=len)] if hits else NEUTRAL
