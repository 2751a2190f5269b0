"""A table of predictions survives the disk bit for bit, and a broken one is refused with all its faults."""

import csv
import dataclasses
import re

import numpy as np
import pytest

from tests.report.test_report import Reader
from tlmed import inference
from tlmed.data import ImageSet
from tlmed.data.table import Table
from tlmed.errors import InputError
from tlmed.evaluation.decisions import Decision, apply_decision
from tlmed.evaluation.lines import describe_better_baselines, describe_metrics, describe_reversed
from tlmed.evaluation.predictions import Predictions, describe_ties, predict_classes
from tlmed.evaluation.predictions_csv import read_predictions, write_predictions
from tlmed.metrics.calibration import sort_changes
from tlmed.report.evaluations import make_evaluation_page
from tlmed.report.image_counts import count_known, say_test_apart
from tlmed.voice import Voice

CLASSES = ('a "hard", class', "benign", "näive")


def make_predictions(dtype=np.float64, n=40):
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(3), n).astype(dtype)
    return Predictions(
        tuple(f"folder {i}/image,{i}.png" for i in range(n)),
        ("val",) * 10 + ("test",) * (n - 10),
        rng.integers(3, size=n),
        scores,
        rng.integers(3, size=n),
        CLASSES,
        tuple(f"patient {i // 2}" for i in range(n)),
        rng.dirichlet(np.ones(3), n),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_was_written_is_read_bit_for_bit(tmp_path, dtype):
    before = make_predictions(dtype)
    write_predictions(tmp_path / "predictions.csv", before)
    after = read_predictions(tmp_path / "predictions.csv")
    assert (after.paths, after.splits, after.classes, after.groups) == (
        before.paths,
        before.splits,
        CLASSES,
        before.groups,
    )
    for name in ("labels", "scores", "predictions", "calibrated"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert after.labels.dtype.kind == after.predictions.dtype.kind == "i"
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]


def test_single_precision_takes_nine_digits_and_keeps_every_bit(tmp_path):
    rng = np.random.default_rng(1)
    scores = rng.dirichlet(np.full(3, 0.02), 400).astype(np.float32)  # from 1 down to 1e-38 and less
    few = dataclasses.replace(make_predictions(n=400), scores=scores, calibrated=scores[::-1])
    for name, predictions in {"a": few, "b": few}.items():
        write_predictions(tmp_path / name, predictions)
    again = read_predictions(tmp_path / "a")
    np.testing.assert_array_equal(again.scores.astype(np.float32), scores)
    np.testing.assert_array_equal(again.scores, scores.astype(float))
    write_predictions(tmp_path / "b", again)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with (tmp_path / "a").open(newline="", encoding="utf-8") as file:
        texts = [text for row in list(csv.reader(file))[1:] for text in row[4:-1]]
    assert max(len(text.partition("e")[0].replace(".", "").lstrip("0")) for text in texts) == 9


@pytest.mark.parametrize(
    "scores", [("0.7", "0.3"), ("0.69999999999999996", "0.30000000000000004"), ("0.6999999", "0.3")]
)
def test_scores_of_other_programs_are_read_as_they_stand(tmp_path, scores):
    (tmp_path / "theirs.csv").write_text(f"path,label,score_a,score_b\nx,a,{','.join(scores)}\n")
    assert read_predictions(tmp_path / "theirs.csv").scores.tolist() == [list(map(float, scores))]


def test_the_columns_are_the_contracts(tmp_path):
    write_predictions(tmp_path / "predictions.csv", make_predictions())
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        header, first, *_ = csv.reader(file)
    scores, calibrated = ([f"{kind}_{name}" for name in CLASSES] for kind in ("score", "calibrated"))
    assert header == ["path", "split", "label", "prediction", *scores, *calibrated, "group"]
    assert first[:2] == ["folder 0/image,0.png", "val"]
    assert {first[2], first[3]} <= set(CLASSES)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_predictions(tmp_path / "predictions.csv", make_predictions())
    old = (tmp_path / "predictions.csv").read_bytes()
    broken = make_predictions()
    broken = Predictions(broken.paths[:-1], *(getattr(broken, n) for n in list(vars(broken))[1:]))
    with pytest.raises(ValueError, match="zip"):
        write_predictions(tmp_path / "predictions.csv", broken)
    assert (tmp_path / "predictions.csv").read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 1


def test_one_split_is_picked_with_its_groups():
    test = make_predictions().of("test")
    assert set(test.splits) == {"test"}
    assert (len(test.paths), len(test.labels), len(test.scores), len(test.groups)) == (30, 30, 30, 30)
    assert test.paths[0] == "folder 10/image,10.png"
    assert len(test.of("train").paths) == 0


@pytest.mark.parametrize(
    ("positive", "threshold", "expected"),
    [(1, 0.3, [1, 1, 1]), (1, 0.30001, [0, 1, 1]), (0, 0.6, [0, 1, 1]), (0, 0.5, [0, 0, 1]), (1, 0.5, [0, 1, 1])],
)
def test_two_classes_are_told_apart_by_the_threshold(positive, threshold, expected):
    scores = np.array([[0.7, 0.3], [0.5, 0.5], [0.2, 0.8]])
    assert predict_classes(scores, positive, threshold).tolist() == expected


def test_more_classes_are_told_apart_by_the_highest_score():
    assert predict_classes(np.array([[0.4, 0.3, 0.3], [0.1, 0.2, 0.7]]), None, None).tolist() == [0, 2]


def test_a_foreign_file_needs_only_path_label_and_scores(tmp_path):
    file = tmp_path / "theirs.csv"
    file.write_text("\ufeffscore_b,age,path,label,score_a\r\n0.7,61,x.png,a,0.3\r\n\r\n1e-4,5,y.png,b,0.9999\r\n")
    read = read_predictions(file)
    assert (read.paths, read.splits, read.classes) == (("x.png", "y.png"), ("test", "test"), ("a", "b"))
    assert read.labels.tolist() == [0, 1]
    assert read.predictions.tolist() == [1, 0]
    assert read.scores.tolist() == [[0.3, 0.7], [0.9999, 1e-4]]
    assert (read.groups, read.calibrated, read.traits) == (None, None, {"age": ("61", "5")})


def test_a_split_may_be_spelled_as_people_do(tmp_path):
    file = tmp_path / "theirs.csv"
    spelled = ["test ", "TEST", "Testing", "valid", "Validation ", "training", "train"]
    file.write_text("path,split,label,score_a,score_b" + "".join(f"\n{i},{it},a,1,0" for i, it in enumerate(spelled)))
    assert read_predictions(file).splits == ("test", "test", "test", "val", "val", "train", "train")


def score_columns(tmp_path, order, rows, **options):
    """Score a file whose columns of scores stand in an order; `rows` have a label and the scores of a, b, c by name."""
    file = tmp_path / f"{''.join(order)}.csv"
    lines = [f"{i},{label},{','.join(str(scores[name]) for name in order)}" for i, (label, scores) in enumerate(rows)]
    file.write_text("\n".join([f"path,label,{','.join(f'score_{name}' for name in order)}", *lines]))
    warned = []
    result = inference.evaluate(None, file=file, voice=Voice(warn=warned.append), **options)[1]
    del result["evaluated"]["predictions"]
    return result, warned


@pytest.mark.parametrize(("positive", "sensitivity", "specificity"), [("b", 1, 0.5), ("a", 0.75, 0.5)])
def test_the_order_of_columns_decides_nothing_and_half_is_positive(tmp_path, positive, sensitivity, specificity):
    chances = [("a", 0.4), ("a", 0.5), ("a", 0.1), ("a", 0.8), ("b", 0.5), ("b", 0.9)]  # of b
    rows = [(label, {"a": 1 - chance, "b": chance}) for label, chance in chances]
    (first, warned), (second, again) = (
        score_columns(tmp_path, order, rows, positive=positive) for order in ("ab", "ba")
    )
    assert first == second
    assert (
        warned
        == again
        == [f"In 2 of 6 rows both classes have the same score: {positive!r}, the positive class, is predicted."]
    )
    assert first["classes"] == ["a", "b"]
    assert first["metrics"]["sensitivity"]["value"] == sensitivity
    assert first["metrics"]["specificity"]["value"] == specificity


def test_of_several_equal_scores_the_first_class_is_predicted(tmp_path):
    rows = [
        ("a", (0.4, 0.4, 0.2)),
        ("b", (0.4, 0.4, 0.2)),
        ("b", (0.2, 0.4, 0.4)),
        ("c", (0, 0, 1)),
        ("a", (0.5, 0.3, 0.2)),
    ]
    rows = [(label, dict(zip("abc", scores, strict=True))) for label, scores in rows]
    found = [score_columns(tmp_path, order, rows) for order in ("abc", "cba", "bac")]
    assert found[0] == found[1] == found[2]
    result, warned = found[0]
    assert warned == [
        "In 3 of 5 rows several classes have the highest score: the first of them in the order of classes is predicted."
    ]
    assert result["classes"] == list(result["per_class"]) == ["a", "b", "c"]
    assert result["metrics"]["accuracy"]["value"] == 4 / 5


def test_predictions_that_stand_in_the_file_are_no_ties(tmp_path):
    file = tmp_path / "theirs.csv"
    file.write_text("path,label,prediction,score_b,score_a\n1,a,a,0.5,0.5\n2,b,b,0.9,0.1\n")
    result = inference.evaluate(None, file=file)[1]
    assert result["evaluated"]["warnings"] == []
    assert result["metrics"]["accuracy"]["value"] == 1


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_scores_of_rows_that_are_no_test_images_are_told(tmp_path, split):
    file = tmp_path / "theirs.csv"
    file.write_text(f"path,split,label,score_a,score_b\n1,{split},a,0.9,0.1\n2,{split},b,0.1,0.9\n")
    said = [f"All rows are of the split {split!r}: these are not scores of test images."] if split != "test" else []
    warned = []
    assert inference.evaluate(None, file=file, voice=Voice(warn=warned.append))[1]["evaluated"]["warnings"] == said
    assert warned == said


@pytest.mark.parametrize("asked", [None, "a", "b"])
def test_a_positive_class_counts_as_asked_for_only_where_somebody_named_it(tmp_path, asked):
    file = tmp_path / "theirs.csv"
    file.write_text("path,label,score_a,score_b\n1,a,0.9,0.1\n2,b,0.1,0.9\n3,b,0.2,0.8\n")
    result = inference.evaluate(None, file=file, positive=asked)[1]
    assert (result["positive"], result["positive_asked"]) == (asked or "b", asked is not None)
    told = describe_metrics(result)[0]
    assert ("as asked for" in told) == (asked is not None), told


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_a_column_of_classes_that_is_not_called_prediction_is_told(tmp_path, names):
    file = tmp_path / "theirs.csv"
    rows = [
        f"{i},{name},{names[0]},{','.join('1' if other == name else '0' for other in names)}"
        for i, name in enumerate(names)
    ]
    rows.append(f"9,{names[0]},{names[1]},{','.join('1' if other == names[0] else '0' for other in names)}")
    head = f"path,label,predicted,{','.join(f'score_{name}' for name in names)}"
    file.write_text("\n".join([head, *rows]) + "\n")
    (said,) = [note for note in read_predictions(file).notes if "prediction" in note]
    assert said == (
        "Column 'predicted' holds classes, which are not taken for predictions: these are read from `prediction`."
    )
    file.write_text(file.read_text().replace("predicted", "prediction"))
    assert not [note for note in read_predictions(file).notes if "prediction" in note]


@pytest.mark.parametrize(
    ("names", "asked", "threshold", "how"),
    [
        ("ab", None, 0.5, "'b' is predicted where its score is 0.5 or more, and 'a' elsewhere"),
        ("ab", "a", 0.5, "'a' is predicted where its score is 0.5 or more, and 'b' elsewhere"),
        ("abc", None, None, "of each row the class with the highest score is predicted"),
    ],
)
def test_how_classes_are_predicted_is_told_wherever_a_file_does_not_say_them(tmp_path, names, asked, threshold, how):
    told, file = f"The file has no column `prediction`: {how}.", tmp_path / "theirs.csv"
    head = ",".join(f"score_{name}" for name in names)
    rows = [f"{i},{name},{','.join(str(int(name == other)) for other in names)}" for i, name in enumerate(names)]
    file.write_text("\n".join([f"path,label,{head}", *rows]))
    said = []
    made, result = inference.evaluate(None, file=file, positive=asked, voice=Voice(say=said.append))
    assert said == [told]
    assert result["evaluated"]["predicted"]
    assert result["threshold"] == threshold
    assert told in Reader(make_evaluation_page(made.units, result)).text
    write_predictions(file, made.units)
    made, result = inference.evaluate(None, file=file, positive=asked, voice=Voice(say=said.append))
    assert said == [told]  # not once more
    assert not result["evaluated"]["predicted"]
    assert result["threshold"] is None
    assert "no column `prediction`" not in Reader(make_evaluation_page(made.units, result)).text


def test_a_networks_equal_scores_follow_the_same_rule(tmp_path):
    scores = np.array([[0.25, 0.25, 0.5], [0.4, 0.4, 0.2]], np.float32)
    for names, labels in (("abc", [2, 1]), ("ab", [0, 1])):
        table = Table("x", ("1", "2"), np.array(labels), tuple(names), None, ("test",) * 2, None, 0)
        images = ImageSet(table, np.array(["test"] * 2), ("", ""), (4, 4), (), (), (), False, None)
        point = {"threshold": 0.5} if len(names) == 2 else None
        these = scores if point is None else np.full((2, 2), 0.5, np.float32)
        made = apply_decision(
            inference.make_samples(images, np.arange(2), these), Decision(point, {"temperature": 1.0}), None
        )
        assert made.predictions.tolist() == ([2, 0] if point is None else [1, 1])
        assert len(describe_ties(made)) == (point is None)
        write_predictions(tmp_path / names, made)
        assert describe_ties(read_predictions(tmp_path / names)) == []


HEADER = "path,split,label,prediction,score_a,score_b"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", ["the column `path`", "the column `label`", "`score_<class>` for each of two", "one row or more"]),
        (HEADER, ["one row or more"]),
        ("path,label,score_a\nx,a,1", ["`score_<class>` for each of two"]),
        ("path,label,score_a,score_b,path\nx,a,1,0,y", ["each column once"]),
        ("path,label,score_a,score_b,calibrated_a\nx,a,1,0,1", ["`calibrated_<class>` for every class.*or none"]),
        (
            "path,label,score_a,score_b,calibrated_a,calibrated_b\nx,a,1,0,nan,1\ny,a,1,0,0.6,0.6",
            ["`calibrated_<class>` must be finite.*line 2", "`calibrated_<class>` of a row must sum to 1.*line 3"],
        ),
        ("path;label;score_a;score_b\nx;a;0,7;0,3", [r"by commas, .* a point \(0\.5\): .* separated by semicolons\."]),
        ('"path"\t"label"\t"score_a"\nx\ta\t1', ["by commas, .* separated by tabs"]),
        ("path,label,score_a,score_b,Split\nx,a,1,0,p", ["written in small letters.*'Split'"]),
        (f"{HEADER}\nx,test,a,a,1", ["have 6 fields.*line 2"]),
        (f"{HEADER}\nx,test,a,a,nan,1\ny,test,a,a,inf,0\nz,test,a,a,?,1", ["finite probabilities.*lines 2, 3, 4"]),
        (f"{HEADER}\nx,test,a,a,0.5,0.502", ["must sum to 1.*line 2"]),
        (f"{HEADER}\nx,test,a,a,3,-2", ["finite probabilities"]),
        (
            f"{HEADER}\nx,test,a,a,1,0\ny,tset,a,a,1,0\nz,,a,a,1,0",
            [r"`split` must be one of train, val, test.*lines 3, 4: '', 'tset'"],
        ),
        (
            f"{HEADER}\nx,test,a,a,1,0\ny,tset,a,a,1,0",
            [r"`split` must be one of.*line 3: 'tset' \(Did you mean 'test'\?\)"],
        ),
        (
            "path,label,subset,score_a,score_b\nx,a,Train,1,0\ny,a,test,1,0",
            ["must be called `split`.*column 'subset' with Train, test"],
        ),
        (
            f"{HEADER}\nx,val,a,a,1,0\nx,Validation,a,a,1,0\n,test,a,b,0,1",
            ["`path` must not be empty", "must be different in every row of a split.*2, 3"],
        ),
        (
            f"{HEADER}\nd/x.png,test,a,a,1,0\n./d//x.png,test,a,a,1,0\ny.png,test,b,b,0,1",
            ["must be different.*lines 2, 3"],
        ),
        (
            f"{HEADER}\nx,test,c,,0.5,0.5",
            [r"`label` must be a class with scores \(a, b\).*'c'", "`prediction` must be"],
        ),
        (
            f"{HEADER}\nx,test,c,a,2,0\nx,test,a,d,0.9,0.9",
            ["finite probabilities", "must sum to 1", "different in every row", "`label`", "`prediction`"],
        ),
    ],
)
def test_every_fault_of_a_file_is_named_at_once(tmp_path, text, rules):
    file = tmp_path / "theirs.csv"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_predictions(file)
    assert len(caught.value.faults) == len(rules), caught.value.faults
    for fault, rule in zip(caught.value.faults, rules, strict=True):
        assert re.search(rule, fault)
        assert f"Received: {file}" in fault


