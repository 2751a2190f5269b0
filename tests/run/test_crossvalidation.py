"""Cross-validation: every image is tested once, no fold sees what it is tested on, and the mean says what it is."""

import csv
import dataclasses
import json
import math
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.conftest import SMALL, draw, write_images
from tests.data.test_data_splits import digests, table
from tests.report.test_report import Reader, add_examples, make_predictions
from tests.run.test_stopped import list_sites
from tlmed import backbones
from tlmed.comparison.checks import check_means
from tlmed.data import divide, load
from tlmed.data import splits as splits_module
from tlmed.data.leaks import find_leaks
from tlmed.data.splits import assign_splits
from tlmed.ensembles import gather_runs, make_ensemble
from tlmed.errors import InputError, Interrupted
from tlmed.evaluation import score_plots
from tlmed.evaluation.lines import describe_metrics
from tlmed.evaluation.measures import Scoring, score
from tlmed.evaluation.predictions import Predictions
from tlmed.export import write_card
from tlmed.findings import GROUP, IDENTICAL
from tlmed.inference.panel import open_panel
from tlmed.inference.rescoring import evaluate
from tlmed.lock import write_lock
from tlmed.recipe import Images, KFold, from_json, load_recipe, override, read_recipe, to_json, to_source
from tlmed.report.folds import write_folds_report
from tlmed.report.frame import frame
from tlmed.report.overlays import Fold, _say_borders
from tlmed.reproduce import Request, reproduce
from tlmed.run import Voice, phase_training, preview, reading_images, story
from tlmed.run.averages import _add_up_units, _count_groups, _describe_baseline, write_averages
from tlmed.run.crossvalidation import name_folds
from tlmed.run.metric_averages import average
from tlmed.run.part_averages import average_subgroups, average_without_leaks
from tlmed.rundir import RunDir, find_run
from tlmed.status import describe_status
from tlmed.whole_files import read_csv, write_csv, write_json

NAME = "feature_extractor"
# With dropout the head is trained, so that there are steps to stop a run in.
SETTINGS = (*SMALL, "phases.epochs=1", "cache=on", "engine=tensorflow", "data.split=KFold(3)", "head.dropout=0.2")


def small(*settings):
    return override(load_recipe(NAME), [*SETTINGS, *settings])


