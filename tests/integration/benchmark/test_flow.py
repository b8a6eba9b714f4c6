"""The whole flow in miniature, with the real Prefect, MLflow, DVC and Great Expectations."""

import math
import re

import pandas
import pytest
from PIL import Image

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.dataset.clips import read_clip
from dreamvideo.errors import InputError, NotComparableError
from dreamvideo.files import sha256_file
from dreamvideo.params import load_params
from dreamvideo.yaml_files import read_yaml, to_yaml
from evaluation.metrics import metric_names
from flows.benchmark import run_benchmark
from flows.planning.estimate import estimate
from flows.planning.selection import Selection
from flows.reports.build import write_report
from flows.reports.compare import compare_runs
from flows.reports.publish import publish
from flows.tracking.provenance import data_hash
from flows.tracking.records import read_cells
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import open_store
from tests.integration.benchmark.conftest import runs_of
from tests.integration.conftest import MOTIONS, SUBJECTS
from tests.support.browser import needs_browser, opened, until


def test_every_combination_is_a_finished_run_with_its_video_and_scores(project, first):
    assert (first.finished, first.failed, first.reused) == (4, 0, 0)
    tracking, found = open_store(load_params().tracking), runs_of(Kind.CELL)
    assert {(run.data.params["subject"], run.data.params["motion"]) for run in found} == {
        (subject, motion) for subject in SUBJECTS for motion in MOTIONS
    }
    committed = read_yaml(project / "data.dvc", "")["outs"][0]["md5"]
    for run in found:
        assert run.data.tags["mlflow.parentRunId"] == first.run_id
        assert run.data.tags[Tag.DATA_HASH] == committed
        assert {"clip_t", "clip_i", "dino_i", "temporal_consistency", "subject_oracle"} <= run.data.metrics.keys()
        assert all(math.isfinite(value) for value in run.data.metrics.values())
        frames, fps = read_clip(tracking.artifacts.fetch(run.info.run_id))
        assert frames.shape == (8, 3, 64, 64) and fps == 8


def test_every_adapter_is_a_run_with_its_loss_curve_and_previews(first):
    tracking, found = open_store(load_params().tracking), runs_of(Kind.ADAPTER)
    assert sorted(run.data.tags[Tag.NAME] for run in found) == sorted(SUBJECTS + MOTIONS)
    for run in found:
        stage = "loss.identity_adapter" if run.data.tags[Tag.ROLE] == "identity" else "loss.motion_adapter"
        assert [point.step for point in tracking.client.get_metric_history(run.info.run_id, stage)] == [1, 2]
        names = {artifact.path for artifact in tracking.client.list_artifacts(run.info.run_id)}
        assert "adapter.safetensors" in names and any(name.startswith("preview.") for name in names)


def test_the_data_gate_leaves_json_and_data_docs(first):
    tracking, (gate,) = open_store(load_params().tracking), runs_of(Kind.GATE)
    assert tracking.artifacts.read_json(gate.info.run_id, "gate.json")["success"] is True
    assert "<html" in tracking.artifacts.download(gate.info.run_id, "gate.html").read_text()


def test_a_run_says_by_which_command_it_is_repeated(first):
    tags = open_store(load_params().tracking).get(first.run_id).data.tags
    assert tags[Tag.COMMAND] == "dreamvideo benchmark run --method dreamvideo --profile pocket"


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


def test_the_plan_says_what_is_cached_and_what_the_rest_costs(first):
    cached = estimate(load_params(), Selection())
    assert (cached.seconds, cached.bytes, cached.measured_here) == (0, 0, True)
    assert {one.what: (one.wanted, one.missing) for one in cached.work}["combinations"] == (4, 0)
    params = load_params()
    longer = params.model_copy(update={"sampling": params.sampling.model_copy(update={"steps": 3})})
    found = estimate(longer, Selection())
    counts = {one.what: (one.wanted, one.missing) for one in found.work}
    assert counts["identity adapters"] == (2, 0) and counts["combinations"] == (4, 4)
    tracking = open_store(params.tracking)
    videos = [tracking.artifacts.fetch(run.info.run_id).stat().st_size for run in runs_of(Kind.CELL)]
    assert found.bytes == pytest.approx(4 * sum(videos) / len(videos), abs=1e5)


