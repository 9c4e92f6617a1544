"""Labels, panels and panel files: every spelling finds its marker, and nothing finds a wrong one."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml
from builders import REFERENCE, data_folder
from hypothesis import given
from hypothesis import strategies as st

from immunolab.errors import GatingError, InputError, nearest
from immunolab.events.tube import Tube
from immunolab.loaders.cell_features import isotype_columns, protein_markers
from immunolab.vocabulary.lexicon import markers, spellings
from immunolab.vocabulary.panel import read_panel, resolve_channels, resolve_label

LABELS = yaml.safe_load((REFERENCE / "marker_labels.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("label", "marker"), LABELS.items())
def test_labels_met_in_practice_name_their_marker(label, marker):
    assert resolve_label(label).marker == marker


@pytest.mark.parametrize(
    ("label", "marker", "dye"),
    [
        ("CD25 BV421", "CD25", "BV421"),
        ("BV421-CD25", "CD25", "BV421"),
        ("153Eu_CD25_IL-2Ra", "CD25", "153Eu"),
        ("CD197 (CCR7)", "CCR7", None),
        ("PD1", "PD-1", None),
        ("PD-1", "PD-1", None),
        ("HLADR", "HLA-DR", None),
        ("FoxP3", "FOXP3", None),
        ("LIVE DEAD", "Viability", None),
        ("CD127 (IL-7Rα)", "CD127", None),
        ("IFN-γ APC", "IFN-g", "APC"),
        ("CD62L PerCP-Cy5-5", "CD62L", "PerCP-Cy5.5"),
        ("CD4PECy7", "CD4", "PE-Cy7"),
        ("CD45RA Spark UV 387", "CD45RA", "Spark UV 387"),
        ("CXCR5 RealBlue 780", "CXCR5", "RB780"),
        ("CD8 cFluor R659", "CD8", "cFluor R659"),
        ("CD4 eFluor 780", "CD4", "eFluor 780"),
        ("eFluor 780", "Viability", "eFluor 780"),
        ("Zombie NIR", "Viability", "Zombie NIR"),
        ("FVS780", "Viability", "FVS780"),
        ("CD14/CD19", "dump", None),
        ("VIVID / CD14", "Viability", "LIVE/DEAD ViViD"),
        ("CD8 SK1 PerCP", "CD8", "PerCP"),
        ("CD16+CD56 PE", "CD16CD56", "PE"),
        ("Comp-BV421-A", None, "BV421"),
    ],
)
def test_label_gives_marker_and_dye(label, marker, dye):
    found = resolve_label(label)
    assert (found.marker, found.fluorochrome) == (marker, dye)


@pytest.mark.parametrize(
    ("label", "marker"),
    [
        ("CD45", "CD45"),
        ("CD45RA", "CD45RA"),
        ("CD45-RO", "CD45RO"),
        ("CD3", "CD3"),
        ("CD38", "CD38"),
        ("CD39", "CD39"),
        ("CD8", "CD8"),
        ("CD80", "CD80"),
        ("CD3 zeta", "CD247"),
        ("PD-L1", "PD-L1"),
        ("PDL1 PE", "PD-L1"),
        ("IL-2", "IL-2"),
        ("IL-2Ra", "CD25"),
        ("CD161c", "NK1.1"),
    ],
)
def test_look_alikes_are_distinguished(label, marker):
    assert resolve_label(label).marker == marker


@pytest.mark.parametrize(
    ("label", "marker"),
    [
        ("CD57", "CD57"),
        ("ccr5", "CCR5"),
        ("CD11c", "CD11c"),
        ("CD 64", "CD64"),
        ("KI67", "Ki-67"),
        ("CD49d", "CD49d"),
        ("TCRgd", "TCRgd"),
        ("TCR γδ", "TCRgd"),
        ("Va2", "Va2"),
        ("IL-9", "IL-9"),
        ("CXCR6", "CXCR6"),
        ("IgD", "IgD"),
        ("CD112 PE", "CD112"),
        ("pStat5", "pSTAT5"),
    ],
)
def test_markers_outside_the_trial_panels(label, marker):
    assert resolve_label(label).marker == marker


@pytest.mark.parametrize(
    "label", ["", "Smith", "FL1-Lin", "FL1 INT LIN", "488-710/45", "B1-A", "V2-A", "CD4 CD8", "AB_01", "xxxx"]
)
def test_no_marker_is_guessed(label):
    assert resolve_label(label, "FL1-H").marker is None


def test_a_dye_of_a_detector_is_never_a_marker():
    assert resolve_label("", "7-AAD-A").marker is None
    assert resolve_label("7-AAD-A", "7-AAD-A").marker is None
    assert resolve_label("7-AAD", "FL3-A").marker == "Viability"
    assert resolve_label("", "BV421-A").fluorochrome == "BV421"


@pytest.mark.parametrize(
    ("channel", "label", "kind"),
    [
        ("FSC-A", "", "scatter"),
        ("fsc-h", "FSC-Height", "scatter"),
        ("FSC1-H", "", "scatter"),
        ("SSC-B-W", "", "scatter"),
        ("FS Lin", "FS", "scatter"),
        ("SS INT LIN", "", "scatter"),
        ("FSC PMT-A", "", "scatter"),
        ("FSCW", "", "scatter"),
        ("405nm 405SSC (405/10) LogH", "", "scatter"),
        ("Time", "Time (102.40 sec.)", "time"),
        ("HDR-T", "", "time"),
        ("TIME2", "Time MSW", "time"),
        ("Event_length", "", "other"),
        ("Center", "", "other"),
        ("Ce140Di", "140Ce_beads", "other"),
        ("Eu153Di", "153Eu_CD25", "mass"),
        ("CD3(110:114)Dd", "", "mass"),
        ("pNFkB(Nd142)Dd", "", "mass"),
        ("FL1-H", "CD3 FITC", "fluorescence"),
        ("BV421-A", "", "fluorescence"),
    ],
)
def test_kind_of_channel(channel, label, kind):
    assert resolve_label(label, channel).kind == kind


def test_marker_in_the_channel_name_counts_when_the_label_is_blank():
    assert resolve_label("", "CD4(Nd145)Dd") == resolve_label("145Nd_CD4", "Nd145Di")
    assert resolve_label("", "CD25").marker == "CD25"


def test_every_spelling_of_the_vocabulary_finds_a_known_marker():
    names = set(markers()) | {
        "GFP",
        "YFP",
        "CFP",
        "RFP",
        "BFP",
        "mCherry",
        "tdTomato",
        "mScarlet",
        "CFSE",
        "CTV",
        "CTFR",
    }
    claimed = {m.marker for m in spellings().values() if m.marker}
    assert claimed <= names
    for name, marker in markers().items():
        for spelling in (name, *marker.syn):
            assert resolve_label(spelling).marker == name, spelling


@given(
    st.sampled_from(sorted(markers())),
    st.sampled_from(["BV421", "PE-Cy7", "APC-R700", "BUV395", "FITC", "Alexa Fluor 647"]),
    st.sampled_from([" ", "-", "_", "/", " :: ", ";"]),
    st.booleans(),
    st.booleans(),
)
def test_order_case_and_separator_do_not_matter(marker, dye, separator, dye_first, upper):
    label = separator.join((dye, marker) if dye_first else (marker, dye))
    found = resolve_label(label.upper() if upper else label)
    assert (found.marker, found.fluorochrome) == (marker, dye)


@given(st.text(max_size=40), st.text(max_size=20))
def test_any_text_is_survived(label, channel):
    assert resolve_label(label, channel).kind in ("scatter", "time", "mass", "fluorescence", "other")


def _events(names, labels, panel=None):
    return Tube(np.zeros((len(names), 1), np.float32), resolve_channels(names, labels, panel))


def test_one_marker_on_two_channels_stays_ambiguous():
    events = _events(["PE-A", "APC-A"], ["CCR7", "CD197 APC"])
    with pytest.raises(GatingError, match=re.escape("marker 'CCR7' is on several channels: PE-A, APC-A")):
        events.find("CCR7")
    assert events.find("APC-A") == 1


def test_area_height_and_width_of_one_detector_are_one_measurement():
    names = ["BV421-A", "BV421-H", "BV421-W", "FL2-Height", "FL2-Width", "PE-A", "APC-H"]
    labels = ["CD4", "CD4", "CD4", "CD3 PE", "CD3 PE", "CD8", "CD8"]
    channels = resolve_channels(names, labels)
    assert [c.marker for c in channels] == ["CD4", None, None, "CD3", None, "CD8", "CD8"]
    assert _events(names, labels).find("CD4") == 0


def test_panel_wins_over_the_label_and_may_take_a_marker_away():
    panel = {"PE-A": "CD25", "APC-A": "", "Time": "nonsense", "FITC-A": "MyTetramer"}
    channels = resolve_channels(["PE-A", "APC-A", "Time", "Comp-FITC-A"], ["CD3", "CD4", "", ""], panel)
    assert [c.marker for c in channels] == ["CD25", None, None, "MyTetramer"]


def test_panel_of_another_tube_is_refused():
    with pytest.raises(InputError, match="none of its channels is in the tube"):
        resolve_channels(["PE-A"], [""], {"BV421-A": "CD25"})


@pytest.mark.parametrize(
    "text",
    [
        "Channel,Marker\nPE-A,CD25\nTime,NA\n",
        "fcs_colname;antigen;class\nPE-A;IL2RA;x\nTime;;x\n",
        "\ufeff$PnN\t$PnS\nPE-A\tcd25\nTime\t-\n",
    ],
)
def test_panel_csv_in_several_spellings(tmp_path, text):
    path = tmp_path / "panel.csv"
    path.write_text(text, encoding="utf-8")
    assert read_panel(path) == {"PE-A": "CD25", "Time": ""}


def test_panel_yaml(tmp_path):
    path = tmp_path / "panel.yaml"
    path.write_text("BV421-A: CD127\nPE-A: MyTetramer\nFSC-A: NA\n'7-AAD-A': ~\n")
    assert read_panel(path) == {"BV421-A": "CD127", "PE-A": "MyTetramer", "FSC-A": "", "7-AAD-A": ""}


def test_faults_of_a_panel_file_are_all_listed(tmp_path):
    path = tmp_path / "panel.csv"
    path.write_text("Channel,Marker\nPE-A,CD25\n,CD3\nPE-A,CD4\n")
    with pytest.raises(InputError) as caught:
        read_panel(path)
    assert [(p.place, p.message) for p in caught.value.problems] == [
        ("line 3", "the channel is empty"),
        ("line 4", "channel 'PE-A' is duplicated"),
    ]
    path.write_text("Kanal,Markr\nPE-A,CD25\n")
    with pytest.raises(InputError, match="did you mean 'marker'"):
        read_panel(path)


def test_real_panel_files():
    folder = data_folder("flow")
    activation = read_panel(folder / "cytoexplorer_activation" / "Activation-Experiment-Markers.csv")
    assert activation["Alexa Fluor 700-A"] == "CD4"
    assert activation["7-AAD-A"] == "CD69"
    assert activation["FSC-A"] == ""
    paired = read_panel(folder / "catalyst_paired_pbmc" / "catalyst_pbmc" / "PBMC_panel.csv")
    assert paired["HLA-DR(Yb174)Dd"] == "HLA-DR"
    assert all(resolve_label("", channel).marker == marker for channel, marker in paired.items())


@pytest.mark.parametrize(
    ("word", "allowed", "meant"),
    [
        ("CD3", ("CD23", "CD33", "CD4"), ""),
        ("CD3", ("CD3e", "CD23"), "CD3e"),
        ("CCR6", ("CCR4", "CCR7"), ""),
        ("CD45R0", ("CD45RO", "CD4"), "CD45RO"),
        ("FOXP", ("FOXP3", "CD3"), "FOXP3"),
        ("CD", ("CD3", "CD4"), ""),
        ("W12", ("W10", "W2", "W24"), ""),
        ("week04", ("week_4", "week_24"), "week_4"),
        ("nct0208423", ("nct02084238",), "nct02084238"),
        ("valley", ("valey",), "valey"),
        ("sle", ("sle_nct02084238", "iim_nct04062019"), "sle_nct02084238"),
        ("sle", ("sle_nct02084238", "sle_nct04077736"), ""),
        ("CD2", ("CD25", "CD25_high"), ""),
    ],
)
def test_a_hint_names_no_neighbour_of_another_number(word: str, allowed: tuple[str, ...], meant: str) -> None:
    assert nearest(word, allowed) == (f"did you mean '{meant}'?" if meant else "")


@pytest.mark.parametrize(
    ("label", "marker"),
    [
        ("143Nd_CD123_IL-3R", "CD123"), ("CD123_IL-3R", "CD123"), ("anti-human CD25 (TotalSeq-B)", "CD25"),
        ("Hu.CD4_RPA-T4", "CD4"), ("MHCII", "HLA-DR"), ("GDTCR", "TCRgd"), ("IFNa", "IFN-a"), ("CD124_IL-4Ra", "CD124"),
        ("CD33_Siglec-3", "CD33"), ("CD335_NKp46", "CD335"), ("BDCA-2", "CD303"), ("c-Kit (CD117)", "CD117"),
        ("CD8-CD4", None), ("CD4 IL-17A", None), ("CD235ab_CD61", None),
    ],
)  # fmt: skip
def test_labels_of_mass_cytometry_and_cite_seq_name_one_marker_or_none(label, marker):
    assert resolve_label(label).marker == marker


# As makers write them, from catalogues and not from the table: mass cytometry, imaging mass cytometry, TotalSeq with
# what tools write around it, BD AbSeq (name, clone, gene, catalogue number; the bars are dots where R wrote the file).
_WRITTEN = """
CCR6 = 141Pr_CD196_CCR6
CD4 = CD4(Nd145)Di
CXCR5 = 153Eu_CXCR5(CD185)
FOXP3 = 159Tb-FoxP3
CTLA-4 = 161Dy_CD152/CTLA-4
CD25 = 169Tm_CD25_IL-2Ra
CD45 = 198Pt_CD45
CD57 = CD57_HCD57_172Yb
CD8 = CD8a(Dy162Di)
Viability = 103Rh_Live/Dead
CD45RA = CD45RA_143Nd_Nd143Di
CD3 = 112Cd_CD3
CD68 = CD68_159Tb
Ki-67 = Ki67 [B56]-168Er
GzmB = Granzyme B_Er167
CD4 = 156Gd-CD4 (EPR6855)
aSMA = aSMA_141Pr
panCK = panCK-148Nd
CD3 = A0034 anti-human CD3 Antibody (UCHT1)
CD4 = TotalSeq™-A0072 anti-human CD4
CD8 = CD8A_TotalSeqB
CD127 = TotalSeq-C0390 anti-human CD127 (IL-7Rα)
ICOS = HuMsRt.CD278
CXCR3 = CD183-1
CD25 = CD25 (BC96) - TotalSeq A
CD56 = CD56_(NCAM)Recombinant
Va7.2 = TCR-Va7.2
TCRab = TCR_a/b
HLA-ABC = HLA-A.B.C
IgG = anti-human IgG Fc
CD272 = anti-human CD272 (BTLA)
CD244 = CD244-2B4
CD304 = CD304_Neuropilin-1
CD14 = adt_CD14
CD8 = prot_CD8a
CD4 = CD4:SK3|CD4|AHS0032|pAbO
HLA-DR = HLA-DR|CD74|AHS0035|pAbO
CD127 = CD127:HIL-7R-M21|IL7R|AHS0028|pAbO
CCR7 = CCR7.3D12.CCR7.AHS0273.pAbO
TCRgd = TCRgd:B1|TRG-TRD|AHS0015|pAbO
PD-1 = CD279:EH12-1|PDCD1|AHS0014|pAbO
CD8 = CD8:SK1_CD8A_AHS0228_pAbO
TIM-3 = Tim3|HAVCR2|AHS0016|pAbO
""".strip().splitlines()


@pytest.mark.parametrize("line", _WRITTEN)
def test_antibodies_as_their_makers_write_them(line):
    marker, written = line.split(" = ")
    assert protein_markers([written])[0] == (marker,)


@given(
    st.sampled_from(sorted(markers())),
    st.sampled_from(
        [
            "anti-human {} (TotalSeq-B)",
            "143Nd_{}",
            "Hu.{}",
            "{}_TotalSeqC",
            "ADT_{}",
            "{}-ADT",
            "{} Antibody",
            "A0123_{}",
        ]
    ),
)
def test_a_marker_is_found_in_whatever_an_antibody_is_called(marker, words):
    assert protein_markers([words.format(marker)])[0] == (marker,)


def test_isotypes_are_controls_and_antibodies_against_mouse_and_human_are_not():
    names = ["CD4", "IgG1", "Mouse IgG2a isotype", "rat_IgG2b", "anti-mouse/human CD44", "IgM", "CD4.1"]
    assert isotype_columns(names) == [1, 2, 3]
    assert protein_markers(names)[0] == ("CD4", "CD44", "IgM")
    isotypes = ["Ctrl-IgG1", "mIgG2b", "Mouse-IgG2a-kappa", "Isotype_RTK4530", "IgG1_control_TotalA", "Arm.Hamster.IgG"]
    assert isotype_columns(isotypes) == list(range(6))
    assert isotype_columns(["IgG Fc", "anti-human IgG Fc", "anti-IgG", "IgA"]) == []


def test_markers_without_their_metals_are_of_a_mass_cytometer_where_it_wrote_the_length_of_ion_clouds() -> None:
    # as published mass cytometry files name their channels; its counts are not on the scale of light
    names = ["Time", "Cell_length", "DNA1", "CD45RA", "CD3", "label"]
    mass = {c.name: c.kind for c in resolve_channels(names, names)}
    assert mass == {
        "Time": "time",
        "Cell_length": "other",
        "DNA1": "mass",
        "CD45RA": "mass",
        "CD3": "mass",
        "label": "mass",
    }
    light = resolve_channels(["FSC-A", "Event_length", "CD3"], ["", "", ""])
    assert light[-1].kind == "fluorescence"
