"""The authors' checkpoints, converted, give what their network gives."""

from contextlib import ExitStack

import pytest
import torch
from diffusers import UNet3DConditionModel

from dreamvideo.authors.checkpoints import convert_identity, convert_motion, convert_textual_identity, convert_unet
from dreamvideo.errors import InputError
from dreamvideo.roles import Role
from dreamvideo.textual_inversion import TextualIdentity
from tests.support.authors_network import CONTEXT, AuthorsUNet
from tests.support.tiny import around, unet_adapter

DIM, MULTIPLIERS, LAYERS = 64, (1, 2, 2, 2), 1
SPATIAL, TEMPORAL = ("cross_attn_adapter",), ("attn_adapter", "cross_attn_adapter", "ff_adapter")


def config(dim: int, multipliers: tuple[int, ...], layers: int) -> dict:
    return {
        "block_out_channels": tuple(dim * m for m in multipliers),
        "layers_per_block": layers,
        "cross_attention_dim": CONTEXT,
        "attention_head_dim": 64,
    }


def randomise(module: torch.nn.Module) -> None:
    """No zeros, so that every tensor counts."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))


@pytest.fixture(scope="module")
def unet() -> UNet3DConditionModel:
    return UNet3DConditionModel(**config(DIM, MULTIPLIERS, LAYERS)).eval()


def inputs() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    return (
        torch.randn(2, 4, 3, 8, 8, generator=generator),
        torch.tensor([801, 17]),
        torch.randn(2, 5, CONTEXT, generator=generator),
        torch.randn(2, CONTEXT, generator=generator),
    )


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


@torch.no_grad()
def test_the_base_gives_what_theirs_gives(unet):
    theirs = AuthorsUNet(DIM, MULTIPLIERS, LAYERS).eval()
    randomise(theirs)
    wrapped = {"state_dict": {f"module.{name}": value for name, value in theirs.state_dict().items()}, "step": 1}
    converted = convert_unet(wrapped, unet.config)
    unet.load_state_dict(converted)
    x, t, text, _ = inputs()
    assert relative_error(unet(x, t, text).sample, theirs(x, t, text)) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("placement", ["parallel", "serial"])
def test_base_and_adapters_together_give_what_theirs_give(unet, placement):
    theirs = AuthorsUNet(DIM, MULTIPLIERS, LAYERS, SPATIAL, TEMPORAL, serial=placement == "serial").eval()
    randomise(theirs)
    state = theirs.state_dict()
    base = {name: value for name, value in state.items() if "_adapter." not in name}
    motion = {name: value for name, value in state.items() if "_adapter." in name and is_temporal(name)}
    identity = {name: value for name, value in state.items() if "_adapter." in name and not is_temporal(name)}
    unet.load_state_dict(convert_unet(base, unet.config))
    ours = [unet_adapter(unet, role, placement, CONTEXT) for role in Role]
    ours[0].load_state_dict(convert_identity({"state_dict": identity, "step": 500}))
    ours[1].load_state_dict(convert_motion(motion))
    x, t, text, image = inputs()
    with ExitStack() as stack:
        for adapter in ours:
            stack.enter_context(adapter.inject(around(unet)))
        for strength in (1.0, 0.0):
            ours[1].guide(image, torch.full((2,), strength))
            expected = theirs(x, t, text, image[:, None], strength)
            assert relative_error(unet(x, t, text).sample, expected) < 1e-5
        ours[1].guide(None)
        assert relative_error(unet(x, t, text).sample, theirs(x, t, text)) < 1e-5


def is_temporal(name: str) -> bool:
    block = name.split(".transformer_blocks")[0]
    return block == "input_blocks.0.1" or block.endswith(".2")


def test_every_tensor_of_the_full_base_and_its_adapters_has_its_place():
    full = 320, (1, 2, 4, 4), 2
    with torch.device("meta"):
        theirs = AuthorsUNet(*full, SPATIAL, TEMPORAL)
        ours = UNet3DConditionModel(**config(*full))
        adapters = [unet_adapter(ours, role, appearance_width=CONTEXT) for role in Role]
    state = theirs.state_dict()
    base = convert_unet({name: value for name, value in state.items() if "_adapter." not in name}, ours.config)
    identity = convert_identity({n: v for n, v in state.items() if "_adapter." in n and not is_temporal(n)})
    motion = convert_motion({n: v for n, v in state.items() if "_adapter." in n and is_temporal(n)})
    for module, converted in zip((ours, *adapters), (base, identity, motion), strict=True):
        expected = {name: value.shape for name, value in module.state_dict().items()}
        assert {name: value.shape for name, value in converted.items()} == expected
    assert [sum(value.numel() for value in part.values()) for part in (identity, motion)] == [12_409_120, 77_966_496]


def test_a_checkpoint_of_something_else_is_refused_by_name(unet):
    with pytest.raises(InputError, match=r"'encoder\.weight'"):
        convert_unet({"encoder.weight": torch.zeros(1)}, unet.config)
    with pytest.raises(InputError, match="identity adapter"):
        convert_identity({"input_blocks.0.0.weight": torch.zeros(1)})
    temporal = "input_blocks.0.1.transformer_blocks.0.attn_adapter.up_linear.bias"
    with pytest.raises(InputError, match="identity adapter"):
        convert_identity({temporal: torch.zeros(1)})


def test_a_base_is_neither_empty_nor_an_adapter(unet):
    for empty in ({}, {"state_dict": {}}, {"state_dict": {"step": 1}}):
        with pytest.raises(InputError, match="base model"):
            convert_unet(empty, unet.config)
    adapter = "input_blocks.0.1.transformer_blocks.0.foo_adapter.up_linear.bias"
    with pytest.raises(InputError, match=rf"'{adapter}'"):
        convert_unet({adapter: torch.zeros(1)}, unet.config)


@pytest.mark.parametrize("content", [{"state_dict": None}, {"state_dict": torch.zeros(2)}, {0: torch.zeros(2)}])
def test_a_checkpoint_without_names_is_refused(unet, content):
    for convert in (convert_identity, convert_motion, lambda found: convert_unet(found, unet.config)):
        with pytest.raises(InputError, match="state_dict"):
            convert(content)


@pytest.mark.parametrize(
    "name",
    [
        "input_blocks.x.foo_adapter.y",
        "output_blocks.99999999999.0.foo_adapter.y",
        "input_blocks.1.1.attn_adapter.",
        "input_blocks.1.1._adapter.up_linear.bias",
        "_adapter.y",
    ],
)
def test_an_adapters_tensor_without_a_place_is_refused(name):
    with pytest.raises(InputError, match="give another file"):
        convert_identity({name: torch.zeros(1)})


def test_a_textual_identity_becomes_ours():
    embedding = torch.arange(CONTEXT).float()
    theirs = {"string_to_token": {"*": 265}, "string_to_param": torch.nn.ParameterDict({"*": embedding[None]})}
    ours = TextualIdentity(torch.zeros(CONTEXT))
    ours.load_state_dict(convert_textual_identity(theirs))
    assert ours.embedding.equal(embedding)
    several, scalar = torch.zeros(2, CONTEXT), torch.tensor(1.0)
    named = [{}, {"*": several}, {"*": scalar}, {"*": 1.0}, {"*": None}, torch.zeros(2), None]
    for wrong in ({}, *({"string_to_param": value} for value in named)):
        with pytest.raises(InputError, match="textual identity"):
            convert_textual_identity(wrong)
