"""The whole import of made-up files, also where it is stopped, fails, or is not alone."""

import os

import pytest

from dreamvideo.dataset.catalog import Origin, add_entries, load_catalog
from dreamvideo.dataset.checksums import verify_files
from dreamvideo.dataset.clips import probe_clip
from dreamvideo.dataset.importing import transaction as importing
from dreamvideo.dataset.importing.transaction import import_entries
from dreamvideo.dataset.validation.checks import Requirements
from dreamvideo.dataset.validation.expectations import validate
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file
from dreamvideo.yaml_files import read_yaml, to_yaml
from tests.support.import_trials import at, motion, subject, tree
from tests.support.odd_files import write_frames, write_photos, write_video

NEED = Requirements(None, None, num_frames=8, fps=8.0, image_size=32)


def test_what_is_imported_passes_the_gate_and_says_where_it_is_from(tmp_path, photos):
    clip, frames = write_video(tmp_path / "v_Glow.avi"), write_frames(tmp_path / "bear", count=16)
    root, told = tmp_path / "data", []
    entries = [
        subject(photos, photos / "masks"),
        motion(clip),
        motion(frames, name="walk", words="walking", fps=16.0),
    ]
    import_entries(at(root), entries, lambda *progress: told.append(progress))
    assert told == [("toy", 1, 3), ("glow", 2, 3), ("walk", 3, 3)]
    catalog = load_catalog(root)
    verify_files(catalog)
    assert validate(catalog, NEED).problems == ()
    toy, glow, walk = catalog.subject("toy"), catalog.motion("glow"), catalog.motion("walk")
    assert (toy.class_word, toy.kind, toy.licence, toy.source) == ("stuffed animal", "object", "CC0-1.0", "a camera")
    assert len(toy.images) == len(toy.masks) == 3 and toy.truth is None
    assert toy.origin["subjects/toy/01.png"] == Origin(file="1.jpg", sha256=sha256_file(photos / "1.jpg"))
    assert toy.origin["subjects/toy/masks/01.png"].sha256 == sha256_file(photos / "masks/1.png")
    assert glow.clips[0].caption == "a lamp is glowing"
    assert glow.origin == {"motions/glow/00.mp4": Origin(file="v_Glow.avi", sha256=sha256_file(clip))}
    probe = probe_clip(walk.clips[0].path)
    assert (probe.frames, probe.fps, probe.width, probe.height) == (16, 16, 64, 48)
    (tmp_path / "all").write_bytes(b"".join((frames / f"f{i}.png").read_bytes() for i in range(16)))
    assert walk.origin["motions/walk/00.mp4"] == Origin(file="bear", sha256=sha256_file(tmp_path / "all"))
    assert sorted(path.name for path in root.iterdir()) == ["catalog.yaml", "motions", "subjects"]


def test_origins_do_not_count_as_content_and_name_file_and_hash(root):
    path, before = root / "catalog.yaml", load_catalog(root)
    entries = read_yaml(path, "")
    del entries["subjects"]["toy"]["origin"], entries["motions"]["glow"]["origin"]
    path.write_text(to_yaml(entries))
    assert load_catalog(root).subject("toy").content_key == before.subject("toy").content_key
    assert load_catalog(root).motion("glow").content_key == before.motion("glow").content_key
    entries["subjects"]["toy"]["origin"] = {"subjects/toy/00.png": "0.jpg"}
    path.write_text(to_yaml(entries))
    with pytest.raises(InputError, match=r"subjects.toy.origin.subjects/toy/00.png is '0.jpg'"):
        load_catalog(root)


def test_a_new_dataset_gets_prompts_of_every_kind(whole):
    kinds = [prompt.kind for prompt in load_catalog(whole).prompts]
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert counts == {"subject_motion": 10, "subject_context": 10, "motion_context": 10, "subject_motion_context": 12}


def test_the_same_files_make_the_same_content(tmp_path, whole):
    entries = [subject(write_photos(tmp_path / "photos")), motion(write_video(tmp_path / "a.avi"))]
    one, two = load_catalog(whole), import_entries(at(tmp_path / "data"), entries)
    assert one.subject("toy").content_key == two.subject("toy").content_key
    assert one.motion("glow").content_key == two.motion("glow").content_key


def test_an_import_leaves_the_rest_of_the_catalog_as_it_was_written(root, photos):
    path = root / "catalog.yaml"
    path.write_text("# mine\n" + path.read_text().replace("class_word:", "# the word\n    class_word:"))
    before, files = path.read_text(), tree(root)
    import_entries(at(root), [subject(photos, name="other", source="no", licence="'quoted': yes")])
    start, end = before.split("motions:")
    assert path.read_text().startswith(start) and path.read_text().endswith(end)
    added = load_catalog(root).subject("other")
    assert (added.source, added.licence) == ("no", "'quoted': yes")
    del files["catalog.yaml"]
    assert files.items() <= tree(root).items()


def stops_at_the_catalog(root, stop):
    """``add_entries``, but that of root's own catalog ends otherwise."""

    def add(folder, added):
        if folder == root:
            stop()
        add_entries(folder, added)

    return add


def test_a_kill_before_the_catalog_is_written_leaves_the_old_dataset_whole(root, photos, monkeypatch):
    before = tree(root)
    monkeypatch.setattr(importing, "add_entries", stops_at_the_catalog(root, lambda: os._exit(9)))
    if (child := os.fork()) == 0:
        import_entries(at(root), [subject(photos, name="other")])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert before.items() <= tree(root).items() and (root / "subjects/other/00.png").exists()
    catalog = load_catalog(root)
    assert set(catalog.subjects) == {"toy"} and validate(catalog, NEED).success
    verify_files(catalog)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"subjects/other exists, .* or delete it if a stopped import left it"):
        import_entries(at(root), [subject(photos, name="other")])


def test_a_failure_to_write_the_catalog_is_undone(root, photos, monkeypatch):
    def full():
        raise OSError("no space left on device")

    before = tree(root)
    monkeypatch.setattr(importing, "add_entries", stops_at_the_catalog(root, full))
    with pytest.raises(OSError, match="no space left"):
        import_entries(at(root), [subject(photos, name="other")])
    assert tree(root) == before


def test_an_import_that_ends_while_another_runs_is_kept(root, photos, tmp_path):
    clip = write_video(tmp_path / "a.avi")

    def another(*progress):
        import_entries(at(root), [motion(clip, name="shine")])

    catalog = import_entries(at(root), [subject(photos, name="other")], another)
    assert set(catalog.subjects) == {"toy", "other"} and set(catalog.motions) == {"glow", "shine"}


def test_clips_have_captions_of_their_own_in_their_order(tmp_path):
    clips = [write_video(tmp_path / f"{name}.avi", seed=seed) for seed, name in enumerate("ba")]
    catalog = import_entries(at(tmp_path / "data"), [motion(*clips, captions=("b glows", "a glows"))])
    told = {catalog.motion("glow").origin[f"motions/glow/{clip.path.name}"].file: clip.caption
            for clip in catalog.motion("glow").clips}  # fmt: skip
    assert told == {"b.avi": "b glows", "a.avi": "a glows"}
    with pytest.raises(InputError) as error:
        motion(*clips, captions=("1", "2", "3"))
    assert "motion 'glow'" in str(error.value) and f"{clips[0]}, {clips[1]}" in str(error.value)
    with pytest.raises(InputError, match="captions #2"):
        motion(*clips, captions=("1", " "))
