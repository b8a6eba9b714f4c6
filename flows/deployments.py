"""What a Prefect server can start: one thin flow for each deployment of prefect.yaml.

A worker runs them in the repository's folder, so that a profile, the data and the weights are found as the command line
finds them. Small values go in; MLflow run ids and paths come out.
"""

from prefect import State, flow
from prefect.states import Completed

from dreamvideo.params import load_params
from dreamvideo.roles import Role


@flow(name="train-subject")
def train_subject(name: str, method: str | None = None, profile: str | None = None) -> str:
    """Train the adapter of one subject, if it has none; returns the id of its MLflow run.

    Args:
        name: of the subject in the catalog.
        method: one of the profile's methods; the profile names its default.
        profile: section of params.yaml; the file names the default.
    """
    return _train(Role.SUBJECT, name, method, profile)


@flow(name="train-motion")
def train_motion(name: str, method: str | None = None, profile: str | None = None) -> str:
    """Train the adapter of one motion, if it has none; returns the id of its MLflow run.

    Args:
        name: of the motion in the catalog.
        method: one of the profile's methods; the profile names its default.
        profile: section of params.yaml; the file names the default.
    """
    return _train(Role.MOTION, name, method, profile)


@flow(name="benchmark")
def benchmark(
    subjects: str | None = None,
    motions: str | None = None,
    prompts: int | None = None,
    seed: int | None = None,
    method: str | None = None,
    profile: str | None = None,
) -> State:
    """Run the benchmark; its closing message names the MLflow run and the challengers that may be promoted.

    Args:
        subjects: how many ("3") or which ("dog,van"); all if empty.
        motions: how many ("4") or which ("wave_up,square"); all if empty.
        prompts: per combination.
        seed: another seed gives other videos from the same adapters.
        method: one of the profile's methods; the profile names its default.
        profile: section of params.yaml; the file names the default.

    Raises:
        RuntimeError: some combinations failed, so that Prefect shows and tells it; the next run tries them again.
    """
    params = load_params(profile=profile, method=method)
    from flows.benchmark import run_benchmark
    from flows.planning.selection import Selection
    from flows.reports.regression import regression
    from flows.servers.alerts import tell_regression

    outcome = run_benchmark(params, Selection(subjects, motions, prompts, seed))
    if fell := regression(params, outcome.run_id):
        tell_regression(outcome.run_id, str(fell))
    if outcome.failed:
        raise RuntimeError(
            f"{outcome.failed} of {outcome.failed + outcome.finished} combinations failed; MLflow run {outcome.run_id}"
        )
    closing = f"{outcome.finished} combinations, {outcome.reused} of them there already; MLflow run {outcome.run_id}"
    passing = [f"{one.model} version {one.challenger}" for one in outcome.proposals if one.passes]
    if passing:
        closing += f"; challengers that pass: {', '.join(passing)}"
    return Completed(message=closing)


@flow(name="report")
def report(run_id: str | None = None, profile: str | None = None) -> str:
    """Build the report of a benchmark again from what MLflow keeps; returns where the file is.

    Args:
        run_id: MLflow run of a benchmark; the newest if empty.
        profile: section of params.yaml; the file names the default.
    """
    params = load_params(profile=profile)
    from flows.reports.benchmark_run import latest_benchmark
    from flows.reports.build import write_report
    from flows.tracking.store import open_store

    _, path = write_report(params, run_id or latest_benchmark(open_store(params.tracking)))
    return str(path)


@flow(name="promote")
def promote(name: str, version: int | None = None, profile: str | None = None) -> State:
    """Make the challenger of a registered model its champion, if the comparison with the champion allows it.

    Args:
        name: of the registered model, as in "identity.pocket.dog".
        version: which one; the challenger if empty.
        profile: section of params.yaml; the file names the default.

    Raises:
        RuntimeError: a metric of the policy is worse by more than its margin.
    """
    params = load_params(profile=profile)
    from flows.registry.promotion import promote as run

    comparison = run(params, name, version)
    if comparison and not comparison.passes:
        raise RuntimeError(f"{name}: version {comparison.challenger} is not promoted: {comparison.reason}")
    return Completed(message=f"{name}: promoted{f' version {comparison.challenger}' if comparison else ''}")


def _train(role: Role, name: str, method: str | None, profile: str | None) -> str:
    params = load_params(profile=profile, method=method)
    from flows.execution.adapters import customize
    from flows.registry.versions import register_adapter

    run_id, _ = customize(params, role, name, register_adapter)
    return run_id
