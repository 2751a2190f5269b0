"""A run that gives one answer per patient, from training to every command that uses it."""

import csv
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from click.testing import CliRunner
from PIL import Image

import tlmed
from tests.conftest import draw
from tests.report.test_report import Reader
from tests.run.test_run import small
from tlmed import inference
from tlmed.cli.evaluate_command import evaluate as evaluate_command
from tlmed.columns import Grouping
from tlmed.comparison import compare, describe_comparison, make_comparison_page
from tlmed.errors import InputError
from tlmed.evaluation.lines import describe_metrics
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.export import write_card
from tlmed.inference.evaluation_files import write_evaluation
from tlmed.inference.panel import open_panel
from tlmed.inference.unlike_images import open_jury
from tlmed.report.evaluations import make_evaluation_page
from tlmed.reproduce import Request, reproduce
from tlmed.run.previewing import preview
from tlmed.rundir import RunDir
from tlmed.screen import to_lines
from tlmed.serving.worth import find_worth
from tlmed.voice import Voice
from tlmed.whole_files import read_csv

SMALL = ("data.pool=top3", "data.pool_by=group", "phases.epochs=1")


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """Give a CSV of 40 patients with one to four images each, half of them ill."""
    folder = tmp_path_factory.mktemp("patients")
    rows = [("path", "label", "patient")]
    for patient in range(40):
        for i in range(1 + patient % 4):
            rows.append((f"{patient}-{i}.png", ("ill", "well")[patient % 2], f"p{patient:02}"))
            Image.fromarray(draw(patient % 2, 10 * patient + i)).save(folder / rows[-1][0])
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "list.csv"


@pytest.fixture(scope="module")
def pooled(listed, tmp_path_factory):
    return tlmed.train(small(*SMALL, "examples=1"), tmp_path_factory.mktemp("runs") / "pooled", listed)


def average_highest(rows):
    scores = sorted((float(row["score_well"]) for row in rows), reverse=True)[:3]
    return sum(scores) / len(scores)


def group(rows):
    found = {}
    for row in rows:
        found.setdefault((row["split"], row["group"]), []).append(row)
    return found


def test_a_row_per_patient_and_metrics_of_patients(pooled):
    samples, units = (read_csv(pooled.path / name) for name in ("predictions.csv", "pooled.csv"))
    wanted = group(samples)
    assert [(row["split"], row["path"]) for row in units] == list(wanted)
    scores = [average_highest(rows) for rows in wanted.values()]
    np.testing.assert_allclose([float(row["score_well"]) for row in units], scores, atol=1e-9)
    metrics = pooled.metrics
    test = [row for row in units if row["split"] == "test"]
    assert (metrics["unit"], metrics["pool"], metrics["n"], metrics["groups"]) == ("group", "top3", len(test), None)
    truth = [row["label"] == "well" for row in test]
    auc = sklearn.metrics.roc_auc_score(truth, [float(row["score_well"]) for row in test])
    assert metrics["metrics"]["auc"]["value"] == pytest.approx(auc)
    val = [row for row in units if row["split"] == "val"]
    assert metrics["operating_point"]["n"] == metrics["calibration"]["n"] == len(val)
    for row in units:
        assert (row["prediction"] == "well") == (float(row["score_well"]) >= metrics["threshold"])
    rows = [row for row in samples if row["split"] == "test"]
    assert metrics["per_sample"]["n"] == len(rows) > len(test)
    auc = sklearn.metrics.roc_auc_score(
        [row["label"] == "well" for row in rows], [float(r["score_well"]) for r in rows]
    )
    assert metrics["per_sample"]["metrics"]["auc"]["value"] == pytest.approx(auc)
    assert "calibrated_well" not in samples[0]
    # Baselines are pooled as the run is: one score for all gives ties, whatever is averaged.
    assert metrics["baselines"]["majority_class"]["auc"]["value"] == 0.5


