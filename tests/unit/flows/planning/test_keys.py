"""What decides a key, and what does not."""

import pytest

from dreamvideo.dataset.catalog import Catalog
from dreamvideo.params import Params
from flows.planning.keys import Keys
from flows.planning.plan import Plan, build_method
from tests.support.tiny_plans import (
    MOTIONS,
    SUBJECTS,
    TEMPLATES,
    adapters,
    cells,
    changed,
    digest,
    entries,
    plan,
    with_option,
    write_catalog,
    write_weights,
)


def scorings(params: Params, catalog: Catalog) -> dict[tuple, str]:
    keys = Keys(params, build_method(params), catalog)
    pairs = [(subject, motion) for subject in catalog.subjects.values() for motion in catalog.motions.values()]
    return {(subject.name, motion.name): keys.scoring(subject, motion) for subject, motion in pairs}


def differing(first: dict, second: dict) -> set:
    assert first.keys() == second.keys()
    return {name for name in first if first[name] != second[name]}


def assert_changes(before: Plan, after: Plan, *, identity=(), motion=(), generation=(), scores=()) -> None:
    """Exactly these adapters and cells have other keys."""
    assert differing(adapters(before, "identity"), adapters(after, "identity")) == set(identity)
    assert differing(adapters(before, "motion"), adapters(after, "motion")) == set(motion)
    assert differing(cells(before, "generation_key"), cells(after, "generation_key")) == set(generation)
    assert differing(cells(before), cells(after)) == set(scores)


def test_equal_content_gives_equal_keys_whatever_the_order_and_the_folder(tmp_path, params, before):
    content = entries()
    for kind in ("subjects", "motions"):
        content[kind] = dict(reversed([(name, dict(reversed(e.items()))) for name, e in content[kind].items()]))
        for entry in content[kind].values():
            entry["sha256"] = dict(reversed(entry["sha256"].items()))
    moved = write_catalog(tmp_path / "elsewhere", content)
    copied = changed(params, "base_model", weights=write_weights(tmp_path / "copy", 1.0))
    copied = Params.model_validate_json(copied.model_dump_json())
    assert_changes(before, plan(copied, moved, tuple(reversed(SUBJECTS)), tuple(reversed(MOTIONS))))


def test_a_smaller_selection_has_the_same_keys(params, catalog, before):
    part = plan(params, catalog, ("van",), ("square",), prompts=1)
    assert len(part.cells) == 1 and cells(part).items() <= cells(before).items()
    assert adapters(part, "identity").items() <= adapters(before, "identity").items()


@pytest.mark.parametrize("change", ["image", "class_word", "added mask"])
def test_changing_a_subject_changes_its_row_and_nothing_else(tmp_path, params, before, change):
    content = entries()
    dog = content["subjects"]["dog"]
    if change == "image":
        dog["sha256"]["dog/1.png"] = digest("another image")
    elif change == "class_word":
        dog["class_word"] = "puppy"
    else:
        dog["masks"] = ["dog/m0.png", "dog/m1.png"]
        dog["sha256"] |= {name: digest(name) for name in dog["masks"]}
    row = {key for key in cells(before) if key[0] == "dog"}
    after = plan(params, write_catalog(tmp_path / "changed", content))
    assert len(row) == 4
    assert_changes(before, after, identity={"dog"}, generation=row, scores=row)


@pytest.mark.parametrize(("change", "other"), [("image", True), ("mask", False)])
def test_scores_against_other_reference_images_are_told_apart(tmp_path, params, catalog, change, other):
    content = entries()
    dog = content["subjects"]["dog"]
    if change == "image":
        dog["sha256"]["dog/1.png"] = digest("another image")
    else:
        dog["masks"] = ["dog/m0.png", "dog/m1.png"]
        dog["sha256"] |= {name: digest(name) for name in dog["masks"]}
    after = scorings(params, write_catalog(tmp_path / "changed", content))
    row = {("dog", motion) for motion in MOTIONS}
    assert differing(scorings(params, catalog), after) == (row if other else set())


