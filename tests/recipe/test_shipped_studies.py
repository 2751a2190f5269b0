"""The studies that come with tlmed: what they ask can be read, and each runs from end to end."""

import csv
import io
from collections import Counter
from dataclasses import replace

import pytest

import tlmed
from tlmed.catalogue import read_catalogue
from tlmed.recipe import Recipe, read_study, shipped_recipes, shipped_studies, summary
from tlmed.screen import Screen

pytestmark = pytest.mark.usefixtures("empty_figures")
NAMES = (
    *("data_size", "davila_strategies", "degree_of_fine_tuning", "image_size"),
    *("kim_table1", "rahaman_15_backbones", "shin_three_approaches"),
)
TINY = ("weights=none", "data.batch_size=16")
# The smallest images that all networks of a study take, and as little training as can be.
SMALL = {
    "data_size": ({"backbones": ("CifarNet",)}, ("data.image_size=32,32", "phases.epochs=1")),
    "davila_strategies": ({"backbones": ("MobileNet:0.25",)}, ("data.image_size=32,32", "phases.epochs=1")),
    "degree_of_fine_tuning": ({"backbones": ("MobileNet:0.25",)}, ("data.image_size=32,32", "phases.epochs=1")),
    "image_size": (
        {"backbones": ("CifarNet",), "vary": {"data.image_size": ((32, 32), (40, 40))}},
        ("phases.epochs=1",),
    ),
    "kim_table1": ({}, ("data.image_size=64,64",)),
    "rahaman_15_backbones": ({}, ("data.image_size=75,75",)),
    "shin_three_approaches": ({}, ("data.image_size=64,64", "phases.epochs=1")),
}


def test_the_table_of_shipped_studies_is_whole():
    assert tuple(shipped_studies()) == NAMES == tuple(SMALL)
    assert not set(NAMES) & set(shipped_recipes())


@pytest.mark.parametrize("name", NAMES)
def test_a_study_says_what_it_asks_and_after_whom(name):
    file, study = shipped_studies()[name], read_study(name)
    assert summary(file).startswith("After ")
    assert summary(file).endswith("?")
    assert f"tlmed sweep {name} --data" in file.read_text()
    assert set(study.backbones) <= {entry.name for entry in read_catalogue()}
    assert all(isinstance(recipe, Recipe) or recipe in shipped_recipes() for recipe in study.recipes)
    assert study.folds == 5
    cells = replace(study, seeds=1, folds=2).expand("images")
    assert len(cells) == study.size / study.seeds / study.folds * 2
    assert len({cell.name for cell in cells}) == len(cells)
    # Each configuration as often as every other, by folds that all share.
    assert set(Counter(cell.configuration for cell in cells).values()) == {2}


def test_rahaman_has_fifteen_networks():
    assert len(read_study("rahaman_15_backbones").backbones) == 15


def test_the_degrees_thaw_no_block_to_all_five():
    thawed = [recipe.phases[-1].thaw for recipe in read_study("degree_of_fine_tuning").recipes]
    assert thawed == [0, 1, 2, 3, 4, 5]


def test_a_cell_is_a_recipe_that_is_trained(images, tmp_path):
    study = replace(read_study("shin_three_approaches"), backbones=("CifarNet",), seeds=1, folds=None)
    cells = study.expand(str(images), (*TINY, "data.image_size=32,32"))
    assert [cell.title for cell in cells] == list(study.recipes)
    assert [cell.recipe.phases[0].thaw for cell in cells] == [0, "all", "all"]
    run = tlmed.train(cells[0].recipe, tmp_path, verbose=False)
    assert 0.5 < run.metrics["metrics"]["auc"]["value"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_trained_with_random_weights_on_small_images(name, images, tmp_path):
    from tlmed.studies import Order, run_cells

    changes, fixed = SMALL[name]
    study = replace(read_study(name), seeds=1, folds=None, **changes)
    cells = study.expand(str(images), (*TINY, *fixed))
    run_cells(cells, Order(tmp_path / "study"), Screen(io.StringIO(), waits=False))
    with (tmp_path / "study" / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["cell"]: row["reason"] for row in rows if row["state"] != "complete"} == {}
    assert sorted(row["cell"] for row in rows) == sorted(cell.name for cell in cells)
