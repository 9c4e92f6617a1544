"""The notebook's carrier of the editor's messages: anywidget, in JupyterLab, Notebook 7 and VS Code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget

from immunolab.editor.editor import Editor

_HERE = Path(__file__).parent


class EditorWidget(anywidget.AnyWidget):
    """Carries messages between the page and an editor; every view of it shows the same editor."""

    _esm = _HERE / "editor.js"
    _css = _HERE / "editor.css"

    def __init__(self, editor: Editor) -> None:
        super().__init__()
        self._editor = editor
        self.on_msg(self._answer)

    def _answer(self, _: Any, message: Any, __: Any) -> None:
        for answer in self._editor.receive(message):
            self.send(answer)
