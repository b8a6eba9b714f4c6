"""The loop of the pocket profile's pretraining: checkpoints, averages, rates, threads."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from dreamvideo.base_models.pocket_networks import build_unet
from dreamvideo.params import PretrainingStage, SharedStage
from dreamvideo.pretraining import loop
from dreamvideo.weights import read_weights


def tiny_module(norm: type[nn.Module] = nn.BatchNorm1d) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), norm(6), nn.Linear(6, 2))


def stage(steps: int, ema: float = 0.0, learning_rate: float = 0.05, threads: int = 1) -> SharedStage:
    return SharedStage(steps=steps, batch_size=8, learning_rate=learning_rate, ema=ema, threads=threads)


def on_random_data(module: nn.Module, batch: int):
    def loss_of(step: int, generator: torch.Generator):
        x = torch.randn(batch, 4, generator=generator)
        return (module(x) - x[:, :2].flip(1)).square().mean()

    return loss_of


class Killed(Exception):
    pass


def killed_at(step: int, make_loss=on_random_data):
    def make(module: nn.Module, batch: int):
        loss_of = make_loss(module, batch)

        def loss_or_death(now: int, generator: torch.Generator):
            if now == step:
                raise Killed
            return loss_of(now, generator)

        return loss_or_death

    return make


def ignore(*_: object) -> None:
    pass


@pytest.mark.parametrize(("ema", "threads"), [(0.0, 1), (0.9, 1), (0.9, 2)])
@pytest.mark.parametrize("at", [1, 13, 19])
def test_a_training_killed_and_resumed_gives_the_same_bits(tmp_path, monkeypatch, at, ema, threads):
    how, norm = stage(20, ema, threads=threads), nn.BatchNorm1d if threads == 1 else nn.LayerNorm
    whole = tiny_module(norm)
    loop.train(whole, on_random_data, how, tmp_path / "whole.safetensors", ignore)

    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", -1.0)
    checkpoint = tmp_path / "killed.safetensors"
    with pytest.raises(Killed):
        loop.train(tiny_module(norm), killed_at(at), how, checkpoint, ignore)
    assert read_weights(checkpoint)[1]["step"] == at

    resumed, steps = tiny_module(norm), []

    def counted(module: nn.Module, batch: int):
        loss_of = on_random_data(module, batch)
        return lambda step, generator: steps.append(step) or loss_of(step, generator)

    loop.train(resumed, counted, how, checkpoint, ignore)
    assert sorted(steps) == sorted(list(range(at, 20)) * threads)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_moments_of_a_resumed_convolution_belong_to_its_weights(tmp_path, monkeypatch):
    """Channels-last weights lie otherwise in memory than a file's tensors, and the fused optimizer goes by memory."""

    def convolution() -> nn.Module:
        torch.manual_seed(0)
        return nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)

    def make_loss(module: nn.Module, batch: int):
        return lambda _, generator: module(torch.randn(batch, 3, 5, 5, generator=generator)).square().mean()

    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", -1.0)
    whole, resumed = convolution(), convolution()
    loop.train(whole, make_loss, stage(20), tmp_path / "whole.safetensors", ignore)
    with pytest.raises(Killed):
        loop.train(convolution(), killed_at(10, make_loss), stage(20), tmp_path / "c.safetensors", ignore)
    loop.train(resumed, make_loss, stage(20), tmp_path / "c.safetensors", ignore)
    assert torch.equal(whole.weight, resumed.weight)


@pytest.mark.parametrize("at", [70, 100])
def test_a_resumed_training_reports_its_whole_curve(tmp_path, monkeypatch, at):
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", -1.0)
    whole, resumed = [], []
    loop.train(
        tiny_module(), on_random_data, stage(130), tmp_path / "w.safetensors", lambda *point: whole.append(point)
    )
    with pytest.raises(Killed):
        loop.train(tiny_module(), killed_at(at), stage(130), tmp_path / "c.safetensors", ignore)
    loop.train(
        tiny_module(), on_random_data, stage(130), tmp_path / "c.safetensors", lambda *point: resumed.append(point)
    )
    assert [point[:3] for point in resumed] == [point[:3] for point in whole]
    assert [step for step, *_ in whole] == [50, 100, 130]
    assert all(earlier[3] < later[3] for earlier, later in pairwise(resumed))


def test_a_finished_training_is_not_repeated(tmp_path):
    module, again = tiny_module(), tiny_module()
    loop.train(module, on_random_data, stage(5, 0.9), tmp_path / "c.safetensors", ignore)
    loop.train(again, killed_at(0), stage(5, 0.9), tmp_path / "c.safetensors", ignore)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in module.state_dict().items())


