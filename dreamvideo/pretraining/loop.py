"""One resumable training loop for every pretraining stage."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dreamvideo.params import PretrainingStage
from dreamvideo.weights import read_weights, save_weights

# Called with (step, mean loss since the last call, samples seen, seconds of training so far).
Report = Callable[[int, float, int, float], None]
# The loss of a step; all its randomness comes from the generator.
Loss = Callable[[int, torch.Generator], Tensor]

WEIGHT_DECAY = 0.01
REPORT_EVERY = 50  # steps
CHECKPOINT_EVERY = 120.0  # seconds

Tensors = tuple[Tensor, ...] | list[Tensor]
Network = TypeVar("Network", bound=nn.Module)


def train(
    module: Network,
    make_loss: Callable[[Network, int], Loss],
    stage: PretrainingStage,
    checkpoint: Path,
    report: Report,
) -> None:
    """Train a module in place. Continue from ``checkpoint`` if it exists, and end with the averaged weights.

    Args:
        module: the module to train. Parameters without gradients stay unchanged.
        make_loss: from the module, or a copy that shares its weights, and a batch size, to the loss.
        stage: steps, batch size, rate, averaging and threads.
        checkpoint: file for weights, average, optimizer state and loss curve.
        report: called with the progress every fifty steps, and first with the progress of the checkpoint.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    recipe = stage.model_dump(exclude={"steps"})  # a checkpoint may continue with more steps, but with no other change
    optimizer = torch.optim.AdamW(
        parameters, lr=stage.learning_rate, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY, fused=True
    )
    average = _averaged(module, stage.ema)
    curve: list[tuple[int, float, int, float]] = []
    losses: list[float] = []
    first, seconds = _resume(checkpoint, module, average, optimizer, parameters, recipe, curve, losses)
    for point in curve:
        report(*point)
    started = saved = time.monotonic()
    with _shared_by(stage.threads, module, make_loss, stage.batch_size) as backward:
        for step in range(first, stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = stage.learning_rate * _rate(step, stage.steps)
            losses.append(backward(step).item())
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            average.update_parameters(module)
            if (step + 1) % REPORT_EVERY == 0 or step + 1 == stage.steps:
                elapsed = seconds + time.monotonic() - started
                curve.append((step + 1, sum(losses) / len(losses), (step + 1) * stage.batch_size, elapsed))
                report(*curve[-1])
                losses.clear()
            if time.monotonic() - saved > CHECKPOINT_EVERY or step + 1 == stage.steps:
                saved = time.monotonic()
                progress = {"step": step + 1, "seconds": seconds + saved - started, "recipe": recipe}
                progress |= {"curve": curve, "losses": losses}
                _save(checkpoint, module, average, optimizer, progress)
    if stage.ema:
        module.load_state_dict(average.module.state_dict())


@contextmanager
def _shared_by(
    threads: int, module: Network, make_loss: Callable[[Network, int], Loss], batch: int
) -> Iterator[Callable[[int], Tensor]]:
    """Yield a function that adds the gradient of a step's loss to a module and returns the loss.

    If two cores share every operation of a small network, the second core is nearly idle. Here each thread takes a share
    of the batch on one core, with a copy of the module that has the same weights. This uses both cores fully.
    """
    if threads == 1:
        whole = make_loss(module, batch)

        def backward(step: int) -> Tensor:
            loss = whole(step, torch.Generator().manual_seed(step))
            loss.backward()
            return loss.detach()

        yield backward
        return
    modules = [module, *(_twin(module) for _ in range(threads - 1))]
    shares = [make_loss(one, batch // threads) for one in modules]

    def share_of(index: int, step: int) -> Tensor:
        loss = shares[index](step, torch.Generator().manual_seed(step * threads + index)) / threads
        loss.backward()
        return loss.detach()

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def backward(step: int) -> Tensor:
            losses = list(pool.map(share_of, range(threads), [step] * threads))
            for parameter, *others in zip(*(one.parameters() for one in modules), strict=True):
                for other in others:
                    if other.grad is not None:
                        parameter.grad.add_(other.grad)
                        other.grad = None
            return torch.stack(losses).sum()

        try:
            yield backward
        finally:
            torch.set_num_threads(before)


def _twin(module: Network) -> Network:
    """A copy with its own gradients. It shares the memory of the weights."""
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()), (
        "it needs whole batches"
    )
    twin = copy.deepcopy(module)
    for mine, other in zip(module.parameters(), twin.parameters(), strict=True):
        other.data = mine.data
    return twin


def _rate(step: int, steps: int) -> float:
    """Warm-up over 100 steps, constant, then a cosine to a twentieth over the last 30%."""
    tail = max(0.0, (step / steps - 0.7) / 0.3)
    return min(1.0, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * tail)))


def _averaged(module: nn.Module, most: float) -> AveragedModel:
    """The exponential moving average of a module, from its first weights on.

    Args:
        module: what is averaged, with its buffers.
        most: the decay; after n steps it is n / (n + 9) where that is less.
    """

    def update(average: Tensors, now: Tensors, count: Tensor | int) -> None:
        if average[0].is_floating_point():
            get_ema_multi_avg_fn(min(most, int(count) / (int(count) + 9)))(average, now, count)
        else:  # counters and indices, which have no mean
            torch._foreach_copy_(average, now)

    average = AveragedModel(module, multi_avg_fn=update, use_buffers=True)
    average.n_averaged.fill_(1)  # the first weights; at 0 the first step would replace them
    return average


def _save(
    path: Path, module: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer, progress: dict
) -> None:
    tensors = {f"module.{name}": value.clone() for name, value in module.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    save_weights(path, tensors, progress)


def _resume(
    path: Path,
    module: nn.Module,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
    parameters: list,
    recipe: dict,
    curve: list,
    losses: list,
) -> tuple[int, float]:
    """Load a checkpoint of this recipe and its loss curve, if it exists. Return its step and the seconds trained.

    Raises:
        InputError: the checkpoint was trained otherwise; delete it to begin anew.
    """
    if not path.exists():
        return 0, 0.0
    tensors, schema = read_weights(path, remedy="delete it, and the stage begins anew", recipe=recipe)
    for prefix, network in (("module.", module), ("average.", average.module)):
        network.load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    average.n_averaged.fill_(schema["step"] + 1)
    # The fused optimizer reads weights and moments in the order of memory, so both need the same layout.
    state = {
        index: {
            "step": tensors[f"optimizer.{index}.step"],
            **{
                name: torch.empty_like(p).copy_(tensors[f"optimizer.{index}.{name}"])
                for name in ("exp_avg", "exp_avg_sq")
            },
        }
        for index, p in enumerate(parameters)
        if f"optimizer.{index}.step" in tensors
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    curve.extend(map(tuple, schema["curve"]))
    losses.extend(schema["losses"])
    return schema["step"], schema["seconds"]
