"""What `immunolab gate` prints: agreement as a plain table, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from immunolab.schema.flags import Flag, flag, shown

_SHOWN = {
    "sample_id": "sample",
    "path": "population",
    "n_there": "n there",
    "n_here": "n here",
    "difference_percent_of_parent": "difference (% of parent)",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "flag": "flag",
}
_LISTED = 60  # populations printed; more are for the file
_LISTED_ALONE = 10  # populations of the other side alone
_WITHHELD = 10  # withheld numbers printed
_DECIMALS = {"difference_percent_of_parent": 3, "precision": 4, "recall": 4, "f1": 4}


def agreement_text(table: pd.DataFrame) -> str:
    """Return an agreement table as aligned text, and the largest difference in words."""
    columns = [name for name in _SHOWN if name not in ("precision", "recall", "f1") or table[name].notna().any()]
    lines = [[_SHOWN[name] for name in columns]]
    listed = table.to_dict("records")
    if len(listed) > _LISTED:
        shared = set(table.loc[table["difference"].notna(), "path"])
        listed = sorted(listed, key=lambda row: _interest(row, row["path"] in shared), reverse=True)[:_LISTED]
    lines += [[_cell(row[name], _DECIMALS.get(name)) for name in columns] for row in listed]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    if len(table) > len(listed):
        shown.append(
            f"... the {_LISTED} largest differences, those of one side first, of {len(table):,}; "
            "agreement.csv has all of them"
        )
    both = [row for row in table.to_dict("records") if row["path"] != "/" and pd.notna(row["difference"])]
    if both:
        shares = [_share(row) for row in both]
        worst = shares.index(max(shares))
        shown.append(
            f"{len(both)} populations counted on both sides; largest difference {shares[worst]:.3f} % of the parent "
            f"({both[worst]['path']}), at most {max(abs(int(row['difference'])) for row in both)} events"
        )
    shown += _by_name(table)
    binned = int((table["flag"] == Flag.DISPLAY_BINS).sum())
    if binned:
        shown.append(
            f"{binned} differ where FlowJo gates polygons and ellipses on a display of 256 bins; geometry here is exact"
        )
        beyond = sum(bool(row["difference"]) and pd.isna(row["flag"]) for row in both)
        shown += [f"differences larger than such bins explain: {beyond}"] if beyond else []
    return "\n".join(shown)


def _by_name(table: pd.DataFrame) -> list[str]:
    """Return which populations of another path are taken as the same, and which have none here."""
    named = table.loc[table["path_there"].notna(), ["path_there", "path"]].drop_duplicates()
    alone = list(dict.fromkeys(table.loc[table["flag"] == Flag.ONLY_THERE, "path"]))
    lines = [f"the same by name: {one} there, {other} here" for one, other in named.itertuples(index=False)]
    if alone:
        more = f" and {len(alone) - _LISTED_ALONE} more" if len(alone) > _LISTED_ALONE else ""
        lines.append(f"no population here is called as these there: {', '.join(alone[:_LISTED_ALONE])}{more}")
    return lines


def review_text(counts: pd.DataFrame) -> str:
    """Return which numbers are withheld, with the reason where there is one, and how many are doubtful; "" for none."""
    withheld, doubtful = [], 0
    for row in counts.to_dict("records"):
        words = shown(row["flag"])
        if words and flag(words[0]).rank == "unusable":
            why = row["reason"] if pd.notna(row["reason"]) else flag(words[0]).meaning
            withheld.append(f"  {row['sample_id']} {row['population']}: {why}")
        doubtful += bool(words) and flag(words[0]).rank == "doubtful"
    more = [f"  and {len(withheld) - _WITHHELD} more"] if len(withheld) > _WITHHELD else []
    lines = [f"withheld, {len(withheld)} of {len(counts)} numbers:", *withheld[:_WITHHELD], *more] if withheld else []
    lines += [f"doubtful, {doubtful} of {len(counts)} numbers: column flag of counts.csv"] if doubtful else []
    return "\n".join(lines)


def failure_lines(failures: pd.DataFrame) -> list[str]:
    """Return one message a failed gate or sample; files that cannot be read are listed elsewhere."""
    rows = failures[failures["stage"] != "read"].to_dict("records")
    return [
        f"{row['file']}  {row['error']}" + (f"\n    hint: {row['hint']}" if pd.notna(row["hint"]) else "")
        for row in rows
    ]


def _interest(row: Mapping[Any, Any], shared: bool) -> tuple[bool, bool, float]:
    """Return what rows are sorted by: counted on one side though shared in other tubes, in both, by difference."""
    alone = row["flag"] in (Flag.ONLY_HERE, Flag.ONLY_THERE)
    return shared and alone, not alone, _share(row)


def _share(row: Mapping[Any, Any]) -> float:
    share = row["difference_percent_of_parent"]
    return 0.0 if pd.isna(share) else abs(float(share))


def _cell(value: Any, decimals: int | None) -> str:
    if value is None or pd.isna(value):
        return ""
    if decimals is not None:
        return f"{float(value):.{decimals}f}"
    return str(int(value)) if isinstance(value, float) else str(value)
