"""Every file that names the Python versions names the same ones."""

import re
import tomllib
from pathlib import Path

from dreamvideo.yaml_files import read_yaml

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_files_agree():
    lowest, above = re.findall(
        r"3\.(\d+)", tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"]
    )
    served = [f"3.{minor}" for minor in range(int(lowest), int(above))]
    workflow = read_yaml(REPOSITORY / ".github/workflows/ci.yml", "")
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == served
    tried = re.findall(r"python(3\.\d+)", re.search(r"for name in (.*);", (REPOSITORY / "Makefile").read_text())[1])
    assert tried == served[::-1]  # the newest first
