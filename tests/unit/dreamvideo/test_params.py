from operator import attrgetter
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from dreamvideo.errors import InputError
from dreamvideo.methods import methods
from dreamvideo.params import ComputeParams, Params, load_params
from dreamvideo.yaml_files import read_yaml, to_yaml
from flows.planning.plan import build_method

SHIPPED = Path(__file__).resolve().parents[3] / "params.yaml"


@pytest.fixture
def content():
    return read_yaml(SHIPPED, "")


@pytest.fixture
def pocket(content):
    return content["profiles"]["pocket"]


@pytest.fixture
def load(tmp_path, content):
    def write_and_load(profile: str | None = None) -> Params:
        path = tmp_path / "params.yaml"
        path.write_text(to_yaml(content))
        return load_params(path, profile)

    return write_and_load


def refused(load, profile: str | None = None) -> str:
    with pytest.raises(InputError) as error:
        load(profile)
    return str(error.value)


def test_every_shipped_profile_loads_with_a_method_that_takes_its_options(content):
    for profile in content["profiles"]:
        params = load_params(SHIPPED, profile)
        assert params.profile == profile
        methods[params.method](params.methods[params.method])
    assert load_params(SHIPPED).profile == content["default_profile"]


@pytest.mark.parametrize(
    ("key", "value"),
    {
        "data.subjects": 20,
        "data.motions": 30,
        "data.num_frames": 32,
        "data.fps": 8,
        "base_model.name": "modelscope",
        "base_model.offset_noise": 0.1,
        "sampling.steps": 50,
        "sampling.guidance_scale": 9.0,
        "sampling.negative_prompt": "",
        "sampling.inversion_strength": 0.0,
        "evaluation.encoders": "paper",
    }.items(),
)
def test_the_paper_profile_samples_as_the_paper_says(key, value):
    assert attrgetter(key)(load_params(SHIPPED, "paper")) == value


@pytest.mark.parametrize(
    ("key", "value"),
    {
        "bottleneck": 0.5,
        "placement": "parallel",
        "textual_inversion.steps": 3000,
        "textual_inversion.learning_rate": 1e-4,
        "textual_inversion.batch_size": 4,
        "identity_adapter.steps": 800,
        "identity_adapter.learning_rate": 1e-5,
        "identity_adapter.batch_size": 4,
        "motion_adapter.steps": 1000,
        "motion_adapter.learning_rate": 1e-5,
        "motion_adapter.batch_size": 2,
        "motion_adapter.caption_dropout": 0.5,
        "motion_adapter.appearance_dropout": 0.5,
        "motion_adapter.timestep_exponent": 1.0,
        "random_shift": 0.0,
        "appearance_strength": 1.0,
        "unconditional_appearance_strength": 1.0,
        "identity_strength": 1.0,
        "motion_strength": 1.0,
    }.items(),
)
def test_the_paper_profile_trains_as_the_paper_says(key, value):
    options = load_params(SHIPPED, "paper", "dreamvideo").methods["dreamvideo"]
    assert attrgetter(key)(methods["dreamvideo"](options).options) == value


def test_values_arrive_typed(load):
    params = load("pocket")
    assert params.data.root == Path("data") and params.sampling.guidance_scale == 4.0
    assert params.pretraining.vae.learning_rate == 2e-3


def test_pretraining_is_optional(load, pocket):
    del pocket["pretraining"]
    assert load().pretraining is None


def test_parameters_are_frozen(load):
    params = load()
    with pytest.raises(ValidationError):
        params.sampling.steps = 3


def test_parameters_survive_json(load):
    params = load()
    assert Params.model_validate_json(params.model_dump_json()) == params


@pytest.mark.parametrize(
    ("keys", "near"),
    [
        (("sampling", "step"), "sampling.steps"),
        (("bencmark",), "benchmark"),
        (("pretraining", "vae", "learning_rat"), "pretraining.vae.learning_rate"),
    ],
)
def test_an_unknown_key_suggests_the_nearest(load, pocket, keys, near):
    section = pocket
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = 3
    message = refused(load)
    assert f"profiles.pocket: unknown key '{'.'.join(keys)}'; did you mean '{near}'" in message


def test_a_misspelt_key_is_not_called_missing(load, pocket):
    vae = pocket["pretraining"]["vae"]
    vae["learning_rat"] = vae.pop("learning_rate")
    assert "unknown key 'pretraining.vae.learning_rat'; did you mean" in refused(load)


def test_an_unknown_key_far_from_all_lists_those_of_its_section(load, pocket):
    pocket["benchmark"]["xyzzy"] = 1
    assert "unknown key 'benchmark.xyzzy'; known are: benchmark.prompts, benchmark.seed" in refused(load)


