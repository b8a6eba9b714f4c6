"""What every registered method must keep to, on a tiny base model; and what DreamVideo adds."""

from functools import cache
from itertools import pairwise

import pytest
import torch
from pydantic import BaseModel

from dreamvideo.errors import InputError
from dreamvideo.methods import methods
from dreamvideo.methods.contract import Method, SubjectData
from dreamvideo.train import denoising_loss, optimise
from tests.tiny import QuietModel, TinyModel, tiny_motion, tiny_options, tiny_subject

every_method = pytest.mark.parametrize("name", list(methods))
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
    return {name: value.clone() for name, value in base.unet.state_dict().items()}


def same(first: dict, second: dict) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


@torch.no_grad()
def output(base, encode, prompt: str = "a * jumping"):
    base.unet.eval()
    latents = torch.randn(2, *(4, 4, 8, 8), generator=seeded(5))
    return base.unet(latents, torch.tensor([300, 300]), encode(["", prompt])).sample


# Contract tests


@every_method
def test_training_leaves_the_base_model_as_it_was(name):
    base, method = QuietModel(), build(name)
    before, words, plain = bits(base), base.words.clone(), output(base, base.encode_text)
    both(method, base)
    assert same(bits(base), before) and torch.equal(base.words, words)
    assert torch.equal(output(base, base.encode_text), plain)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in base.unet.parameters())


@every_method
def test_training_leaves_a_loss_for_every_step_and_tells_of_each(name):
    told = []
    subject, motion = both(build(name), QuietModel(), on_stage=lambda *step: told.append(step))
    kept = [loss for part in (subject, motion) for curve in part.losses.values() for loss in curve]
    assert [loss for *_, loss in told] == kept
    assert all(len(curve) == 3 for part in (subject, motion) for curve in part.losses.values())
    assert [step for _, step, _, _ in told] == [1, 2, 3] * (len(told) // 3)
    assert {steps for _, _, steps, _ in told} == {3}
    assert all(loss > 0 for loss in kept)


@every_method
def test_the_same_seed_gives_the_same_bits_whatever_ran_before(name):
    base, method = TinyModel(), build(name)
    torch.manual_seed(1)
    first = both(method, base)
    torch.manual_seed(2)
    again, other = both(method, base), both(method, base, seed=1)
    for one, two, three in zip(first, again, other, strict=True):
        assert same(one.tensors, two.tensors) and one.losses == two.losses
        assert not same(one.tensors, three.tensors)


@every_method
def test_global_randomness_is_left_untouched(name):
    base, method = TinyModel(), build(name)
    before = torch.get_rng_state()
    subject, motion = both(method, base)
    assert torch.equal(torch.get_rng_state(), before), "training drew from it"
    with method.composed(base, subject.tensors, motion.tensors, None):
        pass
    assert torch.equal(torch.get_rng_state(), before), "composing drew from it"


@every_method
def test_trained_tensors_are_free_of_the_graph(name):
    for part in trained(name):
        assert part.tensors and not any(tensor.requires_grad for tensor in part.tensors.values())
        assert all(torch.isfinite(tensor).all() for tensor in part.tensors.values())


@every_method
def test_trainable_parameters_are_what_training_returns(name):
    counted = build(name).trainable_parameters(TinyModel.architecture())
    returned = [sum(tensor.numel() for tensor in part.tensors.values()) for part in trained(name)]
    assert sum(counted.values()) == sum(returned)
    stages = {stage for part in trained(name) for stage in part.losses}
    assert set(counted) == stages


@every_method
def test_a_composition_acts_and_is_undone_even_when_its_body_raises(name):
    base, method = QuietModel(), build(name)
    subject, motion = (part.tensors for part in trained(name))
    before, plain = bits(base), output(base, base.encode_text)
    with pytest.raises(ZeroDivisionError), method.composed(base, subject, motion, None) as encode:
        assert not torch.equal(output(base, encode), plain)
        raise ZeroDivisionError
    assert same(bits(base), before) and torch.equal(output(base, base.encode_text), plain)


@every_method
def test_a_composition_of_nothing_is_the_base_model(name):
    base = QuietModel()
    with build(name).composed(base, None, None, None) as encode:
        assert torch.equal(output(base, encode), output(base, base.encode_text))


@every_method
def test_subject_and_motion_each_act_alone(name):
    base, method = QuietModel(), build(name)
    subject, motion = (part.tensors for part in trained(name))
    outputs = []
    for given in ((subject, None), (None, motion), (subject, motion), (subject, motion)):
        with method.composed(base, *given, None) as encode:
            outputs.append(output(base, encode))
    assert not torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[1], outputs[2])
    assert not torch.equal(outputs[0], outputs[2]) and torch.equal(outputs[2], outputs[3])


@every_method
def test_recipes_share_out_all_options(name):
    method = build(name)
    recipes = method.subject_recipe(), method.motion_recipe(), method.composition_recipe()
    assert set().union(*recipes) == set(method.Options.model_fields)
    for recipe in recipes:
        assert all(recipe[key] == method.options.model_dump()[key] for key in recipe)


@every_method
def test_unknown_options_suggest_the_nearest(name):
    options = tiny_options(methods[name].Options)
    for key, value in list(options.items()):
        with pytest.raises(InputError, match=rf"params.yaml: method.options: unknown key '{key}s'; did you mean"):
            methods[name](options | {f"{key}s": value})
        if isinstance(value, dict):
            nested = options | {key: value | {"stepz": 1}}
            with pytest.raises(InputError, match=rf"'{key}.stepz'; did you mean '{key}.steps'"):
                methods[name](nested)


# DreamVideo


def fixed_loss(base, encode, latents, prompt: str) -> float:
    """The loss with noise and timesteps that are the same at every call: what is left is the model's."""
    base.unet.eval()
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


def test_a_mask_of_everything_changes_nothing():
    base, method, data = QuietModel(), build(), tiny_subject(masked=False)
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
    with pytest.raises(FloatingPointError, match="became nan at step 3; lower the learning rate"):
        optimise([parameter], lambda: next(losses) * parameter.sum(), 5, 0.1)


def test_every_methods_options_are_closed_and_frozen():
    for name in methods:
        options: BaseModel = build(name).options
        assert options.model_config["frozen"] and options.model_config["extra"] == "forbid"
