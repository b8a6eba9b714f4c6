"""``dreamvideo import authors`` through the command line, in this process: what it writes, and what it says of bad files."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dreamvideo.weights import read_weights
from dreamvideo.yaml_files import read_yaml, to_yaml
from flows.cli.main import main
from tests.integration.conftest import REPOSITORY
from tests.support.authors_files import write_published


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The authors' files, and a params.yaml whose paper profile has a base of their size."""
    folder = tmp_path_factory.mktemp("published")
    write_published(folder)
    content = read_yaml(REPOSITORY / "params.yaml", "")
    content["profiles"]["paper"]["base_model"] |= {"weights": "base", "appearance": "appearance"}
    (folder / "params.yaml").write_text(to_yaml(content))
    return folder


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """Types a command in the folder; gives its exit code, and what it printed."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dreamvideo", "import", "authors", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def arguments(kind: str, file: str, out: Path) -> list[str]:
    return {
        "base": ["base", file, "--like", "base", "--out", str(out / "converted")],
        "identity": ["identity", file, "text.pt", "--out", str(out / "x.safetensors"), "--profile", "paper"],
        "text": ["identity", "identity.pth", file, "--out", str(out / "x.safetensors"), "--profile", "paper"],
        "motion": ["motion", file, "--out", str(out / "x.safetensors"), "--profile", "paper"],
    }[kind]


@pytest.mark.parametrize("kind", ["identity", "motion"])
def test_an_adapter_is_converted_and_the_next_command_named(command, folder, tmp_path, kind):
    code, printed, _ = command(*arguments(kind, f"{kind}.pth", tmp_path))
    told = "".join(printed.split())
    assert code == 0 and f"{tmp_path}/x.safetensors" in told and "dreamvideogenerate" in told
    tensors, schema = read_weights(tmp_path / "x.safetensors", method="dreamvideo", kind=kind)
    theirs = torch.load(folder / f"{kind}.pth", weights_only=True)["state_dict"]
    assert len(tensors) == len(theirs) + (kind == "identity") and f"{kind}.pth" in schema["converted_from"]


def test_a_base_is_converted_beside_the_other_parts(command, folder, tmp_path):
    code, printed, _ = command(*arguments("base", "base.pth", tmp_path))
    assert code == 0 and "base_model.weights" in "".join(printed.split())
    found = load_file(tmp_path / "converted/unet/diffusion_pytorch_model.safetensors")
    theirs = torch.load(folder / "base.pth", weights_only=True)["state_dict"]
    assert torch.equal(found["conv_in.weight"], theirs["input_blocks.0.0.weight"]) and len(found) == len(theirs)
    assert {path.name for path in (tmp_path / "converted").iterdir()} == {
        path.name for path in (folder / "base").iterdir()
    }


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("unpickled"),))


def cut(content, path):
    torch.save(content, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return "is truncated or damaged; fetch it anew"


def add_code(content, path):
    torch.save({**content, "step": Harmful()}, path)
    return "holds more than plain tensors, or is none of torch's files; fetch it anew"


def narrow(content, path):
    """The last number of one tensor is left out."""
    if "state_dict" in content:
        name = next(name for name in content["state_dict"] if name.endswith(("proj.weight", "down_linear.weight")))
        content["state_dict"][name] = content["state_dict"][name][:, :-1]
        torch.save(content, path)
        return "does not fit"
    torch.save({"string_to_param": {"*": content["string_to_param"]["*"].detach()[:, :-1]}}, path)
    return "its embedding is 1023 wide, must be 1024"


@pytest.mark.parametrize("spoil", [cut, add_code, narrow])
@pytest.mark.parametrize(("kind", "file"), [("base", "base.pth"), ("identity", "identity.pth"), ("text", "text.pt"),
                                            ("motion", "motion.pth")])  # fmt: skip
def test_a_bad_file_is_one_sentence_and_nothing_is_written(command, folder, tmp_path, kind, file, spoil):
    with torch.serialization.safe_globals([torch.nn.ParameterDict]):
        content = torch.load(folder / file, weights_only=True)
    bad = tmp_path / "in" / file
    bad.parent.mkdir()
    sentence, before = spoil(content, bad), sorted(folder.rglob("*"))
    (tmp_path / "out").mkdir()
    code, printed, complaint = command(*arguments(kind, str(bad), tmp_path / "out"))
    assert code == 2 and not printed
    assert complaint.startswith(f"error: {bad}") and sentence in complaint and complaint.count("\n") == 1
    assert not list((tmp_path / "out").iterdir()) and sorted(folder.rglob("*")) == before
