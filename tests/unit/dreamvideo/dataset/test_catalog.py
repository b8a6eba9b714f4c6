import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dreamvideo.dataset.catalog import check_prompt, load_catalog, verify_files
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file

SUBJECT = "subjects/cat/00.png"
CLIP = "motions/zigzag/00.mp4"


@pytest.fixture
def entries(tmp_path):
    for relative in (SUBJECT, CLIP):
        (tmp_path / relative).parent.mkdir(parents=True)
        (tmp_path / relative).write_bytes(relative.encode())
    return {
        "subjects": {
            "cat": {
                "class_word": "cat",
                "kind": "pet",
                "images": [SUBJECT],
                "source": "a camera",
                "licence": "CC0-1.0",
                "sha256": {SUBJECT: sha256_file(tmp_path / SUBJECT)},
            }
        },
        "motions": {
            "zigzag": {
                "words": "moving to the right",
                "kind": "trajectory",
                "clips": [{"path": CLIP, "caption": "a dog is moving to the right"}],
                "source": "a camera",
                "licence": "CC0-1.0",
                "sha256": {CLIP: sha256_file(tmp_path / CLIP)},
                "truth": {"trajectory": [[0, 0]]},
            }
        },
        "prompts": [{"text": "a * is {motion}", "kind": "subject_motion"}],
    }


def load(root: Path, entries: object):
    (root / "catalog.yaml").write_text(yaml.safe_dump(entries))
    return load_catalog(root)


def test_reads_every_field(tmp_path, entries):
    catalog = load(tmp_path, entries)
    cat, zigzag = catalog.subject("cat"), catalog.motion("zigzag")
    assert cat.images == (tmp_path / SUBJECT,) and cat.masks == () and cat.truth is None
    assert zigzag.clips[0].path == tmp_path / CLIP and zigzag.truth == {"trajectory": [[0, 0]]}
    assert catalog.prompts[0].fill("jumping") == "a * is jumping"


def test_unknown_names_suggest_the_nearest(tmp_path, entries):
    catalog = load(tmp_path, entries)
    with pytest.raises(InputError, match="unknown subject 'cta'; did you mean 'cat'"):
        catalog.subject("cta")
    with pytest.raises(InputError, match="unknown motion 'zigzg'; did you mean 'zigzag'"):
        catalog.motion("zigzg")


def test_content_key_follows_content_and_not_names(tmp_path, entries):
    catalog = load(tmp_path, entries)
    renamed = copy.deepcopy(entries)
    renamed["subjects"]["tom"] = renamed["subjects"].pop("cat") | {"licence": "other", "kind": "object"}
    renamed["motions"]["zig"] = renamed["motions"].pop("zigzag")
    again = load(tmp_path, renamed)
    assert again.subject("tom").content_key == catalog.subject("cat").content_key
    assert again.motion("zig").content_key == catalog.motion("zigzag").content_key

    changed = copy.deepcopy(entries)
    changed["subjects"]["cat"]["class_word"] = "kitten"
    changed["motions"]["zigzag"]["clips"][0]["caption"] = "a cat is moving to the right"
    other = load(tmp_path, changed)
    assert other.subject("cat").content_key != catalog.subject("cat").content_key
    assert other.motion("zigzag").content_key != catalog.motion("zigzag").content_key

    changed = copy.deepcopy(entries)
    changed["subjects"]["cat"]["sha256"][SUBJECT] = "0" * 64
    assert load(tmp_path, changed).subject("cat").content_key != catalog.subject("cat").content_key


def change(*keys, to):
    def apply(entries):
        for key in keys[:-1]:
            entries = entries[key]
        if to is None:
            del entries[keys[-1]]
        else:
            entries[keys[-1]] = to

    return apply


