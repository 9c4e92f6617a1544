"""`immunolab.pl` on groups, comparisons and courses: what is drawn is what the tables hold."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from types import ModuleType

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import report_fixture
from figure_checks import unreadable
from planted import planted_tube
from test_docstrings import faults

import immunolab as il
from immunolab.errors import InputError
from immunolab.events.cells import cell_data

mpl.use("agg")
pl = il.pl


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def run():
    return report_fixture.finished_run(report_fixture.tables(visits=("W0", "W2", "W6", "W10")))


@pytest.fixture(scope="module")
def compared():
    rng = np.random.default_rng(0)
    rows = [
        {"id": f"P{k}", "visit": visit, "treg": 4 + 2 * (visit == "W10") + rng.normal(0, 0.3), "crp": 5 + rng.random()}
        for k in range(8)
        for visit in ("W0", "W10")
    ]
    return il.compare(
        pd.DataFrame(rows), patient="id", visit="visit", before="W0", after="W10", value=("treg", "crp"), unit=""
    )


@pytest.fixture(scope="module")
def clustered():
    gated = il.gate(planted_tube(0, 3_000, sample_id="S1")[0], "treg_th17_tfh_teff")
    data = gated.to_anndata()
    il.cluster(data, clusters=6)
    placed = np.full((data.n_obs, 2), np.nan)
    placed[:1_000] = np.random.default_rng(0).normal(size=(1_000, 2))
    data.obsm["X_umap"] = placed
    return gated, data


def title(ax):
    return " ".join(" ".join(ax.get_title(loc) for loc in ("left", "center", "right")).split())


# --- comparisons --------------------------------------------------------------------------------


def test_pairs_of_a_table_are_the_lines_and_the_changes(compared):
    left, right = pl.paired(compared, "treg")
    drawn = [line for line in left.lines if list(line.get_xdata()) == [0, 1] and line.get_transform() == left.transData]
    own = compared.pairs[compared.pairs["endpoint"] == "treg"]
    np.testing.assert_allclose(sorted(line.get_ydata()[1] for line in drawn), sorted(own["after"]))
    points = next(line for line in right.lines if len(line.get_xdata()) == len(own))
    np.testing.assert_allclose(np.sort(points.get_ydata()), np.sort(own["shift"].to_numpy(dtype=float)))
    assert "n = 8 pairs" in title(left.figure.axes[0])


def test_pairs_of_a_run_fit_into_axes_of_the_user(run):
    import matplotlib.pyplot as plt

    _, (one, other) = plt.subplots(1, 2, figsize=(10, 4))
    panels = pl.paired(run, "treg_pct_cd4", ax=one)
    assert all(panel.figure is one.figure for panel in panels)
    assert other.get_title() == ""


def test_the_forest_has_a_row_for_every_endpoint_compared(run, compared):
    for result in (run, compared):
        ax = pl.forest(result)
        texts = [t.get_text() for child in ax.child_axes for t in child.texts]
        assert texts.count(str(int(result.shifts["n_pairs"].iloc[0]))) == len(result.shifts)


def test_a_course_is_drawn_over_study_days_or_over_visits_where_there_are_none(run, compared):
    over_days = pl.course(run, "treg_pct_cd4")
    assert "week" in over_days.get_xlabel()
    over_visits = pl.course(compared, "treg")
    assert [t.get_text() for t in over_visits.get_xticklabels()] == ["W0", "W10"]
    own = compared.pairs[compared.pairs["endpoint"] == "treg"]
    medians = over_visits.lines[-1].get_ydata()
    np.testing.assert_allclose(medians, [own["before"].median(), own["after"].median()])


def test_values_without_a_study_day_are_counted_where_others_have_one(compared):
    levels = compared.levels
    days = np.where(levels["visit"] == "W0", 0.0, 70.0)
    some = replace(compared, levels=levels.assign(study_day=np.where(levels["patient_id"] == "P0", np.nan, days)))
    assert pl.course(some, "treg").get_xlabel().endswith("(2 of 16 values have no study day and are not drawn)")
    every = replace(compared, levels=levels.assign(study_day=days))
    assert "not drawn" not in pl.course(every, "treg").get_xlabel()


def test_a_patient_is_a_page_or_one_endpoint(run):
    patient = run.samples[0].patient_id
    page = pl.patient(run, patient)
    assert len(page) > 2
    assert unreadable(page[0].figure) == []
    ax = pl.patient(run, patient, endpoint="treg_pct_cd4")
    rows = run.endpoints.query("patient_id == @patient and endpoint == 'treg_pct_cd4'")
    drawn = np.concatenate([line.get_ydata() for line in ax.lines if line.get_marker() == "o"])
    np.testing.assert_allclose(np.sort(drawn), np.sort(rows["value"].to_numpy(dtype=float)))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda run: pl.paired(run, "tregs_pct_cd4"), "did you mean 'treg_pct_cd4'?"),
        (lambda run: pl.forest(run, cohort="SLE1"), "there is no cohort 'SLE1'"),
        (lambda run: pl.forest(run.shifts), "DataFrame is no result of a comparison"),
        (lambda run: pl.patient(run, "P99"), "unknown patient 'P99'"),
        (lambda run: pl.patient(run, run.samples[0].patient_id, endpoint="treg"), "there are: treg_pct_cd4"),
        (lambda run: pl.patient(run, run.samples[0].patient_id, ax=object()), "a page of a patient has several panels"),
        (lambda run: pl.ridges(run, "CD4", patient="P99"), "there is no patient 'P99'"),
    ],
)
def test_a_slip_is_answered_with_what_there_is(run, call, text):
    with pytest.raises(InputError) as found:
        call(run)
    assert text in str(found.value)


def test_every_tube_of_a_visit_has_a_row(run, monkeypatch):
    """A stimulated tube and its control are of one visit; the later of the two was the only one drawn."""
    first, *_ = run.samples
    twins = (first, replace(first, sample_id="stimulated"), replace(first, sample_id="cells", modality="single_cell"))
    monkeypatch.setattr(type(run), "samples", twins)
    monkeypatch.setattr(type(run), "tube", lambda _, sample_id: planted_tube(0, 500, sample_id=sample_id)[0])
    ax = pl.ridges(run, "CD4", patient=first.patient_id)
    rows = [text.get_text() for text in ax.get_yticklabels()]
    assert rows == [f"{first.visit} {first.sample_id}", f"{first.visit} stimulated"]


def test_of_several_cohorts_one_has_to_be_named(compared):
    shifts, pairs = compared.shifts, compared.pairs
    from dataclasses import replace

    both = replace(
        compared,
        shifts=pd.concat([shifts.assign(cohort="A"), shifts.assign(cohort="B")]),
        pairs=pd.concat([pairs.assign(cohort="A"), pairs.assign(cohort="B")]),
    )
    for draw in (pl.forest, lambda result, **named: pl.paired(result, "treg", **named)):
        with pytest.raises(InputError, match="there are 2 cohorts\n    hint: name one: cohort='A'; there are: A, B"):
            draw(both)
        draw(both, cohort="B")


# --- clusters and maps --------------------------------------------------------------------------


def test_a_map_counts_the_events_that_are_on_it(clustered):
    gated, data = clustered
    ax = pl.umap(data)
    labels = data.obs["immunolab_cluster_label"].iloc[:1_000].value_counts()
    shown = {text.get_text() for text in ax.get_legend().get_texts()}
    assert shown == {f"{name} (n = {n:,})" for name, n in labels.items() if n}
    inside = int(gated.mask("Treg")[:1_000].sum())
    shown = {text.get_text() for text in pl.umap(data, color="Treg").get_legend().get_texts()}
    assert shown == {f"Treg (n = {inside:,})", f"not Treg (n = {1_000 - inside:,})"}


def test_cells_without_a_cluster_have_no_number_on_the_map():
    clusters = pd.Categorical(["1"] * 3 + ["2"] * 2 + [None] * 2)
    cells = cell_data([f"c{i}" for i in range(7)], ["S"] * 7)
    cells.obs["immunolab_cluster"] = clusters
    cells.obsm["X_umap"] = np.arange(14.0).reshape(7, 2)
    ax = pl.umap(cells, color="immunolab_cluster")
    assert sorted(text.get_text() for text in ax.texts) == ["1", "2"]
    assert "none (n = 2)" in {text.get_text() for text in ax.get_legend().get_texts()}


def test_a_marker_on_a_map_is_on_the_display_scale(clustered):
    _, data = clustered
    ax = pl.umap(data, color="CD4")
    drawn = np.asarray(ax.collections[0].get_array())
    np.testing.assert_allclose(np.sort(drawn), np.sort(np.asarray(data[:, "CD4"].X).ravel()[:1_000]))


def test_profiles_are_the_medians_of_populations(clustered):
    gated, _ = clustered
    ax = pl.profiles(gated, populations=["Treg", "Th17"], markers=["CD25", "CCR6"])
    medians = gated.intensities.set_index(["population", "marker"])["median_intensity"]
    higher = [[medians["Treg", m] > medians["Th17", m] for m in ("CD25", "CCR6")]]
    shown = np.asarray(ax.images[0].get_array())
    assert (shown[0] > shown[1]).tolist() == higher[0]
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names[0].endswith(f"n = {gated.mask('Treg').sum():,})")


def test_profiles_of_clusters_hold_every_event_once(clustered):
    _, data = clustered
    names = [text.get_text() for text in pl.profiles(data).get_yticklabels()]
    assert sum(int(name.rsplit("n = ", 1)[1].rstrip(")").replace(",", "")) for name in names) == data.n_obs


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda data: pl.umap(data, color="CD44"), "there is no 'CD44'"),
        (lambda data: pl.profiles(data, markers=["CD44"]), "there is no marker 'CD44'"),
        (lambda data: pl.profiles(data, populations=["Treg"]), "an AnnData is drawn by cluster"),
        (lambda data: pl.umap(data[:, :3].copy(), color="CD4x"), "there are: label"),
    ],
)
def test_a_slip_on_a_map_is_answered(clustered, call, text):
    with pytest.raises(InputError) as found:
        call(clustered[1])
    assert text in str(found.value)


def test_what_has_to_be_called_first_is_named():
    data = il.gate(planted_tube(0, 800, sample_id="S")[0], "treg_th17_tfh_teff").to_anndata()
    with pytest.raises(InputError, match=r"call immunolab.umap\(data\) first"):
        pl.umap(data)
    with pytest.raises(InputError, match=r"call immunolab.cluster\(data\) first"):
        pl.profiles(data)
    cells = cell_data(["a", "b"], ["S", "S"])
    with pytest.raises(InputError, match=r"these are cells: draw them with immunolab.pl.umap"):
        pl.scatter(cells, "CD4", "CD8")


# --- the namespace ------------------------------------------------------------------------------


def test_every_figure_is_documented_takes_axes_and_keeps_its_options_by_name():
    assert dir(pl) == pl.__all__ == sorted(pl.__all__)
    for name in pl.__all__:
        function = getattr(pl, name)
        assert not isinstance(function, ModuleType)
        [node] = ast.parse(inspect.getsource(inspect.unwrap(function))).body
        assert faults(node) == [], name
        options = inspect.signature(function).parameters
        assert options["ax"].default is None
        assert options["ax"].kind is inspect.Parameter.KEYWORD_ONLY


def test_an_unknown_figure_is_answered_with_a_near_one():
    with pytest.raises(AttributeError, match=r"no figure 'histogramm'; did you mean 'histogram'\?"):
        pl.histogramm  # noqa: B018
