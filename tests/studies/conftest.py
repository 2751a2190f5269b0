"""Studies whose cells take no time."""

import io
import sys
from pathlib import Path

import pytest

from tlmed.recipe import Study
from tlmed.screen import Screen
from tlmed.studies import Order, run_cells, worker_pool

WORKER = Path(__file__).with_name("instant_worker.py")


def program(seconds=0.0, *words):
    """Return the program of a worker that takes so long for a cell."""
    arguments = [str(WORKER), str(seconds), *words]
    return (
        f"import runpy, sys\n# {{cores}}\nsys.argv = {arguments!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )


@pytest.fixture
def sweeping(tmp_path, monkeypatch):
    """Give a function that trains a study of cells without work, and returns the directory and what was shown."""

    def run(study=None, words=(), data="images", **order):
        monkeypatch.setattr(worker_pool, "PROGRAM", program(0.0, *words))
        shown = io.StringIO()
        monkeypatch.setattr(sys, "stderr", shown)
        given = {"folder": tmp_path / "study", "jobs": 2} | order
        run_cells((study or small()).expand(data), Order(**given), Screen(shown, waits=False))
        return given["folder"], shown.getvalue()

    return run


def small(**fields):
    """Return a study of eight cells."""
    return Study(
        **{"recipes": ("feature_extractor", "fine_tuning"), "backbones": ("LeNet5", "AlexNet=none"), "seeds": 2}
        | fields
    )
