"""The training loop of the customisation stages."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.diffusion import diffusion_loss, make_noise
from dreamvideo.errors import NotFiniteError
from dreamvideo.weights import check_finite

WARM_UP_STEPS = 10

# Called after every step with its number, from 1, and its loss.
OnStep = Callable[[int, float], None]


def optimise(
    parameters: Iterable[nn.Parameter],
    loss_of_step: Callable[[], Tensor],
    steps: int,
    learning_rate: float,
    on_step: OnStep = lambda step, loss: None,
) -> list[float]:
    """Minimise a loss with AdamW: betas 0.9 and 0.999, no weight decay, constant rate after ten warm-up steps.

    Args:
        parameters: to train.
        loss_of_step: draws a batch and returns its loss.
        steps: number of steps.
        learning_rate: the constant rate.
        on_step: called after every step.

    Returns:
        The loss of every step.

    Raises:
        NotFiniteError: the loss of a step, or a parameter after the last one, is not finite.
    """
    parameters = list(parameters)
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARM_UP_STEPS))
    losses = []
    for step in range(1, steps + 1):
        loss = loss_of_step()
        losses.append(loss.item())  # waits for a GPU: once a step is enough
        if not math.isfinite(losses[-1]):
            raise NotFiniteError(f"the loss became {losses[-1]} at step {step}; lower the learning rate")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        warm_up.step()
        on_step(step, losses[-1])
    check_finite(
        "a trained parameter", *parameters, remedy="lower the learning rate"
    )  # the last step has no loss after it
    return losses


def denoising_loss(
    base: VideoDiffusionModel, latents: Tensor, text: Tensor, generator: torch.Generator, weight: Tensor | None = None,
    exponent: float = 1.0,
) -> Tensor:  # fmt: skip
    """The loss of Eq. 1 at random timesteps: latents (B, C, f, H, W), text (B, N, D), optional weight (B, 1, f, H, W).

    An exponent below 1 draws noisier timesteps more often.
    """
    noise = make_noise(tuple(latents.shape), generator, base.offset_noise).to(latents.device)
    timesteps = base.schedule.timesteps(len(latents), generator, exponent).to(latents.device)
    prediction = base.predict(base.schedule.noised(latents, noise, timesteps), timesteps, text)
    return diffusion_loss(prediction, base.schedule.target(latents, noise, timesteps), weight)


@contextmanager
def training(base: VideoDiffusionModel, generator: torch.Generator) -> Iterator[None]:
    """A block in which a base model's frozen denoiser trains adapters.

    Its dropout is on. If gradient checkpointing is on, its activations are computed again. Torch's global randomness
    (initialisation of layers, dropout) follows from the generator's seed. After the block, all is as before.
    """
    before = base.denoiser.training
    recomputed = checkpointed(base.recomputed_blocks()) if base.gradient_checkpointing else nullcontext()
    with torch.random.fork_rng(devices=[base.device] if base.device.type == "cuda" else []), recomputed:
        torch.manual_seed(generator.initial_seed())
        base.denoiser.train()
        try:
            yield
        finally:
            base.denoiser.train(before)


@contextmanager
def checkpointed(modules: list[nn.Module]) -> Iterator[None]:
    """Within the block, these modules keep only their input. The backward pass computes the rest again.

    The hooks of adapters are inside the modules, so they act both times.
    """
    own = [vars(module).get("forward") for module in modules]  # a compiled one, where the base model asks for it
    for module in modules:
        module.forward = partial(checkpoint, module.forward, use_reentrant=False)
    try:
        yield
    finally:
        for module, forward in zip(modules, own, strict=True):
            del module.forward
            if forward:
                module.forward = forward
