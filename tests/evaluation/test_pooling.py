"""Scores of samples become one answer per file or group, as a plain loop and scikit-learn compute it."""

import dataclasses
import json
import math

import numpy as np
import pytest
import sklearn.metrics

from tests.report.test_report import Reader
from tlmed import inference
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import ExpectedCost
from tlmed.evaluation.decisions import decide
from tlmed.evaluation.measures import Scoring, score_pooled
from tlmed.evaluation.pooled_csv import read_units, write_pooled
from tlmed.evaluation.pooling import (
    Pooling,
    choose_pooling,
    describe_pooling,
    fill_groups,
    find_pooling_faults,
    find_telling,
    pool,
    pool_scores,
)
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.metrics import apply_temperature
from tlmed.report.evaluations import make_evaluation_page
from tlmed.tasks import ORDINAL, SINGLE_LABEL
from tlmed.voice import Voice

TWO, THREE = ("ill", "well"), ("a", "b", "c")


def draw(classes=TWO, files=90, seed=0, parts=True):
    """Return predictions of files with one to six samples each, a third of the files validation."""
    random = np.random.default_rng(seed)
    owners = np.repeat(np.arange(files), random.integers(1, 7, files))
    labels = random.integers(len(classes), size=files)[owners]
    scores = random.dirichlet(np.ones(len(classes)), len(owners)) + 0.4 * np.eye(len(classes))[labels]
    scores /= scores.sum(axis=1, keepdims=True)
    paths = [f"{owner}.nii#plane={i}" if parts else f"{owner}-{i}.png" for i, owner in enumerate(owners)]
    splits = tuple("val" if owner < files // 3 else "test" for owner in owners)
    groups = tuple(f"p{owner // 2 if parts else owner}" for owner in owners)
    return Predictions(tuple(paths), splits, labels, scores, scores.argmax(axis=1), classes, groups), owners


def pool_slowly(rows, how, main):
    """Return the score of one unit, as docs/metrics.md defines it."""
    most = {"mean": len(rows), "max": 1, "top3": 3}[how]
    if main is None or how == "mean":
        found = np.array([np.mean(sorted(column)[-most:]) for column in rows.T])
        return found / found.sum()
    found = np.mean(sorted(rows[:, main])[-most:])
    return np.array([found if column == main else 1 - found for column in range(2)])


@pytest.mark.parametrize("how", ["mean", "max", "top3"])
@pytest.mark.parametrize(("classes", "main"), [(TWO, 0), (TWO, 1), (THREE, None)])
def test_scores_of_a_unit_are_those_of_a_plain_loop_and_sum_to_1(how, classes, main):
    samples, owners = draw(classes)
    mixed = np.random.default_rng(1).permutation(len(owners))
    found = pool_scores(samples.scores[mixed], owners[mixed], how, main)
    wanted = [pool_slowly(samples.scores[owners == unit], how, main) for unit in range(90)]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)


def test_equal_scores_stay_equal_so_that_ties_stay_ties():
    shares = np.tile([1 / 3, 2 / 3], (7, 1))
    members = np.array([0, 0, 0, 1, 1, 2, 2])
    assert len(np.unique(pool_scores(shares, members, "mean", 1), axis=0)) == 1


@pytest.mark.parametrize("how", ["mean", "top3"])
@pytest.mark.parametrize("high", [(0.84, 0.19, 0.47), (0.14, 0.41, 0.95), (0.7, 0.1, 0.7)])
def test_a_unit_whose_decimal_scores_average_to_a_half_has_a_half(how, high):
    scores = np.array([(round(1 - score, 2), score) for score in high])
    assert pool_scores(scores, np.zeros(3, int), how, 1).tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("amount", [1, 2, 7, 100])
def test_the_mean_of_a_unit_is_that_of_exact_sums(amount):
    scores = np.random.default_rng(amount).random((amount, 3)).round(2)
    means = pool_scores(scores, np.zeros(amount, int), "mean", None)
    assert means.tolist() == [[math.fsum(column) / amount for column in scores.T]]


