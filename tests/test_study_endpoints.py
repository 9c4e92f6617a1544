"""Which endpoints a study without a trial compares where its gates have none of the default subsets."""

from __future__ import annotations

from planted import MARKERS, planted_tube

import immunolab as il
from immunolab.simulation.fcs_writer import write_fcs
from immunolab.workflow.panels import read_panels
from immunolab.workflow.study_endpoints import study_endpoints


def test_subsets_are_compared_treg_first_and_not_the_gates_that_lead_to_them(tmp_path) -> None:
    """The first answer of a FOXP3 panel without CD127 was the share of viable cells, of 28 endpoints in one family."""
    names = (*(m for m in MARKERS if m not in ("CD127", "CXCR5")), "FOXP3")
    tube, _ = planted_tube(1, 300, markers=names)
    lines = ["sample_id,patient_id,visit,file,panel"]
    labels = [channel.marker or "" for channel in tube.channels]
    for visit in ("pre", "D28"):
        write_fcs(tmp_path / f"P1_{visit}.fcs", [channel.name for channel in tube.channels], labels, tube.columns)
        lines.append(f"P1_{visit},P1,{visit},P1_{visit}.fcs,nuc")
    (tmp_path / "samples.csv").write_text("\n".join(lines) + "\n")
    text = "study: own\npanels: {nuc: {strategy: treg_foxp3}}\ncomparison: {before: pre, after: D28}\n"
    (tmp_path / "study.yaml").write_text(text)
    study = il.read_study(tmp_path)
    found = [endpoint.id for endpoint in study_endpoints(study, read_panels(study))]
    assert found[0] == "Treg_FOXP3_pct_CD4"
    assert "CD8_pct_CD3" in found
    assert not {"viable_pct_singlets", "lymphocytes_pct_small_and_blasts", "small_pct_small_and_blasts"} & set(found)
