"""A run whose classes are ordered: their order everywhere, medians, metrics of grades, and the same again later."""

import json
import shutil

import numpy as np
import pytest

import tlmed
from tests.conftest import SMALL
from tests.run.test_distribution import run_strategies
from tlmed import inference
from tlmed.comparison import compare, describe_comparison, write_comparison
from tlmed.data import open_source
from tlmed.errors import InputError
from tlmed.evaluation.explanations.cases import pick_cases
from tlmed.evaluation.lines import describe_metrics
from tlmed.evaluation.pooled_csv import read_units
from tlmed.evaluation.predictions import predict_classes
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.export import write_card
from tlmed.recipe import load_recipe, override
from tlmed.rundir import RunDir
from tlmed.screen import to_lines
from tlmed.source_layout import Layout
from tlmed.whole_files import read_csv

ORDER = ("normal", "benign", "malignant")


def ordered(*settings):
    return override(load_recipe("feature_extractor"), [*SMALL, f"data.order={','.join(ORDER)}", *settings])


@pytest.fixture(scope="module")
def graded(images, tmp_path_factory):
    return tlmed.train(ordered("phases.learning_rate=0.01"), tmp_path_factory.mktemp("runs") / "graded", images)


def test_the_order_of_a_recipe_is_that_of_all_files(graded):
    rows, plan = read_csv(graded.path / "predictions.csv"), json.loads((graded.path / "plan.json").read_text())
    assert [name for name in rows[0] if name.startswith("score_")] == [f"score_{name}" for name in ORDER]
    assert plan["task"] == graded.metrics["task"] == "ordinal"
    assert graded.metrics["classes"] == list(ORDER)
    assert list(graded.metrics["cuts"]) == list(ORDER[:-1])
    assert graded.metrics["primary"] == next(iter(graded.metrics["metrics"])) == "quadratic_kappa"


def test_the_baseline_majority_class_is_the_most_frequent_grade_and_not_the_median(images, tmp_path):
    rows = ["path,label"]
    for name, count in (("normal", 12), ("benign", 6), ("malignant", 14)):
        rows += [f"{name}/{path.name},{name}" for path in sorted((images / name).iterdir())[:count]]
    shutil.copytree(images, tmp_path / "images")
    (tmp_path / "images" / "grades.csv").write_text("\n".join(rows) + "\n")
    run = tlmed.train(ordered("phases.epochs=1"), tmp_path / "run", tmp_path / "images" / "grades.csv")
    found = run.metrics["baselines"]["majority_class"]
    assert found["answers"] == ["malignant"]
    assert found["description"].startswith("Always 'malignant': no class is more frequent in the training images")
    labels = [row["label"] for row in read_csv(run.path / "predictions.csv") if row["split"] == "test"]
    assert found["accuracy"]["value"] == pytest.approx(labels.count("malignant") / len(labels))


def test_a_grade_is_predicted_by_the_median(graded):
    rows = read_csv(graded.path / "predictions.csv")
    for row in rows:
        reached = np.cumsum([float(row[f"calibrated_{name}"]) for name in ORDER])
        assert row["prediction"] == ORDER[int(np.searchsorted(reached, 0.5))]
    read = read_units(graded.path, graded.metrics)
    assert (read.classes, read.task) == (ORDER, "ordinal")


def test_no_grade_has_a_smaller_expected_error_than_the_median():
    scores = np.random.default_rng(0).dirichlet(np.full(5, 0.5), 200)
    off = np.abs(np.arange(5)[:, None] - np.arange(5))
    chosen = predict_classes(scores, None, task="ordinal")
    assert chosen.tolist() == (scores @ off).argmin(axis=1).tolist()
    assert (chosen != scores.argmax(axis=1)).any()


def test_what_was_scored_in_training_is_scored_again(graded, tmp_path):
    run = RunDir(graded.path)
    again = inference.evaluate(run)[1]
    foreign = inference.evaluate(None, file=run / "predictions.csv", order=ORDER)[1]
    for found in (again, foreign):
        assert (found["task"], found["metrics"], found["cuts"]) == (
            "ordinal",
            *map(graded.metrics.get, ("metrics", "cuts")),
        )