def test_groups_are_units_that_stand_alone_and_an_image_without_a_group_counts_by_its_file():
    samples, owners = draw(parts=False)
    named = tuple("" if owner == 89 else f"p{owner}" for owner in owners)
    pooled = pool(dataclasses.replace(samples, groups=named), Pooling("mean", "group"))
    alone = [path for path, owner in zip(samples.paths, owners, strict=True) if owner == 89]
    assert pooled.units.paths == (*(f"p{owner}" for owner in range(89)), *alone)
    assert pooled.units.groups is None


@pytest.mark.parametrize("how", ["mean", "max", "top3"])
def test_metrics_are_those_of_units_and_decisions_are_made_on_validation_units(how):
    samples, owners = draw()
    pooled = pool(samples, Pooling(how), "ill")
    val = pooled.units.of("val")
    assert val.paths == tuple(f"{number}.nii" for number in range(30))
    decision = decide(val, "ill", "youden")
    result = score_pooled(pooled.decide(decision, "ill"), Scoring("test", "ill", 0, decision))
    unit = [pool_slowly(samples.scores[owners == number], how, 0)[0] for number in range(30, 90)]
    ill = np.array([samples.labels[owners == number][0] == 0 for number in range(30, 90)])
    assert result["metrics"]["auc"]["value"] == pytest.approx(sklearn.metrics.roc_auc_score(ill, unit))
    guesses = np.array(unit) >= decision.threshold
    assert result["metrics"]["sensitivity"]["value"] == pytest.approx(sklearn.metrics.recall_score(ill, guesses))
    assert (result["unit"], result["pool"], result["n"], result["groups"]) == ("file", how, 60, 30)
    assert result["operating_point"]["n"] == result["calibration"]["n"] == 30
    rows = samples.of("test")
    assert result["per_sample"]["n"] == len(rows.paths)
    auc = sklearn.metrics.roc_auc_score(rows.labels == 0, rows.scores[:, 0])
    assert result["per_sample"]["metrics"]["auc"]["value"] == pytest.approx(auc)
    assert "30 groups" in result["per_sample"]["metrics"]["accuracy"]["method"]


@pytest.mark.parametrize("how", ["mean", "max", "top3"])
@pytest.mark.parametrize("task", [SINGLE_LABEL, ORDINAL])
def test_costs_and_grades_are_decided_by_the_pooled_scores(how, task):
    costs = np.array([[0.0, 1.0, 5.0], [3.0, 0.0, 1.0], [9.0, 4.0, 0.0]])
    samples, owners = draw(THREE)
    rule = ExpectedCost(costs) if task == SINGLE_LABEL else "youden"
    pooled = pool(dataclasses.replace(samples, task=task), Pooling(how, "file"))
    decision = decide(pooled.units.of("val"), None, rule, costs)
    found = pooled.decide(decision, None)
    scores = np.stack([pool_slowly(samples.scores[owners == unit], how, None) for unit in range(90)])
    calibrated = apply_temperature(scores, decision.temperature)
    grades = (np.cumsum(calibrated, axis=1) < 0.5).sum(axis=1)
    wanted = (calibrated @ costs).argmin(axis=1) if task == SINGLE_LABEL else grades
    assert found.units.predictions.tolist() == wanted.tolist()
    assert task == ORDINAL or (wanted != scores.argmax(axis=1)).any()
    result = score_pooled(found, Scoring("test", None, 0, decision, costs=costs))
    test = found.units.of("test")
    paid = costs[test.labels, test.predictions].mean()
    assert result["metrics"]["expected_cost"]["value"] == pytest.approx(paid)
    own = found.samples.of("test")
    assert result["per_sample"]["metrics"]["expected_cost"]["value"] == pytest.approx(
        costs[own.labels, own.predictions].mean()
    )
    if task == ORDINAL:
        off = np.abs(test.labels - test.predictions).mean()
        assert result["metrics"]["mean_absolute_error"]["value"] == pytest.approx(off)


