"""Each built-in trial, and a made-up one, from simulated tubes to its registered endpoints."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import browser as browsers
import pandas as pd
import pytest
from builders import REPOSITORY
from declarations import undeclared

from immunolab.report.figure import write_figure
from immunolab.report.figures import figures_of
from immunolab.report.page import render
from immunolab.results.findings import findings
from immunolab.results.findings.words import endpoint_name
from immunolab.schema.tables import declared
from immunolab.simulation import simulate
from immunolab.study.endpoints import Endpoint
from immunolab.study.sheet import read_study
from immunolab.study.trial import load_trial
from immunolab.workflow.run import run

# What each registration asks of the cells: endpoint to (subset, denominator or unit, role), and the days between
# the last dose and the compared visit, by the calendar that the registry (or its sister pages) prints.
LYMPHOCYTES, CD4, PER_UL = "lymphocytes", "CD4", "cells/uL"
FOXP3 = {
    "foxp3_treg_pct_lymph": ("Treg_FOXP3", LYMPHOCYTES, "primary"),
    "foxp3_treg_pct_cd4": ("Treg_FOXP3", CD4, "secondary"),
    "treg_foxp3_per_ul": ("Treg_FOXP3", PER_UL, "exploratory"),
}
TREG = {
    "treg_pct_cd4": ("Treg", CD4, "secondary"),
    "treg_pct_lymph": ("Treg", LYMPHOCYTES, "exploratory"),
    "treg_per_ul": ("Treg", PER_UL, "exploratory"),
}
HELPERS = {"th17_pct_cd4": ("Th17", CD4, "secondary"), "tfh_pct_cd4": ("Tfh_eff", CD4, "secondary")}
REGISTERED = {
    "als_nct04952155": TREG
    | HELPERS
    | {
        "teff_pct_cd4": ("Teff", CD4, "secondary"),
        "treg_teff_ratio": ("Treg/Teff", CD4, "secondary"),
        "th17_treg_ratio": ("Th17/Treg", CD4, "secondary"),
    },
    "sle_nct02084238": TREG
    | HELPERS
    | {
        "th1_pct_cd4": ("Th1", CD4, "secondary"),
        "th1_pct_tconv": ("Th1", "Tconv", "exploratory"),
        "th2_pct_cd4": ("Th2", CD4, "secondary"),
        "th2_pct_tconv": ("Th2", "Tconv", "exploratory"),
        "treg_th17_ratio": ("Treg/Th17", CD4, "secondary"),
        "treg_tfh_ratio": ("Treg/Tfh_eff", CD4, "secondary"),
        "tfr_tfh_ratio": ("Tfr/Tfh_eff", CD4, "secondary"),
    },
    "iim_nct04062019": TREG | FOXP3,
    "rp_nct04077736": FOXP3
    | {"treg_teff_ratio": ("Treg/Teff", CD4, "secondary"), "th1_pct_cd4": ("Th1", CD4, "secondary")},
    "pmr_nct04062006": FOXP3 | HELPERS,
}
COMPARED = {  # visit, days since the last dose, state of the cycle
    "als_nct04952155": ("W24", 16, "trough"),
    "sle_nct02084238": ("W10", 2, "peak"),
    "iim_nct04062019": ("W12", 2, "peak"),
    "rp_nct04077736": ("W12", 3, "maintenance"),
    "pmr_nct04062006": ("W12", 3, "maintenance"),
}
CLINICAL = {  # endpoint to the visits it is registered at
    "als_nct04952155": {"alsfrsr_slope_diff": ("W24", "W48"), "nfl_serum": ("W0", "W24", "W48"), "nfl_csf": ("W0",)},
    "sle_nct02084238": {
        "sri": ("W2", "W4", "W6", "W8", "W10"),
        "sledai_change": ("W0", "W10"),
        "c3": ("W0", "W10"),
        "c4": ("W0", "W10"),
        "dsdna": ("W0", "W10"),
        "relapse": ("W24",),
    },
    "iim_nct04062019": {
        **dict.fromkeys(("doi", "mmt8", "cdasi", "phga", "ptga", "acr_eular_tis"), ("W12", "W24")),
    },
    "rp_nct04077736": {"rpdai": ("W0", "W12", "W24"), "chemokine_CCL2": ("W0", "W12", "W24")},
    "pmr_nct04062006": {"pmr_as": ("W0", "W12", "W24"), "phga": ("W12", "W24"), "crp": ("W0", "W4", "W12", "W24")},
}
RESPONDERS = {"sle_nct02084238": {"SRI_4"}, "iim_nct04062019": {"IMACS_DOI", "ACR_EULAR_2016_TIS"}}
PATIENTS = 2


class Run:
    """The tables of one trial's small run."""

    def __init__(self, study: Path, out: Path) -> None:
        self.outcome = run(study, out=out, tables_only=True)
        self.study, self.folder = study, out / "tables"

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / f"{name}.csv")


