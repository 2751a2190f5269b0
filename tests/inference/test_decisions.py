"""Thresholds and temperatures come from validation images, are kept in the run, and decide wherever it is used."""

import dataclasses
import json
import re
import shlex
import shutil

import keras
import numpy as np
import pytest
import sklearn.metrics

import tlmed
from tests.cli.test_cli import assert_close
from tests.conftest import write_images
from tests.report.test_report import Reader
from tests.run.test_run import small
from tlmed import inference
from tlmed.backbones.ancestry import find_known
from tlmed.columns import Grouping
from tlmed.errors import InputError
from tlmed.evaluation.baselines import count_colours
from tlmed.evaluation.copies import count_copies
from tlmed.evaluation.decisions import decide
from tlmed.evaluation.lines import describe_metrics, describe_size, describe_validation
from tlmed.evaluation.measures import Scoring, score
from tlmed.evaluation.pooling import Pooling, pool
from tlmed.evaluation.predictions import Predictions, predict_classes
from tlmed.evaluation.predictions_csv import read_predictions, write_predictions
from tlmed.identifiers import Identifiers
from tlmed.metrics import apply_temperature, evaluate, fit_temperature, predictive_values
from tlmed.part_names import file_of
from tlmed.report.evaluations import make_evaluation_page
from tlmed.rundir import RunDir
from tlmed.voice import Voice
from tlmed.whole_files import read_csv, write_json

TWO = ("ill", "well")
N = 120


