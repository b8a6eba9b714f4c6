"""A project in miniature: two subjects and two motions, the shipped weights, two steps of everything."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from dreamvideo.yaml_files import read_yaml, to_yaml
from flows.cli.main import main
from tests.conftest import empty_store

REPOSITORY = Path(__file__).resolve().parents[2]
SUBJECTS, MOTIONS = ["dog", "van"], ["square", "wave_up"]
PRINTED = {"COLUMNS": "200", "NO_COLOR": "1"}
PATIENCE = 240  # seconds; other work may share the cores


@pytest.fixture(scope="session", autouse=True)
def every_test_has_a_server(prefect_server):
    """Flows need one."""


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """The dataset of the miniature, of the shipped files: rendering them takes seconds."""
    shipped, root = REPOSITORY / "data", tmp_path_factory.mktemp("dataset") / "data"
    content = read_yaml(shipped / "catalog.yaml", "")
    for kind, names in {"subjects": SUBJECTS, "motions": MOTIONS}.items():
        content[kind] = {name: content[kind][name] for name in names}
        for name in names:
            shutil.copytree(shipped / kind / name, root / kind / name)
    (root / "catalog.yaml").write_text(to_yaml(content))
    return root


def write_params(folder: Path, **changes: object) -> Path:
    """The shipped params.yaml at two steps a stage, and an empty store; ``changes`` are dotted keys with ``__`` for the dots."""
    content = read_yaml(REPOSITORY / "params.yaml", "")
    profile = content["profiles"]["pocket"]
    profile["data"] |= {"subjects": len(SUBJECTS), "motions": len(MOTIONS)}
    profile["base_model"]["weights"] = str(REPOSITORY / "models/pocket/base")
    profile["evaluation"] |= {"weights": str(REPOSITORY / "models/pocket/metrics"), "bootstrap_resamples": 100}
    profile["sampling"]["steps"] = 2
    profile["execution"] = {"runner": "local"}  # so that a test can replace what tasks call
    # Absolute, since MLflow keeps one store a URI for the whole process, whatever the working directory is by then.
    profile["tracking"] |= {"uri": f"sqlite:///{folder}/mlflow.db", "artifacts": str(folder / "mlruns")}
    if not (folder / "mlflow.db").exists():
        shutil.copyfile(empty_store(), folder / "mlflow.db")
    for stage in ("textual_inversion", "identity_adapter", "motion_adapter"):
        profile["methods"]["dreamvideo"][stage]["steps"] = 2
    for name, value in changes.items():
        *sections, last = name.split("__")
        section = profile
        for part in sections:
            section = section[part]
        section[last] = value
    path = folder / "params.yaml"
    path.write_text(to_yaml(content))
    return path


@pytest.fixture(scope="session")
def isolated_dvc(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dvc")
    os.environ |= {"DVC_SITE_CACHE_DIR": str(folder / "site"), "DVC_GLOBAL_CONFIG_DIR": str(folder / "global")}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def dreamvideo(folder, *arguments):
    """Run a command in this process, since importing everything anew takes seconds."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["dreamvideo", *arguments])
        for name, value in PRINTED.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(arguments, ended.value.code, out.getvalue(), err.getvalue())


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def postgresql():
    """A PostgreSQL server of its own; yields a URL with an awkward password."""
    if not (shutil.which("postgres") and shutil.which("initdb")):
        pytest.skip("no PostgreSQL here: postgres and initdb are not on the PATH")
    # It refuses to run as root.
    user = {"user": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    if user and "postgres" not in {one.pw_name for one in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it")
    folder, port = Path(tempfile.mkdtemp(prefix="postgresql-")), free_port()
    (folder / "password").write_text("a%b/c")
    if user:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    setup = ["initdb", "-D", "cluster", "-U", "dreamvideo", "-A", "scram-sha-256", "-E", "UTF8", "--pwfile", "password"]
    subprocess.run([*setup, "--no-sync"], cwd=folder, check=True, capture_output=True, **user)
    options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(["postgres", "-D", "cluster", *options], cwd=folder, stdout=log, stderr=log, **user)
    try:
        wait_for(lambda: b"ready to accept connections" in (folder / "log").read_bytes())
        yield f"postgresql://dreamvideo:a%25b%2Fc@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # does not wait for clients
        server.wait(PATIENCE)
        shutil.rmtree(folder)
