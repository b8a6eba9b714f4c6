"""The container files agree with the schema of compose files, with the commands that there are, and with the pins."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from compose_spec import PyCompose
from ruamel.yaml import YAML

from dreamvideo.yaml_files import to_yaml
from flows.cli import data as cli_data  # noqa: F401 (they add their commands)
from flows.cli import server as cli_server  # noqa: F401 (they add their commands)
from flows.cli.main import app
from flows.servers.services import PREFIX, ServerSettings

REPOSITORY = Path(__file__).resolve().parents[4]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
COMPOSE = (REPOSITORY / "compose.yaml").read_text()
EXAMPLE = dict(
    line.split("=", 1) for line in (REPOSITORY / ".env.example").read_text().splitlines() if re.match(r"\w+=", line)
)
PINS = dict(
    line.split("==")
    for line in (REPOSITORY / "constraints.txt").read_text().splitlines()
    if re.match(r"[\w.-]+==", line)
)
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def interpolated(**values):
    """The compose file as it is with these variables set."""

    def value(found):
        name, kind, rest = found.groups()
        if values.get(name):
            return values[name]
        assert kind == "-", f"{name} has to be set"
        return rest

    content = YAML(typ="safe", pure=True).load(VARIABLE.sub(value, COMPOSE))
    return {name: section for name, section in content.items() if not name.startswith("x-")}


SECRETS = {"POSTGRES_PASSWORD": "one", "OBJECTS_ACCESS_KEY": "two", "OBJECTS_SECRET_KEY": "three"}


@pytest.fixture
def services():
    return interpolated(**SECRETS)["services"]


def instruction(name):
    """The words of an instruction of the Dockerfile, its continued lines joined."""
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith(f"{name} ")]


def dreamvideo_commands():
    """Every ``dreamvideo`` command of the two files, as words."""
    compose = interpolated(**SECRETS)["services"]
    found = [service["command"] for service in compose.values() if service.get("command", [""])[0] == "dreamvideo"]
    script = YAML(typ="safe", pure=True).load(instruction("CMD")[0])
    assert script[:2] == ["sh", "-c"]
    found += [shlex.split(part.removeprefix("exec ")) for part in script[2].split(" && ")]
    return found


def test_the_compose_file_fits_its_schema():
    content = interpolated(**SECRETS)
    assert set(PyCompose.from_yaml(to_yaml(content)).service_names()) == set(content["services"])
    content["services"]["worker"]["depends"] = ["mlflow"]
    with pytest.raises(ValueError, match="depends"):
        PyCompose.from_yaml(to_yaml(content))


@pytest.mark.parametrize(
    ("change", "finding"), [(None, ""), (("FROM python:3.11-slim-bookworm", "FROM python"), "DL3006")]
)
def test_the_linter_finds_nothing_in_the_dockerfile(tmp_path, change, finding):
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint is installed on Linux x86_64 alone")
    path = tmp_path / "Dockerfile"
    path.write_text(DOCKERFILE.replace(*change) if change else DOCKERFILE)
    done = subprocess.run([linter, path], capture_output=True, text=True)
    assert (done.returncode == 0, finding in done.stdout) == (not finding, True), done.stdout


def test_every_command_exists_and_parses():
    commands = dreamvideo_commands()
    assert len(commands) == 5
    for _, *words in commands:
        group = typer.main.get_command(app)
        while hasattr(group, "commands"):
            group = group.commands[words.pop(0)]
        group.make_context("command", words)


def test_every_secret_must_be_given_and_none_is_in_the_repository(services):
    assert {name for name, kind, _ in VARIABLE.findall(COMPOSE) if kind == "?"} == set(SECRETS)
    assert {name for name, _, _ in VARIABLE.findall(COMPOSE)} == set(EXAMPLE)
    assert not any(EXAMPLE[name] for name in SECRETS)
    assert "/.env" in (REPOSITORY / ".gitignore").read_text().splitlines()
    assert ".env" in (REPOSITORY / ".dockerignore").read_text().splitlines()
    # What runs flows has no use for the secrets of the servers.
    assert not set(SECRETS.values()) & set(services["worker"]["environment"].values())


def test_nothing_is_published_beyond_this_machine(services):
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 2 and all(port.startswith("127.0.0.1:") for port in ports)


def test_settings_of_containers_are_settings_that_there_are(services):
    known = {f"{PREFIX}{field.upper()}" for field in ServerSettings.model_fields} | {"DREAMVIDEO_ALERT_WEBHOOK"}
    used = {
        name
        for service in services.values()
        for name in service.get("environment", {})
        if name.startswith("DREAMVIDEO_")
    }
    assert used <= known


def test_each_service_starts_when_what_it_needs_is_healthy(services):
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            finished = services[needed].get("restart") == "on-failure"
            assert how["condition"] == ("service_completed_successfully" if finished else "service_healthy"), name
            assert finished or services[needed].get("healthcheck")
    assert services["worker"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert instruction("HEALTHCHECK") and "healthcheck" not in services["worker"]


def test_images_are_pinned_to_what_the_project_is_tested_with(services):
    assert instruction("FROM") == ["python:3.11-slim-bookworm"]
    torch = next(line for line in instruction("RUN") if "torch==" in line)
    named = dict(re.findall(r"(torch\w*)==([\d.]+)", torch))
    assert named == {name: PINS[name] for name in ("torch", "torchvision")}
    assert all(
        "-c constraints.txt" in line or "--no-deps" in line for line in instruction("RUN") if "pip install" in line
    )
    assert all(re.search(r":\d", service["image"]) for service in services.values() if "build" not in service)


def test_an_image_does_not_run_as_root():
    users = instruction("USER")
    assert users and users[-1].isdecimal() and int(users[-1]) > 0
