"""What DreamVideo adds to the contract of a method, on a tiny base model."""

from itertools import pairwise

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from dreamvideo.errors import NotFiniteError
from dreamvideo.methods.contract import SubjectData
from dreamvideo.params import ComputeParams, SamplingParams
from dreamvideo.sample import sample_latents
from dreamvideo.train import denoising_loss, optimise, training
from tests.support.method_trials import build, ignore, output, same, seeded, trained
from tests.support.tiny import QuietModel, TinyModel, tiny_motion, tiny_subject


def fixed_loss(base, encode, latents, prompt: str) -> float:
    """The loss with noise and timesteps that are the same at every call: what is left is the model's."""
    base.denoiser.eval()
    with torch.no_grad():
        losses = [
            denoising_loss(base, latents, encode([prompt] * len(latents)), seeded(seed)).item() for seed in range(8)
        ]
    return sum(losses) / len(losses)


LEARNING = {"steps": 40, "learning_rate": 0.02, "appearance_dropout": 0.0, "caption_dropout": 0.0}


def test_learning_a_subject_lowers_its_loss():
    base, method, data = QuietModel(), build(**LEARNING), tiny_subject(masked=False)
    latents = base.encode_frames(data.images[:, None])
    before = fixed_loss(base, base.encode_text, latents, "a dog")
    learnt = method.train_subject(base, data, seeded(), ignore)
    with method.composed(base, learnt.tensors, None, None) as encode:
        after = fixed_loss(base, encode, latents, "a *")
    assert after < 0.95 * before


def test_learning_a_motion_lowers_its_loss():
    base, method, data = QuietModel(), build(**LEARNING), tiny_motion(clips=1)
    latents = base.encode_frames(data.clips[0][None, :4])
    before = fixed_loss(base, base.encode_text, latents, data.captions[0])
    learnt = method.train_motion(base, data, seeded(), ignore)
    with method.composed(base, None, learnt.tensors, None) as encode:
        latents_of_two = latents.expand(2, -1, -1, -1, -1)  # composed for the two branches of guidance
        after = fixed_loss(base, encode, latents_of_two, data.captions[0])
    assert after < 0.95 * before


def test_the_embedding_is_learnt_first_and_is_frozen_while_the_adapter_learns():
    base = QuietModel()
    short, long = build(identity_adapter={"steps": 1, **FLAT}), build(identity_adapter={"steps": 4, **FLAT})
    first, second = (method.train_subject(base, tiny_subject(), seeded(), ignore).tensors for method in (short, long))
    (name,) = (name for name in first if name.startswith("textual_inversion."))
    assert torch.equal(first[name], second[name])
    assert not torch.equal(first[name], base.word_embedding("dog"))
    assert not same(first, second)


FLAT = {"learning_rate": 0.01, "batch_size": 2}


def test_the_adapter_learns_beside_the_learnt_embedding():
    """The same draws, so that only the embedding can make the adapters differ."""
    one, other = (build(textual_inversion={"steps": 3, "batch_size": 2, "learning_rate": rate}) for rate in (0.01, 0.5))
    first, second = (m.train_subject(QuietModel(), tiny_subject(), seeded(), ignore).tensors for m in (one, other))
    assert any(not torch.equal(first[name], second[name]) for name in first if name.startswith("identity_adapter."))


def with_glare(data: SubjectData) -> SubjectData:
    """The background, and it alone, thirty times brighter than anything can be."""
    foreground = tiny_subject().masks
    return SubjectData(data.class_word, data.images * foreground + 30 * (1 - foreground), data.masks)


def test_the_loss_counts_the_foreground_alone():
    """Where the background is extreme, so is its share of the loss: it must not be in it."""
    base, method = QuietModel(), build(steps=6)
    masked = method.train_subject(base, with_glare(tiny_subject()), seeded(), ignore).losses
    unmasked = method.train_subject(base, with_glare(tiny_subject(masked=False)), seeded(), ignore).losses
    for stage in masked:
        assert max(masked[stage]) < 20 < max(unmasked[stage]) / 5


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_a_mask_of_everything_changes_nothing(shift):
    base, method, data = QuietModel(), build(random_shift=shift), tiny_subject(masked=False)
    full = SubjectData(data.class_word, data.images, torch.ones(3, 1, 16, 16))
    without, under = (method.train_subject(base, one, seeded(), ignore).losses for one in (data, full))
    for stage in without:
        assert under[stage] == pytest.approx(without[stage], rel=1e-3)


