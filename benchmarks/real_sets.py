"""Real tubes with what experts found in them, each set as the strategy, tubes and expectations of one study.

Read from the folder of shared data (``IMMUNOLAB_TEST_DATA``, by default ``../shared/data``; sources: its README).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from real_set import ROOT, Expected, Mask, RealSet, data_folder, masked, yaml_strategy

import immunolab as il
from immunolab.events.tube import Channel, Tube
from immunolab.gating.exchange.workspace import read_workspace
from immunolab.gating.strategy_file import builtin_strategy

sys.path.insert(0, str(ROOT / "tests"))  # the helpers of the tests that write published tables as FCS files


# --- HIPC Lyoplate T panel: labels of every event ------------------------------------------------------------
MEMORY = ("naive", "CM", "EM", "TEMRA", "act")
LABELS = {"CD8": (2, 3, 4, 1, 5), "CD4": (7, 8, 9, 6, 10)}
DONORS = {"FTV_1": "1228", "FTV_2": "1228", "FTV_3": "1228", "FTV_4": "1349", "FTV_5": "1349", "FTV_6": "1349",
          "W2_1": "1228", "W2_4": "1349"}  # fmt: skip


HIPC = """
strategy: hipc_t_panel
transform: {default: linear}
populations:
  - {name: CD3, parent: root, any_of: [CD4, CD8]}
  - {name: CD4, parent: root, where: CD4+ CD8-}
  - {name: CD8, parent: root, where: CD8+ CD4-}
  - {name: CD4_naive, parent: CD4, where: CD45RA+ CCR7+}
  - {name: CD4_CM, parent: CD4, where: CD45RA- CCR7+}
  - {name: CD4_EM, parent: CD4, where: CD45RA- CCR7-}
  - {name: CD4_TEMRA, parent: CD4, where: CD45RA+ CCR7-}
  - {name: CD4_act, parent: CD4, where: HLA-DR+ CD38+}
  - {name: CD8_naive, parent: CD8, where: CD45RA+ CCR7+}
  - {name: CD8_CM, parent: CD8, where: CD45RA- CCR7+}
  - {name: CD8_EM, parent: CD8, where: CD45RA- CCR7-}
  - {name: CD8_TEMRA, parent: CD8, where: CD45RA+ CCR7-}
  - {name: CD8_act, parent: CD8, where: HLA-DR+ CD38+}
"""
HIPC_CD3 = HIPC.replace("any_of: [CD4, CD8]", "where: CD3+").replace(
    "parent: root, where: CD4", "parent: CD3, where: CD4"
)
HIPC_CD3 = HIPC_CD3.replace("parent: root, where: CD8", "parent: CD3, where: CD8")


def hipc_tube(name: str) -> tuple[Tube, NDArray[np.int64], Mask]:
    """Return a tube on FlowJo's channel scale 0..4096, the memory class of each event, and which are activated.

    The files list every activated event twice, once as activated and once under its memory class: no gate could tell
    the two apart, and none would pass an F1 of 2/3. Here each event is there once.
    """
    place = data_folder("hipc_tcell_events")
    values = pd.read_csv(place / f"{name}_values.csv.gz", index_col=0)
    labels = pd.read_csv(place / f"{name}_clust.csv.gz", index_col=0)["x"].to_numpy()
    again = np.isin(labels, [codes[4] for codes in LABELS.values()])
    once = values[~again]
    activated = pd.MultiIndex.from_frame(once).isin(pd.MultiIndex.from_frame(values[again]))
    markers = [{"HLADR": "HLA-DR"}.get(column, column) for column in values.columns]
    channels = tuple(Channel(f"{marker}-A", label=marker, marker=marker) for marker in markers)
    columns = np.ascontiguousarray(once.to_numpy(np.float32).T)
    return Tube(columns, channels, None, sample_id=name, file=f"{name}.fcs"), labels[~again], activated


def hipc(text: str = HIPC) -> RealSet:
    """Read eight tubes of gated T cells; the values are transformed already, so the scale is linear."""
    tubes, expected = [], {}
    for name in DONORS:
        tube, labels, activated = hipc_tube(name)
        tubes.append(tube)
        expected[name] = hipc_expected(labels, activated)
    batches = {name: "Yale" if name.startswith("FTV") else "Stanford" for name in DONORS}
    return RealSet(yaml_strategy(text), tubes, expected, DONORS, batches)


def hipc_expected(labels: NDArray[np.int64], activated: Mask) -> list[Expected]:
    """Return what the memory classes and the activated events say of the two lineages."""
    every = np.ones(len(labels), bool)
    found = [masked("CD3", "root", every, every)]
    for name, codes in LABELS.items():
        lineage = np.isin(labels, codes)
        found.append(masked(name, "root", lineage, every))
        for part, code in zip(MEMORY, codes, strict=True):
            events = lineage & activated if part == "act" else labels == code
            found.append(masked(f"{name}_{part}", name, events, lineage))
    return found


# --- Symphony: FlowJo's memberships of five tubes ------------------------------------------------------------
def symphony() -> RealSet:
    """Read five tubes of live cells with FOXP3 and FlowJo's gates of CD3, CD4, CD8 and B cells."""
    place = data_folder("symphony_foxp3_wsp")
    workspace = read_workspace(place / "workspace.wsp")
    tubes, expected, patients, batches = [], {}, {}, {}
    for path in sorted(place.glob("*.fcs")):
        words = path.stem.split("COVID19_")[1]
        name = words.split(" ")[0].replace("changed", "")
        tube = il.read_fcs(path, sample_id=name)
        drawn = il.gate(tube, workspace.strategy_for(tube.file, tube.keywords))
        every = np.ones(len(tube), bool)
        t_cell = drawn.mask("/CD3+")
        expected[name] = [
            masked("CD3", "root", t_cell, every),
            masked("CD4", "CD3", drawn.mask("/CD3+/CD4"), t_cell),
            masked("CD8", "CD3", drawn.mask("/CD3+/CD8"), t_cell),
        ]
        tubes.append(tube)
        patients[name], batches[name] = name.rsplit("_", 1)[0], path.stem.split("samples ")[1][:8]
    return RealSet(builtin_strategy("treg_foxp3"), tubes, expected, patients, batches, ("Treg_FOXP3",))


