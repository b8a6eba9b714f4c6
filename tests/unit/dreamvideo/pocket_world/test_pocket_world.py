import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.dataset.checksums import verify_files
from dreamvideo.dataset.clips import read_clip
from dreamvideo.dataset.prompts import MOTION_SLOT, PLACEHOLDER
from dreamvideo.errors import InputError
from dreamvideo.pocket_world.build import (
    build_dataset,
    clip_caption,
    motion_shots,
    prompts,
    subject_shots,
)
from dreamvideo.pocket_world.cast import RESERVED, SUBJECTS
from dreamvideo.pocket_world.motions import TARGET_MOTIONS
from dreamvideo.pocket_world.render import render
from dreamvideo.pocket_world.sampling import (
    SCENE_NAMES,
    caption,
    draw_identity,
    draw_shot,
    frame_times,
    shot_frames,
    shots_to_frames,
)
from dreamvideo.pocket_world.scenes import paint_scene
from dreamvideo.pocket_world.tokenizer import CONTEXT_LENGTH, split, unread_words
from dreamvideo.pocket_world.vocabulary import CLASSES

SIZE = 64


def grid(size: int) -> torch.Tensor:
    axis = (torch.arange(size) + 0.5) * (2 / size) - 1
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)


def centroids(masks: torch.Tensor) -> torch.Tensor:
    """(N, 1, S, S) -> (N, 2) in world units."""
    weights = masks[:, 0, :, :, None]
    return (weights * grid(masks.shape[-1])).sum((1, 2)) / weights.sum((1, 2))


def shots_of_all_classes():
    rng = random.Random(5)
    identities = [draw_identity(rng, frozenset()) for _ in range(400)]
    return [
        draw_shot(rng, next(i for i in identities if i.subject_class == name), scene)
        for name in CLASSES
        for scene in SCENE_NAMES
    ]


def test_pixels_outside_the_mask_are_the_bare_scene():
    shots = shots_of_all_classes()
    frames = shot_frames(shots, 1)
    pixels, masks = render(frames, SIZE)
    for index, shot in enumerate(shots):
        bare = paint_scene[shot.scene](grid(SIZE)[None], frames.scene_variation[index : index + 1], 2 / SIZE)
        changed = (pixels[index] - bare[0].clamp(0, 1).permute(2, 0, 1)).abs().amax(0)
        inside = masks[index, 0]
        assert changed[inside == 0].max() < 1e-6
        # Where the subject covers all, almost nothing of the scene happens to look the same.
        assert (changed[inside == 1] > 0.01).float().mean() > 0.9


def test_masks_are_coverage():
    _, masks = render(shot_frames(shots_of_all_classes(), 1), SIZE)
    assert masks.min() == 0 and masks.max() == 1
    area = masks.mean((1, 2, 3))
    assert (area > 0.02).all() and (area < 0.5).all()
    # Only the outline is between.
    assert (((masks > 0) & (masks < 1)).float().mean((1, 2, 3)) < 0.25 * area + 0.05).all()


def test_the_centroid_follows_the_path():
    identity = SUBJECTS["van"]
    shot = draw_shot(random.Random(1), identity, "room", "still")
    small = {"size": 0.3, "centre": (0.05, -0.05)}
    times = frame_times(8)
    for name, motion in TARGET_MOTIONS.items():
        poses = motion.path(times)
        poses[:, 2:] = 0  # a turn or a change of size also moves the centroid
        shown = shots_to_frames([type(shot)(**{**vars(shot), **small})], poses[None])
        _, masks = render(shown, SIZE)
        seen = centroids(masks)
        assert (seen - seen.mean(0) - (poses[:, :2] - poses[:, :2].mean(0))).abs().max() < 0.02, name


def test_facing_mirrors_and_angle_turns_clockwise():
    shot = draw_shot(random.Random(2), SUBJECTS["duck"], "snow", "still")
    fields = {**vars(shot), "centre": (0.0, 0.0), "size": 0.5}
    still = torch.zeros(1, 1, 4)
    right = render(shots_to_frames([type(shot)(**{**fields, "facing": 1})], still), SIZE)[1]
    left = render(shots_to_frames([type(shot)(**{**fields, "facing": -1})], still), SIZE)[1]
    assert torch.allclose(right, left.flip(-1), atol=1e-4)
    quarter = still.clone()
    quarter[..., 3] = torch.pi / 2
    turned = render(shots_to_frames([type(shot)(**{**fields, "facing": 1})], quarter), SIZE)[1]
    assert (turned - right.rot90(-1, (-2, -1))).abs().max() < 0.02


def test_reserved_identities_are_never_drawn():
    rng = random.Random(0)
    assert len(RESERVED) == 20
    drawn = {draw_identity(rng, RESERVED).signature for _ in range(20_000)}
    assert not drawn & RESERVED
    # They would be drawn if they were not reserved.
    assert {draw_identity(rng, frozenset()).signature for _ in range(20_000)} & RESERVED


def test_clips_of_the_dataset_show_unreserved_identities_in_several_scenes():
    for name, motion in TARGET_MOTIONS.items():
        shots = motion_shots(name, motion)
        assert len(shots) == motion.clips == len({shot.scene for shot in shots})
        assert not {shot.identity.signature for shot in shots} & RESERVED


def test_subjects_are_seen_in_several_scenes():
    for name, identity in SUBJECTS.items():
        shots = subject_shots(name, identity)
        assert 4 <= len(shots) <= 6 and len({shot.scene for shot in shots}) == len(shots)


