"""What every base model must keep to without its weights."""

from pathlib import Path

import pytest
import torch

from dreamvideo.base_models import base_model_names, base_models, describe_base_model, load_base_model
from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.errors import InputError
from dreamvideo.params import BaseModelParams
from dreamvideo.roles import Role
from tests.support.method_trials import both, build, same
from tests.support.tiny import TinyModel, tiny_motion


def params(name: str) -> BaseModelParams:
    return BaseModelParams(name=name, weights=Path("nowhere"), offset_noise=0.1)


def assert_sites(denoiser, sites) -> None:
    """Each names a sublayer and the layer before it, and no two the same sublayer."""
    assert sites and len({(site.block, site.sublayer) for site in sites}) == len(sites)
    for site in sites:
        block = denoiser.get_submodule(site.block)
        assert block.get_submodule(site.sublayer) is not block.get_submodule(site.norm) and site.width > 0


@pytest.mark.parametrize("name", base_model_names())
def test_an_architecture_needs_no_weights_and_no_memory(name):
    architecture = describe_base_model(params(name))
    assert all(parameter.is_meta for parameter in architecture.denoiser.parameters())
    for role in Role:
        assert_sites(architecture.denoiser, architecture.adapter_sites(role))
    model = base_models[name]
    assert issubclass(model, VideoDiffusionModel) and not model.__abstractmethods__


@pytest.mark.parametrize("name", base_model_names())
def test_absent_weights_are_refused_with_the_remedy(name):
    with pytest.raises(InputError, match=r"nowhere.*dreamvideo data pull"):
        load_base_model(params(name))


def test_an_unknown_base_model_suggests_the_nearest():
    with pytest.raises(InputError, match=r"'pokcet'.*'pocket'"):
        describe_base_model(params("pokcet"))


def test_what_was_computed_of_some_content_is_found_by_it(monkeypatch):
    base, calls = TinyModel(), []

    def double(content):
        calls.append(content)
        return 2 * content

    first, other = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    assert torch.equal(base.once("doubled", first, double), 2 * first)
    assert base.once("doubled", first.clone(), double) is base.once("doubled", first, double)
    assert len(calls) == 1
    base.once("doubled", other, double)
    base.once("doubled", first[None], double)  # the same bytes in another shape
    base.once("doubled otherwise", first, double)
    assert len(calls) == 4
    monkeypatch.setattr("dreamvideo.base_models.contract.KEPT", 2)
    base.once("doubled", first + 1, double)
    base.once("doubled", first + 2, double)
    base.once("doubled", first, double)  # the oldest had to go
    assert len(calls) == 7


def test_training_again_on_the_same_files_encodes_nothing_anew(monkeypatch):
    base, calls = TinyModel(), []
    for name in ("encode_frames", "encode_appearance"):
        real = getattr(base, name)
        monkeypatch.setattr(base, name, lambda x, name=name, real=real: calls.append(name) or real(x))
    once, again = both(build(), base), both(build(learning_rate=0.02), base)
    clips = len(tiny_motion().clips)
    assert (calls.count("encode_frames"), calls.count("encode_appearance")) == (1 + clips, clips)
    assert not same(once[0].tensors, again[0].tensors)