BAD = {
    "missing field": (
        change("subjects", "cat", "licence", to=None),
        "subject 'cat': field licence is missing; add it",
    ),
    "unknown field": (
        change("subjects", "cat", "colour", to="red"),
        "subject 'cat': unknown field colour; remove it",
    ),
    "mistyped": (
        change("subjects", "cat", "class_word", to=3),
        "subject 'cat': field class_word is 3, must be text",
    ),
    "bad kind": (
        change("subjects", "cat", "kind", to="toy"),
        "field kind is 'toy', must be one of pet, object",
    ),
    "bad prompt kind": (
        change("prompts", 0, "kind", to="x"),
        "prompt 1: field kind is 'x', must be one of subject",
    ),
    "no list": (change("prompts", to={}), "catalog.yaml: field prompts is {}, must be a list"),
    "no mapping": (change("motions", "zigzag", to=[]), "motion 'zigzag' is [], must be a mapping of fields"),
    "missing caption": (
        change("motions", "zigzag", "clips", 0, "caption", to=None),
        "motion 'zigzag': clip 1: field caption is missing",
    ),
    "bad name": (change("subjects", "My Cat", to={}), "subject name 'My Cat' must be lower-case letters"),
    "absolute": (
        change("subjects", "cat", "images", to=["/etc/passwd"]),
        "'/etc/passwd', must be a path that stays",
    ),
    "upwards": (
        change("subjects", "cat", "images", to=["../x.png"]),
        "'../x.png', must be a path that stays inside",
    ),
    "link out": (
        change("subjects", "cat", "images", to=["out.png"]),
        "'out.png', must be a path that stays inside",
    ),
    "twice": (change("subjects", "cat", "images", to=[SUBJECT, SUBJECT]), "field images lists a file twice"),
    "masks": (
        change("subjects", "cat", "masks", to=["a.png", "b.png"]),
        "field masks has 2 files, needs 1, one an",
    ),
    "no path": (
        change("motions", "zigzag", "truth", to={"trajectory": [[0, "a"]]}),
        "field truth is {'trajectory': [[0, 'a']]}, must be a mapping whose trajectory is a list of pairs",
    ),
    "no trajectory": (change("motions", "zigzag", "truth", to={}), "field truth is {}, must be a mapping whose"),
    "no digest": (
        change("subjects", "cat", "sha256", to={}),
        f"field sha256 of {SUBJECT} is None, must be 64",
    ),
    "stray digest": (
        change("subjects", "cat", "sha256", "x.png", to="0" * 64),
        "field sha256 is 'x.png', must be about a listed file",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_entries_are_named(tmp_path, entries, case):
    (tmp_path / "out.png").symlink_to("/etc/hostname")
    apply, sentence = BAD[case]
    apply(entries)
    with pytest.raises(InputError) as error:
        load(tmp_path, entries)
    assert sentence in str(error.value)


def test_no_catalog(tmp_path):
    with pytest.raises(InputError, match=r"there is no dataset in .*; run `dreamvideo data pull`"):
        load_catalog(tmp_path)


@pytest.mark.parametrize("text", ["subjects: [", "subjects: {a: 1, a: 2}", "- \x00"])
def test_broken_yaml(tmp_path, text):
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(InputError, match=r"catalog.yaml is not valid YAML"):
        load_catalog(tmp_path)


@pytest.mark.parametrize(
    ("text", "what"),
    [("a dog", "has no placeholder"), ("a * and a *", "has 2 placeholders"), ("a dog*", "inside a word")],
)
def test_prompts_need_one_placeholder(text, what):
    with pytest.raises(InputError) as error:
        check_prompt(text)
    assert f"prompt {text!r} {'has its placeholder ' + what if what == 'inside a word' else what}" in str(error.value)
    assert str(error.value).endswith('write the subject as *, as in "a * jumping on the beach"')


@pytest.mark.parametrize("text", ["a * jumping", "*, jumping", "the *'s hat"])
def test_good_prompts(text):
    check_prompt(text)


def test_verify_files(tmp_path, entries):
    catalog = load(tmp_path, entries)
    verify_files(catalog)
    (tmp_path / CLIP).write_bytes(b"other")
    with pytest.raises(
        InputError, match=r"motion 'zigzag': file .* differs from its SHA-256; delete it and run `dreamvideo data pull`"
    ):
        verify_files(catalog)
    (tmp_path / SUBJECT).unlink()
    with pytest.raises(InputError, match=r"subject 'cat': file .* does not exist; run `dreamvideo data pull`"):
        verify_files(catalog)


def test_import_is_light():
    code = "import sys, dreamvideo.dataset.catalog; print({'torch', 'numpy', 'av', 'PIL', 'pandas'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
