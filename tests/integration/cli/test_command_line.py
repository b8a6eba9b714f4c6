"""The command line as a new user meets it, mistakes included."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from dreamvideo.params import load_params
from dreamvideo.yaml_files import read_yaml, to_yaml
from flows import benchmark
from flows.tracking.schema import Kind
from flows.tracking.store import open_store
from tests.integration.conftest import PRINTED, REPOSITORY, dreamvideo, write_params


@pytest.fixture(scope="module")
def folder(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("cli")
    shutil.copytree(dataset, folder / "data")
    write_params(folder)
    return folder


def dreamvideo_anew(folder, *arguments):
    """Run a command in a process of its own."""
    command = [sys.executable, "-c", "from flows.cli.main import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | PRINTED)


def refused(folder, *arguments):
    """The sentence with which a command is refused."""
    done = dreamvideo(folder, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and "\n" not in done.stderr.strip()
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["customize", "subject", "dgo"], "unknown subject 'dgo'; did you mean 'dog'?"),
        (["customize", "motion", "sqare"], "unknown motion 'sqare'; did you mean 'square'?"),
        (["benchmark", "run", "--subjects", "dog,vna"], "unknown subject 'vna'; did you mean 'van'?"),
        (["benchmark", "plan", "--subjects", "9"], "--subjects is 9, but the catalog has 2; ask for 1 to 2"),
        (["benchmark", "plan", "--prompts", "99"], "--prompts is 99, but the catalog has 12 for combinations"),
        (["describe", "--profile", "pokcet"], "unknown profile 'pokcet'; did you mean 'pocket'?"),
        (
            ["generate", "--subject", "dog", "--motion", "square", "--prompt", "a dog", "--out", "x.mp4"],
            "prompt 'a dog' has no placeholder",
        ),
        (
            ["generate", "--subject", "dog", "--motion", "square", "--prompt", "a *", "--out", "x.avi"],
            "give a file name that ends in .mp4",
        ),
        (
            ["generate", "--subject", "dog", "--motion", "square", "--prompt", "a * is {motion}", "--out", "x.mp4"],
            "has a field that is not filled in",
        ),
        (
            ["generate", "--subject", "dog", "--motion", "square", "--prompt", "a *", "--out", "params.yaml/x.mp4"],
            "nothing can be written in",
        ),
        (["benchmark", "run", "--method", "dreamvideos"], "unknown method 'dreamvideos'; did you mean 'dreamvideo'?"),
        (
            ["benchmark", "run", "--subject", "3"],
            "--subject (Possible options: --subjects); see 'dreamvideo benchmark run --help'",
        ),
        (["benchmark", "run", "--seed", "-1"], "--seed"),
        (["generate", "--subject", "dog", "--motion", "square", "--prompt", "a *"], "Missing option '--out'; see"),
        (["benchmrak"], "No such command 'benchmrak'"),
        (["report", "build"], "run `dreamvideo benchmark run` first"),
        (["report", "compare", "abc", "def"], "no run 'abc' in"),
    ],
)
def test_a_bad_argument_gets_one_sentence_and_exit_code_2(folder, arguments, sentence):
    assert sentence in refused(folder, *arguments)


def test_a_params_key_that_does_not_exist(folder, tmp_path):
    shutil.copytree(folder / "data", tmp_path / "data")
    path = write_params(tmp_path)
    content = read_yaml(path, "")
    content["profiles"]["pocket"]["sampling"]["stepps"] = 3
    path.write_text(to_yaml(content))
    assert "unknown key 'sampling.stepps'; did you mean 'sampling.steps'?" in refused(tmp_path, "describe")


def test_data_that_was_never_pulled(tmp_path):
    write_params(tmp_path)
    assert "run `dreamvideo data pull`" in refused(tmp_path, "benchmark", "run")


def test_weights_that_were_never_pulled(folder, tmp_path):
    shutil.copytree(folder / "data", tmp_path / "data")
    write_params(tmp_path, base_model__weights="models/pocket/base")
    assert "run `dreamvideo data pull`" in refused(tmp_path, "benchmark", "plan")


def test_an_image_that_is_missing_stops_a_training_before_it_begins(folder, tmp_path):
    shutil.copytree(folder / "data", tmp_path / "data")
    write_params(tmp_path)
    (tmp_path / "data/subjects/van/01.png").unlink()
    sentence = refused(tmp_path, "customize", "subject", "dog")
    assert "subjects/van/01.png does not exist" in sentence and "dreamvideo data pull" in sentence


@pytest.mark.parametrize("file", ["base/unet.safetensors", "metrics/clip_metric.safetensors"])
def test_a_truncated_weight_file_stops_the_benchmark_before_training(folder, tmp_path, file):
    shutil.copytree(folder / "data", tmp_path / "data")
    shutil.copytree(REPOSITORY / "models/pocket", tmp_path, dirs_exist_ok=True)
    write_params(tmp_path, base_model__weights="base", evaluation__weights="metrics")
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[:1000])
    sentence = refused(tmp_path, "benchmark", "run", "--subjects", "1", "--motions", "1")
    assert f"{file}: not a whole safetensors file" in sentence and "dreamvideo data pull" in sentence
    assert not open_store(load_params(tmp_path / "params.yaml").tracking).runs(Kind.ADAPTER)


@pytest.mark.parametrize(("options", "code"), [([], 2), (["--debug"], 1)])
def test_a_process_of_its_own_ends_alike_and_debug_shows_the_traceback(folder, options, code):
    done = dreamvideo_anew(folder, "customize", "subject", "dgo", *options)
    assert "did you mean 'dog'?" in done.stderr
    assert done.returncode == code and ("Traceback" in done.stderr) == (code == 1)


@pytest.mark.parametrize("more", [None, ConnectionError("the embedded Prefect server has ended of it, too")])
def test_ctrl_c_stops_in_one_sentence_with_the_workers(folder, monkeypatch, more):
    worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))

    def interrupted(*_):
        worker.start()
        try:
            raise KeyboardInterrupt
        finally:
            if more:
                raise more

    monkeypatch.setattr(benchmark, "run_benchmark", interrupted)
    done = dreamvideo(folder, "benchmark", "run")
    assert done.returncode == 130 and "stopped" in done.stderr, done.stderr
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL


def test_generate_writes_a_video_and_names_the_words_it_does_not_know(folder):
    arguments = ["--subject", "dog", "--motion", "square", "--prompt", "a * jumping on the moon", "--out", "out/x.mp4"]
    done = dreamvideo(folder, "generate", *arguments)
    assert done.returncode == 0, done.stderr
    assert (folder / "out/x.mp4").stat().st_size > 500
    assert "'moon'" in done.stdout
    first = (folder / "out/x.mp4").read_bytes()
    assert dreamvideo_anew(folder, "generate", *arguments).returncode == 0
    assert (folder / "out/x.mp4").read_bytes() == first


def test_describe_prints_json_for_scripts(folder):
    content = json.loads(dreamvideo(folder, "describe", "--json").stdout)
    assert content["method"]["trainable_parameters"]["identity_adapter"] == 26080


def test_plan_says_what_is_cached_and_what_must_run(folder):
    printed = dreamvideo(folder, "benchmark", "plan").stdout
    assert "combinations: 4, of which" in printed and "expected time" in printed


def test_customize_benchmark_and_report_say_what_they_made(folder):
    trained = dreamvideo(folder, "customize", "subject", "dog")
    assert trained.returncode == 0 and "dog" in trained.stdout, trained.stderr
    done = dreamvideo(folder, "benchmark", "run", "--subjects", "dog", "--motions", "square")
    assert done.returncode == 0, done.stderr
    assert "1 combinations finished (0 of them reused), 0 failed" in done.stdout
    report = folder / done.stdout.split("report: ")[1].split()[0]
    built = dreamvideo(folder, "report", "build")
    assert built.returncode == 0 and f"report: {report.relative_to(folder)}" in built.stdout
    assert report.exists() and report.with_name("summary.csv").exists()