def test_the_report_speaks_of_patients_and_shows_the_telling_image_of_each(pooled):
    text = Reader((pooled.path / "report.html").read_text()).text
    n = pooled.metrics["n"]
    for words in ("test images", "few validation images", "known image"):
        assert words not in text.rpartition("Terms")[0]
    assert f"On {n} groups of the test split." in text
    assert "Scores here are of single images; the result's are of groups." in text
    assert "One answer per group: the mean of the three highest scores of its images for 'well'." in text
    assert f"{pooled.metrics['per_sample']['n']:,} images by themselves" in text
    example = RunDir(pooled.path).json("examples.json")["examples"][0]
    rows = [row for row in read_csv(pooled.path / "predictions.csv") if row["group"] == example["path"]]
    best = max(rows, key=lambda row: float(row[f"score_{example['prediction']}"]))
    assert example["sample"] == best["path"]
    assert f"{example['path']} (its image {example['sample']})" in text


def test_a_run_scored_again_and_its_file_of_patients_give_the_same_metrics(pooled, listed, tmp_path):
    again, result = inference.evaluate(RunDir(pooled.path))
    assert result["unit"] == "group"
    for name in ("auc", "accuracy", "brier"):
        for found in (result, inference.evaluate(None, file=pooled.path / "pooled.csv")[1]):
            assert found["metrics"][name]["value"] == pytest.approx(pooled.metrics["metrics"][name]["value"], abs=1e-6)
    assert set(again.units.paths) == set(read_predictions(pooled.path / "pooled.csv").paths)
    inference.write_evaluation(tmp_path / "out", again, result)
    assert (tmp_path / "out" / "pooled.csv").exists()
    _, result = inference.evaluate(RunDir(pooled.path), str(listed))
    assert result["n"] == 40
    # Another evaluation into the same folder, which pools nothing, leaves no table of patients there.
    alone = inference.evaluate(None, file=tmp_path / "out" / "predictions.csv", pooled_by=(None, "file"))
    inference.write_evaluation(tmp_path / "out", *alone, force=True)
    assert not (tmp_path / "out" / "pooled.csv").exists()
    with pytest.raises(InputError, match=r"RUN pools scores by group.*needs groups"):
        inference.evaluate(RunDir(pooled.path), str(listed), grouping=Grouping(use=False))


@pytest.mark.parametrize("own", [True, False])
def test_answers_that_rest_on_fewer_images_than_before_are_counted(own, pooled, listed, tmp_path):
    place = shutil.copytree(listed.parent, tmp_path / "moved")
    rows = [row for row in read_csv(pooled.path / "splits.csv") if row["split"] == "test"]
    patients = sorted(group(rows).values(), key=len)
    for image in [*patients[0], patients[-1][0], patients[-2][0]]:  # a whole patient, and one image each of two more
        (place / image["path"]).write_bytes(b"no picture")
    told, scored = [], (len(patients) if own else 40) - 1
    voice = Voice(warn=told.append)
    source = str(place / "list.csv")
    made, result = inference.evaluate(RunDir(pooled.path), source, moved=own, skip_bad=not own, voice=voice)
    assert result["n"] == scored
    assert result["evaluated"]["units"] == {"listed": scored + 1, "scored": scored, "on_fewer_images": 2}
    fewer = (
        f"The answers of 2 of {scored} groups rest on fewer images than {'in the run' if own else 'the source lists'}."
    )
    gone = f"1 of {scored + 1} groups has no image that is scored."
    page = Reader(make_evaluation_page(made.units, result)).text
    assert all(said in told and said in page for said in (fewer, gone))
    assert "units" not in inference.evaluate(RunDir(pooled.path))[1]["evaluated"]


def test_training_counts_answers_that_lack_images_which_cannot_be_read(pooled, listed, tmp_path):
    place = shutil.copytree(listed.parent, tmp_path / "damaged")
    patients = {}
    for image in read_csv(pooled.path / "splits.csv"):
        patients.setdefault(image["group"], []).append(image["path"])
    alone = next(name for name, images in patients.items() if len(images) == 1)
    several = {name for name, images in patients.items() if len(images) > 1}
    for name in {alone, *several}:  # the only image of one patient, and one image of each who has several
        (place / patients[name][0]).write_bytes(b"no picture")
    told = []
    run = tlmed.train(small(*SMALL), tmp_path / "run", place / "list.csv", skip_bad=True, voice=Voice(warn=told.append))
    splits = {row["group"]: row["split"] for row in read_csv(run.path / "splits.csv")}
    n = run.metrics["n"]
    fewer = sum(splits[name] == "test" for name in several)
    assert fewer > 0
    assert run.metrics["units"] == {"listed": 40, "read": 39, "scored": n, "on_fewer_images": fewer}
    said = (
        f"The answers of {fewer} of {n} groups rest on fewer images than the source lists.",
        "1 of 40 groups has no image that is read.",
    )
    page = Reader((run.path / "report.html").read_text()).text
    # As a warning, in Data, and in the checklist.
    assert all(sentence in told and page.count(sentence) == 3 for sentence in said)
    card = write_card(RunDir(run.path))
    assert all(sentence in card for sentence in said)
    assert "units" not in pooled.metrics


