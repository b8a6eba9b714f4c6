"""``dreamvideo data import`` as a new user meets it."""

import pytest

from dreamvideo.dataset.catalog import load_catalog
from tests.integration.cli.test_command_line import dreamvideo, refused
from tests.integration.conftest import write_params
from tests.support.odd_files import write_frames, write_photos

SUBJECT = ["--class-word", "toy", "--kind", "object", "--licence", "CC0-1.0", "--source", "made up"]
MOTION = [
    "--words",
    "glowing",
    "--caption",
    "it glows",
    "--kind",
    "lamp",
    "--licence",
    "CC0-1.0",
    "--source",
    "made up",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("import")
    write_params(folder, data__image_size=48, data__subjects=1, data__motions=1)
    write_photos(folder / "photos")
    (folder / "photos/notes.txt").write_text("x")
    write_frames(folder / "bear", count=16)
    (folder / "empty").mkdir()
    return folder


def test_a_dataset_begins_with_two_imports_and_passes_the_check(folder):
    first = dreamvideo(folder, "data", "import", "subject", "toy", "photos", "--masks", "photos/masks", *SUBJECT)
    assert first.returncode == 0, first.stderr
    printed = " ".join(first.stdout.split())
    assert "imported subject toy into data" in printed and "note: not read: photos/notes.txt" in printed
    assert "asks for 1 subjects and 1 motions, data now holds 1 and 0" in printed
    second = dreamvideo(folder, "data", "import", "motion", "glow", "bear", "--fps", "16", *MOTION)
    assert second.returncode == 0, second.stderr
    assert "note" not in second.stdout
    assert len(load_catalog(folder / "data").subject("toy").masks) == 3
    check = dreamvideo(folder, "data", "check")
    assert check.returncode == 0 and "the data is as expected" in check.stdout, check.stderr
    shown = " ".join(dreamvideo(folder, "data", "show", "glow").stdout.split())
    assert "origin: motions/glow/00.mp4: bear (SHA-256" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["subject", "new", "empty", *SUBJECT], "folder empty holds no images; images end in .jpg"),
        (
            ["subject", "new", "photos", *SUBJECT, "--licence", ""],
            "subject 'new': licence is ''",
        ),
        (
            ["motion", "new", "bear", *MOTION],
            "folder bear holds numbered frames, which have no frame rate; give it with",
        ),
        (
            ["paper", "--subjects", "photos", "--ucf101", "empty", "--ucf-sports", "empty", "--davis", "none"],
            "none is not a folder; name your copy of DAVIS 2017",
        ),
    ],
)
def test_a_mistake_gets_one_sentence(folder, arguments, sentence):
    assert sentence in refused(folder, "data", "import", *arguments)
