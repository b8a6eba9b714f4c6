"""What a benchmark that runs again finds, makes again, and counts as failed."""

from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
import torch

from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.errors import ConflictError, DamagedError, InputError
from dreamvideo.files import sha256_file
from dreamvideo.params import ExecutionParams, load_params
from dreamvideo.roles import Role
from evaluation.metrics import METRICS, Metric, metric_revisions
from evaluation.suite import Suite
from flows.benchmark import run_benchmark
from flows.execution import adapters as customize
from flows.execution import cells
from flows.execution.resources import Resources, _resources_for
from flows.planning.selection import Selection
from flows.reports.build import write_report
from flows.reports.compare import benchmark_cells
from flows.tracking.records import read_cells
from flows.tracking.schema import Kind, Tag, revision_tags, scores_of
from flows.tracking.store import open_store
from tests.integration.benchmark.conftest import runs_of
from tests.integration.conftest import dreamvideo


@pytest.fixture
def brightness(monkeypatch):
    """One more metric, as a process that begins with it has it."""
    metric = Metric(lambda features: 0.25, "brightness", "Brightness", "a constant", "a test")
    monkeypatch.setitem(METRICS._entries, "brightness", metric)
    _resources_for.cache_clear()
    yield
    _resources_for.cache_clear()


def test_a_second_run_computes_nothing_and_ends_what_a_killed_one_left_under_way(first, monkeypatch):
    tracking = open_store(load_params().tracking)
    killed = [
        tracking.client.create_run(
            tracking.experiment, tags={Tag.KIND: kind, Tag.WORKER: "elsewhere/1/1.00", Tag.HEARTBEAT: "0"}
        )
        for kind in ("benchmark", "adapter", "cell", "reused cell", "gate", "composition")
    ]
    keys = sorted(run.data.tags[Tag.KEY] for run in runs_of(Kind.CELL))
    for model in ("base", "suite"):  # what is cached needs no model in memory
        monkeypatch.setattr(Resources, model, property(lambda _, model=model: pytest.fail(f"{model} was loaded")))
    second = run_benchmark(load_params(), Selection())
    assert (second.finished, second.reused) == (4, 4)
    listed = [run for run in runs_of(Kind.REUSED_CELL) if run.data.tags["mlflow.parentRunId"] == second.run_id]
    originals = {run.info.run_id: run.data for run in runs_of(Kind.CELL)}
    assert len(listed) == 4
    for run in listed:
        original = originals[run.data.tags[Tag.REUSED_FROM]]
        assert run.data.metrics == original.metrics
        assert run.data.tags[Tag.DATA_HASH] == original.tags[Tag.DATA_HASH]
        assert mlflow.artifacts.download_artifacts(run.data.tags[Tag.VIDEO]).endswith("video.mp4")
    assert sorted(run.data.tags[Tag.KEY] for run in runs_of(Kind.CELL)) == keys
    assert len(runs_of(Kind.ADAPTER)) == 4
    assert {tracking.get(run.info.run_id).info.status for run in killed} == {"KILLED"}


def test_cells_of_version_0_1_which_recorded_no_revisions_are_reused(first, monkeypatch):
    tracking = open_store(load_params().tracking)
    for run in runs_of(Kind.CELL):
        for tag in revision_tags(metric_revisions()):
            tracking.client.delete_tag(run.info.run_id, tag)
    monkeypatch.setattr(Suite, "score_video", lambda *_: pytest.fail("a video was scored again"))
    assert run_benchmark(load_params(), Selection()).reused == 4


def test_data_that_passed_is_examined_again_once_a_file_is_another(project, first):
    gates = len(runs_of(Kind.GATE))
    clip = project / "data/motions/square/00.mp4"
    whole = clip.read_bytes()
    clip.write_bytes(whole + b"0")
    with pytest.raises(InputError, match=r"00\.mp4"):
        run_benchmark(load_params(), Selection())
    clip.write_bytes(whole)
    assert run_benchmark(load_params(), Selection()).reused == 4
    assert len(runs_of(Kind.GATE)) == gates