@pytest.fixture(scope="module")
def crossed(images, tmp_path_factory):
    """Give a cross-validation in three folds, and what it said."""
    said, reads = [], []
    with pytest.MonkeyPatch.context() as patch:
        # Other tests draw the same pixels, whose features the cache of the session may hold.
        patch.setenv("TLMED_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(reading_images, "load", lambda *a, **k: reads.append(a) or load(*a, **k))
        out = tmp_path_factory.mktemp("runs") / "crossed"
        run = tlmed.train(small(), out, images, recipe_file=read_recipe(NAME), voice=Voice(say=said.append))
    assert len(reads) == 1  # for all folds
    return run, said


@pytest.fixture
def copy(crossed, tmp_path):
    """Give a copy of the cross-validation, to be spoilt."""
    return Path(shutil.copytree(crossed[0].path, tmp_path / "copy"))


def split(data, sha=None, seed=0, **fields):
    return assign_splits(data, sha or digests(len(data)), KFold(**fields), seed)[0]


@pytest.mark.parametrize("sizes", [(437, 210, 133), (7, 11), (20,) * 5])
@pytest.mark.parametrize(("k", "repeats"), [(2, 1), (5, 2), (7, 1)])
def test_every_image_is_tested_once_in_each_repeat_and_classes_are_spread_evenly(sizes, k, repeats):
    data = table(sizes)
    folds = [split(data, k=k, repeats=repeats, fold=fold + 1) for fold in range(k * repeats)]
    for repeat in range(repeats):
        tested = np.sum([splits == "test" for splits in folds[repeat * k : (repeat + 1) * k]], axis=0)
        assert (tested == 1).all()
    for splits in folds:
        found = {name: np.bincount(data.labels[splits == name], minlength=len(sizes)) for name in set(splits)}
        assert set(found) == {"train", "val", "test"}
        assert np.abs(found["test"] - np.array(sizes) / k).max() <= 1
        assert np.abs(found["val"] - 0.15 * (np.array(sizes) - found["test"])).max() <= 1
        assert min(counts.min() for counts in found.values()) >= 1
    assert len({tuple(splits) for splits in folds}) == len(folds)


@pytest.mark.parametrize("seed", range(3))
def test_groups_and_identical_files_stay_together_in_every_fold(seed):
    random = np.random.RandomState(seed)
    groups = tuple(f"p{random.randint(90)}-{row < 200}" for row in range(300))
    data, sha = table((200, 100), groups=groups), tuple(f"{random.randint(280):064x}" for _ in range(300))
    folds = [split(data, sha, seed, k=4, repeats=2, fold=fold) for fold in range(1, 9)]
    for splits in folds:
        assert not [leak for leak in find_leaks(data, sha, splits) if leak.kind in (GROUP, IDENTICAL)]
    assert np.sum([splits == "test" for splits in folds], axis=0).tolist() == [2] * 300


def test_seed_repeat_and_fold_decide_and_nothing_else():
    data = table((30, 30))
    one = split(data, k=3, repeats=2, fold=2)
    np.testing.assert_array_equal(one, split(data, k=3, repeats=5, fold=2))
    assert (one != split(data, k=3, repeats=2, fold=5)).any()
    assert (one != split(data, seed=1, k=3, fold=2)).any()
    # `val` moves nothing between train and test.
    np.testing.assert_array_equal(one == "test", split(data, k=3, fold=2, val=0.4) == "test")
    assert (split(data, k=3, fold=2, val=0.4) == "val").sum() == 16


def test_the_folds_of_seed_0_are_pinned():
    # Printed by this call itself. A change makes old and new runs incomparable, and belongs in the changelog.
    folds = [split(table((6, 5)), k=2, repeats=2, fold=fold) for fold in (1, 2, 3, 4)]
    pinned = ["earereeaeer", "reereareare", "reereareeea", "erreaeerrae"]  # the second letters of the names
    assert ["".join(name[1] for name in splits) for splits in folds] == pinned


@pytest.mark.parametrize(
    ("data", "sha", "fields", "words"),
    [
        (
            table((3, 20)),
            None,
            {"k": 5, "fold": 1},
            ["'class0' with 3 images in 3", "5 different images", "fewer folds"],
        ),
        (table((3, 2, 9)), None, {"k": 5, "fold": 1}, ["'class0'", "'class1'"]),
        (table((3, 20)), None, {"k": 2, "fold": 1}, ["4 different images", "of fold"]),
        (
            table((6, 9), groups=tuple("aaabbbcdefghijk")),
            None,
            {"k": 3, "fold": 1},
            ["6 images in 2", "separate groups"],
        ),
        (table((4, 9)), ("0" * 64,) * 4 + digests(10)[1:], {"k": 3, "fold": 1}, ["4 images in 1 "]),
        (table((9, 9)), None, {"k": 3}, ["`fold` must be a number from 1 to 3", "fold=None"]),
        (table((9, 9)), None, {"k": 3, "fold": 4}, ["`fold` must be a number from 1 to 3", "fold=4"]),
        (table((9, 9)), None, {"k": 1, "val": 0, "fold": 1}, ["`k` must be", "`val` must be"]),
        (
            table((9, 9), splits=("train", "test", "test") * 6),
            None,
            {"k": 3, "fold": 1},
            ["must divide the images itself", "without the column `split`", "gives train and test"],
        ),
    ],
)
def test_what_cannot_be_divided_is_named(data, sha, fields, words):
    with pytest.raises(InputError) as error:
        split(data, sha, **fields)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_more_folds_than_images_are_refused_before_any_is_made(monkeypatch):
    monkeypatch.setattr(splits_module, "split_units", lambda *args: pytest.fail("divided"))
    with pytest.raises(InputError, match=r"1000 different images or more; fewer folds .* with 14 images in 14"):
        split(table((14, 14)), k=1000, fold=1)


def test_the_first_fold_knows_what_is_wrong_with_the_last():
    data = table((3, 20))  # of two folds one is left with a single image for train and val
    with pytest.raises(InputError) as error:
        split(data, k=2, fold=1)
    (wrong,) = (fold for fold in (1, 2) if f"of fold {fold}" in str(error.value))
    with pytest.raises(InputError):
        split(data, k=2, fold=wrong)
    other = 3 - wrong
    assert other == 1 or set(split(data, k=2, fold=other)) == {"train", "val", "test"}


def test_images_are_divided_again_without_being_read_again(images):
    first = load(images, (32, 32), KFold(3, fold=1), 5)
    again = divide(first, KFold(3, fold=2), 5)
    anew = load(images, (32, 32), KFold(3, fold=2), 5)
    assert again.pixels is first.pixels
    np.testing.assert_array_equal(again.splits, anew.splits)
    assert (again.split_made, again.warnings, again.leaks) == (anew.split_made, anew.warnings, anew.leaks)


FAULTS = [
    ({}, "`data.split.k` must be a whole number of 2 or more"),
    ({"k": 1}, "k=1"),
    ({"k": True}, "k=True"),
    ({"k": 3, "repeats": 0}, "`data.split.repeats`"),
    ({"k": 3, "val": 0.0}, "`data.split.val` must be a fraction above 0 and below 1"),
    ({"k": 3, "val": 1}, "val=1"),
    ({"k": 3, "fold": 0}, "`data.split.fold`"),
    ({"k": 3, "repeats": 2, "fold": 7}, "must be a number from 1 to 6, or None for all. Received: fold=7 with k=3"),
    ({"k": 3, "folds": 2}, "`data.split.folds` is not a field of KFold. Did you mean 'fold'?"),
]


@pytest.mark.parametrize(("fields", "words"), FAULTS)
def test_a_fault_of_a_k_fold_is_named(fields, words):
    with pytest.raises(InputError) as error:
        dataclasses.replace(load_recipe(NAME), data=Images("x", split=KFold(**fields)))
    assert len(error.value.faults) == 1
    assert words in str(error.value)


SETS = [
    (["data.split=KFold(5)"], KFold(5)),
    (["data.split=KFold(k=5, repeats=3)"], KFold(5, repeats=3)),
    (["data.split= KFold( 5, 2, val = 0.2, fold=None )"], KFold(5, 2, 0.2)),
    (["data.split=KFold(5)", "data.split.k=10", "data.split.fold=3"], KFold(10, fold=3)),
    (["data.split=KFold(5, fold=3)", "data.split.fold=none"], KFold(5)),
    (["data.split=KFold(5)", "data.split=0.5,0.25,0.25"], (0.5, 0.25, 0.25)),
    (["data.split=(0.5, 0.25, 0.25)"], (0.5, 0.25, 0.25)),
]


@pytest.mark.parametrize(("settings", "value"), SETS)
def test_a_k_fold_can_be_set_and_comes_back_from_json_and_source(settings, value, tmp_path):
    recipe = override(load_recipe(NAME), settings)
    assert recipe.data.split == value
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe
    (tmp_path / "again.py").write_text(to_source(recipe))
    assert load_recipe(tmp_path / "again.py") == recipe


BAD_SETS = [
    ("data.split.k=10", "a KFold(...) has some, if it is set first"),
    ("data.split=5", "three fractions above 0 that sum to 1: train, val, test; or a KFold(...)"),
    ("data.split=KFold(5", "split='KFold(5'"),
    ("data.split=KFold(5).x", "split='KFold(5).x'"),
    ("data.split=KFold(k=5, k=6)", "split='KFold(k=5, k=6)'"),
    ("data.split=KFold(**{'k': 5})", "or a KFold(...)"),
    ("data.split=KFold(__import__('os').getpid())", "or a KFold(...)"),
    ("data.split=" + "(" * 9999, "or a KFold(...)"),
    ("data.split=KFold(5, fold=6)", "from 1 to 5"),
    ("data.split=KFold(1)", "k=1"),
]


@pytest.mark.parametrize(("setting", "words"), BAD_SETS)
def test_a_bad_setting_of_a_k_fold_is_an_error_and_never_run(setting, words):
    with pytest.raises(InputError) as error:
        override(load_recipe(NAME), [setting])
    assert words in str(error.value)


def surely(value, width=0.001):
    """Return a fold's entry of a metric with an interval so narrow that the folds differ by more."""
    return {"value": value, "low": value - width, "high": value + 2 * width}


def test_the_corrected_interval_equals_a_hand_computed_one():
    # Mean 0.82, s^2 = 0.0010 / 4 = 0.00025; k = 5, val = 0.15: a fifth is tested and 0.68 trained on, so that
    # (1/5 + 0.2/0.68) s^2 = 0.000123529; t(4) = 2.776445 (any table). With validation as training it were 0.0001125.
    entry = average("auc", {f"0{i}": surely(0.79 + i / 100) for i in range(1, 6)}, KFold(5))
    half = 2.776445 * 0.000123529**0.5
    assert (entry["value"], entry["low"], entry["high"]) == pytest.approx((0.82, 0.82 - half, 0.82 + half), abs=1e-7)
    assert entry["method"] == "corrected resampled t, 5 folds (Nadeau & Bengio 2003)"
    assert "note" not in entry
    # Twice the folds: t(9) = 2.262157, and 1/10 for 1/5; s^2 = 0.0020 / 9. What folds share stays.
    twice = average("auc", {str(i): surely(0.80 + i % 5 / 100) for i in range(10)}, KFold(5, repeats=2))
    half = 2.262157 * ((1 / 10 + 0.2 / 0.68) * 0.0020 / 9) ** 0.5
    assert (twice["low"], twice["high"]) == pytest.approx((0.82 - half, 0.82 + half), abs=1e-8)
    assert "5 folds x 2 repeats" in twice["method"]


def test_an_interval_stays_where_its_metric_can_be():
    cut = average("auc", {"01": surely(0.9), "02": surely(1.0)}, KFold(2))
    assert (cut["low"], cut["high"]) == (0, 1)
    assert cut["note"] == "The interval is cut at 0 and at 1."
    assert average("mcc", {"01": {"value": 0.1}, "02": {"value": 0.3}}, KFold(2))["low"] == -1
    assert average("log_loss", {"01": {"value": 1.0}, "02": {"value": 2.0}}, KFold(2))["high"] > 2


def test_folds_that_agree_by_luck_leave_the_sampling_error_of_their_images():
    # By hand: sqrt(0.1^2 + 0.1^2 + 0.1^2 + 0.1^2) / 4 = 0.05 below the mean, twice that above.
    same = average("sensitivity", {str(i): surely(0.7, 0.1) for i in range(4)}, KFold(4))
    assert (same["value"], same["low"], same["high"]) == pytest.approx((0.7, 0.65, 0.8))
    assert "widened to the folds' own intervals combined (Zou & Donner 2008)" in same["method"]
    near = average("sensitivity", {str(i): surely(0.7 + i / 1e4, 0.1) for i in range(4)}, KFold(4))
    assert (near["low"], near["high"]) == pytest.approx((0.65015, 0.80015))
    # The images of a second repeat are those of the first: they tell nothing more of how the sample may differ.
    twice = average("sensitivity", {str(i): surely(0.7, 0.1) for i in range(8)}, KFold(4, repeats=2))
    assert (twice["low"], twice["high"]) == pytest.approx((0.65, 0.8))
    apart = average("sensitivity", {str(i): surely(0.5 + i / 10, 0.1) for i in range(4)}, KFold(4))
    assert apart["method"] == "corrected resampled t, 4 folds (Nadeau & Bengio 2003)"
    assert apart["high"] - apart["low"] > 0.15


def test_a_fold_without_an_interval_leaves_the_spread_of_the_folds_and_is_named():
    entries = {"01": surely(0.7), "02": {"value": 0.8, "low": None, "high": None}, "03": surely(0.75)}
    found = average("kappa", entries, KFold(3))
    assert found["low"] < 0.75 < found["high"]
    assert found["note"] == (
        "Fold 02 has no interval: this one shows how the folds vary, without the sampling error of their images."
    )


def test_what_has_no_mean_or_no_interval_says_why():
    entries = {"01": {"value": None, "reason": "No b."}, "02": {"value": 0.5}, "03": {"value": None, "reason": "No b."}}
    found = average("auc", entries, KFold(3))
    assert (found["value"], found["low"], found["reason"]) == (None, None, "In folds 01, 03: No b.")
    same = average("auc", {"01": {"value": 1.0}, "02": {"value": 1.0}}, KFold(2))
    assert (same["value"], same["low"], same["method"]) == (1.0, None, None)
    assert "same value" in same["note"]


def divide_by(trait, **values):
    """Return a fold's subgroups; `values` are each value's number of images and accuracy."""
    table = {value: {"n": n, "metrics": {"accuracy": {"value": score}}} for value, (n, score) in values.items()}
    return {"subgroups": {trait: table}}


def test_subgroups_that_all_folds_have_are_averaged():
    results = [divide_by("site", A=(6, 0.5), B=(4, 1.0)), divide_by("site", A=(5, 0.7), B=(5, None))]
    results[1]["subgroups"]["site"]["B"]["metrics"]["accuracy"]["reason"] = "No b."
    found = average_subgroups(["01", "02"], KFold(2), results)
    assert list(found) == ["subgroups"]
    assert {value: part["n"] for value, part in found["subgroups"]["site"].items()} == {"A": 11, "B": 9}
    mean, undefined = (found["subgroups"]["site"][value]["metrics"]["accuracy"] for value in "AB")
    assert mean == average("accuracy", {"01": {"value": 0.5}, "02": {"value": 0.7}}, KFold(2))
    assert undefined["reason"] == "In fold 02: No b."
    twice = average_subgroups(list("1234"), KFold(2, repeats=2), [results[0]] * 4)
    assert twice["subgroups"]["site"]["A"]["n"] == 12  # of one repeat
    assert "leaked" not in twice["subgroups"]["site"]["A"]
    results[0]["subgroups"]["site"]["A"]["leaked"] = 3  # a fold without known images does not count them
    known = average_subgroups(["01", "02"], KFold(2), results)["subgroups"]["site"]
    assert (known["A"]["leaked"], known["B"].get("leaked")) == (3, None)


def test_a_column_that_does_not_divide_each_fold_makes_no_subgroups():
    results = [divide_by("site", A=(6, 0.5), B=(4, 1.0)), divide_by("site", A=(9, 0.7)), {"metrics": {}}]
    results[0]["subgroups_left_out"] = results[1]["subgroups_left_out"] = {"age": "9 values."}
    results[2]["subgroups_left_out"] = {"age": "8 values."}
    assert average_subgroups(["01", "02", "03"], KFold(3), results) == {
        "subgroups_left_out": {
            "site": "In fold 03: not scored.",
            "age": "In folds 01, 02: 9 values. In fold 03: 8 values.",
        }
    }
    assert average_subgroups(["01"], KFold(2), [{}]) == {}


def test_files_that_lack_images_are_counted_over_the_folds():
    """Each repeat tests every file once; what the source lists is the same in all folds."""
    lacking = {"units": {"listed": 20, "read": 20, "scored": 6, "on_fewer_images": 2}, "n": 6}
    found = _add_up_units([lacking, {"n": 7}, {"n": 7}], KFold(3))
    assert found == {"units": {"listed": 20, "read": 20, "scored": 20, "on_fewer_images": 2}}
    assert _add_up_units([lacking, {"n": 14}] * 2, KFold(2, repeats=2)) == found
    assert _add_up_units([{"n": 7}] * 3, KFold(3)) == {}


def test_a_subgroup_that_a_fold_does_not_test_is_averaged_over_the_others_which_are_counted():
    results = [divide_by("site", A=(6, 0.5), B=(4, 1.0)), divide_by("site", A=(9, 0.7)), divide_by("site", A=(9, 0.6))]
    results[2] = divide_by("site", A=(9, 0.6), B=(2, 0.5))
    found = average_subgroups(["01", "02", "03"], KFold(3), results)["subgroups"]["site"]
    assert (found["A"]["n"], found["B"]["n"]) == (24, 6)
    assert "folds" not in found["A"]["metrics"]["accuracy"]
    mean = found["B"]["metrics"]["accuracy"]
    assert (mean["value"], mean["folds"]) == (0.75, ["01", "03"])
    assert mean["note"].startswith("Mean of 2 of 3 folds. In fold 02: no image.")
    del results[2]["subgroups"]["site"]["B"]
    one = average_subgroups(["01", "02", "03"], KFold(3), results)["subgroups"]["site"]["B"]["metrics"]["accuracy"]
    assert (one["value"], one["folds"]) == (None, ["01"])
    assert one["reason"] == "Two folds of 3 are needed, 1 can be used. In folds 02, 03: no image."


def score_folds(classes, folds):
    """Return the results of folds, each a list of (true class, score of the last class, value of a column)."""
    results = []
    for rows in folds:
        labels, last, site = (np.array(column) for column in zip(*rows, strict=True))
        scores = np.full((len(rows), len(classes)), ((1 - last) / (len(classes) - 1))[:, None])
        scores[:, -1] = last
        paths = [f"{i}.png" for i in range(len(rows))]
        made = Predictions(paths, np.full(len(rows), "test"), labels, scores, scores.argmax(axis=1), tuple(classes))
        results.append(score(dataclasses.replace(made, traits={"site": site.tolist()}), Scoring("test", None, 0)))
    return results


def test_a_fold_whose_subgroup_lacks_a_class_is_left_out_of_means_over_classes_and_named():
    random = np.random.default_rng(0)
    folds = [[(c, random.random(), site) for site in "AB" for c in (0, 1, 2) for _ in range(4)] for _ in range(3)]
    folds[1] = [row for row in folds[1] if row[0] != 1 or row[2] == "A"]  # no image of n in B
    results = score_folds(("m", "n", "o"), folds)
    found = average_subgroups(["01", "02", "03"], KFold(3), results)["subgroups"]["site"]
    values = {
        name: [result["subgroups"]["site"]["B"]["metrics"][name]["value"] for result in results]
        for name in ("accuracy", "auc", "sensitivity", "specificity")
    }
    for name, (first, second, third) in values.items():
        entry = found["B"]["metrics"][name]
        if name == "accuracy":
            assert entry["value"] == pytest.approx(np.mean([first, second, third]))
            assert "folds" not in entry
        else:
            assert entry["value"] == pytest.approx(np.mean([first, third]))
            assert entry["folds"] == ["01", "03"]
            assert entry["note"].startswith("Mean of 2 of 3 folds. In fold 02: no image of 'n'.")
        assert "folds" not in found["A"]["metrics"][name]


def test_of_two_classes_only_the_metric_of_the_absent_one_leaves_the_fold_out():
    random = np.random.default_rng(1)
    folds = [[(c, random.random(), site) for site in "AB" for c in (0, 1) for _ in range(4)] for _ in range(3)]
    folds[0] = [row for row in folds[0] if row[0] != 1 or row[2] == "A"]
    results = score_folds(("benign", "malignant"), folds)
    found = average_subgroups(["01", "02", "03"], KFold(3), results)["subgroups"]["site"]["B"]["metrics"]
    assert [len(found[name].get("folds", "all")) for name in found] == [3, 2, 2, 3]
    assert "In fold 01: no image of 'malignant'." in found["sensitivity"]["note"]
    lines = "\n".join(describe_metrics({**results[0], **average_subgroups(["01", "02", "03"], KFold(3), results)}))
    assert "Note on auc, sensitivity: Mean of 2 of 3 folds. In fold 01: no image of 'malignant'." in lines


def test_a_subgroup_that_has_no_image_of_a_class_in_any_fold_says_so():
    """Its means are over fewer classes than those of all images: one class for all gives 1/2 there, and 1/3 in all."""
    random = np.random.default_rng(1)
    rows = [(c, random.random(), site) for site in "AB" for c in (0, 1, 2) for _ in range(4)]
    folds = [[row for row in rows if row[0] != 2 or row[2] == "A"] for _ in range(3)]
    results = score_folds(("benign", "malignant", "normal"), folds)
    found = average_subgroups(["01", "02", "03"], KFold(3), results)["subgroups"]["site"]
    said = "Mean over the classes present; there is no image of 'normal'."
    noted = {name for name, entry in found["B"]["metrics"].items() if entry.get("note", "").startswith(said)}
    assert noted == {"auc", "sensitivity", "specificity"}
    assert not any(said in entry.get("note", "") for entry in found["A"]["metrics"].values())


def leave_out(n, leaked=None, known=(0.25, 0.5), whole=(0.75, 0.5)):
    """Return what a fold of `n` test images says, of which some are known to the network."""

    def enter(auc, accuracy):
        values = {"accuracy": accuracy, "auc": auc, "sensitivity": 0.5, "specificity": 0.5, "f1": 0.5}
        return {name: {"value": value, "low": None, "high": None} for name, value in values.items()}

    result = {"n": n, "metrics": enter(*whole)}
    if leaked is None:
        return result
    left = enter(*known)
    del left["f1"]
    return {**result, "without_leaks": {"leaked": leaked, "n": n - leaked, "metrics": left if n > leaked else {}}}


def test_what_folds_know_is_added_up_and_their_scores_without_it_are_averaged():
    assert average_without_leaks(["01", "02"], KFold(2), [leave_out(20)] * 2) == {}
    folds = [leave_out(20, 9), leave_out(20), leave_out(20, 3, known=(0.5, 0.5))]
    found = average_without_leaks(["01", "02", "03"], KFold(3), folds)["without_leaks"]
    assert (found["leaked"], found["n"]) == (12, 48)
    assert {name: entry["value"] for name, entry in found["metrics"].items()} == {
        "auc": 0.5,  # 0.25, 0.75 of a fold that knows none, 0.5
        **dict.fromkeys(("accuracy", "sensitivity", "specificity"), 0.5),
    }
    assert found["metrics"]["auc"]["method"].startswith("corrected resampled t, 3 folds")
    repeated = average_without_leaks(["1", "2", "3", "4"], KFold(2, repeats=2), [leave_out(30, 9)] * 4)
    assert [repeated["without_leaks"][name] for name in ("leaked", "n")] == [18, 42]
    none = average_without_leaks(["01", "02"], KFold(2), [leave_out(20, 20), leave_out(20, 3)])["without_leaks"]
    assert none["metrics"]["auc"]["value"] is None
    assert none["metrics"]["auc"]["reason"] == "In fold 01: no image is left."
    nothing = average_without_leaks(["01", "02"], KFold(2), [leave_out(20, 20)] * 2)["without_leaks"]
    assert nothing == {"leaked": 40, "n": 0, "metrics": {}}


def test_a_cross_validation_from_a_run_that_knows_the_images_says_so_of_all_folds(images, tmp_path):
    solved = ("cache=off", "head.dropout=0", "phases.l2=0.1")  # the quickest way to a head
    first = tlmed.train(small("data.split=0.5,0.1,0.4", *solved), tmp_path / "first", images)
    said = []
    recipe = small(f"weights={first.path}", *solved)
    made = tlmed.train(recipe, tmp_path / "run", images, voice=Voice(say=said.append))
    run = RunDir(made.path)
    folds, found = [fold.json("metrics.json")["without_leaks"] for fold in run.folds], made.metrics["without_leaks"]
    assert (found["leaked"], found["n"]) == (36, 24)  # of 60 images the first run has 24 in test
    assert found["leaked"] == sum(fold["leaked"] for fold in folds)
    assert [fold["leaked"] for fold in made.metrics["folds"]] == [fold["leaked"] for fold in folds]
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        assert found["metrics"][name]["value"] == pytest.approx(np.mean([it["metrics"][name]["value"] for it in folds]))
    assert "Without 36 of 60 images that training or validation knows:" in said
    page = Reader((run / "report.html").read_text()).text
    assert page.count("36 of 60 test images (60 %) are known to the networks") == 1
    assert "Without them 24 images are left, whose scores stand beside the others above." in page
    head, _, single = page.partition("Warnings of single folds")
    for name, fold in zip(("01", "02", "03"), folds, strict=True):
        assert f"Fold {name}: {fold['leaked']} of 20 test images" in single
    assert "of 20 test images" not in head
    content = run.json("metrics.json")
    content["without_leaks"]["metrics"]["accuracy"]["value"] = 0.987
    write_json(run / "metrics.json", content)
    with pytest.raises(InputError, match="must hold the means of its folds"):
        _ = made.metrics


def test_folds_that_trained_on_a_share_of_their_images_count_as_more_uncertain(copy):
    run = RunDir(copy)
    whole, thin = (write_averages(run, KFold(3), run.folds, share)["metrics"] for share in (1.0, 0.5))
    widths = [
        (thin[name]["high"] - thin[name]["low"]) / (entry["high"] - entry["low"])
        for name, entry in whole.items()
        if entry["low"] is not None
        and not any("widened" in it["method"] or "cut" in it.get("note", "") for it in (entry, thin[name]))
    ]
    share = KFold(3).test_share
    assert widths
    assert widths == pytest.approx([math.sqrt((1 / 3 + 2 * share) / (1 / 3 + share))] * len(widths))


def test_a_cross_validation_says_in_which_folds_it_cannot_tell_what_the_weights_know(copy):
    for name, hidden in (("01", 5), ("03", 7)):
        fold = RunDir(copy / "folds" / name)
        write_json(fold / "metrics.json", {**fold.json("metrics.json"), "undecided": hidden})
        write_lock(fold)
    run = RunDir(copy)
    found = write_averages(run, KFold(3), run.folds)
    assert found["undecided"] == 12
    assert [fold.get("undecided") for fold in found["folds"]] == [5, None, 7]
    said = "Whether training or validation knows 12 of 60 test images, or their patients, cannot be told."
    assert said in describe_metrics(found)
    assert said in Reader(write_folds_report(copy).read_text()).text


def test_folds_that_rank_validation_images_the_wrong_way_round_are_named_on_screen_and_page(copy):
    place = copy / "folds" / "02" / "metrics.json"
    content = json.loads(place.read_text())
    auc = {"value": 0.257, "low": 0.12, "high": 0.46, "method": "Jeffreys"}
    write_json(place, {**content, "validation": {"n": 6, "metrics": {"auc": auc}}})
    write_lock(RunDir(copy / "folds" / "02"))
    run = RunDir(copy)
    found = write_averages(run, KFold(3), run.folds)
    write_folds_report(copy)
    assert [fold["fold"] for fold in found["folds"] if "validation" in fold] == ["02"]
    words = "In 1 of 3 folds the validation AUC of what was kept is below 0.5: 0.257 (0.120 to 0.460) in fold 02."
    assert sum(line.startswith(words) for line in describe_metrics(found)) == 1
    page = Reader((copy / "report.html").read_text()).text
    assert words in page.partition("Found:")[2].partition("Means over the folds")[0]


def test_warnings_that_all_folds_have_are_told_once(copy):
    for fold, found in {"01": ["All.", "One."], "02": ["Two.", "All."], "03": ["All."]}.items():
        place = copy / "folds" / fold / "environment.json"
        write_json(place, {**json.loads(place.read_text()), "warnings": found})
    page = Reader(write_folds_report(copy).read_text()).text
    assert page.count("All.") == 1
    head, _, single = page.partition("Warnings of single folds")
    assert "All." in head
    assert single.index("Fold 01: One.") < single.index("Fold 02: Two.")


def test_the_page_of_folds_has_what_metrics_json_has(copy):
    def entry(value):
        return {"value": value, "low": value - 0.01, "high": value + 0.01, "method": "t"}

    result = json.loads((copy / "metrics.json").read_text())
    names = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "log_loss", "brier", "ece")
    result["metrics"] |= {name: entry(0.811) for name in names}
    halves = {name: entry(0.722) for name in ("accuracy", "sensitivity", "specificity", "ppv", "npv")}
    result["operating_point"] = {"rule": "sensitivity>=0.9", "at_half": halves}
    result["calibration"]["metrics"] = {name: entry(0.233) for name in ("log_loss", "brier", "ece")}
    result["at_prevalence"] = {"prevalence": 0.05, "ppv": entry(0.144), "npv": entry(0.955)}
    result["baselines"] = {"majority_class": {"description": "Most.", "auc": entry(0.5), "accuracy": entry(0.366)}}
    result |= divide_by("<site>", A=(9, 0.5)) | {"subgroups_left_out": {"age": "In fold 02: 9 values."}}
    result["subgroups"]["<site>"]["A"]["metrics"] = {"accuracy": entry(0.477)}

    def show():
        (copy / "metrics.json").write_text(json.dumps(result))
        return re.sub("<[^>]+>", "|", write_folds_report(copy).read_text()).replace("||", "|").replace("||", "|")

    page = show()
    for words in (
        "for the highest specificity that leaves the sensitivity at 0.9 or more",
        "|Sensitivity|0.811|0.801 to 0.821|0.722|0.712 to 0.732|",
        "|Brier score|0.811|0.801 to 0.821|0.233|0.223 to 0.243|",
        "|PPV|0.144|0.134 to 0.154|0.811|",
        "|majority class|Most.|0.500|0.490 to 0.510|0.366|0.356 to 0.376|",
        "&lt;site&gt;",
        "|A|9|0.477|",
        "Not by age: In fold 02: 9 values.",
    ):
        assert re.sub(r"\|+", "|", words) in re.sub(r"\s*\|[\s|]*", "|", page), words
    result["operating_point"]["rule"] = "fixed"
    assert "The recipe fixes the threshold" in show()
    for name in ("operating_point", "calibration", "at_prevalence", "baselines", "subgroups", "subgroups_left_out"):
        del result[name]
    page = show()
    for head in ("Operating point", "Calibration", "Compared with no transfer learning", "Subgroups"):
        assert f"|{head}|" not in page


