"""Places of letters that are kept are those that matplotlib finds, whatever of a text is changed in between."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import RendererSVG

from immunolab.plots.figure_files import save
from immunolab.plots.style import figure, fonts, style

CHANGES = (
    {"fontsize": 12},
    {"rotation": 90},
    {"rotation": 30, "rotation_mode": "anchor"},
    {"ha": "right"},
    {"va": "center_baseline"},
    {"fontweight": "bold"},
    {"text": "Treg\n% of CD4"},
    {"text": "Treg\n% of CD4", "multialignment": "right"},
    {"text": "Treg\n% of CD4", "linespacing": 2},
    {"text": "$x$", "parse_math": True},
    {"text": "$x$", "parse_math": False},
    {"text": "Treg", "fontfamily": "DejaVu Serif"},
)


def _layout(text, renderer):
    bbox, lines, corner = text._get_layout(renderer)
    return bbox.bounds, lines, corner


@pytest.mark.parametrize("dpi", [72, 300])
def test_kept_places_are_those_that_matplotlib_finds(dpi, tmp_path):
    fig = figure(2, 2, layout=None)
    fig.dpi = dpi
    file = (tmp_path / "x.svg").open("w")
    renderers = FigureCanvasAgg(fig).get_renderer(), RendererSVG(144, 144, file, image_dpi=dpi)
    for change in CHANGES:
        for renderer in renderers:
            with style():
                text = fig.text(0.5, 0.5, "12.5 %", family=fonts())
                _layout(text, renderer)  # kept, and no longer right after the change
                text.update(change)
                kept = _layout(text, renderer), _layout(text, renderer)
            own = _layout(text, renderer)  # outside of the style nothing is kept
            assert kept == (own, own), change


def test_a_wrapped_text_is_laid_out_where_it_stands():
    fig = figure(2, 2, layout=None)
    with style():
        text = fig.text(0.0, 0.5, "many words that fill more than one line of two inches", wrap=True)
        renderer = FigureCanvasAgg(fig).get_renderer()
        text.draw(renderer)
        wide = len(text._get_layout(renderer)[1])
        text.set_x(0.8)
        assert len(text._get_layout(renderer)[1]) > wide


def test_a_figure_saved_twice_has_the_same_bytes(tmp_path):
    fig = figure(2, 2)
    fig.add_subplot().set_title("Treg")
    for name in ("a", "b"):
        for suffix in (".pdf", ".svg", ".png"):
            save(fig, tmp_path / f"{name}{suffix}")
    for suffix in (".pdf", ".svg", ".png"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
