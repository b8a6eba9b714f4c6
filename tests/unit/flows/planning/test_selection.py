"""Which subjects and motions of a catalog a user asks for."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dreamvideo.errors import InputError
from flows.cli import benchmark as cli_benchmark
from flows.planning.selection import Selection, choose

ROOT = Path(__file__).resolve().parents[4]

SUBJECTS = ("cat", "dog", "van")


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, ["cat", "dog", "van"]),
        ("2", ["cat", "dog"]),
        ("3", ["cat", "dog", "van"]),
        ("van", ["van"]),
        ("van,cat", ["van", "cat"]),
        (" van , cat ,", ["van", "cat"]),
        ("dog,van,dog", ["dog", "van"]),
    ],
)
def test_a_choice_is_all_the_first_few_or_some_by_name(wanted, chosen):
    assert choose("subject", wanted, SUBJECTS) == chosen


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("0", "--subjects is 0, but the catalog has 3; ask for 1 to 3"),
        ("4", "--subjects is 4, but the catalog has 3; ask for 1 to 3"),
        ("-1", "--subjects is -1, but the catalog has 3; ask for 1 to 3"),
        ("cat,dogg", "unknown subject 'dogg'; did you mean 'dog'"),
        ("", "--subjects is empty; give a number or names separated by commas"),
        (" , ", "--subjects is empty; give a number or names separated by commas"),
        ("²", "unknown subject '²'"),
    ],
)
def test_a_choice_that_cannot_be_met_is_refused(wanted, message):
    with pytest.raises(InputError, match=message):
        choose("subject", wanted, SUBJECTS)


@pytest.mark.parametrize(
    "request_", [Selection(), Selection("dog,van", "3", 2, 0), Selection(motions=" wave_up , square")]
)
def test_the_command_of_a_request_asks_for_the_same(request_, monkeypatch):
    from flows import benchmark

    def asked(params, request):
        raise InputError(f"{request} of {params.method} of {params.profile}")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(benchmark, "run_benchmark", asked)
    program, group, *words = shlex.split(request_.command("uncustomized", "pocket"))
    assert (program, group) == ("dreamvideo", "benchmark")
    ended = CliRunner().invoke(cli_benchmark.app, words)
    assert str(ended.exception) == f"{request_} of uncustomized of pocket"
