"""What a study of thousands of tubes needs beside gating: memory by patient and by measurement stays small."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from immunolab.comparison import paired
from immunolab.comparison.adjusted_flip import adjusted_sign_flip
from immunolab.comparison.multiplicity import max_t
from immunolab.comparison.paired import sign_flip
from immunolab.loaders.measurements import read_measurements

_SHIFTS = np.random.default_rng(3).normal(0.1, 1.0, 1_000)
_OTHERS = np.random.default_rng(4).normal(size=(1_000, 2))


def peak_bytes(work: Callable[[], object]) -> int:
    work()  # what is imported and compiled on the first call is no part of it
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "work",
    [
        lambda: sign_flip(_SHIFTS),
        lambda: adjusted_sign_flip(_SHIFTS, _OTHERS, "age"),
        lambda: max_t(np.column_stack([_SHIFTS, _OTHERS])),
    ],
    ids=["alone", "adjusted", "family"],
)
def test_sign_flips_of_a_thousand_patients_are_not_widened_at_once(work: Callable[[], object]) -> None:
    assert peak_bytes(work) < 60e6  # as float64 the 10,000 vectors alone are 80 MB


@pytest.mark.parametrize("n", [13, 40])
def test_sign_flips_in_blocks_are_those_at_once(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shifts, others = _SHIFTS[:n], _OTHERS[:n]
    tests = [
        lambda: sign_flip(shifts),
        lambda: adjusted_sign_flip(shifts, others, "age"),
        lambda: max_t(np.column_stack([shifts, others])).step_down.tolist(),
    ]
    at_once = [test() for test in tests]
    monkeypatch.setattr(paired, "_BLOCK", 7 * n)
    for whole, test in zip(at_once, tests, strict=True):
        numbers = [
            (e.p_value, e.estimate, e.ci_low, e.ci_high) if hasattr(e, "p_value") else e for e in (whole, test())
        ]
        assert numbers[1] == pytest.approx(numbers[0], rel=1e-12)


def test_a_long_table_is_read_in_less_than_a_kilobyte_a_row(tmp_path: Path) -> None:
    lines = (
        f"P{patient:04d},{visit},{variable},{patient % 97}.5,pg/mL"
        for patient in range(500)
        for visit in ("W0", "W4")
        for variable in ("IL-2", "IL-6")
    )
    path = tmp_path / "measurements.csv"
    path.write_text("\n".join(["patient_id,visit,variable,value,unit", *lines]))
    found: list[int] = []
    peak = peak_bytes(lambda: found.append(len(read_measurements(path))))
    assert found[-1] == 2_000
    assert peak / found[-1] < 1_100  # cells kept twice, with a text for the place of each, were 1,600
