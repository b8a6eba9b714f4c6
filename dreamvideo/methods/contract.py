"""The contract of a customisation method: what it trains for a subject and for a motion, and how it composes the two.

Shapes: B batch, n images, T frames of a clip file, F frames of the base model, S pixels a side, N tokens, D text width.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from dreamvideo.base_models.contract import Architecture, VideoDiffusionModel
from dreamvideo.registry import Registry
from dreamvideo.roles import Role
from dreamvideo.user_input import Section, validated

# Told of every training step: the stage's name, the step, the steps of that stage, the loss.
OnStage = Callable[[str, int, int, float], None]


@dataclass(frozen=True)
class SubjectData:
    """A subject ready to train on."""

    class_word: str
    images: Tensor  # (n, 3, S, S) in [-1, 1]
    masks: Tensor | None  # (n, 1, S, S) in {0, 1}


@dataclass(frozen=True)
class MotionData:
    """A motion ready to train on."""

    clips: list[Tensor]  # (T, 3, S, S) in [-1, 1] each
    captions: list[str]  # what each clip shows
    fps: list[float]  # of each clip file
    num_frames: int  # F
    target_fps: float  # the base model's rate


@dataclass(frozen=True)
class Trained:
    """The result of training: weights, and the loss of every step by stage."""

    tensors: dict[str, Tensor]
    losses: dict[str, list[float]]


# Turns prompts into token embeddings (B, N, D) while a composition is in force.
Encode = Callable[[list[str]], Tensor]


class Method(ABC):
    """A customisation method. Each has one file in this folder."""

    name: ClassVar[str]
    revision: ClassVar[int]  # raise it when the code changes what comes out: it is part of every key
    Options: ClassVar[type[Section]]

    def __init__(self, options: dict) -> None:
        self.options = validated(self.Options, options, f"params.yaml: methods.{self.name}")

    def trains(self, role: Role) -> bool:
        """Whether the method learns anything for this role. If not, there is nothing to register."""
        return True

    def recipe(self, role: Role) -> dict:
        """The options that decide what is trained for a role."""
        return self.subject_recipe() if role is Role.SUBJECT else self.motion_recipe()

    def module(self, role: Role, base: Architecture) -> nn.Module:
        """The untrained module of a role. Its state has the names and shapes of the tensors that training returns."""
        return self.subject_module(base) if role is Role.SUBJECT else self.motion_module(base)

    def train(
        self,
        base: VideoDiffusionModel,
        data: SubjectData | MotionData,
        generator: torch.Generator,
        on_stage: OnStage,
    ) -> Trained:
        """Learn a subject or a motion.

        Args:
            base: the frozen model.
            data: of the subject or of the motion.
            generator: decides every random choice.
            on_stage: told of every step.
        """
        if isinstance(data, SubjectData):
            return self.train_subject(base, data, generator, on_stage)
        return self.train_motion(base, data, generator, on_stage)

    @abstractmethod
    def subject_recipe(self) -> dict:
        """The options that decide what is trained for a subject."""

    @abstractmethod
    def motion_recipe(self) -> dict:
        """The options that decide what is trained for a motion."""

    @abstractmethod
    def composition_recipe(self) -> dict:
        """The options that matter only when subject and motion are composed."""

    @abstractmethod
    def trainable_parameters(self, base: Architecture) -> dict[str, int]:
        """How many parameters each stage trains on a base model."""

    @abstractmethod
    def subject_module(self, base: Architecture) -> nn.Module:
        """The untrained module for a subject. Its state has the names and shapes of the tensors that training returns."""

    @abstractmethod
    def motion_module(self, base: Architecture) -> nn.Module:
        """The untrained module for a motion, in the same way."""

    @abstractmethod
    def train_subject(
        self, base: VideoDiffusionModel, data: SubjectData, generator: torch.Generator, on_stage: OnStage
    ) -> Trained:
        """Learn a subject."""

    @abstractmethod
    def train_motion(
        self, base: VideoDiffusionModel, data: MotionData, generator: torch.Generator, on_stage: OnStage
    ) -> Trained:
        """Learn a motion."""

    @abstractmethod
    def composed(
        self,
        base: VideoDiffusionModel,
        subject: dict[str, Tensor] | None,
        motion: dict[str, Tensor] | None,
        reference: Tensor | None,
    ) -> AbstractContextManager[Encode]:
        """Customise the base model within a block; afterwards it is as before.

        Args:
            base: the frozen model.
            subject: weights that :meth:`train_subject` returned, or None for no subject.
            motion: weights that :meth:`train_motion` returned, or None for no motion.
            reference: an image (3, S, S) of the subject that guides the appearance, or None.

        Returns:
            A context that yields the text encoder to use within it.
        """


methods: Registry[type[Method]] = Registry("method")