def test_nothing_is_recorded_under_a_key_of_other_data(project, first):
    catalog, before = project / "data/catalog.yaml", len(runs_of(Kind.ADAPTER))
    narrow = {"dreamvideo": load_params().methods["dreamvideo"] | {"bottleneck": 0.125}}
    params = load_params().model_copy(update={"methods": narrow})
    resources = Resources(params)
    dog, van = resources.catalog.subject("dog"), resources.catalog.subject("van")
    planned = [resources.keys.adapter(dog), resources.keys.cell(dog, resources.catalog.motion("square"), "a *", 7)]
    whole = catalog.read_text()
    catalog.write_text(whole.replace("class_word: dog", "class_word: cat"))
    attempts = (
        lambda other: customize.train_adapter(other, planned[0]),
        lambda other: cells.run_cell(other, planned[1], {}, first.run_id),
    )
    for attempt in attempts:
        with pytest.raises(ConflictError):
            attempt(Resources(params))
    catalog.write_text(whole)
    image = van.images[0]
    pixels = image.read_bytes()
    image.write_bytes(pixels + b"0")
    with pytest.raises(InputError, match=image.name):
        customize.train_adapter(resources, resources.keys.adapter(van))
    image.write_bytes(pixels)
    assert len(runs_of(Kind.ADAPTER)) == before


def test_an_adapter_is_trained_by_as_many_threads_as_a_worker_has_whatever_trains_it(first, monkeypatch):
    seen, real = [], customize.train
    monkeypatch.setattr(customize, "train", lambda *given: seen.append(torch.get_num_threads()) or real(*given))
    params, before = load_params(), torch.get_num_threads()
    narrow = {"dreamvideo": params.methods["dreamvideo"] | {"bottleneck": 0.25}}
    spread = {"methods": narrow, "execution": ExecutionParams(runner="processes", workers=2)}
    torch.set_num_threads(2)
    try:
        customize.customize(params.model_copy(update=spread), Role.SUBJECT, "dog", lambda *_: None)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_the_same_cell_made_again_gives_the_same_video(first, monkeypatch):
    tracking, run = open_store(load_params().tracking), runs_of(Kind.CELL)[0]
    before = sha256_file(tracking.artifacts.fetch(run.info.run_id))
    tracking.client.delete_run(run.info.run_id)
    assert run_benchmark(load_params(), Selection(seed=0)).reused == 3
    again = next(other for other in runs_of(Kind.CELL) if other.data.tags[Tag.KEY] == run.data.tags[Tag.KEY])
    assert sha256_file(tracking.artifacts.fetch(again.info.run_id)) == before


def test_a_new_metric_scores_finished_cells_and_generates_or_copies_no_video(first, brightness, monkeypatch):
    tracking, before = open_store(load_params().tracking), {run.info.run_id: run for run in runs_of(Kind.CELL)}
    monkeypatch.setattr(cells, "sample_video", lambda *_: pytest.fail("a video was generated"))
    scored, real = [], Suite.score_video
    monkeypatch.setattr(Suite, "score_video", lambda *given: scored.append(given[-1]) or real(*given))
    outcome = run_benchmark(load_params(), Selection())
    assert (outcome.finished, outcome.failed, outcome.reused) == (4, 0, 4)
    assert scored == [["brightness"]] * 4, "no other metric was computed"
    assert {run.info.run_id for run in runs_of(Kind.CELL)} == before.keys()
    for record in read_cells(tracking, outcome.run_id):
        assert record.run_id in before and set(record.scores) == {"brightness"}
        added = tracking.get(record.scores["brightness"])
        assert scores_of(added.data.metrics) == {"brightness": 0.25}
        assert not tracking.client.list_artifacts(added.info.run_id)
        now = tracking.get(record.run_id).data
        assert (now.metrics, now.tags) == (before[record.run_id].data.metrics, before[record.run_id].data.tags)
    table = benchmark_cells(tracking, outcome.run_id)
    assert (table["brightness"] == 0.25).all() and table["clip_t"].notna().all()
    assert (
        "Brightness" in outcome.report.read_text()
        and "Brightness" not in write_report(load_params(), first.run_id)[1].read_text()
    )
    run_benchmark(load_params(), Selection())
    assert len(scored) == 4, "it is scored once"