def test_the_largest_group_is_counted_over_all_folds_and_told_where_it_decides_much(copy):
    rows = read_csv(copy / "folds" / "01" / "splits.csv")
    for i, row in enumerate(rows):
        row["group"] = "p" if i < 20 else str(i)
    write_csv(copy / "folds" / "01" / "splits.csv", rows[0], (row.values() for row in rows))
    fold = RunDir(copy / "folds" / "01")
    assert _count_groups(fold, {"groups": 41}) == {"groups": 41, "largest_group": 20}
    assert _count_groups(fold, {"groups": None}) == {"groups": None}
    result = json.loads((copy / "metrics.json").read_text()) | _count_groups(fold, {"groups": 41})
    write_json(copy / "metrics.json", result)
    said = "The largest group holds 20 of 60 images: every score, which counts images, depends much on that group."
    assert said in Reader(write_folds_report(copy).read_text()).text
    assert said in describe_metrics(result)


def test_folds_have_as_many_digits_as_they_need():
    assert name_folds(KFold(2)) == ["01", "02"]
    names = name_folds(KFold(10, repeats=10))
    assert (names[0], names[-1]) == ("001", "100")


def test_a_cross_validation_is_a_complete_run_with_a_run_for_each_fold(crossed):
    run = RunDir(crossed[0].path)
    assert run.complete
    files = {"recipe.py", "recipe.json", "folds.csv", "folds", "metrics.json", "timing.json", "predictions.csv"}
    assert {path.name for path in run.path.iterdir()} == files | {"report.html"}
    assert [fold.path.name for fold in run.folds] == ["01", "02", "03"]
    assert run.json("recipe.json")["data"]["split"] == {"k": 3, "repeats": 1, "val": 0.15, "fold": None}
    for number, fold in enumerate(run.folds, 1):
        assert fold.complete
        assert fold.json("recipe.json")["data"]["split"]["fold"] == number
        assert {"model.keras", "lock.json", "report.html"} <= {path.name for path in fold.path.iterdir()}
    assert f"Fold 2 of 3: {run.folds[1].path}" in crossed[1]
    assert describe_status(run) == [f"{run.path}: complete, 3 folds."]