def test_a_table_of_patients_keeps_the_class_whose_highest_scores_it_holds(pooled, tmp_path):
    """The other class has the rest of that score: it was never its highest."""
    images, out, told = pooled.path / "predictions.csv", tmp_path / "out", []
    by_max = inference.evaluate(None, file=images, positive="ill", pooled_by=("max", "group"))
    write_evaluation(out, *by_max)
    _, result = inference.evaluate(None, file=out / "pooled.csv", voice=Voice(say=told.append))
    assert told[0].endswith("has a row per group: the highest score of its images for 'ill'.")
    assert (result["positive"], result["metrics"]) == ("ill", by_max[1]["metrics"])
    with pytest.raises(InputError, match=r"`--positive` must be 'ill', of which .* Received: 'well'"):
        inference.evaluate(None, file=out / "pooled.csv", positive="well")


def test_the_rows_of_a_table_of_patients_are_called_as_the_run_calls_them(pooled, tmp_path):
    told, table, out = [], pooled.path / "pooled.csv", tmp_path / "out"
    made, result = inference.evaluate(None, file=table, voice=Voice(say=told.append))
    assert (result["unit"], result["pool"], result["n"]) == ("group", "top3", pooled.metrics["n"])
    assert "per_sample" not in result
    how = "the mean of the three highest scores of its images for 'well'"
    assert told[0] == f"By the `metrics.json` beside it, {table} has a row per group: {how}."
    assert describe_metrics(result)[0].startswith(f"Test ({pooled.metrics['n']} groups; ")
    page = Reader(make_evaluation_page(made.units, result)).text
    assert f"On {pooled.metrics['n']} groups of the test split. One answer per group: {how}." in page
    assert find_images(page) <= {"of its images for 'well'."}
    inference.write_evaluation(out, made, result)
    assert {path.name for path in out.iterdir()} == {"metrics.json", "pooled.csv"}
    # An evaluation's own table says it, too, and it may be written over.
    again = inference.evaluate(None, file=out / "pooled.csv")
    assert again[1]["metrics"] == result["metrics"]
    inference.write_evaluation(out, *inference.evaluate(None, file=pooled.path / "predictions.csv"), force=True)
    assert {path.name for path in out.iterdir()} == {"metrics.json", "predictions.csv"}
    # Elsewhere nothing tells what a row is.
    assert inference.evaluate(None, file=Path(shutil.copy(table, tmp_path)))[1]["unit"] == "image"
    with pytest.raises(InputError, match=r"need a table of images.*Received: .*pooled\.csv, with a row per group"):
        inference.evaluate(None, file=table, pooled_by=("max", "group"))


def find_images(page):
    """Return what a page says of images, each with the four words around it, but not what the glossary says."""
    words = page.rpartition("Terms")[0].split()
    return {" ".join(words[max(0, i - 2) : i + 3]) for i, word in enumerate(words) if "image" in word.lower()}


def test_pairs_are_patients_and_other_units_are_refused(pooled, listed, tmp_path):
    other = tlmed.train(small(*SMALL, "seed=0", "data.pool=mean", "head.dropout=0.3"), tmp_path / "mean", listed)
    found = compare([pooled.path, other.path])
    assert found.images == pooled.metrics["n"]
    value = pooled.metrics["metrics"]["auc"]["value"] - other.metrics["metrics"]["auc"]["value"]
    assert found.pairs[0].questions["auc"]["value"] == pytest.approx(value)
    assert found.groups is None
    assert any("in different ways" in note for note in found.notes)
    said = " ".join([*map(str, describe_comparison(found)), Reader(make_comparison_page(found)).text])
    assert "tested on the same groups" in said
    assert "on the same test groups" in said
    assert not any(
        words in said for words in ("test images", "new images", "of images", "few images", "the same images")
    )
    alone = tlmed.train(small("phases.epochs=1"), tmp_path / "alone", listed)
    with pytest.raises(InputError, match=r"same images, files or groups.*alone per image, pooled per group"):
        compare([pooled.path, alone.path])


