"""The paper's dataset: what the package names, and building it from small made-up copies."""

import re
import shutil

import pytest

from dreamvideo.dataset.catalog import add_entries, load_catalog
from dreamvideo.dataset.importing.paper import PAPER_CATALOG, paper_entries
from dreamvideo.dataset.importing.transaction import import_entries
from dreamvideo.dataset.licences import non_commercial
from dreamvideo.dataset.rules import SUBJECT_KINDS, WORDS
from dreamvideo.dataset.validation.checks import Requirements
from dreamvideo.dataset.validation.expectations import validate
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file
from dreamvideo.params import DataParams
from dreamvideo.yaml_files import read_yaml, to_yaml
from tests.support.odd_files import write_frames, write_photos, write_video

NEED = Requirements(None, None, num_frames=8, fps=8.0, image_size=32)


def at(root):
    """A dataset there, that must be as NEED says."""
    return DataParams(root=root, subjects=1, motions=1, image_size=32, num_frames=8, fps=8.0)


@pytest.fixture(scope="module")
def published():
    return read_yaml(PAPER_CATALOG, "")


def test_there_are_9_pets_and_11_objects_by_their_hashes(published):
    subjects = published["subjects"]
    kinds = [fields["kind"] for fields in subjects.values()]
    assert [kinds.count(kind) for kind in SUBJECT_KINDS] == [9, 11]
    assert all(re.fullmatch(WORDS, fields["class_word"]) for fields in subjects.values())
    files = [digest for fields in subjects.values() for digest in fields["files"].values()]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in files) and len(set(files)) == len(files)
    assert all(4 <= len(fields["files"]) <= 6 for fields in subjects.values())


def test_there_are_30_motions_of_three_sources(published):
    motions = published["motions"]
    assert len(motions) == 30 and {fields["of"] for fields in motions.values()} == {"ucf101", "ucf_sports", "davis"}
    words = [fields["words"] for fields in motions.values()]
    assert all(re.fullmatch(WORDS, phrase) for phrase in words) and len(set(words)) == 30
    clips = [clip for fields in motions.values() for clip in fields["clips"]]
    assert len(set(clips)) == len(clips)
    for fields in motions.values():
        assert fields["words"] in fields["caption"]
        for clip in fields["clips"]:
            if fields["of"] == "ucf101":
                assert re.fullmatch(r"(\w+)/v_\1_g\d\d_c\d\d\.avi", clip)
            else:
                assert fields["fps"] > 0


def test_prompts_and_licences(published, tmp_path):
    add_entries(tmp_path, {})
    catalog = load_catalog(tmp_path)
    assert len(catalog.prompts) == 42 and validate(catalog, NEED).problems == ()
    found = {name: non_commercial(source["licence"]) for name, source in published["sources"].items()}
    assert found == {"dreambooth": False, "ucf101": True, "ucf_sports": True, "davis": True}


@pytest.fixture
def copies(tmp_path):
    """One file of each source's layout, and a catalog that names them."""
    photos = write_photos(tmp_path / "dreambooth/toy")
    shutil.rmtree(photos / "masks")
    for name in ("ucf101/Glowing", "ucf_sports/Glow-Side/001/gt", "davis"):
        (tmp_path / name).mkdir(parents=True)
    write_video(tmp_path / "ucf101/Glowing/v_Glowing_g01_c01.avi")
    write_video(tmp_path / "ucf101/Glowing/v_Glowing_g02_c01.avi", seed=1)
    write_video(tmp_path / "ucf_sports/Glow-Side/001/2538-5_70133.avi", seed=2)
    (tmp_path / "ucf_sports/Glow-Side/001/2538-5_70133.jpg").write_bytes((photos / "0.jpg").read_bytes())
    write_frames(tmp_path / "davis/bear", count=16)
    motion = {"caption": "it moves", "kind": "animal"}
    content = {
        "sources": {name: {"source": f"the set {name}", "licence": "CC-BY-4.0"} for name in SOURCES},
        "subjects": {
            "toy": {
                "of": "dreambooth", "class_word": "toy", "kind": "object",
                "files": {f"{i}.jpg": sha256_file(photos / f"{i}.jpg") for i in range(3)},
            }
        },
        "motions": {
            "glow": motion | {
                "of": "ucf101", "words": "glowing",
                "clips": ["Glowing/v_Glowing_g01_c01.avi", "Glowing/v_Glowing_g02_c01.avi"],
            },
            "shine": motion | {"of": "ucf_sports", "words": "shining", "fps": 10, "clips": ["Glow-Side/001"]},
            "walk": motion | {"of": "davis", "words": "walking", "fps": 16, "clips": ["bear"]},
        },
    }  # fmt: skip
    (tmp_path / "catalog.yaml").write_text(to_yaml(content))
    return tmp_path


