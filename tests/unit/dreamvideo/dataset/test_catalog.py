import copy
import subprocess
import sys
from pathlib import Path

import pytest

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.dataset.checksums import verify_files
from dreamvideo.dataset.prompts import check_prompt
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file
from dreamvideo.yaml_files import to_yaml

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
    (root / "catalog.yaml").write_text(to_yaml(entries))
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


BAD = {  # what to change, the key that is named, and a word of the reason
    "missing field": (change("subjects", "cat", "licence", to=None), "subjects.cat.licence", "missing"),
    "unknown field": (change("subjects", "cat", "colour", to="red"), "subjects.cat.colour", "unknown"),
    "unknown field of a clip": (
        change("motions", "zigzag", "clips", 0, "captoin", to=""),
        "clips #1.captoin",
        "caption",
    ),
    "named twice": (change("subjects", "cat", "name", to="tom"), "subjects", "name"),
    "unknown section": (change("subject", to={}), "subject", "did you mean 'subjects'"),
    "mistyped": (change("subjects", "cat", "class_word", to=3), "subjects.cat.class_word is 3", "string"),
    "bad kind": (change("subjects", "cat", "kind", to="toy"), "subjects.cat.kind is 'toy'", "'pet' or 'object'"),
    "bad prompt kind": (change("prompts", 0, "kind", to="x"), "prompts #1.kind is 'x'", "subject_context"),
    "no list": (change("prompts", to={}), "prompts is {}", "tuple"),
    "no mapping": (change("motions", "zigzag", to=[]), "motions.zigzag is []", "dict"),
    "no content": (lambda entries: entries.clear(), "subjects", "missing"),
    "missing caption": (
        change("motions", "zigzag", "clips", 0, "caption", to=None),
        "motions.zigzag.clips #1.caption",
        "missing",
    ),
    "bad name": (change("subjects", "My Cat", to={}), "'My Cat'", "lower-case letters"),
    "absolute": (change("subjects", "cat", "images", to=["/etc/passwd"]), "subjects.cat.images #1", "inside"),
    "upwards": (change("subjects", "cat", "images", to=["../x.png"]), "subjects.cat.images #1", "inside"),
    "link out": (change("subjects", "cat", "images", to=["out.png"]), "subjects.cat.images #1", "inside"),
    "no path at all": (change("motions", "zigzag", "clips", 0, "path", to=3), "clips #1.path is 3", "path"),
    "twice": (change("subjects", "cat", "images", to=[SUBJECT, SUBJECT]), "subjects.cat.images", "once"),
    "masks": (change("subjects", "cat", "masks", to=["a.png", "b.png"]), "subjects.cat.masks", "one an image"),
    "no numbers": (
        change("motions", "zigzag", "truth", to={"trajectory": [[0, "1"]]}),
        "motions.zigzag.truth",
        "pairs of numbers",
    ),
    "no trajectory": (change("motions", "zigzag", "truth", to={}), "motions.zigzag.truth", "pairs of numbers"),
    "no digest": (change("subjects", "cat", "sha256", to={}), "subjects.cat.sha256", f"`sha256sum {SUBJECT}`"),
    "bad digest": (change("subjects", "cat", "sha256", SUBJECT, to="x"), f"sha256.{SUBJECT} is 'x'", "64"),
    "stray digest": (change("subjects", "cat", "sha256", "x.png", to="0" * 64), "subjects.cat.sha256", "x.png is none"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_entries_are_named(tmp_path, entries, case):
    (tmp_path / "out.png").symlink_to("/etc/hostname")
    apply, key, reason = BAD[case]
    apply(entries)
    with pytest.raises(InputError) as error:
        load(tmp_path, entries)
    assert key in str(error.value) and reason in str(error.value) and "\n" not in str(error.value)


def test_no_catalog(tmp_path):
    with pytest.raises(InputError, match=r"there is no dataset in .*; run `dreamvideo data pull`"):
        load_catalog(tmp_path)


@pytest.mark.parametrize(
    "text", ["subjects: [", "subjects: {a: 1, a: 2}", "- \x00", "a: !!python/name:os.system", "[" * 100000]
)
def test_broken_yaml(tmp_path, text):
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        load_catalog(tmp_path)
    assert "catalog.yaml" in str(error.value) and "\n" not in str(error.value)


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