def test_means_are_those_of_the_folds(crossed):
    result = crossed[0].metrics
    folds = [fold.json("metrics.json")["metrics"] for fold in RunDir(crossed[0].path).folds]
    assert list(result["metrics"]) == list(folds[0])
    for name, entry in result["metrics"].items():
        values = [metrics[name]["value"] for metrics in folds]
        assert [fold["metrics"][name] for fold in result["folds"]] == values
        if None not in values:
            assert entry["value"] == pytest.approx(np.mean(values))
    assert (result["split"], result["n"], result["classes"]) == ("test", 60, ["benign", "malignant", "normal"])
    assert [fold["n"] for fold in result["folds"]] == [20, 20, 20]


@pytest.mark.parametrize("part", [".", "folds/02"])
def test_means_that_were_edited_are_not_returned(part, crossed, tmp_path):
    run = RunDir(shutil.copytree(crossed[0].path, tmp_path / "run"))
    content = run.json(f"{part}/metrics.json")
    content["metrics"]["auc"]["value"] = 0.987
    write_json(run / part / "metrics.json", content)
    said = "must hold the means of its folds" if part == "." else r"where metrics\.json is not as recorded"
    with pytest.raises(InputError, match=said):
        _ = type(crossed[0])(run.path).metrics


def test_the_table_of_folds_has_sizes_scores_and_seconds(crossed):
    run = RunDir(crossed[0].path)
    rows = read_csv(run / "folds.csv")
    metrics = list(crossed[0].metrics["metrics"])
    assert list(rows[0]) == ["repeat", "fold", "train", "val", "test", *metrics, "seconds"]
    assert [(row["repeat"], row["fold"], row["train"], row["val"], row["test"]) for row in rows] == [
        ("1", name, "34", "6", "20") for name in ("01", "02", "03")
    ]
    timings = [fold.json("timing.json")["training_seconds"] for fold in run.folds]
    assert [float(row["seconds"]) for row in rows] == timings
    assert run.json("timing.json")["training_seconds"] == pytest.approx(sum(timings))