def test_a_training_without_a_due_checkpoint_saves_at_its_end_only(tmp_path):
    module = tiny_module()
    with pytest.raises(Killed):
        loop.train(module, killed_at(4), stage(5), tmp_path / "c.safetensors", ignore)
    assert not (tmp_path / "c.safetensors").exists()


def test_weights_end_as_the_moving_average_of_every_step(tmp_path):
    """average <- d average + (1 - d) weight, with d = min(ema, (k + 1) / (k + 10)) at step k."""
    ema, steps, weights = 0.5, 15, []
    module = nn.Linear(3, 2)

    def loss_of(step: int, generator: torch.Generator):
        weights.append(module.weight.detach().clone())
        return (module.weight * torch.randn(2, 3, generator=generator)).sum()

    checkpoint = tmp_path / "c.safetensors"
    loop.train(module, lambda *_: loss_of, stage(steps, ema), checkpoint, ignore)
    weights.append(read_weights(checkpoint)[0]["module.weight"])
    average = weights[0]
    for k, weight in enumerate(weights[1:]):
        decay = min(ema, (k + 1) / (k + 10))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(module.weight.detach(), average)
    assert not torch.allclose(average, weights[-1], atol=1e-3)


def test_an_average_has_the_mean_of_statistics_and_the_last_of_counters_and_indices():
    module = nn.BatchNorm1d(1)
    module.register_buffer("positions", torch.arange(80))
    average, expected = loop._averaged(module, 0.99), 0.0
    for k in range(5):
        module.running_mean.fill_(k)
        module.num_batches_tracked.fill_(k)
        average.update_parameters(module)
        decay = (k + 1) / (k + 10)
        expected = decay * expected + (1 - decay) * k
    assert average.module.running_mean.item() == pytest.approx(expected)
    assert average.module.num_batches_tracked == 4
    assert torch.equal(average.module.positions, torch.arange(80))


def test_without_averaging_weights_end_as_they_are(tmp_path):
    module = tiny_module()
    loop.train(module, on_random_data, stage(3), tmp_path / "c.safetensors", ignore)
    last = read_weights(tmp_path / "c.safetensors")[0]
    assert all(torch.equal(value, last[f"module.{name}"]) for name, value in module.state_dict().items())


def test_frozen_parameters_stay_and_others_learn(tmp_path):
    module = tiny_module()
    module[0].requires_grad_(False)
    frozen, losses = module[0].weight.clone(), []
    loop.train(
        module,
        on_random_data,
        stage(300, 0.9),
        tmp_path / "c.safetensors",
        lambda _, loss, *__: losses.append(loss),
    )
    assert torch.equal(module[0].weight, frozen)
    assert len(losses) == 6 and losses[-1] < 0.7 * losses[0]


def test_threads_share_a_batch_and_their_gradients_are_averaged():
    module, before = tiny_module(nn.LayerNorm), torch.get_num_threads()
    with loop._shared_by(2, module, on_random_data, 8) as backward:
        loss = backward(3)
    assert torch.get_num_threads() == before
    got = [parameter.grad.clone() for parameter in module.parameters()]
    module.zero_grad()
    shares = [on_random_data(module, 4)(3, torch.Generator().manual_seed(seed)) for seed in (6, 7)]
    (sum(shares) / 2).backward()
    torch.testing.assert_close(loss, (sum(shares) / 2).detach())
    torch.testing.assert_close(got, [parameter.grad for parameter in module.parameters()])


def test_a_convolution_of_a_thread_s_copy_reads_the_copy():
    unet = build_unet()
    twin = loop._twin(unet)
    x = torch.randn(2, 4, 2, 16, 16)
    twin(x, torch.tensor(500), torch.randn(2, 5, 128)).sample.mean().backward()
    assert all(parameter.grad is None for parameter in unet.parameters())
    assert all(parameter.grad is not None for parameter in twin.parameters())


def test_a_batch_that_threads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="batch_size 8 is not a multiple of threads 3"):
        stage(1, threads=3)


def test_a_stage_whose_network_needs_whole_batches_takes_no_threads():
    with pytest.raises(ValueError, match="threads"):
        PretrainingStage(steps=1, batch_size=8, learning_rate=0.1, threads=2)


def test_the_rate_warms_up_then_falls_to_a_twentieth():
    rates = [loop._rate(step, 1000) for step in range(1000)]
    assert rates[:3] == pytest.approx([0.01, 0.02, 0.03]) and rates[99:700] == pytest.approx([1.0] * 601)
    assert all(later < earlier for earlier, later in pairwise(rates[701:]))
    assert rates[-1] == pytest.approx(0.05, abs=1e-3)
