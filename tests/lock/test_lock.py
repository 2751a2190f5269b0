"""Locks: what they hold, how they are read, and that whatever drifts is found and named."""

import hashlib
import json
import os
import re
import shutil
import signal
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import skops.io
from PIL import Image
from sklearn.svm import SVC

import tlmed
from tests.conftest import SMALL, draw, write_images
from tlmed import screen
from tlmed.backbones import build
from tlmed.cache import cache_folder
from tlmed.cli import main
from tlmed.digests import digest_classifier, digest_model
from tlmed.errors import CheckFailed, InputError, Interrupted, RunFailed
from tlmed.inference.rescoring import evaluate
from tlmed.intact import checksum, find_changed
from tlmed.lock import (
    Difference,
    Reproduction,
    Row,
    choose_level,
    compare_history,
    compare_inputs,
    compare_results,
    explain,
    find_causes,
    read_lock,
    to_junit,
    to_lines,
    to_markdown,
)
from tlmed.lock.lock_json import PREDICTIONS, make_lock, read_rows
from tlmed.recipe import digest_modules, from_json, load_recipe, override, shipped_recipes, to_json, to_source
from tlmed.reproduce import Request, reproduce, reproduce_and_report
from tlmed.run import train
from tlmed.run_files import SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.voice import Voice
from tlmed.whole_files import read_csv, write_json

pytestmark = pytest.mark.usefixtures("empty_figures")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Give the images, the weights and the recipe file of a run, and the run."""
    folder = tmp_path_factory.mktemp("job")
    images = write_images(folder / "images", 8)
    weights = folder / "cifarnet.weights.h5"
    build("CifarNet", "none", (32, 32), seed=3).model.save_weights(weights)
    recipe = override(load_recipe("fine_tuning"), [*SMALL, f"weights={weights}", "augment.flip=both"])
    (folder / "mine.py").write_text(to_source(recipe))
    run = tlmed.train(folder / "mine.py", folder / "run", images)
    return folder, RunDir(run.path)


@pytest.fixture
def copy(job, tmp_path):
    """Give a copy of all of it that a test may change, and a lock that names the copy's weights."""
    folder, run = job
    for name in ("images", "cifarnet.weights.h5", "mine.py"):
        source = folder / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, tmp_path / name)
    shutil.copy2(run / "lock.json", tmp_path / "job.json")
    return tmp_path


def check(folder, **options):
    """Compare inputs and environment with the copy's lock."""
    weights = (str(folder / "cifarnet.weights.h5"),)
    request = Request(folder / "job.json", "check", source=str(folder / "images"), weights=weights, **options)
    return reproduce(request)


def forge(path, change):
    """Change a lock and give it the checksum that belongs to it."""
    content = json.loads(path.read_text())
    content.pop("sha256")
    change(content)
    path.write_text(json.dumps({**content, "sha256": checksum(content)}))
    return path


# What a lock holds


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_comes_back_from_json(name):
    recipe = load_recipe(name)
    assert from_json(json.loads(json.dumps(to_json(recipe)))) == recipe


def test_a_run_writes_its_lock(job):
    _, run = job
    lock = read_lock(run.path)
    content, results = lock.content, lock.content["results"]
    assert lock.recipe == from_json(run.json("recipe.json"))
    assert (lock.name, lock.run) == ("run", run)
    assert (content["task"], content["primary"]) == ("single-label", "auc")
    assert content["recipe"]["name"] == "mine"
    assert content["recipe"]["set"] == ["data.source"]
    assert read_rows(content["data"]["rows"])[0]["path"] == "benign/benign (0).png"
    assert len(content["data"]["rows"]) == 25
    assert len(content["weights"][0]["sha256"]) == len(content["code"]["sha256"]) == 64
    assert content["seeds"]["streams"]["phase/head"] != content["seeds"]["streams"]["phase/top"]
    assert {"versions", "processor", "threads", "devices", "onednn", "packages", "cpus"} <= set(content["environment"])
    assert results["weights"] == digest_model(run / "model.keras")
    rows = [{**row, "score": row[f"score_{row['prediction']}"]} for row in read_csv(run / "predictions.csv")]
    assert read_rows(results["predictions"]["rows"]) == [{name: row[name] for name in PREDICTIONS} for row in rows]
    assert results["metrics"]["metrics"]["auc"] == run.json("metrics.json")["metrics"]["auc"]
    assert len(results["history"]) == 5
    assert "seconds" not in json.dumps(results)


def test_the_hash_of_weights_is_that_of_their_values(tmp_path):
    model = build("CifarNet", "none", (32, 32)).model
    for name in ("a", "b"):
        model.save(tmp_path / f"{name}.keras")
    assert digest_model(tmp_path / "a.keras") == digest_model(tmp_path / "b.keras")
    kernel = next(layer for layer in model.layers if layer.weights).kernel
    values = kernel.numpy()
    values.view("uint32").flat[0] ^= 1
    kernel.assign(values)
    model.save(tmp_path / "c.keras")
    assert digest_model(tmp_path / "a.keras") != digest_model(tmp_path / "c.keras")


def test_pixels_stand_for_images_that_were_encoded_here():
    table = tlmed.data.open_source("tfds:tlmed_phantoms/images=6,size=32")
    images = tlmed.data.load("tfds:tlmed_phantoms/images=30,size=32", (32, 32), None)
    assert table.licence == "Apache-2.0"
    pixels = tlmed.data.decode(table.read(0))
    assert images.sha256[0] == hashlib.sha256(b"uint8 (32, 32, 3) " + pixels.tobytes()).hexdigest()


# Reading one


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: text.replace('"seed": 0', '"seed": 1', 1), "changed or cut short"),
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: "[1, 2]", "not a table"),
        (lambda text: text.replace('"format": 2', '"format": 3', 1), "format 3, written by tlmed 0.1.0"),
        (lambda text: text.replace('"format": 2', '"format": 1', 1), "older format 1, written by tlmed 0.1.0"),
        (lambda text: text.replace('"format": 2', '"format": "x"', 1), "without a format"),
        (lambda text: '{"format": 2}', "without its sha256"),
        (lambda text: json.dumps({"format": 2, "sha256": checksum({"format": 2})}), "recipe is missing"),
        (lambda text: "[" * 100_000, "not JSON"),
    ],
)
def test_a_lock_that_is_not_as_it_was_written_is_refused(spoil, words, job, tmp_path):
    (tmp_path / "bad.json").write_text(spoil((job[1] / "lock.json").read_text()))
    with pytest.raises(InputError, match=words):
        read_lock(tmp_path / "bad.json")


def test_a_forged_recipe_is_checked_as_any_other(copy):
    forge(copy / "job.json", lambda lock: lock["recipe"]["resolved"]["phases"][0].update(epochs=-1, code="import os"))
    with pytest.raises(InputError, match=r"epochs") as error:
        read_lock(copy / "job.json")
    assert "`phases.0.code` is not a field" in str(error.value)


def test_what_is_missing_is_named(tmp_path, job):
    with pytest.raises(InputError, match="must be a file that exists"):
        read_lock(tmp_path / "nowhere.json")
    with pytest.raises(InputError, match="a directory without one"):
        read_lock(tmp_path)
    (tmp_path / "UNFINISHED").touch()
    with pytest.raises(InputError, match="an unfinished run"):
        read_lock(tmp_path)


# Drift is found and named


def test_nothing_differs_where_nothing_changed(copy):
    comparison = check(copy)
    assert comparison.faults == []
    assert comparison.differences == []
    assert "`bits` can be asked for: the environment is that of the lock" in comparison.asked


