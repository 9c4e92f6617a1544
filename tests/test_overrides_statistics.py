"""Values under a reader's gate in comparisons: never taken as if the gate had no error, nor its borders as shared."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
from test_comparison_table import AFTER, BEFORE, _with_gates, counts

from immunolab.comparison.noise_sources import Noise
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.schema.gating import THRESHOLDS
from immunolab.study.rows import UNSTIMULATED
from immunolab.workflow.stimulated import _borders_differ, stimulated_tubes


def _limits(rows: pd.DataFrame) -> pd.Series:
    plan = Plan("W0", "W10", test="t", noise=Noise(0.1, 40, gates=False))
    return compare_endpoints(rows, plan).pairs.set_index("patient_id")["limit"]


def test_a_readers_gate_has_the_usual_error_of_a_gate_that_no_other_tube_shares() -> None:
    rows = _with_gates(counts(BEFORE, AFTER), 0.3).assign(gate_scope="patient", flag=None)
    shared, apart = _limits(rows), _limits(rows.assign(gate_scope="sample"))
    by_reader = rows.copy()
    first = by_reader["patient_id"] == by_reader["patient_id"].iloc[0]
    placed = first & (by_reader["visit"] == "W10")
    by_reader.loc[placed, ["gate_low", "gate_high"]] = float("nan")
    by_reader.loc[placed, "gate_scope"] = "sample"
    by_reader.loc[placed, "flag"] = "below_override"
    found, name = _limits(by_reader), by_reader.loc[placed, "patient_id"].item()
    assert found[name] == pytest.approx(apart[name])
    assert found[name] > shared[name]
    pd.testing.assert_series_equal(found.drop(name), shared.drop(name))
    without = _limits(by_reader.assign(flag=None))
    assert without[name] < found[name]  # gates that were drawn state no error


def test_a_stimulated_tube_under_a_readers_gate_has_a_border_of_its_own() -> None:
    samples = [SimpleNamespace(sample_id=name, stimulation=word, culture=("P", "W0", "")) for name, word in
               (("S", "PMA"), ("U", UNSTIMULATED))]  # fmt: skip
    endpoint = SimpleNamespace(population="IFNg")

    def differ(stimulated: float | None, control: float | None) -> bool:
        rows = [{"sample_id": name, "population": "IFNg", "channel": "PE-A", "threshold_raw": value, "method": method,
                 "control": "density", "scope": "sample"}
                for name, value, method in (("S", stimulated, "override"), ("U", control, "valley"))]  # fmt: skip
        tubes = stimulated_tubes(samples, {}, THRESHOLDS.frame(rows))
        return _borders_differ(endpoint, samples, tubes)

    assert not differ(500.0, 500.0)
    assert differ(700.0, 500.0)
    assert differ(None, 500.0)  # a polygon by hand