def binary(n=N, seed=0, groups=None):
    """Return overconfident predictions of two classes, a third of them validation images."""
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=n)
    logits = 4 * random.normal(labels - 0.5, 1.0) + 1.5
    well = 1 / (1 + np.exp(-logits))
    scores = np.stack([1 - well, well], axis=1)
    splits = tuple("val" if i < n // 3 else "test" for i in range(n))
    paths = tuple(f"{i}.png" for i in range(n))
    return Predictions(paths, splits, labels, scores, scores.argmax(axis=1), TWO, groups)


def decided(predictions, rule="youden", positive="ill"):
    """Return predictions by what their validation rows decide, and the decision."""
    val = predictions.of("val")
    decision = decide(val, positive, rule)
    index = val.classes.index(positive)
    return (
        dataclasses.replace(
            predictions,
            predictions=predict_classes(predictions.scores, index, decision.threshold),
            calibrated=apply_temperature(predictions.scores, decision.temperature),
        ),
        decision,
    )


def test_threshold_and_temperature_are_the_best_on_validation_images():
    predictions, decision = decided(binary())
    val, point = predictions.of("val"), decision.operating_point
    assert (point["rule"], point["split"], point["n"]) == ("youden", "val", N // 3)
    false, true, _ = sklearn.metrics.roc_curve(val.labels == 0, val.scores[:, 0])
    assert point["sensitivity"] + point["specificity"] - 1 == pytest.approx((true - false).max())
    assert decision.temperature == fit_temperature(val.scores, val.labels) > 1  # they were too sure
    assert "note" not in point
    assert "note" not in decision.calibration


def test_what_is_before_and_what_is_after_stand_beside_each_other():
    predictions, decision = decided(binary())
    result, test = score(predictions, Scoring("test", "ill", 0, decision)), predictions.of("test")
    ill = test.labels == 0
    by_threshold = test.scores[:, 0] >= decision.threshold
    assert result["threshold"] == decision.threshold != 0.5
    assert result["metrics"]["sensitivity"]["value"] == pytest.approx(by_threshold[ill].mean())
    before = result["operating_point"]["at_half"]
    assert before["sensitivity"]["value"] == pytest.approx((test.scores[ill, 0] >= 0.5).mean())
    assert before["sensitivity"]["value"] != result["metrics"]["sensitivity"]["value"]
    assert not {"auc", "brier"} & set(before)  # no threshold changes them
    for name, table in (("metrics", test.scores), ("calibration", test.calibrated)):
        found = result[name] if name == "metrics" else result[name]["metrics"]
        assert found["log_loss"]["value"] == pytest.approx(sklearn.metrics.log_loss(test.labels, table))
    after = result["calibration"]["metrics"]
    assert list(after)[:3] == ["log_loss", "brier", "ece"]
    assert after["log_loss"]["value"] < result["metrics"]["log_loss"]["value"]


@pytest.mark.parametrize(("rule", "named", "target"), [("sensitivity>=0.9", 0, 0.9), ("specificity>=0.95", 1, 0.95)])
def test_a_target_is_met_on_validation_images(rule, named, target):
    predictions, decision = decided(binary(300), rule)
    val = predictions.of("val")
    rates = [(val.predictions == val.labels)[val.labels == label].mean() for label in (0, 1)]
    assert rates[named] >= target
    assert rates == pytest.approx([decision.operating_point[name] for name in ("sensitivity", "specificity")])


def test_few_validation_images_are_told_of():
    predictions = binary(90)
    labels = np.where(np.arange(90) < 30, np.arange(90) % 10 > 0, predictions.labels)  # 3 of 30 are ill
    _, decision = decided(dataclasses.replace(predictions, labels=labels.astype(int)))
    few = "It rests on few validation images (3 of 'ill'): others would give another value."
    assert decision.operating_point["note"] == decision.calibration["note"] == few


@pytest.mark.parametrize(
    ("size", "named"),
    [
        (30, "2 groups of 'ill', 2 groups of 'well'"),
        (15, "4 groups of 'ill', 4 groups of 'well'"),
        (1, ""),
    ],
)
def test_many_validation_images_of_few_groups_are_few(size, named):
    groups = tuple(f"p{i // size}" for i in range(180))
    _, decision = decided(dataclasses.replace(binary(180), groups=groups))
    for part in (decision.operating_point, decision.calibration):
        assert part.get("note", "") == (
            f"It rests on few validation images ({named}): others would give another value." * bool(named)
        )


def test_a_number_is_taken_as_it_is():
    _, decision = decided(binary(), 0.3)
    assert (decision.threshold, decision.operating_point["rule"]) == (0.3, "fixed")


def test_validation_images_of_one_class_choose_no_threshold_and_say_so():
    predictions = binary()
    one = dataclasses.replace(predictions, labels=np.where(np.arange(N) < N // 3, 1, predictions.labels))
    made, decision = decided(one)
    assert decision.threshold == 0.5
    assert decision.operating_point["note"].startswith(
        "The validation images are of class 'well' only, so no threshold can be chosen: it is 0.5."
    )
    assert decision.temperature == 1
    assert decision.calibration["note"].startswith("The validation images are of one class only")
    result = score(made, Scoring("test", "ill", 0, decision))
    lines = "\n".join(describe_metrics(result))
    assert decision.operating_point["note"] in lines
    page = make_evaluation_page(made.of("test"), {**result, "evaluated": {"run": "r", "data": "d", "warnings": []}})
    for text in (lines, page):
        assert "one class only, so no temperature can be fitted: scores stay as they are." in text
        assert "temperature 1.000" not in text
        assert "sure enough" not in text


def test_more_classes_have_a_temperature_and_no_threshold():
    random = np.random.default_rng(0)
    scores, labels = random.dirichlet(np.ones(3), 30), random.integers(3, size=30)
    rows = (tuple(map(str, range(30))), ("test",) * 30, labels, scores, scores.argmax(axis=1), ("a", "b", "c"))
    decision = decide(Predictions(*rows), None, "youden")
    assert (decision.operating_point, decision.threshold) == (None, None)
    predictions = Predictions(*rows, calibrated=apply_temperature(scores, decision.temperature))
    result = score(predictions, Scoring("test", None, 0, decision))
    assert "operating_point" not in result
    assert result["calibration"]["temperature"] == decision.temperature
    with pytest.raises(InputError, match=r"`prevalence` needs exactly two classes\. Received: prevalence=0\.1 with 3"):
        score(predictions, Scoring("test", None, 0, decision, prevalence=0.1))


@pytest.mark.parametrize("each", [1, 4])
def test_predictive_values_at_a_prevalence_are_by_groups_too(each):
    groups = tuple(f"patient {i // each}" for i in range(N))
    predictions, decision = decided(binary(groups=groups))
    test = predictions.of("test")
    found = score(predictions, Scoring("test", "ill", 0, decision, prevalence=0.02))["at_prevalence"]
    owners = None if each == 1 else np.unique(test.groups, return_inverse=True)[1]
    wanted = predictive_values(test.labels == 0, test.predictions == 0, 0.02, owners)
    assert found["prevalence"] == 0.02
    for name, entry in wanted.items():
        assert {key: found[name][key] for key in entry} == entry
    assert found["ppv"]["value"] < score(predictions, Scoring("test", "ill", 0, decision))["metrics"]["ppv"]["value"]


def test_predictive_values_at_a_prevalence_say_on_how_few_groups_they_rest():
    labels = np.repeat([0, 1], [12, 20])
    scores = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    groups = tuple(f"patient {i // 4}" for i in range(32))
    predictions = Predictions(
        *(tuple(map(str, range(32))), ("test",) * 32, labels, scores, labels, ("ill", "well"), groups)
    )
    found = score(predictions, Scoring("test", "ill", 0, prevalence=0.02))["at_prevalence"]
    for entry in (found["ppv"], found["npv"]):
        assert entry["low"] is None
        few = "A class has fewer than 10 groups, from which no interval follows."
        assert entry["note"] == f"{few} It rests on 3 groups of class 'ill'."
    rare = dataclasses.replace(predictions, groups=None, predictions=np.where(np.arange(32) < 2, 0, 1))
    found = score(rare, Scoring("test", "ill", 0, prevalence=0.02))["at_prevalence"]
    assert found["ppv"]["note"] == "It rests on 2 images predicted as class 'ill'."
    assert "note" not in found["npv"]


def test_a_test_split_of_one_class_leaves_undefined_what_needs_two():
    predictions, decision = decided(binary())
    one = dataclasses.replace(predictions, labels=np.where(np.arange(N) < N // 3, predictions.labels, 1))
    result = score(one, Scoring("test", "ill", 0, decision, prevalence=0.1))
    undefined = [
        result["metrics"]["auc"],
        result["metrics"]["sensitivity"],
        result["operating_point"]["at_half"]["ppv"],
    ]
    for entry in [*undefined, result["at_prevalence"]["ppv"], result["at_prevalence"]["npv"]]:
        assert (entry["value"], entry["low"]) == (None, None)
        assert "'ill'" in entry["reason"] or "'well'" in entry["reason"]
    assert result["metrics"]["specificity"]["value"] is not None
    assert "undefined: All images are of class 'well'." in "\n".join(describe_metrics(result))


def test_lines_name_the_positive_class_and_tell_notes():
    predictions, decision = decided(binary())
    lines = describe_metrics(score(predictions, Scoring("test", "ill", 0, decision)))
    assert lines[0] == "Test (80 images; positive: ill, as asked for), with 95 % intervals:"
    perfect = dataclasses.replace(predictions, scores=np.eye(2)[predictions.labels], predictions=predictions.labels)
    lines = "\n".join(describe_metrics(score(perfect, Scoring("test", "ill", 0))))
    assert "  Note on auc: Every pair of images is in the right order" in lines
    assert "  Note on average_precision: The ranking does not vary: the interval is a bound" in lines


def test_five_test_images_have_wide_intervals_and_no_crash():
    predictions, decision = decided(binary(15))
    few = dataclasses.replace(predictions, splits=("val",) * 10 + ("test",) * 5)
    result = score(few, Scoring("test", "ill", 0, decision, prevalence=0.5))
    accuracy = result["metrics"]["accuracy"]
    assert result["n"] == 5
    assert accuracy["high"] - accuracy["low"] > 0.4
    assert describe_metrics(result)


def test_traits_make_subgroups_unless_they_have_too_many_values():
    texts = {
        "site": tuple("AB"[i % 2] for i in range(N)),
        "sex": tuple(("f", "m", "")[i % 3] for i in range(N)),
        "age": tuple(str(i) for i in range(N)),
        "model": ("X1",) * N,
    }
    predictions = dataclasses.replace(binary(), traits=texts)
    result, test = score(predictions, Scoring("test", "ill", 0)), predictions.of("test")
    assert {name: list(parts) for name, parts in result["subgroups"].items()} == {
        "site": ["A", "B"],
        "sex": ["", "f", "m"],
    }
    site = np.array(test.traits["site"]) == "B"
    part = result["subgroups"]["site"]["B"]
    assert part["n"] == site.sum()
    area = sklearn.metrics.roc_auc_score(test.labels[site] == 0, test.scores[site, 0])
    assert part["metrics"]["auc"]["value"] == pytest.approx(area)
    assert result["subgroups_left_out"] == {
        "age": "80 values in 80 images; subgroups need 2 to 12 values, with 5 images or more on average.",
        "model": "1 value in 80 images; subgroups need 2 to 12 values, with 5 images or more on average.",
    }
    few = dataclasses.replace(predictions, splits=("val",) * 108 + ("test",) * 12)  # of so few images each has its age
    assert set(score(few, Scoring("test", "ill", 0))["subgroups_left_out"]) == {"age", "model", "sex"}


def test_images_that_repeat_others_are_counted_unless_they_share_a_group():
    paths, splits = tuple("abcdef"), ("test",) * 5 + ("val",)
    scores = np.full((6, 2), 0.5)
    rows = Predictions(paths, splits, np.zeros(6, int), scores, np.zeros(6, int), ("ill", "well"))
    digests = dict(zip(paths, "xxxyxx", strict=True))  # a, b, c and e are alike; f is no test image
    alone = pool(rows, Pooling(None), None)
    assert count_copies(alone, "test", digests) == {"copies": 3}
    grouped = pool(dataclasses.replace(rows, groups=("p", "p", "q", "q", "", "")), Pooling(None), None)
    assert count_copies(grouped, "test", digests) == {"copies": 2}  # intervals by groups know of a and b
    by_group = pool(grouped.samples, Pooling("mean", "group"), None)  # p: x; q: x and y; e: x
    assert count_copies(by_group, "test", digests) == {"copies": 1}
    assert count_copies(alone, "test", dict(zip(paths, paths, strict=True))) == {}
    said = describe_size({"n": 500, "copies": 3})
    assert said[0].startswith("3 of 500 images repeat another one, and each counts by itself: ")


def test_a_hybrid_that_ranks_validation_images_the_wrong_way_round_is_not_asked_about_its_rate():
    auc = {"value": 0.25, "low": 0.1, "high": 0.4}
    network = {"validation": {"n": 40, "metrics": {"auc": auc}}, "unit": "image"}
    assert describe_validation(network)[0].endswith("Are labels wrong, or the rate too high?")
    assert describe_validation({**network, "classifier": {"name": "SVC"}})[0].endswith("Are labels wrong?")


def test_a_subgroup_says_how_many_of_its_images_training_knows():
    """One hospital may hold all of them: the difference between hospitals is then that between known and new images."""
    predictions = dataclasses.replace(binary(), traits={"site": tuple("AB"[i % 2] for i in range(N))})
    test = predictions.of("test")
    ours = [path for path, site in zip(test.paths, test.traits["site"], strict=True) if site == "A"]
    result = score(predictions, Scoring("test", "ill", 0), leaked=ours)
    parts = result["subgroups"]["site"]
    assert {site: (part["n"], part["leaked"]) for site, part in parts.items()} == {
        "A": (len(ours), len(ours)),
        "B": (len(test.paths) - len(ours), 0),
    }
    lines = describe_metrics(result)
    assert f"site A ({len(ours)} images, {len(ours)} known from training or validation):" in lines
    assert f"site B ({len(test.paths) - len(ours)} images, 0 known from training or validation):" in lines
    unsure = describe_metrics({**result, "undecided": 2})
    assert f"site A ({len(ours)} images, at least {len(ours)} known from training or validation):" in unsure
    assert "leaked" not in score(predictions, Scoring("test", "ill", 0))["subgroups"]["site"]["A"]


def test_groups_and_calibrated_probabilities_are_read_back_and_scored_alike(tmp_path):
    predictions, decision = decided(binary(groups=tuple(f"patient {i // 4}" for i in range(N))))
    write_predictions(tmp_path / "predictions.csv", predictions)
    again, result = inference.evaluate(None, file=tmp_path / "predictions.csv", positive="ill")
    before = score(predictions, Scoring("test", "ill", 0, decision))
    assert result["metrics"] == before["metrics"]
    assert result["groups"] == 20
    assert result["calibration"] == {"metrics": before["calibration"]["metrics"]}
    np.testing.assert_array_equal(again.units.calibrated, predictions.calibrated)


def test_predictions_of_several_folds_are_not_scored_together(tmp_path):
    file = tmp_path / "predictions.csv"
    file.write_text("path,label,score_a,score_b,fold\nx,a,0.9,0.1,01\ny,b,0.2,0.8,02\n")
    with pytest.raises(
        InputError, match=r"Predictions must be of one fold.*Received: .*predictions\.csv, column 'fold' with 01, 02"
    ):
        read_predictions(file)


def test_colour_histograms_count_pixels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3)).astype("uint8")
    found = count_colours(lambda rows: images[rows], 3)
    wanted = np.histogram(images[1, ..., 2], bins=32, range=(0, 256))[0] / 35
    np.testing.assert_allclose(found[1, 64:], wanted)
    np.testing.assert_allclose(found.sum(axis=1), 3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Give a run of two classes, and the folder of its images."""
    folder = write_images(tmp_path_factory.mktemp("two") / "data", 20, TWO)
    settings = ("phases.epochs=1", "data.positive=ill", "threshold=specificity>=0.6", "prevalence=0.1")
    return RunDir(tlmed.train(small(*settings), folder.parent / "run", folder).path), folder


def test_a_run_keeps_its_threshold_and_temperature_and_predicts_by_them(trained):
    run, folder = trained
    result = run.json("metrics.json")
    rows, point = read_csv(run / "predictions.csv"), result["operating_point"]
    assert (point["rule"], point["n"]) == ("specificity>=0.6", sum(row["split"] == "val" for row in rows))
    assert point["specificity"] >= 0.6
    assert result["threshold"] == point["threshold"] != 0.5
    scores = np.array([[row[f"score_{name}"] for name in TWO] for row in rows], np.float32)
    for row, calibrated in zip(rows, apply_temperature(scores, result["calibration"]["temperature"]), strict=True):
        assert (row["prediction"] == "ill") == (np.float32(row["score_ill"]).item() >= point["threshold"])
        assert [np.float32(row[f"calibrated_{name}"]) for name in TWO] == calibrated.tolist()
    paths = [folder / row["path"] for row in rows]
    said = []
    header, found, _ = inference.predict(run, paths, voice=Voice(say=said.append))
    assert said[0] == (
        f"`prediction` is ill where `score_ill` is {point['threshold']:.3f} or more, the threshold of the run, and "
        "well elsewhere."
    )
    assert header == [
        "path",
        "prediction",
        "score_ill",
        "score_well",
        "calibrated_ill",
        "calibrated_well",
        "image_note",
    ]
    assert [row[1] for row in found] == [row["prediction"] for row in rows]
    np.testing.assert_allclose([row[4] for row in found], [float(row["calibrated_ill"]) for row in rows], atol=1e-6)


def test_a_run_is_scored_again_by_what_it_keeps(trained):
    run, _ = trained
    before = run.json("metrics.json")
    _, again = inference.evaluate(run)
    for name in ("metrics", "operating_point", "calibration", "at_prevalence", "threshold"):
        assert_close(before[name], again[name])
    _, other = inference.evaluate(run, prevalence=0.3)
    assert other["at_prevalence"]["prevalence"] == 0.3


def test_every_run_has_the_majority_class_to_beat(trained):
    baselines = trained[0].json("metrics.json")["baselines"]
    assert list(baselines) == ["majority_class"]
    assert baselines["majority_class"]["auc"]["value"] == 0.5
    train = [row["label"] for row in read_csv(trained[0] / "splits.csv") if row["split"] == "train"]
    test = [row["label"] for row in read_csv(trained[0] / "splits.csv") if row["split"] == "test"]
    frequent = "ill" if train.count("ill") >= train.count("well") else "well"  # of equal shares the positive one
    assert baselines["majority_class"]["accuracy"]["value"] == test.count(frequent) / len(test)


@pytest.mark.parametrize("split", ["test", "external"])
def test_other_data_is_divided_by_its_columns_and_known_images_are_named(split, trained):
    run, folder = trained
    rows = read_csv(run / "splits.csv")
    lines = [f"{row['path']},{row['label']},{'AB'[i % 2]},{split}" for i, row in enumerate(rows)]
    (folder / "other.csv").write_text("\n".join(["path,label,site,split", *lines]) + "\n")
    warnings = []
    voice = tlmed.run.Voice(say=lambda text: None, warn=warnings.append)
    made, result = inference.evaluate(run, str(folder / "other.csv"), voice=voice)
    assert result["evaluated"] == {"run": str(run.path), "data": str(folder / "other.csv"), "warnings": warnings}
    assert result["n"] == len(rows) == len(made.units.paths)
    if split != "test":
        assert warnings.pop(0) == f"The given splits ({split}) are not used: all images of other data are scored alike."
    assert {site: part["n"] for site, part in result["subgroups"]["site"].items()} == {"A": 20, "B": 20}
    train, val = (sum(row["split"] == split for row in rows) for split in ("train", "val"))
    assert [words[: words.index(" images")] for words in warnings] == [
        str(train),
        str(val),
        str(len(rows) - train - val),
    ]
    assert "trained on" in warnings[0]
    assert "validated on" in warnings[1]
    assert "the run's own test images" in warnings[2]
    assert (result["without_leaks"]["leaked"], result["without_leaks"]["n"]) == (train + val, len(rows) - train - val)
    _, own = inference.evaluate(run, voice=voice)  # its own test images
    assert "without_leaks" not in own
    assert len(warnings) == 3


def test_groups_of_other_data_that_the_run_knows_by_name_are_told(trained, tmp_path):
    run, folder = trained
    copied = shutil.copytree(run.path, tmp_path / "run")
    rows = read_csv(run / "splits.csv")
    known = next(row["path"] for row in rows if row["split"] == "train")
    lines = [
        ",".join((row["path"], row["label"], "p1" if row["path"] == known else f"q{i}", row["split"], row["sha256"]))
        for i, row in enumerate(rows)
    ]
    (copied / "splits.csv").write_text("\n".join(["path,label,group,split,sha256", *lines]) + "\n")
    (copied / "lock.json").unlink()
    other = [f"{row['path']},{row['label']},p{i // 4}" for i, row in enumerate(rows)]
    (folder / "groups.csv").write_text("\n".join(["path,label,patient", *other]) + "\n")
    warnings = inference.evaluate(RunDir(copied), str(folder / "groups.csv"))[1]["evaluated"]["warnings"]
    assert any(said.startswith("4 of 40 test images belong to groups that have the names of") for said in warnings)
    assert not any(
        "belong to groups" in said for said in inference.evaluate(run, str(folder))[1]["evaluated"]["warnings"]
    )


def test_a_list_of_the_runs_own_images_is_recognised_with_patients_and_labels(trained, tmp_path):
    run, folder = trained
    copied = RunDir(shutil.copytree(run.path, tmp_path / "run"))
    rows = read_csv(run / "splits.csv")
    tested = [row["path"] for row in rows if row["split"] == "test"]
    owners = {path: f"p{i // 3}" for i, path in enumerate(tested)}  # of each three; the first was trained on too
    owner = {row["path"]: "p0" if i % 2 else f"q{i}" for i, row in enumerate(rows)} | owners
    text = "".join(
        f"{row['path']},{row['label']},{owner[row['path']]},{row['split']},{row['sha256']}\n" for row in rows
    )
    (copied / "splits.csv").write_text("path,label,group,split,sha256\n" + text)
    (copied / "lock.json").unlink()
    other = {"ill": "well", "well": "ill"}
    label = {row["path"]: row["label"] for row in rows}
    lists = {
        "plain": ("path,label", [f"{path},{label[path]}" for path in tested]),
        "named": ("path,label,patient", [f"{path},{label[path]},{owners[path]}" for path in tested]),
        "swapped": ("path,label", [f"{path},{other[label[path]]}" for path in tested]),
    }
    found = {}
    for name, (header, lines) in lists.items():
        (folder / f"{name}.csv").write_text("\n".join([header, *lines]))
        made, found[name] = inference.evaluate(copied, str(folder / f"{name}.csv"))
        assert dict(zip(made.units.paths, made.units.groups, strict=True)) == owners
        assert (found[name]["without_leaks"]["leaked"], found[name]["n"]) == (3, len(tested))
        assert any("3 images of" in said and "(p0)" in said for said in found[name]["evaluated"]["warnings"])
    assert found["plain"]["metrics"] == found["named"]["metrics"]
    for name, result in found.items():
        told = [said for said in result["evaluated"]["warnings"] if "another label here than in" in said]
        assert len(told) == (name == "swapped")
    assert told[0].startswith(f"{len(tested)} images of {len(tested)} have another label")
    _, alone = inference.evaluate(copied, str(folder / "plain.csv"), grouping=Grouping(use=False))
    assert alone["groups"] is None
    assert alone["without_leaks"]["leaked"] == 3


def test_a_run_without_groups_takes_the_patients_of_another_list(trained, tmp_path):
    run, folder = trained
    copied = RunDir(shutil.copytree(run.path, tmp_path / "run"))
    recipe = copied.json("recipe.json")
    (copied / "recipe.json").write_text(json.dumps(recipe | {"data": recipe["data"] | {"groups": False}}))
    (copied / "lock.json").unlink()
    rows = read_csv(run / "splits.csv")
    for name, groups in (("patient", len(rows) // 2), ("PatID", None)):
        lines = [f"{row['path']},{row['label']},p{i // 2}" for i, row in enumerate(rows)]
        (folder / "list.csv").write_text("\n".join([f"path,label,{name}", *lines]))
        _, result = inference.evaluate(copied, str(folder / "list.csv"))
        assert result["groups"] == groups
        told = [said for said in result["evaluated"]["warnings"] if said.startswith("Groups are switched off")]
        assert len(told) == (groups is None)
    _, alone = inference.evaluate(copied, str(folder / "list.csv"), grouping=Grouping(use=False))
    assert alone["groups"] is None


def test_weights_know_the_patients_that_they_learned_from(trained, tmp_path):
    run, _ = trained
    copied = RunDir(shutil.copytree(run.path, tmp_path / "run"))
    rows = read_csv(run / "splits.csv")
    used = {row["sha256"] for row in rows if row["split"] != "test"}
    files = {file_of(digest) for digest in used}
    tested = [row["sha256"] for row in rows if row["split"] == "test"]
    assert find_known(f"run:{copied.path}", Identifiers())[0][str(copied.path)].digests == files
    owners = {next(iter(used)): "007", tested[0]: "7", tested[1]: "8"}
    lines = [
        f"{row['path']},{row['label']},{owners.get(row['sha256'], f'q{i}q')},{row['split']},{row['sha256']}"
        for i, row in enumerate(rows)
    ]
    (copied / "splits.csv").write_text("\n".join(["path,label,group,split,sha256", *lines]))
    (copied / "lock.json").unlink()
    known = find_known(f"run:{copied.path}", Identifiers())[0][str(copied.path)]
    assert known.digests == {*files, file_of(tested[0])}
    assert "7" in known.groups


def test_images_of_another_form_of_source_cannot_be_recognised_and_that_is_said(trained, tmp_path):
    run, _ = trained
    random = np.random.default_rng(0)
    arrays = {f"{split}_images": random.integers(0, 255, (2, 32, 32, 3), "uint8") for split in ("train", "test")}
    arrays |= {f"{split}_labels": np.array([[0], [1]]) for split in ("train", "test")}
    np.savez(tmp_path / "x.npz", **arrays)
    copied = RunDir(shutil.copytree(run.path, tmp_path / "run", ignore=shutil.ignore_patterns("lock.json")))
    metrics = copied.json("metrics.json")
    write_json(copied / "metrics.json", {**metrics, "classes": ["0", "1"], "positive": "1"})
    warnings = inference.evaluate(copied, str(tmp_path / "x.npz"))[1]["evaluated"]["warnings"]
    said = "Whether the run was trained on some of these images cannot be told: its images are "
    assert f"{said}recorded by digests of image files, and these are arrays of an .npz." in warnings


def test_other_data_of_other_classes_is_refused_by_name(trained, tmp_path):
    run, _ = trained
    folder = write_images(tmp_path / "more", 2, (*TWO, "dead"))
    with pytest.raises(InputError, match=r"the run's classes, by the same names: ill, well\. .*; with 'dead'"):
        inference.evaluate(run, str(folder))
    folder = write_images(tmp_path / "other", 2, ("ill", "Well"))
    with pytest.raises(InputError, match="without 'well' and with 'Well'"):
        inference.evaluate(run, str(folder))


@pytest.mark.parametrize("setting", ["threshold=sensitivity>=0.9", "prevalence=0.2"])
def test_what_needs_two_classes_is_refused_before_training(setting, images, tmp_path):
    name = setting.partition("=")[0]
    with pytest.raises(InputError, match=rf"`{name}` needs exactly two classes\. Received: {name}=.*with 3 classes"):
        tlmed.train(small(setting), tmp_path / "run", images)
    with pytest.raises(InputError, match=f"`{name}` needs exactly two classes"):
        tlmed.run.preview(small(setting, f"data.source={images}"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["threshold=best", "threshold=sensitivity>=1.2", "threshold=1.5", "prevalence=1"])
def test_a_rule_that_is_none_is_refused_by_the_recipe(setting):
    with pytest.raises(InputError, match=rf"`{setting.split('=')[0]}` must be"):
        small(setting)


def test_a_run_is_never_overwritten_by_its_evaluation(trained, tmp_path):
    run, _ = trained
    before = (run / "metrics.json").read_bytes()
    made, result = inference.evaluate(run)
    for folder in (run.path, run.path / "report.html", tmp_path / "taken"):
        if folder == tmp_path / "taken":
            (folder / "metrics.json").mkdir(parents=True)
        with pytest.raises(InputError, match="`--out` must "):
            inference.write_evaluation(folder, made, result)
    assert (run / "metrics.json").read_bytes() == before
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda metrics: metrics.pop("calibration"), "how its threshold and its temperature were chosen"),
        (lambda metrics: metrics["calibration"].update(temperature=-1.0), "how its threshold and its temperature"),
        (lambda metrics: metrics["operating_point"].update(threshold="abc"), "how its threshold and its temperature"),
        (None, "must have all its files, readable"),
    ],
)
def test_a_run_that_does_not_say_how_it_decides_is_refused(trained, tmp_path, change, said):
    run, folder = trained
    shutil.copytree(run.path, tmp_path / "run")
    metrics = run.json("metrics.json")
    if change is None:
        (tmp_path / "run" / "metrics.json").write_text("{")
    else:
        change(metrics)
        write_json(tmp_path / "run" / "metrics.json", metrics)
    with pytest.raises(InputError, match=said):
        inference.evaluate(RunDir(tmp_path / "run"))
    with pytest.raises(InputError, match=said):
        inference.predict(RunDir(tmp_path / "run"), [folder])


def test_a_file_of_predictions_is_scored_by_its_test_rows(tmp_path):
    rows = ["x,{},a,a,0.9,0.1", "y,{},b,b,0.2,0.8", "z,{},b,a,0.6,0.4"]
    file = tmp_path / "predictions.csv"

    def evaluate(*splits):
        lines = [row.format(split) for row, split in zip(rows, splits, strict=True)]
        file.write_text("\n".join(["path,split,label,prediction,score_a,score_b", *lines]))
        said = []
        return inference.evaluate(None, file=file, voice=Voice(say=said.append))[1]["n"], said

    assert evaluate("Train", "Test", "TEST") == (
        2,
        [f"Of {file}, 2 rows of 'test' are scored; not scored: 1 of 'train'."],
    )
    assert evaluate("val", "val", "val") == (3, [])
    with pytest.raises(InputError, match=r"`split` must be one of train, val, test\..*lines 2, 3, 4: 'ours'"):
        evaluate("ours", "ours", "ours")
    with pytest.raises(InputError, match=r"rows of the split 'test', or be of one split only\..*splits train, val"):
        evaluate("train", "val", "train")


TOLD = "Metrics that count predicted classes, such as accuracy, sensitivity and F1, are computed from the column"


@pytest.mark.parametrize(
    ("guesses", "said"),
    [
        ("aabb", None),
        (
            "abbb",
            "In 1 of 4 rows `prediction` is not the class with the highest score. A threshold of 'b' above 0.2 and ",
        ),
        ("bbbb", "In 2 of 4 rows `prediction` is not the class with the highest score. A threshold of 'b' up to 0.2 "),
        ("aaaa", "In 2 of 4 rows `prediction` is not the class with the highest score. A threshold of 'b' above 0.9 "),
        ("babb", "In 1 of 4 rows .* No single threshold of 'b' explains it: the nearest, 0.2, contradicts 1 row. "),
        ("bbaa", "In 4 of 4 rows .* explains it: the nearest, 0.2, contradicts 2 rows. "),
    ],
)
def test_predicted_classes_that_contradict_the_scores_are_told(tmp_path, guesses, said):
    labels, scores = "aabb", (0.2, 0.4, 0.7, 0.9)
    parts = zip(range(4), labels, guesses, scores, strict=True)
    rows = [f"{i},{label},{guess},{1 - each},{each}" for i, label, guess, each in parts]
    rows += ["9,a,a,0.5,0.5"] if said is None else []  # a tie contradicts nothing
    file = tmp_path / "predictions.csv"
    file.write_text("\n".join(["path,label,prediction,score_a,score_b", *rows]))
    warned = []
    result = inference.evaluate(None, file=file, positive="b", voice=Voice(warn=warned.append))[1]
    assert result["evaluated"]["warnings"] == warned
    if said is None:
        assert warned == []
        return
    (note,) = warned
    assert re.match(said, note)
    assert TOLD in note
    right = sum(label == guess for label, guess in zip(labels, guesses, strict=True))
    assert result["metrics"]["accuracy"]["value"] == right / 4
    assert result["metrics"]["auc"]["value"] == 1


def test_predicted_classes_of_three_are_compared_with_the_highest_score(tmp_path):
    file = tmp_path / "predictions.csv"
    rows = ["1,a,a,0.6,0.3,0.1", "2,b,c,0.1,0.5,0.4", "3,c,b,0.2,0.4,0.4", "4,c,c,0,0,1"]
    file.write_text("\n".join(["path,label,prediction,score_a,score_b,score_c", *rows]))
    (note,) = inference.evaluate(None, file=file)[1]["evaluated"]["warnings"]
    assert note.startswith(f"In 1 of 4 rows `prediction` is not the class with the highest score. {TOLD}")


def test_only_rows_that_are_scored_are_compared(tmp_path):
    file = tmp_path / "predictions.csv"
    rows = ["1,val,a,b,0.9,0.1", "2,test,a,a,0.8,0.2", "3,test,b,b,0.1,0.9"]
    file.write_text("\n".join(["path,split,label,prediction,score_a,score_b", *rows]))
    assert inference.evaluate(None, file=file)[1]["evaluated"]["warnings"] == []


def test_a_terminal_shows_the_kappa_of_two_classes_once(tmp_path):
    file = tmp_path / "predictions.csv"
    for classes, times in (("ab", 1), ("abc", 2)):
        scores = ",".join(f"score_{name}" for name in classes)
        eye = np.eye(len(classes))
        rows = [f"{i},{name},{','.join(map(str, eye[i]))}" for i, name in enumerate(classes)]
        file.write_text("\n".join([f"path,label,{scores}", *rows]))
        result = inference.evaluate(None, file=file)[1]
        assert {"kappa", "quadratic_kappa"} <= set(result["metrics"])
        lines = [line for line in describe_metrics(result) if "kappa " in line and "Note" not in line]
        assert len(lines) == times


def test_a_network_of_ones_own_has_no_baseline_of_random_weights(tmp_path):
    folder = write_images(tmp_path / "data", 12, TWO)
    inputs = keras.Input((32, 32, 3))
    own = keras.Model(inputs, keras.layers.Conv2D(4, 3, strides=4)(inputs), name="mine")
    warnings = []
    voice = tlmed.run.Voice(say=lambda text: None, warn=warnings.append)
    recipe = small("phases.epochs=1", "baselines=true")
    done = tlmed.train(recipe, tmp_path / "run", folder, backbone=own, voice=voice)
    assert list(done.metrics["baselines"]) == ["majority_class", "colour_histograms"]
    assert "There is no baseline with random weights" in "\n".join(warnings)


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (("abnormal", "normal"), "normal"),
        (("COVID", "Non-COVID"), "Non-COVID"),
        (("Parasitized", "Uninfected"), "Uninfected"),
        (("krank", "unauffällig"), "unauffällig"),
        (("Befund", "ohne Befund"), "ohne Befund"),
        (("ja", "nein"), "nein"),
        (("malade", "sain"), "sain"),
        (("lésion", "pas de lésion"), "pas de lésion"),
        (("enfermo", "sano"), "sano"),
        (("hallazgo", "sin hallazgos"), "sin hallazgos"),
        (("maligno", "normale"), "normale"),
        (("doente", "saudável"), "saudável"),
        (("DOENTE", "SAUDA\u0301VEL"), "SAUDA\u0301VEL"),
        (("afwijkend", "gezond"), "gezond"),
        (("hasta", "sa\u011fl\u0131kl\u0131"), "sa\u011fl\u0131kl\u0131"),
        (("bulgu var", "bulgu yok"), "bulgu yok"),
        (("chory", "zdrowy"), "zdrowy"),
        (("больной", "здоровый"), "здоровый"),
        (("异常", "正常"), "正常"),
        (("gesund", "nicht gesund"), None),
        (("gesund", "ungesund"), None),
        (("anormal", "normal de\u011fil"), None),
        (("AFB", "PAS positive"), None),  # a stain
        (("normal", "pas normal"), None),
        (("benign", "insano"), None),
        (("cancer", "NoFinding"), None),  # in sorted order NoFinding is the first
        (("benign", "malignant"), None),
        (("healthy", "not healthy"), None),
        (("a", "unnormalised"), None),
        (("0", "1"), None),
        (("abnormal", "benign", "normal"), None),
    ],
)
def test_a_positive_class_that_sounds_healthy_is_told_where_nobody_asked_for_it(tmp_path, classes, positive):
    file = tmp_path / "predictions.csv"
    names = ",".join(f"score_{name}" for name in classes)
    scores = 0.1 + 0.7 * np.eye(len(classes))
    scores /= scores.sum(axis=1, keepdims=True)
    rows = [f"{i},{name},{','.join(map(str, scores[i]))}" for i, name in enumerate(classes)]
    file.write_text("\n".join([f"path,label,{names}", *rows]))
    said = inference.evaluate(None, file=file)[1]["evaluated"]["warnings"]
    if positive is None:
        assert said == []
        return
    (sentence,) = said
    assert sentence.startswith(f"The positive class is {positive!r}, by default the second in sorted order, and its ")
    assert sentence.endswith(f"If {classes[0]!r} is what is looked for: `--positive {shlex.quote(classes[0])}`.")
    for asked in classes:
        assert inference.evaluate(None, file=file, positive=asked)[1]["evaluated"]["warnings"] == []


def write_columns(file, labels, **tables):
    """Write a file of predictions; `tables` holds the columns of each kind by the name of the class."""
    head = [f"{kind}_{name}" for kind, table in tables.items() for name in table]
    columns = np.stack([column for table in tables.values() for column in table.values()], axis=1)
    rows = [
        f"{i}.png,{label},{','.join(map(repr, row))}"
        for i, (label, row) in enumerate(zip(labels, columns.tolist(), strict=True))
    ]
    file.write_text("\n".join([f"path,label,{','.join(head)}", *rows]))
    return file


def draw_columns(classes, n=120):
    """Return labels and the columns of scores that tell them apart, by class."""
    numbers = np.arange(n) % len(classes)
    scores = np.random.default_rng(0).dirichlet(np.ones(len(classes)), n)
    scores[np.arange(n), numbers] += 0.5
    scores /= scores.sum(axis=1, keepdims=True)
    return [classes[number] for number in numbers], dict(zip(classes, scores.T, strict=True))


@pytest.mark.parametrize("classes", [("benign", "malignant"), ("a", "b", "c", "d")])
def test_exchanged_columns_of_calibrated_probabilities_are_told(tmp_path, classes):
    labels, scores = draw_columns(classes)
    softened = dict(zip(classes, apply_temperature(np.stack([*scores.values()], axis=1), 3.0).T, strict=True))
    first, second, *_ = classes
    exchanged = softened | {first: softened[second], second: softened[first]}
    told = (
        f"Are columns exchanged? `calibrated_{first}` goes with `score_{second}`, `calibrated_{second}` goes with "
        f"`score_{first}`."
    )
    for calibrated, said in ((softened, []), (exchanged, [told])):
        warned = []
        file = write_columns(tmp_path / "p.csv", labels, score=scores, calibrated=calibrated)
        made, result = inference.evaluate(None, file=file, voice=Voice(warn=warned.append), positive=None)
        assert warned == result["evaluated"]["warnings"] == said
        assert (
            told.replace("`", "") in Reader(make_evaluation_page(made.units, result)).text.replace("`", "")
        ) == bool(said)


def test_a_column_of_calibrated_probabilities_without_spread_is_no_exchange(tmp_path):
    labels, scores = draw_columns(("a", "b", "c"))
    rest = scores["a"] + scores["b"]
    flat = {"a": 0.9 * scores["a"] / rest, "b": 0.9 * scores["b"] / rest, "c": np.full(len(labels), 0.1)}
    file = write_columns(tmp_path / "p.csv", labels, score=scores, calibrated=flat)
    assert inference.evaluate(None, file=file)[1]["evaluated"]["warnings"] == []


@pytest.mark.parametrize("classes", [("benign", "malignant"), ("a", "b", "c")])
def test_scores_that_are_decisions_are_told(tmp_path, classes):
    labels, scores = draw_columns(classes)
    table = np.stack([*scores.values()], axis=1)
    hard = dict(zip(classes, np.eye(len(classes))[table.argmax(axis=1)].T, strict=True))
    file, warned = write_columns(tmp_path / "p.csv", labels, score=hard), []
    made, result = inference.evaluate(None, file=file, voice=Voice(warn=warned.append))
    (said,) = result["evaluated"]["warnings"]
    assert warned == [said]
    assert said.startswith("All scores are 0 or 1, decisions and not probabilities: the AUC is only the mean of sensi")
    metrics = {name: entry["value"] for name, entry in result["metrics"].items()}
    assert metrics["auc"] == pytest.approx((metrics["sensitivity"] + metrics["specificity"]) / 2)
    assert said in Reader(make_evaluation_page(made.units, result)).text
    (said,) = inference.evaluate(None, file=write_columns(file, labels, score=scores, calibrated=hard))[1]["evaluated"][
        "warnings"
    ]
    assert said.startswith("All columns `calibrated_CLASS` are 0 or 1")
    hard[classes[0]][0], hard[classes[1]][0] = 0.5, 0.5
    rows = inference.evaluate(None, file=write_columns(file, labels, score=hard))[1]["evaluated"]["warnings"]
    assert not any("0 or 1" in row for row in rows)


def test_classes_whose_scores_are_exchanged_are_named_though_the_mean_auc_is_high(tmp_path):
    labels, scores = draw_columns(("a", "b", "c", "d"))
    told = "The whole interval of the AUC of a, b lies below 0.5: the scores rank images of the class and others the "
    for table, times in ((scores, 0), (scores | {"a": scores["b"], "b": scores["a"]}, 1)):
        made, result = inference.evaluate(None, file=write_columns(tmp_path / "p.csv", labels, score=table))
        assert result["metrics"]["auc"]["value"] > 0.5
        assert sum(line.startswith(told) for line in describe_metrics(result)) == times
        assert Reader(make_evaluation_page(made.units, result)).text.count(told) == times


def test_training_planning_and_scoring_say_that_the_positive_class_sounds_healthy(tmp_path):
    folder, said = write_images(tmp_path / "data", 12, ("abnormal", "no finding")), []
    recipe, words = small("phases.epochs=1"), "its name sounds like the healthy one. If 'abnormal' is what is looked "
    voice = Voice(say=lambda text: None, warn=said.append)
    run = RunDir(tlmed.train(recipe, tmp_path / "run", folder, voice=voice).path)
    told = f"The positive class is 'no finding', by default the second in sorted order, and {words}for: "
    assert said[0] == run.json("environment.json")["warnings"][0] == f"{told}`--positive abnormal`."
    assert f"Found: {said[0]}" in tlmed.run.preview(small(f"data.source={folder}"))[0]
    assert said[0] not in tlmed.run.preview(small(f"data.source={folder}", "data.positive=abnormal"))[0]
    assert inference.evaluate(run)[1]["evaluated"]["warnings"] == [f"{told}`tlmed train ... --positive abnormal`."]


def test_many_classes_are_warned_of_and_named_in_short(tmp_path):
    classes, random = 200, np.random.default_rng(0)
    labels = np.arange(300) % (classes - 50)  # 50 have no image
    scores = random.dirichlet(np.full(classes, 0.05), len(labels)).astype(np.float32)
    names = tuple(f"c{number:04}" for number in range(classes))
    paths, guesses = tuple(f"{number}.png" for number in range(len(labels))), scores.argmax(axis=1)
    write_predictions(tmp_path / "all.csv", Predictions(paths, ("test",) * 300, labels, scores, guesses, names))
    warned = []
    _, result = inference.evaluate(None, file=tmp_path / "all.csv", voice=Voice(warn=warned.append))
    assert warned == result["evaluated"]["warnings"]
    assert warned[0].startswith("There are 200 classes, with 1.5 images each on average")
    assert "'c0150', 'c0151', 'c0152', 'c0153', 'c0154' and 45 more" in result["metrics"]["auc"]["note"]
    assert max(map(len, describe_metrics(result))) < 400


def test_the_terminal_does_not_promise_intervals_where_there_are_none():
    labels = np.repeat([0, 1], 6)
    scores = np.random.default_rng(0).dirichlet((1, 1), 12)
    result = {**evaluate(labels, scores, labels, ["a", "b"], groups=list("aabbccddeeff"), draws=10), "threshold": None}
    head, *rest = describe_metrics(result)
    assert head == "Test (12 images of 6 groups; positive: b, the second in sorted order), too few for intervals:"
    assert "  Note on accuracy: Fewer than 10 groups, from which no interval follows. It rests on 6 groups." in rest


@pytest.mark.parametrize("classes", [2, 3])
def test_the_terminal_says_which_metrics_are_means_over_classes(classes):
    labels = np.arange(60) % classes
    scores = np.random.default_rng(0).dirichlet(np.ones(classes), 60)
    result = {**evaluate(labels, scores, labels, list("abc")[:classes], draws=10), "threshold": None}
    named = "auc, sensitivity, specificity, ppv, npv, f1, average_precision"
    line = f"  Means over the classes, each against the rest: {named}."
    assert (line in describe_metrics(result)) == (classes == 3)
    assert not any("Means" in line for line in describe_metrics({**result, "metrics": {}})[1:])