@pytest.fixture(scope="module", params=list(REGISTERED))
def trial_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Run]:
    folder = tmp_path_factory.mktemp(request.param)
    simulate(request.param, patients=PATIENTS, seed=31, folder=folder / "study", events=2500)
    return request.param, Run(folder / "study", folder / "out")


def _registered(trial: str) -> list[Endpoint]:
    return [e for e in load_trial(trial).endpoints if e.counted]


def test_every_table_column_and_word_is_declared(trial_run: tuple[str, Run]) -> None:
    _, run = trial_run
    assert list(undeclared(run.folder.parent)) == []
    for path in run.folder.glob("*.csv"):
        declared(path.stem).read(path)


def test_every_registered_subset_has_its_denominator(trial_run: tuple[str, Run]) -> None:
    trial, run = trial_run
    assert run.outcome.failed == ()
    endpoints = run.table("endpoints")
    assert {e.id for e in _registered(trial)} <= set(endpoints["endpoint"])
    for name, (population, denominator, _) in REGISTERED[trial].items():
        rows = endpoints[endpoints["endpoint"] == name]
        assert set(rows["population"]) == {population}, name
        assert len(rows) == 2 * PATIENTS, name
        if denominator == PER_UL:
            assert set(rows["unit"]) == {PER_UL}, name
            assert rows["parent"].isna().all(), name
        else:
            assert set(rows["parent"]) == {denominator}, name
            assert set(rows["unit"]) == {"ratio" if "/" in population else "%"}, name


def test_days_since_the_last_dose_are_those_of_the_calendar(trial_run: tuple[str, Run]) -> None:
    trial, run = trial_run
    visit, days, state = COMPARED[trial]
    endpoints = run.table("endpoints")
    own = endpoints[endpoints["endpoint"].isin(REGISTERED[trial])]
    after = own[own["visit"] == visit]
    given = run.study / "doses.csv"
    if given.exists():  # the doses that each patient really had, not the calendar's
        doses = pd.read_csv(given)
        for row in after.itertuples():
            had = doses.loc[doses["patient_id"] == row.patient_id, "study_day"]
            assert row.days_since_last_dose == row.study_day - had[had < row.study_day].max()
    else:
        assert set(after["days_since_last_dose"]) == {days}
    assert set(after["cycle_state"]) == {state}
    before = own[own["visit"] == "W0"]
    assert before["days_since_last_dose"].isna().all()
    assert set(before["cycle_state"]) == {"pre_dose"}
    assert set(own["visit"]) == {"W0", visit}


def test_each_is_compared_once_in_its_role(trial_run: tuple[str, Run]) -> None:
    trial, run = trial_run
    visit = COMPARED[trial][0]
    shifts = run.table("shifts").set_index("endpoint")
    assert shifts.index.is_unique
    for name, (_, _, role) in REGISTERED[trial].items():
        assert shifts.loc[name, "role"] == role, name
        assert shifts.loc[name, "contrast"] == f"{visit} - W0", name
    pairs = run.table("pairs")
    for name in REGISTERED[trial]:
        assert len(pairs[pairs["endpoint"] == name]) == PATIENTS, name


def test_a_percentage_is_of_the_counts_it_names(trial_run: tuple[str, Run]) -> None:
    _, run = trial_run
    counts = run.table("counts").set_index(["sample_id", "population"])["n_events"]
    rows = run.table("endpoints")
    for row in rows[rows["unit"] == "%"].dropna(subset=["parent"]).itertuples():
        share = 100 * counts[row.sample_id, row.population] / counts[row.sample_id, row.parent]
        assert row.value == pytest.approx(share, rel=1e-12)


def test_cells_per_microlitre_come_from_the_lymphocyte_count(trial_run: tuple[str, Run]) -> None:
    _, run = trial_run
    counts = run.table("counts").set_index(["sample_id", "population"])["n_events"]
    given = pd.read_csv(run.study / "samples.csv").set_index("sample_id")["lymphocytes_per_ul"]
    rows = run.table("endpoints")
    absolute = rows[rows["unit"] == PER_UL]
    assert len(absolute)
    for row in absolute.itertuples():
        share = counts[row.sample_id, row.population] / counts[row.sample_id, LYMPHOCYTES]
        assert row.value == pytest.approx(share * given[row.sample_id], rel=1e-9)


