"""Read YAML files that people write."""

from pathlib import Path
from typing import Any

import yaml

from dreamvideo.errors import InputError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Safe YAML. It refuses a repeated key, because that silently drops an entry."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, remedy: str) -> Any:
    """The content of a YAML file.

    Args:
        path: the file.
        remedy: what the user can do about it if it is not readable.

    Raises:
        InputError: it cannot be read, is not valid YAML, or gives a key twice.
    """
    try:
        return yaml.load(path.read_bytes(), _Loader)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML ({reason}); {remedy}") from error
