"""The words that the pocket profile reads, as token ids."""

import torch

from dreamvideo.base_models.pocket_networks import build_clip
from dreamvideo.pocket_world.tokenizer import (
    CONTEXT_LENGTH,
    END,
    PAD,
    PLACEHOLDER_ID,
    START,
    UNKNOWN,
    VOCABULARY_SIZE,
    WORDS,
    split,
    tokenize,
    unread_words,
)
from dreamvideo.pocket_world.vocabulary import (
    CLASSES,
    COLOURS,
    DIRECTIONS,
    FAMILIES,
    MARKING_WORDS,
    MOTIONS,
    SCENES,
)


def words_of(tokens) -> list[str]:
    """The words of one row of token ids."""
    assert tokens[0] == START
    return [WORDS[int(i) - 3] for i in tokens[1 : int((tokens == END).nonzero()[0, 0])]]


def test_a_text_ends_with_the_highest_id_where_clip_pools():
    assert END == VOCABULARY_SIZE - 1 > max(PLACEHOLDER_ID, PAD, START, UNKNOWN)
    tokens = tokenize(["a red dog is jumping on the beach", "", "* " * 40])
    assert tokens.shape == (3, CONTEXT_LENGTH) and tokens.max() == END
    assert (tokens == END).sum(1).tolist() == [1, 1, 1]
    assert tokens.argmax(1).tolist() == [9, 1, CONTEXT_LENGTH - 1]
    assert (tokens[1, 2:] == PAD).all() and tokens[1, 0] == START
    assert (tokens[2, 1:-1] == PLACEHOLDER_ID).all()


def test_a_clip_reads_no_further_than_the_end():
    torch.manual_seed(0)
    clip = build_clip().eval()
    tokens = tokenize(["a dog"])
    padded = tokens.clone()
    padded[0, int(tokens.argmax()) + 1 :] = UNKNOWN
    with torch.no_grad():
        torch.testing.assert_close(clip.encode_text(padded), clip.encode_text(tokens))


def test_unread_words_are_named_and_become_one_token():
    assert unread_words("A Dog, EATING a pizza!") == ["eating", "pizza"]
    assert unread_words("a * is moving at night.") == []
    assert unread_words("a * is moving" + " at night" * 6) == ["at", "night"]
    assert tokenize(["a dog eating"])[0, 1:4].tolist() == [*tokenize(["a dog"])[0, 1:3].tolist(), UNKNOWN]
    assert torch.equal(tokenize(["A  Dog!"]), tokenize(["a dog"]))


def test_every_word_of_the_world_has_an_id_of_its_own():
    assert len(set(WORDS)) == len(WORDS) == VOCABULARY_SIZE - 4
    phrases = (*CLASSES, *COLOURS, *SCENES.values(), *MOTIONS.values(), *FAMILIES.values(), *DIRECTIONS.values())
    for phrase in (*phrases, "with", *MARKING_WORDS.values()):
        assert unread_words(phrase) == []
        assert words_of(tokenize([phrase])[0]) == split(phrase)
