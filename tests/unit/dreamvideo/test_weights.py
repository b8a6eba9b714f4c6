import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dreamvideo.errors import InputError
from dreamvideo.weights import half, load_into, read_schema, read_weights, save_weights

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2]), "c": torch.tensor(3.5)}
SCHEMA = {"method": "dreamvideo", "recipe": {"steps": 3, "rates": [0.1, 0.2]}, "quality": None}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "folder" / "weights.safetensors"
    save_weights(path, TENSORS, SCHEMA)
    return path


def test_tensors_and_schema_survive_a_round_trip(path):
    tensors, schema = read_weights(path)
    assert schema == SCHEMA == read_schema(path)
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype


def test_tensors_may_be_parameters_views_and_strided(tmp_path):
    whole = torch.arange(12.0).view(3, 4)
    given = {"parameter": nn.Parameter(whole), "transposed": whole.T, "part": whole[:, 1:3]}
    save_weights(tmp_path / "w.safetensors", given, {})
    tensors, _ = read_weights(tmp_path / "w.safetensors")
    assert all(torch.equal(tensors[name], value) for name, value in given.items())


def test_schema_fields_that_agree_are_accepted(path):
    read_weights(path, method="dreamvideo", recipe=SCHEMA["recipe"])


@pytest.mark.parametrize("expected", [{"method": "lora"}, {"base_model": "abc"}, {"quality": {"recall": 1}}])
def test_a_schema_field_that_differs_is_refused_with_both_values(path, expected):
    with pytest.raises(InputError) as refused:
        read_weights(path, **expected)
    ((field, value),) = expected.items()
    message = str(refused.value)
    assert str(path) in message and f"its {field} is {SCHEMA.get(field)!r}" in message
    assert f"{value!r} is needed" in message and "train it again" in message


def test_an_absent_file_is_named_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match=r"absent\.safetensors.*`dreamvideo data pull`"):
        read_weights(tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match=r"absent\.safetensors.*; give your own$"):
        read_weights(tmp_path / "absent.safetensors", "give your own")


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_a_truncated_file_is_named_with_the_remedy(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"weights\.safetensors.*`dreamvideo data pull`"):
        read_weights(path)
    with pytest.raises(InputError, match=r"weights\.safetensors.*; give your own$"):
        read_weights(path, "give your own")


def test_a_file_of_another_program_has_no_schema_and_is_refused_where_one_is_needed(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file(TENSORS, path)
    assert read_weights(path)[1] == {} == read_schema(path)
    with pytest.raises(InputError, match=r"method is None.*'dreamvideo'"):
        read_weights(path, method="dreamvideo")


def test_a_schema_that_is_not_json_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file(TENSORS, path, metadata={"schema": "{"})
    with pytest.raises(InputError, match=r"foreign\.safetensors"):
        read_weights(path)


def test_a_pickle_is_refused(tmp_path):
    path = tmp_path / "pickled.safetensors"
    torch.save(TENSORS, path)
    with pytest.raises(InputError, match=r"\.safetensors"):
        read_weights(path)


def test_an_interrupted_write_leaves_the_old_file(path, monkeypatch):
    def interrupted(tensors, temporary, metadata):
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    before = path.read_bytes()
    monkeypatch.setattr("dreamvideo.weights.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_weights(path, {"other": torch.ones(1)}, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_equal_weights_give_equal_bytes(tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    save_weights(first, TENSORS, SCHEMA)
    save_weights(second, TENSORS, json.loads(json.dumps(dict(reversed(SCHEMA.items())))))
    assert first.read_bytes() == second.read_bytes()


def test_load_into_copies_and_converts_to_the_modules_precision(path):
    module = nn.Linear(3, 2)
    tensors = {"weight": torch.full((2, 3), 0.5).half(), "bias": torch.ones(2).half()}
    load_into(module, tensors, path)
    assert module.weight.dtype == torch.float32 and torch.equal(module.weight, torch.full((2, 3), 0.5))
    assert torch.equal(module.bias, torch.ones(2))


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight": torch.zeros(2, 3)},
        {"weight": torch.zeros(2, 3), "bias": torch.zeros(3)},
        {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "bias_of_another": torch.zeros(2)},
    ],
    ids=["missing", "wrong shape", "left over"],
)
def test_load_into_refuses_what_does_not_fit_and_changes_nothing(path, tensors):
    module = nn.Linear(3, 2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(InputError, match=r"weights\.safetensors.*'bias"):
        load_into(module, tensors, path)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_half_converts_floats_and_keeps_integer_buffers(path):
    module = nn.BatchNorm2d(3)
    module.num_batches_tracked.fill_(70_001)
    state = half(module)
    assert state["weight"].dtype == state["running_mean"].dtype == torch.float16
    assert state["num_batches_tracked"].dtype == torch.long and state["num_batches_tracked"] == 70_001
    assert module.weight.dtype == torch.float32
    other = nn.BatchNorm2d(3)
    save_weights(path, state, {})
    load_into(other, read_weights(path)[0], path)
    assert other.num_batches_tracked == 70_001 and other.num_batches_tracked.dtype == torch.long