def test_gates_find_what_was_planted(trial_run: tuple[str, Run]) -> None:
    _, run = trial_run
    truth = pd.read_csv(run.study / "truth" / "populations.csv").set_index(["sample_id", "population", "parent"])
    rows = run.table("endpoints")
    treg = rows[(rows["population"].isin(["Treg", "Treg_FOXP3"])) & (rows["parent"] == CD4)]
    planted = [truth.loc[(r.sample_id, r.population, CD4), "percent_of_parent"] for r in treg.itertuples()]
    ratio = (treg["value"] / planted).groupby(treg["population"]).median()
    assert ratio.between(0.75, 1.25).all(), ratio.to_dict()  # tubes hold some 30 Treg, so single ones scatter


def test_the_clinic_is_shown_beside_the_cells(trial_run: tuple[str, Run]) -> None:
    trial, run = trial_run
    endpoints = run.table("endpoints")
    for name, visits in CLINICAL[trial].items():
        rows = endpoints[endpoints["endpoint"] == name]
        assert set(visits) <= set(rows["visit"]), name
        assert rows["value"].notna().any() or rows["flag"].str.contains("not_evaluable").all(), name
    assert len(run.table("scores"))
    responders = run.table("responders")
    assert set(responders["score"]) == RESPONDERS.get(trial, set())
    assert (responders["n_evaluable"] == PATIENTS).all()


def test_adverse_events_are_those_of_the_file(trial_run: tuple[str, Run]) -> None:
    _, run = trial_run
    written, table = pd.read_csv(run.study / "adverse_events.csv"), run.table("adverse_events")
    together = table[table["term"] == "any adverse event"].set_index("phase")
    assert list(together.index) == ["baseline", "on_treatment", "follow_up"]
    assert (together["n_patients"] == PATIENTS).all()
    assert together["n_events"].sum() == len(written)
    before = written[written["study_day"] < 1]
    assert together.loc["baseline", "n_events"] == len(before)
    assert together.loc["baseline", "n_with_event"] == before["patient_id"].nunique()
    by_term = table[table["term"] != "any adverse event"].groupby("term")["n_events"].sum()
    assert by_term.to_dict() == written["term"].value_counts().to_dict()
    assert together["n_serious"].sum() == (written["serious"] == "yes").sum()