def test_predictions_hold_each_image_once_by_the_network_that_did_not_see_it(crossed):
    run = RunDir(crossed[0].path)
    rows = read_csv(run / "predictions.csv")
    assert len({row["path"] for row in rows}) == len(rows) == 60
    for row in rows:
        (home,) = (
            s["split"] for s in read_csv(run.path / "folds" / row["fold"] / "splits.csv") if s["path"] == row["path"]
        )
        assert home == "test"


def test_folds_share_the_feature_store(crossed):
    first, *others = (fold.json("timing.json")["extractions"] for fold in RunDir(crossed[0].path).folds)
    assert sum(entry["computed"] for entry in first) == 60
    assert [entry["computed"] for each in others for entry in each] == [0, 0]


def test_the_report_leads_to_the_folds_and_loads_nothing(copy, drawing):
    with drawing():
        page = write_folds_report(copy).read_text()
    assert all(f'href="folds/{name}/report.html"' in page for name in ("01", "02", "03"))
    assert all((copy / f"folds/{name}/report.html").exists() for name in ("01", "02", "03"))
    assert "their scores are not on one scale" in page
    assert "Groups and byte-identical files stay together in a fold; patients: not known." in page
    assert "corrected resampled t, 3 folds (Nadeau &amp; Bengio 2003)" in page
    assert not any(word in page for word in ("<script", "http://", "https://"))
    assert {source.partition(",")[0] for source in re.findall('src="([^"]*)"', page)} == {"data:image/png;base64"}


