"""The table that compares an advice with all recipes: which is best with hindsight, how far, and the share of time."""

import importlib
import statistics
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("feature_extractor", "lora", "lp_ft")
SECONDS = {"advise": 12.0, "search": 20.0, "feature_extractor": 10.0, "lora": 50.0, "lp_ft": 40.0}


@pytest.fixture
def advise(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("advise")


def make_rows(scores):
    """Return the rows of draws with the scores [draws, (advise, three recipes, search)], as they are read."""
    return [
        {
            **{"set": "busi", "most": "", "size": "64", "seed": str(seed), "way": way},
            **{"budget": "15", "test_images": "117", "auc": str(auc), "alone": str(auc), "found": "MobileNetV2"},
            **{"seconds": str(SECONDS[way]), "processor_seconds": str(2 * SECONDS[way])},
            **{"difference": str(line[0] - auc), "low": "-0.5", "high": "0.5", "p": "0.25"},
        }
        for seed, line in enumerate(scores)
        for way, auc in zip(("advise", *NAMES, "search"), line, strict=True)
    ]


def test_the_best_recipe_is_that_of_the_means_and_differences_are_those_of_the_same_draws(advise):
    scores = np.array([[0.85, 0.80, 0.95, 0.84, 0.82], [0.85, 0.80, 0.70, 0.90, 0.82], [0.85, 0.80, 0.80, 0.86, 0.9]])
    tables = advise.make_tables(make_rows(scores), NAMES).split("\n\n")
    first, means, second = (part.splitlines()[2:] for part in tables)
    apart = scores[:, 0] - scores[:, 3]  # lp_ft: the best mean, though lora has the best single draw
    assert [cell.strip() for cell in first[0].split("|")[1:-1]] == [
        *("busi, 64 px", "3", "0.850", "0.850", "`lp_ft` 0.867", f"{apart.mean():+.3f}", f"{apart.min():+.3f}"),
        # By the other two draws `lp_ft` is chosen for the first and the last, `lora` for the second.
        *(f"{np.mean([0.84, 0.70, 0.86]):.3f}", "12", "100", "12%", "12%", "80%"),
    ]
    assert [line.split("|")[2].strip() for line in means] == [f"{mean:.3f}" for mean in scores.mean(axis=0)[:4]]
    assert [line.split("|")[4].strip() for line in second] == ["0.850"] * 3
    assert "+0.050 (-0.500 to +0.500; p = 0.25) | +0.010 (-0.500" in second[0]


def test_a_draw_without_all_recipes_is_left_out(advise):
    scores = np.random.RandomState(0).rand(3, 5)
    rows = make_rows(scores)
    missing = next(row for row in rows if (row["seed"], row["way"]) == ("1", "lora"))
    found = advise.find_draws([row for row in rows if row is not missing], NAMES)
    assert {place: sorted(seeds) for place, seeds in found.items()} == {("busi", "", "64"): ["0", "2"]}
    best = max(NAMES, key=lambda name: statistics.fmean(scores[[0, 2], 1 + NAMES.index(name)]))
    assert advise.find_best(found["busi", "", "64"], NAMES) == best
    # Without a search a draw counts: only that column is empty.
    rest = [row for row in rows if row["way"] != "search"]
    assert len(advise.find_draws(rest, NAMES)["busi", "", "64"]) == 3
    assert advise.make_tables(rest, NAMES)


def test_each_shipped_recipe_is_compared_or_the_reason_is_given(advise):
    shipped = {file.stem for file in (ROOT / "recipes").glob("*.py") if file.stem != "__init__"}
    assert set(advise.RECIPES) < shipped
    assert all(f"`{name}`" in advise.__doc__ for name in shipped - set(advise.RECIPES))


def test_all_ways_have_the_same_images_and_advice_and_search_the_same_budget(advise, tmp_path):
    (chosen,) = (each for each in advise.SETS if each.name == "ct-contrast-dicom")
    draw = advise.Draw(chosen, tmp_path / "labels.csv", 96, 3, "5m", tmp_path)
    commands = {name: make(draw, tmp_path / name)[0] for name, make in advise.list_ways(NAMES).items()}
    assert list(commands) == ["advise", *NAMES, "search"]
    for name, command in commands.items():
        assert all(setting in command for setting in ("data.image_size=96,96", "data.window=mediastinum"))
        assert not any("KFold" in argument for argument in command)
        assert ("--budget" in command) == (name in ("advise", "search"))
    assert "first_seed=3" in (tmp_path / "search.py").read_text(encoding="utf-8")
    assert "--no-experience" in commands["advise"]


def test_a_command_that_fails_is_told_and_leaves_no_seconds(advise, tmp_path, capsys):
    with pytest.raises(advise.subprocess.CalledProcessError):
        advise.call(["train", "no_such_recipe"], tmp_path / "run", tmp_path / "cache")
    assert "no_such_recipe" in capsys.readouterr().err
