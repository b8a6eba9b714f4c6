"""Compositions that version 0.1 registered name `flows.composition` as their loader."""

import importlib

from flows.registry import serving


def test_the_loader_that_old_compositions_name_is_the_present_one():
    old = importlib.import_module("flows.composition")
    assert old._load_pyfunc is serving._load_pyfunc
    assert serving.LOADER == "flows.registry.serving", "a version of another loader needs a module of the old name"
