"""The names under which this project stores things in MLflow. Each name on disk stands here and nowhere else.

- A run has a kind and a key. Runs are found by both: :func:`by_key`.
- The metrics of a cell are its scores, each under the name of its metric, and its figures (``Figure``).
- The metrics of a benchmark are figures of metrics over its cells (:func:`metric_over_cells`) and counts (``Count``).
- The params of a run are the options of its work; nested options have dotted names: :func:`flatten`.
"""

from collections.abc import Mapping
from enum import StrEnum

from dreamvideo.roles import Role


class Kind(StrEnum):
    """What a run records."""

    BENCHMARK = "benchmark"
    ADAPTER = "adapter"
    CELL = "cell"
    SCORES = "scores"  # that a finished cell lacked
    REUSED_CELL = "reused cell"
    GATE = "gate"
    COMPOSITION = "composition"
    PROMOTION = "promotion"
    PRETRAINING = "pretraining"


# The runs that a benchmark starts, itself included.
BENCHMARK_KINDS = (
    Kind.BENCHMARK, Kind.ADAPTER, Kind.CELL, Kind.SCORES, Kind.REUSED_CELL, Kind.GATE, Kind.COMPOSITION,
)  # fmt: skip


class Tag(StrEnum):
    """The tags of runs, registered models and their versions."""

    # Every run
    KIND = "dreamvideo.kind"
    KEY = "dreamvideo.key"
    PROFILE = "dreamvideo.profile"
    DATA_HASH = "dreamvideo.data_hash"
    GIT_COMMIT = "mlflow.source.git.commit"
    REASON = "dreamvideo.reason"  # why it did not finish
    ARTIFACT = "dreamvideo.artifact"  # name of the artifact that makes the run reusable
    SHA256 = "dreamvideo.sha256"  # of that artifact
    # The lease of a run
    WORKER = "dreamvideo.worker"
    HEARTBEAT = "dreamvideo.alive"  # seconds since 1970
    LEASE = "dreamvideo.claim"
    # A benchmark
    METHOD = "dreamvideo.method"
    GATE_RUN = "dreamvideo.gate_run"
    COMMAND = "dreamvideo.command"
    # An adapter
    ROLE = "dreamvideo.adapter"
    NAME = "dreamvideo.name"
    # A cell: the keys of everything that decides its video, and of everything that decides its scores
    GENERATION_KEY = "dreamvideo.generation_key"
    SUBJECT_KEY = "dreamvideo.subject_key"
    MOTION_KEY = "dreamvideo.motion_key"
    COMPOSITION_KEY = "dreamvideo.composition"
    SCORING_KEY = "dreamvideo.scoring"
    # The scores that a finished cell lacked
    CELL_RUN = "dreamvideo.cell_run"  # id of the run of that cell, which keeps the video
    # A reused cell: the run that made it, and where its video is
    REUSED_FROM = "dreamvideo.reused_from"
    VIDEO = "dreamvideo.video"
    # A stage of pretraining
    FILES = "dreamvideo.files"
    # A promotion
    MODEL = "dreamvideo.model"
    ACTION = "dreamvideo.action"
    FROM_VERSION = "dreamvideo.from"
    TO_VERSION = "dreamvideo.to"
    ORDINAL = "dreamvideo.ordinal"
    MOVE = "dreamvideo.move"
    # A registered model and its versions
    BORN = "dreamvideo.born"
    LICENCE = "dreamvideo.licence"
    NON_COMMERCIAL = "dreamvideo.non_commercial"
    BASE_MODEL = "dreamvideo.base_model"
    SCORED_CELLS = "dreamvideo.scored_cells"
    SCORED_BY = "dreamvideo.scored_by"


class Figure(StrEnum):
    """The metrics of an adapter's or a cell's run that are no scores."""

    BYTES = "artifact.bytes"  # size of the artifact that makes the run reusable
    SECONDS_GENERATING = "seconds.generate"
    SECONDS_SCORING = "seconds.score"


