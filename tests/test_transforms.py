"""Display scales: tables against the reference arithmetic, inverses, and values at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from flowutils import transforms as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from immunolab.events.interpolation import _SHIFT, _loop, _plain
from immunolab.events.transforms import (
    Asinh,
    Biex,
    Bounded,
    Hyperlog,
    Identity,
    Linear,
    Log,
    Logicle,
    ScaledAsinh,
    _table,
    noise_cofactor,
    scale_from_text,
)

PARAMETERS = [
    (262144.0, 0.5, 4.5, 0.0),
    (262144.0, 0.0, 4.5, 0.0),
    (262144.0, 2.25, 4.5, 0.0),
    (262144.0, 1.0, 4.5, 1.0),
    (262144.0, 0.1, 7.0, 0.0),
    (4194304.0, 0.5, 5.5, 0.0),
    (10000.0, 0.5, 4.5, 0.5),
    (1000.0, 1.0, 4.0, 0.0),
    (1.0, 0.5, 4.5, 0.0),
]


def spread(top: float) -> np.ndarray:
    """Values of both signs from far below the linear region to far beyond the top."""
    rng = np.random.default_rng(11)
    magnitudes = 2.0 ** rng.uniform(-18, 60, 40_000) * top / 262144
    signs = np.where(rng.random(40_000) < 0.5, -1.0, 1.0)
    return np.concatenate([magnitudes * signs, rng.uniform(-top, top, 40_000), [0.0, top, -top, 1e30, -1e30]])


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_logicle_is_the_reference_to_a_billionth(parameters: tuple[float, float, float, float]) -> None:
    t, w, m, a = parameters
    values = spread(t)
    expected = reference.logicle(values.reshape(-1, 1).copy(), [0], t=t, m=m, w=w, a=a).ravel()
    assert np.abs(Logicle(t, w, m, a).apply(values) - expected).max() < 1e-9
    assert _table(Logicle(t, w, m, a)) is not None


@pytest.mark.parametrize("parameters", [p for p in PARAMETERS if p[1] > 0])
def test_hyperlog_is_the_reference_to_a_billionth(parameters: tuple[float, float, float, float]) -> None:
    t, w, m, a = parameters
    values = spread(t)
    expected = reference.hyperlog(values.reshape(-1, 1).copy(), [0], t=t, m=m, w=w, a=a).ravel()
    assert np.abs(Hyperlog(t, w, m, a).apply(values) - expected).max() < 1e-9


def test_a_scale_that_no_table_fits_is_calculated_exactly() -> None:
    unusual = Logicle(262144.0, -0.2, 4.5, 0.5)
    values = np.array([1e3, 1e4, 1e5])
    assert _table(unusual) is None
    assert np.array_equal(unusual.apply(values), unusual.exact(values))


def test_compiled_and_plain_tables_agree_to_the_last_bit() -> None:
    table = _table(Logicle())
    assert table is not None
    values = spread(262144.0)
    count = table.pieces.shape[0] // 2 - 1
    plain, compiled = np.full_like(values, 7.0), np.full_like(values, 7.0)
    arguments = values.view(np.int64), values, table.pieces, table.first, count, table.smallest, _SHIFT
    n_plain, n_compiled = _plain(*arguments, plain), _loop(*arguments, compiled)
    inside = np.abs(values) < 2.0**22
    assert n_plain == n_compiled > 0
    assert np.array_equal(plain[inside], compiled[inside])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-3e5, 3e5), min_size=2, max_size=50))
def test_logicle_never_turns_two_values_round(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    assert (np.diff(Logicle().apply(ordered)) >= -1e-10).all()


@pytest.mark.parametrize(
    "scale",
    [
        Logicle(),
        Hyperlog(262144.0, 0.5, 4.5),
        Asinh(5.0),
        ScaledAsinh(262144.0, 4.5, 0.5),
        Linear(262144.0, 100.0),
        Biex(),
        Biex(negative=1.0, width=-100.0),
    ],
)
def test_inverses_lead_back(scale: object) -> None:
    values = np.linspace(-100, 2e5, 5001)
    back = scale.inverse(scale.apply(values))  # type: ignore[attr-defined]
    inside = values > -20  # below, the biexponential table ends
    assert np.allclose(back[inside], values[inside], rtol=1e-6, atol=1e-5)


def test_log_inverse() -> None:
    values = np.geomspace(1, 1e5, 100)
    assert np.allclose(Log(262144.0, 4.5).inverse(Log(262144.0, 4.5).apply(values)), values)


@pytest.mark.parametrize("settings_", [(0, -10, 4.41854), (0, -100, 4.41854), (1, -31.6, 4.5), (0.5, -1000, 5.0)])
def test_biex_is_flowkit_s(settings_: tuple[float, float, float]) -> None:
    from flowkit import transforms

    negative, width, positive = settings_
    values = spread(262144.0)
    expected = transforms.WSPBiexTransform(negative, width, positive, 262144.000029).apply(values) / 4096
    assert np.abs(Biex(negative, width, positive).apply(values) - expected).max() < 1e-9


def test_values_at_the_edge() -> None:
    shown = Logicle().apply(np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 0.0]))
    assert np.isnan(shown[0])
    assert np.isfinite(shown[1:]).all()
    assert shown[1] >= shown[3] > 1 > shown[5] > 0 > shown[4] >= shown[2]
    assert Logicle().apply(262144.0) == pytest.approx(1.0, abs=1e-10)
    assert Logicle().apply(np.zeros((2, 3))).shape == (2, 3)
    assert Logicle().apply([]).shape == (0,)


def test_loops_compile_where_nothing_can_be_kept_on_disk(monkeypatch) -> None:
    from numba.core import caching

    from immunolab.compiled import jit

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])  # a read-only package, and no home folder

    def total(values):
        found = 0.0
        for value in values:
            found += value
        return found

    assert jit(total)(np.arange(5.0)) == 10.0


@pytest.mark.parametrize(
    ("scale", "cofactor"),
    [
        (Asinh(5.0), 5.0),
        (ScaledAsinh(262144.0, 3.0), 262144.0 / np.sinh(3.0 * np.log(10.0))),
        (Logicle(), None),
        (Logicle(w=1.0), None),
        (Bounded(Logicle(w=0.2), 0.0, 1.0), None),
        (Bounded(Log(262144.0, 4.5), 0.0, 1.0), "none"),
        (Log(262144.0, 4.5), "none"),
        (Linear(262144.0), "none"),
        (Identity(), "none"),
    ],
    ids=repr,
)
def test_the_cofactor_near_zero_is_that_of_an_arcsinh_like_the_scale(scale, cofactor):
    found = noise_cofactor(scale)
    if cofactor == "none":
        assert found is None
    elif cofactor is not None:
        assert found == pytest.approx(cofactor, rel=0.01)
    else:  # display distance of a factor e far from zero (m decades to 1), by the slope of the inverse at zero
        zero = scale.apply(np.zeros(1))
        slope = (scale.inverse(zero + 1e-4) - scale.inverse(zero - 1e-4)) / 2e-4
        assert found == pytest.approx(slope[0] / (4.5 * np.log(10.0)), rel=0.02)


@pytest.mark.parametrize(
    "scale",
    [
        *(Asinh(150.0), Asinh(np.float64(150.0)), Asinh(150), Logicle(), Biex(), Identity()),
        *(Bounded(Log(262144.0, 4.5), 0.0, 1.0), Bounded(Logicle()), Bounded(Asinh(150.0), low=-0.5)),
    ],
    ids=repr,
)
def test_a_scale_is_read_back_from_its_text(scale):
    assert scale_from_text(repr(scale)) == scale


@pytest.mark.parametrize("text", ["", "nan", "Path(a=1)", "Asinh(150", "Asinh(unit=3)", "__import__('os')"])
def test_other_words_are_no_scale(text):
    assert scale_from_text(text) is None
