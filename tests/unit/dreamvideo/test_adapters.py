"""The adapters against the paper's equations.

Shapes: B batch, F frames, N tokens, D inner width of a transformer block, C' width of the appearance embedding.
"""

import copy

import pytest
import torch
from torch.nn.functional import gelu, linear

from dreamvideo.adapters import Adapter
from dreamvideo.errors import InputError
from dreamvideo.roles import Role
from dreamvideo.weights import load_into, read_weights, save_weights
from tests.support.tiny import TinyModel, around, tiny_unet, unet_adapter

APPEARANCE = 6  # C'
PLACEMENTS = ("parallel", "serial")
SPATIAL, TEMPORAL = "Transformer2DModel", "TransformerTemporalModel"


def build(kind: str, unet, placement: str = "parallel") -> Adapter:
    return unet_adapter(unet, Role(kind), placement, APPEARANCE)


def randomise(adapter: Adapter, seed: int = 5) -> Adapter:
    """An adapter that changes something, as a trained one does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return adapter


@pytest.fixture(scope="module")
def unet():
    return TinyModel().denoiser


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(2, 4, 3, 8, 8, generator=generator)
    return latents, torch.tensor([40, 700]), torch.randn(2, 6, 8, generator=generator)


@pytest.fixture(scope="module")
def appearance():
    return torch.randn(2, APPEARANCE, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
def run(unet, inputs):
    return unet(*inputs).sample


def transformers(unet, kind: str) -> list[str]:
    return [name for name, module in unet.named_modules() if type(module).__name__ == kind]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_both_adapters_are_the_identity_at_initialisation(unet, inputs, appearance, placement):
    plain = run(unet, inputs)
    identity, motion = build("identity", unet, placement), build("motion", unet, placement)
    motion.guide(appearance)
    with identity.inject(around(unet)), motion.inject(around(unet)):
        assert torch.equal(run(unet, inputs), plain)


@pytest.mark.parametrize("kind", ["identity", "motion"])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_an_adapter_acts_while_injected_and_leaves_nothing_behind(unet, inputs, appearance, kind, placement):
    plain, before = run(unet, inputs), {name: value.clone() for name, value in unet.state_dict().items()}
    adapter = randomise(build(kind, unet, placement))
    adapter.guide(appearance if kind == "motion" else None)
    adapter.inject(around(unet))
    during = unet.state_dict()
    assert (run(unet, inputs) - plain).abs().mean() > 1e-3
    assert list(during) == list(before) and all(torch.equal(during[name], before[name]) for name in before)
    adapter.eject()
    after = unet.state_dict()
    assert torch.equal(run(unet, inputs), plain)
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)


def test_an_adapter_is_ejected_when_its_block_raises_and_can_be_injected_again(unet, inputs):
    plain, adapter = run(unet, inputs), randomise(build("identity", unet))
    with pytest.raises(ZeroDivisionError), adapter.inject(around(unet)):
        customised = run(unet, inputs)
        raise ZeroDivisionError
    assert torch.equal(run(unet, inputs), plain)
    with adapter.inject(around(unet)):
        assert torch.equal(run(unet, inputs), customised)


def test_injecting_twice_is_refused(unet):
    adapter = build("identity", unet)
    with adapter.inject(around(unet)), pytest.raises(AssertionError, match="injected already"):
        adapter.inject(around(unet))


def test_identity_adapter_sits_beside_the_cross_attention_of_every_spatial_transformer(unet):
    names = transformers(unet, SPATIAL)
    assert len(names) == 4
    expected = {f"{name}.transformer_blocks.0.attn2".replace(".", "/") for name in names}
    assert set(build("identity", unet).bottlenecks) == expected


def test_motion_adapter_sits_beside_three_sublayers_of_every_temporal_transformer(unet):
    names = transformers(unet, TEMPORAL)
    assert len(names) == 5 and "transformer_in" in names
    expected = {
        f"{name}.transformer_blocks.0.{sublayer}".replace(".", "/")
        for name in names
        for sublayer in ("attn1", "attn2", "ff")
    }
    assert set(build("motion", unet).bottlenecks) == expected


def by_hand(block, x, text, appearance, changes: dict, placement: str):
    """A BasicTransformerBlock with changes to some sublayers, written out; changes are bottlenecks' tensors."""
    for sublayer, norm in (("attn1", block.norm1), ("attn2", block.norm2), ("ff", block.norm3)):
        module = getattr(block, sublayer)
        y = (module(norm(x), text) if sublayer == "attn2" else module(norm(x))) + x
        if sublayer in changes:
            w = changes[sublayer]
            read = x if placement == "parallel" else y
            if appearance is not None:
                read = read + linear(appearance, w["condition.weight"], w["condition.bias"])[:, None]
            hidden = gelu(linear(read, w["down.weight"], w["down.bias"]))
            y = y + linear(hidden, w["up.weight"], w["up.bias"])
        x = y
    return x


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("kind", ["identity", "motion"])
@torch.no_grad()
def test_a_block_computes_the_formula_of_the_paper(kind, placement):
    """Parallel (Eq. 3) reads the un-normalised stream, serial reads what the sublayer left."""
    unet = tiny_unet().eval()
    name = transformers(unet, SPATIAL if kind == "identity" else TEMPORAL)[0] + ".transformer_blocks.0"
    block = unet.get_submodule(name)
    untouched = copy.deepcopy(block)
    adapter = randomise(build(kind, unet, placement))
    changes = {}
    for place, bottleneck in adapter.bottlenecks.items():
        where, _, sublayer = place.replace("/", ".").rpartition(".")
        if where == name:
            changes[sublayer] = bottleneck.state_dict()
    assert set(changes) == ({"attn2"} if kind == "identity" else {"attn1", "attn2", "ff"})

    generator = torch.Generator().manual_seed(6)
    x = torch.randn(6, 3, block.attn1.query_dim, generator=generator)
    text = torch.randn(6, 5, 8, generator=generator) if kind == "identity" else None
    seen, strength = None, None
    if kind == "motion":  # B = 2 items of three rows each, batch-major
        seen, strength = torch.randn(2, APPEARANCE, generator=generator), torch.tensor([0.5, 2.0])
        adapter.guide(seen, strength)
        changes = {s: with_strength_folded(w) for s, w in changes.items()}
        rows = torch.cat((seen, torch.ones(2, 1)), dim=1) * strength[:, None]
        seen = rows[[0, 0, 0, 1, 1, 1]]
    expected = by_hand(untouched, x, text, seen, changes, placement)
    with adapter.inject(around(unet)):
        actual = block(x, encoder_hidden_states=text)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def with_strength_folded(weights: dict) -> dict:
    """The bias of ``cond`` as one more column, so that the strength scales all of s * cond(e)."""
    weight = torch.cat((weights["condition.weight"], weights["condition.bias"][:, None]), dim=1)
    return weights | {"condition.weight": weight, "condition.bias": torch.zeros(len(weight))}


