"""Imports run one way, flows -> evaluation -> dreamvideo, and help comes at once."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORCHESTRATION = {"prefect", "mlflow"}
FORBIDDEN = {
    "dreamvideo": {"evaluation", "flows", *ORCHESTRATION},
    "evaluation": {"flows", *ORCHESTRATION},
}
HEAVY = ("torch", "torchvision", "prefect", "mlflow", "diffusers", "great_expectations", "open_clip", "pandas", "dvc")


def imported(source: str) -> set[str]:
    """Top-level packages that a file imports, at its head or within functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            found |= {str(a.value).partition(".")[0] for a in node.args if isinstance(a, ast.Constant)}
    return found


FILES = [(package, path) for package in FORBIDDEN for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize(("package", "path"), FILES, ids=[str(path.relative_to(ROOT)) for _, path in FILES])
def test_a_file_imports_nothing_from_above(package, path):
    assert not imported(path.read_text()) & FORBIDDEN[package]


def test_the_check_sees_every_way_to_import():
    lines = (
        "import a.b",
        "def f():",
        "    from c.d import e",
        "    import_module('g.h')",
        "importlib.import_module('i')",
    )
    source = "\n".join((*lines, "from . import j"))
    assert imported(source) == {"a", "c", "g", "i"}
    assert len(FILES) > 40


def test_flows_do_not_import_tests():
    for path in (ROOT / "flows").rglob("*.py"):
        assert "tests" not in imported(path.read_text())


TELEMETRY = """
import flows
from dvc.analytics import is_enabled
from mlflow.telemetry.utils import is_telemetry_disabled
from prefect.settings import get_current_settings
print(is_enabled(), not is_telemetry_disabled(), get_current_settings().server.analytics_enabled)
"""


def test_telemetry_is_off():
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT", "MLFLOW", "DVC", "DO_N", "CI"))
    }
    done = subprocess.run(
        [sys.executable, "-c", TELEMETRY], cwd=ROOT, env=plain, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"] * 3


LIGHT = (
    "flows.cli, flows.cli_benchmark, flows.cli_data, flows.cli_model",
    "dreamvideo.dataset.catalog",
    "dreamvideo.params",
)


@pytest.mark.parametrize("module", LIGHT)
def test_importing_costs_no_heavy_library(module):
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
