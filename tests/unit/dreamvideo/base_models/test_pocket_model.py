from pathlib import Path

import pytest
import torch
from torch import nn

from dreamvideo.base_models import load_base_model
from dreamvideo.base_models.pocket_networks import build_unet
from dreamvideo.params import load_params
from dreamvideo.weights import load_into, read_weights


@pytest.fixture(scope="module")
def base():
    return load_base_model(load_params().base_model)


def test_the_faster_unet_is_the_plain_one(base):
    plain, path = build_unet().eval(), Path("models/pocket/base/unet.safetensors")
    for convolution in (part for part in plain.modules() if isinstance(part, nn.Conv3d)):
        del convolution.forward  # back to the class's own
    load_into(plain, read_weights(path)[0], path)
    noisy, text = torch.randn(2, 4, 8, 16, 16), base.encode_text(["", "a cat is jumping"])
    with torch.no_grad():
        difference = base.denoiser(noisy, 500, text).sample - plain(noisy, 500, text).sample
    assert difference.abs().max() < 1e-5
    assert sum(isinstance(part, nn.Conv3d) for part in base.denoiser.modules()) > 0


def test_the_placeholder_takes_the_learnt_embedding_and_its_gradient(base):
    embedding = base.word_embedding("dog").requires_grad_(True)
    learnt = base.encode_text(["a * on the beach"], placeholder=embedding)
    assert torch.equal(learnt, base.encode_text(["a dog on the beach"]))
    learnt.sum().backward()
    assert embedding.grad.abs().sum() > 0
