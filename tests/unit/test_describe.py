"""The published sizes, counted on the meta device."""

from dreamvideo.params import load_params
from flows.describe import describe


def test_the_paper_profile_has_the_papers_sizes():
    description = describe(load_params(profile="paper"))
    method = description["method"]
    assert description["base_model"]["parameters"]["unet"] == 1_411_233_860
    assert method["trainable_parameters"] == {
        "textual_inversion": 1_024, "identity_adapter": 12_409_120, "motion_adapter": 77_966_496,
    }  # fmt: skip
    in_units = method["trainable_parameters_in_2^20"]
    assert (in_units["identity_adapter"], in_units["motion_adapter"]) == (11, 74)
