"""What is expected of each table of a dataset, and the sentence for what breaks it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from great_expectations import expectations as gxe

from dreamvideo.dataset.catalog import Catalog
from dreamvideo.dataset.prompts import check_prompt
from dreamvideo.dataset.rules import (
    CAPTION,
    LEAST_FOREGROUND,
    LEAST_IMAGES,
    MOST_FOREGROUND,
    WORDS,
    lowest_fps,
    timing_problem,
)
from dreamvideo.dataset.validation import probing
from dreamvideo.dataset.validation.probing import Row
from dreamvideo.errors import InputError


@dataclass(frozen=True)
class Requirements:
    """What a run asks of its dataset; a count that is None is not checked."""

    subjects: int | None
    motions: int | None
    num_frames: int
    fps: float
    image_size: int  # the least width and height, in pixels
    min_images: int = LEAST_IMAGES


@dataclass(frozen=True)
class Check:
    """An expectation, and the sentence for a row that breaks it (for the whole table: without a row)."""

    expectation: gxe.Expectation
    problem: Callable[[SimpleNamespace], str]


def assets(catalog: Catalog, need: Requirements) -> Iterable[tuple[str, list[Row], list[Check]]]:
    """Each table of the dataset: its name, its rows, and what is expected of them."""
    subjects, motions = catalog.subjects.values(), catalog.motions.values()
    side, root = need.image_size, catalog.root
    yield "subjects", [probing.plain(subject) | {"images": len(subject.images)} for subject in subjects], [
        _count("subjects", need.subjects),
        _words("class_word", "subject"),
        Check(
            gxe.ExpectColumnValuesToBeBetween(column="images", min_value=need.min_images),
            lambda r: f"subject {r.name!r} has {r.images} images, needs at least {need.min_images}; add some",
        ),
        _licence("subject"),
    ]  # fmt: skip
    yield "motions", [probing.plain(motion) | {"clips": len(motion.clips)} for motion in motions], [
        _count("motions", need.motions),
        _words("words", "motion"),
        Check(
            gxe.ExpectColumnValuesToBeBetween(column="clips", min_value=1),
            lambda r: f"motion {r.name!r} has no clips, needs at least 1; add a clip",
        ),
        _licence("motion"),
    ]  # fmt: skip
    yield "images", probing.image_rows(subjects, root), [*_whole("image", side), *_image_checks()]
    pairs = [(subject, *pair) for subject in subjects for pair in zip(subject.masks, subject.images, strict=False)]
    yield "masks", [probing.mask_row(*pair, root) for pair in pairs], [*_whole("mask", 1), *_mask_checks()]
    clips = [
        probing.clip_row(motion, clip, root, need.num_frames, need.fps) for motion in motions for clip in motion.clips
    ]
    yield "clips", clips, [*_whole("clip", side), *_clip_checks(need)]
    yield "prompts", [probing.prompt_row(prompt) for prompt in catalog.prompts], _prompt_checks()


def _count(kind: str, wanted: int | None) -> Check:
    """How many subjects or motions there must be; any number will do if none is required."""
    return Check(
        gxe.ExpectTableRowCountToBeBetween(min_value=wanted or 0, max_value=wanted),
        lambda table: (
            f"the catalog has {table.count} {kind}, needs {wanted}; set data.{kind} in params.yaml to {table.count}, or "
            "run `dreamvideo data pull` for the published dataset"
        ),
    )


def _words(field: str, kind: str) -> Check:
    return Check(
        gxe.ExpectColumnValuesToMatchRegex(column=field, regex=WORDS),
        lambda r: f"{kind} {r.name!r}: field {field} is {getattr(r, field)!r}, must be lower-case words; correct it",
    )


def _licence(kind: str) -> Check:
    return Check(
        gxe.ExpectColumnValuesToMatchRegex(column="licence", regex=r"\S"),
        lambda r: f"{kind} {r.name!r}: field licence is empty, must name a licence; add it to the catalog",
    )


def _whole(kind: str, side: int) -> list[Check]:
    """What every file must be: readable, the file that the catalog means, and large enough."""
    return [
        Check(gxe.ExpectColumnValuesToBeInSet(column="readable", value_set=[True]), lambda r: r.reason),
        Check(
            gxe.ExpectColumnPairValuesToBeEqual(
                column_A="sha256", column_B="catalog_sha256", ignore_row_if="either_value_is_missing"
            ),
            lambda r: (
                f"{kind} {r.file} differs from its SHA-256 in the catalog; delete it and run `dreamvideo data pull`"
            ),
        ),
        Check(
            gxe.ExpectColumnValuesToBeBetween(column="side", min_value=side),
            lambda r: f"{kind} {r.file} is {r.width}x{r.height}, needs at least {side} a side; supply a larger one",
        ),
    ]


def _image_checks() -> list[Check]:
    return [
        Check(
            gxe.ExpectColumnValuesToBeInSet(column="mode", value_set=["RGB"]),
            lambda r: f"image {r.file} has mode {r.mode}, must be RGB; convert it to RGB",
        ),
        Check(
            gxe.ExpectColumnValuesToBeUnique(column="sha256"),
            lambda r: f"image {r.file} occurs more than once, must be in one subject only; remove the other copies",
        ),
        Check(
            gxe.ExpectColumnValuesToBeInSet(column="lookalike", value_set=[""]),
            lambda r: f"image {r.file} shows the same photo as {r.lookalike} of another subject; remove one of them",
        ),
    ]


def _mask_checks() -> list[Check]:
    return [
        Check(
            gxe.ExpectColumnPairValuesToBeEqual(
                column_A="size", column_B="image_size", ignore_row_if="either_value_is_missing"
            ),
            lambda r: f"mask {r.file} is {r.size}, its image is {r.image_size}; export the mask at the image's size",
        ),
        Check(
            gxe.ExpectColumnValuesToBeInSet(column="mode", value_set=["L", "1"]),
            lambda r: f"mask {r.file} has mode {r.mode}, must be L or 1; convert it to greyscale",
        ),
        Check(
            gxe.ExpectColumnValuesToBeInSet(column="greys", value_set=[0]),
            lambda r: f"mask {r.file} has {r.greys} pixels other than 0 and 255, must have none; threshold it",
        ),
        Check(
            gxe.ExpectColumnValuesToBeBetween(
                column="foreground",
                min_value=LEAST_FOREGROUND,
                max_value=MOST_FOREGROUND,
                strict_min=True,
                strict_max=True,
            ),
            lambda r: (
                f"mask {r.file} covers {r.foreground:.1%} of its image, "
                f"must be over {LEAST_FOREGROUND:.1%} and under {MOST_FOREGROUND:.0%}; draw it again"
            ),
        ),
    ]


def _clip_checks(need: Requirements) -> list[Check]:
    def timing(r: SimpleNamespace) -> str:
        clip = f"motion {r.owner!r}: clip {Path(r.file).name}"
        return timing_problem(clip, r.frames, r.fps, need.num_frames, need.fps) or ""

    return [
        Check(gxe.ExpectColumnValuesToBeBetween(column="fps", min_value=lowest_fps(need.fps)), timing),
        Check(
            gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A="frames", column_B="needed", or_equal=True, ignore_row_if="either_value_is_missing"
            ),
            timing,
        ),
        Check(
            gxe.ExpectColumnValuesToMatchRegex(column="caption", regex=f"^{CAPTION}$"),
            lambda r: (
                f"clip {r.file} has the caption {r.caption!r}, must be a text without *; "
                "write what is seen in the clip, such as 'a person is playing guitar'"
            ),
        ),
        Check(
            gxe.ExpectColumnValuesToBeUnique(column="sha256"),
            lambda r: f"clip {r.file} occurs more than once, must be in one motion only; remove the other copies",
        ),
    ]


def _prompt_problem(r: SimpleNamespace) -> str:
    if not r.wanted_placeholders:
        return f"prompt {r.text!r} has a placeholder, must have none as {r.kind}; write a class word instead"
    try:
        check_prompt(r.text)
    except InputError as error:
        return str(error)
    raise AssertionError("the expectation and check_prompt disagree")


def _prompt_checks() -> list[Check]:
    return [
        Check(
            gxe.ExpectColumnPairValuesToBeEqual(column_A="placeholders", column_B="wanted_placeholders"),
            _prompt_problem,
        ),
        Check(
            gxe.ExpectColumnPairValuesToBeEqual(column_A="slots", column_B="wanted_slots"),
            lambda r: (
                f"prompt {r.text!r} has {{motion}} {r.slots} times, needs it {r.wanted_slots} times "
                f"as {r.kind}; correct the prompt or its kind"
            ),
        ),
        Check(
            gxe.ExpectColumnValuesToBeUnique(column="text"),
            lambda r: f"prompt {r.text!r} occurs more than once, must be unique; remove the other copies",
        ),
    ]
