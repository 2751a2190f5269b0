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


@pytest.fixture
def tables(advise):
    return importlib.import_module("advise_tables")


def make_rows(scores, share="0.15"):
    """Return the rows of draws with the scores [draws, (advise, three recipes, search)], as they are read."""
    return [
        {
            **{"set": "busi", "most": "", "size": "64", "seed": str(seed), "way": way},
            **{"share": share if way in ("advise", "search") else "", "budget": "15", "test_images": "117"},
            **{"auc": str(auc), "alone": str(auc), "found": "MobileNetV2"},
            **{"seconds": str(SECONDS[way]), "processor_seconds": str(2 * SECONDS[way])},
        }
        for seed, line in enumerate(scores)
        for way, auc in zip(("advise", *NAMES, "search"), line, strict=True)
    ]


def make_pairs(scores, share="0.15"):
    """Return the pairs of the advice with each other way."""
    return [
        {
            **{"set": "busi", "most": "", "size": "64", "seed": str(seed), "share": share, "other": other},
            **{"difference": str(line[0] - auc), "low": "-0.5", "high": "0.5", "p": "0.25"},
        }
        for seed, line in enumerate(scores)
        for other, auc in zip((*NAMES, "search"), line[1:], strict=True)
    ]


def cut(line):
    return [cell.strip() for cell in line.split("|")[1:-1]]


SCORES = np.array([[0.85, 0.80, 0.95, 0.84, 0.82], [0.85, 0.80, 0.70, 0.90, 0.82], [0.85, 0.80, 0.80, 0.86, 0.9]])


def test_the_best_recipe_is_that_of_the_means_and_differences_are_those_of_the_same_draws(tables):
    text = tables.make_tables(make_rows(SCORES), make_pairs(SCORES), NAMES)
    first, means, second = (part.splitlines()[2:] for part in text.split("\n\n"))
    apart = SCORES[:, 0] - SCORES[:, 3]  # lp_ft: the best mean, though lora has the best single draw
    assert cut(first[0]) == [
        *("busi, 64 px", "15%", "3", "0.850", "0.850", "`lp_ft` 0.867", f"{apart.mean():+.3f}", f"{apart.min():+.3f}"),
        # By the other two draws `lp_ft` is chosen for the first and the last, `lora` for the second.
        f"{np.mean([0.84, 0.70, 0.86]):.3f}",
        *("0.847 (+0.003, 3 draws)", "12", "100", "12%", "12%", "80%"),
    ]
    assert [cut(line)[1] for line in means] == [f"{mean:.3f}" for mean in SCORES.mean(axis=0)[1:4]]
    assert [cut(line)[4] for line in second] == ["0.850"] * 3
    assert "+0.050 (-0.500 to +0.500; p = 0.25) | +0.010 (-0.500" in second[0]


def test_each_budget_has_a_line_with_its_own_pairs_and_the_same_recipes(tables):
    more = np.add(SCORES, [0.02, 0, 0, 0, 0.01])
    rows = [*make_rows(SCORES), *(row for row in make_rows(more, "0.4") if row["share"])]
    pairs = [*make_pairs(SCORES), *make_pairs(more, "0.4")]
    first, means, second = (part.splitlines()[2:] for part in tables.make_tables(rows, pairs, NAMES).split("\n\n"))
    assert [cut(line)[1:5] for line in first] == [["15%", "3", "0.850", "0.850"], ["40%", "3", "0.870", "0.870"]]
    assert [cut(line)[9] for line in first] == ["0.847 (+0.003, 3 draws)", "0.857 (+0.013, 3 draws)"]
    assert all(len(cut(line)) == 2 for line in means)
    # The means of recipes are those of all draws, though the larger budget has fewer.
    fewer = [row for row in rows if (row["share"], row["seed"]) != ("0.4", "2")]
    assert tables.make_tables(fewer, pairs, NAMES).split("\n\n")[1].splitlines()[2:] == means
    assert [cut(line)[5][:6] for line in second] == ["+0.050"] * 3 + ["+0.070"] * 3