def change_pixel(folder, monkeypatch):
    path = folder / "images" / "normal" / "normal (3).png"
    pixels = np.array(Image.open(path))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)


def change_label(folder, monkeypatch):
    path = folder / "images" / "normal" / "normal (3).png"
    path.rename(folder / "images" / "benign" / "normal (3).png")


def change_weight_bit(folder, monkeypatch):
    with h5py.File(folder / "cifarnet.weights.h5", "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        values = file[names[0]][()]
        values.view("uint32").flat[0] ^= 1
        file[names[0]][...] = values


def change_version(folder, monkeypatch):
    forge(folder / "job.json", lambda lock: lock["environment"]["versions"].update(numpy="1.0.0"))


def change_threads(folder, monkeypatch):
    count = json.loads((folder / "job.json").read_text())["environment"]["threads"]["intra_op"]
    monkeypatch.setattr("tensorflow.config.threading.get_intra_op_parallelism_threads", lambda: count + 5)


def change_processor(folder, monkeypatch):
    old = {"name": "Old", "architecture": "x86_64", "features": ["avx", "avx2"]}
    forge(folder / "job.json", lambda lock: lock["environment"].update(processor=old))


def remove_image(folder, monkeypatch):
    (folder / "images" / "normal" / "normal (3).png").unlink()


def add_image(folder, monkeypatch):
    Image.fromarray(draw(0, 99)).save(folder / "images" / "benign" / "more.png")


def change_task(folder, monkeypatch):
    forge(folder / "job.json", lambda lock: lock.update(task="ordinal", primary="quadratic_kappa"))


def change_seeds(folder, monkeypatch):
    monkeypatch.setattr("tlmed.lock.lock_json.derive", lambda seed, *names: 5)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (change_pixel, "input", r"data: content of normal/normal \(3\).png: \w{12} locked, \w{12} now"),
        (
            change_label,
            "input",
            r"24 locked, 24 now \(gone: normal/normal \(3\).png; new: benign/normal \(3\).png\)",
        ),
        (remove_image, "input", r"data: images: 24 locked, 23 now \(gone: normal/normal \(3\).png\)"),
        (add_image, "input", r"data: images: 24 locked, 25 now \(new: benign/more.png\)"),
        (change_weight_bit, "input", r"weights: backbone"),
        (change_task, "input", r"recipe: the task on these data: 'ordinal' locked, 'single-label' now"),
        (change_task, "input", r"recipe: the metric that decides: 'quadratic_kappa' locked, 'auc' now"),
        (change_seeds, "input", r"seeds: stream split: \d+ locked, 5 now"),
        (change_version, "library", r"numpy: 1.0.0 locked, .* now"),
        (change_threads, "environment", r"threads inside an operation: \d+ locked, \d+ now .*TF_NUM_INTRAOP_THREADS="),
        (change_processor, "environment", r"processor: AVX2 locked, .*oneDNN on a CPU with AVX2 against"),
    ],
)
def test_drift_is_found_and_named(change, kind, words, copy, monkeypatch):
    change(copy, monkeypatch)
    comparison = check(copy)
    found = [str(difference) for difference in comparison.differences if difference.kind == kind]
    assert any(re.search(words, sentence) for sentence in found), found
    assert bool(comparison.faults) == (kind == "input")


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("augment.rotation", "augment.rotation=0.05"),
        ("seed", "seed=1"),
        ("phases.1.learning_rate", "phases.1.learning_rate=2e-4"),
    ],
)
def test_a_recipe_that_changed_is_found_and_the_field_named(field, setting, copy):
    file = copy / "mine.py"
    file.write_text(to_source(override(load_recipe(file), [setting])))
    [difference] = check(copy, recipe_file=file).differences
    assert (difference.part, difference.name, difference.kind) == ("recipe", field, "input")


def test_a_prevalence_decides_where_errors_have_costs(copy):
    file, kinds = copy / "mine.py", {"prevalence": "reported"}
    for setting, found in (("prevalence=0.1", kinds), ("cost_ratio=5", dict.fromkeys(("cost_ratio", *kinds), "input"))):
        file.write_text(to_source(override(load_recipe(file), [setting])))
        assert {it.name: it.kind for it in check(copy, recipe_file=file).differences} == found


def test_another_title_is_no_difference(copy):
    file = copy / "mine.py"
    file.write_text(to_source(override(load_recipe(file), ["name=Ward 7"])))
    assert check(copy, recipe_file=file).differences == []


def test_a_shipped_recipe_that_changed_is_found_and_what_was_set_is_not(finished, monkeypatch, tmp_path):
    lock = read_lock(finished.path)
    assert lock.content["recipe"]["shipped"]
    assert "data.image_size" in lock.content["recipe"]["set"]
    assert reproduce(Request(finished.path, "check")).faults == []
    changed = tmp_path / "fine_tuning.py"
    changed.write_text(to_source(override(load_recipe("fine_tuning"), ["augment.zoom=0.1", "seed=5"])))
    monkeypatch.setattr("tlmed.lock.inputs.shipped_recipes", lambda: {"fine_tuning": changed})
    names = [difference.name for difference in reproduce(Request(finished.path, "check")).differences]
    assert names == ["augment.zoom", "seed"]


def test_another_label_under_the_same_path_is_named(copy):
    rows = read_rows(read_lock(copy / "job.json").content["data"]["rows"])
    listing = copy / "images" / "list.csv"
    lines = [f"{row['path']},{row['label']}" for row in rows]
    lines[0] = lines[0].replace(",benign", ",normal")
    listing.write_text("path,label\n" + "\n".join(lines) + "\n")
    weights = (str(copy / "cifarnet.weights.h5"),)
    found = reproduce(Request(copy / "job.json", "check", source=str(listing), weights=weights)).faults
    assert found == ["data: label of benign/benign (0).png: benign locked, normal now"]


def test_a_run_that_was_tampered_with_is_found(job, tmp_path):
    shutil.copytree(job[1].path, tmp_path / "run")
    text = (tmp_path / "run" / "predictions.csv").read_text()
    (tmp_path / "run" / "predictions.csv").write_text(text.replace("test,benign", "test,normal", 1))
    faults = reproduce(Request(tmp_path / "run", "check")).faults
    assert any(fault.startswith("predictions: SHA-256 of the file") for fault in faults)


@pytest.mark.usefixtures("trained_before")
@pytest.mark.parametrize("mode", ["train", "check"])
def test_a_falsified_score_is_found_whatever_is_compared(mode, job, tmp_path):
    run, before = RunDir(shutil.copytree(job[1].path, tmp_path / "run")), []
    metrics = run.json("metrics.json")
    metrics["metrics"]["accuracy"]["value"] = 0.999
    write_json(run / "metrics.json", metrics)
    out = None if mode == "check" else tmp_path / "again"
    found = reproduce(Request(run.path, mode, out=out), Voice(warn=before.append))
    assert [fault.split(": ")[1] for fault in found.faults] == [
        "accuracy, in the files of run",
        "SHA-256 of metrics.json without times, in the files of run",
    ]
    assert bool(before) is (mode == "train")


