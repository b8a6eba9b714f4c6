"""The clips and latents of the pocket profile's pretraining.

Shapes: N clips, F frames, C latent channels, V caption variants, T tokens.
"""

import random

import pytest
import torch

from dreamvideo.base_models.pocket_networks import build_vae
from dreamvideo.pocket_world.cast import RESERVED
from dreamvideo.pocket_world.sampling import COLOUR_NAMES, MOTION_NAMES, SCENE_NAMES, draw_identity
from dreamvideo.pocket_world.tokenizer import CONTEXT_LENGTH
from dreamvideo.pocket_world.vocabulary import (
    CLASSES,
    COLOURS,
    FAMILIES,
    MARKING_WORDS,
    MARKINGS,
    MOTIONS,
    SCENES,
)
from dreamvideo.pretraining.bank import LABELS, UNNAMED, VARIANTS, build_bank, draw_shots, to_signal
from dreamvideo.pretraining.denoiser import encode_bank, normalise_latents, temporal_layers_bypassed
from tests.support.tiny import TinyModel
from tests.unit.dreamvideo.pocket_world.test_tokenizer import words_of


@pytest.fixture(scope="module")
def bank():
    return build_bank(32, 0, "cpu")


def test_a_bank_holds_its_clips_in_bytes(bank):
    assert len(bank) == 32 and bank.pixels.shape == (32, 8, 3, 64, 64) and bank.masks.shape == (32, 8, 1, 64, 64)
    assert bank.pixels.dtype == bank.masks.dtype == torch.uint8
    assert bank.image_tokens.shape == bank.clip_tokens.shape == (32, VARIANTS, CONTEXT_LENGTH)
    assert bank.labels.shape == (32, len(LABELS))
    assert (bank.masks.flatten(1).float().mean(1) > 0).all() and bank.pixels.float().std() > 20


def test_captions_say_what_the_labels_say(bank):
    seen = set()
    rows = zip(draw_shots(32, 0), bank.labels.tolist(), bank.image_tokens, bank.clip_tokens, strict=True)
    for shot, labels, images, clips in rows:
        truth = dict(zip(LABELS, labels, strict=True))
        if truth["motion"] == UNNAMED:
            assert shot.motion.name in FAMILIES and shot.motion.words.startswith(FAMILIES[shot.motion.name])
        else:
            assert shot.motion.words == MOTIONS[MOTION_NAMES[truth["motion"]]]
        colour = COLOUR_NAMES[truth["colour"]]
        scene, motion = SCENES[SCENE_NAMES[truth["scene"]]], shot.motion.words
        for moving, tokens in [*((False, row) for row in images), *((True, row) for row in clips)]:
            words = words_of(tokens)
            text = " ".join(words)
            assert words[0] == "a" and set(words) & set(CLASSES) == {CLASSES[truth["subject_class"]]}
            if "with" in words:
                at = words.index("with")
                named = [COLOUR_NAMES[truth["marking_colour"]], MARKING_WORDS[MARKINGS[truth["marking"]]]]
                assert words[at + 1 : at + 3] == named
                words = words[:at] + words[at + 3 :]
                seen.add("marking")
            assert set(words) & set(COLOURS) <= {colour}
            said = {phrase for phrase in SCENES.values() if phrase in text}
            assert said <= {scene}
            if " is " in text:
                told = text.split(" is ")[1].removesuffix(scene).strip()
                assert moving and told in (motion, "moving")
                seen.add("motion")
            seen |= {"colour" for word in words if word == colour} | {"scene" for _ in said}
    assert seen == {"motion", "colour", "scene", "marking"}


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
        return [base.denoiser(clip, torch.tensor([500]), text).sample for clip in (latents, other)]

    plain = outputs()
    assert not torch.allclose(plain[0][:, :, 0], plain[1][:, :, 0], atol=1e-4)
    with temporal_layers_bypassed(base.denoiser):
        first, second = outputs()
        alone = base.denoiser(latents[:, :, :1], torch.tensor([500]), text).sample
    torch.testing.assert_close(first[:, :, [0, 2]], second[:, :, [0, 2]])
    torch.testing.assert_close(first[:, :, :1], alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(first[:, :, 1], second[:, :, 1], atol=1e-3)
    assert all(torch.equal(one, two) for one, two in zip(outputs(), plain, strict=True))


def test_temporal_layers_come_back_when_the_block_raises():
    unet = TinyModel().denoiser
    with pytest.raises(ZeroDivisionError), temporal_layers_bypassed(unet):
        raise ZeroDivisionError
    assert not any("forward" in vars(module) for module in unet.modules())