def test_by_the_highest_score_a_unit_is_positive_exactly_where_a_sample_is():
    samples, owners = draw()
    pooled = pool(samples, Pooling("max"), "well")
    val = pooled.units.of("val")
    pooled = pooled.decide(decide(val, "well", "youden"), "well")
    for unit, guess in enumerate(pooled.units.predictions):
        assert guess == pooled.samples.predictions[owners == unit].max()
    assert pooled.samples.calibrated is None
    assert pooled.units.calibrated is not None


def test_without_pooling_each_sample_is_its_unit_and_samples_of_a_file_are_a_group():
    samples, _ = draw()
    pooled = pool(dataclasses.replace(samples, groups=None), Pooling())
    assert pooled.units is pooled.samples
    assert pooled.units.groups[0] == "file:0.nii"
    result = score_pooled(pooled, Scoring("test", None, 0))
    assert (result["unit"], result["groups"]) == ("image", 60)
    assert "per_sample" not in result
    plain, _ = draw(parts=False)
    assert pool(plain, Pooling()).samples.groups == plain.groups
    assert fill_groups(["case#3.png", "case#4.png"], None) is None


def test_what_is_not_said_is_the_mean_of_files_with_several_samples_of_one_label():
    parts, labels = ["a.nii#plane=1", "a.nii#plane=2", "b.nii#plane=1"], [0, 0, 1]
    assert choose_pooling("auto", "file", parts, labels, None) == Pooling("mean", "file")
    assert choose_pooling("auto", "file", parts, [0, 1, 1], None) == Pooling()
    assert choose_pooling("auto", "file", ["a#1.png", "a#2.png"], [0, 1], None) == Pooling()
    assert choose_pooling("auto", "group", ["a.png", "b.png"], [0, 1], ["p", "p"]) == Pooling("mean", "group")
    assert choose_pooling(None, "file", parts, labels, None) == Pooling()
    assert describe_pooling(Pooling(), "auto", ["a.png"], None) == []
    (said,) = describe_pooling(Pooling("mean"), "auto", parts, "ill")
    assert said == "One answer per file: the mean score of its images (`data.pool=none`: an answer per image)."


def test_groups_of_several_labels_and_missing_groups_are_refused_by_name():
    paths, labels = [f"{i}.png" for i in range(5)], [0, 0, 1, 1, 1]
    (fault,) = find_pooling_faults(Pooling("max", "group"), paths, labels, TWO, ["p1", "p1", "p1", "p2", "p2"])
    assert fault == (
        "A group must have one label to have one answer: give it one, leave it out, or set `pool_by='file'`. "
        "Received: p1 (2 of ill, 1 of well)."
    )
    for groups in (None, [""] * 5, [f"file:{path}" for path in paths]):
        (fault,) = find_pooling_faults(Pooling("max", "group"), paths, labels, TWO, groups)
        assert fault.startswith("`pool_by='group'` needs groups")
    assert find_pooling_faults(Pooling("max", "group"), paths, labels, TWO, ["p1", "p1", "", "", ""]) == []


def test_a_group_in_two_splits_is_a_unit_in_each_and_the_file_is_read_back(tmp_path):
    samples = Predictions(
        *(
            ("a", "b", "c"),
            ("val", "test", "test"),
            np.array([0, 0, 1]),
            np.array([[0.7, 0.3], [0.6, 0.4], [0.1, 0.9]]),
        ),
        *(np.array([0, 0, 1]), TWO, ("p", "p", "q")),
        traits={"view": ("front", "front", "side")},
    )
    pooled = pool(samples, Pooling("mean", "group"))
    assert (pooled.units.paths, pooled.units.splits) == (("p", "p", "q"), ("val", "test", "test"))
    assert pooled.find_units(["c"]) == {"q"}
    write_pooled(tmp_path, pooled)
    again = read_units(tmp_path, {"unit": "group", "classes": list(TWO)})
    assert (again.paths, again.splits, again.unit) == (pooled.units.paths, pooled.units.splits, "group")
    np.testing.assert_array_equal(again.scores, pooled.units.scores)
    (tmp_path / "twice.csv").write_text("path,label,score_a,score_b\nx,a,0.5,0.5\n./x,b,0.5,0.5\n")
    with pytest.raises(InputError, match="`path` must be different in every row of a split"):
        read_predictions(tmp_path / "twice.csv")


