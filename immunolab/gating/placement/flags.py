"""The words that qualify a border, each declared once; ``FLAGS`` holds them all with their meaning."""

from __future__ import annotations

from typing import Final

TOO_FEW_EVENTS: Final = "too_few_events"
NO_VALLEY: Final = "no_valley"
UNIMODAL: Final = "unimodal"
BEYOND_DATA: Final = "beyond_data"
ANCESTOR_VALLEY: Final = "ancestor_valley"
NO_REFERENCE: Final = "no_reference"
SMALL_REFERENCE: Final = "small_reference"
NO_CORNER_CLOUD: Final = "no_corner_cloud"
NO_FMO: Final = "no_fmo"
NO_UNSTAINED: Final = "no_unstained"
CONTROL_MISMATCH: Final = "control_mismatch"
FMO_DENSITY_DISAGREE: Final = "fmo_density_disagree"
SATURATED: Final = "saturated"
DRIFT: Final = "drift"
NO_BORDER: Final = "no_border"

FLAGS: Final = {
    TOO_FEW_EVENTS: "fewer than 50 events placed the border",
    NO_VALLEY: "the density has no valley deep enough",
    UNIMODAL: "the events form one group, not two",
    BEYOND_DATA: "the border would lie beyond every event and was brought back to the last one",
    ANCESTOR_VALLEY: "the border is the valley of an ancestor, not of the parent",
    NO_REFERENCE: "the reference population is not in the tube",
    SMALL_REFERENCE: "the reference population has fewer than 50 events",
    NO_CORNER_CLOUD: "no group of events was found in the corner",
    NO_FMO: "the batch has no FMO tube of this marker",
    NO_UNSTAINED: "the batch has no unstained tube",
    CONTROL_MISMATCH: "the control tube has another panel",
    FMO_DENSITY_DISAGREE: "the control tube's border and the density's valley are far apart",
    SATURATED: "over 1 % of the events have the channel's highest value",
    DRIFT: "the tube's own border is further from the pooled one than chance allows",
    NO_BORDER: "no border could be placed; the gate is empty",
}