@pytest.mark.parametrize("known", ["named", "switched off"])
def test_the_report_says_nothing_of_patients_who_are_known_or_not_asked_for(known, copy):
    if known == "named":
        file = copy / "folds" / "01" / "splits.csv"
        rows = [{**row, "group": f"p{number % 20}"} for number, row in enumerate(read_csv(file))]
        write_csv(file, rows[0], (row.values() for row in rows))
    else:
        recipe = json.loads((copy / "recipe.json").read_text())
        recipe["data"]["groups"] = False
        (copy / "recipe.json").write_text(json.dumps(recipe))
    assert "stay together in a fold." in write_folds_report(copy).read_text()


def test_the_page_of_folds_draws_every_fold_and_adds_up_their_confusions(copy):
    folds = RunDir(copy).folds
    results = [fold.json("metrics.json") for fold in folds]
    result = json.loads((copy / "metrics.json").read_text())
    assert result["confusion"] == np.sum([each["confusion"] for each in results], axis=0).tolist()
    assert np.sum(result["confusion"]) == 60
    for label, entry in result["per_class"].items():
        assert entry["n"] == 20
        values = [each["per_class"][label]["sensitivity"]["value"] for each in results]
        assert entry["sensitivity"]["value"] == pytest.approx(np.mean(values))
    for fold in folds:
        add_examples(fold.path, each=1, side=32)
    page = write_folds_report(copy).read_text()
    for label in result["classes"]:
        areas = (f"AUC {each['per_class'][label]['auc']['value']:.3f}" for each in results)
        assert f"{label}: {', '.join(areas)}" in page
    assert "Most uncertain: two classes score almost the same" in page
    assert "each fold was the test split of a network of its own" in page
    assert "the mean AUC of 3 networks is" in page
    assert "It counts each image once" in page
    assert "classes mean the same in every fold" in page
    weakest = min(entry["sensitivity"]["value"] for entry in result["per_class"].values())
    assert re.search(f"The weakest class(es)? (is|are) .*sensitivity {weakest:.3f}", page)
    for fold in folds:
        for example in fold.json("examples.json")["examples"]:
            assert f"Fold {fold.path.name}: {example['path']}: predicted {example['prediction']}" in page


@pytest.mark.parametrize(
    ("thresholds", "said"),
    [
        ((0.366, 0.776), ": closest to the fold's threshold for b, 0.366 in 01 and 0.776 in 02"),
        ((0.5, 0.5), ": closest to the threshold of 0.500 for b"),
        ((None, None), ": two classes score almost the same"),
    ],
)
def test_uncertain_examples_of_folds_name_the_threshold_of_each(thresholds, said):
    metrics = [{"threshold": threshold, "positive": "b"} for threshold in thresholds]
    folds = [Fold(f"0{number}", None, found, {}, None) for number, found in enumerate(metrics, 1)]
    assert _say_borders(folds) == said


def test_the_mean_curve_is_the_mean_of_the_folds_at_each_rate():
    folds = [make_predictions(("a", "b"), seed=seed).of("test") for seed in range(3)]
    axes = score_plots.roc_of_folds(folds, [1]).axes[0]
    *curves, mean = axes.lines[1:]
    assert len(curves) == 3
    assert np.mean([score_plots.area_of(fold, 1) for fold in folds]) == pytest.approx(
        np.trapezoid(mean.get_ydata(), mean.get_xdata()), abs=0.005
    )
    only = [fold.take(np.flatnonzero(fold.labels == 0)) for fold in folds]
    assert [text.get_text() for text in score_plots.roc_of_folds(only, [1]).axes[0].texts] == [
        "no curve: one class only"
    ]
    assert len(score_plots.roc_of_folds(folds, [0, 1]).axes) == 2


def test_where_one_network_is_wanted_the_folds_are_named(crossed):
    for call in (lambda: find_run(crossed[0].path), crossed[0].model):
        with pytest.raises(InputError, match=r"one of its folds: .*/folds/01, .*/folds/02, .*/folds/03\. Received"):
            call()
    assert find_run(crossed[0].path / "folds" / "02").complete


def test_all_folds_answer_together_and_are_scored_as_each_fold_is_on_its_own_test_images(crossed):
    path = crossed[0].path
    panel, made = open_panel(find_run(path, several=True)), make_ensemble(gather_runs([path]))
    assert [member.run.path.name for member in panel.members] == ["01", "02", "03"]
    assert panel.decision.temperature == made.result["calibration"]["temperature"]
    assert made.result["ensemble"]["scored_by"] == {"1": made.result["n"]}
    rows, units = read_csv(path / "predictions.csv"), made.pooled.units
    found = {name: place for place, name in enumerate(units.paths)}
    order = [found.pop(row["path"]) for row in rows]
    assert not found
    for kind, scores in (("score_", units.scores), ("calibrated_", units.calibrated)):
        table = [[float(row[kind + name]) for name in units.classes] for row in rows]
        np.testing.assert_allclose(scores[order], table, atol=1e-6)
    assert [units.classes[units.predictions[place]] for place in order] == [row["prediction"] for row in rows]
    assert "The folds of a cross-validation: 3 networks answer together" in write_card(RunDir(path))


def test_a_fold_is_evaluated_checked_and_hands_its_weights_on_as_any_run(crossed):
    fold = RunDir(crossed[0].path / "folds" / "02")
    predictions, result = evaluate(fold)
    for name, entry in fold.json("metrics.json")["metrics"].items():
        assert result["metrics"][name]["value"] == pytest.approx(entry["value"], abs=1e-6)
    tested = {row["path"] for row in read_csv(fold / "splits.csv") if row["split"] == "test"}
    assert set(predictions.units.of("test").paths) == tested
    assert not reproduce(Request(fold.path, mode="check")).faults
    assert "a finished run" in backbones.locate("CifarNet", str(fold.path), (32, 32))
    for call in (
        lambda: reproduce(Request(crossed[0].path)),
        lambda: backbones.locate("CifarNet", str(crossed[0].path), (32, 32)),
    ):
        with pytest.raises(InputError, match=r"one of its folds: .*/folds/01"):
            call()


