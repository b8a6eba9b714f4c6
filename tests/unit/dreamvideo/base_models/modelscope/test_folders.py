"""Folders of the paper's base model that are absent, damaged or of something else, and the keys of whole ones."""

import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from dreamvideo.base_models import describe_base_model, load_base_model
from dreamvideo.base_models.loading import base_model_key, local_folder
from dreamvideo.errors import InputError, in_brief
from tests.support.tiny_modelscope import CPU, WIDTH


@pytest.fixture
def copied(params, tmp_path):
    """The same base in a folder of the test's own, to be damaged."""
    shutil.copytree(params.weights.parent, tmp_path, dirs_exist_ok=True)
    return params.model_copy(update={"weights": tmp_path / "base", "appearance": tmp_path / "appearance"})


def test_parts_in_half_precision_work_together(copied):
    for part in ("unet", "vae", "text_encoder"):
        (path,) = (copied.weights / part).glob("*.safetensors")
        save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    config = copied.weights / "text_encoder/config.json"  # transformers goes by what it says, diffusers does not
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float16"}))
    base = load_base_model(copied, CPU)
    noisy = torch.zeros(1, *base.latent_shape[:1], 4, *base.latent_shape[1:])
    assert base.predict(noisy, torch.tensor([1]), base.encode_text(["a cat"])).isfinite().all()


@pytest.mark.parametrize(
    ("part", "file"),
    [
        ("unet", "config.json"),
        ("vae", "config.json"),
        ("text_encoder", "config.json"),
        ("tokenizer", "tokenizer_config.json"),
        ("scheduler", "scheduler_config.json"),
    ],
)
def test_an_absent_part_is_refused(copied, part, file):
    shutil.rmtree(copied.weights / part)
    with pytest.raises(InputError, match=rf"{part}.*{file}"):
        load_base_model(copied, CPU)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("scheduler/scheduler_config.json", "{"),
        ("scheduler/scheduler_config.json", json.dumps({"beta_schedule": "steep"})),
        ("tokenizer/tokenizer_config.json", "{"),
        ("tokenizer/tokenizer.json", "{"),
    ],
)
def test_a_damaged_part_without_tensors_is_refused(copied, file, content):
    (copied.weights / file).write_text(content)
    with pytest.raises(InputError, match=str(Path(file).parent)):
        load_base_model(copied, CPU)


TWO_DIMENSIONS = json.dumps({"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"]})


@pytest.mark.parametrize("content", ["{", "[]", TWO_DIMENSIONS, json.dumps({"_class_name": "AutoencoderKL"})])
def test_a_configuration_of_something_else_is_not_counted(copied, content):
    (copied.weights / "unet" / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json.*UNet3DConditionModel"):
        describe_base_model(copied)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_cfg": {}}'])
def test_an_image_encoder_must_say_its_width(copied, content):
    (copied.appearance / "open_clip_config.json").write_text(content)
    with pytest.raises(InputError, match=r"open_clip_config\.json"):
        describe_base_model(copied)


def test_truncated_weights_are_refused(copied):
    path = copied.weights / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"unet.*UNet3DConditionModel"):
        load_base_model(copied, CPU)


def test_weights_of_another_shape_are_refused(copied):
    path = copied.weights / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cross_attention_dim": 32}))
    with pytest.raises(InputError, match="unet"):
        load_base_model(copied, CPU)


def test_weights_that_lack_a_tensor_are_refused(copied):
    path = copied.weights / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["conv_in.bias"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"unet.*conv_in\.bias"):
        load_base_model(copied, CPU)


def test_a_pickle_is_not_loaded(copied):
    path = copied.weights / "vae" / "diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(InputError, match=r"vae.*AutoencoderKL"):
        load_base_model(copied, CPU)