def test_an_unknown_key_at_the_top_suggests_the_nearest(load, content):
    content["default_profle"] = "pocket"
    assert "unknown key 'default_profle'; did you mean 'default_profile'" in refused(load)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("sampling", "steps", "many"),
        ("sampling", "steps", 0),
        ("data", "num_frames", 1),
        ("data", "fps", [8]),
        ("promotion", "confidence", 0.5),
        ("promotion", "confidence", 1),
        ("promotion", "margins", {}),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_full_key(load, pocket, section, key, value):
    pocket[section][key] = value
    message = refused(load)
    assert f"profiles.pocket: {section}.{key} is {value!r}: " in message and message.endswith("; correct it")


@pytest.mark.parametrize("margin", [-0.01, float("nan"), float("inf"), "wide"])
def test_a_margin_that_is_no_loss_is_named(load, pocket, margin):
    pocket["promotion"]["margins"]["clip_t"] = margin
    assert "profiles.pocket: promotion.margins.clip_t is " in refused(load)


def test_a_missing_key_is_named_and_called_missing(load, pocket):
    del pocket["sampling"]["steps"]
    message = refused(load)
    assert "sampling.steps" in message
    assert "guidance_scale" not in message, "its neighbours are not its value"


def test_a_section_that_is_no_mapping_is_named(load, pocket):
    pocket["sampling"] = 20
    assert "profiles.pocket: sampling is 20: " in refused(load)


@pytest.mark.parametrize("change", [{"steps": "many"}, {"steps": 0}])
def test_a_wrong_option_of_a_method_is_named_by_its_full_key(load, pocket, change):
    options = pocket["methods"]["dreamvideo"]
    options["motion_adapter"] |= change
    with pytest.raises(InputError, match=r"params.yaml: methods.dreamvideo: motion_adapter.steps is"):
        methods["dreamvideo"](load().methods["dreamvideo"])


def test_an_unknown_option_deep_in_a_methods_options_suggests_the_nearest(load, pocket):
    pocket["methods"]["dreamvideo"]["motion_adapter"]["caption_dropuot"] = 0.5
    near = "unknown key 'motion_adapter.caption_dropuot'; did you mean 'motion_adapter.caption_dropout'"
    with pytest.raises(InputError, match=near):
        methods["dreamvideo"](load().methods["dreamvideo"])


def test_an_unknown_profile_suggests_the_nearest(load, content):
    assert refused(load, "poket") == "unknown profile 'poket'; did you mean 'pocket'?"
    content["default_profile"] = "pockett"
    assert refused(load) == "unknown profile 'pockett'; did you mean 'pocket'?"


def test_a_password_is_refused_and_not_repeated(load, pocket):
    pocket["tracking"]["uri"] = "http://ann:secret@tracking.example.org"
    assert "set the address with the password as MLFLOW_TRACKING_URI" in (sentence := refused(load))
    assert "secret" not in sentence


def test_an_absent_file_is_named_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match=r"params\.yaml: no such file; run from the repository's folder"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["profiles: [", "", "- a list", "a: {b: 1}\n c", "a: 1\na: 2", "\ud800"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text, errors="surrogatepass")
    with pytest.raises(InputError, match=r"(?s)params\.yaml.*correct it") as error:
        load_params(path)
    assert "\n" not in str(error.value), "errors are one sentence on one line"


def test_a_key_of_another_profile_or_method_is_refused_too(load, content, pocket):
    content["profiles"]["paper"]["sampling"]["stepps"] = 3
    assert "profiles.paper: unknown key 'sampling.stepps'; did you mean 'sampling.steps'?" in refused(load, "pocket")
    content["profiles"]["paper"]["sampling"].pop("stepps")
    pocket["methods"]["uncustomised"] = {}
    with pytest.raises(InputError, match=r"unknown method 'uncustomised'; did you mean 'uncustomized'\?"):
        build_method(load("pocket"))


def test_more_sampling_steps_than_the_schedule_has_are_refused(load, pocket):
    pocket["sampling"]["steps"] = 1001
    assert "sampling.steps is 1001" in refused(load)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_is_used_where_torch_sees_it_and_refused_where_not(monkeypatch, device):
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there and device == "cuda")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda there=there: there and device == "mps")
        if there:
            assert ComputeParams(device=device).torch_device().type == device
        else:
            with pytest.raises(InputError, match=f"compute.device is '{device}'"):
                ComputeParams(device=device).torch_device()


@pytest.mark.parametrize(("nvidia", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_an_nvidia_gpu_or_the_cpu(monkeypatch, nvidia, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: nvidia)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert ComputeParams().torch_device().type == chosen
    assert ComputeParams(device="cpu").torch_device().type == "cpu"