def test_traits_that_differ_within_a_unit_have_all_their_values_there():
    samples = Predictions(
        *(("a", "b"), ("test",) * 2, np.array([0, 0]), np.array([[0.7, 0.3]] * 2), np.array([0, 0]), TWO, ("p", "p")),
        traits={"view": ("side", "front"), "sex": ("f", "f")},
    )
    assert pool(samples, Pooling("mean", "group")).units.traits == {"view": ("front + side",), "sex": ("f",)}


def test_the_sample_that_speaks_most_for_a_units_class_is_found():
    scores, members = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.2, 0.8]]), np.array([0, 1, 0, 1])
    assert find_telling(scores, members, [1, 1]).tolist() == [2, 1]


def write_planes(file, how="", value=0.9):
    """Write predictions of volumes, of which only one plane shows the finding."""
    rows = []
    for volume in range(24):
        for plane in range(4):
            score = value if volume % 2 and plane == 2 else 0.1 + 0.001 * volume
            label = "ill" if volume % 2 else "well"
            rows.append(f"{volume}.nii.gz#plane={plane},{label},{score},{1 - score}")
    file.write_text("\n".join(["path,label,score_ill,score_well", *rows]) + "\n")
    return file


def test_planes_of_a_file_of_predictions_get_one_answer_per_volume(tmp_path):
    file, said = write_planes(tmp_path / "planes.csv"), []
    _, result = inference.evaluate(None, file=file, positive="ill", voice=Voice(say=said.append))
    assert (result["unit"], result["pool"], result["n"], result["per_sample"]["n"]) == ("file", "mean", 24, 96)
    assert said[0].startswith("One answer per file: the mean score")
    assert result["metrics"]["sensitivity"]["value"] == 0  # no mean reaches 0.5
    _, highest = inference.evaluate(None, file=file, positive="ill", pooled_by=("max", "file"))
    assert highest["metrics"]["accuracy"]["value"] == 1
    assert all("image" not in str(entry["method"]) for entry in highest["metrics"].values())
    _, alone = inference.evaluate(None, file=file, positive="ill", pooled_by=(None, "file"))
    assert (alone["unit"], alone["n"], alone["groups"]) == ("image", 96, 24)
    with pytest.raises(InputError, match=r"`pool_by='group'` needs groups.*96 images without groups"):
        inference.evaluate(None, file=file, pooled_by=("max", "group"))


def test_a_group_with_rows_in_other_splits_of_a_pooled_file_is_told(tmp_path):
    lines = [f"p{i},{split},{'ab'[i % 2]},0.5,0.5" for split in ("val", "test") for i in range(2)]
    (tmp_path / "pooled.csv").write_text("\n".join(["path,split,label,score_a,score_b", *lines]) + "\n")
    warnings = inference.evaluate(None, file=tmp_path / "pooled.csv")[1]["evaluated"]["warnings"]
    assert any(said.startswith("2 rows of 'test' have rows of the same path in other splits") for said in warnings)


def test_the_default_positive_class_of_pooled_rows_was_not_asked_for(tmp_path):
    lines = [f"p{i},test,{'ab'[i % 2]},{0.3 + i / 100},{0.7 - i / 100}" for i in range(20)]
    (tmp_path / "pooled.csv").write_text("\n".join(["path,split,label,score_a,score_b", *lines]) + "\n")
    beside = {"unit": "group", "pool": "mean", "classes": ["a", "b"], "positive": "b", "metrics": {}}
    for positive, asked, by_run in ((None, None, False), (None, "b", True), ("a", None, True)):
        (tmp_path / "metrics.json").write_text(json.dumps(beside | ({"positive": positive} if positive else {})))
        _, found = inference.evaluate(None, file=tmp_path / "pooled.csv", positive=asked)
        assert (found["positive"], found["positive_asked"]) == (positive or "b", by_run)


