"""Full noise, where one pass of the UNet serves all clips of a caption."""

import pytest
import torch

from dreamvideo.base_models.pocket_networks import TextTower, build_clip, build_scheduler, build_unet
from dreamvideo.diffusion import make_noise
from dreamvideo.pocket_world.tokenizer import tokenize
from dreamvideo.pocket_world.vocabulary import CLASSES, DIRECTIONS, FAMILIES, MOTIONS, SCENES
from dreamvideo.pretraining import motion_words
from dreamvideo.pretraining.bank import LABELS, UNNAMED
from dreamvideo.pretraining.denoiser import FOREGROUND_WEIGHT, Denoiser, LatentBank

FRAMES, SIZE = 3, 8


def labels(*told: tuple[int, int, int]) -> torch.Tensor:
    """(N, len(LABELS)) of (class, motion, scene); the other columns all differ."""
    table = torch.arange(len(told))[:, None].repeat(1, len(LABELS))
    for column, name in enumerate(("subject_class", "motion", "scene")):
        table[:, LABELS.index(name)] = torch.tensor(told)[:, column]
    return table


@pytest.fixture(scope="module")
def bank() -> LatentBank:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(5, FRAMES, 4, SIZE, SIZE, generator=generator)
    foreground = (torch.rand(5, FRAMES, 1, SIZE, SIZE, generator=generator) > 0.95).half()
    tokens = torch.zeros(5, 1, 16, dtype=torch.long)
    return LatentBank(latents, foreground, tokens, tokens)


SAME = labels((1, 2, 3), (0, 1, 0), (1, 2, 3), (1, 2, 3), (0, 1, 0))


@pytest.fixture
def denoiser() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(build_unet(), TextTower(build_clip()))


def test_clips_are_gathered_by_class_motion_and_scene(bank):
    means = motion_words.caption_means(bank, SAME)
    assert means.latents.shape == (2, 4, FRAMES, SIZE, SIZE) and means.weight.shape == (2, 1, FRAMES, SIZE, SIZE)
    expected = tokenize(["a cat is moving to the right on the beach", "a dog is moving to the left in the desert"])
    assert means.tokens.equal(expected)
    assert means.weight.min() >= 1 and means.weight.max() <= 1 + FOREGROUND_WEIGHT


def test_clips_whose_motion_has_no_name_are_in_no_mean(bank):
    named = motion_words.caption_means(bank, labels((1, 2, 3), (0, 1, 0), (0, 1, 0), (1, 2, 3), (0, 1, 0)))
    some = motion_words.caption_means(bank, labels((1, 2, 3), (0, 1, 0), (0, 1, 0), (1, UNNAMED, 3), (2, UNNAMED, 0)))
    assert some.tokens.equal(named.tokens)
    assert not some.latents[1].equal(named.latents[1])
    torch.testing.assert_close(some.latents[1], bank.latents[0].transpose(0, 1))


def test_the_mean_clip_has_the_gradient_of_all_clips_together(bank, denoiser):
    means, scheduler, batch = motion_words.caption_means(bank, SAME), build_scheduler(), 2
    parameter = denoiser.unet.conv_out.weight
    loss = motion_words.motion_word_loss(denoiser, means, batch, scheduler, 0.1)
    loss(motion_words.FIRST_FRAME_STEPS, torch.Generator().manual_seed(3)).backward()
    together, parameter.grad = parameter.grad.clone(), None

    generator = torch.Generator().manual_seed(3)
    order = torch.randperm(2, generator=generator).tolist()
    noise = make_noise((2, 4, FRAMES, SIZE, SIZE), generator, 0.1)
    prediction = denoiser.unet(noise, torch.full((2,), 999), denoiser.text(means.tokens[order])).sample
    fading = torch.linspace(1, motion_words.LAST_FRAME_WEIGHT, FRAMES)[:, None, None]
    error, total = 0.0, 0.0
    for place, caption in enumerate(order):
        clips = [1, 4] if caption == 0 else [0, 2, 3]
        for clip in clips:
            own = motion_words.caption_means(LatentBank(*(t[[clip]] for t in vars(bank).values())), SAME[[clip]])
            weight = own.weight[0] * fading / len(clips)
            error = error + ((prediction[place] + own.latents[0]).square() * weight).sum()
            total = total + weight.sum() * 4
    (error / total).backward()
    torch.testing.assert_close(parameter.grad, together, rtol=1e-4, atol=1e-6)


def test_first_frames_come_first_and_leave_the_temporal_layers_alone(bank, denoiser):
    means = motion_words.caption_means(bank, SAME)
    loss = motion_words.motion_word_loss(denoiser, means, 2, build_scheduler(), 0.1)
    temporal = denoiser.unet.mid_block.temp_convs[0].conv4[-1].weight
    loss(0, torch.Generator().manual_seed(0)).backward()
    assert temporal.grad is None and denoiser.unet.conv_in.weight.grad is not None
    loss(motion_words.FIRST_FRAME_STEPS, torch.Generator().manual_seed(0)).backward()
    assert temporal.grad.abs().max() > 0


def test_words_of_motions_are_raised_to_the_length_of_the_others(denoiser):
    table = denoiser.text.token_embedding.weight
    with torch.no_grad():
        table[tokenize(CLASSES).unique()] *= 5
    before = table.detach().clone()
    motion_words.raise_motion_words(denoiser.text)
    jumping, cat = tokenize(["jumping"])[0, 1], tokenize(["cat"])[0, 1]
    assert table[cat].equal(before[cat])
    assert table[jumping].norm() > 2 * before[jumping].norm()
    cosine = torch.nn.functional.cosine_similarity(table[jumping], before[jumping], dim=0)
    assert cosine.item() == pytest.approx(1, abs=1e-5)
    raised = {i for i in range(len(table)) if not table[i].equal(before[i])}
    words = [*MOTIONS.values(), *FAMILIES.values(), *DIRECTIONS.values()]
    known = set(tokenize([*CLASSES, *SCENES.values()]).unique().tolist())
    assert raised == set(tokenize(words).unique().tolist()) - known
