"""Masks of one's own for the paper's subjects, with small made-up copies of the sets."""

import re
import shutil
import sys
from functools import partial

import pytest
from PIL import Image

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.dataset.importing import paper
from dreamvideo.dataset.importing.entries import NewSubject
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file
from dreamvideo.params import load_params
from dreamvideo.yaml_files import to_yaml
from flows.cli.main import main
from flows.execution.adapters import load_subject
from flows.execution.dataset import import_paper
from tests.support.import_trials import at
from tests.support.odd_files import write_photos, write_video


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Two subjects and a motion, as the paper's catalog would name them, and masks of both subjects."""
    subjects = {}
    for seed, name in enumerate(("toy", "can")):
        photos = write_photos(tmp_path / "photos" / name, seed=10 * seed)
        (tmp_path / "masks").mkdir(exist_ok=True)
        shutil.move(photos / "masks", tmp_path / "masks" / name)
        hashes = {f"{i}.jpg": sha256_file(photos / f"{i}.jpg") for i in range(3)}
        subjects[name] = {"of": "photos", "class_word": name, "kind": "object", "files": hashes}
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips/glow.avi")
    glow = {"of": "clips", "words": "glowing", "caption": "it is glowing", "kind": "lamp", "clips": ["glow.avi"]}
    sources = {name: {"source": f"the set {name}", "licence": "CC-BY-4.0"} for name in ("photos", "clips")}
    content = {"sources": sources, "subjects": subjects, "motions": {"glow": glow}}
    (tmp_path / "catalog.yaml").write_text(to_yaml(content))
    named = partial(paper.paper_entries, catalog=tmp_path / "catalog.yaml")
    monkeypatch.setattr(paper, "paper_entries", named)
    return tmp_path


def entries(copies):
    folders = {name: copies / name for name in ("photos", "clips")}
    made = paper.paper_entries(folders, copies / "masks")
    return {entry.name: entry for entry in made if isinstance(entry, NewSubject)}


def test_a_subject_with_all_its_masks_is_trained_under_them_and_one_without_any_on_whole_images(copies):
    shutil.rmtree(copies / "masks/can")
    Image.new("L", (48, 48)).save(copies / "masks/toy/7.png")
    params = load_params().model_copy(update={"data": at(copies / "data")})
    done = import_paper(params, {name: copies / name for name in ("photos", "clips")}, copies / "masks")
    assert done.unread == (copies / "masks/toy/7.png",) and done.inverted == ()
    catalog = load_catalog(copies / "data")
    toy, can = (load_subject(catalog.subject(name), 48) for name in ("toy", "can"))
    assert toy.masks.shape == (3, 1, 48, 48) and (toy.masks[:, :, 12:28, 12:28] == 1).all()
    assert toy.masks[:, :, :8].max() == 0 and can.masks is None
    origin = catalog.subject("toy").origin["subjects/toy/masks/01.png"].model_dump()
    assert origin == {"file": "toy/1.png", "sha256": sha256_file(copies / "masks/toy/1.png")}


def test_without_a_folder_of_masks_there_are_none(copies):
    folders = {name: copies / name for name in ("photos", "clips")}
    assert not any(entry.masks for entry in paper.paper_entries(folders) if isinstance(entry, NewSubject))


def test_a_subject_with_some_masks_alone_is_refused(copies):
    assert all(len(subject.masks) == 3 for subject in entries(copies).values())
    (copies / "masks/can/1.png").rename(copies / "masks/can/one.png")
    sentence = (
        f"subject 'can' has masks of 2 of its 3 images, but no {copies}/masks/can/1.png; supply what is missing, "
        "or remove the others"
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        entries(copies)


def test_a_folder_without_any_of_the_masks_is_refused(copies):
    for name in ("toy", "can"):
        (copies / "masks" / name).rename(copies / "masks" / f"the_{name}")
    with pytest.raises(
        InputError, match=r"masks holds no masks of the subjects, such as toy/0.png; call them SUBJECT/"
    ):
        entries(copies)


def test_a_mask_that_leads_out_of_its_folder_is_refused(copies):
    (copies / "masks/toy/0.png").rename(copies / "elsewhere.png")
    (copies / "masks/toy/0.png").symlink_to(copies / "elsewhere.png")
    with pytest.raises(InputError, match=r"masks/toy/0.png leads out of its folder, to .*elsewhere.png"):
        entries(copies)


def test_the_command_takes_the_folder_of_masks(copies, monkeypatch, capsys):
    command = ["data", "import", "paper", "--subjects", "photos", "--ucf101", ".", "--ucf-sports", ".", "--davis", "."]
    (copies / "params.yaml").write_text((paper.PAPER_CATALOG.parents[3] / "params.yaml").read_text())
    monkeypatch.chdir(copies)
    monkeypatch.setattr(sys, "argv", ["dreamvideo", *command, "--masks", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code and "nowhere is not a folder; name the one that holds SUBJECT/IMAGE.png" in said
