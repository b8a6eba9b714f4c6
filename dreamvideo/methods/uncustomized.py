"""The base model as it is: the subject is its class word, the motion the words of the prompt, and nothing is trained.

It is the baseline for the gain of a customisation. Shapes: B batch, N tokens, D text width.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dreamvideo.base_models.contract import Architecture, VideoDiffusionModel
from dreamvideo.methods.contract import Encode, Method, MotionData, OnStage, SubjectData, Trained, methods
from dreamvideo.roles import Role
from dreamvideo.textual_inversion import TextualIdentity
from dreamvideo.user_input import Section


class NoOptions(Section):
    """There is nothing to choose."""


@methods.register("uncustomized")
class Uncustomized(Method):
    """No customisation."""

    name = "uncustomized"
    revision = 2
    Options = NoOptions
    options: NoOptions

    def trains(self, role: Role) -> bool:
        """It learns nothing."""
        return False

    def subject_recipe(self) -> dict:
        """Nothing."""
        return {}

    def motion_recipe(self) -> dict:
        """Nothing."""
        return {}

    def composition_recipe(self) -> dict:
        """Nothing."""
        return {}

    def trainable_parameters(self, base: Architecture) -> dict[str, int]:
        """None."""
        return {}

    def subject_module(self, base: Architecture) -> nn.Module:
        """One embedding."""
        return TextualIdentity(torch.empty(base.text_width))

    def motion_module(self, base: Architecture) -> nn.Module:
        """Nothing."""
        return nn.Module()

    def train_subject(
        self, base: VideoDiffusionModel, data: SubjectData, generator: torch.Generator, on_stage: OnStage
    ) -> Trained:
        """The embedding of the class word, in place of the placeholder."""
        return Trained(TextualIdentity.from_class_word(base, data.class_word).state_dict(), {})

    def train_motion(
        self, base: VideoDiffusionModel, data: MotionData, generator: torch.Generator, on_stage: OnStage
    ) -> Trained:
        """Nothing: the prompt has words for the motion."""
        return Trained({}, {})

    @contextmanager
    def composed(
        self,
        base: VideoDiffusionModel,
        subject: dict[str, Tensor] | None,
        motion: dict[str, Tensor] | None,
        reference: Tensor | None,
    ) -> Iterator[Encode]:
        """The base model, reading the placeholder as the class word."""
        if subject is None:
            yield base.encode_text
        else:
            identity = TextualIdentity(subject["embedding"]).to(base.device)
            yield lambda prompts: identity.encode(base, prompts)
