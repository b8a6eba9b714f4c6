"""The loop, the latents and the bank of the pocket profile's pretraining.

Shapes: N clips, B batch, F frames, C latent channels, V caption variants, T tokens.
"""

import random
from itertools import pairwise

import pytest
import torch
from torch import nn

from dreamvideo.base_models.pocket_networks import build_clip, build_vae
from dreamvideo.dataset.pocket_world.cast import RESERVED
from dreamvideo.dataset.pocket_world.sampling import COLOUR_NAMES, MOTION_NAMES, SCENE_NAMES, draw_identity
from dreamvideo.dataset.pocket_world.tokenizer import (
    CONTEXT_LENGTH,
    END,
    PAD,
    PLACEHOLDER_ID,
    START,
    UNKNOWN,
    VOCABULARY_SIZE,
    WORDS,
    split,
    tokenize,
    unread_words,
)  # fmt: skip
from dreamvideo.dataset.pocket_world.vocabulary import CLASSES, COLOURS, MOTIONS, SCENES
from dreamvideo.params import PretrainingStage
from dreamvideo.pretraining import loop
from dreamvideo.pretraining.bank import LABELS, VARIANTS, build_bank, draw_shots, to_signal
from dreamvideo.pretraining.denoiser import encode_bank, normalise_latents, temporal_layers_bypassed
from dreamvideo.weights import read_weights
from tests.tiny import TinyModel


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


@pytest.fixture(scope="module")
def bank():
    return build_bank(32, 0, "cpu")


def words_of(tokens) -> list[str]:
    """The words of one row of token ids."""
    assert tokens[0] == START
    return [WORDS[int(i) - 3] for i in tokens[1 : int((tokens == END).nonzero()[0, 0])]]


def test_a_bank_holds_its_clips_in_bytes(bank):
    assert len(bank) == 32 and bank.pixels.shape == (32, 8, 3, 64, 64) and bank.masks.shape == (32, 8, 1, 64, 64)
    assert bank.pixels.dtype == bank.masks.dtype == torch.uint8
    assert bank.image_tokens.shape == bank.clip_tokens.shape == (32, VARIANTS, CONTEXT_LENGTH)
    assert bank.labels.shape == (32, len(LABELS))
    assert (bank.masks.flatten(1).float().mean(1) > 0).all() and bank.pixels.float().std() > 20


def test_captions_say_what_the_labels_say(bank):
    seen = set()
    for labels, images, clips in zip(bank.labels.tolist(), bank.image_tokens, bank.clip_tokens, strict=True):
        truth = dict(zip(LABELS, labels, strict=True))
        colour = COLOUR_NAMES[truth["colour"]]
        scene, motion = SCENES[SCENE_NAMES[truth["scene"]]], MOTIONS[MOTION_NAMES[truth["motion"]]]
        for moving, tokens in [*((False, row) for row in images), *((True, row) for row in clips)]:
            words = words_of(tokens)
            text = " ".join(words)
            assert words[0] == "a" and set(words) & set(CLASSES) == {CLASSES[truth["subject_class"]]}
            assert set(words) & set(COLOURS) <= {colour}
            said = {phrase for phrase in SCENES.values() if phrase in text}
            assert said <= {scene}
            if " is " in text:
                assert moving and (motion in text or "is moving" in text)
                seen.add("motion")
            seen |= {"colour" for word in words if word == colour} | {"scene" for _ in said}
    assert seen == {"motion", "colour", "scene"}


def test_clips_come_in_pairs_of_one_identity_in_different_shots(bank):
    shots = draw_shots(32, 0)
    first, second = shots[::2], shots[1::2]
    assert all(one.identity == other.identity for one, other in zip(first, second, strict=True))
    assert not any(one == other for one, other in zip(first, second, strict=True))
    assert len({shot.identity for shot in shots}) == 16
    identity = [LABELS.index(name) for name in ("subject_class", "colour", "marking", "marking_colour")]
    assert torch.equal(bank.labels[::2, identity], bank.labels[1::2, identity])
    classes = [CLASSES.index(shot.identity.subject_class) for shot in shots]
    assert bank.labels[:, LABELS.index("subject_class")].tolist() == classes


def test_a_bank_follows_from_its_seed(bank):
    again, other = build_bank(32, 0, "cpu"), build_bank(32, 1, "cpu")
    for name in ("pixels", "masks", "image_tokens", "clip_tokens", "labels"):
        assert torch.equal(getattr(again, name), getattr(bank, name))
    assert not torch.equal(other.pixels, bank.pixels) and not torch.equal(other.labels, bank.labels)


def test_the_subjects_of_the_dataset_are_never_drawn():
    drawn = {shot.identity.signature for shot in draw_shots(8000, 3)}
    assert len(RESERVED) == 20 and not drawn & RESERVED
    rng = random.Random(3)
    assert {draw_identity(rng, frozenset()).signature for _ in range(4000)} & RESERVED, "drawn where not reserved"


