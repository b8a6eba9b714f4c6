"""The paper's dataset, from local copies of the public sets that it draws on."""

from pathlib import Path

from dreamvideo.dataset.importing.entries import NewEntry, NewMotion, NewSubject
from dreamvideo.dataset.importing.files import Original, find_clips, inside, listed
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file
from dreamvideo.yaml_files import read_yaml

PAPER_CATALOG = Path(__file__).with_name("paper_catalog.yaml")


def paper_entries(folders: dict[str, Path], masks: Path | None = None, catalog: Path = PAPER_CATALOG) -> list[NewEntry]:
    """The paper's subjects and motions, ready to be imported.

    Args:
        folders: the local copy of each source.
        masks: a folder with SUBJECT/IMAGE.png for every image of a subject; one that has none goes without.
        catalog: what to take from the sources, and under which names.

    Raises:
        InputError: files that are missing, all of them named; a subject's file that is not the published one; a subject
            with masks of some images, but not all; or no masks at all in their folder.
    """
    content = read_yaml(catalog, "correct it")
    for name, folder in folders.items():
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; name your copy of {content['sources'][name]['source']}")
    if masks and not masks.is_dir():
        raise InputError(f"{masks} is not a folder; name the one that holds SUBJECT/IMAGE.png for every image")
    subjects = {
        name: [_original(folders, fields["of"], f"{name}/{file}") for file in fields["files"]]
        for name, fields in content["subjects"].items()
    }
    motions = {
        name: [_original(folders, fields["of"], clip) for clip in fields["clips"]]
        for name, fields in content["motions"].items()
    }
    _refuse_missing([original for group in (*subjects.values(), *motions.values()) for original in group])
    masks_of = {name: _masks(masks, name, images) if masks else () for name, images in subjects.items()}
    if masks and not any(masks_of.values()):
        name, images = next(iter(subjects.items()))
        raise InputError(
            f"{masks} holds no masks of the subjects, such as {name}/{images[0].path.stem}.png; call them SUBJECT/IMAGE.png, "
            "as the images are called, or leave --masks out"
        )
    entries: list[NewEntry] = []
    for name, fields in content["subjects"].items():
        for original, digest in zip(subjects[name], fields["files"].values(), strict=True):
            _refuse_other(original, digest)
        chosen = {field: fields[field] for field in ("class_word", "kind")}
        entries.append(
            NewSubject(
                name=name,
                images=tuple(subjects[name]),
                masks=masks_of[name],
                **chosen,
                **content["sources"][fields["of"]],
            )
        )
    for name, fields in content["motions"].items():
        clips = tuple(map(_single_clip, motions[name]))
        chosen = {"captions": (fields["caption"],)} | {field: fields[field] for field in ("words", "kind")}
        entries.append(
            NewMotion(name=name, clips=clips, fps=fields.get("fps"), **chosen, **content["sources"][fields["of"]])
        )
    return entries


def _original(folders: dict[str, Path], source: str, name: str) -> Original:
    return Original(inside(folders[source], name), name)


def _masks(folder: Path, subject: str, images: list[Original]) -> tuple[Original, ...]:
    """The mask of each image, or nothing where the subject has none."""
    names = [f"{subject}/{image.path.stem}.png" for image in images]
    masks = [Original(inside(folder, name), name) for name in names]
    missing = [mask.path for mask in masks if not mask.path.is_file()]
    if len(missing) == len(masks):
        return ()
    if missing:
        raise InputError(
            f"subject {subject!r} has masks of {len(masks) - len(missing)} of its {len(masks)} images, but no "
            f"{listed(missing, len(missing))}; supply what is missing, or remove the others"
        )
    return tuple(masks)


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
