"""A figure drawn once for its files has the PDF and SVG that matplotlib makes by drawing it anew for each."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from immunolab.plots.figure_files import drawn_once, picture, save
from immunolab.plots.style import figure, style

_NUMBER = re.compile(r"-?\d+\.?\d*")


def _drawn() -> Figure:
    with style():
        fig = figure(4.01, 3.003)
        left, right = fig.subplots(1, 2)
        left.plot([0, 1, 2], [1e-3, 3, 2], "o--", label="a line that is long enough to be clipped", clip_on=True)
        left.set(xlim=(0.2, 1.8), xlabel="centred below", ylabel="turned and centred", title="at the left")
        left.text(1.7, 2.5, "ends here", ha="right", rotation=30, rotation_mode="anchor")
        left.scatter([0.5, 1.5], [1, 2], s=[9, 90], c=["#0072B2", "#D55E00"], alpha=0.5, hatch="//")
        shown = right.imshow(np.arange(12.0).reshape(3, 4), interpolation="nearest", aspect="auto")
        shown.set_clip_path(Circle((1.5, 1), 1, transform=right.transData))
        right.pcolormesh([0, 1, 2], [0, 1], [[1, 2]], rasterized=True)
        right.annotate("µ, 中", (1, 1), (1.5, 0.4), ha="center", va="center", arrowprops={"arrowstyle": "->"})
    return fig


def _words(path: Path) -> tuple[list[str], np.ndarray]:
    """Return what a file's drawing consists of, and its numbers."""
    if path.suffix == ".svg":
        text = re.sub(r'clip-path="[^"]*"|id="[^"]*"|#[0-9a-z_]+', "", path.read_text())
    else:
        page = re.search(rb"/FlateDecode[^>]*>>\s*stream\r?\n(.*?)\r?\nendstream", path.read_bytes(), re.DOTALL)
        text = zlib.decompress(page[1]).decode("latin-1")
    return _NUMBER.sub("", text).split(), np.array(_NUMBER.findall(text), dtype=float)


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_file_is_that_of_drawing_anew(tmp_path: Path, suffix: str) -> None:
    pixels, again = drawn_once(_drawn(), dpi=300)
    assert pixels.tobytes() == picture(_drawn(), dpi=300).tobytes()
    save(again, tmp_path / f"again{suffix}")
    save(_drawn(), tmp_path / f"anew{suffix}")
    (words, numbers), (expected, places) = _words(tmp_path / f"again{suffix}"), _words(tmp_path / f"anew{suffix}")
    assert words == expected
    assert len(words) > 100
    np.testing.assert_allclose(numbers, places, atol=0.5)  # points: what is beside letters is where Agg's end


def test_figure_may_change_after_it_was_drawn(tmp_path: Path) -> None:
    fig = _drawn()
    _, again = drawn_once(fig, dpi=300)
    fig.axes[0].set_xlim(5, 6)
    fig.clear()
    save(again, tmp_path / "again.svg")
    save(drawn_once(_drawn(), dpi=300)[1], tmp_path / "other.svg")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_saving_at_another_resolution_is_refused_as_pictures_would_have_another_size(
    tmp_path: Path, suffix: str
) -> None:
    _, again = drawn_once(_drawn(), dpi=150)
    with pytest.raises(ValueError, match="drawn at 150 dots per inch"):
        save(again, tmp_path / f"again{suffix}", dpi=300)
    save(again, tmp_path / f"again{suffix}", dpi=150)
