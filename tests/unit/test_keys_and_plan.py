"""What decides a key, and what does not."""

import hashlib
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file
from torch import ones

from dreamvideo.dataset.catalog import Catalog, load_catalog
from dreamvideo.errors import InputError
from dreamvideo.params import Params, load_params
from flows.plan import Keys, Plan, build_method, plan_benchmark, prompts_for
from flows.request import choose

ROOT = Path(__file__).parents[2]
SUBJECTS, MOTIONS = ("cat", "dog", "van"), ("zigzag", "square")
TEMPLATES = ("a * is {motion} on the beach", "a * is {motion} in the snow", "a * is {motion} at night")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def entries() -> dict:
    """The content of a catalog.yaml; planning opens no other file of a dataset."""
    common = {"source": "a camera", "licence": "CC0-1.0"}
    subjects = {
        name: common
        | {
            "class_word": name,
            "kind": "object" if name == "van" else "pet",
            "images": [f"{name}/0.png", f"{name}/1.png"],
            "sha256": {f"{name}/{i}.png": digest(f"{name}{i}") for i in (0, 1)},
        }
        for name in SUBJECTS
    }
    motions = {
        name: common
        | {
            "words": f"moving in a {name}",
            "kind": "trajectory",
            "clips": [{"path": f"{name}/0.mp4", "caption": f"a dog is moving in a {name}"}],
            "sha256": {f"{name}/0.mp4": digest(name)},
        }
        for name in MOTIONS
    }
    prompts = [{"text": text, "kind": "subject_motion_context"} for text in TEMPLATES]
    prompts.insert(1, {"text": "a * on the beach", "kind": "subject_context"})
    return {"subjects": subjects, "motions": motions, "prompts": prompts}


def write_catalog(folder: Path, content: dict) -> Catalog:
    folder.mkdir(exist_ok=True)
    (folder / "catalog.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return load_catalog(folder)


def write_weights(folder: Path, value: float) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({"weight": ones(2) * value}, folder / "net.safetensors")
    return folder


@pytest.fixture
def catalog(tmp_path):
    return write_catalog(tmp_path / "data", entries())


@pytest.fixture
def params(tmp_path):
    shipped = load_params(ROOT / "params.yaml", "pocket")
    return changed(
        changed(shipped, "base_model", weights=write_weights(tmp_path / "base", 1.0)),
        "evaluation",
        weights=write_weights(tmp_path / "metrics", 2.0),
    )


def changed(params: Params, section: str, **values: object) -> Params:
    return params.model_copy(update={section: getattr(params, section).model_copy(update=values)})


def with_option(params: Params, *path: str, to: object) -> Params:
    """Parameters with one option of the method at another value."""
    content = params.model_dump(mode="json")
    section = content["methods"]["dreamvideo"]
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = to
    return Params.model_validate(content)


def plan(params: Params, catalog: Catalog, subjects=SUBJECTS, motions=MOTIONS, prompts: int = 2, seed: int = 0) -> Plan:
    return plan_benchmark(params, catalog, subjects, motions, prompts, seed)


def adapters(plan: Plan, kind: str) -> dict[str, str]:
    return {adapter.name: adapter.key for adapter in plan.adapters if adapter.kind == kind}


def cells(plan: Plan, key: str = "key") -> dict[tuple, str]:
    return {(cell.subject, cell.motion, cell.prompt): getattr(cell, key) for cell in plan.cells}


def scorings(params: Params, catalog: Catalog) -> dict[tuple, str]:
    keys = Keys(params, build_method(params), catalog)
    pairs = [(subject, motion) for subject in catalog.subjects.values() for motion in catalog.motions.values()]
    return {(subject.name, motion.name): keys.scoring(subject, motion) for subject, motion in pairs}


def differing(first: dict, second: dict) -> set:
    assert first.keys() == second.keys()
    return {name for name in first if first[name] != second[name]}


@pytest.fixture
def before(params, catalog):
    return plan(params, catalog)


def assert_changes(before: Plan, after: Plan, *, identity=(), motion=(), generation=(), scores=()) -> None:
    """Exactly these adapters and cells have other keys."""
    assert differing(adapters(before, "identity"), adapters(after, "identity")) == set(identity)
    assert differing(adapters(before, "motion"), adapters(after, "motion")) == set(motion)
    assert differing(cells(before, "generation_key"), cells(after, "generation_key")) == set(generation)
    assert differing(cells(before), cells(after)) == set(scores)


def test_a_plan_covers_every_combination_once(before):
    assert [(a.kind, a.name) for a in before.adapters] == [
        *(("identity", name) for name in SUBJECTS), *(("motion", name) for name in MOTIONS)
    ]  # fmt: skip
    assert [(c.subject, c.motion) for c in before.cells] == [(s, m) for s in SUBJECTS for m in MOTIONS for _ in (0, 1)]
    keys = [
        *(a.key for a in before.adapters),
        *(c.key for c in before.cells),
        *(c.generation_key for c in before.cells),
    ]
    assert len(set(keys)) == len(keys) and all(len(key) == 64 for key in keys)


def test_cells_name_the_adapters_that_they_need(before):
    for cell in before.cells:
        assert cell.subject_key == adapters(before, "identity")[cell.subject]
        assert cell.motion_key == adapters(before, "motion")[cell.motion]


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
    "change", [{"steps": 7}, {"guidance_scale": 7.5}, {"negative_prompt": "blurred"}], ids=lambda c: next(iter(c))
)
def test_sampling_changes_every_cell_and_no_adapter(params, catalog, before, change):
    every = set(cells(before))
    assert_changes(before, plan(changed(params, "sampling", **change), catalog), generation=every, scores=every)