def test_a_split_that_came_with_the_images_is_named_beside_another_label(copy, tmp_path):
    rows = read_rows(read_lock(copy / "job.json").content["data"]["rows"])
    given, moved = copy / "images" / "given.csv", copy / "images" / "moved.csv"
    given.write_text("\n".join(["path,label,split", *(f"{r['path']},{r['label']},{r['split']}" for r in rows)]))
    run = RunDir(
        train(override(load_recipe("feature_extractor"), [*SMALL, "examples=0"]), tmp_path / "run", str(given)).path
    )
    test, other = (next(row["path"] for row in rows[::step] if row["split"] == "test") for step in (1, -1))
    lines = given.read_text().splitlines()
    for row, line in enumerate(lines):
        if line.startswith(f"{test},"):
            lines[row] = line.replace(",test", ",train")
        if line.startswith(f"{other},"):
            lines[row] = line.replace(f",{line.split(',')[1]},", f",{'benign' if ',normal,' in line else 'normal'},")
    moved.write_text("\n".join(lines))
    found = reproduce(Request(run.path, "check", source=str(moved))).faults
    assert [fault.split(":")[1].strip() for fault in found] == [f"label of {other}", f"split of {test}"]
    assert found[1].endswith("test locked, train now")
    lines = moved.read_text().splitlines()
    moved.write_text(
        "\n".join([f"{lines[0]},site", *(f"{line},{'AB'[row % 2]}" for row, line in enumerate(lines[1:]))])
    )
    found = reproduce(Request(run.path, "check", source=str(moved))).faults
    assert found[2:] == ["data: column site of the test images: none locked, present now (subgroups are by it)"]


def list_with_sites(folder, name, change=lambda path, site: site):
    lines = []
    for i, file in enumerate(sorted((folder / "images").glob("*/*.png"))):
        path = file.relative_to(folder).as_posix()
        lines.append(f"{path},{file.parent.name},{change(path, 'AB'[i % 2])}")
    (folder / name).write_text("\n".join(["path,label,site", *lines]))
    return str(folder / name)


def test_columns_that_make_subgroups_are_inputs(copy, tmp_path):
    recipe = override(load_recipe("feature_extractor"), [*SMALL, "examples=0"])
    run = RunDir(train(recipe, tmp_path / "run", list_with_sites(copy, "list.csv")).path)
    tested = [row["path"] for row in SPLITS_CSV.read(run) if row["split"] == "test"]
    swap = {"A": "B", "B": "A"}
    other = list_with_sites(copy, "other.csv", lambda path, site: swap[site] if path == tested[0] else site)
    untested = list_with_sites(copy, "untested.csv", lambda path, site: site if path in tested else swap[site])
    assert reproduce(Request(run.path, "check", source=untested)).faults == []
    for mode in ("check", "train"):
        found = reproduce(Request(run.path, mode, source=other, out=tmp_path / "again" if mode == "train" else None))
        [fault] = found.faults
        assert fault.startswith("data: column site of the test images: ")
        assert fault.endswith(" now (subgroups are by it)")
    assert not (tmp_path / "again").exists()
    said = {}
    for source in (other, untested):
        said[source] = evaluate(run, source, moved=True)[1]["evaluated"]["warnings"]
    assert [words for words in said[other] if "column" in words] == [
        "A column is not as when the run was trained, and subgroups are by what stands there now: 'site' (changed)."
    ]
    assert not any("column" in words for words in said[untested])
    lines = Path(other).read_text().splitlines()
    Path(other).write_text("\n".join(line for line in lines if not line.startswith(tested[-1])))
    warnings = evaluate(run, other, moved=True)[1]["evaluated"]["warnings"]
    assert [words for words in warnings if "site" in words] == [
        "Whether 'site' is as when the run was trained cannot be told, because test images are missing: subgroups are "
        "by what stands there now."
    ]
    renamed = copy / "renamed.csv"
    renamed.write_text(Path(other).read_text().replace("path,label,site", "path,label,place"))
    warnings = evaluate(run, str(renamed), moved=True)[1]["evaluated"]["warnings"]
    assert any(words.endswith("by what stands there now: 'site' (gone), 'place' (new).") for words in warnings)
    list_with_sites(copy, "other.csv", lambda path, site: swap[site] if path == tested[0] else site)
    second = RunDir(train(recipe, tmp_path / "second", other).path)
    lines = explain(run, second)
    assert lines[0] == "Cause, as far as is recorded:"
    assert lines[1].strip().startswith("data: column site of the test images: ")
    forge(run / "lock.json", lambda lock: lock["data"].pop("columns"))  # as locks were
    environment = run.json("environment.json")
    environment["data"].pop("columns")
    write_json(run / "environment.json", environment)
    found = reproduce(Request(run.path, "check", source=other))
    assert found.faults == []
    assert "data: further columns: not recorded locked, site now" in str(found.differences[-1])


def test_the_modules_of_a_recipe_are_part_of_it(tmp_path, monkeypatch, images):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_project").mkdir()
    (tmp_path / "my_project" / "__init__.py").write_text("")
    (tmp_path / "my_project" / "settings.py").write_text("from my_project import rates\nSEED = 0\n")
    (tmp_path / "my_project" / "rates.py").write_text("import numpy as np\nRATE = 1e-3\n")
    recipe = to_source(override(load_recipe("feature_extractor"), [*SMALL, "phases.epochs=1"]))
    (tmp_path / "mine.py").write_text(f"from my_project.settings import SEED\n{recipe}".replace("seed=0", "seed=SEED"))
    run = tlmed.train(tmp_path / "mine.py", tmp_path / "run", images)
    modules = read_lock(run.path).content["recipe"]["modules"]
    assert list(modules) == ["my_project", "my_project.rates", "my_project.settings"]
    assert reproduce(Request(run.path, "check")).faults == []
    (tmp_path / "my_project" / "rates.py").write_text("RATE = 2e-3\n")
    with pytest.raises(InputError, match=r"modules must be as they were .* my_project.rates .*changed"):
        reproduce(Request(run.path, "check"))
    (tmp_path / "my_project" / "rates.py").unlink()
    with pytest.raises(InputError, match=r"my_project.rates, which is not found"):
        reproduce(Request(run.path, "check"))


def test_missing_images_and_weights_are_named_together(copy):
    request = Request(
        copy / "job.json", "check", source=str(copy / "nowhere"), weights=(str(copy / "gone.weights.h5"),)
    )
    with pytest.raises(InputError) as error:
        reproduce(request)
    assert len(error.value.faults) == 2
    assert "nowhere" in str(error.value)
    assert "gone.weights.h5" in str(error.value)


def test_size_and_time_are_trusted_only_where_that_is_asked_for(copy, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(copy / "cache"))
    check(copy)
    assert not (copy / "cache").exists()
    assert check(copy, trust=True).faults == []
    path = copy / "images" / "normal" / "normal (3).png"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert check(copy, trust=True).faults == []
    assert len(check(copy).faults) == 1
    os.utime(path)
    assert len(check(copy, trust=True).faults) == 1


def test_an_older_lock_names_no_task_and_holds(copy):
    forge(copy / "job.json", lambda lock: [lock.pop(name) for name in ("task", "primary")])
    assert check(copy).differences == []


# Levels


def differ(kind="environment", why="", name="threads"):
    return Difference("environment", name, "1", "2", kind, why)


