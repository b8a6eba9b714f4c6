"""The contrastive loss of the pocket profile's CLIPs.

Shapes: B batch, T tokens.
"""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dreamvideo.pocket_world.sampling import COLOUR_NAMES
from dreamvideo.pocket_world.tokenizer import tokenize
from dreamvideo.pretraining.bank import LABELS, Bank
from dreamvideo.pretraining.encoders import _colours_exchanged, clip_loss

CAPTION = "a red cat with blue stripes"


def labels(*colours: tuple[str, str]) -> Tensor:
    table = torch.zeros(len(colours), len(LABELS), dtype=torch.long)
    for row, (first, second) in zip(table, colours, strict=True):
        row[LABELS.index("colour")] = COLOUR_NAMES.index(first)
        row[LABELS.index("marking_colour")] = COLOUR_NAMES.index(second)
    return table


def test_colours_change_places_in_a_caption():
    tokens = tokenize(
        ["a red cat with blue stripes on the beach", "a red cat", "a cat with blue spots", "a cat at night"]
    )
    wrong = tokenize(
        ["a blue cat with red stripes on the beach", "a blue cat", "a cat with red spots", "a cat at night"]
    )
    assert torch.equal(_colours_exchanged(tokens, labels(*[("red", "blue")] * 4)), wrong)


class KnowsCaptions:
    """A CLIP with given embeddings of its images and texts."""

    def __init__(self, vectors: dict[tuple, Tensor], images: Tensor) -> None:
        self.vectors, self.images, self.logit_scale = vectors, images, torch.tensor(3.0)

    def encode_image(self, images: Tensor, normalize: bool) -> Tensor:
        return self.images

    def encode_text(self, tokens: Tensor, normalize: bool) -> Tensor:
        return torch.stack([self.vectors[tuple(row.tolist())] for row in tokens])


def loss_of(vectors: dict[str, Tensor], caption: str = CAPTION) -> float:
    """The loss of one image of a caption, whose colours are red and blue, four times."""
    tokens = tokenize([caption])
    pixels = torch.zeros(1, 1, 3, 4, 4, dtype=torch.uint8)
    bank = Bank(pixels, pixels[:, :, :1], tokens[None], tokens[None], labels(("red", "blue")))
    known = {tuple(tokenize([text])[0].tolist()): vector for text, vector in vectors.items()}
    clip = KnowsCaptions(known, torch.tensor([[1.0, 0.0]]).repeat(4, 1))
    return clip_loss(clip, bank, 4)(0, torch.Generator().manual_seed(0)).item()


def test_an_image_is_told_from_its_caption_with_the_colours_exchanged():
    right, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    exchanged = "a blue cat with red stripes"
    apart = loss_of({CAPTION: right, exchanged: other})
    alike = loss_of({CAPTION: right, exchanged: right})
    scale = torch.tensor(3.0).exp()
    # Four equal images and captions: log 4 from text to image; from image to text four wrong captions come on top.
    log4 = torch.tensor(4.0).log()
    to_text = functional.softplus(-scale) + log4
    assert apart == pytest.approx(((log4 + to_text) / 2).item(), abs=1e-5)
    assert alike == pytest.approx(((log4 + torch.tensor(8.0).log()) / 2).item(), abs=1e-5)


def test_a_caption_without_a_colour_is_no_wrong_answer_to_itself():
    loss = loss_of({"a cat at night": torch.tensor([1.0, 0.0])}, "a cat at night")
    assert loss == pytest.approx(torch.tensor(4.0).log().item(), abs=1e-5)


def test_another_images_exchanged_caption_that_reads_like_an_images_own_is_no_wrong_answer_to_it():
    """The red cat's caption exchanged is the blue cat's own, which is right for the blue cat alone."""
    red, blue = "a red cat", "a blue cat"
    tokens = tokenize([red, blue])
    pixels = torch.zeros(2, 1, 3, 4, 4, dtype=torch.uint8)
    bank = Bank(pixels, pixels[:, :, :1], tokens[:, None], tokens[:, None], labels(("red", "blue"), ("blue", "red")))
    vectors = {red: torch.tensor([1.0, 0.0]), blue: torch.tensor([0.0, 1.0])}
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(2, (6,), generator=generator)
    assert 0 < chosen.sum() < 6
    clip = KnowsCaptions(
        {tuple(tokenize([text])[0].tolist()): vector for text, vector in vectors.items()},
        torch.stack([vectors[red], vectors[blue]])[chosen],
    )
    loss = clip_loss(clip, bank, 6)(0, torch.Generator().manual_seed(0)).item()
    scale, reds = torch.tensor(3.0).exp().double(), int((chosen == 0).sum())
    to_image = to_text = torch.tensor(0.0).double()
    for own in (reds, 6 - reds):
        # An image has the captions of its own kind, and as wrong answers those of the others and their own exchanged.
        to_text = to_text + own * torch.logsumexp(scale * torch.tensor([1.0] * own + [0.0] * 6), 0) - own * scale
        to_image = (
            to_image + own * torch.logsumexp(scale * torch.tensor([1.0] * own + [0.0] * (6 - own)), 0) - own * scale
        )
    assert loss == pytest.approx(((to_text + to_image) / 12).item(), abs=1e-4)
