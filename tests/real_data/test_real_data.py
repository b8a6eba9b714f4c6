"""Photographs and clips of the world through the import, the gate and the whole benchmark."""

from math import isfinite

import pytest

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.dataset.checksums import verify_files
from dreamvideo.dataset.clips import probe_clip
from dreamvideo.dataset.importing.entries import NewMotion, NewSubject
from dreamvideo.dataset.importing.files import Original, find_clips, find_images, pair_masks
from dreamvideo.dataset.importing.paper import PAPER_CATALOG
from dreamvideo.dataset.importing.transaction import import_entries
from dreamvideo.dataset.rules import SHORTER_SIDE
from dreamvideo.dataset.validation.checks import Requirements
from dreamvideo.dataset.validation.expectations import validate
from dreamvideo.params import DataParams, load_params
from dreamvideo.yaml_files import read_yaml
from flows.benchmark import run_benchmark
from flows.execution.dataset import import_motion, import_subject
from flows.planning.selection import Selection
from flows.tracking.schema import Kind
from flows.tracking.store import open_store
from tests.integration.conftest import write_params

MOTIONS = {  # words, caption, kind
    "playing_guitar": ("playing guitar", "a person is playing guitar", "human"),
    "car_turn": ("running on the road", "a car running on the road", "vehicle"),
    "skiing": ("skiing", "a man is skiing", "human"),
    "surfing": ("surfing", "a man is surfing", "human"),
    "eating": ("eating a watermelon", "a rabbit is eating a watermelon", "animal"),
}
GIVEN = {"source": "a local copy", "licence": "for tests only"}


@pytest.fixture(scope="module")
def published():
    return read_yaml(PAPER_CATALOG, "")


def test_the_package_has_the_published_hashes(real_data, published):
    listed = (real_data / "ORIGINALS.sha256").read_text().split()
    expected = {path: digest for digest, path in zip(listed[::2], listed[1::2], strict=True)}
    assert expected == {
        f"{name}/{file}": digest
        for name, fields in published["subjects"].items()
        for file, digest in fields["files"].items()
    }


def originals(paths):
    return tuple(Original(path, path.name) for path in paths)


def test_all_subjects_and_motions_are_imported_and_pass_the_gate(real_data, published, tmp_path):
    entries = []
    for name, fields in published["subjects"].items():
        images, masks = find_images(real_data / "subjects" / name).files, real_data / "subjects" / name / "masks"
        paired = pair_masks(images, find_images(masks).files) if masks.is_dir() else ()
        chosen = {field: fields[field] for field in ("class_word", "kind")}
        entries.append(NewSubject(name=name, images=originals(images), masks=originals(paired), **chosen, **GIVEN))
    for name, (words, caption, kind) in MOTIONS.items():
        clips = originals(find_clips(real_data / "motions" / name).files)
        entries.append(NewMotion(name=name, words=words, captions=(caption,), kind=kind, clips=clips, **GIVEN))
    data = DataParams(root=tmp_path / "data", subjects=20, motions=5, image_size=240, num_frames=8, fps=8.0)
    import_entries(data, entries)
    catalog = load_catalog(data.root)
    verify_files(catalog)
    assert validate(catalog, Requirements(20, 5, data.num_frames, data.fps, data.image_size)).problems == ()
    assert [len(catalog.subject(name).masks) for name in ("dog2", "wolf_plushie", "cat")] == [6, 5, 0]
    assert catalog.subject("wolf_plushie").class_word == "stuffed animal"
    guitar = catalog.motion("playing_guitar")
    assert len(guitar.clips) == 5
    assert guitar.origin["motions/playing_guitar/00.mp4"].file == "v_PlayingGuitar_g03_c01.avi"
    probed = {name: probe_clip(motion.clips[0].path) for name, motion in catalog.motions.items()}
    found = {name: (probe.frames, round(probe.fps, 2)) for name, probe in probed.items()}
    assert found == {
        "playing_guitar": (250, 25), "car_turn": (32, 20), "skiing": (91, 29.97), "surfing": (72, 24), "eating": (186, 30),
    }  # fmt: skip
    assert (probed["playing_guitar"].width, probed["playing_guitar"].height) == (320, 240)
    assert probed["eating"].width == probed["eating"].height == SHORTER_SIDE


def test_the_pocket_base_learns_two_of_each_end_to_end(real_data, prefect_server, tmp_path, monkeypatch):
    write_params(tmp_path, data__num_frames=8)
    monkeypatch.chdir(tmp_path)
    params = load_params()
    pets = real_data / "subjects"
    import_subject(params, pets / "dog2", pets / "dog2/masks", name="dog2", class_word="dog", kind="pet", **GIVEN)
    told = import_subject(
        params, pets / "wolf_plushie", None, name="wolf", class_word="stuffed animal", kind="object", **GIVEN
    )
    assert pets / "wolf_plushie" / "masks" in told.unread
    for name in ("playing_guitar", "surfing"):
        words, caption, kind = MOTIONS[name]
        told = import_motion(
            params, [real_data / "motions" / name], None, [caption], name=name, words=words, kind=kind, **GIVEN
        )
    assert (told.subjects, told.motions, told.unread) == (2, 2, ())
    outcome = run_benchmark(params, Selection())
    assert (outcome.finished, outcome.failed) == (4, 0)
    cells = open_store(params.tracking).runs(Kind.CELL)
    for cell in cells:
        for metric in ("clip_t", "clip_i", "dino_i", "temporal_consistency"):
            assert isfinite(cell.data.metrics[metric])
        assert not any("oracle" in name for name in cell.data.metrics)
    report = outcome.report.read_text()
    assert all(name in report for name in ("dog2", "wolf", "playing_guitar", "surfing"))
