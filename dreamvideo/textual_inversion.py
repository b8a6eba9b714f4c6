"""Textual inversion (Gal et al. 2022): a subject as one token embedding. It is the coarse half of DreamVideo's identity."""

from torch import Tensor, nn

from dreamvideo.base_models.contract import VideoDiffusionModel

CAPTION = "a *"


class TextualIdentity(nn.Module):
    """The embedding (D,) of the pseudo-word ``*``. It starts as the embedding of the class word."""

    def __init__(self, embedding: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Parameter(embedding.detach().clone())

    @classmethod
    def from_class_word(cls, base: VideoDiffusionModel, class_word: str) -> "TextualIdentity":
        """The identity with the embedding of the class word."""
        return cls(base.word_embedding(class_word))

    def encode(self, base: VideoDiffusionModel, prompts: list[str]) -> Tensor:
        """Token embeddings (B, N, D) of prompts with the placeholder."""
        return base.encode_text(prompts, placeholder=self.embedding)
