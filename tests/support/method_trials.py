"""What tests of methods share: building one at a tiny size, training it, and looking at what the base model gives."""

from functools import cache

import torch

from dreamvideo.methods import methods
from dreamvideo.methods.contract import Method
from tests.support.tiny import QuietModel, tiny_motion, tiny_options, tiny_subject

STAGES = {"steps": 3, "learning_rate": 0.01}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(name: str = "dreamvideo", **named: object) -> Method:
    return methods[name](tiny_options(methods[name].Options, **STAGES | named))


def ignore(*_: object) -> None:
    pass


def both(method: Method, base, seed: int = 0, on_stage=ignore):
    subject = method.train_subject(base, tiny_subject(), seeded(seed), on_stage)
    return subject, method.train_motion(base, tiny_motion(), seeded(seed), on_stage)


@cache
def trained(name: str):
    """What a method trains for a subject and for a motion, once for all tests that only use it."""
    return both(build(name), QuietModel())


def bits(base) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in base.denoiser.state_dict().items()}


def same(first: dict, second: dict) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


@torch.no_grad()
def output(base, encode, prompt: str = "a * jumping"):
    base.denoiser.eval()
    latents = torch.randn(2, *(4, 4, 8, 8), generator=seeded(5))
    return base.denoiser(latents, torch.tensor([300, 300]), encode(["", prompt])).sample