@pytest.mark.parametrize("content", [None, b"path,label\n\xff\xfe", b'path,label\n"x'])
def test_what_is_no_csv_in_utf8_is_refused(tmp_path, content):
    file = tmp_path / "theirs.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"must be a CSV file in UTF-8\. Received: .*theirs\.csv"):
        read_predictions(file)


def test_many_faulty_rows_are_counted_not_listed(tmp_path):
    file = tmp_path / "theirs.csv"
    file.write_text(HEADER + "".join(f"\n{i},test,a,a,0.9,0.9" for i in range(1000)))
    with pytest.raises(InputError, match="lines 2, 3, 4 and 997 more"):
        read_predictions(file)


def measured(**values):
    return {name: {"value": value, "low": None, "high": None} for name, value in values.items()}


def test_what_decides_is_compared_with_baselines():
    grades = {"task": "ordinal", "metrics": measured(quadratic_kappa=0.1, auc=0.7)}
    baselines = {
        "majority_class": measured(quadratic_kappa=0.0, auc=0.5),
        "random_weights": measured(quadratic_kappa=0.2, auc=0.6),
    }
    (said,) = describe_better_baselines({**grades, "baselines": baselines})
    assert said == "The baseline random weights has a higher quadratic kappa, 0.200: the result does not beat it."
    baselines["majority_class"] = measured(quadratic_kappa=0.1, auc=0.5)
    said = describe_better_baselines({**grades, "baselines": baselines})
    assert said[0].startswith("The baseline majority class has the same quadratic kappa, 0.100: the result does not")
    stated = {
        "classes": ["ill", "so-so", "well"],
        "costs": {"ill": {"so-so": 9, "well": 9}, "so-so": {"ill": 1, "well": 1}, "well": {"ill": 1, "so-so": 1}},
        "confusion": [[1, 0, 1], [0, 1, 1], [0, 1, 5]],
        "metrics": measured(expected_cost=1.1, auc=0.7),
    }
    baselines = {
        "majority_class": measured(expected_cost=1.0, auc=0.5),  # of the cheapest it is said already
        "random_weights": measured(expected_cost=0.9, auc=0.6),
    }
    assert describe_better_baselines({**stated, "baselines": baselines}) == [
        "'ill' for every image would cost 0.800 per image, less than the answers, 1.100: the result does not beat it.",
        "The baseline random weights has a lower expected cost, 0.900: the result does not beat it.",
    ]
    stated["confusion"] = [[2, 0, 0], [0, 1, 1], [0, 1, 5]]
    assert describe_better_baselines({**stated, "metrics": measured(expected_cost=0.2, auc=0.7)}) == []


