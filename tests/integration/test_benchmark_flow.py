"""The whole flow in miniature, with the real Prefect, MLflow, DVC and Great Expectations."""

import math
import os
import re
import shutil
from pathlib import Path

import mlflow
import pandas
import pytest
import torch
import yaml
from dvc.repo import Repo
from PIL import Image

from dreamvideo.base_models.contract import VideoDiffusionModel
from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.dataset.clips import read_clip
from dreamvideo.errors import InputError
from dreamvideo.files import sha256_file
from dreamvideo.params import load_params
from evaluation.metrics import METRICS, Metric, metric_names
from flows import cells, customize
from flows.benchmark import run_benchmark
from flows.claims import ALIVE, WORKER
from flows.compare import compare_runs
from flows.forecast import forecast
from flows.missing import REUSED_FROM, VIDEO
from flows.provenance import data_hash
from flows.publish import publish
from flows.report import write_report
from flows.request import Request
from flows.tracking import KEY, KIND, REASON, SHA256, Damaged, Tracking
from tests.integration.browser import needs_browser, opened, until
from tests.integration.conftest import MOTIONS, SUBJECTS, git, write_params


@pytest.fixture(scope="module")
def project(tmp_path_factory, dataset, isolated_dvc):
    """A git and DVC repository with the dataset, in which the tests of this module run one after the other."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(dataset, folder / "data")
    write_params(folder)
    before = Path.cwd()
    os.chdir(folder)
    git(folder, "init", "-q")
    with Repo.init(".") as repo:
        repo.add("data")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "data")
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def first(project):
    return run_benchmark(load_params(), Request())


def runs_of(kind):
    return Tracking(load_params().tracking).runs(kind)


def test_every_combination_is_a_finished_run_with_its_video_and_scores(project, first):
    assert (first.finished, first.failed, first.reused) == (4, 0, 0)
    tracking, found = Tracking(load_params().tracking), runs_of("cell")
    assert {(run.data.params["subject"], run.data.params["motion"]) for run in found} == {
        (subject, motion) for subject in SUBJECTS for motion in MOTIONS
    }
    committed = yaml.safe_load((project / "data.dvc").read_text())["outs"][0]["md5"]
    for run in found:
        assert run.data.tags["mlflow.parentRunId"] == first.run_id
        assert run.data.tags["dreamvideo.data_hash"] == committed
        assert {"clip_t", "clip_i", "dino_i", "temporal_consistency", "subject_oracle"} <= run.data.metrics.keys()
        assert all(math.isfinite(value) for value in run.data.metrics.values())
        frames, fps = read_clip(tracking.fetch(run.info.run_id))
        assert frames.shape == (8, 3, 64, 64) and fps == 8


def test_every_adapter_is_a_run_with_its_loss_curve_and_previews(first):
    tracking, found = Tracking(load_params().tracking), runs_of("adapter")
    assert sorted(run.data.tags["dreamvideo.name"] for run in found) == sorted(SUBJECTS + MOTIONS)
    for run in found:
        stage = "loss.identity_adapter" if run.data.tags["dreamvideo.adapter"] == "identity" else "loss.motion_adapter"
        assert [point.step for point in tracking.client.get_metric_history(run.info.run_id, stage)] == [1, 2]
        names = {artifact.path for artifact in tracking.client.list_artifacts(run.info.run_id)}
        assert "adapter.safetensors" in names and any(name.startswith("preview.") for name in names)


def test_the_data_gate_leaves_json_and_data_docs(first):
    tracking, (gate,) = Tracking(load_params().tracking), runs_of("gate")
    assert tracking.read_json(gate.info.run_id, "gate.json")["success"] is True
    assert "<html" in tracking.download(gate.info.run_id, "gate.html").read_text()


def test_the_report_is_there_and_comes_out_the_same_from_mlflow_alone(first):
    before = first.report.read_bytes()
    assert all(name.encode() in before for name in SUBJECTS + MOTIONS)
    first.report.unlink()
    _, path = write_report(load_params(), first.run_id)
    assert path == first.report and path.read_bytes() == before


@needs_browser
def test_the_report_plays_what_was_generated(first, tmp_path):
    cells = len(SUBJECTS) * len(MOTIONS)
    with opened(first.report, tmp_path / "profile") as page:
        for index in range(cells):
            page.execute_script(f"document.getElementById('cell-{index}').scrollIntoView()")
            for kind in ("result", "clip"):
                video = f"document.querySelector('#cell-{index} video.{kind}')"
                assert until(
                    page, f"return {video}.readyState >= 2 && {video}.videoWidth > 0 && {video}.currentTime > 0"
                )
            assert until(page, f"return document.querySelector('#cell-{index} img').naturalWidth > 0")
        assert len(page.find_elements("css selector", "#map a")) == cells


def test_the_report_scores_metrics_alone_and_no_other_figures_of_a_run(first):
    assert pandas.read_csv(first.report.with_name("summary.csv"))["metric"].tolist() == metric_names()


def test_a_second_run_computes_nothing_and_ends_what_a_killed_one_left_under_way(first):
    tracking = Tracking(load_params().tracking)
    tags = {KIND: "benchmark", WORKER: "elsewhere/1/1.00", ALIVE: "0"}
    killed = tracking.client.create_run(tracking.experiment, tags=tags).info.run_id
    keys = sorted(run.data.tags[KEY] for run in runs_of("cell"))
    second = run_benchmark(load_params(), Request())
    assert (second.finished, second.reused) == (4, 4)
    listed = [run for run in runs_of("reused cell") if run.data.tags["mlflow.parentRunId"] == second.run_id]
    originals = {run.info.run_id: run.data for run in runs_of("cell")}
    assert len(listed) == 4
    for run in listed:
        original = originals[run.data.tags[REUSED_FROM]]
        assert run.data.metrics == original.metrics
        assert run.data.tags["dreamvideo.data_hash"] == original.tags["dreamvideo.data_hash"]
        assert mlflow.artifacts.download_artifacts(run.data.tags[VIDEO]).endswith("video.mp4")
    assert sorted(run.data.tags[KEY] for run in runs_of("cell")) == keys
    assert len(runs_of("adapter")) == 4
    assert tracking.get(killed).info.status == "KILLED"


def test_data_that_passed_is_examined_again_once_a_file_is_another(project, first):
    gates = len(runs_of("gate"))
    clip = project / "data/motions/square/00.mp4"
    whole = clip.read_bytes()
    clip.write_bytes(whole + b"0")
    with pytest.raises(InputError, match=r"00\.mp4 differs from its SHA-256"):
        run_benchmark(load_params(), Request())
    clip.write_bytes(whole)
    assert run_benchmark(load_params(), Request()).reused == 4
    assert len(runs_of("gate")) == gates


def test_the_same_cell_made_again_gives_the_same_video(first, monkeypatch):
    tracking, run = Tracking(load_params().tracking), runs_of("cell")[0]
    before = sha256_file(tracking.fetch(run.info.run_id))
    tracking.client.delete_run(run.info.run_id)
    assert run_benchmark(load_params(), Request(seed=0)).reused == 3
    again = next(other for other in runs_of("cell") if other.data.tags[KEY] == run.data.tags[KEY])
    assert sha256_file(tracking.fetch(again.info.run_id)) == before


def test_a_new_metric_scores_the_videos_that_are_there(first, monkeypatch):
    before = {run.data.params["subject"] + run.data.params["motion"]: run for run in runs_of("cell")}
    monkeypatch.setattr(cells, "sample_video", None)  # nothing may be generated
    brightness = Metric(lambda features: 0.25, "brightness", "Brightness", "a constant", "a test")
    monkeypatch.setitem(METRICS._entries, "brightness", brightness)
    outcome = run_benchmark(load_params(), Request())
    assert (outcome.finished, outcome.failed, outcome.reused) == (4, 0, 0)
    tracking = Tracking(load_params().tracking)
    again = [run for run in runs_of("cell") if "brightness" in run.data.metrics]
    assert len(again) == 4
    for run in again:
        old = before[run.data.params["subject"] + run.data.params["motion"]]
        assert sha256_file(tracking.fetch(run.info.run_id)) == sha256_file(tracking.fetch(old.info.run_id))
        assert run.data.metrics["clip_t"] == old.data.metrics["clip_t"]


def test_a_failed_cell_is_counted_and_shown_and_tried_again(first, monkeypatch):
    real = cells.sample_video

    def breaks_on_vans(bench, plan, *rest):
        if plan.subject == "van":
            raise RuntimeError("the sampler met a van")
        return real(bench, plan, *rest)

    monkeypatch.setattr(cells, "sample_video", breaks_on_vans)
    outcome = run_benchmark(load_params(), Request(seed=1))
    assert (outcome.finished, outcome.failed) == (2, 2)
    assert "the sampler met a van" in outcome.report.read_text()
    monkeypatch.undo()
    outcome = run_benchmark(load_params(), Request(seed=1))
    assert (outcome.finished, outcome.failed, outcome.reused) == (4, 0, 2)


def test_a_cell_that_does_not_fit_into_memory_fails_with_the_remedy_and_the_others_finish(first, monkeypatch):
    fits = {("dog", "square"): 0, ("dog", "wave_up"): 1}  # videos at once; the others fit as they come
    sample, predict, tried = cells.sample_video, VideoDiffusionModel.predict, []

    def sampled(bench, plan, *adapters):
        tried.append((plan.subject, plan.motion))
        return sample(bench, plan, *adapters)

    def predicted(base, noisy, *rest):
        if len(noisy) > fits.get(tried[-1], len(noisy)):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(base, noisy, *rest)

    monkeypatch.setattr(cells, "sample_video", sampled)
    monkeypatch.setattr(VideoDiffusionModel, "predict", predicted)
    outcome = run_benchmark(load_params(), Request(seed=2))
    assert (outcome.finished, outcome.failed) == (3, 1) and len(tried) == 4
    tracking = Tracking(load_params().tracking)
    (failed,) = [
        run
        for run in tracking.client.search_runs([tracking.experiment], "attributes.status = 'FAILED'")
        if (run.data.params.get("seed"), run.data.tags[KIND]) == ("2", "cell")
    ]
    reason = "generating dog x square does not fit into the GPU's memory; set compute.precision to bfloat16, lower"
    assert reason in failed.data.tags[REASON] and "CUDA" not in failed.data.tags[REASON]
    assert "generating dog x square does not fit into" in outcome.report.read_text()
    monkeypatch.undo()
    outcome = run_benchmark(load_params(), Request(seed=2))
    assert (outcome.finished, outcome.failed, outcome.reused) == (4, 0, 3)


def test_a_damaged_video_is_a_failed_cell_that_the_next_run_makes_again(first):
    found = runs_of("cell")
    damaged = found[0]
    path = Path("mlruns") / damaged.info.run_id / "artifacts/video.mp4"
    path.write_bytes(path.read_bytes()[:-8])
    request = Request(seed=int(damaged.data.params["seed"]))
    outcome = run_benchmark(load_params(), request)
    assert (outcome.finished, outcome.failed, outcome.reused) == (3, 1, 3)
    recorded = Tracking(load_params().tracking).get(outcome.run_id).data.metrics
    assert (recorded["cells"], recorded["cells.failed"]) == (4, 1)
    assert "its video is gone, or is not what was stored" in outcome.report.read_text()
    again = run_benchmark(load_params(), request)
    assert (again.finished, again.failed, again.reused) == (4, 0, 3)
    (remade,) = [run for run in runs_of("cell") if run.data.tags[KEY] == damaged.data.tags[KEY]]
    assert sha256_file(Tracking(load_params().tracking).fetch(remade.info.run_id)) == damaged.data.tags[SHA256]
    _, path = write_report(load_params(), outcome.run_id)
    assert "its video is gone, or is not what was stored" in path.read_text(), "an old report still says why"


def test_a_video_that_is_gone_is_made_again_but_not_one_that_the_store_withholds(first, monkeypatch):
    gone, withheld = runs_of("cell")[:2]
    (Path("mlruns") / gone.info.run_id / "artifacts/video.mp4").unlink()
    tracking = Tracking(load_params().tracking)
    with pytest.raises(Damaged, match=r"its artifact video\.mp4 is missing"):
        tracking.fetch(gone.info.run_id)
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", refuse)
    with pytest.raises(OSError, match="the store is away"):
        tracking.fetch(withheld.info.run_id)
    monkeypatch.undo()
    request = Request(seed=int(gone.data.params["seed"]))
    assert run_benchmark(load_params(), request).failed == 1
    assert run_benchmark(load_params(), request).failed == 0


def refuse(*_, **__):
    raise OSError("the store is away")


def test_the_plan_says_what_is_cached_and_what_the_rest_costs(first):
    cached = forecast(load_params(), Request())
    assert cached[-2:] == ["expected time: 0 seconds (measured here)", "expected storage: 0.0 MB"]
    assert any("combinations: 4, of which 4 cached and 0 to run" in line for line in cached)
    params = load_params()
    longer = params.model_copy(update={"sampling": params.sampling.model_copy(update={"steps": 3})})
    lines = forecast(longer, Request())
    assert any("identity adapters: 2, of which 2 cached" in line for line in lines)
    assert any("combinations: 4, of which 0 cached and 4 to run" in line for line in lines)
    tracking = Tracking(params.tracking)
    videos = [tracking.fetch(run.info.run_id).stat().st_size for run in runs_of("cell")]
    stored = float(lines[-1].removeprefix("expected storage: ").removesuffix(" MB"))
    assert stored == pytest.approx(4 * sum(videos) / len(videos) / 1e6, abs=0.1)


def test_another_method_runs_through_the_same_door_and_is_held_against_the_first(first):
    ours = run_benchmark(load_params(), Request())
    other = run_benchmark(load_params(method="uncustomized"), Request())
    assert (other.finished, other.failed, other.reused) == (4, 0, 0)
    assert "uncustomized" in other.report.read_text() and "uncustomized" not in ours.report.read_text()
    table = compare_runs(load_params(), ours.run_id, other.run_id).set_index("metric")
    assert (table["cells"] == 4).all()
    tracking = Tracking(load_params().tracking)
    one, two = ([tracking.get(row["run_id"]).data.metrics["clip_i"] for row in tracking.read_json(run, "cells.json")]
                    for run in (ours.run_id, other.run_id))  # fmt: skip
    assert table.loc["clip_i", "first"] == pytest.approx(sum(one) / 4)
    assert table.loc["clip_i", "difference"] == pytest.approx((sum(one) - sum(two)) / 4)
    assert table.loc["clip_i", "low"] <= table.loc["clip_i", "difference"] <= table.loc["clip_i", "high"]
    assert (compare_runs(load_params(), ours.run_id, ours.run_id)["difference"] == 0).all()


def test_results_are_published_whole_and_over_earlier_results_alone(first, tmp_path):
    ours = run_benchmark(load_params(), Request())
    other = run_benchmark(load_params(method="uncustomized"), Request())
    out = tmp_path / "results"
    for against in (other.run_id, None):
        publish(load_params(), ours.run_id, against, out)
        page = (out / "README.md").read_text()
        assert ("uncustomized" in page) == ((out / "comparison.csv").exists()) == (against is not None)
        linked = {name for name in re.findall(r"\]\(([^)]+)\)", page)}
        assert linked | {"summary.csv", "README.md"} == {path.name for path in out.iterdir()}
    assert len(list(out.glob("best-*.webp"))) == 2, "a subject and a motion at most once"
    table = pandas.read_csv(out / "cells.csv")
    assert set(zip(table["subject"], table["motion"], strict=True)) == {(s, m) for s in SUBJECTS for m in MOTIONS}
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "draft.md").write_text("years of work")
    with pytest.raises(InputError, match="holds something else"):
        publish(load_params(), ours.run_id, None, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "draft.md").read_text() == "years of work"


def test_benchmarks_that_share_no_combination_are_not_compared(first):
    elsewhere = run_benchmark(load_params(method="uncustomized"), Request(seed=7))
    with pytest.raises(InputError, match="share no finished combination"):
        compare_runs(load_params(), first.run_id, elsewhere.run_id)


def test_an_adapter_that_cannot_be_trained_fails_its_cells_only(first, monkeypatch):
    real = customize._train_identity

    def breaks_on_vans(bench, plan, folder):
        if plan.name == "van":
            raise FloatingPointError("the loss became nan [/at step 1]")
        return real(bench, plan, folder)

    monkeypatch.setattr(customize, "_train_identity", breaks_on_vans)
    params = load_params()
    options = params.methods["dreamvideo"]
    longer = options | {"textual_inversion": options["textual_inversion"] | {"steps": 3}}
    outcome = run_benchmark(params.model_copy(update={"methods": {"dreamvideo": longer}}), Request())
    assert (outcome.finished, outcome.failed) == (2, 2)
    assert "the adapter of subject van could not be trained" in outcome.report.read_text()


def test_changed_data_is_not_called_by_the_committed_hash_and_redoes_its_row_only(project, first):
    committed = data_hash(load_catalog("data"))
    path = project / "data/subjects/dog/00.png"
    image = Image.open(path).convert("RGB")
    image.putpixel((0, 0), (1, 2, 3))
    image.save(path)
    with pytest.raises(InputError, match=r"subjects/dog/00\.png"):
        run_benchmark(load_params(), Request())  # the catalog still has the old hash
    catalog = yaml.safe_load((project / "data/catalog.yaml").read_text())
    catalog["subjects"]["dog"]["sha256"]["subjects/dog/00.png"] = sha256_file(path)
    (project / "data/catalog.yaml").write_text(yaml.safe_dump(catalog))
    assert data_hash(load_catalog("data")).startswith("uncommitted:") and not committed.startswith("uncommitted:")
    adapters = len(runs_of("adapter"))
    outcome = run_benchmark(load_params(), Request())
    assert (outcome.finished, outcome.reused) == (4, 2)
    assert len(runs_of("adapter")) == adapters + 1


def test_bad_data_stops_the_flow_before_any_training(project, first):
    adapters = len(runs_of("adapter"))
    catalog = yaml.safe_load((project / "data/catalog.yaml").read_text())
    catalog["prompts"][0] = {"text": "a dog is jumping", "kind": "subject_motion"}
    (project / "data/catalog.yaml").write_text(yaml.safe_dump(catalog))
    (project / "data/motions/square/00.mp4").unlink()
    with pytest.raises(
        InputError, match=r"00\.mp4 does not exist.*\(and 1 more, all in gate\.html of MLflow run \w+\)"
    ) as error:
        run_benchmark(load_params(), Request(seed=5))
    assert len(runs_of("adapter")) == adapters
    tracking, gate = Tracking(load_params().tracking), re.search(r"run (\w+)\)", str(error.value)).group(1)
    assert tracking.get(gate).info.status == "FAILED"
    result = tracking.read_json(gate, "gate.json")
    assert not result["success"] and "placeholder" in result["problems"][1]
    assert "2 problems" in tracking.download(gate, "gate.html").read_text()


def test_a_tampered_adapter_is_refused(first):
    tracking = Tracking(load_params().tracking)
    run = runs_of("adapter")[0]
    path = Path("mlruns") / run.info.run_id / "artifacts" / "adapter.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="not what was stored"):
        tracking.fetch(run.info.run_id)


def test_cells_json_names_every_run(first):
    rows = Tracking(load_params().tracking).read_json(first.run_id, "cells.json")
    assert len(rows) == 4 and all(row["run_id"] and not row["reused"] for row in rows)