@pytest.mark.parametrize(
    ("differences", "name", "setting", "level"),
    [
        ([], "fine_tuning", "seed=0", "bits"),
        ([differ("note"), differ("code")], "fine_tuning", "seed=0", "bits"),
        ([differ()], "feature_extractor", "seed=0", "predictions"),
        ([differ()], "feature_extractor_hybrid", "seed=0", "predictions"),
        ([differ()], "fine_tuning", "seed=0", "metrics"),
        ([differ()], "blockwise", "seed=0", "metrics"),
        ([differ(), differ("library")], "feature_extractor", "seed=0", "metrics"),
        ([], "feature_extractor", "deterministic=false", "metrics"),
    ],
)
def test_the_strongest_level_that_can_hold_is_asked_for(differences, name, setting, level):
    recipe = override(load_recipe(name), [setting])
    assert choose_level(None, differences, recipe)[0] == level
    assert choose_level("metrics", differences, recipe)[0] == "metrics"


def test_bits_are_refused_where_they_cannot_be_the_same(copy, monkeypatch):
    with pytest.raises(InputError, match="deterministic=False"):
        choose_level("bits", [], override(load_recipe("feature_extractor"), ["deterministic=false"]))
    change_processor(copy, monkeypatch)
    with pytest.raises(InputError, match=r"^`--level bits` needs the environment of the lock: .*AVX2 locked"):
        check(copy, level="bits")


def test_an_older_lock_does_not_tell_whether_its_run_went_on_elsewhere_and_that_is_said(copy, job):
    told = "environment: whether it went on elsewhere: not recorded locked, recorded now"
    assert told not in " ".join(screen.to_lines(to_lines(check(copy))))
    assert make_lock(job[1])["environment"]["changed"] == []
    forge(copy / "job.json", lambda content: content["environment"].pop("changed"))
    found = check(copy)
    said = " ".join(screen.to_lines(to_lines(found)))
    assert told in said
    assert "whether such a run was stopped, and went on in another environment, is not known" in said
    assert not found.faults


def test_a_run_that_went_on_in_another_environment_is_not_asked_for_bits(copy, job, tmp_path, monkeypatch):
    changed = ["threads.intra_op: 2 before, 1 now"]
    shutil.copytree(job[1].path, tmp_path / "run")
    edited = RunDir(tmp_path / "run")
    write_json(edited / "environment.json", {**edited.json("environment.json"), "changed": changed})
    older = edited.json("lock.json")
    older["environment"].pop("changed")  # an older version of tlmed locked no changes
    assert find_changed(edited, older, ["environment.json"]) == []
    lock = make_lock(edited)
    assert lock["environment"]["changed"] == changed
    assert find_changed(job[1], lock, ["environment.json"]) == ["environment.json"]
    forge(copy / "job.json", lambda content: content["environment"].update(changed=changed))
    change_threads(copy, monkeypatch)
    found = check(copy)
    said = " ".join(screen.to_lines(to_lines(found)))
    assert "environment: changes while the run was stopped: threads.intra_op: 2 before, 1 now locked, none now" in said
    assert "makes them the same" not in said
    assert "`metrics` can be asked for: the run went on in another environment than it began in, so no single" in said
    with pytest.raises(InputError, match=r"level='bits' with .*2 before, 1 now locked"):
        check(copy, level="bits")
    other = explain(job[1], edited)
    assert other[0] == "The results are the same, bit for bit."
    assert any("changes while the run was stopped: none in " in line for line in screen.to_lines(other))
    guesses = (edited / "predictions.csv").read_text().replace("test,benign", "test,normal")
    (edited / "predictions.csv").write_text(guesses)
    for first in (job[1], RunDir(shutil.copytree(edited.path, tmp_path / "again"))):
        if first.path.name == "again":  # the same change in both, and nobody knows whether after the same step
            (first / "predictions.csv").write_text((job[1] / "predictions.csv").read_text())
        cause, said = screen.to_lines(explain(edited, first))[:2]
        assert cause == "Cause, as far as is recorded:"
        assert "changes while the run was stopped: threads.intra_op: 2 before, 1 now in " in said
    same = [line for line in screen.to_lines(explain(edited, edited)) if "changes while" in line]
    assert [line.count("2 before, 1 now") for line in same] == [1]
    assert "threads.intra_op: 2 before, 1 now in both" in same[0]
    lock["environment"]["changed"] = ["versions.keras: 3.0.0 before, 3.1.0 now"]
    (difference,) = compare_inputs(lock, make_lock(job[1]))
    assert difference.kind == "library"
    lock["environment"]["changed"] = ["tlmed's code: 1a2b before, 3c4d now, from phase 'top' on"]
    (difference,) = compare_inputs(lock, make_lock(job[1]))
    assert difference.kind == "code"


# Results


PREDICTION = "path,split,label,prediction,score"
RESULTS = {
    "weights": "a" * 64,
    "classifier": None,
    "predictions": {
        "sha256": "b" * 64,
        "rows": [
            PREDICTION,
            "1.png,test,x,x,0.7",
            '"2, b.png",test,y,y,0.6',
        ],
    },
    "metrics": {
        "sha256": "d" * 64,
        "whole": "e" * 64,
        "metrics": {"auc": {"value": 0.9, "low": 0.8, "high": 1.0}, "f1": {"value": None, "reason": "..."}},
    },
    "history": ["phase,epoch,loss,val_auc", "head,1,0.5,0.8", "head,2,0.4,0.9"],
}


def moved(change):
    results = json.loads(json.dumps(RESULTS))
    change(results)
    return results


def fails(results, level, tolerance=0.005):
    return [(row.part, row.name) for row in compare_results(RESULTS, results, level, tolerance) if row.same is False]


def test_a_lock_that_knows_fewer_metrics_holds_for_a_run_that_has_more():
    """A lock must not fail after an update only because tlmed measures more than it did."""

    def age(results):
        del results["metrics"]["whole"]

    def measure_more(results):
        results["metrics"]["metrics"]["youden"] = {"value": 0.5, "low": 0.4, "high": 0.6}
        results["metrics"]["whole"] = "f" * 64

    more = moved(measure_more)
    for there in (moved(age), RESULTS):
        rows = [row for row in compare_results(there, more, "bits", 0.0) if row.part == "metrics"]
        assert [(row.name, row.same) for row in rows] == [
            ("auc", True),
            ("f1", True),
            ("youden", None),
            ("SHA-256 of metrics.json without times and new metrics", True),
        ]
        assert rows[2].note == "not in the lock"
        for level in ("predictions", "metrics"):
            assert all(row.same is not False for row in compare_results(there, more, level, 0.0))
        gone = moved(lambda results: results["metrics"]["metrics"].pop("auc"))  # what the lock holds must be there
        failed = [row.name for row in compare_results(there, gone, "metrics", 0.0) if row.same is False]
        assert failed == ["auc"]
    other = moved(lambda results: results["metrics"].update(sha256="c" * 64))
    assert [row.same for row in compare_results(moved(age), other, "bits", 0.0) if "SHA" in row.name][-1] is False


def test_equal_results_are_the_same_at_every_level():
    for level in ("bits", "predictions", "metrics"):
        assert fails(moved(lambda results: None), level) == []


def move_scores(results):
    results["predictions"] = {"sha256": "c" * 64, "rows": [*RESULTS["predictions"]["rows"]]}
    results["predictions"]["rows"][1] = "1.png,test,x,x,0.698"


def move_label(results):
    results["predictions"] = {"sha256": "c" * 64, "rows": [*RESULTS["predictions"]["rows"]]}
    results["predictions"]["rows"][1] = "1.png,test,x,y,0.3"


