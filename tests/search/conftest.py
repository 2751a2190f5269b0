"""Searches whose cells take no time."""

import io
import sys

import pytest

from tests.studies.conftest import program
from tlmed.recipe import Search, Study
from tlmed.screen import Screen
from tlmed.studies import Order, sweeping, worker_pool
from tlmed.sweeps import run_study


def small(trials=6, nested=False, **fields):
    """Return a study that is searched."""
    given = {"recipes": ("feature_extractor", "fine_tuning"), "backbones": ("LeNet5", "AlexNet=none"), "seeds": 2}
    return Study(**given | fields, search=Search(trials, nested))


@pytest.fixture
def searching(tmp_path, monkeypatch):
    """Give a function that searches with cells without work, and returns the directory and what was shown."""

    def run(study=None, words=(), data="images", **order):
        monkeypatch.setattr(worker_pool, "PROGRAM", program(0.0, *words))
        monkeypatch.setattr(sweeping, "_TICK", 0.01)
        shown = io.StringIO()
        monkeypatch.setattr(sys, "stderr", shown)
        given = {"folder": tmp_path / "study", "jobs": 2} | order
        run_study(study or small(), Order(**given), Screen(shown, waits=False), data)
        return given["folder"], " ".join(shown.getvalue().split())

    return run