SOURCES = ("dreambooth", "ucf101", "ucf_sports", "davis")


def entries_of(copies):
    return paper_entries({name: copies / name for name in SOURCES}, catalog=copies / "catalog.yaml")


def test_each_layout_is_imported_under_its_published_names(copies):
    catalog = import_entries(at(copies / "data"), entries_of(copies))
    assert set(catalog.subjects) == {"toy"} and set(catalog.motions) == {"glow", "shine", "walk"}
    assert validate(catalog, NEED).problems == ()
    assert catalog.subject("toy").origin["subjects/toy/02.png"].model_dump() == {
        "file": "toy/2.jpg",
        "sha256": sha256_file(copies / "dreambooth/toy/2.jpg"),
    }
    named = {name: [made.file for made in motion.origin.values()] for name, motion in catalog.motions.items()}
    assert named == {
        "glow": ["Glowing/v_Glowing_g01_c01.avi", "Glowing/v_Glowing_g02_c01.avi"],
        "shine": ["Glow-Side/001/2538-5_70133.avi"],
        "walk": ["bear"],
    }
    assert catalog.motion("shine").source == "the set ucf_sports"


def test_a_clip_that_was_not_shipped_is_made_of_its_frames(copies):
    folder = copies / "ucf_sports/Glow-Side/001"
    for path in folder.glob("*.*"):
        path.unlink()
    for index, frame in enumerate(sorted((copies / "davis/bear").glob("f*.png"), reverse=True)):
        shutil.copy(frame, folder / f"2538-5_{70133 + index}.png")
    catalog = import_entries(at(copies / "data"), entries_of(copies))
    assert catalog.motion("shine").origin["motions/shine/00.mp4"].file == "Glow-Side/001"


def test_a_clip_that_is_too_short_is_named_and_nothing_written(copies):
    for index in range(14, 16):
        (copies / f"davis/bear/f{index}.png").unlink()
    sentence = (
        r"^motion 'walk': clip bear has 14 frames, needs at least 15; record a longer clip or lower data.num_frames$"
    )
    with pytest.raises(InputError, match=sentence):
        import_entries(at(copies / "data"), entries_of(copies))
    assert not (copies / "data").exists()


def test_missing_files_are_all_named(copies):
    (copies / "ucf101/Glowing/v_Glowing_g02_c01.avi").unlink()
    shutil.rmtree(copies / "davis/bear")
    with pytest.raises(InputError) as error:
        entries_of(copies)
    assert str(error.value) == (
        f"2 files are missing, of 7: {copies}/ucf101/Glowing/v_Glowing_g02_c01.avi, {copies}/davis/bear; "
        "download them, or correct the folders"
    )
    shutil.rmtree(copies / "ucf_sports")
    with pytest.raises(InputError, match=r"ucf_sports is not a folder; name your copy of the set ucf_sports"):
        entries_of(copies)


def test_a_file_that_is_not_the_published_one_is_refused(copies):
    shutil.copy(copies / "dreambooth/toy/0.jpg", copies / "dreambooth/toy/1.jpg")
    with pytest.raises(InputError) as error:
        entries_of(copies)
    assert re.fullmatch(
        r".*/dreambooth/toy/1.jpg has the SHA-256 [0-9a-f]{64}, the published file has [0-9a-f]{64}; download it again, "
        r"or import your own with `dreamvideo data import subject`",
        str(error.value),
    )


def test_a_link_out_of_a_copy_is_refused(copies):
    (copies / "elsewhere.avi").write_bytes((copies / "ucf101/Glowing/v_Glowing_g01_c01.avi").read_bytes())
    (copies / "ucf101/Glowing/v_Glowing_g01_c01.avi").unlink()
    (copies / "ucf101/Glowing/v_Glowing_g01_c01.avi").symlink_to(copies / "elsewhere.avi")
    with pytest.raises(InputError, match=r"v_Glowing_g01_c01.avi leads out of its folder, to .*elsewhere.avi"):
        entries_of(copies)


def test_the_packaged_catalog_is_the_default(tmp_path):
    with pytest.raises(InputError, match=r"files are missing, of 1\d\d: .*cat/00.jpg, .*v_PlayingGuitar_g03_c01.avi, "):
        paper_entries({name: tmp_path for name in SOURCES})
