import dataclasses
import errno
import hashlib
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tlmed
from tests.conftest import SMALL, draw, write_images
from tlmed import inference, phases, run, seeds
from tlmed.backbones.ancestry import find_known, list_weights, name_weights
from tlmed.comparison import read_results
from tlmed.comparison.groups import list_known
from tlmed.data import epoch_order, load
from tlmed.errors import CheckFailed, InputError, RunFailed
from tlmed.identifiers import Identifiers
from tlmed.plan import memory_needed
from tlmed.recipe import find_recipe, load_recipe, override, read_recipe
from tlmed.run import phase_training, preparation
from tlmed.run.records import holds_same_recipe, write_recipe
from tlmed.run_files import HISTORY_CSV, SPLITS_CSV
from tlmed.rundir import FILES, RunDir
from tlmed.voice import Voice
from tlmed.whole_files import read_csv, write_json

HYBRID_ONLY = {"classifier.skops", "search.csv"}
# `novelty.sealed` takes more validation images than the few here.
NOT_HERE = {"examples.json", "pooled.csv", "strengths.csv", "novelty.sealed"}
WITH_BATCH_NORM = ("backbone=MobileNet:0.25", "baselines=true")


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    """Give a finished run of `fine_tuning` with a network that has BatchNorm."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    return tlmed.train(small(*WITH_BATCH_NORM, name="fine_tuning"), out, images, recipe_file=read_recipe("fine_tuning"))


def small(*settings, name="feature_extractor"):
    return override(load_recipe(name), [*SMALL, *settings])


def test_a_run_directory_holds_what_the_contract_names(finished):
    files = {path.name for path in finished.path.iterdir()}
    assert files == set(FILES) - HYBRID_ONLY - NOT_HERE
    folder = RunDir(finished.path)
    assert folder.complete
    assert list(folder.json("recipe.json")["data"]["image_size"]) == [32, 32]
    assert {"versions", "devices", "threads", "seed", "git_commit", "weights"} <= set(folder.json("environment.json"))
    assert (finished.path / "recipe.py").read_text() == (find_recipe("fine_tuning")).read_text()


def test_a_run_of_another_title_is_a_run_of_the_same_recipe_and_keeps_its_own(tmp_path):
    folder, titled = RunDir(tmp_path), dataclasses.replace(small(), name="Ward 7")
    write_recipe(folder, titled, None)
    for name, kept in (("Ward 8", "Ward 8"), (None, "Ward 8")):
        recipe = dataclasses.replace(titled, name=name)
        assert holds_same_recipe(folder, recipe)
        write_recipe(folder, recipe, None)
        assert folder.json("recipe.json")["name"] == kept
    with pytest.raises(InputError, match="seed=0 there, 1 here") as caught:
        holds_same_recipe(folder, dataclasses.replace(titled, seed=1, name="Ward 9"))
    assert "Ward" not in str(caught.value)


def test_a_run_without_a_name_says_first_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = []
    with pytest.raises(InputError, match="missing"):
        tlmed.train("quickstart", data="missing", voice=Voice(say=said.append))
    assert said[0].startswith("Run directory: runs/quickstart-")


def test_splits_csv_lists_every_image_with_its_hash(finished, images):
    rows = read_csv(finished.path / "splits.csv")
    assert list(rows[0]) == ["path", "label", "group", "split", "sha256"]
    assert len(rows) == 60
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    first = (images / rows[0]["path"]).read_bytes()
    assert rows[0]["sha256"] == hashlib.sha256(first).hexdigest()


def test_history_has_a_line_for_every_epoch(finished):
    rows = read_csv(finished.path / "history.csv")
    assert list(rows[0]) == list(HISTORY_CSV.columns)
    assert [(row["phase"], row["epoch"]) for row in rows] == [("head", "1"), ("head", "2"), ("top", "1"), ("top", "2")]
    assert all(float(row[name]) >= 0 for row in rows for name in HISTORY_CSV.columns[2:])


def test_plan_json_says_what_each_phase_trained(finished):
    head, top = RunDir(finished.path).json("plan.json")["phases"]
    assert (head["blocks"], top["blocks"]) == ([], ["block4", "block5"])
    assert head["layers"] == ["probabilities"]
    assert head["trainable_parameters"] == 256 * 3 + 3
    assert head["fine_tuning_ratio"] == 0
    assert 0 < top["fine_tuning_ratio"] < 1
    total = head["trainable_parameters"] + head["frozen_parameters"]
    assert top["trainable_parameters"] + top["frozen_parameters"] == total == finished.model().count_params()


def test_the_plan_counts_what_keras_trains(finished):
    recipe = small(*WITH_BATCH_NORM, name="fine_tuning")
    model = recipe.build(3)
    for phase, planned in zip(recipe.phases, RunDir(finished.path).json("plan.json")["phases"], strict=True):
        phases.thaw(model, phase)
        assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == planned["trainable_parameters"]


def test_predictions_are_what_the_saved_model_gives_on_raw_images(finished, images):
    rows = read_csv(finished.path / "predictions.csv")
    assert {row["split"] for row in rows} == {"val", "test"}
    row = rows[0]
    image = keras.utils.img_to_array(keras.utils.load_img(images / row["path"]))
    resized = tlmed.data.resize(image.astype("uint8"), (32, 32))
    scores = finished.model().predict(resized[None], verbose=0)[0]
    given = [float(row[f"score_{name}"]) for name in ("benign", "malignant", "normal")]
    np.testing.assert_allclose(scores, given, atol=1e-5)
    assert row["prediction"] == ["benign", "malignant", "normal"][int(np.argmax(given))]


def test_metrics_follow_the_contract_and_name_what_was_kept(finished):
    result = finished.metrics
    assert result["split"] == "test"
    assert result["classes"] == ["benign", "malignant", "normal"]
    assert result["positive"] is None
    assert set(result["metrics"]) >= {"accuracy", "auc", "sensitivity", "specificity"}
    for metric in result["metrics"].values():
        if metric["low"] is None:
            assert metric.get("note") or metric["reason"]  # why there is no interval, or no value
        else:
            assert metric["low"] <= metric["value"] <= metric["high"]
    assert result["kept"]["name"] in ("head", "top")
    assert set(result["baselines"]) == {"majority_class", "colour_histograms", "random_weights"}


def test_the_kept_phase_has_the_best_validation_score(finished):
    best = {}
    for row in read_csv(finished.path / "history.csv"):
        best[row["phase"]] = max(best.get(row["phase"], 0), float(row["val_auc"]))
    kept = finished.metrics["kept"]
    assert kept["score"] == pytest.approx(max(best.values()))
    assert kept["name"] == max(best, key=best.get)


def test_timing_counts_every_stage(finished):
    timing = RunDir(finished.path).json("timing.json")
    assert 0 < timing["training_seconds"] < timing["total_seconds"]
    assert {"read images", "phase head", "phase top", "evaluate"} <= {stage["name"] for stage in timing["stages"]}
    assert timing["images_per_second"] > 0
    assert timing["peak_memory_mb"] > 100


@pytest.mark.slow
def test_two_runs_of_one_seed_are_equal_and_of_two_seeds_are_not(images, tmp_path):
    def train(name, *settings):
        return tlmed.train(small("phases.epochs=1", *settings), tmp_path / name, images).path

    same = [(train(name) / "predictions.csv").read_bytes() for name in ("a", "b")]
    assert same[0] == same[1]
    assert (train("c", "seed=1") / "predictions.csv").read_bytes() != same[0]


def test_ten_lines_of_keras_end_where_train_ends(images, tmp_path):
    everything = load(images, (32, 32))
    recipe = small("keep=last", "monitor=val_loss", name="fine_tuning")
    trained = tlmed.train(recipe, tmp_path / "run", images).model()

    x, y = everything.pixels.take(np.arange(60)), everything.table.labels
    train, val = everything.indices("train"), everything.indices("val")
    validation = tf.data.Dataset.from_tensor_slices((x[val], y[val])).batch(16)
    model = recipe.build(num_classes=3)
    start = model.get_weights()
    for phase in recipe.phases:
        phases.thaw(model, phase)
        seed = seeds.derive(recipe.seed, "phase", phase.name)
        orders = [train[epoch_order(len(train), seed, epoch)] for epoch in range(phase.epochs)]
        epochs = [tf.data.Dataset.from_tensor_slices((x[order], y[order])).batch(16) for order in orders]
        batches = epochs[0].concatenate(epochs[1])
        best = keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
        steps = len(epochs[0])
        model.fit(
            batches,
            epochs=2,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[best],
            verbose=0,
            shuffle=False,
        )

    moved = max(np.abs(a - b).max() for a, b in zip(start, model.get_weights(), strict=True))
    apart = max(np.abs(a - b).max() for a, b in zip(trained.get_weights(), model.get_weights(), strict=True))
    assert apart < 1e-5
    assert moved > 1e-3


def test_a_complete_run_is_returned_as_it_is(finished, images):
    before = (finished.path / "model.keras").stat().st_mtime_ns
    recipe = small(*WITH_BATCH_NORM, name="fine_tuning")
    assert tlmed.train(recipe, finished.path, images).path == finished.path
    assert (finished.path / "model.keras").stat().st_mtime_ns == before


def test_another_recipe_does_not_write_over_a_run(finished, images):
    with pytest.raises(InputError, match=r"seed=0 there, 5 here"):
        tlmed.train(small("seed=5", *WITH_BATCH_NORM, name="fine_tuning"), finished.path, images)


def test_a_folder_that_is_not_a_run_is_not_written_to(images, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="new or empty"):
        tlmed.train(small("phases.epochs=1"), tmp_path, images)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_planning_reports_the_faults_of_backbone_and_data_at_once(tmp_path):
    recipe = small("backbone=MobilNetV2", "phases.thaw=9")
    with pytest.raises(InputError) as caught:
        tlmed.train(recipe, tmp_path / "run", tmp_path / "nowhere")
    assert "Did you mean 'MobileNetV2'" in str(caught.value)
    assert "nowhere" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_thawing_more_than_there_is_is_found_before_training(images, tmp_path):
    with pytest.raises(InputError, match="from 0 to 3"):
        tlmed.train(small("phases.thaw=9"), tmp_path / "run", images)
    with pytest.raises(InputError, match="from 0 to 3"):
        small("phases.thaw=9").build(3)
    assert not (tmp_path / "run").exists()


def test_nan_ends_the_run_and_says_so(images, tmp_path):
    recipe = small("phases.learning_rate=3e38", "phases.optimizer=sgd", "weights=none", "phases.epochs=3")
    with pytest.raises(RunFailed, match="learning_rate") as caught:
        tlmed.train(recipe, tmp_path / "run", images)
    assert caught.value.exit_status == 3
    assert "loss" in (tmp_path / "run" / "UNFINISHED").read_text()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), "data.batch_size"),
        (MemoryError(), "data.batch_size"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (RuntimeError("Unable to flush file (errno = 28, error message = 'No space left on device')"), "disk"),
        (
            tf.errors.UnimplementedError(
                None, None, "Graph execution error:\n\nA deterministic GPU implementation of SomeOp is not available."
            ),
            "SomeOp",
        ),
    ],
)
def test_no_memory_no_disk_and_no_deterministic_kernel_end_in_one_line(error, words, images, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(phase_training, "fit_phase", fail)
    with pytest.raises(RunFailed, match=words) as caught:
        tlmed.train(small("head.dropout=0.2"), tmp_path / "run", images)  # a head with dropout is trained
    assert "\n" not in str(caught.value)
    assert words in (tmp_path / "run" / "UNFINISHED").read_text()


def test_a_batch_beyond_all_memory_is_refused_before_anything_is_written(images, tmp_path, monkeypatch):
    recipe = small("backbone=VGG16", "data.batch_size=16", "phases.thaw=all")
    # VGG16 at 32 px, 16 images: the inputs of its 13 convolutions hold 185,344 numbers an image.
    needed = memory_needed(recipe.build(3), recipe.phases, 16)
    assert needed == 4 * 16 * 185_344
    monkeypatch.setattr(preparation, "memory_limit", lambda on_gpu: needed - 1)
    with pytest.raises(RunFailed, match=r"data\.batch_size=16"):
        tlmed.train(recipe, tmp_path / "run", images)
    assert not (tmp_path / "run").exists()


def test_strict_refuses_one_image_under_two_labels(images, tmp_path):
    folder = write_images(tmp_path / "data", 8)
    (folder / "benign" / "copy.png").write_bytes((folder / "normal" / "normal (0).png").read_bytes())
    with pytest.raises(CheckFailed, match=r"copy\.png") as caught:
        tlmed.train(small("phases.epochs=1"), tmp_path / "run", folder, strict=True)
    assert caught.value.exit_status == 1
    assert not (tmp_path / "run").exists()
    warned = []
    done = tlmed.train(small("phases.epochs=1"), tmp_path / "run", folder, voice=run.Voice(warn=warned.append))
    assert any("copy.png" in sentence for sentence in warned)
    assert warned == RunDir(done.path).json("environment.json")["warnings"]


def test_broken_images_stop_the_run_or_are_listed(tmp_path):
    folder = write_images(tmp_path / "data", 8)
    (folder / "benign" / "text.png").write_text("not an image")
    with pytest.raises(InputError, match=r"text\.png"):
        tlmed.train(small("phases.epochs=1"), tmp_path / "run", folder)
    assert not (tmp_path / "run").exists()
    done = tlmed.train(small("phases.epochs=1"), tmp_path / "run", folder, skip_bad=True)
    left_out = RunDir(done.path).json("environment.json")["data"]["left_out"]
    assert [entry["path"] for entry in left_out] == ["benign/text.png"]


def test_two_classes_have_a_positive_one(tmp_path):
    folder = write_images(tmp_path / "data", 12, ("ill", "well"))
    recipe = small("phases.epochs=1", "data.positive=ill")
    done = tlmed.train(recipe, tmp_path / "run", folder)
    assert done.metrics["positive"] == "ill"
    with pytest.raises(InputError, match="positive"):
        tlmed.train(small("data.positive=sick"), tmp_path / "other", folder)


def test_class_weights_balance_the_loss(tmp_path, monkeypatch):
    folder = write_images(tmp_path / "data", 12, ("ill", "well"))
    for i in range(12, 24):
        Image.fromarray(draw(1, i)).save(folder / "well" / f"more {i}.png")
    seen = {}
    original = phase_training.Loop
    monkeypatch.setattr(phase_training, "Loop", lambda *a, **k: seen.update(k) or original(*a, **k))
    tlmed.train(small("phases.epochs=1", "class_weight=balanced", "head.dropout=0.2"), tmp_path / "run", folder)
    assert seen["class_weight"][0] == pytest.approx(2 * seen["class_weight"][1], rel=0.15)


def test_num_classes_is_checked():
    for wrong in (1, "3", None):
        with pytest.raises(InputError, match="num_classes"):
            small().build(wrong)


def test_a_recipe_made_in_memory_is_kept_as_code(images, tmp_path):
    recipe = dataclasses.replace(small("phases.epochs=1"), seed=3)
    done = tlmed.train(recipe, tmp_path / "run", images)
    kept = load_recipe(done.path / "recipe.py")
    assert kept.seed == 3
    assert json.loads((done.path / "recipe.json").read_text())["seed"] == 3


def test_a_complete_run_is_refused_with_strict_for_the_leaks_that_it_recorded(finished, images, tmp_path):
    out = RunDir(tmp_path / "run")
    shutil.copytree(finished.path, out.path)
    recipe = override(load_recipe("fine_tuning"), [*SMALL, *WITH_BATCH_NORM])
    said = []
    tlmed.train(recipe, out.path, images, strict=True, voice=Voice(say=said.append))
    assert "is complete already, and its images were not read again" in said[0]
    assert f"(`tlmed evaluate {out.path}` names what has changed)" in said[0]
    leak = "Byte-identical files are in train and test: a.png, b.png."
    write_json(out / "environment.json", {**out.json("environment.json"), "leaks": [leak]})
    with pytest.raises(CheckFailed, match=leak):
        tlmed.train(recipe, out.path, images, strict=True)
    write_json(out / "environment.json", {**out.json("environment.json"), "leaks": [], "data": {}})
    with pytest.raises(InputError, match=r"environment\.json is not as recorded"):
        tlmed.train(recipe, out.path, images, strict=True)


def test_strict_sees_the_leaks_of_a_complete_run_whose_note_of_them_was_removed(tmp_path):
    folder, said = write_images(tmp_path / "data", 8), []
    (folder / "benign" / "copy.png").write_bytes((folder / "normal" / "normal (0).png").read_bytes())
    out = RunDir(tlmed.train(small("phases.epochs=1"), tmp_path / "run", folder).path)
    noted = out.json("environment.json")["leaks"]
    write_json(out / "environment.json", {**out.json("environment.json"), "leaks": [], "warnings": []})
    tlmed.train(small("phases.epochs=1"), out.path, folder)  # nobody asked
    with pytest.raises(CheckFailed) as caught:
        tlmed.train(small("phases.epochs=1"), out.path, folder, strict=True)
    assert list(caught.value.faults) == noted
    rows = [{**row, "label": "normal"} if row["path"] == "benign/copy.png" else row for row in SPLITS_CSV.read(out)]
    SPLITS_CSV.write(out, rows)
    with pytest.raises(InputError, match=r"splits\.csv is not as recorded"):
        tlmed.train(small("phases.epochs=1"), out.path, folder, strict=True)
    (out / "lock.json").unlink()
    tlmed.train(small("phases.epochs=1"), out.path, folder, strict=True, voice=Voice(warn=said.append))
    assert any("lock.json is missing" in sentence for sentence in said)


def test_test_images_that_the_weights_know_are_leaks(images, tmp_path):
    warnings, rows, told = [], {}, {}
    voice = run.Voice(say=lambda text: None, warn=warnings.append)

    def train(name, weights, seed, **options):
        words = ["phases.epochs=1", f"weights={weights}", f"seed={seed}"]
        return tlmed.train(small(*words), tmp_path / name, images, **options)

    def learnt(name):
        return {row["sha256"] for row in rows[name] if row["split"] != "test"}

    stages = {"first": "none", "second": tmp_path / "first", "third": tmp_path / "second"}
    for seed, (name, weights) in enumerate(stages.items()):
        if name == "second":
            with pytest.raises(CheckFailed, match="first, where the weights come from, was trained or validated"):
                train("strict", weights, seed, strict=True)
        out = RunDir(train(name, weights, seed, voice=voice).path)
        rows[name], told[name] = SPLITS_CSV.read(out), out.json("environment.json")["warnings"]
        tested = [row for row in rows[name] if row["split"] == "test"]
        known = set().union(*(learnt(other) for other in rows if other != name))
        leaked = sum(row["sha256"] in known for row in tested)
        if name == "first":
            assert "without_leaks" not in out.json("metrics.json")
            continue
        found = out.json("metrics.json")["without_leaks"]
        assert (found["leaked"], found["n"]) == (leaked, len(tested) - leaked)
        assert leaked > 0
        by_weights = [row["path"] for row in tested if row["sha256"] in known]
        assert out.json("environment.json")["earlier"]["known"] == by_weights
        assert out.json("lock.json")["environment"]["earlier"]["known"] == by_weights
        trained = {row["sha256"] for other in rows if other != name for row in rows[other] if row["split"] == "train"}
        taught = [row["path"] for row in rows[name] if row["split"] == "val" and row["sha256"] in trained]
        assert out.json("environment.json")["earlier"]["taught"] == taught != []
        deciding = [row for row in rows[name] if row["split"] != "test"]
        first = sum(
            row["split"] == "train" and row["sha256"] in {it["sha256"] for it in deciding} for row in rows["first"]
        )
        said = run.introduce(
            dataclasses.replace(
                small(f"weights={weights}", f"seed={seed}"), data=dataclasses.replace(small().data, source=str(images))
            )
        ).taught
        assert any(
            line.startswith(f"{tmp_path / 'first'} was trained on {first} of the {len(deciding)} development images")
            for line in said
        )
        assert list_known(read_results([out.path, tmp_path / "first"])[:1]) == [set(by_weights)]
        assert sum("where the weights come from, was" in sentence for sentence in told[name]) == len(rows) - 1
        assert any(sentence.startswith(f"{leaked} of {len(tested)} test images") for sentence in told[name])
        assert set(told[name]) <= set(warnings)
        again = inference.evaluate(out)[1]["without_leaks"]
        assert (again["leaked"], again["n"]) == (found["leaked"], found["n"])
    third = RunDir(tmp_path / "third")
    assert "earlier" not in RunDir(tmp_path / "first").json("environment.json")
    (second, first), certain = (third.json("environment.json")["earlier"][name] for name in ("runs", "certain"))
    assert (second["name"], second["began"], certain) == ("second", [f"run:{tmp_path / 'first'}"], True)
    assert (first["name"], first["began"]) == ("first", ["none"])
    assert [first[split] for split in ("train", "val")] == [
        sum(row["split"] == split for row in rows["first"]) for split in ("train", "val")
    ]
    assert third.json("lock.json")["environment"]["earlier"]["runs"] == [second, first]
    page = (third / "report.html").read_text()
    assert page.count("The run first, which gave weights, learned from images of ") == 2  # what was done; the checklist
    assert page.count("It began with random weights.") == 2
    pair = ("none", f"run:{tmp_path / 'third'}")
    assert set(find_known(pair, Identifiers())[0]) == {str(tmp_path / name) for name in stages}
    trained = {row["sha256"] for row in rows["first"] if row["split"] == "train"}
    validated = [row["sha256"] for row in rows["second"] if row["split"] == "val"]
    amount = f"{sum(digest in trained for digest in validated)} of {len(validated)} validation images are"
    assert [sentence for sentence in told["second"] if sentence.startswith(amount)]
    (tmp_path / "first").rename(tmp_path / "moved")
    known, (sentence,) = find_known(pair, Identifiers())
    assert set(known) == {str(tmp_path / name) for name in ("second", "third")}
    assert f"Weights come from {tmp_path / 'first'}; which images they know cannot be told" in sentence
    shutil.copytree(tmp_path / "third", tmp_path / "first")
    known, (sentence,) = find_known(pair, Identifiers())
    assert set(known) == {str(tmp_path / name) for name in ("second", "third")}
    assert f"Weights come from {tmp_path / 'first'}, where another network is now" in sentence
    (tmp_path / "second").rename(tmp_path / "away")
    known, sentences = find_known(name_weights(third), Identifiers())
    assert known == {}
    assert [" where another network is now" in said for said in sentences] == [False, True]
    shutil.rmtree(tmp_path / "first")
    (tmp_path / "moved").rename(tmp_path / "first")
    known, (sentence,) = find_known(name_weights(third), Identifiers())
    assert set(known) == {str(tmp_path / "first")}
    assert f"Weights come from {tmp_path / 'second'}; which images they know cannot be told" in sentence
    # Older versions recorded names alone.
    older = {name: value for name, value in second.items() if name != "starts"}
    weights = list_weights({**third.json("environment.json"), "earlier": {"runs": [older]}}, {})
    assert set(find_known(weights, Identifiers())[0]) == set(known)
