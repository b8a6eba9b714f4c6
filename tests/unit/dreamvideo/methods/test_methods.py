"""What every registered method must keep to, on a tiny base model."""

from pathlib import Path

import pytest
import torch
from pydantic import BaseModel

from dreamvideo.errors import InputError
from dreamvideo.methods import methods
from dreamvideo.roles import Role
from dreamvideo.weights import check_fit
from tests.support.method_trials import bits, both, build, output, same, trained
from tests.support.tiny import QuietModel, TinyModel, tiny_options

every_method = pytest.mark.parametrize("name", list(methods))
# Those that have something to learn: all but the base model itself.
every_learner = pytest.mark.parametrize("name", [name for name in methods if any(map(build(name).trains, Role))])


@every_method
def test_training_leaves_the_base_model_as_it_was(name):
    base, method = QuietModel(), build(name)
    before, words, plain = bits(base), base.words.clone(), output(base, base.encode_text)
    both(method, base)
    assert same(bits(base), before) and torch.equal(base.words, words)
    assert torch.equal(output(base, base.encode_text), plain)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in base.denoiser.parameters())


@every_learner
def test_training_leaves_a_loss_for_every_step_and_tells_of_each(name):
    told = []
    subject, motion = both(build(name), QuietModel(), on_stage=lambda *step: told.append(step))
    kept = [loss for part in (subject, motion) for curve in part.losses.values() for loss in curve]
    assert [loss for *_, loss in told] == kept
    assert all(len(curve) == 3 for part in (subject, motion) for curve in part.losses.values())
    assert [step for _, step, _, _ in told] == [1, 2, 3] * (len(told) // 3)
    assert {steps for _, _, steps, _ in told} == {3}
    assert all(loss > 0 for loss in kept)


@every_learner
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


@every_learner
def test_trained_tensors_are_free_of_the_graph(name):
    for part in trained(name):
        assert part.tensors and not any(tensor.requires_grad for tensor in part.tensors.values())
        assert all(torch.isfinite(tensor).all() for tensor in part.tensors.values())


@every_learner
def test_trainable_parameters_are_what_training_returns(name):
    counted = build(name).trainable_parameters(TinyModel.architecture())
    returned = [sum(tensor.numel() for tensor in part.tensors.values()) for part in trained(name)]
    assert sum(counted.values()) == sum(returned)
    stages = {stage for part in trained(name) for stage in part.losses}
    assert set(counted) == stages


@every_method
def test_what_training_leaves_has_the_names_and_shapes_that_the_method_tells_of(name):
    method, base = build(name), TinyModel.architecture()
    modules = method.subject_module(base), method.motion_module(base)
    for module, part in zip(modules, trained(name), strict=True):
        check_fit(module, part.tensors, Path(name))


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
def test_what_was_learnt_goes_where_the_base_model_is(name):
    """Words on the meta device mix with no tensor on the CPU, as those on a GPU would not."""
    base, (subject, motion) = QuietModel(), (part.tensors for part in trained(name))
    base.device, base.words = torch.device("meta"), base.words.to("meta")
    with build(name).composed(base, subject, motion, None) as encode:
        assert encode(["a * jumping"]).is_meta


@every_learner
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
    recipes = *map(method.recipe, Role), method.composition_recipe()
    assert set().union(*recipes) == set(method.Options.model_fields)
    for recipe in recipes:
        assert all(recipe[key] == method.options.model_dump()[key] for key in recipe)


@every_method
def test_unknown_options_suggest_the_nearest(name):
    options = tiny_options(methods[name].Options)
    for key, value in list(options.items()):
        with pytest.raises(InputError, match=rf"params.yaml: methods.{name}: unknown key '{key}s'; did you mean"):
            methods[name](options | {f"{key}s": value})
        if isinstance(value, dict):
            nested = options | {key: value | {"stepz": 1}}
            with pytest.raises(InputError, match=rf"'{key}.stepz'; did you mean '{key}.steps'"):
                methods[name](nested)


def test_every_methods_options_are_closed_and_frozen():
    for name in methods:
        options: BaseModel = build(name).options
        assert options.model_config["frozen"] and options.model_config["extra"] == "forbid"
