import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.dataset.clips import write_clip
from dreamvideo.dataset.validation.checks import Requirements
from dreamvideo.dataset.validation.expectations import validate
from dreamvideo.files import sha256_file
from dreamvideo.pocket_world.build import build_dataset
from dreamvideo.pocket_world.cast import SUBJECTS
from dreamvideo.pocket_world.motions import TARGET_MOTIONS
from dreamvideo.yaml_files import read_yaml, to_yaml

NEEDS = Requirements(subjects=2, motions=1, num_frames=8, fps=8.0, image_size=256)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("gate") / "data"
    subjects = {name: SUBJECTS[name] for name in ("cat", "van")}
    build_dataset(root, subjects=subjects, motions={"zigzag_down": TARGET_MOTIONS["zigzag_down"]})
    return root


def test_a_whole_dataset_passes(whole):
    result = validate(load_catalog(whole), NEEDS)
    assert result.success and result.problems == ()
    assert set(result.report["assets"]) == {"subjects", "motions", "images", "masks", "clips", "prompts"}
    json.dumps(result.report, allow_nan=False)
    assert "The dataset meets its expectations" in result.html
    for fetched in ("<script", "<link", "<img", "src=", "@import", "url(", "http://", "https://"):
        assert fetched not in result.html


def test_a_clip_belongs_to_one_motion(whole, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(whole, root)
    entries = read_yaml(root / "catalog.yaml", "")
    shutil.copytree(root / "motions/zigzag_down", root / "motions/again")
    again = json.dumps(entries["motions"]["zigzag_down"]).replace("motions/zigzag_down", "motions/again")
    entries["motions"]["again"] = json.loads(again)
    (root / "catalog.yaml").write_text(to_yaml(entries))
    problems = validate(load_catalog(root), replace(NEEDS, motions=2)).problems
    assert problems and all("occurs more than once, must be in one motion only" in problem for problem in problems)


@pytest.fixture(scope="module")
def broken(whole, tmp_path_factory):
    """A dataset in which every expectation is broken; the catalog's digests are right but for one file."""
    root = tmp_path_factory.mktemp("gate") / "broken"
    shutil.copytree(whole, root)
    entries = read_yaml(root / "catalog.yaml", "")
    cat, van = root / "subjects/cat", root / "subjects/van"
    (cat / "00.png").write_bytes((van / "00.png").read_bytes())
    (cat / "01.png").unlink()
    (cat / "02.png").write_bytes((cat / "02.png").read_bytes()[:3000])
    Image.new("RGB", (256, 100)).save(cat / "03.png")
    Image.new("RGBA", (256, 256)).save(van / "01.png")
    Image.new("L", (256, 256)).save(cat / "masks/00.png")
    Image.fromarray(np.full((256, 256), 200, dtype=np.uint8)).save(van / "masks/00.png")
    Image.open(van / "masks/01.png").convert("RGB").save(van / "masks/01.png")
    write_clip(root / "motions/zigzag_down/00.mp4", torch.zeros(5, 3, 64, 64, dtype=torch.uint8), 8)
    for entry in (*entries["subjects"].values(), *entries["motions"].values()):
        entry["sha256"] |= {path: sha256_file(root / path) for path in entry["sha256"] if (root / path).exists()}
    Image.open(van / "02.png").rotate(90).save(van / "02.png")  # after its digest was taken
    entries["subjects"]["van"] |= {"class_word": "Big Van", "licence": " "}
    entries["motions"]["zigzag_down"] |= {"words": ""}
    entries["motions"]["zigzag_down"]["clips"][0]["caption"] = ""
    entries["prompts"] = [
        {"text": "a dog is jumping", "kind": "subject_motion"},
        {"text": "a * is {motion}", "kind": "motion_context"},
        {"text": "a * on the beach", "kind": "subject_motion_context"},
    ]
    (root / "catalog.yaml").write_text(to_yaml(entries))
    return load_catalog(root)


@pytest.fixture(scope="module")
def found(broken):
    return validate(broken, replace(NEEDS, subjects=20, motions=30, min_images=6))


PROBLEMS = [
    "the catalog has 2 subjects, needs 20; set data.subjects in params.yaml to 2, or run `dreamvideo data pull` for the published dataset",
    "the catalog has 1 motions, needs 30; set data.motions in params.yaml to 1, or run `dreamvideo data pull` for the published dataset",
    "subject 'cat' has 5 images, needs at least 6; add some",
    "subject 'van' has 5 images, needs at least 6; add some",
    "subject 'van': field class_word is 'Big Van', must be lower-case words; correct it",
    "subject 'van': field licence is empty, must name a licence; add it to the catalog",
    "motion 'zigzag_down': field words is '', must be lower-case words; correct it",
    "image subjects/cat/00.png occurs more than once, must be in one subject only; remove the other copies",
    "subjects/cat/01.png does not exist; run `dreamvideo data pull`",
    "subjects/cat/02.png cannot be read (image file is truncated",
    "image subjects/cat/03.png is 256x100, needs at least 256 a side; supply a larger one",
    "image subjects/van/01.png has mode RGBA, must be RGB; convert it to RGB",
    "image subjects/van/02.png differs from its SHA-256 in the catalog; delete it and run `dreamvideo data pull`",
    "mask subjects/cat/masks/00.png covers 0.0% of its image, must be over 0.5% and under 95%; draw it again",
    "mask subjects/cat/masks/03.png is 256x256, its image is 256x100; export the mask at the image's size",
    "mask subjects/van/masks/00.png has 65536 pixels other than 0 and 255, must have none; threshold it",
    "mask subjects/van/masks/00.png covers 100.0% of its image",
    "mask subjects/van/masks/01.png has mode RGB, must be L or 1; convert it to greyscale",
    "motion 'zigzag_down': clip 00.mp4 has 5 frames, needs at least 8; record a longer clip or lower data.num_frames",
    "clip motions/zigzag_down/00.mp4 is 64x64, needs at least 256 a side; supply a larger one",
    "clip motions/zigzag_down/00.mp4 has the caption '', must be a text without *",
    "prompt 'a dog is jumping' has no placeholder; write the subject as *",
    "prompt 'a * is {motion}' has a placeholder, must have none as motion_context; write a class word instead",
    "prompt 'a * on the beach' has {motion} 0 times, needs it 1 times as subject_motion_context; correct the prompt",
]


@pytest.mark.parametrize("sentence", PROBLEMS)
def test_each_problem_is_named(found, sentence):
    assert sum(sentence in problem for problem in found.problems) == 1, found.problems


def test_nothing_else_is_a_problem(found):
    # The image that occurs twice is named in both subjects.
    assert len(found.problems) == len(PROBLEMS) + 1


def test_failures_are_reported_whole(found):
    assert not found.success and not found.report["success"]
    text = json.dumps(found.report, allow_nan=False)
    assert json.loads(text)["problems"] == list(found.problems)
    assert "The dataset has 25 problems" in found.html and "https://" not in found.html


def test_counts_are_checked_only_if_required(whole):
    catalog = load_catalog(whole)
    alone = catalog.model_copy(update={"motions": {}, "subjects": {"cat": catalog.subject("cat")}})
    result = validate(alone, replace(NEEDS, subjects=None, motions=None))
    assert result.problems == ()