def test_levels_ask_for_what_they_say():
    scores, label = moved(move_scores), moved(move_label)
    assert ("predictions", "SHA-256 of the file") in fails(scores, "bits")
    assert [part for part, _ in fails(scores, "predictions", 0.001)] == ["predictions"]
    assert fails(scores, "predictions", 0.003) == []
    assert fails(label, "predictions", 1.0) == [("predictions", "label of 1.png")]
    assert fails(scores, "metrics") == fails(label, "metrics") == []
    metric = moved(lambda results: results["metrics"]["metrics"]["auc"].update(value=0.906, low=0.1))
    assert fails(metric, "metrics", 0.005) == [("metrics", "auc")]
    assert fails(metric, "metrics", 0.01) == fails(metric, "predictions") == []
    assert ("metrics", "auc") in fails(metric, "bits")
    undefined = moved(lambda results: results["metrics"]["metrics"]["auc"].update(value=None))
    assert fails(undefined, "metrics") == [("metrics", "auc")]
    assert ("weights", "SHA-256 of the weights") in fails(moved(lambda results: results.update(weights="0")), "bits")
    other = moved(lambda results: results["metrics"].update(whole="f" * 64))
    assert fails(other, "bits") == [("metrics", "SHA-256 of metrics.json without times")]
    assert fails(other, "predictions") == fails(other, "metrics") == []
    gone = moved(lambda results: results["predictions"].update(sha256="c", rows=RESULTS["predictions"]["rows"][:2]))
    assert ("predictions", "images") in fails(gone, "predictions")


def test_tables_of_pooled_answers_are_compared_as_those_of_images_are():
    table = {"sha256": "e" * 64, "rows": [PREDICTION, "p1,val,x,x,0.7", "p1,test,x,x,0.8"]}  # a group in two splits
    there, here = ({**RESULTS, "pooled": json.loads(json.dumps(table))} for _ in range(2))

    def name_failures(level):
        return [(row.part, row.name) for row in compare_results(there, here, level, 0.005) if row.same is False]

    assert name_failures("bits") == name_failures("predictions") == []
    here["pooled"] |= {"sha256": "f" * 64, "rows": [PREDICTION, "p1,val,x,x,0.7", "p1,test,x,y,0.8"]}
    assert name_failures("bits") == [("pooled", "SHA-256 of the file")]
    assert name_failures("predictions") == [("pooled", "label of p1")]
    assert name_failures("metrics") == []
    for level in ("bits", "predictions", "metrics"):  # a result that pools nothing is another result
        assert fails(there, level) == [("pooled", "SHA-256 of the file")]


def test_a_part_of_a_metric_that_is_null_or_not_named_is_the_same():
    there, here = moved(lambda results: None), moved(lambda results: None)
    there["metrics"]["metrics"]["f1"]["method"] = None
    assert [row for row in compare_results(there, here, "bits", 0.0) if row.same is False] == []


def test_the_first_epoch_at_which_histories_part_is_named():
    other = ["phase,epoch,loss,val_auc", "head,1,0.5,0.8", "head,2,0.4,0.89"]
    [row] = compare_history(RESULTS["history"], other, 0.0)
    assert row.same is False
    assert row.name == "first parting, phase 'head', epoch 2: val_auc"
    assert (row.there, row.here, row.note) == ("0.9", "0.89", "difference 0.01")
    assert compare_history(RESULTS["history"], other, 0.02)[0].same is True
    assert compare_history(RESULTS["history"], other, None)[0].same is None
    assert compare_history(RESULTS["history"], other[:2], 0.0)[0].same is False
    for line, words in {"head,1,nan,0.8": "epoch 1: loss", "top,1,0.5,0.8": "first parting"}.items():
        assert words in compare_history(RESULTS["history"], [RESULTS["history"][0], line], 0.1)[0].name
    assert compare_history([], [], 0.0) == []


# Reproducing