def test_the_search_is_compared_on_the_draws_that_were_searched(tables):
    rows = [row for row in make_rows(SCORES) if (row["seed"], row["way"]) != ("2", "search")]
    pairs = [pair for pair in make_pairs(SCORES) if (pair["seed"], pair["other"]) != ("2", "search")]
    first, _, second = (part.splitlines()[2:] for part in tables.make_tables(rows, pairs, NAMES).split("\n\n"))
    assert cut(first[0])[9] == "0.820 (+0.030, 2 draws)"
    assert [cut(line)[7] == "" for line in second] == [False, False, True]


def test_a_draw_without_all_recipes_is_left_out(tables):
    scores = np.random.RandomState(0).rand(3, 5)
    rows = make_rows(scores)
    missing = next(row for row in rows if (row["seed"], row["way"]) == ("1", "lora"))
    found = tables.find_draws([row for row in rows if row is not missing], NAMES)
    assert {place: sorted(seeds) for place, seeds in found.items()} == {("busi", "", "64", "0.15"): ["0", "2"]}
    best = max(NAMES, key=lambda name: statistics.fmean(scores[[0, 2], 1 + NAMES.index(name)]))
    assert tables.find_best(found["busi", "", "64", "0.15"], NAMES) == best
    # Without a search a draw counts: only its columns are empty.
    rest = [row for row in rows if row["way"] != "search"]
    assert len(tables.find_draws(rest, NAMES)["busi", "", "64", "0.15"]) == 3
    assert tables.make_tables(rest, [], NAMES)


def test_the_budget_is_a_share_of_the_seconds_of_all_recipes(advise, tmp_path):
    (chosen,) = (each for each in advise.SETS if each.name == "busi")
    draw, rows = advise.Draw(chosen, tmp_path / "labels.csv", 64, 1, tmp_path), make_rows(SCORES)
    assert advise.find_budget(rows, draw, None, advise.Way("advise", "0.15"), NAMES) == 15
    rest = [row for row in rows if (row["seed"], row["way"]) != ("1", "lora")]
    assert advise.find_budget(rest, draw, None, advise.Way("advise", "0.15"), NAMES) is None


def test_each_shipped_recipe_is_compared_or_the_reason_is_given(advise):
    shipped = {file.stem for file in (ROOT / "recipes").glob("*.py") if file.stem != "__init__"}
    assert set(advise.RECIPES) < shipped
    assert all(f"`{name}`" in advise.__doc__ for name in shipped - set(advise.RECIPES))


def test_all_ways_have_the_same_images_and_advice_and_search_the_same_budget(advise, tmp_path):
    (chosen,) = (each for each in advise.SETS if each.name == "ct-contrast-dicom")
    draw = advise.Draw(chosen, tmp_path / "labels.csv", 96, 3, tmp_path)
    ways = advise.list_ways(NAMES, ["0.15"])
    assert [way.title for way in ways] == [*NAMES, "advise-0.15", "search-0.15"]  # the seconds of recipes come first
    commands = {way.name: advise.make_command(draw, way, tmp_path / way.title, 90, NAMES) for way in ways}
    for name, command in commands.items():
        assert all(setting in command for setting in ("data.image_size=96,96", "data.window=mediastinum"))
        assert not any("KFold" in argument for argument in command)
        assert ("90s" in command) == (name in ("advise", "search"))
    assert "first_seed=3" in (tmp_path / "search-0.15.py").read_text(encoding="utf-8")
    assert "--no-experience" in commands["advise"]


def test_a_command_that_fails_is_told_and_leaves_no_seconds(advise, tmp_path, capsys):
    with pytest.raises(advise.subprocess.CalledProcessError):
        advise.call(["train", "no_such_recipe"], tmp_path / "run", tmp_path / "cache")
    assert "no_such_recipe" in capsys.readouterr().err