def test_scores_of_videos_that_were_made_otherwise_compare(params, catalog):
    otherwise = changed(with_option(params, "identity_adapter", "steps", to=9), "sampling", steps=7)
    assert scorings(otherwise, catalog) == scorings(params, catalog)


@pytest.mark.parametrize("change", ["clip", "caption"])
def test_changing_a_motion_changes_its_column_and_nothing_else(tmp_path, params, before, change):
    content = entries()
    zigzag = content["motions"]["zigzag"]
    if change == "clip":
        zigzag["sha256"]["zigzag/0.mp4"] = digest("another clip")
    else:
        zigzag["clips"][0]["caption"] = "a cat is moving in a zigzag"
    column = {key for key in cells(before) if key[1] == "zigzag"}
    after = plan(params, write_catalog(tmp_path / "changed", content))
    assert len(column) == 6
    assert_changes(before, after, motion={"zigzag"}, generation=column, scores=column)


def test_what_is_known_of_a_subject_changes_all_scores_for_the_oracle_chooses_among_all(tmp_path, params, before):
    content = entries()
    content["subjects"]["cat"]["truth"] = {"colour": "red"}
    assert_changes(before, plan(params, write_catalog(tmp_path / "changed", content)), scores=set(cells(before)))


def test_what_is_known_of_a_motion_changes_its_scores_alone(tmp_path, params, before):
    content = entries()
    content["motions"]["zigzag"]["truth"] = {"trajectory": [[0.0, 0.0], [1.0, 1.0]]}
    column = {key for key in cells(before) if key[1] == "zigzag"}
    assert_changes(before, plan(params, write_catalog(tmp_path / "changed", content)), scores=column)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 7},
        {"guidance_scale": 7.5},
        {"negative_prompt": "blurred"},
        {"inversion_strength": 0.5},
        {"solver": "unipc"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_sampling_changes_every_cell_and_no_adapter(params, catalog, before, change):
    every = set(cells(before))
    assert_changes(before, plan(changed(params, "sampling", **change), catalog), generation=every, scores=every)


def test_ddim_goes_without_saying_and_every_other_solver_has_keys_of_its_own(params, catalog, before):
    """Videos that were made before there was a choice keep their keys."""
    named = changed(params, "sampling", solver="ddim")
    assert "solver" not in named.sampling.recipe()
    assert_changes(before, plan(named, catalog))
    one, other = (cells(plan(changed(params, "sampling", solver=name), catalog)) for name in ("unipc", "dpmsolver++"))
    assert not set(one.values()) & set(other.values())


@pytest.mark.parametrize(
    "option", ["appearance_strength", "unconditional_appearance_strength", "identity_strength", "motion_strength"]
)
def test_options_of_the_composition_change_every_cell_and_no_adapter(params, catalog, before, option):
    every = set(cells(before))
    after = plan(with_option(params, option, to=0.25), catalog)
    assert_changes(before, after, generation=every, scores=every)


@pytest.mark.parametrize(
    ("option", "value"),
    [(["textual_inversion", "steps"], 9), (["identity_adapter", "steps"], 9), (["random_shift"], 0.125)],
    ids=lambda value: ".".join(value) if isinstance(value, list) else "",
)
def test_the_recipe_of_a_subject_changes_no_motion(params, catalog, before, option, value):
    every = set(cells(before))
    after = plan(with_option(params, *option, to=value), catalog)
    assert_changes(before, after, identity=SUBJECTS, generation=every, scores=every)


def test_the_recipe_of_a_motion_changes_no_subject(params, catalog, before):
    every = set(cells(before))
    after = plan(with_option(params, "motion_adapter", "caption_dropout", to=0.1), catalog)
    assert_changes(before, after, motion=MOTIONS, generation=every, scores=every)


@pytest.mark.parametrize("change", [{"num_frames": 4}, {"fps": 4.0}], ids=lambda change: next(iter(change)))
def test_frames_as_the_base_model_sees_them_change_no_subject(params, catalog, before, change):
    every = set(cells(before))
    after = plan(changed(params, "data", **change), catalog)
    assert_changes(before, after, motion=MOTIONS, generation=every, scores=every)


def test_another_seed_changes_cells_only(params, catalog, before):
    every = set(cells(before))
    assert_changes(before, plan(params, catalog, seed=1), generation=every, scores=every)


def test_another_prompt_changes_its_cell_only(params, catalog):
    keys = Keys(params, build_method(params), catalog)
    cat, zigzag = catalog.subject("cat"), catalog.motion("zigzag")
    first, second = keys.cell(cat, zigzag, "a * jumping", 0), keys.cell(cat, zigzag, "a * falling", 0)
    assert first == keys.cell(cat, zigzag, "a * jumping", 0)
    assert (first.subject_key, first.motion_key) == (second.subject_key, second.motion_key)
    assert first.generation_key != second.generation_key and first.key != second.key


@pytest.mark.parametrize("edited", range(len(TEMPLATES)))
def test_editing_a_prompt_of_the_catalog_changes_the_cells_that_use_it_and_nothing_else(
    tmp_path, params, before, edited
):
    content = entries()
    (entry,) = [prompt for prompt in content["prompts"] if prompt["text"] == TEMPLATES[edited]]
    entry["text"] += " in the rain"
    after = plan(params, write_catalog(tmp_path / "changed", content))
    users = [
        cell.prompt == TEMPLATES[edited].replace("{motion}", f"moving in a {cell.motion}") for cell in before.cells
    ]
    assert any(users) and not all(users)
    assert after.adapters == before.adapters
    for cell, same_place, uses in zip(before.cells, after.cells, users, strict=True):
        if uses:
            assert same_place.prompt == f"{cell.prompt} in the rain"
            assert (same_place.key != cell.key) and (same_place.generation_key != cell.generation_key)
        else:
            assert same_place == cell


def test_metric_weights_change_scores_but_not_videos(tmp_path, params, catalog, before):
    other = changed(params, "evaluation", weights=write_weights(tmp_path / "other", 3.0))
    assert_changes(before, plan(other, catalog), scores=set(cells(before)))


@pytest.mark.parametrize("change", ["weights", "offset_noise"])
def test_another_base_model_changes_everything(tmp_path, params, catalog, before, change):
    value = write_weights(tmp_path / "other", 3.0) if change == "weights" else 0.2
    every = set(cells(before))
    after = plan(changed(params, "base_model", **{change: value}), catalog)
    assert_changes(before, after, identity=SUBJECTS, motion=MOTIONS, generation=every, scores=every)


@pytest.mark.parametrize(("option", "value"), [("bottleneck", 0.25), ("placement", "serial")])
def test_another_form_of_the_adapters_changes_everything(params, catalog, before, option, value):
    every = set(cells(before))
    after = plan(with_option(params, option, to=value), catalog)
    assert_changes(before, after, identity=SUBJECTS, motion=MOTIONS, generation=every, scores=every)


def test_another_precision_changes_everything(params, catalog, before):
    every = set(cells(before))
    after = plan(changed(params, "compute", precision="bfloat16"), catalog)
    assert_changes(before, after, identity=SUBJECTS, motion=MOTIONS, generation=every, scores=every)


def test_another_method_changes_everything(params, catalog, before):
    every = set(cells(before))
    after = plan(params.model_copy(update={"method": "uncustomized"}), catalog)
    assert_changes(before, after, identity=SUBJECTS, motion=MOTIONS, generation=every, scores=every)


def test_bookkeeping_changes_nothing(tmp_path, params, catalog, before):
    other = changed(params, "tracking", uri="sqlite:///other.db", experiment="other")
    other = changed(changed(other, "evaluation", bootstrap_resamples=10), "benchmark", prompts=2)
    assert_changes(before, plan(other.model_copy(update={"profile": "mine", "notice": ""}), catalog))
