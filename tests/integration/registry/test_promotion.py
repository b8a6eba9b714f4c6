"""The registry with a real MLflow: adapters registered by benchmarks, promoted on evidence, rolled back."""

import json
import threading

import pytest
from typer.testing import CliRunner

from dreamvideo.errors import ConflictError, InputError, NotComparableError
from dreamvideo.files import sha256_file
from dreamvideo.params import load_params
from flows.benchmark import run_benchmark
from flows.cli import model as cli_model
from flows.execution.resources import Resources
from flows.planning.selection import Selection
from flows.registry import history as decisions
from flows.registry.comparison import compare_versions
from flows.registry.models import aliases, fetch_version, registered_models, version, versions
from flows.registry.promotion import promote, rollback
from flows.registry.versions import register_adapter
from flows.tracking.records import ProposalsFile
from flows.tracking.schema import Artifact, Kind, Tag, score_tag
from tests.integration.conftest import MOTIONS
from tests.support.registry_trials import (
    COMPOSITION,
    DOG,
    DOG_ONLY,
    LAX,
    cell_of,
    history,
    params,
    selection_of,
    tracking,
)


def test_every_adapter_and_the_composition_is_a_version_and_the_first_is_champion(first):
    names = [model.name for model in registered_models(tracking())]
    assert names == sorted([COMPOSITION, DOG, *(f"motion.pocket.{motion}" for motion in MOTIONS)])
    assert first.proposals == []
    for name in names:
        assert aliases(tracking(), name) == {"champion": 1}
        assert history(name) == [("first version", None, 1)]
        (only,) = versions(tracking(), name)
        assert sha256_file(fetch_version(tracking(), only)) == only.tags[Tag.SHA256]


def test_a_version_says_what_it_is_of_and_how_well_it_does(first):
    (dog,) = versions(tracking(), DOG)
    run = tracking().get(dog.run_id)
    assert run.data.tags[Tag.KEY] == dog.tags[Tag.KEY] and run.data.tags[Tag.NAME] == "dog"
    assert dog.tags[Tag.DATA_HASH] == run.data.tags[Tag.DATA_HASH]
    assert (dog.tags[Tag.METHOD], dog.tags[Tag.LICENCE], dog.tags[Tag.NON_COMMERCIAL]) == (
        "dreamvideo",
        "CC0-1.0",
        "false",
    )
    scores = [cell.data.metrics for cell in tracking().runs(Kind.CELL)]
    for metric in ("clip_t", "dino_i", "motion_magnitude"):
        assert float(dog.tags[score_tag(metric)]) == pytest.approx(sum(s[metric] for s in scores) / 2, abs=1e-6)
    assert dog.tags[Tag.SCORED_BY] == first.run_id
    square = version(tracking(), "motion.pocket.square", 1)
    (of_square,) = [c.data.metrics for c in tracking().runs(Kind.CELL) if c.data.params["motion"] == "square"]
    assert float(square.tags[score_tag("clip_i")]) == pytest.approx(of_square["clip_i"], abs=1e-6)
    for told in ("CC0-1.0", dog.tags[Tag.SHA256], "identity_adapter.steps 2", "## Scores", first.run_id):
        assert told in dog.description


def test_a_benchmark_that_reuses_everything_registers_nothing_new(first):
    again = run_benchmark(params(), DOG_ONLY)
    assert again.reused == 2 and again.proposals == []
    for model in registered_models(tracking()):
        (only,) = versions(tracking(), model.name)
        assert only.tags[Tag.SCORED_BY] == first.run_id, "the same scores are not written again"
        assert history(model.name) == [("first version", None, 1)]


def test_two_workers_that_register_at_once_make_one_version_of_a_model_that_was_deleted(first):
    resources = Resources(params())
    plan = resources.keys.adapter(resources.catalog.motion("square"))
    name = "motion.pocket.square"
    run_id = version(tracking(), name, 1).run_id
    tracking().client.delete_registered_model(name)
    benches = [Resources(params()), Resources(params())]
    both = [threading.Thread(target=register_adapter, args=(one, plan, run_id)) for one in benches]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    (only,) = versions(tracking(), name)
    assert only.tags[Tag.KEY] == plan.key
    assert aliases(tracking(), name) == {"champion": int(only.version)}
    assert history(name) == [("first version", None, int(only.version))], "the history is not that of the deleted one"


def test_a_profile_without_a_policy_and_a_method_without_training_register_nothing(first):
    resources = Resources(params(policy=None))
    dog = versions(tracking(), DOG)[0]
    plan = resources.keys.adapter(resources.catalog.subject("dog"))
    assert register_adapter(resources, plan, dog.run_id) is None
    bare = Resources(load_params(method="uncustomized"))
    assert register_adapter(bare, bare.keys.adapter(bare.catalog.subject("dog")), dog.run_id) is None


def test_a_new_recipe_makes_a_challenger_and_the_benchmark_proposes_it(second):
    assert aliases(tracking(), DOG) == {"champion": 1, "challenger": 2}
    (proposal,) = second.proposals
    assert (proposal.model, proposal.champion, proposal.challenger) == (DOG, 1, 2)
    assert proposal.passes and not proposal.promoted and len(proposal.comparison["pairs"]) == 2
    kept = ProposalsFile.model_validate(tracking().artifacts.read_json(second.run_id, Artifact.PROPOSAL))
    assert kept.model_dump(mode="json")["proposals"] == [proposal.model_dump(mode="json")]
    assert history() == [("first version", None, 1)], "a proposal moves nothing"