def test_another_method_runs_through_the_same_door_and_is_held_against_the_first(first):
    ours = run_benchmark(load_params(), Selection())
    other = run_benchmark(load_params(method="uncustomized"), Selection())
    assert (other.finished, other.failed, other.reused) == (4, 0, 0)
    assert "uncustomized" in other.report.read_text() and "uncustomized" not in ours.report.read_text()
    table = compare_runs(load_params(), ours.run_id, other.run_id).set_index("metric")
    assert (table["cells"] == 4).all()
    tracking = open_store(load_params().tracking)
    one, two = ([tracking.get(row.run_id).data.metrics["clip_i"] for row in read_cells(tracking, run)]
                for run in (ours.run_id, other.run_id))  # fmt: skip
    assert table.loc["clip_i", "first"] == pytest.approx(sum(one) / 4)
    assert table.loc["clip_i", "difference"] == pytest.approx((sum(one) - sum(two)) / 4)
    assert table.loc["clip_i", "low"] <= table.loc["clip_i", "difference"] <= table.loc["clip_i", "high"]
    assert (compare_runs(load_params(), ours.run_id, ours.run_id)["difference"] == 0).all()


def test_results_are_published_whole_and_over_earlier_results_alone(first, tmp_path):
    ours = run_benchmark(load_params(), Selection())
    other = run_benchmark(load_params(method="uncustomized"), Selection())
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
    with pytest.raises(InputError, match="thesis"):
        publish(load_params(), ours.run_id, None, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "draft.md").read_text() == "years of work"


def test_benchmarks_that_share_no_combination_are_not_compared(first):
    elsewhere = run_benchmark(load_params(method="uncustomized"), Selection(seed=7))
    with pytest.raises(NotComparableError):
        compare_runs(load_params(), first.run_id, elsewhere.run_id)


def test_changed_data_is_not_called_by_the_committed_hash_and_redoes_its_row_only(project, first):
    committed = data_hash(load_catalog("data"))
    path = project / "data/subjects/dog/00.png"
    image = Image.open(path).convert("RGB")
    image.putpixel((0, 0), (1, 2, 3))
    image.save(path)
    with pytest.raises(InputError, match=r"subjects/dog/00\.png"):
        run_benchmark(load_params(), Selection())  # the catalog still has the old hash
    catalog = read_yaml(project / "data/catalog.yaml", "")
    catalog["subjects"]["dog"]["sha256"]["subjects/dog/00.png"] = sha256_file(path)
    (project / "data/catalog.yaml").write_text(to_yaml(catalog))
    assert data_hash(load_catalog("data")).startswith("uncommitted:") and not committed.startswith("uncommitted:")
    adapters = len(runs_of(Kind.ADAPTER))
    outcome = run_benchmark(load_params(), Selection())
    assert (outcome.finished, outcome.reused) == (4, 2)
    assert len(runs_of(Kind.ADAPTER)) == adapters + 1


def test_bad_data_stops_the_flow_before_any_training(project, first):
    adapters = len(runs_of(Kind.ADAPTER))
    catalog = read_yaml(project / "data/catalog.yaml", "")
    catalog["prompts"][0] = {"text": "a dog is jumping", "kind": "subject_motion"}
    (project / "data/catalog.yaml").write_text(to_yaml(catalog))
    (project / "data/motions/square/00.mp4").unlink()
    with pytest.raises(
        InputError, match=r"00\.mp4 does not exist.*\(and 1 more, all in gate\.html of MLflow run \w+\)"
    ) as error:
        run_benchmark(load_params(), Selection(seed=5))
    assert len(runs_of(Kind.ADAPTER)) == adapters
    tracking, gate = open_store(load_params().tracking), re.search(r"run (\w+)\)", str(error.value)).group(1)
    assert tracking.get(gate).info.status == "FAILED"
    result = tracking.artifacts.read_json(gate, "gate.json")
    assert not result["success"] and "placeholder" in result["problems"][1]
    assert "2 problems" in tracking.artifacts.download(gate, "gate.html").read_text()


def test_cells_json_names_every_run(first):
    rows = read_cells(open_store(load_params().tracking), first.run_id)
    assert len(rows) == 4 and all(row.run_id and not row.reused for row in rows)
