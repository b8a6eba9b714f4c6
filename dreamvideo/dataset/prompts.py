"""Prompts: ``*`` stands for the subject, ``{motion}`` for the words of the motion."""

import re
from pathlib import Path

from dreamvideo.dataset.rules import PromptKind
from dreamvideo.errors import InputError
from dreamvideo.user_input import Section
from dreamvideo.yaml_files import read_yaml

PLACEHOLDER = "*"
MOTION_SLOT = "{motion}"
DEFAULT_PROMPTS = Path(__file__).with_name("default_prompts.yaml")


class Prompt(Section):
    """A prompt of the benchmark."""

    text: str
    kind: PromptKind

    def fill(self, words: str) -> str:
        """The text with the motion's words in it."""
        return self.text.replace(MOTION_SLOT, words)


def default_prompts() -> list[dict[str, str]]:
    """The prompts that an imported dataset begins with, as its catalog holds them."""
    kinds = read_yaml(DEFAULT_PROMPTS, "install the package anew")
    return [{"text": text, "kind": kind} for kind, texts in kinds.items() for text in texts]


def count_placeholders(text: str) -> int:
    """How many times ``*`` stands as its own word."""
    return len(re.findall(r"(?<![\w*])\*(?![\w*])", text))


def check_prompt(text: str) -> None:
    """Refuse a prompt that does not name the subject by exactly one ``*``, standing as its own word.

    Raises:
        InputError: it has none, several, or one inside a word.
    """
    remedy = 'write the subject as *, as in "a * jumping on the beach"'
    if PLACEHOLDER not in text:
        raise InputError(f"prompt {text!r} has no placeholder; {remedy}")
    if text.count(PLACEHOLDER) > 1:
        raise InputError(f"prompt {text!r} has {text.count(PLACEHOLDER)} placeholders, needs exactly one; {remedy}")
    if count_placeholders(text) != 1:
        raise InputError(f"prompt {text!r} has its placeholder inside a word, needs it apart; {remedy}")


def check_words(prompt: str) -> None:
    """Refuse a prompt that does not name the subject by one ``*``, or that is still a template.

    Raises:
        InputError: it is such.
    """
    check_prompt(prompt)
    if "{" in prompt:
        raise InputError(
            f"prompt {prompt!r} has a field that is not filled in; write the words, as in 'a * is jumping'"
        )
