"""Images to import, and a dataset of imports."""

import shutil

import pytest

from dreamvideo.dataset.importing.transaction import import_entries
from tests.support.import_trials import at, motion, subject
from tests.support.odd_files import write_photos, write_video


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos", seed=10)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A dataset with the subject toy, of the first photos, and the motion glow."""
    folder = tmp_path_factory.mktemp("whole")
    clip = write_video(folder / "a.avi")
    import_entries(at(folder / "data"), [subject(write_photos(folder / "photos")), motion(clip)])
    return folder / "data"


@pytest.fixture
def root(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "data")