def test_a_run_is_reproduced_bit_for_bit_in_a_fresh_directory_with_an_empty_store(job, tmp_path, monkeypatch):
    _, run = job
    before = {path: path.stat().st_mtime_ns for path in [run.path, *run.path.rglob("*")]}
    stores, plain = [], train

    def look(*args, **options):
        with ThreadPoolExecutor(1) as others:
            assert others.submit(cache_folder).result() == cache
        stores.append(cache_folder())
        assert not os.listdir(stores[0])
        return plain(*args, **options)

    monkeypatch.setattr("tlmed.reproduce.train", look)
    cache = cache_folder()
    comparison = reproduce(Request(run.path, out=tmp_path / "again"))
    assert comparison.faults == []
    assert all(row.same for row in comparison.rows)
    assert "compared by bits" in comparison.asked
    assert stores[0] != cache == cache_folder()
    assert not os.path.exists(stores[0])
    assert {path: path.stat().st_mtime_ns for path in [run.path, *run.path.rglob("*")]} == before
    assert (tmp_path / "again" / "predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()


@pytest.fixture
def trained_before(job, monkeypatch):
    """Let training end with the run that is there, which is what it ends with, as another test sees to."""
    _, run = job
    monkeypatch.setattr(
        "tlmed.reproduce.train", lambda recipe, out, **_: shutil.copytree(run.path, out, dirs_exist_ok=True)
    )


@pytest.mark.usefixtures("trained_before")
def test_a_result_that_moved_is_a_failure_with_all_of_it_named(copy, tmp_path):
    def move(lock):
        lock["results"]["metrics"]["metrics"]["auc"]["value"] += 0.01
        lock["results"]["history"][2] = lock["results"]["history"][2].replace("head,2,", "head,2,9")

    forge(copy / "job.json", move)
    weights, said = (str(copy / "cifarnet.weights.h5"),), []
    request = Request(copy / "job.json", source=str(copy / "images"), weights=weights, out=tmp_path / "again")
    with pytest.raises(CheckFailed) as error:
        reproduce_and_report(request, tmp_path / "j.xml", tmp_path / "s.md", Voice(say=said.append))
    words = str(error.value)
    assert error.value.exit_status == 1
    assert "metrics: auc: " in words
    assert "first parting, phase 'head', epoch 2" in words
    assert any("metrics: auc" in line and "DIFFERENT" in line for line in screen.to_lines(said))
    assert "What may have changed it" not in words
    suite = ET.parse(tmp_path / "j.xml").getroot().find("testsuite")
    failed = [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]
    assert "auc" in failed
    assert "accuracy" not in failed
    assert int(suite.get("failures")) == len(failed) >= 2
    assert int(suite.get("tests")) == len(suite.findall("testcase"))
    assert "| metrics: auc |" in (tmp_path / "s.md").read_text()
    assert "❌" in (tmp_path / "s.md").read_text()


def test_the_first_epochs_are_compared_with_the_locked_history(copy, tmp_path):
    forge(copy / "job.json", lambda lock: lock["results"].update(weights="0", history=lock["results"]["history"][:3]))
    weights = (str(copy / "cifarnet.weights.h5"),)
    options = {"source": str(copy / "images"), "weights": weights}
    [row] = reproduce(Request(copy / "job.json", "quick", out=tmp_path / "1", **options)).rows
    assert (row.same, row.there, row.note) == (True, "2 epochs", "equal")
    assert not (tmp_path / "1" / "model.keras").exists() or (tmp_path / "1" / "UNFINISHED").exists()
    forge(copy / "job.json", lambda lock: lock["results"].update(history=RESULTS["history"]))
    [row] = reproduce(Request(copy / "job.json", "quick", out=tmp_path / "2", **options)).rows
    assert row.same is False


def test_inputs_that_differ_are_said_before_anything_is_trained(copy, tmp_path, monkeypatch):
    change_pixel(copy, monkeypatch)
    weights = (str(copy / "cifarnet.weights.h5"),)
    comparison = reproduce(
        Request(copy / "job.json", source=str(copy / "images"), weights=weights, out=tmp_path / "again")
    )
    assert len(comparison.faults) == 1
    assert not comparison.rows
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("option", ["--out", "--junit", "--summary"])
def test_nothing_is_written_into_the_run_that_is_checked(option, job):
    _, run = job
    path = run.path / "inside" if option == "--out" else run.path / "x.xml"
    request = Request(run.path, out=path if option == "--out" else None)
    with pytest.raises(InputError, match=rf"`{option}` must lie outside of the run"):
        reproduce_and_report(request, path if option == "--junit" else None, path if option == "--summary" else None)


def test_a_directory_that_is_not_fresh_is_refused(job, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "file").touch()
    with pytest.raises(InputError, match="must be a new or empty directory"):
        reproduce(Request(job[1].path, out=tmp_path / "x"))
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["file"]


@pytest.mark.parametrize("error", [Interrupted("Stopped by Ctrl-C."), RunFailed("full")])
def test_nothing_half_made_stays(error, job, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr("tlmed.run.phase_training.fit_phase", fail)
    with pytest.raises(type(error)):
        reproduce_and_report(Request(job[1].path, out=tmp_path / "again"), tmp_path / "j.xml", None)
    assert [path.name for path in tmp_path.iterdir()] == ["j.xml"]
    case = ET.parse(tmp_path / "j.xml").getroot().find("testsuite/testcase")
    assert str(error)[:4] in case.find("error").get("message")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tolerance": 2.0}, "from 0 to 1"),
        ({"tolerance": 0.1, "level": "bits"}, "bits are equal or not"),
        ({"tolerance": 0.1}, "--tolerance` must go with training"),
        ({"out": "x"}, "--out` must go with training"),
        ({"weights": ("a", "b")}, "once for each of 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words, job):
    with pytest.raises(InputError, match=words):
        reproduce(Request(job[1].path, "check", **options))


def test_a_network_of_the_users_own_cannot_be_built_from_a_lock(copy):
    forge(copy / "job.json", lambda lock: lock["recipe"]["resolved"].update(backbone="own:mine", weights="own"))
    with pytest.raises(InputError, match=r"a backbone that tlmed can build.*own:mine"):
        check(copy)


# Comparing two runs


def test_why_two_runs_differ_begins_with_the_cause(job, tmp_path, monkeypatch):
    _, run = job
    assert explain(run, run)[0] == "The results are the same, bit for bit."
    shutil.copytree(run.path, tmp_path / "other")
    other = RunDir(tmp_path / "other")
    recipe = {**run.json("recipe.json"), "seed": 3}
    (other / "recipe.json").write_text(json.dumps(recipe))
    environment = run.json("environment.json")
    environment["versions"]["numpy"] = "1.0"
    (other / "environment.json").write_text(json.dumps(environment))
    (other / "predictions.csv").write_text((run / "predictions.csv").read_text().replace("test,benign", "test,normal"))
    lines = screen.to_lines(explain(run, other))
    assert lines[0] == "Cause, as far as is recorded:"
    assert lines[1] == "  recipe: seed: 0 in run, 3 in other"
    assert any("numpy: " in line and "1.0 in other" in line for line in lines[2:])
    assert any(line.startswith("predictions: SHA-256") and "DIFFERENT" in line for line in lines)
    assert any(line.startswith("history: epochs") for line in lines)
    (other / "recipe.json").write_text(json.dumps(run.json("recipe.json")))
    (other / "environment.json").write_text(json.dumps(run.json("environment.json")))
    assert explain(run, other)[0].startswith("Cause: none is recorded")
    del environment["code_sha256"]
    (other / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(InputError, match="made by an older version"):
        explain(run, other)


def test_what_only_one_recipe_has_is_one_line_for_each_of_its_parts(job, tmp_path):
    _, run = job
    recipe = run.json("recipe.json")
    other, more = RunDir(shutil.copytree(run.path, tmp_path / "other")), {**recipe["phases"][-1], "name": "last"}
    (other / "recipe.json").write_text(json.dumps({**recipe, "phases": [*recipe["phases"], more]}))
    place = f"phases.{len(recipe['phases'])}"
    both = {(run, other): "none in run, name='last', thaw=", (other, run): "name='last', thaw="}
    for pair, words in both.items():
        lines = [line for line in screen.to_lines(explain(*pair)) if f" {place}" in line]
        assert len(lines) == 1
        assert lines[0].startswith(f"  recipe: {place}: {words}")
    hybrid = {"phases": [], "augment": {}, "head": {"classifier": "SVC", "folds": 3}}
    (other / "recipe.json").write_text(json.dumps({**recipe, **hybrid}))
    lines = [line for line in screen.to_lines(explain(run, other)) if line.startswith("  recipe: ")]
    named = [line.split(": ")[1] for line in lines if not line.startswith("  recipe: augment")]
    assert named == [*(f"phases.{number}" for number in range(len(recipe["phases"]))), "head"]


def test_what_is_only_reported_is_no_cause_of_other_scores(job, tmp_path):
    _, run = job
    recipe = run.json("recipe.json")
    other = RunDir(shutil.copytree(run.path, tmp_path / "other"))
    metrics = run.json("metrics.json")
    (other / "metrics.json").write_text(json.dumps({**metrics, "baselines": {"another": {}}}))
    more = {"baselines": not recipe["baselines"], "examples": recipe["examples"] + 1}
    more["score_degrees"] = not recipe["score_degrees"]
    more["data"] = {**recipe["data"], "modality": "x-ray", "body_part": "chest", "subject": "patient"}
    more["data"]["codes"] = {"benign": ["1", "SCT", "x"]}
    more["augment"] = {**recipe["augment"], "from_preset": "histology"}
    (other / "recipe.json").write_text(json.dumps({**recipe, **more, "seed": 3}))
    lines = screen.to_lines(explain(run, other))
    assert lines[1] == "  recipe: seed: 0 in run, 3 in other"
    assert not lines[2].startswith("  recipe: ")
    title = lines.index("The report has more or fewer parts, which changes no prediction and no score:")
    added = ["data.modality", "data.body_part", "data.subject", "augment.from_preset"]
    added += ["score_degrees", "baselines", "examples", "data", "data.codes"]
    assert [line.split(": ")[1] for line in lines[title + 1 : title + 10]] == added
    more |= {"data": recipe["data"], "augment": recipe["augment"]}
    (other / "recipe.json").write_text(json.dumps({**recipe, **more}))  # then nothing else explains another file
    assert screen.to_lines(explain(run, other))[:2] == [
        "Cause, as far as is recorded:",
        f"  recipe: score_degrees: {recipe['score_degrees']} in run, {not recipe['score_degrees']} in other",
    ]


def test_a_number_that_rounding_moved_is_the_same_and_one_whose_interval_moved_is_called_so():
    entries = {
        "auc": ({"value": 0.9 + 1e-15, "low": 0.8, "high": 1.0}, True, "equal to rounding (difference 1e-15)"),
        "value": ({"value": 0.91, "low": 0.8, "high": 1.0}, False, "difference 0.01"),
        "low": ({"value": 0.9 + 1e-15, "low": 0.79, "high": 1.0}, False, "only the interval differs"),
        "method": ({"value": 0.9, "low": 0.8, "high": 1.0, "method": "x"}, False, "only words differ"),
        "none": ({"value": None, "low": None, "high": None, "reason": "y"}, False, "different"),
    }
    for entry, same, note in entries.values():
        results = moved(lambda results, entry=entry: results["metrics"]["metrics"].update(auc=entry))
        [row] = [row for row in compare_results(RESULTS, results, "bits", 1e-12) if row.name == "auc"]
        assert (row.same, row.note) == (same, note)
        [row] = [row for row in compare_results(RESULTS, results, "bits", 0.0) if row.name == "auc"]
        assert row.same is False  # where bits are promised


@pytest.mark.parametrize(
    ("there", "here", "shown"),
    [
        ({"value": 0.91241}, {"value": 0.91243}, ("0.91241", "0.91243")),
        ({"value": 0.9, "low": 0.8004, "high": 1.0}, {"value": 0.9, "low": 0.8001, "high": 1.0}, None),
        ({"value": 1.0}, {"value": 0.99998}, ("1.0000", "0.99998")),
        ({"value": 0.5}, {"value": 0.5 + 1e-15}, ("0.5000", "0.5000")),
        ({"value": None}, {"value": 0.00002}, ("undefined", "2e-05")),
    ],
)
def test_two_metrics_that_differ_read_differently(there, here, shown):
    results = [moved(lambda it, entry=entry: it["metrics"]["metrics"].update(auc=entry)) for entry in (there, here)]
    [row] = [row for row in compare_results(*results, "metrics", 0.1) if row.name == "auc"]
    assert (row.there, row.here) == (shown or ("0.9000 (0.8004 to 1.000)", "0.9000 (0.8001 to 1.000)"))


def test_a_difference_just_beyond_the_tolerance_reads_as_larger():
    results = moved(lambda results: results["metrics"]["metrics"].update(auc={"value": 0.901003}))
    [row] = [row for row in compare_results(RESULTS, results, "metrics", 0.001) if row.name == "auc"]
    assert (row.same, row.note) == (False, "difference 0.001003, tolerance 0.001")


def test_a_difference_of_numbers_above_1_is_itself_and_is_judged_by_its_share():
    there, here = (
        moved(lambda it, value=value: it["metrics"]["metrics"].update(lr_positive={"value": value}))
        for value in (6.5, 6.53)
    )
    [row] = [row for row in compare_results(there, here, "metrics", 0.005) if row.name == "lr_positive"]
    assert (row.same, row.note) == (True, "difference 0.03, 0.0046 of the value, tolerance 0.005")


def test_inputs_explain_before_code_and_environment():
    found = [differ(), differ("code"), differ("input", name="seed")]
    assert [cause.name for cause in find_causes(found)] == ["seed"]
    assert [cause.kind for cause in find_causes(found[:2])] == ["code"]
    assert find_causes([differ("note")]) == []


# Tables


def test_tables_hold_what_any_name_can_hold():
    odd = 'a|b *c*\n<d> & "e"\x00'
    comparison = Reproduction(odd, "asked", [differ("input", name=odd)], [Row("metrics", odd, "1", "2", False, odd)])
    root = ET.fromstring(to_junit(comparison))
    assert root.find("testsuite").get("failures") == "1"  # the difference is of no part of the inputs
    table = [line for line in to_markdown(comparison).splitlines() if line.startswith("| metrics")]
    assert len(table) == 1
    assert table[0].replace("\\|", "").count("|") == 6
    assert "DIFFERENT" in "\n".join(screen.to_lines(to_lines(comparison)))
    broken = Reproduction("x", "asked", fault="no weights")
    assert ET.fromstring(to_junit(broken)).find("testsuite/testcase/error").get("message") == "no weights"
    assert "**no weights**" in to_markdown(broken)


# The commands


def run_command(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["tlmed", *map(str, words)])
    status = 0
    try:
        main()
    except SystemExit as stop:
        status = stop.code
    shown = capsys.readouterr()
    return status, shown.out, shown.err


@pytest.fixture
def handlers():
    """Put back what the command line does with signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_commands_end_with_the_status_that_fits(copy, job, monkeypatch, capsys):
    _, run = job
    status, out, err = run_command(monkeypatch, capsys, "reproduce", run.path, "--check")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].startswith("run: the same")
    here = ("--data", copy / "images", "--weights", copy / "cifarnet.weights.h5")
    change_pixel(copy, monkeypatch)
    status, out, err = run_command(monkeypatch, capsys, "reproduce", copy / "job.json", "--check", *here)
    assert status == 1
    assert err.startswith("Error: The locked result must come out again.")
    assert "normal (3).png" in err
    (copy / "job.json").write_text("{}")
    status, out, err = run_command(monkeypatch, capsys, "reproduce", copy / "job.json", "--check", *here)
    assert status == 2
    assert err.startswith("Error: A lock must be")
    assert run_command(monkeypatch, capsys, "reproduce", run.path, "--check", "--quick")[0] == 2
    status, out, err = run_command(monkeypatch, capsys, "compare", run.path, run.path, "--why")
    assert (status, out.splitlines()[0]) == (0, "The results are the same, bit for bit.")
    assert run_command(monkeypatch, capsys, "compare", run.path, "--why")[0] == 2


def test_a_hybrid_has_no_first_epochs(copy):
    def make_hybrid(lock):
        recipe = to_json(load_recipe("feature_extractor_hybrid"))
        lock["recipe"]["resolved"] = {**recipe, "backbone": "CifarNet"}

    forge(copy / "job.json", make_hybrid)
    with pytest.raises(InputError, match="a hybrid has none"):
        reproduce(Request(copy / "job.json", "quick", weights=(str(copy / "cifarnet.weights.h5"),)))


def nodes(content, place=()):
    """Yield the place of everything in some JSON, but for what is many times the same."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        if place[:2] == ("environment", "packages") or (isinstance(key, int) and key > 1):
            continue
        yield (*place, key)
        if isinstance(value, (dict, list)):
            yield from nodes(value, (*place, key))


ABSURD = (None, [], "x", {"a": 1}, 10**400, "\ud800", True)


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_forged_lock_is_refused_or_compared_and_never_breaks_anything(step, copy):
    whole = json.loads((copy / "job.json").read_text())
    whole.pop("sha256")
    places = list(nodes(whole))
    assert len(places) > 150
    refused = 0
    for number, place in list(enumerate(places))[::step]:
        content = json.loads(json.dumps(whole))
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = ABSURD[number % len(ABSURD)]
        (copy / "job.json").write_text(json.dumps({**content, "sha256": checksum(content)}))
        try:
            lock = read_lock(copy / "job.json")
        except InputError:
            refused += 1
            continue
        for difference in compare_inputs(lock.content, whole):
            str(difference).encode()
        for level in ("bits", "predictions", "metrics"):
            rows = compare_results(lock.content["results"], whole["results"], level, 0.1)
            to_junit(Reproduction("x", "", rows=rows)).encode()
    assert refused > 100 / step


def test_what_cannot_be_understood_is_named_by_its_place(copy):
    forge(copy / "job.json", lambda lock: lock["environment"]["processor"].update(features=5))
    with pytest.raises(InputError, match=r"where environment.processor.features is 5"):
        read_lock(copy / "job.json")


def test_an_image_that_was_left_out_must_be_unreadable_still(tmp_path):
    images = write_images(tmp_path / "images", 8)
    (images / "normal" / "bad.png").write_bytes(b"no image")
    recipe = override(load_recipe("feature_extractor"), [*SMALL, "phases.epochs=1"])
    run = tlmed.train(recipe, tmp_path / "run", images, skip_bad=True)
    assert reproduce(Request(run.path, "check")).faults == []
    Image.fromarray(draw(0, 99)).save(images / "normal" / "bad.png")
    [fault] = reproduce(Request(run.path, "check")).faults
    assert fault == "data: images left out as unreadable: 1 locked, 0 now (gone: normal/bad.png)"


def test_odd_file_names_are_the_same_twice(tmp_path):
    images = write_images(tmp_path / "images", 8)
    for i, name in enumerate(('comma, quote".png', "carriage\rret.png", "crlf\r\nx.png", "line\u2028sep\x85.png")):
        Image.fromarray(draw(0, 50 + i)).save(images / "normal" / name)
    recipe = override(load_recipe("feature_extractor"), [*SMALL, "phases.epochs=1"])
    run = tlmed.train(recipe, tmp_path / "run", images)
    assert reproduce(Request(run.path, "check")).differences == []
    (images / "normal" / "crlf\r\nx.png").unlink()
    [fault] = reproduce(Request(run.path, "check")).faults
    assert "'normal/crlf\\r\\nx.png'" in fault


def list_places(value, at=()):
    """Yield the places of all parts of JSON; of a list those of its first item."""
    yield at
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, item in items:
        yield from list_places(item, (*at, key))


def spoil(content, at, odd):
    """Return JSON with another value at a place; without any there for `...`."""
    if not at:
        return None if odd is ... else odd
    content = json.loads(json.dumps(content))
    part = content
    for key in at[:-1]:
        part = part[key]
    if odd is ...:
        del part[at[-1]]
    else:
        part[at[-1]] = odd
    return content


def list_faults(run, other):
    """Return for what reason a run is refused; nothing where it is explained why it differs."""
    try:
        return [] if explain(run, other) else ["nothing said"]
    except InputError as error:
        return error.faults


ODD = (..., None, [], {}, "x", -1, 10**30, float("nan"), True, "\ud83d", [None], {"a": None})


@pytest.mark.parametrize("name", ["recipe.json", "environment.json", "plan.json", "metrics.json", "timing.json"])
def test_why_two_runs_differ_is_said_or_one_is_refused_whatever_its_json_holds(name, job, tmp_path):
    run, content = RunDir(shutil.copytree(job[1].path, tmp_path / "run")), job[1].json(name)
    places = list(list_places(content))
    if name == "timing.json":  # which is read where nothing else explains a difference
        write_json(run / "metrics.json", {**run.json("metrics.json"), "split": "val"})
    refused = []
    for number in range(36):  # each odd value three times
        at = places[number * 7919 % len(places)]
        (run / name).write_text(json.dumps(spoil(content, at, ODD[number % len(ODD)])))
        refused += list_faults(run, job[1])
    assert refused
    assert not [fault for fault in refused if "\n" in fault]


@pytest.mark.parametrize("name", ["splits.csv", "history.csv", "predictions.csv"])
@pytest.mark.parametrize("what", ["column", "field", "fields", "header", "cut", "binary", "twice", "directory"])
def test_why_two_runs_differ_is_said_or_one_is_refused_whatever_its_tables_hold(name, what, job, tmp_path):
    run = RunDir(shutil.copytree(job[1].path, tmp_path / "run"))
    raw = (run / name).read_bytes()
    lines = raw.decode().splitlines()
    odd = {
        "column": [lines[0].replace("split", "x").replace("phase", "x"), *lines[1:]],
        "field": [lines[0], lines[1].replace(lines[1].split(",")[-1], "x\0"), *lines[2:]],
        "fields": [lines[0], f"{lines[1]},y", *lines[2:]],
        "header": lines[:1],
        "twice": [*lines, lines[-1]],
    }
    (run / name).unlink()
    if what == "directory":
        (run / name).mkdir()
    else:
        cut = raw[: len(raw) // 2] if what == "cut" else b"\xff\xfe\0" + raw
        (run / name).write_bytes("\n".join(odd[what]).encode() if what in odd else cut)
    assert not [fault for fault in list_faults(run, job[1]) if "\n" in fault]


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.keras", b"cut"), ("history.csv", b""), ("metrics.json", b"[]"), ("predictions.csv", b"\xff\xfe")],
)
def test_a_damaged_run_is_said_to_be_damaged(name, content, job, tmp_path):
    shutil.copytree(job[1].path, tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(content)
    if name == "history.csv":
        assert any("0 epochs now" in fault for fault in reproduce(Request(tmp_path / "run", "check")).faults)
        return
    with pytest.raises(InputError, match=r"must have all its files, readable|must be a CSV file in UTF-8"):
        reproduce(Request(tmp_path / "run", "check"))


def test_a_module_that_this_python_cannot_read_is_no_obstacle(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "latin.py").write_bytes(
        "# -*- coding: latin-1 -*-\nimport old_one\nNAME = 'Gr\xfcn'\n".encode("latin-1")
    )
    (tmp_path / "old_one.py").write_text("print 'hello'\n")
    (tmp_path / "mine.py").write_text("import latin\n")
    assert list(digest_modules(tmp_path / "mine.py")) == ["latin", "old_one"]


def test_modules_in_folders_without_an_init_are_found_too_and_installed_ones_are_not(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "ours" / "inner").mkdir(parents=True)
    (tmp_path / "ours" / "inner" / "sizes.py").write_text("import ours.more\n")
    (tmp_path / "ours" / "more.py").write_text("SIZE = 3\n")
    (tmp_path / "site-packages" / "theirs").mkdir(parents=True)
    (tmp_path / "site-packages" / "theirs" / "__init__.py").write_text("import ours.inner.sizes\n")
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    (tmp_path / "mine.py").write_text("from ours.inner import sizes\nimport theirs, google.protobuf.message\n")
    assert list(digest_modules(tmp_path / "mine.py")) == ["ours.inner.sizes", "ours.more"]


@pytest.mark.usefixtures("trained_before")
def test_a_tolerance_asks_for_metrics(job, tmp_path):
    comparison = reproduce(Request(job[1].path, tolerance=0.02, out=tmp_path / "again"))
    assert "compared by metrics: as asked for" in comparison.asked
    assert any("tolerance 0.02" in row.note for row in comparison.rows if row.part == "metrics")


def test_the_loser_of_a_directory_leaves_it_to_the_winner(job, tmp_path, monkeypatch):
    (tmp_path / "same").mkdir()
    mkdir = type(tmp_path).mkdir

    def lose(path, *args, **options):
        if path == tmp_path / "same" and not options:
            mkdir(path)
            (path / "theirs").touch()
        mkdir(path, *args, **options)

    monkeypatch.setattr(type(tmp_path), "mkdir", lose)
    with pytest.raises(InputError, match="must be a new or empty directory"):
        reproduce(Request(job[1].path, out=tmp_path / "same"))
    assert (tmp_path / "same" / "theirs").exists()


def test_reports_are_two_files(job, tmp_path):
    with pytest.raises(InputError, match="must be a file"):
        reproduce_and_report(Request(job[1].path, "check"), tmp_path, None)
    with pytest.raises(InputError, match="must be two files"):
        reproduce_and_report(Request(job[1].path, "check"), tmp_path / "x", tmp_path / "x")


def test_a_classifier_is_hashed_by_all_that_it_holds(tmp_path):
    features, labels = np.random.RandomState(0).rand(40, 3), np.arange(40) % 2
    for name, gamma in {"a": 0.5, "b": 0.5, "c": 0.25}.items():
        skops.io.dump(SVC(gamma=gamma).fit(features, labels), tmp_path / name)
    digests = [digest_classifier(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
