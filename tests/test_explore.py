"""What `explore` returns: a widget with a picture beside it, or the picture alone and which extra to install."""

from __future__ import annotations

import io
import sys
from base64 import b64decode

import gate_scenes as scenes
import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from PIL import Image

_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def explorer():
    return scenes.gated(4_000).explore()


def picture(shown):
    return Image.open(io.BytesIO(b64decode(shown["image/png"])))


def test_a_notebook_gets_a_widget_and_keeps_a_picture(explorer):
    shown = explorer._repr_mimebundle_()
    assert shown[_VIEW]["model_id"] == explorer.widget.model_id
    assert picture(shown).width > 300
    assert "GatedTube S1" in shown["text/plain"]


def test_where_no_widget_can_run_there_is_a_picture_and_the_extra_is_named(explorer, monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    shown = explorer._repr_mimebundle_()
    assert set(shown) == {"text/plain", "image/png"}
    assert 'pip install "immunolab[notebook]"' in repr(explorer)
    monkeypatch.delitem(sys.modules, "immunolab.editor.widget", raising=False)
    with pytest.raises(ImportError, match=r'pip install "immunolab\[notebook\]"'):
        explorer.widget  # noqa: B018


def test_an_exported_notebook_shows_the_picture(explorer):
    shown = explorer._repr_mimebundle_()
    output = nbformat.v4.new_output("execute_result", shown, execution_count=1)
    cell = nbformat.v4.new_code_cell("gated.explore()", outputs=[output], execution_count=1)
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert 'src="data:image/png;base64,' in page
    assert "widget-view" not in page


def test_the_picture_has_the_gate_where_it_was_dragged_to(explorer):
    explorer.editor.receive({"type": "gate", "path": "/cells/CD4"})
    scenes.drop(explorer.editor, "/cells/CD4", "x lower", 0.75, 0.5)
    image = np.asarray(picture(explorer._repr_mimebundle_()).convert("RGB")).astype(int)
    orange = (abs(image - [213, 94, 0]).sum(axis=2) < 60).any(axis=0)
    place = np.flatnonzero(orange).mean() / image.shape[1]
    box = explorer.editor.scene.view().x
    assert place == pytest.approx((17 + 62 * 0.75) / (17 + 62 + 6), abs=0.02)
    assert box.value(0.75) == pytest.approx(
        scenes.active(scenes.state(explorer.editor))["handles"][0]["values"]["x"], rel=1e-3
    )


def test_the_widget_answers_the_page_s_messages(explorer):
    sent = []
    explorer.widget.send = sent.append
    explorer.widget._answer(None, {"type": "gate", "path": "/cells/CD4/box"}, [])
    assert sent[0]["active"] == "/cells/CD4/box"
