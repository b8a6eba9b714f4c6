"""How noise is added to latents, what a network predicts of it, and how a solver takes it away.

Shapes: B batch, C latent channels, F latent frames, H W latent size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch import Tensor

from dreamvideo.params import SolverName


class Solver(Protocol):
    """One walk between noise and latents, with its own state: a scheduler of diffusers, ready for its first step."""

    timesteps: Tensor  # in the order of the walk

    def step(self, prediction: Tensor, timestep: Tensor, latents: Tensor) -> Any:
        """One step; ``prev_sample`` of what it returns are the latents after it."""


class NoiseSchedule(ABC):
    """The noise that a base model was trained with. Where the noise is strongest, latents are standard normal noise."""

    @abstractmethod
    def timesteps(self, batch: int, generator: torch.Generator, exponent: float = 1.0) -> Tensor:
        """Random timesteps (B,) to train at; an exponent below 1 draws noisier ones more often."""

    @abstractmethod
    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Latents (B, C, F, H, W) with the noise of their timesteps (B,)."""

    @abstractmethod
    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network should predict (B, C, F, H, W) of noised latents."""

    @abstractmethod
    def solver(self, name: SolverName, steps: int) -> Solver:
        """A new walk from noise to latents."""

    @abstractmethod
    def inverse(self, steps: int) -> Solver:
        """A new walk from latents to the noise that leads to them."""
