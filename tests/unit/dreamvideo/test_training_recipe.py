"""How the paper's stages are trained, detail by detail, on a tiny base model."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dreamvideo.adapters import Adapter
from dreamvideo.train import WARM_UP_STEPS, optimise
from tests.support.method_trials import both, build, ignore, seeded
from tests.support.tiny import QuietModel, TinyModel, tiny_motion


@pytest.fixture
def watched(monkeypatch):
    """A base model, and what it was asked to predict of: whether it was in training, and how many clips."""
    base, seen = TinyModel(), []
    predict = base.predict
    monkeypatch.setattr(
        base,
        "predict",
        lambda noisy, *given: seen.append((base.denoiser.training, len(noisy))) or predict(noisy, *given),
    )
    return base, seen


def test_dropout_is_on_at_every_step_of_every_stage_and_off_afterwards(watched):
    base, seen = watched
    both(build(steps=2), base)
    assert [in_training for in_training, _ in seen] == [True] * 6
    assert not base.denoiser.training


@pytest.mark.parametrize(("clips", "batch"), [(1, 1), (2, 2), (3, 2)])
def test_a_step_sees_one_clip_of_a_single_video_and_two_of_several(watched, clips, batch):
    base, seen = watched
    build(batch_size=2).train_motion(base, tiny_motion(clips), seeded(), ignore)
    assert [count for _, count in seen] == [batch] * 3


class NumbersFrames(QuietModel):
    """Whose embedding of an image is its place in the clip, from 1."""

    def encode_appearance(self, images):
        return torch.arange(1.0, len(images) + 1)[:, None].expand(-1, self.appearance_width)

    def predict(self, noisy, timesteps, text):  # at no cost, so that many steps are quick
        return noisy.clone().requires_grad_()


def test_every_step_is_guided_by_a_frame_at_random(monkeypatch):
    frames, guide = [], Adapter.guide
    monkeypatch.setattr(
        Adapter, "guide", lambda adapter, seen: frames.extend(seen[:, 0].tolist()) or guide(adapter, seen)
    )
    method = build(steps=40, appearance_dropout=0.0)
    method.train_motion(NumbersFrames(), tiny_motion(clips=1), seeded(), ignore)
    assert len(frames) == 40 and set(frames) == {1, 2, 3, 4, 5, 6}


def test_a_step_is_that_of_adamw_with_the_papers_constants_and_no_weight_decay():
    """Gradients near eps, so that it counts, at a value so large that any decay would show."""
    gradients = [3e-8, -1e-8, 2e-8, 5e-8]
    parameter, given = torch.nn.Parameter(torch.tensor([100.0], dtype=torch.float64)), iter(gradients)
    optimise([parameter], lambda: (next(given) * parameter).sum(), len(gradients), learning_rate=0.1)
    expected, mean, square = 100.0, 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        direction = mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)) ** 0.5 + 1e-8)
        expected -= 0.1 * step / WARM_UP_STEPS * direction
    assert parameter.item() == pytest.approx(expected, abs=1e-9)


class NumbersTaken(TorchDispatchMode):
    """Counts the tensors that become numbers: for each of them, a GPU is waited for."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        # AdamW's own number of steps, in float32, stays on the CPU.
        self.count += function is torch.ops.aten._local_scalar_dense.default and args[0].dtype != torch.float32
        return function(*args, **(kwargs or {}))


def test_a_step_takes_one_number_from_the_device_its_loss_and_the_end_one_more():
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    with NumbersTaken() as taken:
        optimise([parameter], parameter.sum, 5, 0.1)
    assert taken.count == 5 + 1, "whether what was trained is finite"