def test_to_signal_maps_bytes_to_minus_one_to_one():
    assert to_signal(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def test_a_text_ends_with_the_highest_id_where_clip_pools():
    assert END == VOCABULARY_SIZE - 1 > max(PLACEHOLDER_ID, PAD, START, UNKNOWN)
    tokens = tokenize(["a red dog is jumping on the beach", "", "* " * 40])
    assert tokens.shape == (3, CONTEXT_LENGTH) and tokens.max() == END
    assert (tokens == END).sum(1).tolist() == [1, 1, 1]
    assert tokens.argmax(1).tolist() == [9, 1, CONTEXT_LENGTH - 1]
    assert (tokens[1, 2:] == PAD).all() and tokens[1, 0] == START
    assert (tokens[2, 1:-1] == PLACEHOLDER_ID).all()


def test_a_clip_reads_no_further_than_the_end():
    torch.manual_seed(0)
    clip = build_clip().eval()
    tokens = tokenize(["a dog"])
    padded = tokens.clone()
    padded[0, int(tokens.argmax()) + 1 :] = UNKNOWN
    with torch.no_grad():
        torch.testing.assert_close(clip.encode_text(padded), clip.encode_text(tokens))


def test_unread_words_are_named_and_become_one_token():
    assert unread_words("A Dog, EATING a pizza!") == ["eating", "pizza"]
    assert unread_words("a * is moving at night.") == []
    assert unread_words("a * is moving" + " at night" * 6) == ["at", "night"]
    assert tokenize(["a dog eating"])[0, 1:4].tolist() == [*tokenize(["a dog"])[0, 1:3].tolist(), UNKNOWN]
    assert torch.equal(tokenize(["A  Dog!"]), tokenize(["a dog"]))


def test_every_word_of_the_world_has_an_id_of_its_own():
    assert len(set(WORDS)) == len(WORDS) == VOCABULARY_SIZE - 4
    for phrase in (*CLASSES, *COLOURS, *SCENES.values(), *MOTIONS.values()):
        assert unread_words(phrase) == []
        assert words_of(tokenize([phrase])[0]) == split(phrase)


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return build_vae().eval().requires_grad_(False)


@torch.no_grad()
def test_normalised_latents_have_mean_zero_and_deviation_one_and_decode_alike(bank, vae):
    frames = to_signal(bank.pixels[:, ::4].flatten(0, 1))
    before = vae.encode(frames).latent_dist
    mean, std, decoded = before.mean, before.std, vae.decode(before.mean[:4]).sample
    assert mean.mean((0, 2, 3)).abs().max() > 0.05 or (mean.std((0, 2, 3)) - 1).abs().max() > 0.05
    deviation = mean.std((0, 2, 3))
    normalise_latents(vae, bank)
    after = vae.encode(frames).latent_dist
    torch.testing.assert_close(after.mean.mean((0, 2, 3)), torch.zeros(4), rtol=0, atol=1e-3)
    torch.testing.assert_close(after.mean.std((0, 2, 3)), torch.ones(4), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(vae.decode(after.mean[:4]).sample, decoded, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(after.std * deviation[:, None, None], std, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_an_encoded_bank_holds_the_means_of_its_frames_and_their_foreground(bank, vae):
    latents = encode_bank(bank, vae)
    assert latents.latents.shape == (32, 8, 4, 16, 16) and latents.foreground.shape == (32, 8, 1, 16, 16)
    expected = vae.encode(to_signal(bank.pixels[5, 3:4])).latent_dist.mean[0]
    torch.testing.assert_close(latents.latents[5, 3].float(), expected, rtol=1e-2, atol=1e-2)
    cell = bank.masks[5, 3, 0, 20:24, 28:32].float().mean() / 255
    assert latents.foreground[5, 3, 0, 5, 7].item() == pytest.approx(cell.item(), abs=1e-3)


@torch.no_grad()
def test_with_temporal_layers_bypassed_frames_do_not_see_each_other():
    base = TinyModel()
    latents = torch.randn(1, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    other, text = latents.clone(), base.encode_text(["a dog"])
    other[:, :, 1] += 1

    def outputs():
        return [base.unet(clip, torch.tensor([500]), text).sample for clip in (latents, other)]

    plain = outputs()
    assert not torch.allclose(plain[0][:, :, 0], plain[1][:, :, 0], atol=1e-4)
    with temporal_layers_bypassed(base.unet):
        first, second = outputs()
        alone = base.unet(latents[:, :, :1], torch.tensor([500]), text).sample
    torch.testing.assert_close(first[:, :, [0, 2]], second[:, :, [0, 2]])
    torch.testing.assert_close(first[:, :, :1], alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(first[:, :, 1], second[:, :, 1], atol=1e-3)
    assert all(torch.equal(one, two) for one, two in zip(outputs(), plain, strict=True))


def test_temporal_layers_come_back_when_the_block_raises():
    unet = TinyModel().unet
    with pytest.raises(ZeroDivisionError), temporal_layers_bypassed(unet):
        raise ZeroDivisionError
    assert not any("forward" in vars(module) for module in unet.modules())