def test_nothing_is_learnt_under_an_empty_mask():
    base, method, data = QuietModel(), build(), tiny_subject()
    empty = SubjectData(data.class_word, data.images, torch.zeros(3, 1, 16, 16))
    learnt = method.train_subject(base, empty, seeded(), ignore)
    assert all(loss == 0 for curve in learnt.losses.values() for loss in curve)
    assert torch.equal(learnt.tensors["textual_inversion.embedding"], base.word_embedding("dog"))
    assert not any(value.any() for name, value in learnt.tensors.items() if ".up." in name)


class SeesDifferently(QuietModel):
    def encode_appearance(self, images):
        return 3 - super().encode_appearance(images)


@pytest.mark.parametrize(("dropout", "independent"), [(1.0, True), (0.0, False)])
def test_motion_is_independent_of_appearance_where_that_is_always_dropped(dropout, independent):
    method = build(appearance_dropout=dropout)
    first, second = (
        method.train_motion(base, tiny_motion(), seeded(), ignore).tensors for base in (QuietModel(), SeesDifferently())
    )
    assert same(first, second) == independent


@pytest.mark.parametrize(("dropout", "independent"), [(1.0, True), (0.0, False)])
def test_motion_is_independent_of_captions_where_those_are_always_dropped(dropout, independent):
    method, data = build(caption_dropout=dropout), tiny_motion()
    first = method.train_motion(QuietModel(), data, seeded(), ignore).tensors
    data.captions[:] = ["a cat is falling", "a cat rises"]
    assert same(first, method.train_motion(QuietModel(), data, seeded(), ignore).tensors) == independent


def test_appearance_guides_the_conditional_branch_alone():
    base, method = QuietModel(), build(appearance_strength=1.0, unconditional_appearance_strength=1.0)
    motion = trained("dreamvideo")[1].tensors
    outputs = []
    for brightness in (None, -1.0, 1.0):
        reference = None if brightness is None else torch.full((3, 16, 16), brightness)
        with method.composed(base, None, motion, reference) as encode:
            outputs.append(output(base, encode))
    without, dark, bright = outputs
    torch.testing.assert_close(dark[0], bright[0])
    torch.testing.assert_close(dark[0], without[0])
    assert (dark[1] - bright[1]).abs().max() > 1e-4


def test_appearance_strength_zero_ignores_the_reference():
    base, motion = QuietModel(), trained("dreamvideo")[1].tensors
    outputs = []
    for strength in (0.0, 1.0):
        method = build(appearance_strength=strength, unconditional_appearance_strength=0.0)
        for brightness in (-1.0, 1.0):
            with method.composed(base, None, motion, torch.full((3, 16, 16), brightness)) as encode:
                outputs.append(output(base, encode))
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[2], outputs[3])


def test_the_pseudo_word_carries_the_learnt_embedding_and_other_words_their_own():
    base = QuietModel()
    subject = trained("dreamvideo")[0].tensors
    with build().composed(base, subject, None, None) as encode:
        tokens = encode(["a * jumping"])
    assert torch.equal(tokens[0, 1], subject["textual_inversion.embedding"])
    assert torch.equal(tokens[0, [0, 2]], base.encode_text(["a dog jumping"])[0, [0, 2]])


# The loop beneath


def test_the_rate_warms_up_over_ten_steps_and_then_stays():
    """AdamW's step is the rate itself where the gradient never changes."""
    parameter, seen = torch.nn.Parameter(torch.zeros(1)), [0.0]
    optimise([parameter], parameter.sum, 15, 0.1, lambda *_: seen.append(parameter.item()))
    steps = [before - after for before, after in pairwise(seen)]
    assert steps == pytest.approx([0.01 * k for k in range(1, 11)] + [0.1] * 5, rel=1e-3)


def test_a_loss_that_is_not_finite_stops_training_with_the_step_and_the_remedy():
    parameter = torch.nn.Parameter(torch.ones(1))
    losses = iter([1.0, 1.0, float("nan")])
    with pytest.raises(NotFiniteError, match="step 3"):
        optimise([parameter], lambda: next(losses) * parameter.sum(), 5, 0.1)


def test_an_adapter_of_strength_0_is_off_to_the_last_bit():
    base, (subject, motion) = QuietModel(), trained("dreamvideo")
    plain, both_on = output(base, base.encode_text, "a dog jumping"), build()
    for strengths in ({"identity_strength": 0.0}, {"motion_strength": 0.0}):
        with build(**strengths).composed(base, subject.tensors, motion.tensors, None):
            part_off = output(base, base.encode_text, "a dog jumping")
        with both_on.composed(base, subject.tensors, motion.tensors, None):
            assert not torch.equal(output(base, base.encode_text, "a dog jumping"), part_off)
        assert not torch.equal(part_off, plain)


