"""Every path that the documentation or the text of the code names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FOLDERS = ("benchmarks", "docs", "dreamvideo", "evaluation", "flows", "tests")
PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*|\w+\.(?:md|toml|yaml)")
WRITTEN_BY_THE_READER = {"catalog.yaml"}
IN_CODE = re.compile(rf"\b(?:{'|'.join(FOLDERS)})(?:/[\w-]+)+\.(?:json|md|py|yaml)\b")


def paths(text: str) -> set[str]:
    """The code spans of a page that are paths of the repository; ``<name>`` and options make a span something else."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))
    return {span for span in spans if PATH.fullmatch(span)} - WRITTEN_BY_THE_READER


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page):
    missing = [path for path in paths(page.read_text(encoding="utf-8")) if not (ROOT / path).exists()]
    assert not missing, f"{page.name} names {missing}"


def test_paths_in_docstrings_and_comments_exist():
    code = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)]
    named = {(path, name) for path in code for name in IN_CODE.findall(path.read_text(encoding="utf-8"))}
    assert named
    missing = [f"{path.relative_to(ROOT)} names {name}" for path, name in named if not (ROOT / name).exists()]
    assert not missing


def test_a_moved_file_is_noticed():
    page = "See `flows/gone.py`, `flows/<name>.py`, `--out x.mp4` and\n```\n`flows/fenced.py`\n```\n"
    assert paths(page) == {"flows/gone.py"}
    assert any(paths(page.read_text(encoding="utf-8")) for page in PAGES)
