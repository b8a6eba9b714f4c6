"""What users write, as typed models; the first value that does not fit becomes one sentence."""

import re
import reprlib
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from dreamvideo.errors import InputError, masked, unknown_name

S = TypeVar("S", bound=BaseModel)

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80  # characters


class Section(BaseModel):
    """A model that is frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def matching(pattern: str, meaning: str) -> AfterValidator:
    """A validator of texts that must match a pattern as a whole; ``meaning`` is the pattern in plain words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {meaning}")
        return text

    return AfterValidator(check)


def validated(schema: type[S], content: object, where: str, context: object = None) -> S:
    """Content as a schema.

    Args:
        schema: the model.
        content: plain values.
        where: what to call the content in a message, such as the name of its file.
        context: what the schema's validators need to know besides.

    Raises:
        InputError: the first thing that does not fit, named by its full key.
    """
    try:
        return schema.model_validate(content, context=context)
    except ValidationError as error:
        raise refusal(schema, error, where) from error


def refusal(
    schema: type[BaseModel],
    error: ValidationError,
    where: str,
    named: Callable[[Sequence[int | str]], str] | None = None,
) -> InputError:
    """The first thing that does not fit, as one sentence without passwords.

    Args:
        schema: the model.
        error: what pydantic found.
        where: what to call the content.
        named: gives the name of a key from its place, where it has another than that place.
    """
    named = named or dotted
    # A key that does not exist may be another one misspelt, which is then missing: the misspelling says more.
    first = next((one for one in error.errors() if one["type"] == "extra_forbidden"), error.errors()[0])
    keys, kind = first["loc"], first["type"]
    if kind == "extra_forbidden":
        *above, last = keys
        prefix = f"{named(above)}." if above else ""
        return InputError(f"{where}: {unknown_name('key', str(last), _fields_at(schema, above), prefix)}")
    if kind == "missing":
        return InputError(f"{where}: {named(keys)} is missing; add it")
    if kind == "value_error":  # of a validator of our own
        reason = str(first["ctx"]["error"])
    else:
        reason = first["msg"][:1].lower() + first["msg"][1:]
    what = named(keys) if keys else "the content"
    return InputError(masked(f"{where}: {what} is {_repr.repr(first['input'])}: {reason}; correct it"))


def dotted(keys: Sequence[int | str]) -> str:
    """A key with those above it; the items of a list are counted from 1."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f" #{key + 1}"
        elif key != "[key]":  # pydantic's word for the key itself
            text += f".{key}" if text else key
    return text


def _fields_at(schema: Any, keys: Sequence[int | str]) -> list[str]:
    """The keys that a section may have."""
    for key in keys:
        inner = schema.model_fields[key].annotation if _is_model(schema) else _item(schema)
        while get_origin(inner) is Annotated or NoneType in get_args(inner):
            inner = next(one for one in get_args(inner) if one is not NoneType)
        schema = inner
    return list(schema.model_fields)


def _is_model(schema: Any) -> bool:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def _item(container: Any) -> Any:
    """What a mapping or a list holds."""
    arguments = get_args(container)
    return arguments[1] if get_origin(container) is dict else arguments[0]
