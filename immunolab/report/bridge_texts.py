"""Long texts of the bridging controls' tables said once: a number in the table, and beside it what each covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from immunolab.schema.bridges import REASONS_JOINED_BY

_MOST_NAMES = 3  # patients or populations that are named; of more, how many (judgement: a line on paper)


@dataclass(frozen=True)
class LongText:
    """The column of a table whose texts repeat from row to row.

    Attributes
    ----------
    column, heading
        Its name, and what the texts are called above their list.
    title
        Of the list.
    covers
        Says of some rows of the table what they are of.
    several
        Whether a text is of several, joined by ``; ``.
    """

    column: str
    heading: str
    title: str
    covers: Callable[[pd.DataFrame, pd.DataFrame], str]
    several: bool = True

    def parts(self, text: object) -> list[str]:
        """Return the texts that a cell holds."""
        if not isinstance(text, str) or not text:
            return []
        return text.split(REASONS_JOINED_BY) if self.several else [text]


def _of_shares(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    return _counted(rows, table, "endpoint", "share")


def _of_pairs(rows: pd.DataFrame, table: pd.DataFrame) -> str:
    return f"{_counted(rows, table, 'endpoint', 'share')}; {_counted(rows, table, 'patient_id', 'patient')}"


def _of_borders(rows: pd.DataFrame, _: pd.DataFrame) -> str:
    """Return the batches, and the borders of each marker."""
    said = []
    for (first, second), own in rows.groupby(["batch_from", "batch_to"], sort=False):
        of = own[own["marker"].fillna("") != ""].groupby("marker", sort=False)["population"].agg(_named)
        borders = "; ".join(f"{marker} of {names}" for marker, names in of.items()) or "all borders"
        said.append(f"batch {first} to {second}: {borders}")
    return "; ".join(said)


def _named(names: pd.Series) -> str:
    known = list(dict.fromkeys(map(str, names)))
    return ", ".join(known) if len(known) <= _MOST_NAMES else f"{len(known)} populations"


def _counted(rows: pd.DataFrame, table: pd.DataFrame, column: str, word: str) -> str:
    """Return the names of a column, or how many of all they are."""
    own, known = list(dict.fromkeys(map(str, rows[column]))), table[column].nunique()
    words = word if known == 1 else f"{word}s"
    if len(own) == known:
        return own[0] if known == 1 else f"all {known} {words}"
    return ", ".join(own) if len(own) <= _MOST_NAMES else f"{len(own)} of {known} {words}"


_LONG = {
    "bridge_shifts": LongText("answer", "what can be answered", "What can be answered", _of_shares, several=False),
    "bridge_pairs": LongText("reason", "reason", "Why pairs are left out", _of_pairs),
    "bridge_moves": LongText("reason", "reason", "Why borders do not follow the bridging control", _of_borders),
}


def said_once(name: str, table: pd.DataFrame) -> tuple[pd.DataFrame, str, pd.DataFrame]:
    """Return a table with numbers for its long texts, the title of their list, and the list.

    Parameters
    ----------
    name
        Of a table of a run; one without such texts is returned as it is, with an empty list.
    table
        Its rows.
    """
    long = _LONG.get(name)
    if long is None:
        return table, "", pd.DataFrame()
    cells = [long.parts(text) for text in table[long.column]]
    texts = list(dict.fromkeys(text for own in cells for text in own))
    if not texts:
        return table.drop(columns=long.column), "", pd.DataFrame()
    found = [
        {"no": str(i), "text": text, "of": long.covers(_holding(table, cells, text, long.several), table)}
        for i, text in enumerate(texts, start=1)
    ]
    shown = table.assign(**{long.column: [", ".join(str(texts.index(text) + 1) for text in own) for own in cells]})
    return shown, long.title, pd.DataFrame(found).rename(columns={"text": long.heading})


def _holding(table: pd.DataFrame, cells: list[list[str]], text: str, several: bool) -> pd.DataFrame:
    """Return the rows that a text is of: alone where it is anywhere, else beside others."""
    alone = [own == [text] for own in cells]
    return table[alone] if several and any(alone) else table[[text in own for own in cells]]
