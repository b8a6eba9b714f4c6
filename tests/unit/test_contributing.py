"""The recipes of CONTRIBUTING.md are complete: each is loaded as it is printed, in a process of its own, and used."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

USE = """
import sys
import torch
from dreamvideo.base_models.contract import base_models
from dreamvideo.base_models.pocket import PocketModel
from dreamvideo.methods import methods
from evaluation.metrics import METRICS
from evaluation.report.sections import SECTIONS
from tests.unit.evaluation.test_metrics import features

names = {}
for recipe in sys.argv[1:]:
    exec(recipe, names)
assert methods["word_only"]({}).recipe
assert METRICS["brightness"](features()) == features().frames.double().mean().item()
overridden = {name for name in vars(base_models["mirror"]) if not name.startswith("_")}
assert overridden and overridden <= set(vars(PocketModel))
assert SECTIONS["slowest"].order == 350
assert names["hello"] and names["app"].registered_commands
"""


def test_recipes_load():
    recipes = re.findall(r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.S | re.M)
    assert len(recipes) == 5
    subprocess.run([sys.executable, "-c", USE, *recipes], cwd=ROOT, check=True)
