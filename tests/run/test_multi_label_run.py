"""A run whose images have several labels: its files, its scores again, new images, and what does not take it yet."""

import dataclasses
import json
import re
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.cli.test_cli import here
from tests.conftest import draw
from tlmed import inference
from tlmed.errors import InputError
from tlmed.evaluation.explanations import overlay, pick_label_cases
from tlmed.evaluation.label_predictions_csv import read_label_predictions
from tlmed.evaluation.lines import describe_metrics
from tlmed.export import write_card
from tlmed.export.entries_of_card import show_beside, show_entry
from tlmed.heads.skops_files import load_classifiers
from tlmed.lock import read_lock
from tlmed.lock.agreement import compare_results
from tlmed.lock.lock_json import describe_results
from tlmed.metrics.calibration import sort_changes
from tlmed.metrics.label_metrics import evaluate_labels, macro_area
from tlmed.recipe import Dense, Hybrid, Images, KFold, Phase, Recipe
from tlmed.report.evaluations import make_evaluation_page
from tlmed.report.folds import write_folds_report
from tlmed.report.label_sections import show_mean_label_calibration
from tlmed.reproduce import Request, reproduce
from tlmed.run.averages import write_averages
from tlmed.run_files import EXAMPLES_JSON, FOLDS_CSV, METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.voice import Voice
from tlmed.whole_files import read_csv, write_json
from tlmed.words import thousandths

