"""Every table, column, flag, check and code that leaves the program is declared once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from source_trees import PACKAGE, trees

from immunolab.schema import flags
from immunolab.schema.cells import CLUSTERS, PROFILES
from immunolab.schema.comparison import SHIFTS
from immunolab.schema.csv_files import MISSING_NUMBERS, MISSING_RESULTS, read_text
from immunolab.schema.flags import Check, Code, Flag, count_flags, flag, split
from immunolab.schema.gating import COUNTS
from immunolab.schema.tables import ALL, declared

FLAG_NAMES = {"flag", "flags", "words"}  # names that hold flags; what is assigned, appended or returned there is one
FLAG_RECORDS = {"Cut", "Band", "Cloud", "Corner", "Region"}  # records of placement whose last texts are flags


def test_a_table_or_a_column_that_is_not_declared_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="'shift' is not declared"):
        declared("shift")
    frame = SHIFTS.empty().assign(n_unpaired=1)
    with pytest.raises(ValueError, match="n_unpaired"):
        SHIFTS.write(frame, tmp_path / "shifts.csv")
    assert list(tmp_path.iterdir()) == []
    assert declared("expression_Treg").name == "expression_*"
    assert PROFILES.column("median_CD4").kind == "number"


def test_columns_of_the_users_own_follow_the_declared_ones_where_a_table_says_so(tmp_path: Path) -> None:
    sheet = declared("study/samples")
    frame = pd.DataFrame(
        {"sample_id": ["a"], "patient_id": "p", "visit": "W0", "file": "a.fcs", "batch": "B1", "diagnosis": "DM"}
    )
    sheet.write(frame, tmp_path / "samples.csv")
    assert (tmp_path / "samples.csv").read_text().splitlines()[0].endswith(",diagnosis")


def test_what_is_written_is_what_is_read_back(tmp_path: Path) -> None:
    rows = [{"sample_id": "NA", "event": 0, "cluster": 1, "label": ""}, {"sample_id": "b", "event": 1}]
    written = CLUSTERS.write(pd.DataFrame(rows), tmp_path / "clusters.csv")
    pd.testing.assert_frame_equal(written, CLUSTERS.read(tmp_path / "clusters.csv"))
    assert written["sample_id"].tolist() == ["NA", "b"]
    assert written["label"].isna().all()


def test_names_keys_and_files_of_the_declarations_agree() -> None:
    for name, table in ALL.items():
        assert name == table.name
        assert table.files, name
        columns = [column.name for column in table.columns]
        assert len(set(columns)) == len(columns), name
        assert set(table.key) <= set(columns), name
        assert all(column.meaning for column in table.columns), name


def test_every_file_belongs_to_one_table() -> None:
    files = [file for table in ALL.values() for file in table.files]
    assert len(set(files)) == len(files)


def test_counts_of_events_and_of_cells_are_flagged_by_one_rule() -> None:
    assert count_flags(0, 0) == ["empty_parent", "below_lod"]
    assert count_flags(19, 1000) == ["below_lod"]
    assert count_flags(20, 1000) == ["below_loq"]
    assert count_flags(50, 1000) == []


def test_a_word_is_found_by_its_text_and_a_numbered_one_by_its_letter() -> None:
    assert flag("mean_of_3") is Flag.MEAN_OF_N
    assert Code("W_TIES").rank == "note"
    with pytest.raises(ValueError, match="few_events"):
        flag("few_events")
    assert split("a;b") == ["a", "b"]
    assert split(pd.NA) == []


def test_no_flag_is_spelled_in_the_code_without_being_declared() -> None:
    """Texts given to a flag: by keyword, in a record's flags, in a list or a name that holds flags."""
    undeclared = []
    for path, tree in trees().items():
        for line, word in _flag_texts(tree):
            try:
                flag(word)
            except ValueError:
                undeclared.append(f"{path}:{line} {word}")
    assert undeclared == []


def _flag_texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        given: list[ast.AST] = []
        if (isinstance(node, ast.keyword) and node.arg in FLAG_NAMES) or (
            isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id in FLAG_NAMES - {"words"} for t in node.targets)
        ):
            given = [node.value]
        elif isinstance(node, ast.Dict):
            given = [
                v
                for k, v in zip(node.keys, node.values, strict=True)
                if isinstance(k, ast.Constant)
                and k.value == "flag"
                and not (isinstance(v, ast.Constant) and v.value == "flag")
            ]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FLAG_RECORDS:
            given = [a for a in node.args if isinstance(a, ast.Tuple)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append":
            holder = node.func.value
            given = node.args if isinstance(holder, ast.Name) and holder.id in FLAG_NAMES - {"words"} else []
        for value in given:
            yield from _texts(value)


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the texts that an expression gives: alone, in a tuple or list, or by a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.lineno, node.value
    elif isinstance(node, ast.Tuple | ast.List):
        for part in node.elts:
            yield from _texts(part)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.BinOp):
        yield from _texts(node.left)
        yield from _texts(node.right)
    elif isinstance(node, ast.Starred):
        yield from _texts(node.value)


def test_the_walk_over_the_code_sees_flags() -> None:
    text = """
flags.append("x")
flag = "y" if a else ""
row = {"flag": None if b else "z"}
heading = {"flag": "flag"}
Cut(1, (*f, "w"))
Score(1, flag="v")
"""
    assert {word for _, word in _flag_texts(ast.parse(text))} == {"x", "y", "z", "w", "v"}


def test_every_declared_word_is_used() -> None:
    code = "".join(path.read_text() for path in sorted(PACKAGE.rglob("*.py")) if path.name != "flags.py")
    code += (PACKAGE / "schema" / "flags.py").read_text().partition("UNQUANTIFIED =")[2]
    code += '"mean_of_N"' * ("mean_of_{" in code)
    unused = [
        f"{kind.__name__}.{word.name}"
        for kind in (Flag, Check, Code)
        for word in kind
        if not any(text in code for text in (f"{kind.__name__}.{word.name}", f'"{word}"', f'"{word}: '))
    ]
    assert unused == []


def test_words_for_missing_are_in_one_place(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\nNA,\n")
    assert read_text(path).to_dict("records") == [{"a": "NA", "b": ""}]
    assert "" in MISSING_NUMBERS & MISSING_RESULTS
    readers = [
        str(p.relative_to(PACKAGE))
        for p in sorted(PACKAGE.rglob("*.py"))
        if "read_csv(" in p.read_text().replace("anndata.io.read_csv(", "") or "to_csv(" in p.read_text()
    ]
    assert readers == ["schema/csv_files.py", "schema/table.py", "workflow/cluster_files.py"]


def test_ranks_are_three() -> None:
    assert {word.rank for kind in (Flag, Check, Code) for word in kind} == {"unusable", "doubtful", "note"}
    assert all(word in Flag for word in flags.UNQUANTIFIED)
    assert COUNTS.column("flag").nullable