# --- CytoExploreR: stored gates of mouse activation ----------------------------------------------------------
ACTIVATION = """
strategy: mouse_activation
populations:
  - {name: lymphocytes, parent: root, lymphocytes: {x: FSC-A, y: SSC-A}}
  - {name: singlets, parent: lymphocytes, singlets: {x: FSC-A, y: FSC-H}}
  - {name: dead, parent: singlets, where: Hoechst-405+ Hoechst-430+}
  - {name: viable, parent: singlets, not: dead}
  - {name: T, parent: viable, where: Va2+ CD11c-}
  - {name: DC, parent: viable, where: CD11c+ Va2-}
  - {name: CD4, parent: T, where: CD4+ CD8-}
  - {name: CD8, parent: T, where: CD8+ CD4-}
  - {name: CD4_CD69, parent: CD4, where: CD69+}
  - {name: CD8_CD69, parent: CD8, where: CD69+}
"""
STORED = {
    "lymphocytes": ("root", "Cells"), "viable": ("singlets", "Live Cells"), "T": ("viable", "T Cells"),
    "DC": ("viable", "Dendritic Cells"), "CD4": ("T", "CD4 T Cells"), "CD8": ("T", "CD8 T Cells"),
    "CD4_CD69": ("CD4", "CD69+ CD4 T Cells"), "CD8_CD69": ("CD8", "CD69+ CD8 T Cells"),
}  # fmt: skip


def cytoexplorer() -> RealSet:
    """Read four tubes of a mouse activation study with the gates that its authors stored."""
    from cytoexplorer import strategy_text

    place = data_folder("cytoexplorer_activation")
    stored = yaml_strategy(strategy_text(place))
    paths = {name: f"/{'/'.join(p.path.split('/')[1:])}" for p in stored.populations for name in [p.name]}
    counts = pd.read_csv(place / "reference_counts.csv")
    counts = counts.assign(name=counts["path"].str.rsplit("/", n=1).str[-1]).set_index(["file", "name"])["count"]
    tubes, expected = [], {}
    for path in sorted(place.glob("*.fcs"), key=lambda p: int(p.stem.split("_")[1])):
        tube = il.read_fcs(path, panel=place / "Activation-Experiment-Markers.csv", sample_id=path.stem)
        drawn = il.gate(tube, stored)
        expected[path.stem] = []
        for name, (of, theirs) in STORED.items():
            above = paths[theirs].rsplit("/", 2)[-2] or "root"
            n, n_of = int(counts[path.name, theirs]), int(counts[path.name, above])
            expected[path.stem].append(Expected(name, of, n, n_of, drawn.mask(theirs)))
        tubes.append(tube)
    return RealSet(yaml_strategy(ACTIVATION), tubes, expected)