def test_a_metric_of_another_revision_is_computed_again_and_no_other_is(first, brightness, monkeypatch):
    run_benchmark(load_params(), Selection())
    monkeypatch.setitem(METRICS._entries, "brightness", replace(METRICS["brightness"], score=lambda _: 0.5, revision=2))
    outcome, tracking = run_benchmark(load_params(), Selection()), open_store(load_params().tracking)
    assert (benchmark_cells(tracking, outcome.run_id)["brightness"] == 0.5).all()
    assert outcome.reused == 4 and len(runs_of(Kind.SCORES)) == 8, "the scores of the first revision stay"


def test_a_damaged_video_that_is_to_be_scored_again_is_generated_instead(first, request, monkeypatch):
    tracking, generated, real = open_store(load_params().tracking), [], cells.sample_video
    run_benchmark(load_params(), Selection(seed=4))
    damaged = next(run for run in runs_of(Kind.CELL) if run.data.params["seed"] == "4")
    path = Path("mlruns") / damaged.info.run_id / "artifacts/video.mp4"
    path.write_bytes(path.read_bytes()[:-8])
    monkeypatch.setattr(cells, "sample_video", lambda *given: generated.append(given[1]) or real(*given))
    request.getfixturevalue("brightness")
    outcome = run_benchmark(load_params(), Selection(seed=4))
    assert (outcome.finished, outcome.failed) == (4, 0)
    (remade,) = (tracking.find(Kind.CELL, plan.key) for plan in generated)
    assert sha256_file(tracking.artifacts.fetch(remade.info.run_id)) == damaged.data.tags[Tag.SHA256]
    assert tracking.get(damaged.info.run_id).info.status == "FAILED", "it is tried no more"


def test_a_failed_cell_is_counted_and_shown_and_tried_again(first, monkeypatch):
    real = cells.sample_video

    def breaks_on_vans(resources, plan, *rest):
        if plan.subject == "van":
            raise RuntimeError("the sampler met a van")
        return real(resources, plan, *rest)

    monkeypatch.setattr(cells, "sample_video", breaks_on_vans)
    outcome = run_benchmark(load_params(), Selection(seed=1))
    assert (outcome.finished, outcome.failed) == (2, 2)
    assert "the sampler met a van" in outcome.report.read_text()
    monkeypatch.undo()
    outcome = run_benchmark(load_params(), Selection(seed=1))
    assert (outcome.finished, outcome.failed, outcome.reused) == (4, 0, 2)


def test_a_cell_that_does_not_fit_into_memory_fails_with_the_remedy_and_the_others_finish(first, monkeypatch):
    fits = {("dog", "square"): 0, ("dog", "wave_up"): 1}  # videos at once; the others fit as they come
    sample, predict, tried = cells.sample_video, VideoDiffusionModel.predict, []

    def sampled(resources, plan, *adapters):
        tried.append((plan.subject, plan.motion))
        return sample(resources, plan, *adapters)

    def predicted(base, noisy, *rest):
        if len(noisy) > fits.get(tried[-1], len(noisy)):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(base, noisy, *rest)

    monkeypatch.setattr(cells, "sample_video", sampled)
    monkeypatch.setattr(VideoDiffusionModel, "predict", predicted)
    outcome = run_benchmark(load_params(), Selection(seed=2))
    assert (outcome.finished, outcome.failed) == (3, 1) and len(tried) == 4
    tracking = open_store(load_params().tracking)
    (failed,) = [
        run
        for run in tracking.client.search_runs([tracking.experiment], "attributes.status = 'FAILED'")
        if (run.data.params.get("seed"), run.data.tags[Tag.KIND]) == ("2", "cell")
    ]
    reason = "generating dog x square does not fit into the GPU's memory; set compute.precision to bfloat16, lower"
    assert reason in failed.data.tags[Tag.REASON] and "CUDA" not in failed.data.tags[Tag.REASON]
    assert "generating dog x square does not fit into" in outcome.report.read_text()
    monkeypatch.undo()
    outcome = run_benchmark(load_params(), Selection(seed=2))
    assert (outcome.finished, outcome.failed, outcome.reused) == (4, 0, 3)