def test_an_image_encoder_must_be_named_and_whole(copied):
    with pytest.raises(InputError, match=r"base_model\.appearance"):
        load_base_model(copied.model_copy(update={"appearance": None}), CPU)
    path = copied.appearance / "open_clip_model.safetensors"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="appearance"):
        load_base_model(copied, CPU)
    path.unlink()
    with pytest.raises(InputError, match=r"no (open_clip_model.safetensors|weights) there"):
        load_base_model(copied, CPU)


def test_other_weights_or_another_image_encoder_have_another_key(base, copied):
    assert load_base_model(copied, CPU).key == base.key
    path = copied.appearance / "open_clip_model.safetensors"
    save_file({name: value + 1 for name, value in load_file(path).items()}, path)
    assert load_base_model(copied, CPU).key != base.key


@pytest.mark.parametrize(
    "file",
    [
        "base/unet/config.json",
        "base/tokenizer/tokenizer.json",
        "base/tokenizer/merges.txt",
        "base/scheduler/scheduler_config.json",
        "appearance/open_clip_config.json",
    ],
)
def test_another_setting_of_a_part_is_another_key(base, copied, file):
    path = copied.weights.parent / file
    path.write_text(f"{path.read_text() if path.exists() else ''}\n")
    assert base_model_key(copied) != base.key
    path.unlink()
    assert (base_model_key(copied) == base.key) == (path.name == "merges.txt")  # which this tokenizer does without


def test_what_is_no_part_of_a_base_does_not_count(base, copied):
    for name in ("README.json", "unet/.config.json", ".cache/a.json"):
        (copied.weights / name).parent.mkdir(exist_ok=True)
        (copied.weights / name).write_text("{}")
    assert base_model_key(copied) == base.key


def test_parts_of_different_models_are_refused(copied):
    text, vae = copied.weights / "text_encoder", copied.weights / "vae"

    def refuse(message):
        with pytest.raises(InputError, match=rf"{message}"):
            load_base_model(copied, CPU)

    config = CLIPTextModel.from_pretrained(text).config
    config.vocab_size += 1
    CLIPTextModel(config).save_pretrained(text)
    refuse(f"tokenizer's vocabulary is {config.vocab_size - 1}, but the text_encoder's vocab_size is .*")
    AutoencoderKL.from_config(AutoencoderKL.load_config(vae), latent_channels=8).save_pretrained(vae)
    refuse("vae's latent_channels is 8, but the unet's in_channels is 4")
    config.hidden_size *= 2
    CLIPTextModel(config).save_pretrained(text)
    refuse(f"text_encoder's hidden_size is {2 * WIDTH}, but the unet's cross_attention_dim is {WIDTH}")


@pytest.mark.parametrize("revision", ["", "@main", "@v1.0"])
def test_a_hub_id_must_be_pinned_to_a_commit(revision):
    with pytest.raises(InputError, match="hub:owner/name@COMMIT"):
        local_folder(Path(f"hub:owner/name{revision}"))


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="folder"):
        local_folder(Path(f"hub:owner/name@{'0' * 40}"))


def test_a_hub_that_drops_the_connection_is_one_sentence():
    script = f"""
import time
from pathlib import Path
from dreamvideo.errors import InputError
from dreamvideo.base_models.loading import local_folder
time.sleep = lambda seconds: None  # the hub's client waits between its attempts
try:
    local_folder(Path("hub:owner/name@{"0" * 40}"))
except InputError as error:
    print(error)
"""
    with dropping_server() as address:
        environment = os.environ | {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0"}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"cannot be fetched \(.*; download it where there is a network", done.stdout)
    assert done.stdout.count("\n") == 1


@contextmanager
def dropping_server():
    """The address of a server that accepts every connection and closes it without an answer."""

    class Dropping(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1024)

    with socketserver.TCPServer(("127.0.0.1", 0), Dropping) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_what_another_library_says_is_cut_between_its_sentences():
    assert in_brief(OSError("No.\n Not  here.")) == "No. Not here."
    assert in_brief(OSError("It failed. " + "Because of that " * 20)) == "It failed"
    long = in_brief(OSError("because of that " * 20))
    assert len(long) <= 200 and long.endswith(" ...")