NAMES = ("red", "green")
PHASES = (Phase("all", thaw="all", epochs=2, learning_rate=1e-3),)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Give a table of images that are red, green, both or neither; some labels are not known."""
    folder = tmp_path_factory.mktemp("labels")
    lines = ["path,red,green,patient,sex"]
    for i in range(60):
        has = i % 2, i // 2 % 2
        image = draw(2, i) // 2
        image[..., 0] += 100 * has[0]
        image[..., 1] += 100 * has[1]
        Image.fromarray(image).save(folder / f"{i:02}.png")
        cells = [has[0], "" if i % 11 == 5 else has[1]]
        lines.append(",".join(map(str, (f"{i:02}.png", *cells, f"p{i // 2}", "FM"[i % 3 // 2]))))
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder / "list.csv"


def make_recipe(source, **settings):
    data = Images(str(source), image_size=(32, 32), batch_size=8, label_columns=NAMES)
    fields = {"backbone": "LeNet5", "weights": "none", "phases": PHASES, "class_weight": "balanced", "cache": "off"}
    return Recipe(**{"data": data, **fields, **settings})


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory, drawing):
    with drawing():
        return tlmed.train(make_recipe(source, baselines=True), tmp_path_factory.mktemp("runs") / "finished")


def test_the_files_of_a_run_say_each_label(finished):
    folder = RunDir(finished.path)
    result = METRICS_JSON.read(folder)
    assert (result["task"], result["primary"], folder.json("plan.json")["task"]) == (
        "multi-label",
        "auc",
        "multi-label",
    )
    rows = read_csv(folder / "predictions.csv")
    kinds = [f"{kind}_{name}" for kind in ("label", "prediction", "score", "calibrated") for name in NAMES]
    assert list(rows[0]) == ["path", "split", *kinds, "group"]
    assert {row["label_green"] for row in rows} == {"0", "1", ""}
    recorded = {row["path"]: row for row in read_csv(folder / "splits.csv")}
    assert {"No Finding", "red", "green", "red|green", "?green"} <= {row["label"] for row in recorded.values()}
    # The patients are whole, and so are the labels of the record and of the predictions.
    assert len({(row["group"], row["split"]) for row in recorded.values()}) == 30
    for row in rows:
        named = [name for name in NAMES if row[f"label_{name}"] == "1"]
        named += [f"?{name}" for name in NAMES if row[f"label_{name}"] == ""]
        assert recorded[row["path"]]["label"] == ("|".join(named) or "No Finding")


def test_metrics_are_those_of_the_predictions_and_thresholds_are_used(finished):
    folder = RunDir(finished.path)
    result = METRICS_JSON.read(folder)
    test = read_label_predictions(folder / "predictions.csv", NAMES).of("test")
    thresholds = [result["per_class"][name]["operating_point"]["threshold"] for name in NAMES]
    np.testing.assert_array_equal(test.predictions, test.scores >= thresholds)
    found = evaluate_labels(test.labels, test.scores, test.predictions, NAMES, test.groups)
    assert found["metrics"] == {name: result["metrics"][name] for name in found["metrics"]}
    assert {"auc", "n", "positives", "unknown", "calibration"} <= result["per_class"]["green"].keys()
    assert set(result["subgroups_left_out"]) == {"sex"}
    assert result["baselines"]["majority_class"]["auc"]["value"] == 0.5
    colours = result["baselines"]["colour_histograms"]
    assert colours["description"].startswith("A linear classifier for each label on how often")
    assert colours["auc"]["value"] > 0.9  # the labels are colours
    assert "random_weights" in result["baselines"]


def test_the_predictions_of_a_run_are_scored_as_a_file_with_the_same_figures(finished):
    written = METRICS_JSON.read(RunDir(finished.path))
    _, found = inference.evaluate(None, file=finished.path / "predictions.csv")
    found = json.loads(json.dumps(found))
    assert found["metrics"] == written["metrics"]
    assert found["calibration"]["metrics"] == written["calibration"]["metrics"]
    for name in NAMES:
        own, theirs = written["per_class"][name], found["per_class"][name]
        assert theirs["calibration"]["metrics"] == own["calibration"]["metrics"]
        of_validation = ("operating_point", "calibration")  # which the file does not tell
        assert own.keys() - set(of_validation) == theirs.keys() - set(of_validation)
        assert all(theirs[key] == own[key] for key in own if key not in of_validation)


@pytest.mark.slow
def test_other_images_may_name_their_labels_in_the_other_form_and_lack_some(finished, source):
    folder, rows = RunDir(finished.path), read_csv(source)
    texts = [
        (row["path"], "|".join(name for name in (*NAMES, "blue") if row.get(name, "1") == "1") or "No Finding")
        for row in rows[:40]
        if row["green"]
    ]
    other = source.parent / "joined.csv"
    other.write_text("path,label\n" + "".join(f"{path},{text}\n" for path, text in texts))
    _, found = inference.evaluate(folder, str(other))
    apart = source.parent / "apart.csv"
    known = {row["path"]: row for row in rows}
    cells = [f"{path},{known[path]['green']},{known[path]['red']}" for path, _ in texts]
    apart.write_text("\n".join(["path,green,red", *cells]))
    _, same = inference.evaluate(folder, str(apart))
    assert found["metrics"] == same["metrics"]
    assert found["per_class"].keys() == same["per_class"].keys() == set(NAMES)
    assert f"Labels of data={other} that the run does not have are left out: 'blue'." in found["evaluated"]["warnings"]
    apart.write_text("path,red\n" + "".join(f"{path},{known[path]['red']}\n" for path, _ in texts))
    made, lacking = inference.evaluate(folder, str(apart))
    assert lacking["per_class"]["red"]["auc"] == found["per_class"]["red"]["auc"]
    assert (lacking["per_class"]["green"]["n"], lacking["per_class"]["green"]["unknown"]) == (0, len(texts))
    said = f"Labels of the run that data={apart} does not have are not known there: 'green'."
    assert said in lacking["evaluated"]["warnings"]
    about = [line for line in lacking["evaluated"]["warnings"] if "'green' is" in line]
    assert about == ["In test 'green' is known of no image; what needs both values is not measured."]
    assert "Mean without 'green'" in lacking["metrics"]["auc"]["note"]
    assert lacking["metrics"]["exact_match"]["value"] is None
    assert "not known there" in make_evaluation_page(made.units, lacking)
    assert any("green" in line for line in describe_metrics(lacking))
    apart.write_text("path,blue\n" + "".join(f"{path},1\n" for path, _ in texts))
    with pytest.raises(InputError, match="must have a column for labels of the run"):
        inference.evaluate(folder, str(apart))


def test_metrics_for_a_question_are_listed_with_the_value_of_each_label(finished):
    answers = ("--prevalence", "same", "--costs", "unequal", "--use", "class", "--use", "probability")
    status, out, err = here("metrics", "advise", finished.path, *answers)
    assert (status, err) == (0, "")
    result = METRICS_JSON.read(RunDir(finished.path))
    tables = {**result["per_class"], "mean": result["metrics"]}
    for metric, names in {"sensitivity": tables, "net_benefit_at_0.1": NAMES}.items():
        (line,) = re.findall(rf"^  {metric}, per_class\.<label>\.{re.escape(metric)}: (.*)$", out, re.M)
        values = {name: f"{tables[name][metric]['value']:.3f}" for name in names}
        assert dict(re.findall(r"(red|green|mean) (-?\d\.\d+)", line)) == values
    assert "calibration_slope, per_class.<label>.calibration.metrics.calibration_slope: red " in out
    assert "normalised_expected_cost" not in out


def test_plain_keras_loads_the_network_and_it_gives_the_scores(finished, source):
    network = keras.saving.load_model(finished.path / "model.keras", safe_mode=True)
    test = read_label_predictions(finished.path / "predictions.csv", NAMES)
    image = np.asarray(Image.open(source.parent / test.paths[0]).resize((32, 32)))[None]
    assert network.layers[-1].activation is keras.activations.sigmoid
    assert network.loss == "binary_crossentropy"
    assert network(image).shape == (1, 2)


@pytest.mark.slow
def test_the_run_is_scored_again_with_the_same_numbers_and_new_images_are_predicted(finished, source, tmp_path):
    folder, written = RunDir(finished.path), METRICS_JSON.read(RunDir(finished.path))
    _, result = inference.evaluate(folder)
    assert json.loads(json.dumps(result["metrics"])) == written["metrics"]
    _, others = inference.evaluate(folder, str(source))
    assert others["n"] == 60
    header, rows, _ = inference.predict(folder, [source.parent / "03.png"])
    assert header[:3] == ["path", "prediction_red", "prediction_green"]
    assert all(value in (0, 1) for value in rows[0][1:3])
    lock = read_lock(finished.path)
    same = compare_results(lock.content["results"], describe_results(folder), "bits", 0.0)
    assert all(row.same for row in same if row.same is not None)


def test_a_prevalence_is_refused_for_several_labels(finished):
    with pytest.raises(InputError, match="prevalence"):
        inference.evaluate(RunDir(finished.path), prevalence=0.1)


def test_the_card_tells_each_label_with_counts_threshold_temperature_and_metrics(finished):
    folder = RunDir(finished.path)
    result, splits, card = METRICS_JSON.read(folder), read_csv(folder / "splits.csv"), write_card(folder)
    for name in NAMES:
        entry, amounts = result["per_class"][name], []
        for split in ("train", "val", "test"):
            labels = [row["label"].split("|") for row in splits if row["split"] == split]
            unknown = sum(f"?{name}" in own for own in labels)
            said = f"{sum(name in own for own in labels)} of {len(labels) - unknown}"
            amounts.append(said + f" ({unknown} unknown)" * (unknown > 0))
        assert f"| {name} | {' | '.join(amounts)} |" in card
        threshold, temperature = entry["operating_point"]["threshold"], entry["calibration"]["temperature"]
        cells = (*(f"{entry[key]}" for key in ("positives", "n", "unknown")), thousandths(threshold))
        assert f"| {name} | {' | '.join((*cells, thousandths(temperature), show_beside(entry['auc'])))} |" in card
    for name, texts in (("No Finding", {"No Finding"}), ("none known to be there", {"?red", "?green", "?red|?green"})):
        own = [row["split"] for row in splits if row["label"] in texts]
        assert f"| {name} | {' | '.join(str(own.count(split)) for split in ('train', 'val', 'test'))} |" in card
    auc = result["metrics"]["auc"]
    assert f"| AUC | {' | '.join(show_entry(auc))} |" in card
    assert f'value: {auc["value"]!r}\n            name: "AUC, mean over the labels' in card
    for said in (
        "of which each may have several labels: red, green.",
        "| task | multi-label |",
        "one probability for each label, by a sigmoid of its own",
        '- "multi-label-image-classification"',
        "any image gets some of them, or none",
        "| Positive likelihood ratio |",
        "Each label is predicted from a score of its own on, chosen on the split `val` for the largest sum",
        "A label is predicted from its own threshold on",
        "a temperature for each label (see above), fitted on validation images",
    ):
        assert said in card
    assert "temperature None" not in card


def test_examples_are_the_surest_of_each_label_and_kind(finished):
    folder = RunDir(finished.path)
    test = read_label_predictions(folder / "predictions.csv", NAMES)
    cases = pick_label_cases(test, 1, [0, 1])
    content = folder.json("examples.json")
    assert cases
    assert [(it["of"], it["kind"], it["path"]) for it in content["examples"]] == [
        (case.label, case.kind, test.paths[case.row]) for case in cases
    ]
    recorded = {row["path"]: row["label"] for row in read_csv(folder / "splits.csv")}
    page = (folder / "report.html").read_text()
    for case, it in zip(cases, content["examples"], strict=True):
        assert it["label"] == recorded[it["path"]]
        assert it["score"] == test.scores[case.row, case.column]
        assert (case.label in it["prediction"].split("|")) == (case.kind != "missed")
        assert it["method"] == "grad-cam, last block"
        with Image.open(folder / it["file"]) as picture:
            assert picture.size[0] == 2 * 224 + 24
        assert f"{it['path']}, {it['of']} {it['score']:.3f}; truly {it['label']}" in page
    absent = [f"{name} {kind.replace('-', ' ')}" for name in NAMES for kind in ("found", "missed", "false-alarm")]
    absent = [it for it in absent if it not in {f"{case.label} {case.kind.replace('-', ' ')}" for case in cases}]
    assert content["notes"] == ([f"There is no image for: {', '.join(absent)}."] if absent else [])
    threshold = METRICS_JSON.read(folder)["per_class"]["red"]["operating_point"]["threshold"]
    assert f"<h3>red: predicted from {thousandths(threshold)} on</h3>" in page


def test_new_images_are_explained_by_each_label_that_is_predicted_or_stated(finished, source, tmp_path):
    folder, said = RunDir(finished.path), []
    paths = [source.parent / f"{i:02}.png" for i in range(4)]
    _, rows, _ = inference.predict(
        folder, paths, shown=inference.Pictures(tmp_path / "maps"), voice=Voice(say=said.append)
    )
    predicted = np.array([row[1:3] for row in rows])
    drawn = {path.stem: np.asarray(Image.open(path)) for path in sorted((tmp_path / "maps").iterdir())}
    assert list(drawn) == [
        f"{paths[i].stem}.{NAMES[place]}.grad-cam" for i in range(4) for place in (1, 0) if predicted[i, place]
    ]
    without = (predicted == 0).all(axis=1).sum()
    assert any(line.startswith(f"{without} of 4 images ha") for line in said) == (without > 0)
    i, place = np.argwhere(predicted)[-1]
    pixels = tlmed.data.resize(np.asarray(Image.open(paths[i])), (32, 32))
    (heat,) = inference.load_scorer(folder).explainer()(pixels[None], int(place))
    shown = np.kron(overlay(pixels, heat), np.ones((7, 7, 1)))
    np.testing.assert_allclose(drawn[f"{paths[i].stem}.{NAMES[place]}.grad-cam"][8:232, 240:464], shown, atol=2)
    shown = inference.Pictures(tmp_path / "green", "occlusion", labels=["green", "green"])
    inference.predict(folder, paths, shown=shown)
    assert sorted(file.name for file in (tmp_path / "green").iterdir()) == [
        f"{path.stem}.green.occlusion.png" for path in paths
    ]
    with pytest.raises(InputError, match="Did you mean 'green'"):
        inference.predict(folder, paths, shown=inference.Pictures(tmp_path / "maps", labels=["gren"]))


@pytest.fixture(scope="module")
def hybrid(source, tmp_path_factory):
    """Give a hybrid run, and what it said."""
    said, head = [], Hybrid("LogisticRegression", {"C": (0.1, 1.0)}, folds=3)
    recipe = make_recipe(source, head=head, phases=(), examples=0)
    run = tlmed.train(recipe, tmp_path_factory.mktemp("runs") / "hybrid", voice=Voice(say=said.append))
    return RunDir(run.path), said


def test_a_hybrid_has_a_classifier_for_each_label(hybrid):
    folder, said = hybrid
    result = METRICS_JSON.read(folder)
    fitted, known = result["classifier"], [row["label"] for row in read_csv(folder / "splits.csv")]
    assert list(fitted["labels"]) == list(NAMES)
    assert fitted["labels"]["green"]["images"] < fitted["labels"]["red"]["images"] < len(known)
    assert fitted["cv_score"] == pytest.approx(np.mean([it["cv_score"] for it in fitted["labels"].values()]))
    assert [row["label"] for row in read_csv(folder / "search.csv")] == ["red", "red", "green", "green"]
    assert [line.split(":")[0] for line in said if line.startswith("Chosen")] == ["Chosen for red", "Chosen for green"]
    predictions = read_label_predictions(folder / "predictions.csv", NAMES)
    test = predictions.of("test")
    found = evaluate_labels(test.labels, test.scores, test.predictions, NAMES, test.groups)
    assert found["metrics"] == {name: result["metrics"][name] for name in found["metrics"]}
    page = (folder / "report.html").read_text()
    assert "Search over 2 grid points for each of 2 labels" in page
    assert "one classifier for each label (LogisticRegression)" in page


def test_the_scores_of_a_hybrid_are_those_of_its_files(hybrid, source):
    folder, _ = hybrid
    predictions = read_label_predictions(folder / "predictions.csv", NAMES)
    classifiers = load_classifiers(folder / "classifier.skops", 2)
    pixels = [tlmed.data.resize(np.asarray(Image.open(source.parent / path)), (32, 32)) for path in predictions.paths]
    network = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    features = network.predict(np.stack(pixels), verbose=0)
    for number, classifier in enumerate(classifiers):
        given = predictions.scores[:, number]
        np.testing.assert_allclose(classifier.predict_proba(features)[:, 1], given, atol=1e-5)
    assert inference.evaluate(folder)[1]["metrics"] == METRICS_JSON.read(folder)["metrics"]
    header, rows, _ = inference.predict(folder, [source.parent / predictions.paths[0]])
    scores = [rows[0][header.index(f"score_{name}")] for name in NAMES]
    np.testing.assert_allclose(scores, predictions.scores[0], atol=1e-5)


def test_a_hybrid_of_a_label_that_cannot_be_learned_is_refused(source, tmp_path):
    table = (source.parent / "list.csv").read_text().splitlines()
    rows = [line.split(",") for line in table[1:]]
    only = source.parent / "never.csv"
    lines = [f"{table[0]},split"]
    for i, (path, red, _, *more) in enumerate(rows):
        split = ("train", "val", "test")[max(0, i // 2 % 10 - 7)]
        lines.append(",".join((path, red, str(int(split != "train" and i % 2)), *more, split)))
    only.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"class 'green' with 0 groups"):
        tlmed.train(make_recipe(only, head=Hybrid(), phases=()), tmp_path / "run")


@pytest.mark.slow
def test_a_hybrid_is_repeated_with_the_same_bits(hybrid, tmp_path):
    folder, _ = hybrid
    found = reproduce(Request(folder.path, level="bits", out=tmp_path / "again"))
    assert found.faults == []
    assert {row.same for row in found.rows} == {True}


def test_the_page_shows_each_label(finished):
    page = (finished.path / "report.html").read_text()
    assert "which of red and green are there, any number of them," in page
    for title in ("Thresholds", "Curves", "Calibration", "Each label"):
        assert f">{title}</h" in page


@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_build_makes_a_network_of_sigmoids_whose_loss_leaves_out_what_is_not_known(gamma):
    head = Dense(loss="focal", gamma=gamma) if gamma else Dense()
    model = make_recipe("x", head=head).build(2)
    images = np.random.RandomState(0).randint(0, 256, (4, 32, 32, 3)).astype("uint8")
    scores = model.predict(images, verbose=0)
    labels = np.array([[1, -1], [0, 1], [-1, -1], [0, 0]])
    known = labels >= 0
    chosen = np.where(labels == 1, scores, 1 - scores)[known]
    expected = -((1 - chosen) ** gamma * np.log(chosen)).mean()
    assert model.evaluate(images, labels, verbose=0)[0] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(InputError, match="each of 2 labels"):
        model.fit(images, labels[:, 0], verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["mean", "max"])
def test_a_run_may_give_one_answer_per_patient(source, tmp_path, how):
    rows = read_csv(source)
    lines = [f"{row['path']},{row['red']},{row['green']},p{i // 4}-{i % 4}" for i, row in enumerate(rows)]
    lines = ["path,red,green,patient", *lines]
    agreeing = source.parent / f"agreeing-{how}.csv"
    for i, row in enumerate(rows):  # a second image of each patient, with the same labels but one that is not known
        image = Image.open(source.parent / row["path"]).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image.save(source.parent / f"flipped-{row['path']}")
        lines.append(f"flipped-{row['path']},{row['red']},,p{i // 4}-{i % 4}")
    agreeing.write_text("\n".join(lines))
    images = Images(str(agreeing), image_size=(32, 32), batch_size=8, label_columns=NAMES, pool=how, pool_by="group")
    run = tlmed.train(make_recipe(source, data=images), tmp_path / "run")
    folder = RunDir(run.path)
    result = METRICS_JSON.read(folder)
    units, samples = (read_label_predictions(run.path / name, NAMES) for name in ("pooled.csv", "predictions.csv"))
    assert (result["unit"], result["pool"], result["n"]) == ("group", how, len(units.of("test").paths))
    assert len(units.paths) * 2 == len(samples.paths)
    for path, scores in zip(units.paths, units.scores, strict=True):
        own = samples.scores[[group == path for group in samples.groups]]
        np.testing.assert_allclose(scores, getattr(own, how)(axis=0), atol=1e-9)
    _, again = inference.evaluate(folder)
    values = {name: entry["value"] for name, entry in again["metrics"].items()}  # batches of other images: last digits
    assert values == pytest.approx({name: entry["value"] for name, entry in result["metrics"].items()}, abs=1e-7)
    _, theirs = inference.evaluate(None, file=run.path / "predictions.csv", pooled_by=(how, "group"))
    assert theirs["metrics"]["auc"] == result["metrics"]["auc"]
    _, as_it_is = inference.evaluate(None, file=run.path / "pooled.csv")
    assert as_it_is["metrics"] == result["metrics"]
    _, rows, _ = inference.predict(folder, [source.parent / "03.png"])
    assert len(rows) == 1
    assert result["baselines"]["majority_class"]["auc"]["value"] == 0.5
    assert (
        f"One answer per group: the {'mean' if how == 'mean' else 'highest'} score"
        in (run.path / "report.html").read_text()
    )
    disagreeing = source.parent / "list.csv"
    images = Images(str(disagreeing), image_size=(32, 32), label_columns=NAMES, pool="mean", pool_by="group")
    with pytest.raises(InputError, match="must have the same labels in all its images"):
        tlmed.train(make_recipe(source, data=images), tmp_path / "other")


def test_the_page_of_folds_shows_each_label_with_examples_of_the_first_fold_that_has_them(finished, tmp_path):
    crossed = RunDir(tmp_path)
    for name in ("01", "02"):
        shutil.copytree(finished.path, tmp_path / "folds" / name)
    first, second = crossed.folds
    found = EXAMPLES_JSON.read(second)["examples"]
    label, kind = found[0]["of"], found[0]["kind"]
    kept = [each for each in found if (each["of"], each["kind"]) != (label, kind)]
    recipe = first.json("recipe.json")
    recipe["data"]["split"] = {"k": 2, "repeats": 1, "val": 0.15, "fold": None}
    write_json(tmp_path / "recipe.json", recipe)
    shutil.copy(first / "recipe.py", tmp_path)
    write_averages(crossed, KFold(2), crossed.folds)
    write_json(first / "examples.json", {"split": "test", "notes": [], "examples": kept})
    page = write_folds_report(tmp_path).read_text(encoding="utf-8")
    assert "which of red and green are there, any number of them, in " in page
    assert "Each label</h3>" in page
    assert "Confusion" not in page
    threshold = METRICS_JSON.read(first)["per_class"][label]["operating_point"]["threshold"]
    shown = re.findall(r"<figcaption>((?:Found|Missed|False alarm): Fold (\d+), predicted from (\S+) on: )", page)
    assert len(shown) == len({(each["of"], each["kind"]) for each in found})
    assert [fold for _, fold, _ in shown].count("02") == 1
    assert (shown[0][1], shown[0][2]) == ("02", f"{threshold:.3f}")


@pytest.mark.slow
def test_folds_of_several_labels_are_trained_and_averaged(source, tmp_path):
    recipe = make_recipe(source, phases=(Phase("all", thaw="all", epochs=1, learning_rate=1e-3),))
    recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, split=KFold(k=2)))
    run = RunDir(tlmed.train(recipe, tmp_path / "run").path)
    found, folds = METRICS_JSON.read(run), run.folds
    tests = [read_label_predictions(fold / "predictions.csv", NAMES).of("test") for fold in folds]
    assert sorted(path for rows in tests for path in rows.paths) == [f"{i:02}.png" for i in range(60)]
    groups = [set(rows.groups) for rows in tests]
    assert [len(part) for part in groups] == [15, 15]
    assert not groups[0] & groups[1]
    areas = [macro_area(rows.labels, rows.scores) for rows in tests]
    assert found["metrics"]["auc"]["value"] == pytest.approx(np.mean(areas), abs=1e-12)
    assert [float(row["auc"]) for row in FOLDS_CSV.read(run)] == pytest.approx(areas, abs=1e-12)
    assert len(read_csv(run / "predictions.csv")) == 60
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Each label</h3>" in page
    assert "predictions are put together" not in page


def test_the_page_says_what_balancing_and_calibration_did(finished):
    page, metrics = (
        (finished.path / "report.html").read_text(encoding="utf-8"),
        METRICS_JSON.read(RunDir(finished.path)),
    )
    assert "probabilities are those of equally frequent classes" in page
    worse, _ = sort_changes(metrics)
    assert ("calibration made the scores worse" in page) == bool(worse)
    turned = {**metrics, "calibration": {**metrics["calibration"], "metrics": metrics["metrics"]}}
    turned["metrics"] = {**metrics["metrics"], "log_loss": {**metrics["metrics"]["log_loss"], "value": 0.001}}
    for entry in turned["per_class"].values():  # the mean over folds has no temperature
        entry["calibration"].pop("temperature")
    shown = show_mean_label_calibration(turned, {"class_weight": "balanced"})
    assert "calibration made the scores worse" in shown
    assert "Log loss from 0.001" in shown
    assert "equally frequent classes" in shown
