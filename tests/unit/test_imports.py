"""What importing costs, and that it turns telemetry off; pyproject.toml declares which way imports run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchvision", "prefect", "mlflow", "diffusers", "great_expectations", "open_clip", "pandas", "dvc")

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
    "flows.cli.main, flows.cli.benchmark, flows.cli.data, flows.cli.model",
    "dreamvideo.dataset.catalog",
    "dreamvideo.params",
)


@pytest.mark.parametrize("module", LIGHT)
def test_importing_costs_no_heavy_library(module):
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
