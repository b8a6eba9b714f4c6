"""The loop of the pocket profile's pretraining: checkpoints, averages, rates."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from dreamvideo.params import PretrainingStage
from dreamvideo.pretraining import loop
from dreamvideo.weights import read_weights


def tiny_module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))


def stage(steps: int, ema: float = 0.0, learning_rate: float = 0.05) -> PretrainingStage:
    return PretrainingStage(steps=steps, batch_size=8, learning_rate=learning_rate, ema=ema)


def loss_on_random_data(module: nn.Module):
    def loss_of(step: int, generator: torch.Generator):
        x = torch.randn(8, 4, generator=generator)
        return (module(x) - x[:, :2].flip(1)).square().mean()

    return loss_of


class Killed(Exception):
    pass


def killed_at(step: int, loss_of):
    def loss_or_death(now: int, generator: torch.Generator):
        if now == step:
            raise Killed
        return loss_of(now, generator)

    return loss_or_death


def ignore(*_: object) -> None:
    pass


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("at", [1, 13, 19])
def test_a_training_killed_and_resumed_gives_the_same_bits(tmp_path, monkeypatch, at, ema):
    whole = tiny_module()
    loop.train(whole, loss_on_random_data(whole), stage(20, ema), tmp_path / "whole.safetensors", ignore)

    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", -1.0)
    checkpoint = tmp_path / "killed.safetensors"
    killed = tiny_module()
    with pytest.raises(Killed):
        loop.train(killed, killed_at(at, loss_on_random_data(killed)), stage(20, ema), checkpoint, ignore)
    assert read_weights(checkpoint)[1]["step"] == at

    resumed, steps = tiny_module(), []
    loss_of = loss_on_random_data(resumed)

    def counted(step: int, generator: torch.Generator):
        steps.append(step)
        return loss_of(step, generator)

    loop.train(resumed, counted, stage(20, ema), checkpoint, ignore)
    assert steps == list(range(at, 20))
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_finished_training_is_not_repeated(tmp_path):
    module, again = tiny_module(), tiny_module()
    loop.train(module, loss_on_random_data(module), stage(5, 0.9), tmp_path / "c.safetensors", ignore)
    loop.train(again, killed_at(0, None), stage(5, 0.9), tmp_path / "c.safetensors", ignore)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in module.state_dict().items())


def test_a_training_without_a_due_checkpoint_saves_at_its_end_only(tmp_path):
    module = tiny_module()
    with pytest.raises(Killed):
        loop.train(module, killed_at(4, loss_on_random_data(module)), stage(5), tmp_path / "c.safetensors", ignore)
    assert not (tmp_path / "c.safetensors").exists()


def test_weights_end_as_the_moving_average_of_every_step(tmp_path):
    """average <- d average + (1 - d) weight, with d = min(ema, (k + 1) / (k + 10)) at step k."""
    ema, steps, weights = 0.5, 15, []
    module = nn.Linear(3, 2)

    def loss_of(step: int, generator: torch.Generator):
        weights.append(module.weight.detach().clone())
        return (module.weight * torch.randn(2, 3, generator=generator)).sum()

    checkpoint = tmp_path / "c.safetensors"
    loop.train(module, loss_of, stage(steps, ema), checkpoint, ignore)
    weights.append(read_weights(checkpoint)[0]["module.weight"])
    average = weights[0]
    for k, weight in enumerate(weights[1:]):
        decay = min(ema, (k + 1) / (k + 10))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(module.weight.detach(), average)
    assert not torch.allclose(average, weights[-1], atol=1e-3)


def test_without_averaging_weights_end_as_they_are(tmp_path):
    module = tiny_module()
    loop.train(module, loss_on_random_data(module), stage(3), tmp_path / "c.safetensors", ignore)
    last = read_weights(tmp_path / "c.safetensors")[0]
    assert all(torch.equal(value, last[f"module.{name}"]) for name, value in module.state_dict().items())


def test_frozen_parameters_stay_and_others_learn(tmp_path):
    module = tiny_module()
    module[0].requires_grad_(False)
    frozen, losses = module[0].weight.clone(), []
    loop.train(
        module,
        loss_on_random_data(module),
        stage(300, 0.9),
        tmp_path / "c.safetensors",
        lambda _, loss, *__: losses.append(loss),
    )
    assert torch.equal(module[0].weight, frozen)
    assert len(losses) == 6 and losses[-1] < 0.7 * losses[0]


def test_the_rate_warms_up_then_falls_to_a_twentieth():
    rates = [loop._rate(step, 1000) for step in range(1000)]
    assert rates[:3] == pytest.approx([0.01, 0.02, 0.03]) and rates[99:700] == pytest.approx([1.0] * 601)
    assert all(later < earlier for earlier, later in pairwise(rates[701:]))
    assert rates[-1] == pytest.approx(0.05, abs=1e-3)