def test_a_changed_table_of_patients_is_noticed_and_the_lock_covers_it(pooled, tmp_path):
    lock = RunDir(pooled.path).json("lock.json")
    rows = read_csv(pooled.path / "pooled.csv")
    assert len(lock["results"]["pooled"]["rows"]) == len(rows) + 1
    assert not reproduce(Request(pooled.path, mode="check")).faults
    copy = RunDir(shutil.copytree(pooled.path, tmp_path / "run"))
    (copy / "pooled.csv").write_text((copy / "pooled.csv").read_text().replace("p0", "q0"))
    with pytest.raises(InputError, match=r"pooled\.csv is not as recorded"):
        inference.evaluate(copy)


def test_loose_files_get_an_answer_each_and_a_picture(pooled, listed, tmp_path):
    said = []
    header, rows, _ = inference.predict(RunDir(pooled.path), [listed.parent], voice=Voice(say=said.append))
    assert len(rows) == 100
    assert (
        "One row per file: the mean of the three highest scores of its images for 'well'; the run pools by group"
        in said[0]
    )
    assert header[:2] == ["path", "prediction"]


@pytest.mark.parametrize("options", [["--pool-by", "group", "--pool", "none"], ["--pool", "max"]])
def test_a_run_has_its_own_pooling(options, pooled):
    run = [] if "none" in options else [str(pooled.path)]
    found = CliRunner().invoke(evaluate_command, [*run, *(["--predictions", "x.csv"] * (not run)), *options])
    assert found.exit_code == 2
    assert "--pool" in found.output


def test_patients_of_both_classes_are_refused_before_an_image_is_read(listed, tmp_path):
    text = listed.read_text().replace("5-0.png,well", "5-0.png,ill")
    mixed = listed.parent / "mixed.csv"
    mixed.write_text(text)
    with pytest.raises(InputError, match=r"A group must have one label.*Received: p05 \(1 of ill, 1 of well\)"):
        tlmed.train(small(*SMALL), tmp_path / "run", mixed)
    with pytest.raises(InputError, match=r"`data\.pool` must be 'mean', 'max' or 'top3' for one answer per group"):
        small("data.pool=none", "data.pool_by=group")


