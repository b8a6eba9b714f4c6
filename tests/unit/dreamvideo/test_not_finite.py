"""NaN and infinity stop the work where they arise: none is trained, kept, loaded or shown."""

import json

import pytest
import torch
from safetensors.torch import save_file

from dreamvideo.errors import InputError, NotFiniteError
from dreamvideo.params import SamplingParams
from dreamvideo.sample import sample_latents
from dreamvideo.train import optimise
from dreamvideo.weights import read_weights, save_weights
from tests.support.method_trials import build, seeded, trained
from tests.support.tiny import QuietModel

BAD = [float("nan"), float("inf"), float("-inf")]
SAMPLING = SamplingParams(steps=3, guidance_scale=4.0, negative_prompt="")


def sample(base, method, subject, motion):
    with method.composed(base, subject, motion, None) as encode:
        return sample_latents(base, encode(["", "a * jumping"]), SAMPLING, seeded())


def test_a_last_step_without_a_gradient_trains_nothing():
    """The root of zero is finite, its slope is not."""
    parameter, steps = torch.nn.Parameter(torch.ones(2)), iter(range(1, 4))

    def loss():
        return (parameter * (0.0 if next(steps) == 3 else 1.0)).sqrt().sum()

    with pytest.raises(NotFiniteError):
        optimise([parameter], loss, 3, 0.1)
    assert next(steps, None) is None, "the losses of all three steps were finite"


@pytest.mark.parametrize("value", BAD)
def test_weights_that_are_not_finite_are_not_written(tmp_path, value):
    path = tmp_path / "adapter.safetensors"
    with pytest.raises(NotFiniteError, match="'up'"):
        save_weights(path, {"down": torch.ones(2), "up": torch.tensor([1.0, value])}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
def test_weights_that_are_not_finite_are_not_read(tmp_path, value, kind):
    path = tmp_path / "adapter.safetensors"
    tensors = {"count": torch.tensor(3), "up": torch.tensor([1.0, value], dtype=kind)}
    save_file(tensors, path, metadata={"schema": json.dumps({"kind": "motion"})})
    with pytest.raises(InputError, match="'up' holds values that are not finite"):
        read_weights(path, kind="motion")


@pytest.mark.parametrize("part", ["identity_adapter.", "textual_inversion."])
def test_a_nan_that_was_learnt_of_a_subject_is_no_video(part):
    base, subject = QuietModel(), dict(trained("dreamvideo")[0].tensors)
    name = next(name for name in subject if name.startswith(part) and not name.endswith("bias"))
    subject[name] = subject[name].clone()
    subject[name].view(-1)[0] = float("nan")
    with pytest.raises(NotFiniteError):
        sample(base, build(), subject, None)


@pytest.mark.parametrize("option", ["identity_strength", "motion_strength", "appearance_strength"])
def test_a_strength_beyond_all_bounds_is_no_video(option):
    base, (subject, motion) = QuietModel(), trained("dreamvideo")
    with pytest.raises(NotFiniteError):
        base.decode_latents(sample(base, build(**{option: 1e30}), subject.tensors, motion.tensors))


def test_latents_or_frames_that_are_not_finite_are_no_clip(monkeypatch):
    base, latents = QuietModel(), torch.zeros(1, 4, 4, 8, 8)
    assert base.decode_latents(latents).isfinite().all()
    with pytest.raises(NotFiniteError):
        base.decode_latents(latents + float("nan"))
    monkeypatch.setattr(base, "decode", lambda latents: torch.full((1, 4, 3, 16, 16), float("inf")))
    with pytest.raises(NotFiniteError):
        base.decode_latents(latents)
