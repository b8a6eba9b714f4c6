"""Decisions of processes that are killed, stopped or refused halfway, on a real MLflow store."""

import multiprocessing
import os
import re
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from dreamvideo.errors import ConflictError
from dreamvideo.files import content_key
from dreamvideo.params import TrackingParams, load_params
from flows.cli import model as cli_model
from flows.registry.history import FIRST, PROMOTION, decide, decisions, settle
from flows.registry.models import aliases
from flows.registry.promotion import rollback
from flows.registry.versions import register_version
from flows.tracking.schema import Kind, Tag, by_key
from flows.tracking.store import Tracking, open_store
from tests.conftest import empty_store

ROOT = Path(__file__).resolve().parents[4]
DOG = "identity.pocket.dog"
FIRST_TWO = [(FIRST, None, 1), (PROMOTION, 1, 2)]
PATIENCE = 60  # seconds


@pytest.fixture
def params(tmp_path):
    shutil.copyfile(empty_store(), tmp_path / "mlflow.db")
    return TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path / "mlruns", experiment="decisions")


@pytest.fixture
def tracking(params):
    """A store with a champion and a challenger."""
    tracking = open_store(params)
    for number in (1, 2):
        register(tracking, number)
    assert aliases(tracking, DOG) == {"champion": 1, "challenger": 2}
    return tracking


def register(tracking: Tracking, number: int) -> None:
    key = f"{number:064x}"
    run = tracking.find(Kind.ADAPTER, key)
    if run is None:
        with tracking.run(Kind.ADAPTER, "identity dog", key, {}) as record:
            pass
        run = tracking.get(record.run_id)
    register_version(tracking, DOG, key, run, "", {}, "card")


def history(tracking: Tracking) -> list[tuple]:
    return [(one.action, one.previous, one.version) for one in decisions(tracking, DOG)]


def start(work, *arguments) -> multiprocessing.Process:
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload([__name__, "mlflow.store.tracking.sqlalchemy_store"])  # all that takes long to import
    process = forked.Process(target=work, args=arguments)
    process.start()
    return process


def signalled(params: TrackingParams, call: str, number: signal.Signals) -> Tracking:
    """A store whose user gets a signal as it makes a call."""
    tracking = open_store(params)
    real = getattr(tracking.client, call)

    def with_signal(*arguments):
        os.kill(os.getpid(), number)
        return real(*arguments)

    setattr(tracking.client, call, with_signal)
    return tracking


def promote_signalled(params: TrackingParams, call: str, number: signal.Signals) -> None:
    decide(signalled(params, call, number), DOG, PROMOTION, 1, 2, {"passes": True}, {"cells": 7.0})


def register_first_signalled(params: TrackingParams, call: str, number: signal.Signals) -> None:
    register(signalled(params, call, number), 1)


@pytest.mark.parametrize("call", ["set_registered_model_alias", "delete_registered_model_alias", "set_tag"])
def test_a_promotion_that_is_killed_is_in_the_history_and_completed_at_the_next_look(params, tracking, call):
    worker = start(promote_signalled, params, call, signal.SIGKILL)
    worker.join(PATIENCE)
    assert worker.exitcode == -signal.SIGKILL
    assert history(tracking) == FIRST_TWO
    settle(tracking, DOG)
    assert aliases(tracking, DOG) == {"champion": 2}
    assert history(tracking) == FIRST_TWO and decisions(tracking, DOG)[-1].cells == 7
    assert rollback(load_params(ROOT / "params.yaml").model_copy(update={"tracking": params}), DOG) == (2, 1)


def test_a_rollback_completes_the_promotion_that_it_undoes(params, tracking):
    worker = start(promote_signalled, params, "set_registered_model_alias", signal.SIGKILL)
    worker.join(PATIENCE)
    assert aliases(tracking, DOG) == {"champion": 1, "challenger": 2}
    assert rollback(load_params(ROOT / "params.yaml").model_copy(update={"tracking": params}), DOG) == (2, 1)
    assert aliases(tracking, DOG) == {"champion": 1}


