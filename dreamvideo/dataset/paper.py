"""The paper's dataset, from local copies of the public sets that it draws on."""

from pathlib import Path

from dreamvideo.dataset.import_entries import NewEntry, NewMotion, NewSubject
from dreamvideo.dataset.import_files import Original, find_clips, inside, listed
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file
from dreamvideo.yaml_files import read_yaml

PAPER_CATALOG = Path(__file__).with_name("paper_catalog.yaml")


def paper_entries(folders: dict[str, Path], catalog: Path = PAPER_CATALOG) -> list[NewEntry]:
    """The paper's subjects and motions, ready to be imported.

    Args:
        folders: the local copy of each source.
        catalog: what to take from them, and under which names.

    Raises:
        InputError: files that are missing, all of them named; or a subject's file that is not the published one.
    """
    content = read_yaml(catalog, "correct it")
    for name, folder in folders.items():
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; name your copy of {content['sources'][name]['source']}")
    subjects = {
        name: [_original(folders, fields["of"], f"{name}/{file}") for file in fields["files"]]
        for name, fields in content["subjects"].items()
    }
    motions = {
        name: [_original(folders, fields["of"], clip) for clip in fields["clips"]]
        for name, fields in content["motions"].items()
    }
    _refuse_missing([original for group in (*subjects.values(), *motions.values()) for original in group])
    entries: list[NewEntry] = []
    for name, fields in content["subjects"].items():
        for original, digest in zip(subjects[name], fields["files"].values(), strict=True):
            _refuse_other(original, digest)
        chosen = {field: fields[field] for field in ("class_word", "kind")}
        entries.append(
            NewSubject(name, images=tuple(subjects[name]), masks=(), **chosen, **content["sources"][fields["of"]])
        )
    for name, fields in content["motions"].items():
        clips = tuple(map(_single_clip, motions[name]))
        chosen = {"captions": (fields["caption"],)} | {field: fields[field] for field in ("words", "kind")}
        entries.append(
            NewMotion(name, clips=clips, fps=fields.get("fps"), **chosen, **content["sources"][fields["of"]])
        )
    return entries


def _original(folders: dict[str, Path], source: str, name: str) -> Original:
    return Original(inside(folders[source], name), name)


def _refuse_missing(originals: list[Original]) -> None:
    missing = [original.path for original in originals if not original.path.exists()]
    if missing:
        count = "1 file is" if len(missing) == 1 else f"{len(missing)} files are"
        raise InputError(
            f"{count} missing, of {len(originals)}: {listed(missing, len(missing))}; download them, or correct the folders"
        )


def _refuse_other(original: Original, digest: str) -> None:
    found = sha256_file(original.path)
    if found != digest:
        raise InputError(
            f"{original.path} has the SHA-256 {found}, the published file has {digest}; download it again, "
            "or import your own with `dreamvideo data import subject`"
        )


def _single_clip(original: Original) -> Original:
    """The one clip that a file or folder holds."""
    found = find_clips(original.path).files
    if len(found) != 1:
        raise InputError(f"folder {original.path} holds {len(found)} clips, needs one; move the others away")
    return original if found[0] == original.path else Original(found[0], f"{original.name}/{found[0].name}")
