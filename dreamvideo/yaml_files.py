"""Read the YAML files that people write, and write YAML."""

from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.representer import SafeRepresenter

from dreamvideo.errors import InputError, in_brief

DEEPEST = 50  # levels of nesting; libraries that read YAML call themselves at every level, and crash on far more
WIDTH = 110  # characters of a line that is written


class Row(tuple):
    """Values that the file shows on one line."""


class _Representer(SafeRepresenter):
    """Writes every value out, where YAML could refer back to an equal one."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Representer.add_representer(
    Row, lambda dumper, row: dumper.represent_sequence("tag:yaml.org,2002:seq", list(row), flow_style=True)
)


def read_yaml(path: Path, remedy: str) -> Any:
    """The content of a YAML file.

    Args:
        path: the file.
        remedy: what the user can do if it is not readable.

    Raises:
        InputError: it cannot be read, is not valid YAML, gives a key twice, has a tag that stands for code, or nests
            more than DEEPEST levels.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    try:
        deep = _is_deep(text)
        content = None if deep else YAML(typ="safe").load(text)
    except (YAMLError, ValueError) as error:
        reason = in_brief(error).partition(" To suppress this check")[0]
        raise InputError(f"{path} is not valid YAML ({reason}); {remedy}") from error
    if deep:
        raise InputError(f"{path} is nested more than {DEEPEST} levels deep; {remedy}")
    return content


def to_yaml(content: Any) -> str:
    """YAML text of plain values, in their order; text that another reader could take for a number is in quotes."""
    file: Any = YAML(typ="safe")  # its types know the settings' first value alone
    file.Representer = _Representer
    file.width, file.default_flow_style, file.sort_base_mapping_type_on_output = WIDTH, False, False
    text = StringIO()
    file.dump(content, text)
    return text.getvalue()


def _is_deep(text: bytes) -> bool:
    depth = 0
    for event in YAML(typ="safe").parse(BytesIO(text)):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            return True
    return False