def test_a_damaged_video_is_a_failed_cell_that_the_next_run_makes_again(first):
    found = runs_of(Kind.CELL)
    damaged = found[0]
    path = Path("mlruns") / damaged.info.run_id / "artifacts/video.mp4"
    path.write_bytes(path.read_bytes()[:-8])
    request = Selection(seed=int(damaged.data.params["seed"]))
    outcome = run_benchmark(load_params(), request)
    assert (outcome.finished, outcome.failed, outcome.reused) == (3, 1, 3)
    recorded = open_store(load_params().tracking).get(outcome.run_id).data.metrics
    assert (recorded["cells"], recorded["cells.failed"]) == (4, 1)
    assert "its video.mp4 is gone, or is not what was stored" in outcome.report.read_text()
    again = run_benchmark(load_params(), request)
    assert (again.finished, again.failed, again.reused) == (4, 0, 3)
    (remade,) = [run for run in runs_of(Kind.CELL) if run.data.tags[Tag.KEY] == damaged.data.tags[Tag.KEY]]
    assert (
        sha256_file(open_store(load_params().tracking).artifacts.fetch(remade.info.run_id))
        == damaged.data.tags[Tag.SHA256]
    )
    _, path = write_report(load_params(), outcome.run_id)
    assert "its video.mp4 is gone, or is not what was stored" in path.read_text(), "an old report still says why"


def test_a_video_that_is_gone_is_made_again_but_not_one_that_the_store_withholds(first, monkeypatch):
    gone, withheld = runs_of(Kind.CELL)[:2]
    (Path("mlruns") / gone.info.run_id / "artifacts/video.mp4").unlink()
    tracking = open_store(load_params().tracking)
    with pytest.raises(DamagedError, match=r"video\.mp4"):
        tracking.artifacts.fetch(gone.info.run_id)
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", refuse)
    with pytest.raises(OSError, match="the store is away"):
        tracking.artifacts.fetch(withheld.info.run_id)
    monkeypatch.undo()
    seed = "--seed", gone.data.params["seed"]
    done = dreamvideo(Path.cwd(), "benchmark", "run", *seed)
    assert done.returncode == 1 and ", 1 failed" in done.stdout
    done = dreamvideo(Path.cwd(), "benchmark", "run", *seed)
    assert done.returncode == 0 and ", 0 failed" in done.stdout


def refuse(*_, **__):
    raise OSError("the store is away")


def test_an_adapter_that_cannot_be_trained_fails_its_cells_only(first, monkeypatch):
    real = customize.train

    def breaks_on_vans(resources, plan):
        if plan.name == "van":
            raise FloatingPointError("the loss became nan [/at step 1]")
        return real(resources, plan)

    monkeypatch.setattr(customize, "train", breaks_on_vans)
    params = load_params()
    options = params.methods["dreamvideo"]
    longer = options | {"textual_inversion": options["textual_inversion"] | {"steps": 3}}
    outcome = run_benchmark(params.model_copy(update={"methods": {"dreamvideo": longer}}), Selection())
    assert (outcome.finished, outcome.failed) == (2, 2)
    assert "the adapter of subject van could not be trained" in outcome.report.read_text()


def test_a_damaged_adapter_fails_its_cells_and_the_next_run_trains_it_again(first):
    tracking, resources = open_store(load_params().tracking), Resources(load_params())
    damaged = tracking.find(Kind.ADAPTER, resources.keys.adapter(resources.catalog.subject("dog")).key)
    path = Path("mlruns") / damaged.info.run_id / "artifacts/adapter.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DamagedError):
        tracking.artifacts.fetch(damaged.info.run_id)
    _resources_for.cache_clear()  # as another process would begin
    outcome = run_benchmark(load_params(), Selection(seed=3))
    assert (outcome.finished, outcome.failed) == (2, 2)
    assert "its adapter.safetensors is gone, or is not what was stored" in outcome.report.read_text()
    outcome = run_benchmark(load_params(), Selection(seed=3))
    assert (outcome.finished, outcome.failed, outcome.reused) == (4, 0, 2)
    again = tracking.find(Kind.ADAPTER, damaged.data.tags[Tag.KEY])
    assert again.info.run_id != damaged.info.run_id and again.data.tags[Tag.SHA256] == damaged.data.tags[Tag.SHA256]
