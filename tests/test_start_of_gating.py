"""What a process loads before it gates, and what it keeps of a gated tube."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from fcs_builder import write_fcs

from immunolab import compiled
from immunolab.events.tube import Channel, Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.strategy import Dimension, Population, Rectangle, Strategy

# placing, following, workspaces, comparison with other gates and studies: none of them is in a file of drawn gates
NOT_NEEDED = (
    "immunolab.gating.placement.fit",
    "immunolab.gating.following.follow",
    "immunolab.gating.reference",
    "immunolab.gating.agreement",
    "immunolab.study.sheet",
    "scipy.linalg",
)
STRATEGY = """
strategy: drawn
transform: {default: {logicle: {t: 262144, w: 0.5, m: 4.5, a: 0}}}
populations:
  - {name: a, parent: root, rectangle: {A: [0.3, null]}}
  - {name: b, parent: a, polygon: {x: A, y: B, points: [[0.2, 0.2], [0.9, 0.3], [0.5, 0.9]]}}
"""
GATE = """
import json, sys
from pathlib import Path
from immunolab.workflow.gate_files import gate_files
folder = Path(sys.argv[1])
gate_files([folder / "one.fcs"], folder / "gates.yaml", folder / "out")
import numba, numpy as np
loaded = sorted(sys.modules)
product = numba.njit(lambda a, b: np.dot(a, b))(np.eye(2), 3.0 * np.eye(2))
print(json.dumps([loaded, product.tolist()]))
"""


def test_drawn_gates_load_nothing_that_they_do_not_use(tmp_path: Path) -> None:
    """A second and 40 MiB of a process's start were imports that no drawn gate needs."""
    rng = np.random.default_rng(0)
    write_fcs(tmp_path / "one.fcs", rng.lognormal(7, 1, (2_000, 2)).astype(np.float32), ["A", "B"])
    (tmp_path / "gates.yaml").write_text(STRATEGY)
    command = [sys.executable, "-c", GATE, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded, product = json.loads(done.stdout.splitlines()[-1])
    assert "numba.np.arraymath" in loaded
    assert [name for name in NOT_NEEDED if name in loaded] == []
    assert product == [[3.0, 0.0], [0.0, 3.0]]  # a loop with linear algebra finds it all the same


def test_populations_of_a_tube_take_a_bit_an_event() -> None:
    n = 100_003  # no multiple of eight, nor of a block
    values = np.random.default_rng(1).random((1, n)).astype(np.float32)
    gates = [Rectangle((Dimension("A", compensation="none"),), (share / 50,), (None,)) for share in range(50)]
    strategy = Strategy("s", tuple(Population(f"/p{i}", gate) for i, gate in enumerate(gates)))
    tube = Tube(values, (Channel("A"),), sample_id="s")
    evaluate(strategy, tube)
    tracemalloc.start()
    found = evaluate(strategy, tube)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1.5 * 50 * n / 8
    assert list(found.masks) == [population.path for population in strategy.populations]
    for share in (0, 1, 37):
        assert np.array_equal(found.masks[f"/p{share}"], values[0] >= share / 50)


@pytest.mark.parametrize("lacks", ["the function", "the module"])
def test_loops_compile_with_a_numba_that_has_other_parts(lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.np import linalg

    if lacks == "the function":
        monkeypatch.delattr(linalg, "ensure_blas")
    else:
        monkeypatch.setitem(sys.modules, "numba.np.arraymath", None)
    before = getattr(linalg, "ensure_blas", None)
    compiled._load_numba.__wrapped__()
    assert getattr(linalg, "ensure_blas", None) is before
