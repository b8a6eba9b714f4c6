"""``dreamvideo generate`` from weight files: the authors', as the import command leaves them, and bad ones."""

import shutil
import sys

import pytest
import torch

from dreamvideo.dataset.clips import read_clip
from dreamvideo.params import load_params
from dreamvideo.weights import read_weights, save_weights
from dreamvideo.yaml_files import read_yaml, to_yaml
from flows.cli.main import main
from flows.execution import generate
from flows.tracking.schema import Kind
from flows.tracking.store import open_store
from tests.integration.conftest import write_params
from tests.support.authors_files import write_published

SENTENCE = ["--subject", "dog", "--motion", "square", "--prompt", "a * is jumping", "--profile", "paper"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, dataset):
    """The authors' files, and a params.yaml whose paper profile has a base of their size."""
    folder = tmp_path_factory.mktemp("given")
    shutil.copytree(dataset, folder / "data")
    write_published(folder)
    path = write_params(folder)
    content = read_yaml(path, "")
    paper, pocket = content["profiles"]["paper"], content["profiles"]["pocket"]
    paper["data"] |= {"root": "data", "subjects": 2, "motions": 2, "image_size": 16, "num_frames": 4}
    paper["base_model"] |= {"weights": "base", "appearance": "appearance"}
    paper["sampling"]["steps"] = 2
    paper["tracking"] = pocket["tracking"]
    path.write_text(to_yaml(content))
    return folder


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """Types a command in the folder; gives its exit code and what it complained of."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["dreamvideo", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return run


@pytest.fixture
def imported(folder, command):
    """The subject's file and the motion's."""
    files = [folder / "dog.safetensors", folder / "jump.safetensors"]
    for kind, given, file in zip(("identity", "motion"), (["text.pt"], []), files, strict=True):
        if not file.exists():
            given = ["import", "authors", kind, f"{kind}.pth", *given, "--out", file.name, "--profile", "paper"]
            assert command(*given) == (0, "")
    return files


def adapters(folder) -> list:
    return open_store(load_params(folder / "params.yaml").tracking).runs(Kind.ADAPTER)


def test_imported_weights_make_a_video_and_nothing_is_trained(command, folder, imported, monkeypatch):
    given, sample = [], generate.generate_video
    monkeypatch.setattr(
        generate, "generate_video", lambda resources, plan, *rest: given.extend(rest) or sample(resources, plan, *rest)
    )
    files = ["--subject-weights", imported[0].name, "--motion-weights", imported[1].name]
    code, complaint = command("generate", *SENTENCE, *files, "--out", "out/dog.mp4")
    assert code == 0, complaint
    frames, fps = read_clip(folder / "out/dog.mp4")
    assert len(frames) == 4 and fps == 8
    for file, tensors in zip(imported, given[:2], strict=True):
        expected, _ = read_weights(file)
        assert tensors.keys() == expected.keys() and all(
            torch.equal(tensors[name], expected[name]) for name in expected
        )
    assert not adapters(folder)


def cut(path, tensors, schema):
    path.write_bytes(path.read_bytes()[:-100])
    return "not a whole safetensors file"


def remove(path, tensors, schema):
    path.unlink()
    return "no such weight file; give --motion-weights a whole file that was trained or imported"


def narrow(path, tensors, schema):
    save_weights(path, {name: tensor[:-1] for name, tensor in tensors.items()}, schema)
    return f"does not fit Adapter ({len(tensors)} such); use weights made for this configuration"


def serial(path, tensors, schema):
    save_weights(path, tensors, schema | {"recipe": schema["recipe"] | {"placement": "serial"}})
    return "it was trained with placement 'serial', but 'parallel' is set; set methods.dreamvideo.placement to 'serial'"


@pytest.mark.parametrize("spoil", [cut, remove, narrow, serial])
def test_bad_weights_are_one_sentence_before_the_other_adapter_is_trained(command, folder, imported, tmp_path, spoil):
    bad = tmp_path / "bad.safetensors"
    shutil.copy(imported[1], bad)
    sentence = spoil(bad, *read_weights(bad))
    code, complaint = command("generate", *SENTENCE, "--motion-weights", str(bad), "--out", str(tmp_path / "x.mp4"))
    assert code == 2 and complaint.startswith(f"error: {bad}: ") and complaint.count("\n") == 1
    assert sentence in complaint and "data pull" not in complaint
    assert not adapters(folder) and not (tmp_path / "x.mp4").exists()