def test_predictions_of_images_are_not_used_for_files_and_rows_of_other_splits_count_as_files(tmp_path):
    rows = [
        f"{volume}.nii#plane={plane},{split},{label},{label},0.3,0.7"
        for volume, (split, label) in enumerate([("test", "ill"), ("test", "well"), ("train", "ill")] * 4)
        for plane in range(3)
    ]
    (tmp_path / "p.csv").write_text("\n".join(["path,split,label,prediction,score_ill,score_well", *rows]) + "\n")
    said = []
    pooled, result = inference.evaluate(None, file=tmp_path / "p.csv", positive="well", voice=Voice(say=said.append))
    assert result["evaluated"]["warnings"] == [
        "`prediction` counts only for single images: a file is predicted as 'well' from a pooled score of 0.5 on."
    ]
    assert not any("no column `prediction`" in line for line in said)
    assert set(pooled.units.predictions.tolist()) == {1}
    assert result["evaluated"]["not_scored"] == {"train": 4}
    assert said[-1].endswith("8 files of 'test' are scored; not scored: 4 of 'train'.")


@pytest.mark.parametrize("how", ["mean", "max", "top3"])
def test_calibrated_scores_of_images_are_said_not_to_be_of_files_and_not_to_be_absent(tmp_path, how):
    scores = "0.2,0.3,0.5"
    rows = [
        f"{volume}.nii#plane={plane},{'abc'[volume % 3]},a,{scores},{scores}" for volume in range(9) for plane in (1, 2)
    ]
    names = [f"{kind}_{name}" for kind in ("score", "calibrated") for name in "abc"]
    (tmp_path / "p.csv").write_text("\n".join([",".join(["path,label,prediction", *names]), *rows]) + "\n")
    pooled, result = inference.evaluate(None, file=tmp_path / "p.csv", pooled_by=(how, "file"))
    assert "calibration" not in result
    assert result["evaluated"]["warnings"][-2:] == [
        "`prediction` counts only for single images: a file is predicted as the class with the highest pooled score.",
        "`calibrated_CLASS` is of single images: scores of files are not calibrated.",
    ]
    page = Reader(make_evaluation_page(pooled.units, result)).text
    assert "no columns calibrated_CLASS" not in page
    assert "The scores are pooled from those of the file; calibrated scores are not pooled." in page
    # Of three classes there is no threshold, and images have the predictions of the file.
    assert "threshold" not in page[page.index("Each image by itself") : page.index("Each class against the rest")]
    assert "How well images are told apart one by one, by the column `prediction` of the file." in page


LABELS = ("edema", "mass")


