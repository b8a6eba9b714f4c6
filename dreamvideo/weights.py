"""Weights on disk: safetensors with a schema in the header, and no pickles."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dreamvideo.errors import InputError, NotFiniteError
from dreamvideo.files import replacing


def save_weights(path: Path, tensors: dict[str, Tensor], schema: dict) -> None:
    """Write tensors and their schema (any JSON values) to one file. The file is complete, or it is not written.

    Raises:
        NotFiniteError: a tensor holds NaN or infinity.
    """
    for name, tensor in tensors.items():
        check_finite(f"weight {name!r}", tensor, remedy="train with a lower learning rate")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"schema": json.dumps(schema, sort_keys=True)})


def read_weights(path: Path, remedy: str | None = None, **expected: object) -> tuple[dict[str, Tensor], dict]:
    """Read tensors and their schema.

    Args:
        path: a file that :func:`save_weights` wrote.
        remedy: what to do if it is absent or damaged; None: the remedy for weights of this repository.
        expected: schema fields that must have these values.

    Raises:
        InputError: the file is absent, truncated, not of this format, or holds NaN or infinity, or its schema differs
            from ``expected``.
    """
    with _opened(path, remedy) as file:
        schema = _schema(file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    for field, value in expected.items():
        if schema.get(field) != value:
            raise InputError(
                f"{path}: its {field} is {schema.get(field)!r}, but {value!r} is needed; "
                "train it again or point to the file that belongs to this base model"
            )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise InputError(
                f"{path}: weight {name!r} holds values that are not finite; {remedy or 'run `dreamvideo data pull`'}"
            )
    return tensors, schema


def read_schema(path: Path) -> dict:
    """The schema without the tensors.

    Raises:
        InputError: the file is absent, truncated or not of this format.
    """
    with _opened(path) as file:
        return _schema(file)


def check_weights(folder: Path) -> None:
    """Refuse a folder with an incomplete weight file. No tensor is read.

    Raises:
        InputError: names the first file that is absent, truncated or not of this format.
    """
    for path in sorted(folder.glob("**/[!.]*.safetensors")):
        read_schema(path)


@contextmanager
def _opened(path: Path, remedy: str | None = None) -> Iterator[safe_open]:
    if not path.exists():
        raise InputError(f"{path}: no such weight file; {remedy or 'run `dreamvideo data pull` to fetch the weights'}")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        remedy = remedy or "delete it and run `dreamvideo data pull`"
        raise InputError(f"{path}: not a whole safetensors file ({error}); {remedy}") from error


def _schema(file: safe_open) -> dict:
    return json.loads((file.metadata() or {}).get("schema", "{}"))


def load_into(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Copy tensors into a module whose names and shapes must match, in the module's own precision.

    Raises:
        InputError: a tensor is missing, left over or of another shape.
    """
    check_fit(module, tensors, path)
    own = module.state_dict()
    module.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in tensors.items()})


def check_fit(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Refuse tensors with other names or shapes than a module. The module may be on the meta device.

    Raises:
        InputError: a tensor is missing, left over or of another shape.
    """
    own = module.state_dict()
    wrong = sorted(own.keys() ^ tensors.keys()) or sorted(n for n in own if own[n].shape != tensors[n].shape)
    if wrong:
        raise InputError(
            f"{path}: weight {wrong[0]!r} does not fit {type(module).__name__} "
            f"({len(wrong)} such); use weights made for this configuration"
        )


def check_finite(what: str, *tensors: Tensor, remedy: str) -> None:
    """Make sure that tensors hold neither NaN nor infinity.

    Args:
        what: names them in the error.
        tensors: all on one device; the code waits for it once.
        remedy: what to do about it.

    Raises:
        NotFiniteError: a tensor holds NaN or infinity.
    """
    if tensors and not torch.stack([tensor.isfinite().all() for tensor in tensors]).all():
        raise NotFiniteError(f"{what} is not finite; {remedy}")


def half(module: nn.Module) -> dict[str, Tensor]:
    """A module's state in float16, as it is shipped. Integer buffers stay unchanged."""
    return {
        name: tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        for name, tensor in module.state_dict().items()
    }