def test_folds_are_averaged_over_patients(listed, tmp_path):
    run = tlmed.train(small(*SMALL, "data.split=KFold(3)"), tmp_path / "folds", listed)
    metrics, folds = run.metrics, RunDir(run.path).folds
    assert (metrics["unit"], metrics["pool"], metrics["n"], metrics["groups"]) == ("group", "top3", 40, None)
    assert metrics["per_sample"]["n"] == 100
    of_folds = [fold.json("metrics.json")["per_sample"]["metrics"]["auc"]["value"] for fold in folds]
    assert metrics["per_sample"]["metrics"]["auc"]["value"] == pytest.approx(np.mean(of_folds))
    rows = read_csv(run.path / "pooled.csv")
    assert sorted(row["path"] for row in rows) == sorted({f"p{patient:02}" for patient in range(40)})
    page = Reader((run.path / "report.html").read_text()).text
    assert "in 40 groups from" in page
    assert "It counts each group once, as predicted by the network" in page
    assert "each fold's network on its test groups" in page
    assert not any(
        words in page for words in ("test images", "each image once", "validation images", "of their images")
    )
    texts = json.dumps({name: part for name, part in metrics.items() if name != "per_sample"})
    assert "sampling error of their images" not in texts


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Give a folder of class folders with files of three pages each."""
    folder = tmp_path_factory.mktemp("pages")
    for label, name in enumerate(("ill", "well")):
        (folder / name).mkdir()
        for i in range(20):
            first, *others = (Image.fromarray(draw(label, 100 * i + page)) for page in range(3))
            first.save(folder / name / f"{i}.tiff", save_all=True, append_images=others)
    return folder


@pytest.mark.parametrize("how", ["auto", "none"])
def test_files_of_several_pages_get_one_answer_each_unless_pages_are_asked_for(how, pages, tmp_path, monkeypatch):
    monkeypatch.setattr("tlmed.run.unusual_images.LEAST", 6)  # validation files that there are
    said = []
    recipe = small("phases.epochs=1", "data.planes=all", "examples=0", f"data.pool={how}")
    run = tlmed.train(recipe, tmp_path / "run", pages, voice=Voice(say=said.append))
    metrics, pooled = run.metrics, how == "auto"
    told = "One answer per file: the mean score of its images (`data.pool=none`: an answer per image)."
    assert (told in said) == pooled
    assert (metrics["unit"], metrics["n"]) == (("file", 6) if pooled else ("image", 18))
    # Pages of a file depend on each other: without pooling, intervals are by files.
    assert metrics["groups"] == (None if pooled else 6)
    assert (run.path / "pooled.csv").exists() == pooled
    # Counted is what `predict` and `serve` mark.
    novelty = RunDir(run.path).json("novelty.json")
    unit, n = ("file", 6) if pooled else ("image", 18)
    assert (novelty["unit"], novelty["units"], novelty["test"]["n"]) == (unit, 6, n)
    assert f"{novelty['test']['unusual']} of {n} {unit}s" in (run.path / "report.html").read_text()
    panel = open_panel(RunDir(run.path))
    said = " ".join(find_worth(panel, open_jury(panel)).unusual)
    marked = f"{novelty['test']['unusual']} of {n} {unit}s"
    assert f"Tried on new {unit}s of its own test split, the run marks {marked}" in said
    assert f"{unit} is marked" in said
    if pooled:
        line = next(line for line in describe_metrics(inference.evaluate(panel.run, str(pages))[1]) if "Unlike" in line)
        assert " of 40 files, " in line
    _, rows, _ = inference.predict(
        RunDir(run.path), [pages / "ill" / "3.tiff"], shown=inference.Pictures(tmp_path / "shown")
    )
    names = {path.name for path in (tmp_path / "shown").iterdir()}
    if pooled:
        assert [row[0] for row in rows] == [str(pages / "ill" / "3.tiff")]
        assert len(names) == 1
        assert names < {f"3-plane_{page}.grad-cam.png" for page in range(3)}
    else:
        assert [row[0] for row in rows] == [f"{pages / 'ill' / '3.tiff'}#plane={page}" for page in range(3)]
        assert names == {f"3-plane_{page}.grad-cam.png" for page in range(3)}


def test_the_card_says_that_the_model_alone_pools_nothing(pooled):
    text = write_card(RunDir(pooled.path))
    assert "| Class against the rest | Groups |" in text
    said = "One answer per group: the mean of the three highest scores of its images for 'well'."
    assert text.count(said) == 2
    assert f"The code scores one image. {said} This is not part of `model.keras`." in text
    assert f"{pooled.metrics['n']} groups, split `test`." in text


def test_answers_of_the_same_files_are_compared_however_they_are_cut(pages, tmp_path):
    for place in ("one", "two"):
        shutil.copytree(pages, tmp_path / place)
        rows = [
            (f"{name}/{i}.tiff", name, "train" * (i < 8) or "val" * (i < 12) or "test", i // 2)
            for name in ("ill", "well")
            for i in range(20)
        ]
        with (tmp_path / place / "list.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "split", "patient"), *rows])
    other = tmp_path / "two" / "well" / "19.tiff"
    first, *others = (Image.fromarray(draw(1, 5000 + page)) for page in range(3))
    first.save(other, save_all=True, append_images=others)

    def train(place, planes, *settings):
        recipe = small("phases.epochs=1", f"data.planes={planes}", "examples=0", *settings)
        return tlmed.train(recipe, tmp_path / f"{place}-{planes}{len(settings)}", tmp_path / place / "list.csv").path

    three, two, alone = train("one", "all"), train("one", 2), train("one", "all", "data.groups=false")
    found = compare([three, two])
    assert found.images == 16
    amounts = "one-all0 48 and one-20 32"
    note = f"The runs cut the same files into other test images ({amounts}): their answers per file are compared."
    assert note in found.notes
    assert any("The training images differ (one-all0 48, one-20 32)" in said for said in found.notes)
    units = [{row["path"]: row["score_ill"] for row in read_csv(run / "pooled.csv")} for run in (three, two)]
    truth = {row["path"]: row["label"] == "ill" for row in read_csv(three / "pooled.csv") if row["split"] == "test"}
    areas = [
        sklearn.metrics.roc_auc_score([*truth.values()], [float(table[path]) for path in truth]) for table in units
    ]
    assert abs(found.pairs[0].questions["auc"]["value"]) == pytest.approx(abs(areas[0] - areas[1]))
    # Groups that only one run names hold for the images of both, by their files.
    assert any("those of one-20 are used" in said for said in compare([alone, two]).notes)
    assert not any("are not known, because" in said for said in compare([alone, two]).notes)
    changed = train("two", 2)
    with pytest.raises(InputError, match=r"Runs must have the same test images to be compared.*test images missing"):
        compare([three, changed])
    single = train("one", 2, "data.pool=none")
    with pytest.raises(InputError, match="Runs must have the same test images to be compared"):
        compare([three, single])


def test_the_majority_class_is_that_of_patients_and_not_of_their_images(tmp_path):
    rows = [("path", "label", "patient")]
    for patient in range(24):
        ill = patient % 3 == 0  # 8 patients with 32 images; the 16 others have one each
        for i in range(4 if ill else 1):
            rows.append((f"{patient}-{i}.png", "ill" if ill else "well", f"p{patient:02}"))
            Image.fromarray(draw(int(ill), 10 * patient + i)).save(tmp_path / rows[-1][0])
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    done = tlmed.train(small("data.pool_by=group", "phases.epochs=1"), tmp_path / "run", tmp_path / "list.csv")
    labels = {row["path"]: row["label"] for row in read_csv(done.path / "pooled.csv") if row["split"] == "test"}
    baseline = done.metrics["baselines"]["majority_class"]
    assert baseline["answers"] == ["well"]
    assert baseline["accuracy"]["value"] == list(labels.values()).count("well") / len(labels) > 0.5
    train = {row["group"]: row["label"] for row in read_csv(done.path / "splits.csv") if row["split"] == "train"}
    share = list(train.values()).count("well") / len(train)
    brier = np.mean([(share - (label == "well")) ** 2 for label in labels.values()])
    assert baseline["brier"]["value"] == pytest.approx(brier)
    said = "Always 'well': no class is more frequent in the training groups; its scores are the shares of the classes."
    assert baseline["description"] == said
    assert said in Reader((done.path / "report.html").read_text()).text
    assert "Baseline majority class, always 'well':" in describe_metrics(done.metrics)


def list_plan(words):
    """Return the lines of a plan, of tables the cells."""
    return [line.split() for line in to_lines(preview(words)[0])]


@pytest.mark.parametrize("words", [SMALL, ("data.pool=mean", "data.pool_by=group"), ("data.pool_by=group",)])
def test_a_plan_counts_the_units_that_are_scored(listed, pooled, words):
    lines = list_plan(small(*words, f"data.source={listed}"))
    place = lines.index(["Groups,", "each", "with", "one", "answer:"])
    assert lines[place + 1] == ["class", "train", "val", "test", "all"]
    owners = {}  # by the run's own record: the patients of each class and split
    for row in read_csv(pooled.path / "splits.csv"):
        for label, split in itertools.product((row["label"], "all"), (row["split"], "all")):
            owners.setdefault((label, split), set()).add(row["group"])
    for line in lines[place + 2 : place + 5]:
        assert line[1:] == [str(len(owners[line[0], split])) for split in ("train", "val", "test", "all")]
    assert lines[place + 4] == ["all", "28", "7", "5", "40"]
    assert lines[place - 3][0] == "all"
    assert int(lines[place - 3][-1]) == len(read_csv(pooled.path / "splits.csv")) > 40


@pytest.mark.parametrize("words", [(), ("data.pool=none",), ("data.pool=mean", "data.pool_by=file")])
def test_a_plan_counts_no_units_where_each_image_has_an_answer(listed, words):
    assert not any("answer:" in line for line in list_plan(small(*words, f"data.source={listed}")))