def test_captions_use_known_words():
    rng = random.Random(3)
    for _ in range(2000):
        shot = draw_shot(rng, draw_identity(rng, RESERVED))
        assert not unread_words(caption(shot, rng, moving=True))
    for name, motion in TARGET_MOTIONS.items():
        for shot in motion_shots(name, motion):
            assert not unread_words(clip_caption(shot, motion.words))


def test_prompts():
    listed = prompts()
    assert Counter(prompt.kind for prompt in listed) == {
        "subject_motion": 10,
        "subject_context": 10,
        "motion_context": 10,
        "subject_motion_context": 12,
    }
    assert len({prompt.text for prompt in listed}) == 42
    for prompt in listed:
        assert prompt.text.count(PLACEHOLDER) == (prompt.kind != "motion_context")
        assert prompt.text.count(MOTION_SLOT) == prompt.kind.endswith("motion_context")
        for motion in TARGET_MOTIONS.values():
            filled = prompt.fill(motion.words)
            assert not unread_words(filled) and len(split(filled)) <= CONTEXT_LENGTH - 2


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("world") / "data"
    steps = []
    chosen = {
        "subjects": {name: SUBJECTS[name] for name in ("dog2", "old_robot")},
        "motions": {name: TARGET_MOTIONS[name] for name in ("zigzag_down", "up_and_down")},
    }
    build_dataset(root, lambda *step: steps.append(step), **chosen)
    assert steps == [("dog2", 1, 4), ("old_robot", 2, 4), ("zigzag_down", 3, 4), ("up_and_down", 4, 4)]
    return root, chosen


def test_the_built_dataset_is_what_its_catalog_says(built):
    root, _ = built
    catalog = load_catalog(root)
    verify_files(catalog)
    dog = catalog.subject("dog2")
    assert (dog.class_word, dog.kind) == ("dog", "pet") and catalog.subject("old_robot").kind == "object"
    assert dog.truth == {
        "subject_class": "dog",
        "colour": "white",
        "marking": "band",
        "marking_colour": "blue",
        "proportions": [-0.5, 0.2, -0.6],
    }
    for image, mask in zip(dog.images, dog.masks, strict=True):
        assert Image.open(image).mode == "RGB" and Image.open(image).size == (256, 256)
        cover = np.asarray(Image.open(mask))
        assert cover.shape == (256, 256) and set(np.unique(cover)) == {0, 255}
    motion = catalog.motion("zigzag_down")
    frames, fps = read_clip(motion.clips[0].path)
    assert frames.shape == (32, 3, 256, 256) and fps == 32
    path = TARGET_MOTIONS["zigzag_down"].path(frame_times(32))[:, :2]
    assert torch.allclose(torch.tensor(motion.truth["trajectory"]), path, atol=6e-5)


@pytest.mark.parametrize("name", ["zigzag_down", "up_and_down"])
def test_clips_show_their_trajectory(built, name):
    """The subject, found as what differs from the bare scene, moves as the catalog says."""
    motion = load_catalog(built[0]).motion(name)
    frames, _ = read_clip(motion.clips[0].path)
    shot = motion_shots(name, TARGET_MOTIONS[name])[0]
    bare = paint_scene[shot.scene](grid(256)[None], torch.tensor([shot.scene_variation]), 2 / 256)[0].permute(2, 0, 1)
    differs = (frames[::5].float() / 255 - bare.clamp(0, 1)).abs().amax(1, keepdim=True) > 0.15
    seen = centroids(differs.float())
    truth = torch.tensor(motion.truth["trajectory"])[::5]
    assert ((seen - seen.mean(0)) - (truth - truth.mean(0))).abs().max() < 0.1


def test_the_shipped_dataset_is_what_the_code_makes(built):
    """To a grey level or two: another processor may round another way."""
    root, shipped = built[0], Path(__file__).resolve().parents[4] / "data"
    for path in sorted(root.rglob("*.png")):
        pair = [np.asarray(Image.open(one)).astype(int) for one in (path, shipped / path.relative_to(root))]
        assert np.abs(pair[0] - pair[1]).max() <= 2
    for path in sorted(root.rglob("*.mp4")):
        pair = [read_clip(one)[0].float() for one in (path, shipped / path.relative_to(root))]
        assert (pair[0] - pair[1]).abs().mean() < 1
    made, published = load_catalog(root), load_catalog(shipped)
    for name, motion in made.motions.items():
        pair = [torch.tensor(one.truth["trajectory"]) for one in (motion, published.motion(name))]
        assert torch.allclose(*pair, atol=2e-4) and motion.words == published.motion(name).words
    assert made.subject("dog2").truth == published.subject("dog2").truth and made.prompts == published.prompts


def test_rebuilding_gives_the_same_bytes(built, tmp_path):
    root, chosen = built
    other = tmp_path / "again"
    build_dataset(other, **chosen)
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    assert all((root / name).read_bytes() == (other / name).read_bytes() for name in files)


def test_rebuilding_replaces_its_own_files_and_no_others(built, tmp_path):
    root = tmp_path / "data"
    build_dataset(root, subjects={"cat": SUBJECTS["cat"]}, motions={})
    build_dataset(root, subjects={"dog": SUBJECTS["dog"]}, motions={})
    assert set(load_catalog(root).subjects) == {"dog"} and not (root / "subjects/cat").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    (root / "subjects/mine.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"holds subjects/mine.png, not of the pocket world; choose another folder"):
        build_dataset(root, subjects={"dog": SUBJECTS["dog"]}, motions={})
    assert (root / "subjects/mine.png").exists()
