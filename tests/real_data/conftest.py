"""Real images and clips, which the project does not ship: a local folder of them."""

import os
from pathlib import Path

import pytest

from tests.integration.conftest import REPOSITORY

VARIABLE = "DREAMVIDEO_REAL_DATA"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with ``subjects/<name>/*.jpg`` and ``motions/<name>/*``."""
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "real-data"
    if not (folder / "subjects").is_dir() or not (folder / "motions").is_dir():
        pytest.skip(f"no subjects/ and motions/ in {folder}: {VARIABLE} names the folder with real images and clips")
    return folder
