"""Which subjects and motions of a catalog a user asks for."""

import pytest

from dreamvideo.errors import InputError
from flows.request import choose

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