# --- FlowSOM's mouse spleen: FlowJo's labels of every event --------------------------------------------------
SPLEEN = """
strategy: mouse_spleen
populations:
  - {name: lymphocytes, parent: root, lymphocytes: {x: FSC-A, y: SSC-A, blasts: true}}
  - {name: singlets, parent: lymphocytes, singlets: {x: FSC-A, y: FSC-H}}
  - {name: NK1.1pos, parent: singlets, where: NK1.1+}
  - {name: NK1.1neg, parent: singlets, where: NK1.1-}
  - {name: NK, parent: NK1.1pos, where: CD3-}
  - {name: NKT, parent: NK1.1pos, where: CD3+}
  - {name: B, parent: NK1.1neg, where: CD19+ CD3-}
  - {name: T, parent: NK1.1neg, where: CD3+ CD19-}
  - {name: ab, parent: T, where: TCRb+ TCRgd-}
  - {name: gd, parent: T, where: TCRgd+}
  - {name: CD4, parent: ab, where: CD4+ CD8-}
  - {name: CD8, parent: ab, where: CD8+ CD4-}
"""
DOCUMENTED = "transform: {default: {logicle: {t: 262144, w: 0.5, m: 4.5, a: 0}}, scatter: linear}\n"
SPLEEN_GATES = {
    "NK": ("NK1.1pos", "NK cells"), "NKT": ("NK1.1pos", "NK T cells"), "B": ("NK1.1neg", "B cells"),
    "T": ("NK1.1neg", "T cells"), "gd": ("T", "gd T cells"), "CD4": ("ab", "CD4 T cells"), "CD8": ("ab", "CD8 T cells"),
}  # fmt: skip


def flowsom(head: str = "") -> RealSet:
    """Read one tube of spleen with the gates of its workspace; ``head`` are lines for scales."""
    place = data_folder("flowsom_68983")
    tube = il.read_fcs(place / "68983.fcs", sample_id="68983")
    drawn = il.gate(tube, place / "gating.wsp")
    expected = []
    for name, (of, theirs) in SPLEEN_GATES.items():
        parent = next(p.parent_path for p in drawn.strategy.populations if p.name == theirs)
        expected.append(masked(name, of, drawn.mask(theirs), drawn.mask(parent)))
    return RealSet(yaml_strategy(head + SPLEEN.lstrip()), [tube], {"68983": expected})


# --- Mass cytometry ------------------------------------------------------------------------------------------
def cytof() -> RealSet:
    """Read one file of stimulated cells without B cells, gated by hand as in tests/test_mass_cytometry.py."""
    tube = il.read_fcs(data_folder("cytof_pbmc_stim") / "130515_C2_stim_CD19-.fcs", sample_id="C2_stim")
    every = np.ones(len(tube), bool)
    t_cell = tube["CD3"] > 5
    cd8 = t_cell & (tube["CD8"] > 13)
    cd4 = t_cell & ~cd8 & (tube["CD4"] > np.quantile(tube["CD4"][~t_cell], 0.95))
    expected = [
        masked("CD3", "root", t_cell, every),
        masked("CD4", "CD3", cd4, t_cell),
        masked("T_CD8", "CD3", cd8, t_cell),
        Expected("B", "root", 0, len(tube)),
    ]
    return RealSet(builtin_strategy("cytof"), [tube], {"C2_stim": expected})


def catalyst() -> RealSet:
    """Read eight small tubes of counts; compared are the events whose counts leave no doubt."""
    place = data_folder("catalyst_paired_pbmc") / "catalyst_pbmc"
    panel = pd.read_csv(place / "PBMC_panel.csv")
    sheet = pd.read_csv(place / "PBMC_md.csv")
    channels = tuple(Channel(f"Ch{i}Di", label=a, marker=a, kind="mass") for i, a in enumerate(panel["antigen"]))
    tubes, expected = [], {}
    for i, name in enumerate(sheet["sample_id"], 1):
        counts = pd.read_csv(place / f"V{i}.csv").to_numpy(np.float32)
        tube = Tube(np.ascontiguousarray(counts.T), channels, None, sample_id=name, file=f"{name}.fcs")
        every = np.ones(len(tube), bool)
        t_cell = tube["CD3"] > 30
        sure = {marker: (tube[marker] < 3) | (tube[marker] > least) for marker, least in (("CD3", 30), ("CD4", 60))}
        cd8 = t_cell & (tube["CD4"] < 3) & (tube["CD7"] > 60)
        expected[name] = [
            masked("CD3", "root", t_cell, every, sure["CD3"]),
            masked("CD4", "CD3", t_cell & (tube["CD4"] > 60), t_cell, sure["CD3"] & sure["CD4"]),
            masked("CD8", "CD3", cd8, t_cell, (tube["CD3"] < 3) | cd8 | (t_cell & (tube["CD4"] > 60))),
        ]
        tubes.append(tube)
    patients = dict(zip(sheet["sample_id"], sheet["patient_id"], strict=True))
    return RealSet(builtin_strategy("cytof"), tubes, expected, patients)