def test_a_file_without_an_order_has_no_grades(graded):
    found = inference.evaluate(None, file=RunDir(graded.path) / "predictions.csv")[1]
    assert (found["task"], found["primary"], found["classes"]) == ("single-label", "auc", sorted(ORDER))
    assert "mean_absolute_error" not in found["metrics"]


def test_medians_are_predicted_where_a_file_has_no_predictions(tmp_path):
    file = tmp_path / "theirs.csv"
    file.write_text("path,label,score_low,score_mid,score_top\na,low,0.4,0.25,0.35\nb,top,0.1,0.1,0.8\n")
    assert read_predictions(file).predictions.tolist() == [0, 2]
    found = read_predictions(file, order=("top", "mid", "low"), task="ordinal")
    assert (found.predictions.tolist(), found.labels.tolist()) == ([1, 0], [2, 0])
    assert pick_cases(found, 1)["uncertain"] == [0]
    with pytest.raises(InputError, match=r"`--order` must name every class once. Received: low,top, which lacks 'mid'"):
        inference.evaluate(None, file=file, order=("low", "top"))


@pytest.mark.parametrize(
    ("guesses", "said"),
    [
        (("mid", "top", "low"), ""),
        (("mid", "top", "mid"), ""),  # a half on either side: both are medians
        (
            ("low", "top", "low"),
            "In 1 of 3 rows `prediction` is not the median grade. In every row it is the class with",
        ),
        (("top", "low", "low"), "In 2 of 3 rows `prediction` is not the median grade. Metrics that count predicted "),
    ],
)
def test_grades_of_a_file_that_are_no_medians_are_not_called_so(tmp_path, guesses, said):
    file = tmp_path / "theirs.csv"
    scores = ("0.4,0.25,0.35", "0.1,0.1,0.8", "0.5,0.3,0.2")
    rows = [f"{i},{label},{guesses[i]},{scores[i]}" for i, label in enumerate(("low", "top", "low"))]
    file.write_text("\n".join(["path,label,prediction,score_low,score_mid,score_top", *rows]))
    result = inference.evaluate(None, file=file, order=("low", "mid", "top"))[1]
    warned = [line for line in result["evaluated"]["warnings"] if "median" in line]
    assert [line.startswith(said) for line in warned] == [True] * bool(said)
    lines = describe_metrics(result)
    assert "  Predicted is the grade in the column `prediction`." in lines
    assert not any("median" in line for line in lines)


@pytest.mark.parametrize("settings", [[f"data.order={','.join(ORDER)}"], ["task=ordinal"]])
def test_two_classes_have_no_grades_in_python_either(settings):
    with pytest.raises(InputError, match=r"`num_classes` must be a whole number of 3 or more for ordered classes"):
        override(load_recipe("feature_extractor"), settings).build(2)


def test_classes_are_arranged_with_their_images(images):
    plain, table = open_source(images), open_source(images, Layout(order=ORDER))
    assert (plain.classes, table.classes) == (("benign", "malignant", "normal"), ORDER)
    assert [table.classes[label] for label in table.labels] == [plain.classes[label] for label in plain.labels]
    merged = Layout(
        classes={"ill": ("malignant",), "well": ("normal",), "so-so": ("benign",)}, order=("well", "so-so", "ill")
    )
    assert open_source(images, merged).classes == ("well", "so-so", "ill")


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (
            ("normal", "benign", "x"),
            "must name every class once. Received: normal,benign,x, which lacks 'malignant', for",
        ),
        (("normal", "Benign", "malignant"), "must name classes that there are. 'Benign' differs from 'benign' only in"),
    ],
)
def test_an_order_must_be_of_the_classes_of_the_data(images, order, said):
    with pytest.raises(InputError) as caught:
        open_source(images, Layout(order=order))
    assert any(fault.startswith(f"`data.order` {said}") for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["data.order=a,b"], "`data.order` must be the names of three classes or more, each once"),
        (["data.order=a,b,b"], "`data.order` must be the names of three classes or more, each once"),
        (
            ["data.classes.a=1", "data.classes.b=2", "data.order=a,b,c"],
            "`data.order` must name every class of `data.cl",
        ),
        (["task=grades"], "`task` must be one of 'auto', 'single-label', 'multi-label', 'ordinal'"),
    ],
)
def test_faults_of_an_order_are_found_when_a_recipe_is_read(settings, said):
    with pytest.raises(InputError, match="Received") as caught:
        override(load_recipe("feature_extractor"), settings)
    assert caught.value.faults[0].startswith(said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["data.order=none", "task=ordinal"],
            "`data.order` must name the classes from the lowest grade to the highest",
        ),
        (
            ["data.order=none", "task=ordinal", "data.classes.a=benign", "data.classes.b=normal"],
            "`task` must be 'single",
        ),
    ],
)
def test_faults_of_a_task_are_found_when_the_classes_are_known(images, tmp_path, settings, said):
    with pytest.raises(InputError, match="Received") as caught:
        tlmed.train(ordered(*settings), tmp_path / "run", images)
    assert caught.value.faults[0].startswith(said)


