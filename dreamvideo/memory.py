"""If the memory of a GPU is too small: smaller chunks if the work allows it, otherwise one clear sentence."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from dreamvideo.errors import OutOfMemoryError
from dreamvideo.params import ComputeParams, ExecutionParams


def in_chunks(work: Callable[[Tensor], Tensor], items: Tensor, size: int) -> Tensor:
    """Work on independent items in chunks. The chunk is halved each time the memory is too small.

    Args:
        work: from (n, ...) to (n, ...), item by item.
        items: (N, ...).
        size: how many to begin with.
    """
    while True:
        try:
            return torch.cat([work(chunk) for chunk in items.split(size)])
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size = max(1, size // 2)
        torch.cuda.empty_cache()


@contextmanager
def memory_explained(what: str, remedy: str) -> Iterator[None]:
    """Turn an out-of-memory error into one sentence: the work, the memory, and a setting that needs less.

    Args:
        what: the work within the block, whose peak of memory starts anew.
        remedy: what to do, as the functions below say.

    Raises:
        OutOfMemoryError: in place of torch's own error; the memory is free again for what comes next.
    """
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()  # the peak of an earlier stage says nothing about this work
    try:
        yield
        return
    except torch.OutOfMemoryError as error:
        # Prefect keeps the error. Without this it also keeps the tensors of every frame of the traceback.
        traceback.clear_frames(error.__traceback__)
    torch.cuda.empty_cache()
    there = ""
    if torch.cuda.is_available():
        used, total = torch.cuda.max_memory_allocated() / 2**30, torch.cuda.mem_get_info()[1] / 2**30
        there = f" (more than {used:.1f} GiB needed, the GPU has {total:.1f} GiB)"
    raise OutOfMemoryError(f"{what} does not fit into the GPU's memory{there}; {remedy}")


def loading_remedy(compute: ComputeParams) -> str:
    """The settings that lower the memory of a base model's weights, without those already set."""
    return _remedy(_precision(compute))


def training_remedy(compute: ComputeParams) -> str:
    """The settings that lower the memory of training, without those already set."""
    checkpointing = [] if compute.gradient_checkpointing else ["set compute.gradient_checkpointing to true"]
    return _remedy([*checkpointing, *_precision(compute), "lower batch_size or data.num_frames"])


def sampling_remedy(compute: ComputeParams) -> str:
    """The settings that lower the memory of sampling, without those already set."""
    return _remedy([*_precision(compute), "lower data.num_frames"])


def scoring_remedy(execution: ExecutionParams) -> str:
    """The remedy for scoring a video: it embeds all frames together."""
    beside = ["set execution.overlap to false"] if execution.overlap else []
    return _remedy([*beside, "lower data.num_frames"])


def _precision(compute: ComputeParams) -> list[str]:
    return [] if compute.precision == "bfloat16" else ["set compute.precision to bfloat16"]


def _remedy(steps: list[str]) -> str:
    last = "end other processes on the GPU"
    return f"{', '.join(steps)}, or {last}" if steps else last
