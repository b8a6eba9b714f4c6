"""The learnt word in prompts as people write them, read by CLIP's own vocabulary."""

import pytest
import torch

from benchmarks.random_modelscope import clip_tokenizer
from dreamvideo.base_models import load_base_model
from dreamvideo.errors import InputError
from tests.support.tiny_modelscope import CPU, write_tiny_modelscope

VOCABULARY = 49408  # of CLIP


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    return load_base_model(write_tiny_modelscope(folder, tokenizer=clip_tokenizer()), CPU)


@pytest.fixture(scope="module")
def dog(base):
    return base.word_embedding("dog")


def test_the_tokenizer_is_clips(base):
    assert len(base.tokenizer) == VOCABULARY
    assert base.tokenizer("a *").input_ids == [49406, 320, 265, 49407]


@pytest.mark.parametrize(
    ("prompt", "read_as"),
    [
        ("a * running", "a dog running"),
        ("A *  is here", "a dog is here"),
        ("* runs", "dog runs"),
        ("a *, running", "a dog , running"),
        ("*'s hat", "dog 's hat"),
        ("a pet (*)", "a pet ( dog )"),
        ("look at the *.", "look at the dog ."),
        ('the "*"!', 'the " dog "!'),
        ("a *-like toy", "a dog - like toy"),
    ],
)
def test_the_learnt_word_is_read_beside_any_sign(base, dog, prompt, read_as):
    learnt = base.encode_text(["", prompt], placeholder=dog)
    assert torch.equal(learnt, base.encode_text(["", read_as]))


@pytest.mark.parametrize("prompt", ["a * running", "* runs", "a * 's hat", "a dog * , here"])
def test_a_word_that_stood_apart_is_read_as_before(base, dog, prompt):
    """The tokens are those of the prompt itself: nothing else decides the embeddings."""
    ids = base.tokenizer([prompt], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        table = base.text.get_input_embeddings()
        plain = torch.where((ids == base.tokenizer("*").input_ids[1])[..., None], dog, table(ids))
        handle = table.register_forward_hook(lambda *_: plain)
        expected = base.text(ids).last_hidden_state
        handle.remove()
    assert torch.equal(base.encode_text([prompt], placeholder=dog), expected)


@pytest.mark.parametrize("prompt", ["a * and a *", "a **", "word " * 76 + "*", "very " * 75 + "small * here"])
def test_a_word_that_is_not_read_exactly_once_is_refused(base, dog, prompt):
    with pytest.raises(InputError, match="exactly once"):
        base.encode_text(["", prompt], placeholder=dog)


def test_the_last_place_that_is_read_serves(base, dog):
    prompt = "very " * 74 + "*"
    assert torch.equal(base.encode_text([prompt], placeholder=dog), base.encode_text(["very " * 74 + "dog"]))


def test_without_a_learnt_word_the_sign_is_text_like_any_other(base):
    assert base.encode_text(["a ** b, *"]).shape == (1, 77, 24)