@pytest.mark.parametrize("option", ["appearance_strength", "unconditional_appearance_strength"])
def test_options_of_the_composition_change_every_cell_and_no_adapter(params, catalog, before, option):
    every = set(cells(before))
    after = plan(with_option(params, option, to=0.25), catalog)
    assert_changes(before, after, generation=every, scores=every)


@pytest.mark.parametrize("stage", ["textual_inversion", "identity_adapter"])
def test_the_recipe_of_a_subject_changes_no_motion(params, catalog, before, stage):
    every = set(cells(before))
    after = plan(with_option(params, stage, "steps", to=9), catalog)
    assert_changes(before, after, identity=SUBJECTS, generation=every, scores=every)


def test_the_recipe_of_a_motion_changes_no_subject(params, catalog, before):
    every = set(cells(before))
    after = plan(with_option(params, "motion_adapter", "caption_dropout", to=0.1), catalog)
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


def test_a_cell_without_the_placeholder_is_refused(params, catalog):
    keys = Keys(params, build_method(params), catalog)
    with pytest.raises(InputError, match="has no placeholder"):
        keys.cell(catalog.subject("cat"), catalog.motion("zigzag"), "a cat jumping", 0)


def test_metric_weights_change_scores_but_not_videos(tmp_path, params, catalog, before):
    other = changed(params, "evaluation", weights=write_weights(tmp_path / "other", 3.0))
    assert_changes(before, plan(other, catalog), scores=set(cells(before)))


@pytest.mark.parametrize("change", ["weights", "offset_noise"])
def test_another_base_model_changes_everything(tmp_path, params, catalog, before, change):
    value = write_weights(tmp_path / "other", 3.0) if change == "weights" else 0.2
    every = set(cells(before))
    after = plan(changed(params, "base_model", **{change: value}), catalog)
    assert_changes(before, after, identity=SUBJECTS, motion=MOTIONS, generation=every, scores=every)


def test_bookkeeping_changes_nothing(tmp_path, params, catalog, before):
    other = changed(params, "tracking", uri="sqlite:///other.db", experiment="other")
    other = changed(changed(other, "evaluation", bootstrap_resamples=10), "benchmark", prompts=2)
    assert_changes(before, plan(other.model_copy(update={"profile": "mine", "notice": ""}), catalog))


def test_absent_weights_are_refused_before_anything_is_planned(tmp_path, params, catalog):
    with pytest.raises(InputError, match="no such folder of weights"):
        plan(changed(params, "base_model", weights=tmp_path / "nowhere"), catalog)


def texts(catalog: Catalog, subject: str, motion: str, count: int) -> list[str]:
    return prompts_for(catalog.prompts, subject, catalog.motion(motion), count)


def test_prompts_are_of_combinations_and_speak_of_the_motion(catalog):
    for subject in SUBJECTS:
        for motion in MOTIONS:
            expected = {template.replace("{motion}", f"moving in a {motion}") for template in TEMPLATES}
            assert set(texts(catalog, subject, motion, 3)) == expected
            assert texts(catalog, subject, motion, 3)[:1] == texts(catalog, subject, motion, 1)


def test_prompts_differ_between_combinations(catalog):
    names = [f"subject_{index}" for index in range(30)]
    first = {prompts_for(catalog.prompts, name, catalog.motion("zigzag"), 1)[0] for name in names}
    assert len(first) == len(TEMPLATES)


def test_prompts_of_a_combination_do_not_depend_on_the_selection(params, catalog, before):
    alone = plan(params, catalog, ("dog",), ("square",))
    assert [cell.prompt for cell in alone.cells] == [
        cell.prompt for cell in before.cells if (cell.subject, cell.motion) == ("dog", "square")
    ]


def test_more_prompts_than_there_are_is_refused_with_the_number(catalog):
    with pytest.raises(InputError, match="--prompts is 4, but the catalog has 3 for combinations; ask for fewer"):
        texts(catalog, "cat", "zigzag", 4)


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


def test_two_combinations_that_are_one_cell_are_refused_before_anything_runs(tmp_path, params):
    content = entries()
    first, second = SUBJECTS[:2]
    twin = {
        "class_word": content["subjects"][first]["class_word"],
        "sha256": dict(content["subjects"][first]["sha256"]),
    }
    content["subjects"][second] |= twin | {"images": content["subjects"][first]["images"]}
    with pytest.raises(InputError, match="have the same content and prompt; remove one of them"):
        plan(params, write_catalog(tmp_path / "twins", content), prompts=len(TEMPLATES))