def test_with_both_strengths_0_the_video_is_the_bases_to_the_last_bit_words_and_all():
    base, (subject, motion), reference = QuietModel(), trained("dreamvideo"), torch.full((3, 16, 16), 0.5)
    sampling, noise = SamplingParams(steps=3, guidance_scale=4.0, negative_prompt=""), 7

    def video(encode):
        return sample_latents(base, encode(["", "a * jumping"]), sampling, seeded(noise))

    plain, off = video(base.encode_text), build(identity_strength=0.0, motion_strength=0.0)
    with off.composed(base, subject.tensors, motion.tensors, reference) as encode:
        assert torch.equal(encode(["a * jumping"]), base.encode_text(["a * jumping"]))
        assert torch.equal(video(encode), plain)
    with build(motion_strength=0.0).composed(base, subject.tensors, motion.tensors, reference) as encode:
        assert not torch.equal(encode(["a * jumping"]), base.encode_text(["a * jumping"]))


def test_the_recipe_of_strength_0_is_not_that_of_the_revision_that_kept_the_word():
    on, off = build().composition_recipe(), build(identity_strength=0.0).composition_recipe()
    assert "textual_identity" not in on and off["textual_identity"] == "off"


def test_an_adapters_strength_scales_what_it_adds():
    base, (_, motion) = QuietModel(), trained("dreamvideo")
    outputs = {}
    for strength in (0.0, 1e-3, 2e-3):
        with build(motion_strength=strength).composed(base, None, motion.tensors, None):
            outputs[strength] = output(base, base.encode_text, "a dog jumping").double()
    one, two = outputs[1e-3] - outputs[0.0], outputs[2e-3] - outputs[0.0]
    assert one.abs().max() > 0
    torch.testing.assert_close(two, 2 * one, rtol=0.02, atol=0.02 * one.abs().max().item())


def test_recomputed_activations_change_nothing_that_is_learnt():
    """Dropout is on: what is computed again draws the same."""
    plain, recomputing = TinyModel(), TinyModel(ComputeParams(device="cpu", gradient_checkpointing=True))
    for kind, data in (("train_subject", tiny_subject()), ("train_motion", tiny_motion())):
        one, two = (getattr(build(), kind)(base, data, seeded(), ignore) for base in (plain, recomputing))
        assert one.losses == two.losses
        for name, tensor in one.tensors.items():
            torch.testing.assert_close(two.tensors[name], tensor)
    assert all("forward" not in vars(module) for module in recomputing.denoiser.modules())


def test_recomputed_activations_are_not_kept():
    kept = {}
    for checkpointing in (False, True):
        base = TinyModel(ComputeParams(device="cpu", gradient_checkpointing=checkpointing))
        adapter, held = build().motion_adapter(base), 0

        def pack(tensor):
            nonlocal held
            held += tensor.numel()
            return tensor

        with training(base, seeded()), adapter.inject(base), saved_tensors_hooks(pack, lambda tensor: tensor):
            denoising_loss(base, torch.randn(1, 4, 4, 8, 8), base.encode_text(["a dog"]), seeded())
        kept[checkpointing] = held
    assert kept[True] < 0.5 * kept[False]


def test_the_timestep_exponent_decides_at_what_noise_a_motion_is_learnt(monkeypatch):
    lowest = {}
    for exponent in (1.0, 0.05):
        base, seen = TinyModel(), []
        predict = base.predict
        monkeypatch.setattr(
            base, "predict", lambda x, t, c, seen=seen, to=predict: seen.append(int(t.min())) or to(x, t, c)
        )
        build(steps=20, timestep_exponent=exponent).train_motion(base, tiny_motion(), seeded(), ignore)
        lowest[exponent] = min(seen)
    assert lowest[1.0] < 300 and lowest[0.05] > 700


def test_a_random_shift_moves_an_image_under_its_mask():
    """The background is glaring: where the mask did not move with the image, the loss would be as glaring."""
    base, method = QuietModel(), build(steps=6, random_shift=0.25)
    still = build(steps=6).train_subject(base, with_glare(tiny_subject()), seeded(), ignore)
    moved = method.train_subject(base, with_glare(tiny_subject()), seeded(), ignore)
    assert not same(still.tensors, moved.tensors)
    for stage in moved.losses:
        assert max(moved.losses[stage]) < 20
