"""Which cells and adapters are planned, with which prompts, and what cannot be."""

import pytest

from dreamvideo.dataset.catalog import Catalog
from dreamvideo.errors import InputError
from flows.planning.keys import Keys
from flows.planning.plan import build_method, prompts_for
from tests.support.tiny_plans import (
    MOTIONS,
    SUBJECTS,
    TEMPLATES,
    adapters,
    changed,
    entries,
    plan,
    write_catalog,
)


def test_a_plan_covers_every_combination_once(before):
    assert [(a.role, a.name) for a in before.adapters] == [
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
    with pytest.raises(InputError, match="--prompts is 4"):
        texts(catalog, "cat", "zigzag", 4)


def test_a_cell_without_the_placeholder_is_refused(params, catalog):
    keys = Keys(params, build_method(params), catalog)
    with pytest.raises(InputError, match="has no placeholder"):
        keys.cell(catalog.subject("cat"), catalog.motion("zigzag"), "a cat jumping", 0)


def test_absent_weights_are_refused_before_anything_is_planned(tmp_path, params, catalog):
    with pytest.raises(InputError, match="weights"):
        plan(changed(params, "base_model", weights=tmp_path / "nowhere"), catalog)


def test_two_combinations_that_are_one_cell_are_refused_before_anything_runs(tmp_path, params):
    content = entries()
    first, second = SUBJECTS[:2]
    twin = {
        "class_word": content["subjects"][first]["class_word"],
        "sha256": dict(content["subjects"][first]["sha256"]),
    }
    content["subjects"][second] |= twin | {"images": content["subjects"][first]["images"]}
    with pytest.raises(InputError, match="catalog"):
        plan(params, write_catalog(tmp_path / "twins", content), prompts=len(TEMPLATES))