def test_a_complete_cross_validation_is_returned_as_it_is_and_another_is_refused(crossed, images, monkeypatch):
    monkeypatch.setattr(story, "prepare", None)
    said = []
    assert tlmed.train(small(), crossed[0].path, images, voice=Voice(say=said.append)).path == crossed[0].path
    # `evaluate` takes a network's run, so that a fold is named.
    assert f"(`tlmed evaluate {crossed[0].path / 'folds' / '01'}` names what has changed)" in said[0]
    for setting in ("data.split.k=5", "data.split=0.5,0.25,0.25", "data.split.fold=1"):
        with pytest.raises(InputError, match=r"another recipe.*data\.split"):
            tlmed.train(small(setting), crossed[0].path, images)


def interrupt_fold(monkeypatch, number):
    """Press Ctrl-C while that fold trains."""
    fit, seen = phase_training.fit_phase, []

    def fit_some(*args, **options):
        seen.append(args)
        if len(seen) == number:
            raise Interrupted("Stopped by Ctrl-C.")
        return fit(*args, **options)

    monkeypatch.setattr(phase_training, "fit_phase", fit_some)


def test_a_stopped_cross_validation_goes_on_with_the_fold_that_it_stopped_in(crossed, images, tmp_path, monkeypatch):
    out = tmp_path / "run"
    for name in ("01", "03"):  # as other processes have trained them, each a run by itself
        shutil.copytree(crossed[0].path / "folds" / name, out / "folds" / name)
    with monkeypatch.context() as patch:
        interrupt_fold(patch, 1)
        message = rf"Fold 2 of 3: Stopped by Ctrl-C. The same command with `--out {out}` continues."
        with pytest.raises(Interrupted) as error:
            tlmed.train(small(), out, images, recipe_file=read_recipe(NAME))
        assert str(error.value) == message
    assert (out / "UNFINISHED").read_text().strip() == message
    assert not RunDir(out).complete
    lines = describe_status(RunDir(out))
    assert "stopped" in lines[0]
    assert lines[2:4] == ["2 of 3 folds complete.", "Fold 02: Stopped by Ctrl-C."]
    with pytest.raises(InputError, match="must be complete"):
        find_run(out)
    models = {name: out / "folds" / name / "model.keras" for name in ("01", "03")}
    before = {name: path.stat().st_mtime_ns for name, path in models.items()}
    said = []
    tlmed.train(small(), out, images, recipe_file=read_recipe(NAME), voice=Voice(say=said.append))
    assert {name: path.stat().st_mtime_ns for name, path in models.items()} == before
    assert sum("complete already" in line for line in said) == 2
    for name in ("predictions.csv", "metrics.json"):
        assert (out / name).read_bytes() == (crossed[0].path / name).read_bytes()


def test_inputs_at_fault_leave_nothing_behind_and_what_was_there_as_it_was(copy, tmp_path, images):
    faulty = small("data.split.k=21")
    with pytest.raises(InputError, match="21 different images or more"):
        tlmed.train(faulty, tmp_path / "run", images)
    assert not (tmp_path / "run").exists()
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    with pytest.raises(InputError, match="21 different images or more"):
        tlmed.train(faulty, copy, images, fresh=True)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="new or empty"):
        tlmed.train(small(), tmp_path / "thesis", images)
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["thesis.txt"]


def test_starting_over_removes_the_folds_that_were_there_and_nothing_else(copy, images, monkeypatch):
    (copy / "folds" / "03" / "notes.txt").write_text("mine")
    interrupt_fold(monkeypatch, 1)
    with pytest.raises(Interrupted):
        tlmed.train(small("data.split.k=2"), copy, images, fresh=True)
    assert [path.name for path in (copy / "folds" / "03").iterdir()] == ["notes.txt"]
    assert not (copy / "folds" / "02").exists()
    assert not (copy / "metrics.json").exists()
    assert RunDir(copy).json("recipe.json")["data"]["split"]["k"] == 2


