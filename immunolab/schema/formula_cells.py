"""Text that a spreadsheet would compute on opening a table, written so that it stays text, and read back as it was.

A cell that begins with ``= + - @``, a tab or a carriage return is a formula to Excel and LibreOffice, whatever wrote it
(OWASP, CSV Injection). Such a text gets an apostrophe in front, as one would type it there; so does what follows a
semicolon or a line end inside a text, at which spreadsheets of many countries part cells. Numbers stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

_BEGIN = r"(?:^|(?<=[;\r\n]))"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
# apostrophes that are there already count as part of the text, so that each text has one written form and back
_FORMULA = rf"(?='*[=+\-@\t\r])(?!'*{_NUMBER}(?:\Z|[;\r\n]))"
_COMPUTED = re.compile(_BEGIN + _FORMULA)
_NEUTRALISED = re.compile(_BEGIN + "'" + _FORMULA)


def neutralised(text: str) -> str:
    """Return a text as it is written into a table: with an apostrophe before what a spreadsheet would compute.

    Parameters
    ----------
    text
        Any text; `restored` gives it back.
    """
    return _COMPUTED.sub("'", text)


def restored(text: str) -> str:
    """Return the text that `neutralised` wrote.

    Parameters
    ----------
    text
        A cell of a table.
    """
    return _NEUTRALISED.sub("", text)


def each_text(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a frame with `neutralised` or `restored` texts and names of columns; numbers are not looked at.

    Parameters
    ----------
    frame
        A table.
    change
        Either of the two.
    """
    found = {name: _changed(frame[name], change) for name in frame.columns if not is_number(frame[name])}
    changed = {name: values for name, values in found.items() if values is not None}
    names = {name: change(name) for name in frame.columns if isinstance(name, str) and change(name) != name}
    frame = frame.assign(**changed) if changed else frame
    return frame.rename(columns=names) if names else frame


def is_number(values: pd.Series) -> bool:
    """Whether a column holds numbers or truth values, and no text."""
    return bool(pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values))


def _changed(values: pd.Series, change: Callable[[str], str]) -> pd.Series | None:
    """Return texts that differ after a change, each different one changed once; None where none does."""
    texts = [text for text in values.unique() if isinstance(text, str)]
    others = {text: new for text in texts if (new := change(text)) != text}
    if not others:
        return None
    plain = values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values
    return plain.map(lambda value: others.get(value, value) if isinstance(value, str) else value).astype(plain.dtype)
