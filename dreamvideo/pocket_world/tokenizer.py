"""A word-level tokenizer over the words of the world, with CLIP's conventions (start, end, padding)."""

import re
from collections.abc import Iterable

import torch
from torch import Tensor

from dreamvideo.pocket_world.vocabulary import (
    CLASSES,
    COLOURS,
    DIRECTIONS,
    FAMILIES,
    MARKING_WORDS,
    MOTIONS,
    PLACEHOLDER,
    SCENES,
)

CONTEXT_LENGTH = 16
READ = CONTEXT_LENGTH - 2  # words, between start and end
_PHRASES = (
    *CLASSES, *COLOURS, *MARKING_WORDS.values(), *SCENES.values(), *MOTIONS.values(), *FAMILIES.values(), *DIRECTIONS.values(),
    "a an is of with moving", PLACEHOLDER,
)  # fmt: skip
WORDS = tuple(sorted({word for phrase in _PHRASES for word in phrase.split()}))
PAD, START, UNKNOWN = range(3)
_IDS = {word: 3 + index for index, word in enumerate(WORDS)}
END = 3 + len(WORDS)  # the highest id: CLIP's text tower pools there
VOCABULARY_SIZE = END + 1
PLACEHOLDER_ID = _IDS[PLACEHOLDER]


def split(text: str) -> list[str]:
    """The words of a text, lower-cased, punctuation dropped, the placeholder kept."""
    return re.findall(r"[a-z]+|\*", text.lower())


def unread_words(text: str) -> list[str]:
    """The words that the pocket base does not know, and the words after the last that it reads."""
    words = split(text)
    return [word for word in words[:READ] if word not in _IDS] + words[READ:]


def tokenize(texts: Iterable[str]) -> Tensor:
    """Token ids (B, N), N = CONTEXT_LENGTH; longer texts are cut, as in CLIP's tokenizer."""
    rows = []
    for text in texts:
        ids = [_IDS.get(word, UNKNOWN) for word in split(text)][:READ]
        rows.append([START, *ids, END] + [PAD] * (READ - len(ids)))
    return torch.tensor(rows, dtype=torch.long)