# --- sets without labels, or of cells that the strategy does not look for ------------------------------------
def coereba() -> RealSet:
    """Read thirty spectral tubes of T cells sorted by hand for neither CD4 nor CD8: none of either is there."""
    tubes, expected, patients, batches = [], {}, {}, {}
    for path in sorted(data_folder("coereba_spectral_DN_Tcells").glob("*.fcs")):
        batch, name = path.stem.split("_AB_")[1].split("_")[:2]
        sample = f"{name}_{batch}"
        tube = il.read_fcs(path, sample_id=sample)
        tubes.append(tube)
        expected[sample] = [Expected(part, "CD3", 0, len(tube)) for part in ("CD4", "CD8")]
        patients[sample], batches[sample] = name, batch
    return RealSet(builtin_strategy("treg_th17_tfh_teff"), tubes, expected, patients, batches)


ACTIVE_T = """
strategy: active_t
populations:
  - {name: lymphocytes, parent: root, lymphocytes: {x: FSC-A, y: SSC-A}}
  - {name: CD3, parent: lymphocytes, where: CD3+}
  - {name: CD4, parent: CD3, where: CD4+ CD8-}
  - {name: CD8, parent: CD3, where: CD8+ CD4-}
  - {name: CD4_CD69, parent: CD4, where: CD69+}
  - {name: CD8_CD69, parent: CD8, where: CD69+}
"""


def itn() -> RealSet:
    """Read fifteen tubes of an analogue instrument, whose values are linear 1..10,000; nothing to compare with."""
    place = data_folder("itn_tcells") / "itn"
    sheet = pd.read_csv(place / "_phenodata.csv", index_col=0)
    tubes = []
    for name in sheet.index:
        values = pd.read_csv(place / f"{name}.csv").rename(columns={"HLADr": "HLA-DR", "FSC": "FSC-A", "SSC": "SSC-A"})
        kinds = {"FSC-A": "scatter", "SSC-A": "scatter", "Time": "time"}
        channels = tuple(
            Channel(c, label=c, marker=None if c in kinds else c, kind=kinds.get(c, "fluorescence")) for c in values
        )
        columns = np.ascontiguousarray(values.to_numpy(np.float32).T)
        tubes.append(Tube(columns, channels, None, sample_id=name, file=f"{name}.fcs"))
    batches = sheet["SiteCode"].astype(str).to_dict()
    shown = ("lymphocytes", "CD3", "CD4", "CD8", "CD4_CD69", "CD8_CD69")
    return RealSet(yaml_strategy(ACTIVE_T), tubes, {}, {}, batches, shown)


def flowkit_pbmc() -> RealSet:
    """Read one tube of human PBMC; nothing to compare with."""
    tube = il.read_fcs(data_folder("flowkit_bsd") / "100715.fcs", sample_id="100715")
    shown = ("viable", "lymphocytes", "CD3", "CD4", "CD8")
    return RealSet(builtin_strategy("treg_th17_tfh_teff"), [tube], {}, shown=shown)


SETS: dict[str, Callable[[], RealSet]] = {
    "hipc": hipc,
    "hipc_from_CD3": lambda: hipc(HIPC_CD3),
    "hipc_shipped": lambda: replace(hipc(), strategy=builtin_strategy("treg_th17_tfh_teff")),
    "symphony": symphony,
    "cytoexplorer": cytoexplorer,
    "flowsom": flowsom,
    "flowsom_documented_logicle": lambda: flowsom(DOCUMENTED),
    "cytof": cytof,
    "catalyst": catalyst,
    "coereba": coereba,
    "itn": itn,
    "flowkit_pbmc": flowkit_pbmc,
}
"""Name to reader of every set."""