class FirstScreen(HTMLParser):
    """The headings and the lines of n of the registered endpoints, as the page shows them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.n: list[str] = []
        self._in: list[str] | None = None
        section = html[html.index('<section id="answer"') :]
        self.feed(section[: section.index("</section>")])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "h3":
            self._in = self.headings
        elif tag == "p" and ("class", "n") in attrs:
            self._in = self.n
        elif tag == "a":
            self._in = None
            return
        else:
            return
        self._in.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h3", "p"):
            self._in = None

    def handle_data(self, data: str) -> None:
        if self._in is not None:
            self._in[-1] += data


def test_the_first_screen_has_every_registered_endpoint_in_registry_order(trial_run: tuple[str, Run]) -> None:
    trial, run = trial_run
    page = FirstScreen(render(run.outcome, [], []))
    ranks = ("primary", "secondary", "exploratory")
    names = [endpoint_name(e) for role in ranks for e in load_trial(trial).endpoints if e.role == role]
    shown = [heading.split(": ", 1) for heading in page.headings]
    assert [name.strip().lower() for _, name in shown] == [name.lower() for name in names]
    primary = [e for e in load_trial(trial).endpoints if e.role == "primary"]
    assert [role for role, _ in shown[: len(primary) + 1]] == ["Primary endpoint"] * len(primary) + [
        "Secondary endpoint"
    ]
    assert not [heading for heading in page.headings if re.search(r"[A-Za-z]_[A-Za-z]|\.slope|\bsri\b", heading)]


def test_every_n_of_the_first_screen_equals_the_tables(trial_run: tuple[str, Run]) -> None:
    _, run = trial_run
    page = FirstScreen(render(run.outcome, [], []))
    found = [one for one in findings(run.outcome) if one.verdict != "not_measured"]
    assert len(page.n) == len(found)
    shifts = run.table("shifts").set_index("endpoint")["n_pairs"]
    for line, one in zip(page.n, found, strict=True):
        assert re.match(r"n = (\d+) of (\d+)", line).groups() == (str(one.n), str(PATIENTS))
        compared = [int(shifts[name]) for name in one.measured_as if name in shifts.index]
        assert not compared or one.n == min(compared)
        assert len(one.missing) == PATIENTS - one.n


def test_sentences_of_both_levels_stay_apart(trial_run: tuple[str, Run]) -> None:
    _, run = trial_run
    for one in findings(run.outcome):
        assert not re.search(r"\b[pq] =|odds|logit|Holm|paired t\b", one.plain), one.plain
        assert not re.search(r"[a-z]_[a-z]", one.plain), one.plain


def test_als_suppression_is_compared_and_survival_estimated(trial_run: tuple[str, Run]) -> None:
    trial, run = trial_run
    if trial != "als_nct04952155":
        assert not (run.folder / "time_to_event.csv").exists()
        return
    shift = run.table("shifts").set_index("endpoint").loc["treg_suppression"]
    assert (shift["contrast"], shift["role"], shift["estimate_scale"]) == ("W24 - W0", "secondary", "identity")
    raw = pd.read_csv(run.study / "measurements.csv")
    raw = raw[raw["variable"].str.startswith("Treg_suppression.")]
    mean = {  # four ratios, each half the one before: end points count half
        key: (g["value"].iloc[0] / 2 + g["value"].iloc[1] + g["value"].iloc[2] + g["value"].iloc[3] / 2) / 3
        for key, g in raw.sort_values("variable").groupby(["patient_id", "visit"])
    }
    rows = run.table("endpoints")
    rows = rows[rows["endpoint"] == "treg_suppression"]
    assert {(r.patient_id, r.visit): r.value for r in rows.itertuples()} == pytest.approx(mean)
    survival = run.table("time_to_event").iloc[0]
    outcomes = pd.read_csv(run.study / "outcomes.csv")
    assert (survival["endpoint"], survival["n_with_outcome"]) == ("survival", PATIENTS)
    assert survival["n_events"] == (outcomes["status"] == "event").sum()
    assert set(run.table("survival")["visit"].dropna()) == {"W0", "W24", "W48"}


def test_a_made_up_trial_runs_like_a_built_in_one(tmp_path: Path) -> None:
    """The trial file of the documentation, word for word, over tubes sampled at its visits."""
    study = tmp_path / "study"
    simulate("sle_nct02084238", patients=PATIENTS, seed=31, folder=study, visits=["W0", "W10"], events=2500)
    text = (REPOSITORY / "docs" / "trial_file.md").read_text(encoding="utf-8")
    (study / "mine.yaml").write_text(re.findall(r"```yaml\n(.*?)```", text, re.S)[0], encoding="utf-8")
    sheet = pd.read_csv(study / "samples.csv", dtype=str)
    sheet = sheet.assign(
        study_day=sheet["visit"].map({"W0": "1", "W10": "29"}), visit=sheet["visit"].map({"W0": "V1", "W10": "V3"})
    )
    sheet.to_csv(study / "samples.csv", index=False)
    (study / "crp.csv").write_text(
        "patient_id,visit,variable,value,unit\n"
        + "".join(f"{p},{v},CRP,{x},mg/L\n" for p in sheet["patient_id"].unique() for v, x in (("V1", 20), ("V3", 8)))
    )
    (study / "study.yaml").write_text(
        "study: made up\ntrial: mine.yaml\nsheet: samples.csv\nmeasurements: crp.csv\n"
        "panels: {surface: {strategy: treg_th17_tfh_teff}}\n"
    )
    assert read_study(study).trial is not None
    run = Run(study, tmp_path / "out")
    endpoints, shifts = run.table("endpoints"), run.table("shifts").set_index("endpoint")
    of = endpoints.drop_duplicates("endpoint").set_index("endpoint")
    assert of.loc["treg_pct_cd4", "parent"] == CD4
    assert of.loc["treg_pct_lymph", "parent"] == LYMPHOCYTES
    assert of.loc["treg_per_ul", "unit"] == PER_UL
    assert of.loc["treg_th17", "population"] == "Treg/Th17"
    assert set(endpoints.loc[endpoints["visit"] == "V3", "days_since_last_dose"]) == {3}
    assert shifts.loc["treg_pct_cd4", "role"] == "primary"
    assert shifts.loc["crp", "fold"] == pytest.approx(0.4)
    assert set(shifts["contrast"]) == {"V3 - V1"}


def test_the_report_opens_on_the_primary_endpoint_with_its_figure(trial_run: tuple[str, Run], tmp_path: Path) -> None:
    found = trial_run[1].outcome
    primary = {endpoint.id for endpoint in found.study.endpoints if endpoint.role == "primary"}
    small = [made for made in figures_of(found) if made.section == "small" and made.endpoint in primary]
    page = tmp_path / "report.html"
    page.write_text(render(found, [write_figure(made, tmp_path) for made in small], []), encoding="utf-8")
    with browsers.chromium() as browser:
        for width in (1400, 800, 420):
            with browsers.opened(browser, page, width) as seen:
                assert (seen.problems, seen.requests, browsers.serious(seen.page)) == ([], [], []), width
                if width == 1400:
                    assert browsers.first_screen(seen.page) == ["h1", "sentence", "figure"]
                    first = seen.page.locator("#answer .answer h3").first.inner_text()
                    assert first.startswith("Primary endpoint")