class Count(StrEnum):
    """The metrics of a benchmark's or a promotion's run that count cells."""

    CELLS = "cells"
    FAILED = "cells.failed"
    REUSED = "cells.reused"


class Param(StrEnum):
    """The params of an adapter's or a cell's run that other code reads."""

    METHOD = "method"
    BASE_MODEL = "base_model"
    PARAMETERS = "parameters"  # how many were trained
    VIDEO_OF = "video_of"  # id of the run whose video was copied


class Artifact(StrEnum):
    """The files that runs keep."""

    ADAPTER = "adapter.safetensors"
    VIDEO = "video.mp4"
    CELLS = "cells.json"
    PARAMS = "params.yaml"
    FACTS = "facts.json"
    PROPOSAL = "promotion.json"
    EVIDENCE = "evidence.json"
    GATE_RESULT = "gate.json"
    GATE_PAGE = "gate.html"


# The tag of a cell that holds the key of its adapter.
ROLE_KEY = {Role.SUBJECT: Tag.SUBJECT_KEY, Role.MOTION: Tag.MOTION_KEY}
_REVISION, _SCORE, _MACHINE = "dreamvideo.metric.", "dreamvideo.score.", "dreamvideo.machine."
# The metrics that every cell was scored with before runs recorded the revisions of their metrics.
FIRST_METRICS = (
    "clip_t", "clip_i", "dino_i", "temporal_consistency", "subject_oracle", "trajectory_oracle", "motion_magnitude",
)  # fmt: skip


def by_key(kind: Kind, key: str) -> dict[str, str]:
    """The tag that finds the runs of a key at once, even among many runs.

    MLflow's database indexes tags by name and not by value. Its pages do not list tags with this prefix.
    """
    return {f"mlflow.dreamvideo.{key}": str(kind)}


def tagged(tags: Mapping[str, str]) -> str:
    """MLflow's filter for runs that have some tags."""
    return " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())


def hash_tag(artifact: str) -> str:
    """The tag that keeps the hash of a further artifact."""
    return f"{Tag.SHA256}.{artifact}"


def score_tag(metric: str) -> str:
    """The tag of a registered version that keeps its mean score."""
    return f"{_SCORE}{metric}"


def machine_tags(machine: Mapping[str, str]) -> dict[str, str]:
    """The tags that describe the machine of a run."""
    return {f"{_MACHINE}{what}": value for what, value in machine.items()}


def revision_tags(revisions: Mapping[str, int]) -> dict[str, str]:
    """The tags that record with which revision of each metric a run was scored."""
    return {f"{_REVISION}{metric}": str(revision) for metric, revision in revisions.items()}


def revisions_of(tags: Mapping[str, str]) -> dict[str, int]:
    """The metrics that a run was scored with, and the revision of each. NaN scores count, though MLflow keeps none."""
    found = {name.removeprefix(_REVISION): int(value) for name, value in tags.items() if name.startswith(_REVISION)}
    return found or dict.fromkeys(FIRST_METRICS, 1)


def scores_of(metrics: Mapping[str, float]) -> dict[str, float]:
    """The scores among the metrics of a cell's run."""
    figures = set(Figure)
    return {name: value for name, value in metrics.items() if name not in figures}


def adapter_param(role: Role) -> str:
    """The param of a cell that holds the id of its adapter's run."""
    return f"{role.noun}_adapter"


def metric_over_cells(metric: str, figure: str) -> str:
    """The name of a figure of a metric over many cells: mean, low and high of a benchmark, gain and bound of a promotion."""
    return f"{metric}.{figure}"


def loss_curve(stage: str) -> str:
    """The metric that holds the loss of a stage of training, step by step."""
    return f"loss.{stage}"


def flatten(values: Mapping, prefix: str = "") -> dict[str, object]:
    """Nested options as MLflow keeps them: with dotted names."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
