"""Write catalog.yaml, keeping what people wrote into it by hand."""

from pathlib import Path

import yaml
from ruamel.yaml import YAML

from dreamvideo.dataset.catalog_fields import CATALOG_NAME
from dreamvideo.files import replacing
from dreamvideo.yaml_files import read_yaml

PROMPTS = Path(__file__).with_name("prompts.yaml")

Entries = dict[str, dict[str, dict]]  # fields, by name, by section: "subjects" and "motions"


def add_entries(root: Path, entries: Entries) -> None:
    """Add subjects and motions to the catalog of ``root``; the comments and the order of what is there stay.

    A catalog that is not there yet begins with the project's own prompts.
    """
    path = root / CATALOG_NAME
    file = YAML()
    file.preserve_quotes = True
    file.width = 110
    text = path.read_text(encoding="utf-8") if path.exists() else _dump({"subjects": {}, "motions": {}} | _prompts())
    catalog = file.load(text)
    for section, added in entries.items():
        if added:
            # An empty section is written as {}, and what is put into it would stay on that line.
            catalog[section] = catalog[section] or file.map()
            catalog[section].update(file.load(_dump(added)))
    with replacing(path) as temporary:
        file.dump(catalog, temporary)


def _prompts() -> dict:
    kinds = read_yaml(PROMPTS, "install the package anew")
    return {"prompts": [{"text": text, "kind": kind} for kind, texts in kinds.items() for text in texts]}


def _dump(content: dict) -> str:
    """PyYAML's text, which puts in quotes what PyYAML would not read as text."""
    return yaml.safe_dump(content, sort_keys=False, width=110, allow_unicode=True)
