"""One resumable training loop for every pretraining stage."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from dreamvideo.params import PretrainingStage
from dreamvideo.weights import read_weights, save_weights

# Called with (step, mean loss since the last call, samples seen, seconds of training so far).
Report = Callable[[int, float, int, float], None]


WEIGHT_DECAY = 0.01
REPORT_EVERY = 50  # steps
CHECKPOINT_EVERY = 120.0  # seconds


def train(
    module: nn.Module,
    loss_of: Callable[[int, torch.Generator], Tensor],
    stage: PretrainingStage,
    checkpoint: Path,
    report: Report,
) -> None:
    """Train a module in place, continuing from ``checkpoint`` where it exists; ends with the averaged weights.

    Args:
        module: what is trained; parameters that do not require gradients stay as they are.
        loss_of: the loss of a step; all its randomness comes from the generator, which is seeded by the step.
        stage: steps, batch size, rate and averaging.
        checkpoint: file for weights, average and optimizer state.
        report: told of the progress every fifty steps.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    recipe = stage.model_dump(exclude={"steps"})  # more steps may be asked of a checkpoint, nothing else
    optimizer = torch.optim.AdamW(parameters, lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY)
    average = {name: value.detach().clone() for name, value in module.state_dict().items()}
    first, seconds = _resume(checkpoint, module, average, optimizer, parameters, recipe)
    started = saved = time.monotonic()
    losses = []
    for step in range(first, stage.steps):
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * _rate(step, stage.steps)
        loss = loss_of(step, torch.Generator().manual_seed(step))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        _update_average(average, module, min(stage.ema, (step + 1) / (step + 10)))
        losses.append(loss.detach())
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == stage.steps:
            elapsed = seconds + time.monotonic() - started
            report(step + 1, torch.stack(losses).mean().item(), (step + 1) * stage.batch_size, elapsed)
            losses.clear()
        if time.monotonic() - saved > CHECKPOINT_EVERY or step + 1 == stage.steps:
            saved = time.monotonic()
            progress = {"step": step + 1, "seconds": seconds + saved - started, "recipe": recipe}
            _save(checkpoint, module, average, optimizer, progress)
    if stage.ema:
        module.load_state_dict(average)


def _rate(step: int, steps: int) -> float:
    """Warm-up over 100 steps, constant, then a cosine to a twentieth over the last 30%."""
    tail = max(0.0, (step / steps - 0.7) / 0.3)
    return min(1.0, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * tail)))


@torch.no_grad()
def _update_average(average: dict[str, Tensor], module: nn.Module, decay: float) -> None:
    now = module.state_dict()
    floats = [name for name in average if average[name].is_floating_point()]
    torch._foreach_lerp_([average[n] for n in floats], [now[n] for n in floats], 1 - decay)


def _save(path: Path, module: nn.Module, average: dict, optimizer: torch.optim.Optimizer, progress: dict) -> None:
    tensors = {f"module.{name}": value.clone() for name, value in module.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    save_weights(path, tensors, progress)


def _resume(
    path: Path,
    module: nn.Module,
    average: dict,
    optimizer: torch.optim.Optimizer,
    parameters: list,
    recipe: dict,
) -> tuple[int, float]:
    """Load a checkpoint of this recipe, if there is one; return its step and the seconds trained.

    Raises:
        InputError: the checkpoint was trained otherwise; delete it to begin anew.
    """
    if not path.exists():
        return 0, 0.0
    tensors, schema = read_weights(path, remedy="delete it, and the stage begins anew", recipe=recipe)
    module.load_state_dict({n.removeprefix("module."): t for n, t in tensors.items() if n.startswith("module.")})
    for name in average:
        average[name].copy_(tensors[f"average.{name}"])
    state = {
        index: {name: tensors[f"optimizer.{index}.{name}"] for name in ("step", "exp_avg", "exp_avg_sq")}
        for index in range(len(parameters))
        if f"optimizer.{index}.step" in tensors
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return schema["step"], schema["seconds"]
