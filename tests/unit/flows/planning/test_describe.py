"""The published sizes, counted on the meta device."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from dreamvideo.base_models import describe_base_model
from dreamvideo.errors import InputError
from dreamvideo.params import load_params
from flows.cli.describe import in_units
from flows.planning.describe import describe
from tests.support.tiny_modelscope import WIDTH, write_tiny_modelscope


def test_the_paper_profile_has_the_papers_sizes():
    description = describe(load_params(profile="paper"))
    method = description["method"]
    assert description["base_model"]["parameters"]["denoiser"] == 1_411_233_860
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
    described = describe(params.model_copy(update={"base_model": base}))["base_model"]
    assert (described["configuration"], described["weights"]) == ("published", "absent")


def test_weights_of_the_hub_are_counted_as_they_are_once_they_are_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    params, names = load_params(profile="paper"), {"weights": "base", "appearance": "appearance"}
    ids = {field: Path(f"hub:owner/{name}@{'0' * 40}") for field, name in names.items()}
    base = params.base_model.model_copy(update=ids)
    described = describe(params.model_copy(update={"base_model": base}))["base_model"]
    assert (described["configuration"], described["weights"]) == ("published", "not fetched")
    tiny = write_tiny_modelscope(tmp_path / "written")
    for field, name in names.items():
        snapshot = tmp_path / f"models--owner--{name}" / "snapshots" / ("0" * 40)
        snapshot.parent.mkdir(parents=True)
        getattr(tiny, field).rename(snapshot)
    counted = describe(params.model_copy(update={"base_model": base}))
    assert counted["base_model"]["configuration"] == "own"
    assert counted["method"]["trainable_parameters"]["textual_inversion"] == WIDTH
    assert describe_base_model(base).appearance_width == WIDTH


def test_weights_of_the_hub_without_a_commit_are_refused():
    params = load_params(profile="paper")
    base = params.base_model.model_copy(update={"weights": Path("hub:owner/base")})
    with pytest.raises(InputError, match=r"must be a commit of 40 digits"):
        describe(params.model_copy(update={"base_model": base}))
