"""The authors' files, through the commands' functions, into bases and adapters that load and agree with theirs."""

import pickle
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from dreamvideo.authors.checkpoints import convert_textual_identity, read_checkpoint
from dreamvideo.authors.importing import import_base, import_identity, import_motion
from dreamvideo.base_models import load_base_model
from dreamvideo.errors import InputError
from dreamvideo.params import ComputeParams, load_params
from dreamvideo.weights import read_weights
from tests.support.authors_files import write_published
from tests.support.authors_network import CONTEXT
from tests.support.tiny_modelscope import write_tiny_modelscope


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Their network, and its files as they publish them, beside a base in diffusers' layout."""
    folder = tmp_path_factory.mktemp("published")
    return folder, *write_published(folder)


@pytest.fixture(scope="module")
def imported(published):
    """The base, converted, and the profile that names it."""
    folder, _, params = published
    import_base(folder / "base.pth", params.weights, folder / "converted")
    base = params.model_copy(update={"weights": folder / "converted"})
    return load_params(profile="paper").model_copy(update={"base_model": base})


@torch.no_grad()
def test_the_converted_base_and_adapters_give_what_theirs_give(published, imported, tmp_path):
    folder, theirs, _ = published
    import_identity(imported, folder / "identity.pth", folder / "text.pt", tmp_path / "dog.safetensors")
    import_motion(imported, folder / "motion.pth", tmp_path / "jump.safetensors")
    base = load_base_model(imported.base_model, ComputeParams(device="cpu"))
    expected = {"method": "dreamvideo", "base_model": base.key}
    subject, _ = read_weights(tmp_path / "dog.safetensors", **expected, kind="identity")
    motion, _ = read_weights(tmp_path / "jump.safetensors", **expected, kind="motion")
    from flows.planning.plan import build_method

    noisy, text = torch.randn(2, 4, 3, 8, 8), torch.randn(2, 5, CONTEXT)
    reference = torch.rand(3, base.frame_size, base.frame_size) * 2 - 1
    guidance = torch.cat((torch.zeros(1, CONTEXT), base.encode_appearance(reference[None])))
    with ExitStack() as stack:
        stack.enter_context(build_method(imported).composed(base, subject, motion, reference))
        found = base.predict(noisy, torch.tensor([801, 801]), text)
    answer = theirs(noisy, torch.tensor([801, 801]), text, guidance[:, None], 1.0)
    assert ((found - answer).norm() / answer.norm()).item() < 1e-5


@torch.no_grad()
def test_adapters_in_half_precision_work_on_a_base_in_full(published, imported, tmp_path):
    folder, *_ = published
    for file in ("motion.pth", "identity.pth"):
        content = torch.load(folder / file, weights_only=True)["state_dict"]
        torch.save({name: tensor.half() for name, tensor in content.items()}, tmp_path / file)
    import_identity(imported, tmp_path / "identity.pth", folder / "text.pt", tmp_path / "dog.safetensors")
    import_motion(imported, tmp_path / "motion.pth", tmp_path / "jump.safetensors")
    subject, motion = (read_weights(tmp_path / f"{name}.safetensors")[0] for name in ("dog", "jump"))
    assert {tensor.dtype for tensor in (*subject.values(), *motion.values())} == {torch.float32}
    from flows.planning.plan import build_method

    base = load_base_model(imported.base_model, ComputeParams(device="cpu"))
    reference = torch.rand(3, base.frame_size, base.frame_size) * 2 - 1
    with build_method(imported).composed(base, subject, motion, reference):
        found = base.predict(torch.randn(2, 4, 3, 8, 8), torch.tensor([801, 801]), torch.randn(2, 5, CONTEXT))
    assert found.isfinite().all()


def test_a_textual_identity_that_an_older_torch_saved_is_read(tmp_path):
    named = torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.randn(1, 8))})
    expected = named["*"].detach().flatten()
    del named.__dict__["_keys"]  # which parameters it has, it kept among those of any module
    torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": named}, tmp_path / "text.pt")
    assert torch.equal(convert_textual_identity(read_checkpoint(tmp_path / "text.pt"))["embedding"], expected)