def test_the_evidence_is_the_difference_of_the_cells_of_both(second):
    found = compare_versions(tracking(), params(), DOG, version(tracking(), DOG, 2), version(tracking(), DOG, 1))
    scores = [[cell_of(number, motion).data.metrics["clip_t"] for motion in MOTIONS] for number in (2, 1)]
    assert found.metrics[0].gain == pytest.approx((sum(scores[0]) - sum(scores[1])) / 2)
    assert {pair for pair in found.pairs} == {
        (cell_of(2, motion).info.run_id, cell_of(1, motion).info.run_id) for motion in MOTIONS
    }


def test_the_shipped_policy_refuses_so_few_cells_and_moves_nothing(second):
    shipped = load_params().promotion
    comparison = promote(params(policy=shipped), DOG)
    assert not comparison.passes and "2 motions; needs 7" in comparison.reason
    assert aliases(tracking(), DOG) == {"champion": 1, "challenger": 2} and len(history()) == 1


def test_a_promotion_moves_the_champion_and_keeps_its_evidence(second):
    assert promote(params(), DOG).passes
    assert aliases(tracking(), DOG) == {"champion": 2}
    assert history() == [("first version", None, 1), ("promotion", 1, 2)]
    last = decisions.decisions(tracking(), DOG)[-1]
    kept = json.loads(tracking().artifacts.fetch(last.run_id).read_text())
    assert kept["passes"] and kept["comparisons"][0]["metric"] == "clip_t"
    assert (last.who, last.cells) == (decisions.who(), 2)
    assert tracking().get(last.run_id).data.metrics["clip_t.bound"] == kept["comparisons"][0]["bound"]
    assert tracking().artifacts.download(last.run_id, Artifact.EVIDENCE).exists()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (2, f"{DOG}: version 2 is the champion already"),
        (9, f"{DOG} has no version 9; it has 1, 2"),
        (None, f"{DOG} has no challenger"),
    ],
)
def test_what_cannot_be_promoted_is_refused_with_the_reason(second, number, sentence):
    with pytest.raises(InputError, match=sentence):
        promote(params(), DOG, number)


def test_a_rollback_returns_to_the_version_before_at_once_and_the_history_stays(composition):
    before = history()
    assert rollback(params(), DOG) == (2, 1)
    assert history() == [*before, ("rollback", 2, 1)]
    made = composition.predict(selection_of(cell_of(1, "square")))
    assert made["identity"].tolist() == [f"{DOG}/1"]
    assert aliases(tracking(), DOG) == {"champion": 1}, "what was rolled back is proposed no more"
    assert run_benchmark(params(3), DOG_ONLY).proposals == []


def test_versions_without_a_common_cell_are_not_held_against_each_other(second):
    elsewhere = run_benchmark(params(4), Selection(subjects="dog", seed=5))
    assert aliases(tracking(), DOG) == {"champion": 1, "challenger": 3}
    (proposal,) = elsewhere.proposals
    assert (proposal.model, proposal.challenger, proposal.passes) == (DOG, 3, False) and proposal.reason
    with pytest.raises(NotComparableError):
        promote(params(), DOG)


def test_an_automatic_policy_promotes_at_the_end_of_a_benchmark(second):
    outcome = run_benchmark(params(4, LAX.model_copy(update={"automatic": True})), DOG_ONLY)
    (proposal,) = outcome.proposals
    assert (proposal.champion, proposal.challenger, proposal.passes, proposal.promoted) == (1, 3, True, True)
    assert aliases(tracking(), DOG) == {"champion": 3} and history()[-1] == ("automatic promotion", 1, 3)


def test_a_decision_that_another_process_forestalled_is_refused(second, monkeypatch):
    known = decisions.decisions(tracking(), DOG)
    monkeypatch.setattr(decisions, "decisions", lambda *_: known[:-1])  # as it was when the other began
    with pytest.raises(ConflictError):
        decisions.decide(tracking(), DOG, "promotion", 3, 1, {})
    monkeypatch.undo()
    with pytest.raises(ConflictError):
        decisions.decide(tracking(), DOG, "promotion", 1, 2, {})  # 3 is the champion by now
    assert aliases(tracking(), DOG)["champion"] == 3 and decisions.decisions(tracking(), DOG) == known


def test_the_commands_print_tables_and_refuse_by_exit_code(second, monkeypatch):
    monkeypatch.setattr(cli_model.out, "width", 200)

    def model(*arguments):
        return CliRunner().invoke(cli_model.app, arguments)

    listed = model("list").output
    assert DOG in listed and "allowed" in listed and COMPOSITION in listed
    shown = model("history", DOG).output
    assert all(word in shown for word in ("first version", "rollback", "automatic promotion", decisions.who()))
    refused = model("promote", DOG, "--version", "1")
    assert refused.exit_code == 1 and "not promoted:" in refused.output and "needs 7" in refused.output
    assert "version 1 is champion again, was 3" in model("rollback", DOG).output
    tracking().client.set_registered_model_alias(DOG, "champion", "2")
    assert "moved by other means" in model("history", DOG).output
    assert isinstance(model("rollback", DOG).exception, InputError)


def test_a_version_that_was_sampled_otherwise_than_the_champion_is_not_held_against_it(second):
    other = params(5)
    other = other.model_copy(update={"sampling": other.sampling.model_copy(update={"steps": 3})})
    outcome = run_benchmark(other, DOG_ONLY)
    assert not any(proposal.passes for proposal in outcome.proposals if proposal.model == DOG)
    before = aliases(tracking(), DOG)
    assert before["challenger"] == 4
    with pytest.raises(
        InputError, match="made with the same in all but this version; run one benchmark with the settings"
    ):
        promote(params(), DOG)
    assert aliases(tracking(), DOG) == before
