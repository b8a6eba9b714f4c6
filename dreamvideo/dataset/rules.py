"""The rules of a dataset, in one place: the import, the catalog, the data gate and training hold files and fields to them."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from dreamvideo.errors import InputError
from dreamvideo.user_input import matching

# Fields
SubjectKind = Literal["pet", "object"]
PromptKind = Literal["subject_motion", "subject_context", "motion_context", "subject_motion_context"]
SUBJECT_KINDS = get_args(SubjectKind)
SUBJECT_FREE_KINDS = ("motion_context",)  # prompts that name another subject in place of *
MOTION_SLOT_KINDS = ("motion_context", "subject_motion_context")  # prompts that have {motion}
WORDS = r"^[a-z]+(?:[ -][a-z]+)*$"  # class words, and the words of motions
Name = Annotated[str, matching("[a-z0-9_]+", "lower-case letters, digits and _")]  # it names a folder, on every system
Words = Annotated[str, matching(WORDS, "lower-case words, such as dog or playing guitar")]
CAPTION = r"(?s)[^*]*[^*\s][^*]*"  # * is the sign of subjects, and a motion has none
Filled = Annotated[str, matching(r"(?s).*\S.*", "a text that is not empty")]
Caption = Annotated[str, matching(CAPTION, "a text without *, such as 'a person is playing guitar'")]
Digest = Annotated[str, matching("[0-9a-f]{64}", "64 hexadecimal digits, as sha256sum prints them")]

# Images and masks
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
LEAST_IMAGES = 3  # of a subject
LONGER_SIDE = 1024  # pixels, of an imported image; base models and metrics look at 256 to 512
MOST_PIXELS = 178_956_970  # of a picture: Pillow decodes no larger one
MASK_SHAPE_TOLERANCE = 0.02  # how much the sides' ratio of mask and image may differ, since both were rounded
LEAST_FOREGROUND, MOST_FOREGROUND = 0.005, 0.95  # shares of an image; a mask with less or more is of no use

# Clips
CLIP_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif", ".mpg", ".mpeg", ".wmv", ".flv")
# ffmpeg's names. Playlists are not among them: ffmpeg would open the files that they name.
CONTAINERS = "mov,matroska,avi,gif,mpeg,mpegts,asf,ogg,flv"
SHORTER_SIDE = 384  # pixels, of an imported clip; base models crop to a square, and see 256 or less of it
MOST_FRAMES = 1000  # an import and training hold a whole clip in memory
LOWEST_FPS = 0.01  # clips are written with fractions, of which the smallest are zero
MOST_SPEED_CHANGE = 0.1  # share by which training may play a clip faster or slower than it is
HIGHEST_FPS = 1000  # a container that does not know its rate states that of its clock, which is this or more


def window(num_frames: int, clip_fps: float, fps: float) -> list[int]:
    """Which frames of a clip, counted from the first of a window, show it at another rate.

    They are every n-th, if that plays the clip at most MOST_SPEED_CHANGE too fast or too slow. Otherwise they are the
    nearest in time.

    Args:
        num_frames: how many to take.
        clip_fps: frames per second of the clip.
        fps: at how many a second the window is played.
    """
    step: float = max(1, round(clip_fps / fps))
    if abs(step * fps / clip_fps - 1) > MOST_SPEED_CHANGE:
        step = max(1.0, clip_fps / fps)
    return [int(index * step + 0.5) for index in range(num_frames)]


def needed_frames(num_frames: int, clip_fps: float, fps: float) -> int:
    """How long a clip must be, in its own frames, to hold ``num_frames`` at ``fps``."""
    return window(num_frames, clip_fps, fps)[-1] + 1


def lowest_fps(fps: float) -> float:
    """Frames per second that a clip must have to be played at ``fps``: it cannot show frames that it does not have."""
    return fps / (1 + MOST_SPEED_CHANGE)


def timing_problem(clip: str, frames: int, clip_fps: float, num_frames: int, fps: float) -> str | None:
    """What is wrong with a clip's rate or length, as one sentence, or None.

    Args:
        clip: how to call it, such as "motion 'zigzag': clip 02.mp4".
        frames: how many it has.
        clip_fps: its frames per second.
        num_frames: how many training needs.
        fps: at how many a second.
    """
    if clip_fps < lowest_fps(fps):
        return (
            f"{clip} has {clip_fps:g} frames a second, needs at least {fps:g} to be played at its own speed; "
            "record it at a higher rate or lower data.fps"
        )
    needed = needed_frames(num_frames, clip_fps, fps)
    if frames >= needed:
        return None
    return f"{clip} has {frames} frames, needs at least {needed}; record a longer clip or lower data.num_frames"


def check_timing(motion: str, path: Path, frames: int, clip_fps: float, num_frames: int, fps: float) -> None:
    """Refuse a clip of a motion that is too slow or too short.

    Raises:
        InputError: it has a ``timing_problem``.
    """
    problem = timing_problem(f"motion {motion!r}: clip {path.name}", frames, clip_fps, num_frames, fps)
    if problem:
        raise InputError(problem)