def test_what_reads_differently_is_said_to_differ_near_0_and_1_too():
    changed = {"metrics": measured(brier=0.0003), "calibration": {"metrics": measured(brier=0.0004)}}
    assert sort_changes(changed) == (["brier"], [])
    better = {"metrics": measured(auc=0.9997), "baselines": {"random_weights": measured(auc=0.9998)}}
    assert describe_better_baselines(better)[0].startswith("The baseline random weights has a higher AUC, 0.9998")
    half = {"metrics": {"auc": {"value": 0.4, "low": 0.3, "high": 0.4999}}, "per_class": {}}
    assert describe_reversed(half) == []  # its interval reads "0.300 to 0.500"
    assert describe_reversed({"metrics": {"auc": {"value": 0.4, "low": 0.3, "high": 0.499}}})


@pytest.mark.parametrize(
    ("evaluated", "head", "leaked"),
    [
        ({"run": "runs/a", "data": "ward/"}, "All (2 images)", "1 of 2 images is known"),
        ({"run": "runs/a", "data": "own/", "split": "test"}, "Test (2 images)", "1 of 2 test images is known"),
        ({"predictions": "a.csv", "not_scored": {"val": 3}}, "Test (2 images)", "1 of 2 test images is known"),
        ({"predictions": "a.csv", "not_scored": {}}, "All (2 images)", "1 of 2 images is known"),
    ],
)
def test_images_that_are_no_split_are_not_called_test_images(evaluated, head, leaked):
    result = {"split": "test", "n": 2, "classes": ["a", "b"], "positive": None, "metrics": measured(accuracy=0.5)}
    result |= {"evaluated": evaluated, "without_leaks": {"leaked": 1, "n": 1, "metrics": measured(accuracy=1.0)}}
    assert describe_metrics(result)[0].startswith(head)
    assert count_known(result).startswith(leaked)
    assert say_test_apart({**result, "without_leaks": None}).startswith("images" if head[0] == "A" else "test images")
