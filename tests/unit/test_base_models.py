"""What every base model must keep to without its weights."""

from pathlib import Path

import pytest

from dreamvideo.base_models import base_model_names, base_models, describe_base_model, load_base_model
from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.errors import InputError
from dreamvideo.params import BaseModelParams


def params(name: str) -> BaseModelParams:
    return BaseModelParams(name=name, weights=Path("nowhere"), offset_noise=0.1)


@pytest.mark.parametrize("name", base_model_names())
def test_an_architecture_needs_no_weights_and_no_memory(name):
    architecture = describe_base_model(params(name))
    assert all(parameter.is_meta for parameter in architecture.unet.parameters())
    assert architecture.text_width == architecture.unet.config.cross_attention_dim
    model = base_models[name]
    assert issubclass(model, VideoDiffusionModel) and not model.__abstractmethods__


@pytest.mark.parametrize("name", base_model_names())
def test_absent_weights_are_refused_with_the_remedy(name):
    with pytest.raises(InputError, match=r"nowhere.*dreamvideo data pull"):
        load_base_model(params(name))


def test_an_unknown_base_model_suggests_the_nearest():
    with pytest.raises(InputError, match="unknown base model 'pokcet'; did you mean 'pocket'"):
        describe_base_model(params("pokcet"))
