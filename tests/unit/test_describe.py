"""The published sizes, counted on the meta device."""

from rich.console import Console

from dreamvideo.params import load_params
from flows.describe import describe, in_units, show


def test_the_paper_profile_has_the_papers_sizes():
    description = describe(load_params(profile="paper"))
    method = description["method"]
    assert description["base_model"]["parameters"]["unet"] == 1_411_233_860
    assert method["trainable_parameters"] == {
        "textual_inversion": 1_024, "identity_adapter": 12_409_120, "motion_adapter": 77_966_496,
    }  # fmt: skip
    in_units = method["trainable_parameters_in_2^20"]
    assert (in_units["identity_adapter"], in_units["motion_adapter"]) == (11, 74)


def test_what_is_below_one_unit_is_printed_in_the_next():
    assert [in_units(number) for number in (64, 1_024, 12_409_120, 77_966_496)] == ["<1K", "1K", "11", "74"]


def test_a_profile_without_its_weights_says_whose_configuration_was_counted(tmp_path):
    params = load_params(profile="paper")
    base = params.base_model.model_copy(update={"weights": tmp_path / "misspelt"})
    printed = Console(record=True, width=120)
    show(describe(params.model_copy(update={"base_model": base})), printed)
    assert f"published configuration, no weights there: {tmp_path / 'misspelt'}" in printed.export_text()