def draw_labels(files=80, seed=3):
    """Return predictions of several labels, of files with one to five samples each; some labels are not known."""
    random = np.random.default_rng(seed)
    owners = np.repeat(np.arange(files), random.integers(1, 6, files))
    truth = random.integers(2, size=(files, 2))
    labels = np.where(random.random((len(owners), 2)) < 0.8, truth[owners], -1)
    labels[:, 0] = truth[owners, 0]
    scores = np.clip(random.normal(0.3 + 0.4 * truth[owners], 0.3), 0.01, 0.99)
    paths = tuple(f"{owner}.nii#plane={i}" for i, owner in enumerate(owners))
    splits = tuple("val" if owner < files // 3 else "test" for owner in owners)
    rows = paths, splits, labels, scores, (scores >= 0.5).astype(int), LABELS
    return Predictions(*rows, tuple(f"p{owner}" for owner in owners), task="multi-label"), owners


@pytest.mark.parametrize("how", ["mean", "max", "top3"])
def test_each_of_several_labels_is_pooled_by_itself_and_known_if_one_sample_tells(how):
    samples, owners = draw_labels()
    assert find_pooling_faults(Pooling(how), samples.paths, samples.labels, LABELS, samples.groups) == []
    pooled = pool(samples, Pooling(how))
    most = {"mean": 9, "max": 1, "top3": 3}[how]
    for unit, owner in enumerate(np.unique(owners)):
        rows, found = owners == owner, pooled.units
        expected = [np.mean(sorted(column)[-most:]) for column in samples.scores[rows].T]
        np.testing.assert_allclose(found.scores[unit], expected, rtol=1e-12)
        known = [set(column[column >= 0].tolist()) for column in samples.labels[rows].T]
        assert found.labels[unit].tolist() == [next(iter(values), -1) for values in known]
    decision = decide(pooled.units.of("val"), None, "youden")
    decided = pooled.decide(decision, None)
    np.testing.assert_array_equal(decided.units.predictions, decided.units.scores >= decision.thresholds)
    np.testing.assert_array_equal(decided.samples.predictions, samples.scores >= decision.thresholds)
    assert decided.units.calibrated.shape == decided.units.scores.shape
    assert decided.samples.calibrated is None


def test_metrics_of_several_labels_are_of_files_and_stand_beside_those_of_images(tmp_path):
    samples, _ = draw_labels()
    pooled = pool(samples, Pooling("mean"))
    result = score_pooled(pooled, Scoring())
    test = pooled.units.of("test")
    areas = [
        sklearn.metrics.roc_auc_score(own[own >= 0], scores[own >= 0])
        for own, scores in zip(test.labels.T, test.scores.T, strict=True)
    ]
    assert result["metrics"]["auc"]["value"] == pytest.approx(np.mean(areas), abs=1e-10)
    assert (result["unit"], result["n"], result["pool"]) == ("file", len(test.paths), "mean")
    assert result["per_sample"]["n"] == len(samples.of("test").paths)
    page = Reader(make_evaluation_page(test, result | {"evaluated": {"predictions": "p.csv"}})).text
    assert "One answer per file: the mean score of its images." in page
    assert "Each image by itself" in page
    write_pooled(tmp_path, pooled)
    again = read_units(tmp_path, result)
    np.testing.assert_array_equal(again.labels, pooled.units.labels)
    np.testing.assert_array_equal(again.scores, pooled.units.scores)
    said = []
    _, found = inference.evaluate(None, file=tmp_path / "predictions.csv", voice=Voice(say=said.append))
    assert found["metrics"] == result["metrics"]
    assert "One answer per file: the mean score of its images (`--pool none`: an answer per image)." in said
    assert found["per_class"]["mass"]["operating_point"]["threshold"] == 0.5
    told = "`prediction_<class>` counts only for single images: a file has each label from a pooled score of 0.5 on."
    assert told in found["evaluated"]["warnings"]
    _, alone = inference.evaluate(None, file=tmp_path / "predictions.csv", pooled_by=(None, "file"))
    assert alone["n"] == len(samples.of("test").paths)
    assert "operating_point" not in alone["per_class"]["mass"]


def test_files_and_groups_whose_images_disagree_on_a_label_are_named():
    labels = np.array([[1, 0], [1, -1], [0, 1], [0, 0]])
    paths, groups = ["a#plane=1", "a#plane=2", "b#plane=1", "b#plane=2"], ["p1", "p1", "p1", "p2"]
    (fault,) = find_pooling_faults(Pooling("mean"), paths, labels, LABELS, None)
    assert "A file must have the same labels in all its images" in fault
    assert fault.endswith("Received: b (mass in 1, not in 1).")
    (fault,) = find_pooling_faults(Pooling("max", "group"), paths, labels, LABELS, groups)
    assert "`pool_by='file'`. Received: p1 (edema in 2, not in 1; mass in 1, not in 1)." in fault
    assert choose_pooling("auto", "file", paths, labels, None) == Pooling()
    assert choose_pooling("auto", "file", paths[:2], labels[:2], None) == Pooling("mean")
