"""The paper's metric encoders: their preprocessing, with a tiny random CLIP and a random DINO of the true shape."""

import json

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from dreamvideo.errors import InputError
from evaluation.encoders import encoders
from tests.support.tiny_modelscope import APPEARANCE, WIDTH

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("metrics")
    for part in ("clip", "dino"):
        (folder / part).mkdir()
    model = APPEARANCE | {"text_cfg": {**APPEARANCE["text_cfg"], "context_length": 77, "vocab_size": 49408}}
    (folder / "clip" / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    save_file(open_clip.CLIP(**model).state_dict(), folder / "clip" / "open_clip_model.safetensors")
    dino = timm.create_model("vit_small_patch16_224.dino", num_classes=0)
    save_file(dino.state_dict(), folder / "dino" / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def paper(folder):
    return encoders["paper"](folder, CPU)


def frames(count: int = 2, side: int = 256) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_embeddings_have_unit_length_and_their_tower_s_width(paper):
    clip, text, dino = paper.clip_images(frames()), paper.clip_text("a dog on the beach"), paper.dino_images(frames())
    assert (clip.shape, text.shape, dino.shape) == ((2, WIDTH), (WIDTH,), (2, 384))
    for embedding in (*clip, text, *dino):
        assert embedding.norm().item() == pytest.approx(1, abs=1e-5)
    assert not torch.allclose(text, paper.clip_text("a cat eating pizza"))


def test_a_frame_s_embedding_does_not_depend_on_its_batch(paper):
    for embed in (paper.clip_images, paper.dino_images):
        torch.testing.assert_close(embed(frames())[1], embed(frames()[1:])[0], rtol=1e-4, atol=1e-5)


def test_dino_sees_the_centre_alone(paper):
    """Of 256 pixels it sees the 224 in the middle, standardised as ImageNet is."""
    framed = frames(1)
    framed[..., :16, :] = framed[..., -16:, :] = framed[..., :16] = framed[..., -16:] = 0
    assert torch.equal(paper.dino_images(framed), paper.dino_images(frames(1)))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    centre = (frames(1)[..., 16:240, 16:240] + 1) / 2
    with torch.no_grad():
        expected = functional.normalize(paper.dino((centre - mean[:, None, None]) / std[:, None, None]), dim=-1)
    torch.testing.assert_close(paper.dino_images(frames(1)), expected, rtol=1e-4, atol=1e-5)


def test_real_videos_have_no_oracle(paper):
    assert paper.read_truth(frames(), []) is None


def test_absent_weights_are_refused(tmp_path, folder):
    with pytest.raises(InputError, match=r"open_clip_config\.json"):
        encoders["paper"](tmp_path, CPU)
    (tmp_path / "clip").symlink_to(folder / "clip")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        encoders["paper"](tmp_path, CPU)
