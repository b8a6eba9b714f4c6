"""Promotion: a challenger becomes the champion only if no metric is worse by more than its margin over the cells of both."""

from dreamvideo.errors import InputError, NotComparableError
from dreamvideo.params import Params
from flows.registry.comparison import Comparison, compare_versions, policy_of
from flows.registry.history import AUTOMATIC, PROMOTION, ROLLBACK, decide, decisions, settle, undone_by_rollback
from flows.registry.models import CHALLENGER, CHAMPION, aliases, champion, version
from flows.tracking.records import Proposal, keep_proposals
from flows.tracking.schema import Count, metric_over_cells
from flows.tracking.store import Tracking, open_store


def promote(params: Params, name: str, number: int | None = None) -> Comparison | None:
    """Make a version the champion if the comparison with the champion allows it.

    Args:
        params: of the profile.
        name: of the registered model.
        number: of the version; None takes the challenger.

    Returns:
        The comparison, which says whether it was promoted; None where there was no champion to compare with.

    Raises:
        InputError: no such model or version, nothing to promote, or no cells in common.
    """
    policy_of(params)
    tracking = open_store(params.tracking)
    settle(tracking, name)
    seated = aliases(tracking, name)
    if number is None and CHALLENGER not in seated:
        raise InputError(
            f"{name} has no challenger; a benchmark with other settings or data makes one, and --version takes an older one"
        )
    wanted = version(tracking, name, number or seated[CHALLENGER])
    if CHAMPION not in seated:
        decide(tracking, name, PROMOTION, None, int(wanted.version), {"reason": "there was no champion"})
        return None
    if seated[CHAMPION] == int(wanted.version):
        raise InputError(f"{name}: version {wanted.version} is the champion already")
    comparison = compare_versions(tracking, params, name, wanted, champion(tracking, name))
    if comparison.passes:
        _move(tracking, comparison, PROMOTION)
    return comparison


def rollback(params: Params, name: str) -> tuple[int, int]:
    """Undo the last promotion that still stands; returns the champion that was and the one that is.

    Raises:
        InputError: there is nothing to undo, the champion was moved by other means, or the older version is gone.
    """
    tracking = open_store(params.tracking)
    settle(tracking, name)
    holder = int(champion(tracking, name).version)
    older = undone_by_rollback(decisions(tracking, name), name, holder)
    version(tracking, name, older)
    decide(tracking, name, ROLLBACK, holder, older, {"reason": f"the promotion of version {holder} was undone"})
    return holder, older


def propose(params: Params, tracking: Tracking, names: list[str], run_id: str) -> list[Proposal]:
    """Compare each challenger with its champion, keep the result with a benchmark, and promote if the policy says so.

    Args:
        params: of the profile.
        tracking: of the benchmark.
        names: of registered models.
        run_id: of the benchmark.

    Returns:
        One proposal for each model that has a challenger.
    """
    proposals = []
    for name in names:
        seated = aliases(tracking, name)
        if not {CHAMPION, CHALLENGER} <= seated.keys():
            continue
        about = {"model": name, "champion": seated[CHAMPION], "challenger": seated[CHALLENGER]}
        try:
            wanted = version(tracking, name, seated[CHALLENGER])
            comparison = compare_versions(tracking, params, name, wanted, champion(tracking, name))
        except NotComparableError as error:
            proposals.append(Proposal(**about, passes=False, promoted=False, reason=str(error)))
            continue
        promoted = comparison.passes and params.promotion is not None and params.promotion.automatic
        if promoted:
            _move(tracking, comparison, AUTOMATIC)
        found = {"passes": comparison.passes, "promoted": promoted, "reason": comparison.reason}
        proposals.append(Proposal(**about, **found, comparison=comparison.as_json()))
    if proposals:
        keep_proposals(tracking, run_id, proposals)
    return proposals


def _move(tracking: Tracking, comparison: Comparison, action: str) -> None:
    metrics: dict[str, float] = {Count.CELLS: float(len(comparison.pairs))}
    for one in comparison.metrics:
        metrics[metric_over_cells(one.metric, "gain")] = one.gain
        metrics[metric_over_cells(one.metric, "bound")] = one.bound
    decide(
        tracking, comparison.model, action, comparison.champion, comparison.challenger, comparison.as_json(), metrics
    )
