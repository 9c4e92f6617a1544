"""What `explore` of a tube returns, for rooms below the editor: they name its module and do not import it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPLORE = "immunolab.editor.explore"  # imported when it is asked for: the editor is above the tubes that it shows


class Explored(Protocol):
    """An editor of a tube's gates; `immunolab.editor.explore.Explorer` in full."""

    @property
    def strategy(self) -> Any:
        """The strategy (`Strategy`) with every change so far."""
        ...

    @property
    def gated(self) -> Any:
        """The gated tube (`GatedTube`) with every change so far."""
        ...

    @property
    def widget(self) -> Any:
        """The widget itself, for a layout of one's own; needs the extra ``notebook``."""
        ...

    def figure(self) -> Figure:
        """Return the picture as it is now, as a figure of matplotlib."""
        ...
