"""The paper's base model in miniature: a folder that no test changes, and what loads from it."""

import pytest

from dreamvideo.base_models import load_base_model
from tests.support.tiny_modelscope import CPU, write_tiny_modelscope


@pytest.fixture(scope="session")
def params(tmp_path_factory):
    return write_tiny_modelscope(tmp_path_factory.mktemp("modelscope"))


@pytest.fixture(scope="session")
def base(params):
    return load_base_model(params, CPU)