def test_a_first_version_whose_registration_was_killed_becomes_champion(params):
    worker = start(register_first_signalled, params, "set_registered_model_alias", signal.SIGKILL)
    worker.join(PATIENCE)
    assert worker.exitcode == -signal.SIGKILL
    tracking = open_store(params)
    assert aliases(tracking, DOG) == {}
    register(tracking, 1)
    assert aliases(tracking, DOG) == {"champion": 1} and history(tracking) == FIRST_TWO[:1]


def test_what_another_living_process_is_about_to_do_is_left_to_it(params, tracking):
    worker = start(promote_signalled, params, "set_registered_model_alias", signal.SIGSTOP)
    deadline = time.monotonic() + PATIENCE
    while psutil.Process(worker.pid).status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.1)
    settle(tracking, DOG)
    assert aliases(tracking, DOG) == {"champion": 1, "challenger": 2}
    with pytest.raises(ConflictError):
        decide(tracking, DOG, PROMOTION, 1, 2, {})
    os.kill(worker.pid, signal.SIGCONT)
    worker.join(PATIENCE)
    assert worker.exitcode == 0
    assert aliases(tracking, DOG) == {"champion": 2} and history(tracking) == FIRST_TWO


def test_a_move_that_the_store_refused_is_made_at_the_next_look_unless_someone_overruled_it(tracking, monkeypatch):
    def refuse(*_):
        raise MlflowException("the store is away")

    register(tracking, 3)
    for version, others in ((2, False), (3, True)):
        before = aliases(tracking, DOG)["champion"]
        monkeypatch.setattr(tracking.client, "set_registered_model_alias", refuse)
        with pytest.raises(MlflowException, match="the store is away"):
            decide(tracking, DOG, PROMOTION, before, version, {})
        monkeypatch.undo()
        if others:
            tracking.client.set_registered_model_alias(DOG, "champion", "1")
        settle(tracking, DOG)
        assert aliases(tracking, DOG)["champion"] == (1 if others else version)
        settle(tracking, DOG)
    assert history(tracking) == [*FIRST_TWO, (PROMOTION, 2, 3)]


def test_a_decision_that_was_made_before_moves_were_marked_is_left_alone(tracking):
    decide(tracking, DOG, PROMOTION, 1, 2, {})
    tracking.client.delete_tag(decisions(tracking, DOG)[-1].run_id, Tag.MOVE)
    tracking.client.set_registered_model_alias(DOG, "champion", "1")
    settle(tracking, DOG)
    assert aliases(tracking, DOG) == {"champion": 1}


@pytest.mark.parametrize(("deleted", "told"), [([1], ["decision 1 is missing"]), ([1, 2], [])])
def test_a_model_whose_decisions_were_deleted_is_decided_over_again_and_its_history_says_so(
    params, tracking, monkeypatch, deleted, told
):
    decide(tracking, DOG, PROMOTION, 1, 2, {})
    made = {one.ordinal: one.run_id for one in decisions(tracking, DOG)}
    assert list(made) == [1, 2]
    for ordinal in deleted:
        tracking.client.delete_run(made[ordinal])
    for previous, version in ((2, 1), (1, 2)):
        decide(tracking, DOG, PROMOTION, previous, version, {})
        assert aliases(tracking, DOG) == {"champion": version}
    stored = load_params(ROOT / "params.yaml").model_copy(update={"tracking": params})
    monkeypatch.setattr(cli_model, "profile_params", lambda _: stored)
    shown = CliRunner().invoke(cli_model.app, ["history", DOG]).output
    assert re.findall(r"decision \d+ is missing", shown) == told


def test_a_model_whose_older_decisions_have_no_ordinal_is_decided_over_again(tracking):
    (first,) = tracking.runs(Kind.PROMOTION)
    for tag in (Tag.ORDINAL, *by_key(Kind.PROMOTION, first.data.tags[Tag.KEY])):
        tracking.client.delete_tag(first.info.run_id, tag)
    older = content_key([DOG, first.data.tags[Tag.BORN], 1])  # a number was its place
    for tag in by_key(Kind.PROMOTION, older):
        tracking.client.set_tag(first.info.run_id, tag, "promotion")
    for previous, version in ((1, 2), (2, 1)):
        decide(tracking, DOG, PROMOTION, previous, version, {})
    assert aliases(tracking, DOG) == {"champion": 1}
    assert [one.ordinal for one in decisions(tracking, DOG)] == [0, 1, 2]