def test_a_task_is_inferred_from_the_order():
    plain = load_recipe("feature_extractor")
    assert (plain.resolved_task, ordered().resolved_task) == ("single-label", "ordinal")
    assert ordered("task=single-label").resolved_task == "single-label"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["soft-labels", "corn"])
def test_heads_for_grades_are_the_same_with_kept_features_and_on_two_devices(kind, images, tmp_path):
    settings = [*SMALL, f"data.order={','.join(ORDER)}", f"head.ordinal={kind}", "class_weight=balanced", "seed=3"]
    settings += ["data.batch_size=11", "phases.optimizer=sgd", "head.dropout=0"]  # replicas draw different dropout
    for mode in ("on", "off"):
        tlmed.train(override(load_recipe("feature_extractor"), [*settings, f"cache={mode}"]), tmp_path / mode, images)
    [mirrored] = run_strategies(tmp_path, images, ["mirrored"], [*settings, "cache=on"], "feature_extractor")
    found = [read_units(tmp_path / "on", json.loads((tmp_path / "on" / "metrics.json").read_text()))]
    for folder in (tmp_path / "off", mirrored):
        found.append(read_units(folder, json.loads((folder / "metrics.json").read_text())))
    for other in found[1:]:
        np.testing.assert_allclose(other.scores, found[0].scores, atol=1e-5)
        assert other.classes == ORDER


def test_a_hybrid_grades_by_the_median(images, tmp_path):
    words = [word for word in SMALL if not word.startswith("phases")]
    settings = [
        *words,
        f"data.order={','.join(ORDER)}",
        "head.classifier=LogisticRegression",
        "head.grid.C=1.0",
        "head.folds=2",
    ]
    made = tlmed.train(override(load_recipe("feature_extractor_hybrid"), settings), tmp_path / "hybrid", images)
    found = read_units(made.path, made.metrics)
    assert found.predictions.tolist() == predict_classes(found.calibrated, None, task="ordinal").tolist()
    assert made.metrics["task"] == "ordinal"


def test_runs_that_grade_are_compared_by_their_quadratic_kappa(graded, images, tmp_path):
    other = tlmed.train(ordered("phases.epochs=1", "head.ordinal=corn"), tmp_path / "corn", images)
    comparison = compare([graded.path, other.path])
    assert comparison.questions[0] == comparison.main_questions[0] == "quadratic_kappa"
    entry = comparison.pairs[0].questions["quadratic_kappa"]
    kappas = [run.metrics["metrics"]["quadratic_kappa"]["value"] for run in (graded, other)]
    assert entry["value"] == pytest.approx(kappas[0] - kappas[1])
    assert "quadratic kappa: difference" in " ".join(to_lines(describe_comparison(comparison)))
    for force in (False, True):  # the second time over its own files
        write_comparison(tmp_path / "page", comparison, force)
    assert "quadratic_kappa_low" in (tmp_path / "page" / "comparison.csv").read_text().partition("\n")[0]


def test_report_and_card_of_grades_say_what_decides_and_the_report_shows_each_cut(graded):
    page = (graded.path / "report.html").read_text()
    assert "Predicted is the median grade" in write_card(RunDir(graded.path))
    assert "the quadratic kappa is" in page
    assert "grades on average" in page
    assert "Predicted is the median grade" in page
    assert "Classes are predicted by the calibrated probabilities." in page
    assert "It changes no class" not in page
    assert all(f"above {name}" in page for name in ORDER[:-1])


def test_the_report_counts_images_in_the_order_of_the_grades(graded):
    page = (graded.path / "report.html").read_text()
    counted = page[: page.index("all images")].rpartition("<table")[2]
    assert sorted(ORDER, key=counted.index) == list(ORDER)
