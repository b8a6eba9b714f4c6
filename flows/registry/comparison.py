"""Compare two versions of a model by the scores of cells that differ only in the version."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd
from mlflow.entities.model_registry import ModelVersion

from dreamvideo.errors import InputError, NotComparableError
from dreamvideo.params import Params, PromotionParams
from dreamvideo.roles import Role
from evaluation.metrics import METRICS, metric_revisions
from evaluation.non_inferiority import MetricComparison, check_margins, non_inferiority
from evaluation.statistics import CELL
from flows.registry.models import role_of
from flows.tracking.schema import Tag
from flows.tracking.scores import FinishedCell, finished_cells
from flows.tracking.store import Tracking

# The tag in which a cell names the version that it used; None stands for the composition.
_USED: dict[Role | None, Tag] = {
    Role.SUBJECT: Tag.SUBJECT_KEY,
    Role.MOTION: Tag.MOTION_KEY,
    None: Tag.COMPOSITION_KEY,
}


@dataclass(frozen=True)
class Comparison:
    """A challenger and the champion, compared by every metric of the policy."""

    model: str
    champion: int
    challenger: int
    confidence: float
    metrics: tuple[MetricComparison, ...]
    pairs: tuple[tuple[str, str], ...]  # run ids of the challenger's cell and of the champion's

    @property
    def passes(self) -> bool:
        """Whether no metric of the policy is worse by more than its margin."""
        return all(metric.passes for metric in self.metrics)

    @property
    def reason(self) -> str:
        """Why it does not pass."""
        return ", ".join(f"{METRICS[one.metric].label}: {one.reason}" for one in self.metrics if not one.passes)

    def as_json(self) -> dict:
        """All of it as JSON values; NaN becomes null."""
        content = asdict(self)
        for one in content["metrics"]:
            one |= {name: None for name, value in one.items() if isinstance(value, float) and math.isnan(value)}
        return content | {"comparisons": content.pop("metrics"), "passes": self.passes}


def policy_of(params: Params) -> PromotionParams:
    """The profile's policy of promotion.

    Raises:
        InputError: it has none, or a margin names a metric that cannot be worse.
    """
    if params.promotion is None:
        raise InputError(
            f"params.yaml: profiles.{params.profile} has no promotion, so it keeps no registry; add the section, as "
            "docs/registry.md shows it"
        )
    check_margins(params.promotion.margins, "promotion.margins.")
    return params.promotion


def compare_versions(
    tracking: Tracking, params: Params, name: str, challenger: ModelVersion, holder: ModelVersion
) -> Comparison:
    """Compare a version with the champion over the cells of both.

    Args:
        tracking: where the cells are.
        params: of the profile, with the policy.
        name: of the registered model.
        challenger: the version that would be champion.
        holder: the version that is champion now.

    Raises:
        NotComparableError: no two of their cells differ in this version alone.
    """
    policy = policy_of(params)
    paired = _paired(*(_cells(tracking, one, list(policy.margins)) for one in (challenger, holder)))
    if paired.empty:
        raise NotComparableError(
            f"{name}: versions {challenger.version} and {holder.version} share no combination of subject, motion, prompt "
            "and seed that was finished, scored alike and made with the same in all but this version; run one benchmark "
            "with the settings of each that differ in nothing else, or where that cannot be (another base model, method "
            "or images) delete the alias champion in MLflow and promote again"
        )
    first, second = (
        paired[[*CELL, *(f"{metric}.{side}" for metric in policy.margins)]].rename(
            columns=lambda column, side=side: column.removesuffix(f".{side}")
        )
        for side in ("challenger", "champion")
    )
    found = non_inferiority(first, second, policy.margins, policy.confidence, params.evaluation.bootstrap_resamples)
    return Comparison(
        model=name,
        champion=int(holder.version),
        challenger=int(challenger.version),
        confidence=policy.confidence,
        metrics=tuple(found),
        pairs=tuple(zip(paired["run_id.challenger"], paired["run_id.champion"], strict=True)),
    )


def _cells(tracking: Tracking, version: ModelVersion, metrics: list[str]) -> pd.DataFrame:
    """The finished cells that used a version, newest first."""
    used = _USED[role_of(version.name)]
    cells = finished_cells(tracking, {used: version.tags[Tag.KEY]})
    others = sorted(set(_USED.values()) - {used})
    return pd.DataFrame(
        [_row(cell, others, metrics) for cell in cells], columns=[*CELL, Tag.SCORING_KEY, "others", "run_id", *metrics]
    )


def _row(cell: FinishedCell, others: Sequence[str], metrics: list[str]) -> dict:
    """A cell with its scores by the present revisions of the metrics; a score of another revision does not compare."""
    tags, revisions = cell.run.data.tags, metric_revisions()
    sources, scores = cell.sources(revisions), cell.scores(cell.added(revisions))
    return {
        **{column: cell.run.data.params[column] for column in CELL},
        Tag.SCORING_KEY: tags[Tag.SCORING_KEY],
        "others": tuple(tags[name] for name in others),
        "run_id": cell.run_id,
        **{name: scores.get(name) if name in sources else None for name in metrics},
    }


def _paired(challenger: pd.DataFrame, champion: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell of both that was scored alike, with the same other adapter and the same settings.

    If those differ, a gain may come from them, and not from the version.
    """
    both = challenger.merge(champion, on=[*CELL, Tag.SCORING_KEY, "others"], suffixes=(".challenger", ".champion"))
    return both.drop_duplicates(CELL)  # the newest comes first
