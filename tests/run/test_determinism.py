"""Two runs of one recipe, in two processes, end in the same bits; by default tests/cli/test_cli.py sees it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tlmed.errors import InputError
from tlmed.recipe import Recipe, load_recipe, override, shipped_recipes
from tlmed.rundir import RunDir
from tlmed.seeds import derive

ROOT = Path(__file__).parents[2]
AUGMENTED = (
    *("fine_tuning", "augment.preset=histology", "augment.zoom=0.1", "augment.contrast=0.2", "augment.brightness=0.1"),
    *("augment.gamma=0.2", "augment.speckle=0.1", "augment.noise=0.1"),
)


def start(folder, name, *words, strategy="one", **variables):
    """Start to train recipes in a process of its own, which shares nothing with others."""
    own = {"TLMED_CACHE_DIR": str(folder / f"cache-{name}"), "PYTHONHASHSEED": "1" if name == "a" else "2"}
    command = [sys.executable, "-m", "tests.every_recipe", strategy, str(folder / name), *words]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **own, **variables})


def repeat(folder, *words, **options):
    """Train recipes in two processes at once, and return the folders of their runs."""
    processes = [start(folder, name, *words, **options) for name in ("a", "b")]
    assert [process.wait(1500) for process in processes] == [0, 0]
    return folder / "a", folder / "b"


def check_same(folder, other):
    one, other = RunDir(folder), RunDir(other)
    assert (one / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes(), folder
    results = [run.json("lock.json")["results"] for run in (one, other)]
    assert results[0] == results[1], folder
    assert len(results[0]["weights"]) == 64
    if not one.path.name.endswith("hybrid"):
        assert len(results[0]["history"]) > 1


def check_all(folders, names):
    for name in names:
        check_same(*(folder / name for folder in folders))


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["auto", "off"])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_every_recipe_gives_the_same_bits(threads, cache, tmp_path):
    names = sorted(shipped_recipes())
    folders = repeat(tmp_path, *names, f"cache={cache}", TF_NUM_INTRAOP_THREADS=threads)
    check_all(folders, names)
    environment = RunDir(folders[0] / names[0]).json("environment.json")
    assert environment["threads"]["intra_op"] == int(threads)


@pytest.mark.slow
def test_every_recipe_gives_the_same_bits_on_two_devices(tmp_path):
    names = sorted(shipped_recipes())
    check_all(repeat(tmp_path, *names, strategy="mirrored"), names)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["one", "mirrored"])
def test_augmentation_gives_the_same_bits(strategy, tmp_path):
    check_all(repeat(tmp_path, *AUGMENTED, "phases.epochs=2", strategy=strategy), ["fine_tuning"])


@pytest.mark.slow
def test_another_seed_gives_other_bits(tmp_path):
    one, _ = repeat(tmp_path / "0", "fine_tuning")
    other, _ = repeat(tmp_path / "1", "fine_tuning", "seed=1")
    locks = [json.loads((folder / "fine_tuning" / "lock.json").read_text())["results"] for folder in (one, other)]
    assert locks[0]["weights"] != locks[1]["weights"]


def test_streams_are_told_apart_by_their_names_alone():
    names = ("split", "backbone", "statistics", "folds", "pca", "classifier", "order")
    assert len({derive(0, name) for name in names} | {derive(1, name) for name in names}) == 2 * len(names)
    assert derive(0, "phase", "head") != derive(0, "phase", "top")
    # The streams themselves: a lock made today must be met by every later version.
    assert [derive(0, "split"), derive(7, "phase", "head")] == [877757775, 1127315647]


def test_determinism_is_a_field_that_is_on_by_default():
    recipe = load_recipe("feature_extractor")
    assert recipe.deterministic is True
    assert override(recipe, ["deterministic=false"]).deterministic is False
    with pytest.raises(InputError, match="`deterministic` must be True or False"):
        Recipe(recipe.data, "VGG16", recipe.phases, deterministic="yes")
