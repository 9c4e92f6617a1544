"""`Tube.explore` and `GatedTube.explore`: the editor in a notebook, and a picture where no widget can run."""

from __future__ import annotations

from base64 import b64encode
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from immunolab.editor.editor import Editor
from immunolab.events.tube import Tube
from immunolab.gating.strategy import Memberships, Strategy
from immunolab.gating.tubes import GatedTube
from immunolab.plots.figure_files import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EXTRA = 'pip install "immunolab[notebook]"'


class Explorer:
    """An editor of gates in a notebook.

    With the extra ``notebook`` it shows itself as a widget in JupyterLab, Notebook 7 and VS Code; elsewhere (plain
    IPython, an exported notebook) as a picture of the same axes.
    """

    def __init__(self, gated: GatedTube) -> None:
        self.editor = Editor(gated)

    @property
    def gated(self) -> GatedTube:
        """The gated tube with every change so far: a new object, the one given stays as it was."""
        return self.editor.gated

    @property
    def strategy(self) -> Strategy:
        """The strategy with every change so far: a new object, the one given stays as it was."""
        return self.editor.strategy

    @cached_property
    def widget(self) -> Any:
        """The ipywidgets widget, for a layout of one's own.

        Raises
        ------
        ModuleNotFoundError
            The extra ``notebook`` is not installed.
        """
        if find_spec("anywidget") is None:
            raise ModuleNotFoundError(f"the editor in a notebook needs anywidget: {_EXTRA}", name="anywidget")
        from immunolab.editor.widget import EditorWidget

        return EditorWidget(self.editor)

    def figure(self) -> Figure:
        """Return the picture as it is now, as a figure of matplotlib."""
        from immunolab.editor.still import still

        return still(self.editor.scene)

    def __repr__(self) -> str:
        return "\n".join([f"Explorer of {self.gated.sample_id or 'a tube'}: {self._words()}", repr(self.gated)])

    def _words(self) -> str:
        if find_spec("anywidget") is None:
            return f"a picture; to drag gates in a notebook, install the extra: {_EXTRA}"
        return "an editor in JupyterLab, Notebook 7 and VS Code; .figure() draws the picture here"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        picture = b64encode(png(self.figure(), dpi=110)).decode()
        plain: dict[str, Any] = {"text/plain": repr(self), "image/png": picture}
        if find_spec("anywidget") is None:
            return plain
        found = self.widget._repr_mimebundle_()
        shown: dict[str, Any] = found[0] if isinstance(found, tuple) else found or {}
        return {**shown, **plain}


def explore(subject: Tube | GatedTube, *, name: str = "explored") -> Explorer:
    """Return an editor of a tube's gates, which a notebook shows as a widget.

    Parameters
    ----------
    subject
        A gated tube, or a tube to be gated from nothing.
    name
        Of the strategy of a tube to be gated from nothing.
    """
    if isinstance(subject, GatedTube):
        return Explorer(subject)
    return Explorer(GatedTube(subject, Memberships(Strategy(name, ()), {}), ()))
