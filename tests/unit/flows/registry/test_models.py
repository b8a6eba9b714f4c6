"""Names that cannot break out, cards that fit, the order of decisions, and which cells are compared."""

import pandas as pd
import pytest

from dreamvideo.errors import InputError
from dreamvideo.roles import Role
from evaluation.statistics import CELL
from flows.registry.cards import adapter_card, composition_card, with_scores
from flows.registry.comparison import _paired
from flows.registry.history import AUTOMATIC, FIRST, PROMOTION, ROLLBACK, Decision, undone_by_rollback
from flows.registry.models import adapter_model, checked_name, composition_model, role_of
from flows.tracking.schema import Tag

NAME = "identity.pocket.dog"


def test_names_say_kind_base_and_what_was_learnt():
    assert adapter_model(Role.SUBJECT, "pocket", "dog") == NAME and role_of(NAME) is Role.SUBJECT
    assert composition_model("modelscope") == "composition.modelscope" and role_of("composition.modelscope") is None


@pytest.mark.parametrize(
    "name",
    [
        "identity.pocket.dog' or name like '%",
        "identity.pocket.dog\n",
        "identity.pocket.dog/1",
        "identity.pocket.<b>dog</b>",
        "identity.pocket.Dog",
        "identity.pocket.dog@champion",
        "identity.pocket",
        "composition.pocket.dog",
        "adapter.pocket.dog",
        "../identity.pocket.dog",
        "identity..dog",
        "",
    ],
)
def test_a_name_that_could_break_a_filter_a_path_or_a_page_is_refused(name):
    with pytest.raises(InputError):
        checked_name(name)


def card(**changes) -> str:
    told = {
        "name": NAME, "role": Role.SUBJECT, "of": "dog (puppy)", "base": "pocket", "source": "a camera",
        "run": {"method": "dreamvideo", "base_model": "abc", "parameters": "9", "b.steps": "2", "a.rate": "0.1"},
        "licence": "CC-BY-NC-4.0", "forbids": True, "data_hash": "md5.dir", "sha256": "0" * 64,
    }  # fmt: skip
    return adapter_card(**told | changes)


def test_a_card_tells_what_it_is_of_what_and_what_is_allowed():
    text = card()
    for told in (
        NAME,
        "dog (puppy)",
        "CC-BY-NC-4.0",
        "**no commercial use**",
        "md5.dir",
        "a.rate 0.1, b.steps 2",
        "0" * 64,
    ):
        assert told in text
    assert "no commercial use" not in card(licence="CC0-1.0", forbids=False)
    assert "--motion-weights" in card(role=Role.MOTION) and "--subject-weights" in text


def test_what_a_person_wrote_cannot_become_markup_or_outgrow_the_card():
    text = card(source="<script>alert(1)</script>\n# not a heading", licence="x" * 9000)
    assert "<script>" not in text and "&lt;script&gt;" in text and "\n# not" not in text
    assert "## Use" in text
    longest = card(
        run={"method": "m", "base_model": "b", "parameters": "1"} | {f"option{n}": "9" * 40 for n in range(200)}
    )
    scores = {f"metric {n}": "0.123" for n in range(12)}
    assert len(with_scores(longest, scores, 600, "f" * 32)) < 5000, "the registry's column holds no more"


def test_new_scores_take_the_place_of_old_ones():
    first = with_scores(card(), {"CLIP-T": "0.300"}, 4, "one")
    second = with_scores(first, {"CLIP-T": "0.400"}, 6, "two")
    assert "0.300" in first and "0.300" not in second and "one" not in second.partition("## Scores")[2]
    assert second.count("## Scores") == 1 and "| CLIP-T | 0.400 |" in second and second.startswith(card())


def test_the_card_of_a_composition_names_what_it_composes():
    text = composition_card("composition.pocket", "pocket", "dreamvideo", {"steps": 20, "negative_prompt": "<b>"})
    assert "identity.pocket.<subject>" in text and "steps 20" in text and "'&lt;b&gt;'" in text


def moved(action: str, previous: int | None, version: int) -> Decision:
    return Decision("run", 1, "2026-01-01 00:00:00", "someone", action, previous, version, 0)


HISTORY = [moved(FIRST, None, 1), moved(PROMOTION, 1, 2), moved(AUTOMATIC, 2, 4)]


@pytest.mark.parametrize(
    ("rolled_back", "champion", "older"),
    [
        ([], 4, 2),
        ([moved(ROLLBACK, 4, 2)], 2, 1),
        ([moved(ROLLBACK, 4, 2), moved(PROMOTION, 2, 4)], 4, 2),
        ([moved(ROLLBACK, 4, 2), moved(PROMOTION, 2, 5), moved(ROLLBACK, 5, 2)], 2, 1),
        ([moved(PROMOTION, 7, 8)], 8, 7),  # someone moved the alias to 7 by other means
    ],
)
def test_a_rollback_undoes_the_last_promotion_that_still_stands(rolled_back, champion, older):
    assert undone_by_rollback(HISTORY + rolled_back, NAME, champion) == older


def test_the_first_champion_cannot_be_undone():
    for history in ([], HISTORY[:1], [*HISTORY[:2], moved(ROLLBACK, 2, 1)]):
        with pytest.raises(InputError, match="first"):
            undone_by_rollback(history, NAME, 1)


def test_a_champion_that_was_moved_by_other_means_is_not_rolled_back():
    with pytest.raises(InputError, match="version 3"):
        undone_by_rollback(HISTORY, NAME, 3)


def cells(*rows) -> pd.DataFrame:
    """Cells of one subject and prompt: motion, seed, how it was scored, the other adapter and settings, run id."""
    made = [("dog", motion, "a *", seed, scored, others, run) for motion, seed, scored, others, run in rows]
    return pd.DataFrame(made, columns=[*CELL, Tag.SCORING_KEY, "others", "run_id"])


def pairs(challenger, champion) -> list[tuple]:
    found = _paired(challenger, champion)
    return sorted(zip(found["run_id.challenger"], found["run_id.champion"], strict=True))


def test_cells_pair_by_what_they_show_and_how_they_were_scored():
    champion = cells(("up", "0", "s", "x", "old up"), ("down", "0", "s", "x", "old down"))
    challenger = cells(
        ("up", "0", "s", "x", "new up"), ("down", "1", "s", "x", "other seed"), ("left", "0", "s", "x", "l")
    )
    assert pairs(challenger, champion) == [("new up", "old up")]
    assert pairs(cells(("up", "0", "other encoders", "x", "new up")), champion) == []


def test_cells_whose_other_adapter_or_settings_differ_are_no_pair_and_of_several_the_newest_is():
    champion = cells(
        ("up", "0", "s", ("old motion", "ddim"), "newest, another motion adapter"),
        ("up", "0", "s", ("motion", "ddim"), "newer"),
        ("up", "0", "s", ("motion", "ddim"), "older"),
    )
    assert pairs(cells(("up", "0", "s", ("motion", "ddim"), "new")), champion) == [("new", "newer")]
    assert pairs(cells(("up", "0", "s", ("motion", "better sampling"), "new")), champion) == []
