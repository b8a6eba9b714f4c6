"""Every mistake that should leave the dataset as it was."""

import shutil

import pytest
from PIL import Image

from dreamvideo.dataset.importing.transaction import import_entries
from dreamvideo.errors import InputError
from tests.support.import_trials import at, motion, subject, tree
from tests.support.odd_files import halves, photo, write_photos, write_video

MISTAKES = {  # the fields, and what the message must name
    "name": ({"name": "My Toy"}, ("name", "My Toy", "lower-case")),
    "name with ..": ({"name": "../toy"}, ("name", "../toy")),
    "class word": ({"class_word": "Toy 2"}, ("class_word", "Toy 2", "lower-case words")),
    "kind": ({"kind": "plush"}, ("kind", "plush", "pet")),
    "licence": ({"licence": " "}, ("licence", "not empty")),
    "source": ({"source": ""}, ("source", "not empty")),
}
MOTION_MISTAKES = {
    "words": ({"words": "Glow!"}, ("words", "Glow!", "lower-case words")),
    "no caption": ({"captions": ("",)}, ("captions #1", "such as")),
    "the subject's sign": ({"captions": ("a * is glowing",)}, ("captions #1", "a * is glowing", "without *")),
    "kind": ({"kind": ""}, ("kind", "not empty")),
    "licence": ({"licence": ""}, ("licence", "not empty")),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_bad_field_of_a_subject(photos, case):
    fields, named = MISTAKES[case]
    with pytest.raises(InputError) as error:
        subject(photos, **fields)
    assert all(word in str(error.value) for word in ("subject", *named))


@pytest.mark.parametrize("case", MOTION_MISTAKES)
def test_a_bad_field_of_a_motion(case):
    fields, named = MOTION_MISTAKES[case]
    with pytest.raises(InputError) as error:
        motion(**fields)
    assert all(word in str(error.value) for word in ("motion 'glow'", *named))


def break_last_image(photos):
    (photos / "2.jpg").write_bytes((photos / "2.jpg").read_bytes()[:300])
    return r"image .*photos/2.jpg cannot be read .*; replace it"


def shrink_last_image(photos):
    Image.fromarray(halves(20, 20)).save(photos / "2.jpg")
    return r"image .*photos/2.jpg is 20x20, needs at least 32 a side; supply a larger one"


def repeat_an_image(photos):
    shutil.copy(photos / "0.jpg", photos / "2.jpg")
    return r"image .*photos/0.jpg occurs more than once, must be in one subject only; .* \(and 1 more\)"


def remove_an_image(photos):
    (photos / "2.jpg").unlink()
    return r"subject 'other' has 2 images, needs at least 3; add some"


def empty_a_mask(photos):
    Image.new("L", (48, 48)).save(photos / "masks/1.png")
    return r"mask .*photos/masks/1.png covers 0.0% of its image, must be over"


@pytest.mark.parametrize("spoil", [break_last_image, shrink_last_image, repeat_an_image, remove_an_image, empty_a_mask])
def test_a_bad_file_leaves_the_dataset_as_it_was(root, photos, spoil):
    before, sentence = tree(root), spoil(photos)
    with pytest.raises(InputError, match=sentence):
        import_entries(at(root), [subject(photos, photos / "masks", name="other")])
    assert tree(root) == before


def test_a_bad_clip_leaves_no_dataset_and_is_called_by_its_name(tmp_path, photos):
    clips = [write_video(tmp_path / "whole.avi"), write_video(tmp_path / "short.avi", frames=5)]
    sentence = r"motion 'glow': clip short.avi has 5 frames, needs at least 8; record a longer clip or lower"
    with pytest.raises(InputError, match=sentence):
        import_entries(at(tmp_path / "data"), [subject(photos), motion(*clips)])
    assert not (tmp_path / "data").exists()


def test_a_name_that_is_taken_is_refused(root, photos):
    before = tree(root)
    with pytest.raises(InputError, match=r"subject 'toy' is in .*catalog.yaml already; choose another name, or delete"):
        import_entries(at(root), [subject(photos)])
    (root / "subjects/left").mkdir()
    with pytest.raises(InputError, match=r"subjects/left exists, but catalog.yaml has no subject 'left'; move it away"):
        import_entries(at(root), [subject(photos, name="left")])
    assert tree(root) == before


@pytest.mark.parametrize("change", ["smaller", "worse", "brighter", "cropped"])
def test_a_photo_that_another_subject_has_in_other_bytes_is_refused(root, tmp_path, change):
    before = tree(root)
    photos = write_photos(tmp_path / "again", seed=50)
    picture = photo(1, (480, 480))
    changed = {
        "smaller": lambda: picture.resize((200, 200), Image.Resampling.LANCZOS),
        "worse": lambda: picture,
        "brighter": lambda: picture.point(lambda value: min(255, int(1.15 * value))),
        "cropped": lambda: picture.crop((3, 3, 477, 477)),
    }
    changed[change]().save(photos / "1.jpg", quality=30 if change == "worse" else 80)
    with pytest.raises(InputError) as error:
        import_entries(at(root), [subject(photos, name="copy")])
    assert "again/1.jpg" in str(error.value) and "'toy'" in str(error.value)
    assert tree(root) == before


def test_an_image_that_another_subject_has_is_refused(root, tmp_path):
    photos, before = write_photos(tmp_path / "again"), tree(root)
    with pytest.raises(
        InputError, match=r"image .*again/0.jpg is in subject 'toy' already, must be in one subject only"
    ):
        import_entries(at(root), [subject(photos, name="copy")])
    assert tree(root) == before
