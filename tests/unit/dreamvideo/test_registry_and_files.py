import hashlib
import json

import pytest

from dreamvideo.errors import InputError, unknown_name
from dreamvideo.files import content_key, replacing, seed_from, sha256_file, weights_key
from dreamvideo.registry import Registry


@pytest.fixture
def registry():
    registry = Registry("metric")
    registry.register("clip_t")(len)
    registry.register("dino_i")(max)
    return registry


def test_a_registry_finds_what_was_registered_in_its_order(registry):
    assert registry["clip_t"] is len and registry["dino_i"] is max
    assert list(registry) == ["clip_t", "dino_i"]


def test_registering_returns_the_decorated_object(registry):
    @registry.register("mine")
    def mine():
        return 3

    assert mine() == 3 and registry["mine"] is mine


def test_a_name_is_registered_once(registry):
    with pytest.raises(AssertionError, match="'clip_t'"):
        registry.register("clip_t")(min)
    assert registry["clip_t"] is len


def test_an_unknown_name_suggests_the_nearest_or_lists_all(registry):
    with pytest.raises(InputError, match=r"'clipt'.*'clip_t'"):
        registry["clipt"]
    with pytest.raises(InputError, match=r"'zzz'.*clip_t, dino_i"):
        registry["zzz"]


def test_unknown_name_takes_any_iterable():
    assert str(unknown_name("prompt", "b", iter(["bb", "c"]))) == "unknown prompt 'b'; did you mean 'bb'?"


def test_input_errors_are_value_errors():
    assert issubclass(InputError, ValueError)


def test_replacing_writes_beside_and_takes_the_place_at_the_end(tmp_path):
    path = tmp_path / "new" / "clip.mp4"
    with replacing(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".mp4" and temporary != path
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_replacing_keeps_the_old_file_when_the_block_fails(tmp_path, error):
    path = tmp_path / "clip.mp4"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_in_one_process_do_not_meet(tmp_path):
    path = tmp_path / "clip.mp4"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_content_key_ignores_the_order_of_fields_at_every_depth_but_not_that_of_lists():
    value = {"a": 1, "b": {"c": [1, 2], "d": None}}
    assert content_key(value) == content_key({"b": {"d": None, "c": [1, 2]}, "a": 1})
    assert content_key(value) != content_key({"a": 1, "b": {"c": [2, 1], "d": None}})


@pytest.mark.parametrize("other", [{"a": 2}, {"b": 1}, {"a": "1"}, {"a": True}, {"a": [1]}, {"a": 1, "b": None}, {}])
def test_a_content_key_tells_values_apart(other):
    assert content_key({"a": 1}) != content_key(other)


def test_a_content_key_is_sha256_of_canonical_json():
    """Stored keys must keep their meaning from version to version."""
    value = {"b": [1, 0.1], "a": "é"}
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    assert content_key(value) == hashlib.sha256(canonical.encode()).hexdigest()
    with pytest.raises(ValueError, match="JSON"):
        content_key(float("nan"))


def test_seeds_fit_every_generator_and_depend_on_key_and_purpose():
    seeds = [seed_from(content_key(index), "noise") for index in range(200)]
    assert all(0 <= seed < 2**63 for seed in seeds) and len(set(seeds)) == 200
    assert max(seeds) > 2**62 > min(seeds)
    key = content_key(0)
    assert seed_from(key, "noise") == seeds[0] != seed_from(key, "training")


def test_weights_key_follows_names_and_content_at_any_depth(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / "deep").mkdir(parents=True)
        (folder / "unet.safetensors").write_bytes(b"unet")
        (folder / "deep" / "vae.safetensors").write_bytes(b"vae")
    key = weights_key(first)
    assert weights_key(second) == key
    (second / "readme.txt").write_text("does not count")
    assert weights_key(second) == key
    (second / "deep" / "vae.safetensors").write_bytes(b"vaf")
    assert weights_key(second) != key
    (second / "deep" / "vae.safetensors").write_bytes(b"vae")
    (second / "unet.safetensors").rename(second / "unet2.safetensors")
    assert weights_key(second) != key


def test_weights_key_does_not_count_a_file_that_is_being_written(tmp_path):
    (tmp_path / "unet.safetensors").write_bytes(b"unet")
    key = weights_key(tmp_path)
    with replacing(tmp_path / "vae.safetensors") as temporary:
        temporary.write_bytes(b"half")
        assert weights_key(tmp_path) == key


@pytest.mark.parametrize("make", [True, False])
def test_weights_key_refuses_a_folder_without_weights(tmp_path, make):
    folder = tmp_path / "models"
    if make:
        folder.mkdir()
    with pytest.raises(InputError, match=r"models.*`dreamvideo data pull`"):
        weights_key(folder)