def test_strength_is_one_where_none_is_given(unet, inputs, appearance):
    adapter = randomise(build("motion", unet))
    with adapter.inject(around(unet)):
        adapter.guide(appearance)
        default = run(unet, inputs)
        adapter.guide(appearance, torch.ones(2))
        assert torch.equal(run(unet, inputs), default)


def test_appearance_of_strength_zero_equals_no_appearance(unet, inputs, appearance):
    adapter = randomise(build("motion", unet))
    with adapter.inject(around(unet)):
        adapter.guide(None)
        without = run(unet, inputs)
        adapter.guide(appearance, torch.zeros(2))
        assert torch.equal(run(unet, inputs), without)
        adapter.guide(appearance)
        assert (run(unet, inputs) - without).abs().mean() > 1e-4


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_each_item_of_a_batch_gets_its_own_appearance_and_strength(unet, inputs, appearance, placement):
    adapter, strength = randomise(build("motion", unet, placement)), torch.tensor([0.3, 1.5])
    with adapter.inject(around(unet)):
        adapter.guide(appearance, strength)
        together = run(unet, inputs)
        for item in (0, 1):
            only = slice(item, item + 1)
            adapter.guide(appearance[only], strength[only])
            alone = run(unet, [value[only] for value in inputs])
            torch.testing.assert_close(together[only], alone, rtol=1e-4, atol=1e-4)
        adapter.guide(appearance.flip(0), strength)
        assert (run(unet, inputs) - together).abs().amax((1, 2, 3, 4)).min() > 1e-4


def test_only_adapters_get_gradients(inputs, appearance):
    unet = TinyModel().denoiser
    identity, motion = randomise(build("identity", unet)), randomise(build("motion", unet))
    motion.guide(appearance)
    with identity.inject(around(unet)), motion.inject(around(unet)):
        unet(*inputs).sample.square().mean().backward()
    assert all(parameter.grad is None for parameter in unet.parameters())
    for name, parameter in (*identity.named_parameters(), *motion.named_parameters()):
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_adapters_hold_only_their_own_parameters(unet):
    for kind in ("identity", "motion"):
        own = {id(parameter) for parameter in build(kind, unet).parameters()}
        assert not own & {id(parameter) for parameter in unet.parameters()}


@pytest.mark.parametrize("kind", ["identity", "motion"])
def test_saved_and_loaded_weights_give_the_same_bits(tmp_path, unet, inputs, appearance, kind):
    adapter, again = randomise(build(kind, unet)), build(kind, unet)
    path = tmp_path / "adapter.safetensors"
    save_weights(path, adapter.state_dict(), {"kind": kind})
    load_into(again, read_weights(path, kind=kind)[0], path)
    outputs = []
    for one in (adapter, again):
        one.guide(appearance if kind == "motion" else None)
        with one.inject(around(unet)):
            outputs.append(run(unet, inputs))
    assert torch.equal(*outputs)


def test_weights_of_the_other_adapter_are_refused(tmp_path, unet):
    identity = build("identity", unet)
    with pytest.raises(InputError, match=r"weights\.safetensors: weight 'bottlenecks.* does not fit Adapter"):
        load_into(identity, build("motion", unet).state_dict(), tmp_path / "weights.safetensors")