def test_what_is_imported_says_where_it_came_from(published, imported, tmp_path):
    folder, *_ = published
    import_motion(imported, folder / "motion.pth", tmp_path / "jump.safetensors")
    _, schema = read_weights(tmp_path / "jump.safetensors")
    assert list(schema["converted_from"]) == ["motion.pth"] and len(schema["converted_from"]["motion.pth"]) == 64


def test_a_file_of_the_other_kind_is_refused_and_nothing_written(published, imported, tmp_path):
    folder, *_ = published
    target = tmp_path / "x.safetensors"
    with pytest.raises(InputError, match="motion adapter"):
        import_motion(imported, folder / "identity.pth", target)
    with pytest.raises(InputError, match="textual identity"):
        import_identity(imported, folder / "identity.pth", folder / "base.pth", target)
    with pytest.raises(InputError, match=r"\.safetensors"):
        import_motion(imported, folder / "motion.pth", tmp_path / "x.pth")
    assert not list(tmp_path.iterdir())


def test_adapters_of_another_base_are_refused(published, imported, tmp_path):
    folder, _, _ = published
    other = write_tiny_modelscope(tmp_path)
    with pytest.raises(InputError, match=r"motion\.pth"):
        import_motion(
            imported.model_copy(update={"base_model": other}), folder / "motion.pth", tmp_path / "x.safetensors"
        )


def test_a_base_that_does_not_fit_leaves_no_folder(published, tmp_path):
    folder, _, _ = published
    other = write_tiny_modelscope(tmp_path)
    with pytest.raises(InputError, match=r"does not have|does not fit"):
        import_base(folder / "base.pth", other.weights, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="--out"):
        import_base(folder / "base.pth", other.weights, tmp_path / "base")
    with pytest.raises(InputError, match=r"unet/config\.json"):
        import_base(folder / "base.pth", tmp_path / "appearance", tmp_path / "out")


def test_hidden_folders_of_like_are_left_there(published, tmp_path):
    folder, _, params = published
    shutil.copytree(params.weights, tmp_path / "like")
    (tmp_path / "like/.git").mkdir()
    import_base(folder / "base.pth", tmp_path / "like", tmp_path / "out")
    parts = {path.name for path in params.weights.iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == parts and "vae" in parts


def test_a_damaged_configuration_in_like_is_one_sentence(published, tmp_path):
    folder, *_ = published
    (tmp_path / "like" / "unet").mkdir(parents=True)
    for content in ("{", '{"down_block_types": ["DownBlock2D"]}'):
        (tmp_path / "like" / "unet" / "config.json").write_text(content)
        with pytest.raises(InputError, match=r"unet/config\.json.*UNet3DConditionModel"):
            import_base(folder / "base.pth", tmp_path / "like", tmp_path / "out")


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("unpickled"),))


def test_a_pickle_of_anything_else_is_refused_without_running_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Harmful()}, "torch.pth")
    Path("plain.pth").write_bytes(pickle.dumps(Harmful()))
    for name in ("torch.pth", "plain.pth"):
        with pytest.raises(InputError, match=name):
            read_checkpoint(Path(name))
    assert not Path("unpickled").exists()


def test_damaged_and_foreign_files_are_one_sentence(published, tmp_path):
    folder, *_ = published
    cut = tmp_path / "cut.pth"
    shutil.copy(folder / "motion.pth", cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"cut\.pth"):
        read_checkpoint(cut)
    torch.save({"a": torch.zeros(3, 4), "step": 1}, cut, _use_new_zipfile_serialization=False)
    whole = cut.read_bytes()
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.pth.*; fetch"):
            read_checkpoint(cut)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="list"):
        read_checkpoint(tmp_path / "list.pth")
    with pytest.raises(InputError, match="no such file"):
        read_checkpoint(tmp_path / "none.pth")