def test_a_fold_is_not_trained_on_other_images_than_the_first(crossed, images, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(crossed[0].path / "folds" / "01", out / "folds" / "01")
    shutil.copytree(images, tmp_path / "images")
    recipe = RunDir(out / "folds" / "01").json("recipe.json")
    recipe["data"]["source"] = str(tmp_path / "images")
    (out / "folds" / "01" / "recipe.json").write_text(json.dumps(recipe))
    Image.fromarray(draw(0, 99)).save(tmp_path / "images" / "benign" / "added.png")
    with pytest.raises(InputError, match=r"All folds must be of the same images.*: 1 new: benign/added.png"):
        tlmed.train(small(), out, tmp_path / "images", recipe_file=read_recipe(NAME))
    assert not (out / "folds" / "02").exists()


def write_sites(source, rows, header="path,label,site"):
    source.write_text("\n".join([header, *map(",".join, rows)]))


def test_a_column_that_changed_since_a_fold_was_trained_is_refused_before_the_next(images, tmp_path, monkeypatch):
    out, recipe, source = tmp_path / "run", small("data.split=KFold(2)"), list_sites(images, tmp_path / "data")
    with monkeypatch.context() as patch:
        interrupt_fold(patch, 2)
        with pytest.raises(Interrupted):
            tlmed.train(recipe, out, source)
    rows = [line.split(",") for line in source.read_text().splitlines()[1:]]
    fold = {row["path"]: row["split"] for row in read_csv(out / "folds" / "01" / "splits.csv")}
    first = next(path for path, split in fold.items() if split == "test")
    write_sites(source, [(path, label, "B" if path == first else "A") for path, label, _ in rows])
    with pytest.raises(InputError, match=r"same in all folds: .* Received: other values than .*folds/01 had in 'site'"):
        tlmed.train(recipe, out, source)
    assert not (out / "folds" / "02" / "model.keras").exists()
    # Fold 1 tested no image whose value differs now, and a new column makes no means.
    later = [
        (path, label, site if fold[path] == "test" or label != "benign" else "C", "DE"[n % 2])
        for n, (path, label, site) in enumerate(rows)
    ]
    write_sites(source, later, "path,label,site,scanner")
    result = tlmed.train(recipe, out, source).metrics
    assert set(result["subgroups"]["site"]) == {"A", "B", "C"}
    assert result["subgroups_left_out"] == {"scanner": "In fold 01: not scored."}


def test_folds_of_other_images_are_not_averaged(copy, images):
    (copy / "metrics.json").unlink()
    rows = read_csv(copy / "folds" / "02" / "splits.csv")
    rows[7]["sha256"] = "0" * 64
    with (copy / "folds" / "02" / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([rows[0], *(row.values() for row in rows)])
    with pytest.raises(
        InputError, match=rf"folds/02 with other images than .*folds/01: 1 changed: {rows[7]['path'][:7]}"
    ):
        tlmed.train(small(), copy, images)


def test_several_workers_are_told_to_train_a_fold_each(images, tmp_path, monkeypatch):
    cluster = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(InputError, match=r"`--set data.split.fold=1 --out DIR/folds/01`"):
        tlmed.train(small(), tmp_path / "run", images)
    assert not (tmp_path / "run").exists()


def test_a_network_of_the_users_own_begins_each_fold_with_the_same_weights():
    net = keras.Sequential([keras.layers.Conv2D(2, 3)])
    with pytest.raises(InputError, match="must have its weights before"):
        story._make_fold_trainer(lambda *args, **options: None, net)
    net.build((None, 8, 8, 3))
    begun = []

    def train_one(*args, **options):
        begun.append(net.get_weights()[0].copy())
        net.set_weights([weight + 1 for weight in net.get_weights()])

    train = story._make_fold_trainer(train_one, net)
    for _ in range(2):
        train(None, begin=None)
    np.testing.assert_array_equal(*begun)


def test_a_plan_shows_the_folds(images, tmp_path):
    words = preview(small(f"data.source={images}", "data.split=KFold(5, repeats=3)"))[0]
    assert words[-1] == (
        "Cross-validation: 5 folds, repeated 3 times: 15 runs, with train 42, val 6, test 12 images; "
        "the first fold is shown"
    )
    assert "fold 2 of 3 alone" in preview(small(f"data.source={images}", "data.split.fold=2"))[0][-1]
    given = write_images(tmp_path / "train", 4).parent
    shutil.copytree(given / "train", given / "test")
    with pytest.raises(InputError, match="must divide the images itself"):
        preview(small(f"data.source={given}"))


@pytest.fixture
def patients(tmp_path):
    """Give a list of 36 images of 18 patients, of two classes."""
    folder = write_images(tmp_path / "patients", 18, ("ill", "well"))
    rows = [(path.relative_to(folder), path.parent.name) for path in sorted(folder.rglob("*.png"))]
    lines = [f"{path},{label},{label}{i // 2}" for i, (path, label) in enumerate(rows)]
    (folder / "list.csv").write_text("\n".join(["path,label,group", *lines]) + "\n")
    return folder / "list.csv"


def test_a_plan_gives_the_smallest_and_the_largest_fold_where_a_patient_has_half_of_the_images(patients):
    rows = [
        f"{line.rpartition(',')[0]},{'p' if i % 2 else i}" for i, line in enumerate(patients.read_text().splitlines())
    ]
    patients.write_text("\n".join(["path,label,group", *rows[1:]]) + "\n")
    settings = (f"data.source={patients}", "data.split=KFold(3, val=0.3)")
    said = preview(small(*settings))[0][-1]
    folds = [preview(small(*settings, f"data.split.fold={fold}"))[0] for fold in (1, 2, 3)]
    images = [next(words for words in fold if str(words).startswith("Images: ")) for fold in folds]
    for split in ("train", "val", "test"):
        sizes = [int(re.search(rf"{split} (\d+)", words)[1]) for words in images]
        assert min(sizes) < max(sizes)
        assert f"{split} {min(sizes)} to {max(sizes)}" in said


@pytest.mark.slow
def test_repeats_groups_and_baselines(patients, tmp_path):
    recipe = small("data.split=KFold(2, repeats=2, val=0.3)", "baselines=true", "data.positive=ill")
    run = tlmed.train(recipe, tmp_path / "run", patients)
    result = run.metrics
    assert (result["n"], result["groups"], result["positive"]) == (36, 18, "ill")
    assert [row["repeat"] for row in read_csv(run.path / "folds.csv")] == ["1", "1", "2", "2"]
    folds = RunDir(run.path).folds
    for name, baseline in result["baselines"].items():
        values = [fold.json("metrics.json")["baselines"][name]["auc"]["value"] for fold in folds]
        assert baseline["auc"]["value"] == pytest.approx(np.mean(values))
    notes = [fold.json("metrics.json")["operating_point"]["note"] for fold in folds]
    assert all(re.search(r"It rests on few validation images \(\d groups? of 'ill'", note) for note in notes)
    assert not (run.path / "predictions.csv").exists()  # each image was predicted twice
    page = (run.path / "report.html").read_text()
    assert "36 images of 18 groups" in page
    assert "2 folds in 2 repeats, each divided anew" in page


def test_the_lead_of_a_hybrid_says_that_classifiers_know_images():
    empty = {"value": None, "low": None, "high": None}
    leaks = {"leaked": 3, "n": 6, "metrics": {}}
    metrics = {"split": "test", "n": 9, "classes": ["a", "b"], "metrics": {"auc": empty}, "without_leaks": leaks}
    single = frame("A run", metrics, {}, False, "run", "classifier")
    assert "known to the classifier</b>" in single
    assert "known to the classifiers</b>" in frame("A run", {**metrics, "folds": []}, {}, False, "run", "classifier")
    assert "known to the networks</b>" in frame("A run", {**metrics, "folds": []}, {}, False, "run")


@pytest.mark.slow
def test_a_hybrid_is_cross_validated_too(images, tmp_path):
    settings = [*SMALL, "head.classifier=LogisticRegression", "head.folds=3", "data.split=KFold(2)"]
    run = tlmed.train(override(load_recipe("feature_extractor_hybrid"), settings), tmp_path / "run", images)
    assert all((fold / "classifier.skops").exists() for fold in RunDir(run.path).folds)
    assert run.metrics["metrics"]["auc"]["value"] > 0.5
    text = " ".join(Reader((run.path / "report.html").read_text()).text.split())
    for words in (
        "starting from random weights, and LogisticRegression as the classifier of the features. Seed 0.",
        "each fold was the test split of a classifier of its own",
        "the mean AUC of 2 classifiers is",
        "each fold has a classifier of its own",
        "as predicted by the classifier of the fold that tests it",
        "thin, each fold's classifier on its test images",
    ):
        assert words in text, words


@pytest.mark.slow
def test_a_fold_is_reproduced_by_itself(crossed, tmp_path):
    comparison = reproduce(Request(crossed[0].path / "folds" / "03", out=tmp_path / "again"))
    assert not comparison.faults
    assert "compared by bits" in comparison.asked


def test_the_majority_class_may_be_another_one_in_some_folds():
    folds = [{"answers": [answer]} for answer in ("ill", "well", "well")]
    assert _describe_baseline(folds, "file") == {
        "description": "Always 'well' or 'ill': no class is more frequent in each fold's training files; its scores "
        "are the shares of the classes.",
        "answers": ["well", "ill"],
    }
    assert _describe_baseline([{"description": "A linear classifier."}] * 2, "file") == {
        "description": "A linear classifier."
    }


def test_of_ratios_the_logarithms_are_averaged():
    folds = {str(fold): {"value": 4.0**fold, "low": 4.0**fold / 2, "high": 4.0**fold * 2} for fold in (1, 2, 3)}
    found = average("lr_positive", folds, KFold(3))
    assert found["value"] == pytest.approx(16.0)
    assert found["high"] / 16 == pytest.approx(16 / found["low"])
    assert found["method"].endswith(", of logarithms")
    zero = average("lr_negative", folds | {"2": {"value": 0.0, "low": 0.0, "high": 0.1}}, KFold(3))
    assert (zero["value"], zero["low"]) == (0.0, None)
    assert zero["note"].startswith("The ratio of a fold is 0")
    benefits = {name: {"value": 0.1, "low": -0.1, "high": 0.2, "at": 0.2} for name in "ab"}
    benefit = average("net_benefit_at_0.2", benefits, KFold(2))
    assert benefit["at"] == 0.2
    assert benefit["low"] < 0  # not cut at 0


def test_a_mean_of_ratios_is_what_a_comparison_expects_of_the_folds():
    entries = {
        fold: {"value": value, "low": value / 2, "high": value * 2} for fold, value in {"01": 2, "02": 8}.items()
    }
    folds = {fold: {"metrics": {"lr_positive": entry}} for fold, entry in entries.items()}
    check_means(Path("run"), {"metrics": {"lr_positive": average("lr_positive", entries, KFold(2))}}, folds)
    with pytest.raises(InputError, match=r"Received: run: lr_positive 5.000 there, 4"):
        check_means(Path("run"), {"metrics": {"lr_positive": {"value": 5.0}}}, folds)
