"""A finished run as a requirements file and as a model card, for readers elsewhere."""

import base64
import hashlib
import html
import io
import json
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.conftest import CLASSES, draw
from tests.data.test_data_images import LOSSLESS
from tlmed import inference, intensity
from tlmed.data.decode_and_resize import PixelRule, decode_resized
from tlmed.errors import CheckFailed, InputError, RunFailed
from tlmed.evaluation.balanced_training import BALANCED
from tlmed.export import index as index_of_pip
from tlmed.export import save, write_card, write_requirements
from tlmed.export.front_matter import to_yaml
from tlmed.export.plain_reading import read as read_alone
from tlmed.intensity import resolve
from tlmed.metrics import METRICS, evaluate
from tlmed.recipe import load_recipe, to_json
from tlmed.run_files import SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv, write_json
from tlmed.words import name_start

DIGEST = "sha256:" + "ab" * 32
# What environment.json says of the splits, and what is to be said of them.
SPLITS_MADE = [
    ({"split": "made", "made": ["train", "val", "test"]}, "all were made by tlmed."),
    ({"split": "made", "made": ["val"]}, "train and test were given with the data and tlmed drew val from train."),
    ({"split": "given", "made": []}, "all were given with the data."),
    ({"split": "given"}, "all were given with the data."),
    ({"split": "made"}, "tlmed drew val; an older version did not record whether train and test were given"),
]
PACKAGES = {"tlmed": "0.1.0", "keras": "3.15.1", "absl-py": "2.5.1"}
TEXTS = ["plain", 'a: "b"', "c|d", "e\nf: g", "yes", "1e-5", "---", "# h", "<script>x</script>", "``` `", "ünï 😀"]
TEXTS += ["\u2028\x85\x7f\ufeff", "back\\slash", "{a: [b]}", "'", "", " ", "&amp;", "*x*", "\ud83d", "~", "null"]


@pytest.fixture
def run(finished, tmp_path):
    """Give a copy of a finished run to change: without its network, and without the lock that would tell."""
    ignored = shutil.ignore_patterns("model.keras", "report.html", "progress", "lock.json")
    copy = RunDir(shutil.copytree(finished.path, tmp_path / "my run", ignore=ignored))
    change(copy, "environment", packages=PACKAGES, package_hashes={})
    return copy


def change(run, name, **fields):
    write_json(run / f"{name}.json", run.json(f"{name}.json") | fields)


def pins_of(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


# --- requirements


def test_requirements_are_exact_pins_and_tlmed_is_a_comment(run):
    change(run, "environment", git_commit="1234567+changes", platform="Linux-6")
    text = write_requirements(run)
    assert pins_of(text) == ["absl-py==2.5.1", "keras==3.15.1"]
    assert "# tlmed==0.1.0\n" in text
    assert "at commit 1234567; files were changed since" in text
    assert f"# Python {platform.python_version()} on Linux-6\n" in text
    assert text.endswith("\n")


def test_requirements_say_that_a_run_began_with_other_packages(run):
    assert "began with others" not in write_requirements(run)
    change(
        run, "environment", changed=["threads.intra_op: 2 before, 1 now", "versions.keras: 3.0.0 before, 3.15.1 now"]
    )
    said = (
        "# The run was stopped and went on with these packages; it began with others: versions.keras: 3.0.0 before, 3."
    )
    assert said in write_requirements(run)
    assert "threads" not in write_requirements(run)


@pytest.mark.parametrize(("commit", "words"), [(None, "commit is not known"), ("1234567", "at commit 1234567\n")])
def test_requirements_say_which_commit_of_tlmed_it_was(run, commit, words):
    change(run, "environment", git_commit=commit)
    assert words in write_requirements(run)


@pytest.mark.parametrize(
    ("hashes", "lines"),
    [
        ({}, ["absl-py==2.5.1", "keras==3.15.1"]),
        # One `--hash` would make pip ask for all of them.
        ({"keras": DIGEST, "tlmed": DIGEST}, ["absl-py==2.5.1", f"keras==3.15.1  # {DIGEST}"]),
        (
            {"keras": DIGEST, "absl-py": DIGEST},
            [f"absl-py==2.5.1 --hash={DIGEST}", f"keras==3.15.1 --hash={DIGEST}"],
        ),
    ],
)
def test_hashes_are_checked_if_all_are_known_and_comments_otherwise(run, hashes, lines):
    change(run, "environment", package_hashes=hashes)
    text = write_requirements(run)
    assert pins_of(text) == lines
    said = {0: "No SHA-256 of a file is known", 1: "SHA-256 of 1 of 2 files is known", 2: "checks the SHA-256 of every"}
    assert said[len(hashes.keys() - {"tlmed"})] in text


@pytest.mark.parametrize(
    "fields",
    [
        {"packages": {"keras\n--index-url=http://x": "1"}},
        {"packages": {"keras": "1 --index-url=http://x"}},
        {"packages": {"-r": "1"}},
        {"packages": {"keras": None}},
        {"package_hashes": {"keras": "sha256:12\n-e ."}},
    ],
)
def test_what_pip_would_take_for_an_option_is_refused(run, fields):
    change(run, "environment", **fields)
    with pytest.raises(InputError, match="names, versions and SHA-256"):
        write_requirements(run)


def test_the_head_stays_a_comment_whatever_the_run_says(run):
    change(run, "environment", platform="Linux\r\n--index-url=http://x\u2028-e .", git_commit="1\n-e .")
    assert pins_of(write_requirements(run)) == ["absl-py==2.5.1", "keras==3.15.1"]


def test_a_run_that_did_not_record_its_packages_is_refused(run):
    content = run.json("environment.json")
    del content["packages"]
    write_json(run / "environment.json", content)
    with pytest.raises(InputError, match="train it again"):
        write_requirements(run)


def test_a_damaged_file_is_named(run):
    (run / "environment.json").write_text("{")
    with pytest.raises(InputError, match=r"environment\.json"):
        write_requirements(run)


# --- hashes from an index


def make_wheel(folder, name, version):
    """Write a wheel with nothing in it, and return its SHA-256."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: nowhere\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: hashlib.sha256(text.encode()).digest() for path, text in files.items()}
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}," for path, digest in digests.items()
    ]
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": "\n".join([*record, f"{info}/RECORD,,\n"])}.items():
            archive.writestr(file, text)
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """Give a folder of two wheels that is all that pip knows of, and their SHA-256."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    found = {"keras": make_wheel(folder, "keras", "3.15.1"), "absl-py": make_wheel(folder, "absl_py", "2.5.1")}
    settings = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
    for name, value in {**settings, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}.items():
        monkeypatch.setenv(name, value)
    return found


def test_pip_gives_the_hashes_and_takes_the_file(run, wheels, tmp_path):
    change(run, "environment", package_hashes={"keras": wheels["keras"]})
    text = write_requirements(run, hashes=True)
    assert pins_of(text) == [f"absl-py==2.5.1 --hash={wheels['absl-py']}", f"keras==3.15.1 --hash={wheels['keras']}"]
    save(tmp_path / "requirements.txt", text, "requirements")
    command = [*index_of_pip.PIP, "install", "--dry-run", "--require-hashes", "--no-deps", "--ignore-installed", "-r"]
    done = subprocess.run([*command, tmp_path / "requirements.txt"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Would install absl-py-2.5.1 keras-3.15.1" in done.stdout.replace("absl_py", "absl-py")


def test_a_version_that_the_index_lacks_is_named(run, wheels):
    change(run, "environment", packages=PACKAGES | {"keras": "9.9"})
    with pytest.raises(
        InputError, match=r"every version of the run\. Received: keras==9\.9, which the index does not have\.$"
    ):
        write_requirements(run, hashes=True)


@pytest.mark.parametrize(
    "words", ["ERROR: Could not find it: requirement keras==1 (from versions: none)\nERROR: No", "oh\n", ""]
)
def test_whatever_else_pip_says_is_one_line(run, monkeypatch, words):
    report = SimpleNamespace(returncode=1, stdout="", stderr=f"WARNING: ignored\n{words}")
    monkeypatch.setattr(index_of_pip.subprocess, "run", lambda *args, **options: report)
    with pytest.raises(RunFailed, match=r"an index that pip can reach.* pip says: .+$") as caught:
        write_requirements(run, hashes=True)
    assert "\n" not in str(caught.value)


@pytest.mark.slow  # a second, for the start of pip
def test_an_index_that_cannot_be_reached_is_said(run, wheels, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(RunFailed, match="an index that pip can reach") as caught:
        write_requirements(run, hashes=True)
    assert "\n" not in str(caught.value)


def test_without_pip_it_is_said_how_to_have_it(run, monkeypatch):
    monkeypatch.setattr(index_of_pip, "PIP", (sys.executable, "-S", "-P", "-m", "pip"))
    with pytest.raises(RunFailed, match="needs pip"):
        write_requirements(run, hashes=True)


def test_a_file_other_than_the_one_that_was_installed_is_an_error(run, monkeypatch):
    change(run, "environment", package_hashes={"keras": DIGEST})
    hashes = {"absl_py": "cd" * 32, "Keras": "ef" * 32}
    entries = [
        {"metadata": {"name": name}, "download_info": {"archive_info": {"hashes": {"sha256": digest}}}}
        for name, digest in hashes.items()
    ]
    report = SimpleNamespace(returncode=0, stdout=json.dumps({"install": entries}), stderr="")
    monkeypatch.setattr(index_of_pip.subprocess, "run", lambda *args, **options: report)
    with pytest.raises(CheckFailed, match=f"keras==3.15.1 with sha256:{'ef' * 32}, not {DIGEST}"):
        write_requirements(run, hashes=True)


@pytest.mark.parametrize("fields", [{"python": "3.1.4"}, {"system": "Plan9 vax"}])
def test_hashes_are_asked_for_only_where_the_files_are_the_runs(run, fields):
    change(run, "environment", **fields)
    with pytest.raises(InputError, match="Python and on the system of the run"):
        write_requirements(run, hashes=True)


# --- the model card


@pytest.fixture
def read():
    """Give a function that writes a run's card and reads it as the Hub's own library does."""
    hub = pytest.importorskip("huggingface_hub", reason="huggingface-hub is not installed: pip install '.[test]'")

    def read(run):
        text = write_card(run)
        card = hub.ModelCard(text)
        assert card.text.strip() == text.split("\n---\n", 1)[1].strip()
        return card

    return read


def write_splits(run, rows):
    """Write `splits.csv`; `rows` have path, label, group and split."""
    SPLITS_CSV.write(
        run, [dict(zip(SPLITS_CSV.columns, (*row, f"{i:064x}"), strict=True)) for i, row in enumerate(rows)]
    )


def score(classes, labels, predictions=None, groups=None):
    """Return the content of metrics.json for some labels."""
    labels = np.array(labels)
    predictions = labels if predictions is None else np.array(predictions)
    result = evaluate(labels, np.eye(len(classes))[predictions], predictions, classes, groups=groups, draws=20)
    return {**result, "threshold": 0.5 if result["positive"] else None}


@pytest.mark.parametrize(("classes", "times"), [(("ill", "well"), 0), (("a", "b", "c"), 1)])
def test_the_quadratic_kappa_of_two_classes_is_not_told_twice(run, read, classes, times):
    labels = np.arange(12) % len(classes)
    write_json(run / "metrics.json", run.json("metrics.json") | score(classes, labels))
    card = read(run)
    assert card.text.count("Quadratic kappa |") == times
    assert sum(result.metric_type == "quadratic_kappa" for result in card.data.eval_results) == times


def test_the_hubs_library_writes_the_front_matter_that_the_card_has(run, tmp_path):
    hub = pytest.importorskip("huggingface_hub", reason="huggingface-hub is not installed: pip install '.[test]'")
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with huggingface-hub: pip install '.[test]'")
    text = write_card(run)
    (tmp_path / "README.md").write_text(text)
    card = hub.ModelCard.load(tmp_path / "README.md", ignore_metadata_errors=False)
    ours = yaml.safe_load(text.split("---\n")[1])
    (model,) = ours.pop("model-index")
    (result,) = model["results"]
    assert yaml.safe_load(hub.ModelCardData(**ours).to_yaml()) == ours
    # Each result is made again from its parts, as by someone who uses the library alone.
    made = [
        hub.EvalResult(
            **{f"{part}_{name}": value for part in ("task", "dataset") for name, value in result[part].items()},
            **{f"metric_{name}": value for name, value in metric.items()},
        )
        for metric in result["metrics"]
    ]
    assert card.data.eval_results == made
    again = hub.ModelCardData(**ours, model_name=model["name"], eval_results=made)
    assert yaml.safe_load(again.to_yaml()) == yaml.safe_load(card.data.to_yaml()) == {**ours, "model-index": [model]}


def test_the_hub_reads_what_the_card_says_to_programs(run, read):
    card = read(run)
    metrics = run.json("metrics.json")["metrics"]
    assert card.data.license is None  # random weights have none
    assert (card.data.library_name, card.data.pipeline_tag) == ("keras", "image-classification")
    assert card.data.tags == ["medical-imaging", "transfer-learning", "tlmed", "CifarNet"]
    assert card.data.metrics == ["accuracy", "roc_auc", "recall", "f1"]
    assert card.data.datasets is None
    assert card.data.model_name == "my run"
    results = card.data.eval_results
    assert [result.metric_value for result in results] == [metrics[name]["value"] for name in METRICS]
    assert {(r.task_type, r.dataset_name, r.dataset_type, r.dataset_split) for r in results} == {
        ("image-classification", "images", "custom", "test")
    }
    types = ["accuracy", "roc_auc", "recall", "specificity", "ppv", "npv", "balanced_accuracy", "f1"]
    types += ["matthews_correlation", "kappa", "quadratic_kappa", "average_precision", "log_loss", "brier", "ece"]
    assert [result.metric_type for result in results] == types
    names = [result.metric_name.partition(" (")[0] for result in results]  # after it stand notes
    averaged = {name for name in names if "mean over the classes" in name}
    means = ["AUC", "Sensitivity", "Specificity", "PPV", "NPV", "F1", "Average precision"]
    assert averaged == {f"{name}, mean over the classes" for name in means}
    assert "AUC, Sensitivity, Specificity, PPV, NPV, F1 and Average precision are means over the classes" in card.text


def test_the_card_tells_of_images_that_training_knows(run, read):
    metrics = run.json("metrics.json")
    undefined = {"value": None, "low": None, "high": None, "method": None, "reason": "One class only."}
    few = "It rests on 1 group of class 'ill'."
    left = {"auc": {**metrics["metrics"]["auc"], "value": 0.4321, "note": few}, "sensitivity": undefined}
    found = {"leaked": 3, "n": 6, "metrics": left}
    write_json(run / "metrics.json", metrics | {"without_leaks": found})
    card = read(run)
    assert "**3 of 9 test images are in training or validation too" in card.text
    assert "Without them 6 images are left; the metadata of this card has their scores." in card.text
    assert "| AUC | 0.432 |" in card.text
    assert f"AUC: {few}" in card.text
    assert card.data.eval_results[0].metric_name == f"AUC, mean over the classes ({few})"
    # Whoever reads the metadata alone takes each value as a result: those of known images are not there.
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("roc_auc", 0.4321)
    assert result.dataset_name == "images, without 3 of 9 test images that the network knows"
    assert card.data.metrics == ["roc_auc"]
    pooled = {"unit": "file", "pool": "mean", "undecided": 2}
    write_json(run / "metrics.json", metrics | {"without_leaks": found} | pooled)
    card, more = read(run), "(of 2 more this cannot be told)"
    (result,) = card.data.eval_results[:1]
    assert result.dataset_name == f"images, without 3 of 9 test files that the network knows {more}"
    assert "**At least 3 of 9 test files are in training" in card.text
    assert f"has images there** {more}: the scores above" in card.text
    write_json(run / "metrics.json", metrics | pooled)
    card = read(run)
    said = "images; whether the network knows 2 of 9, or their patients, cannot be told"
    assert {result.dataset_name for result in card.data.eval_results} == {said}
    assert "**Whether training or validation knows 2 of 9 test files, or their patients, cannot be told.**" in card.text
    for nothing in ({"leaked": 9, "n": 0, "metrics": {}}, {"leaked": 8, "n": 1, "metrics": {"auc": undefined}}):
        write_json(run / "metrics.json", metrics | {"without_leaks": nothing})
        card = read(run)
        left = "1 image is" if nothing["n"] == 1 else "0 images are"
        assert f"Without them {left} left; the metadata of this card has no scores." in card.text
        assert (card.data.eval_results, card.data.metrics) == (None, None)


def test_the_card_tells_which_errors_the_check_of_the_data_found(run, read):
    paths = {row["split"]: row["path"] for row in SPLITS_CSV.read(run)}
    found = {"kind": "near-copy", "level": "error", "files": [paths["train"], paths["test"]], "text": "One picture."}
    assert "The check of the data" not in read(run).text
    write_json(run / "check.json", {"findings": [found, {**found, "level": "warning"}]})
    card = read(run)
    said = "found 1 error (near-copy 1): 1 of 9 test images repeats an image of train. Scores without it were not"
    assert card.text.count(f"**The check of the data {said} computed.") == 1
    assert "Check of the data: 1 error (near-copy 1) and 1 warning (near-copy 1)" in card.text
    assert not any(path in card.text for path in paths.values())


def test_the_card_tells_what_earlier_runs_learned_from_and_where_that_is_not_known(run, finished, tmp_path):
    weights = run.json("environment.json")["weights"]
    before = shutil.copytree(finished.path, tmp_path / "before")
    change(run, "environment", weights={**weights, "name": f"run:{before}"})
    learned = write_card(run).partition("## What it learned from")[2].partition("\n## ")[0]
    counts = [sum(row["split"] == split for row in SPLITS_CSV.read(RunDir(before))) for split in ("train", "val")]
    name = Path(RunDir(before).json("recipe.json")["data"]["source"]).name
    said = "The run `before`, which gave weights, learned before that from images of `{}`: {} in train, {} in val."
    start = name_start(RunDir(before).json("environment.json")["weights"]["name"])
    assert f"{said.format(name, *counts)} It began with `{start}`." in learned
    unknown = "On which images its first weights were trained is not fully known."
    assert unknown not in learned
    assert str(tmp_path) not in learned
    for name in ("run:/gone", "file:/gone.h5"):
        change(run, "environment", weights={**weights, "name": name})
        assert unknown in write_card(run)


def test_the_card_has_the_title_of_the_run(run, read):
    write_json(run / "recipe.json", {**run.json("recipe.json"), "name": "Ward *7*"})
    card = read(run)
    assert card.data.model_name == "Ward *7*"
    assert r"# Ward \*7\*" in card.text


def test_the_card_tells_scores_with_intervals_methods_and_baselines(run, read):
    text, content = read(run).text, run.json("metrics.json")
    for name, entry in {"Accuracy": content["metrics"]["accuracy"], "AUC": content["metrics"]["auc"]}.items():
        assert f"| {name} | {entry['value']:.3f} | {entry['low']:.3f} to {entry['high']:.3f} |" in text
    assert "Accuracy: Wilson score" in text
    assert " images on Fisher's scale (Fisher 1921)" in text
    for baseline in content["baselines"].values():
        assert f"| {baseline['description']} | {baseline['auc']['value']:.3f} |" in text
    for label, entry in content["per_class"].items():
        assert f"| {label} | {entry['n']} | {entry['sensitivity']['value']:.3f}" in text
    assert "**This is not a medical device.**" in text
    assert "synthetic" not in text


def test_the_card_tells_what_was_trained_how_and_where(run, read):
    text, environment = read(run).text, run.json("environment.json")
    assert "Backbone: CifarNet, from random weights." in text
    for phase in run.json("plan.json")["phases"]:
        assert re.search(rf"\| {phase['name']}( \(kept\))? \| {phase['thaw']} \| {phase['epochs']} \|", text)
    assert text.count("(kept)") == 1
    assert f"Seed: {environment['seed']}." in text
    assert f"keras {environment['versions']['keras']}," in text
    assert "tlmed reproduce RUN" in text
    assert "while the run was stopped" not in text
    change(run, "environment", changed=["threads.intra_op: 2 before, 1 now"])
    assert "- Changed while the run was stopped: threads.intra\\_op: 2 before, 1 now." in read(run).text


def test_the_card_tells_how_training_was_set(run, read):
    text = read(run).text.replace("\\", "")
    always = {
        "data.batch_size": "16",
        "augment": "none",
        "class_weight": "none",
        "sampling": "none",
        "monitor": "val_auc",
        "keep": "best",
        "precision": "float32",
        "cache_dtype": "float32",
        "engine": "auto",
        "engine_precision": "float32",
        "deterministic": "yes",
        "head.loss": "cross-entropy",
        "phases.optimizer": "adam",
    }
    for name, value in always.items():
        assert f"| {name} | {value} |" in text
    assert "| phases.start |" not in text
    assert BALANCED not in text
    plan = run.json("plan.json")
    plan["phases"][0] |= {"optimizer": "sgd", "cache": {"on": True}}
    plan["phases"][1] |= {"cache": {"on": False}, "block_decay": 0.5}
    write_json(run / "plan.json", plan)
    augment = {"flip": "horizontal", "rotation": 0.1}
    change(run, "recipe", augment=augment, class_weight="balanced", precision="bfloat16", steps_per_execution=2)
    change(run, "recipe", head={**run.json("recipe.json")["head"], "loss": "focal", "gamma": 1.5})
    text = read(run).text.replace("\\", "")
    assert BALANCED in text
    names = [phase["name"] for phase in plan["phases"]]
    for row in (
        "augment | flip=horizontal, rotation=0.1",
        "class_weight | balanced",
        "head.loss | focal, gamma 1.5",
        "precision | bfloat16",
        "steps_per_execution | 2",
        f"cache | auto (kept in {names[0]})",
        f"phases.optimizer | {names[0]}: sgd, {names[1]}: adam",
        f"phases.block_decay | {names[0]}: 1.0, {names[1]}: 0.5",
    ):
        assert f"| {row} |" in text


def test_the_card_counts_images_and_groups_by_split(run, read):
    rows = [("a/1.png", "benign", "anna", "train"), ("a/2.png", "benign", "anna", "train")]
    rows += [
        ("a/3.png", "malignant", "berta", "train"),
        ("b/1.png", "normal", "", "val"),
        ("b/2.png", "normal", "cora", "test"),
    ]
    write_splits(run, rows)
    text = read(run).text
    assert "| benign | 2 | 0 | 0 |\n| malignant | 1 | 0 | 0 |\n| normal | 0 | 1 | 1 |\n| all | 3 | 1 | 1 |" in text
    assert "Groups (patients): 2 in train, 0 in val, 1 in test." in text
    assert not re.search("anna|berta|cora|png", text.split("## How to use")[0])


def test_the_card_does_not_call_studies_patients(run, read):
    write_splits(run, [("a/1", "benign", "study-0001", "train"), ("a/2", "malignant", "unknown-0001", "test")])
    change(run, "environment", data=run.json("environment.json")["data"] | {"pseudonyms": True})
    said = "Groups (studies; no patient is named, and one may have several studies in several splits): 1 in train, 0 in"
    assert said in read(run).text
    write_splits(run, [("a/1", "benign", "study-0001", "train"), ("a/2", "malignant", "patient-0002", "test")])
    assert "Groups (patients): 1 in train" in read(run).text


def test_without_groups_the_card_warns(run, read):
    assert all(row["group"] == "" for row in read_csv(run / "splits.csv"))
    assert "no column that names them was found, so images of one patient may be in several splits" in read(run).text
    recipe = run.json("recipe.json")
    change(run, "recipe", data=recipe["data"] | {"groups": False})
    text = read(run).text
    assert "switched off in the recipe, so images of one patient may be in several splits" in text
    assert "names none" not in text


def test_no_path_of_the_machine_is_in_the_card(run, read):
    source = {"name": "file:/home/secret/w.h5", "path": "/home/secret/w.h5", "sha256": "1" * 64, "licence": None}
    recipe, environment = run.json("recipe.json"), run.json("environment.json")
    left_out = [{"path": "/home/secret/x.png", "reason": "/home/secret/x.png is cut short"}]
    data = {**environment["data"], "source": "/home/secret/busi", "left_out": left_out}
    masks = "Left out, as masks of other images: 2 files ('/home/secret/1.png', '/home/secret/2.png')."
    change(run, "environment", weights=source, data=data, warnings=["/home/secret/y.png is twice there", masks])
    change(run, "recipe", weights="/home/secret/w.h5", data={**recipe["data"], "source": "/home/secret/busi"})
    change(run, "plan", weights="file:/home/secret/w.h5")
    card = read(run)
    assert "secret" not in card.content
    assert "Source: `busi`." in card.text
    assert f"weights `file:w.h5`, which state no licence, SHA-256 `{'1' * 64}`" in card.text
    assert "Left out: 1 image as unreadable; 2 files as masks of other images." in card.text
    assert "listed in it: 2." in card.text


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["MIT"], "mit"),
        (["MIT", "MIT"], "mit"),
        (["MIT", "Apache-2.0"], None),
        (["Apache-2.0; trained on data under CC BY 4.0"], "apache-2.0"),
        (["my own"], None),
        ([None], None),
    ],
)
def test_the_licence_is_that_of_all_weights_if_the_hub_has_it(run, read, licences, expected):
    sources = [{"name": "imagenet/x", "path": None, "sha256": None, "licence": licence} for licence in licences]
    backbones = ["MobileNet"] * len(licences)
    change(run, "environment", weights=sources if len(sources) > 1 else sources[0])
    change(run, "recipe", backbone=backbones if len(backbones) > 1 else backbones[0])
    card = read(run)
    assert card.data.license == expected
    assert all(f"licence: {licence}" in card.text for licence in licences if licence)


@pytest.mark.parametrize(
    ("licence", "words"), [("CC BY 4.0", "images: CC BY 4.0."), (None, "not stated by the source.")]
)
def test_the_licence_of_the_images_is_told_where_it_is_known(run, read, licence, words):
    change(run, "environment", data={**run.json("environment.json")["data"], "licence": licence})
    assert words in read(run).text


@pytest.mark.parametrize(("data", "said"), SPLITS_MADE)
def test_the_card_says_who_made_the_splits(run, read, data, said):
    known = {name: value for name, value in run.json("environment.json")["data"].items() if name != "made"}
    change(run, "environment", data=known | data)
    assert f"- Splits: {said}" in read(run).text


def test_runs_of_before_say_no_licence(run, read):
    data = run.json("environment.json")["data"]
    data.pop("licence", None)
    change(run, "environment", data=data)
    assert "not stated by the source." in read(run).text


def test_phantoms_are_said_to_be_synthetic(run, read):
    change(run, "recipe", data={**run.json("recipe.json")["data"], "source": "tfds:tlmed_phantoms/images=60,size=64"})
    card = read(run)
    assert "**All images are synthetic**" in card.text
    assert "synthetic-images" in card.data.tags
    assert card.data.eval_results[0].dataset_name == "tlmed_phantoms/images=60,size=64 (synthetic)"


def test_what_the_recipe_states_of_the_images_is_in_the_card_and_its_tags(run, read):
    stated = {"modality": "x-ray", "body_part": "chest", "subject": "patient"}
    change(run, "recipe", data={**run.json("recipe.json")["data"], **stated})
    card = read(run)
    assert card.data.tags[-2:] == ["x-ray", "chest"]
    assert "| data.body\\_part | chest |" in card.text
    assert "| data.subject | patient |" in card.text


def test_two_classes_have_a_positive_one(run, read):
    write_json(run / "metrics.json", score(["benign", "malignant"], [0, 0, 1, 1], [0, 1, 1, 1]))
    card = read(run)
    assert (
        "The positive class is malignant, the second in sorted order. It is predicted from a probability of 0.500 on."
        in card.text
    )
    names = [result.metric_name.partition(" (")[0] for result in card.data.eval_results]
    assert names[1:3] == ["AUC", "Sensitivity"]
    assert "Compared with no transfer learning" not in card.text  # there are no baselines


def test_a_card_compares_with_baselines_by_what_decides_first(run, read):
    metrics = score(["benign", "malignant"], [0, 0, 1, 1], [0, 1, 1, 1])
    entry = {"value": 0.25, "low": None, "high": None, "method": None}
    metrics["metrics"]["expected_cost"] = {**entry, "value": 0.125}
    both = {"expected_cost": entry, "auc": entry}
    metrics["baselines"] = {"majority_class": {"description": "Always 'benign'.", **both}}
    write_json(run / "metrics.json", metrics)
    table = read(run).text.partition("Compared with no transfer learning:")[2].partition("\n#")[0]
    assert table.index("Expected cost") < table.index("AUC")
    assert "| this model | 0.125 |" in table


def test_a_result_that_beats_no_baseline_is_called_so_beside_the_comparison(run, read):
    metrics = score(["benign", "malignant"], [0, 0, 1, 1], [0, 1, 1, 1])
    known = {"value": None, "low": None, "high": None, "method": None}

    def compare(auc, majority, left=None):
        metrics["metrics"]["auc"] = known | {"value": auc}
        metrics["baselines"] = {
            "majority_class": {"description": "Always 'benign'.", "auc": known | {"value": majority}}
        }
        found = {"leaked": 2, "n": 2, "metrics": {"auc": known | {"value": left}}}
        write_json(run / "metrics.json", metrics | ({"without_leaks": found} if left else {}))
        return read(run).text.partition("Compared with no transfer learning:")[2].partition("\n#")[0]

    assert "0.735" in compare(0.735, 0.5)
    assert "does not beat" not in compare(0.735, 0.5)
    said = "**The baseline majority class has a higher AUC, 0.500: the result does not beat it.**"
    assert said in compare(0.45, 0.5)
    assert "the AUC is 0.342, below the 0.500 of the baseline majority class: the result does not beat a " in compare(
        0.735, 0.5, left=0.342
    )


def test_scores_that_rank_the_classes_the_wrong_way_round_are_called_so(run, read):
    metrics = score(["benign", "malignant"], [0, 0, 1, 1], [0, 1, 1, 1])
    assert "the wrong way round" not in read(run).text
    metrics["metrics"]["auc"] = {"value": 0.2, "low": 0.1, "high": 0.3, "method": "m"}
    write_json(run / "metrics.json", metrics)
    assert "**The whole interval of the AUC lies below 0.5" in read(run).text


def test_a_short_training_did_not_take_0_seconds(run, read):
    write_json(run / "timing.json", {**run.json("timing.json"), "training_seconds": 0.3})
    assert "Training took 0.3 s." in read(run).text


def test_an_undefined_metric_is_told_in_the_text_alone(run, read):
    write_json(run / "metrics.json", score(["benign", "malignant"], [0, 0]))
    card = read(run)
    assert "auc" not in card.data.to_dict()["metrics"]
    assert {result.metric_type for result in card.data.eval_results} == {
        *("accuracy", "specificity", "log_loss", "brier", "ece")
    }
    assert "| AUC | undefined: No image is of class 'malignant'. |  |" in card.text


def test_a_card_without_any_defined_metric_has_no_results(run, read):
    metrics = score(["benign", "malignant"], [0, 1])
    nothing = {"value": None, "low": None, "high": None, "method": None, "reason": "none"}
    write_json(run / "metrics.json", metrics | {"metrics": dict.fromkeys(metrics["metrics"], nothing)})
    assert read(run).data.eval_results is None


def test_a_note_of_an_interval_is_told(run, read):
    write_json(run / "metrics.json", score(["benign", "malignant"], [0, 0, 1, 1], groups=["a", "a", "b", "b"]))
    text = read(run).text
    assert "4 images of 2 groups" in text
    assert "Only 2 groups: one alone is 50 % of all, so treat every score as rough." in text
    assert "from which no interval follows" in text


def test_a_card_says_that_one_group_decides_much(run, read):
    groups = ["a"] * 20 + [str(i) for i in range(40)]
    write_json(run / "metrics.json", score(["benign", "malignant"], [0, 1] * 30, groups=groups))
    assert "The largest group holds 20 of 60 images: every score, which counts images, depends" in read(run).text


def test_the_card_tells_threshold_calibration_and_prevalence(run, read):
    truth, guesses = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0]
    metrics = score(["benign", "malignant"], truth, guesses)
    parts = metrics["metrics"]
    metrics["threshold"], metrics["operating_point"] = 0.31234, {"rule": "sensitivity>=0.9", "n": 1200}
    after = {name: {**parts[name], "value": 0.125} for name in ("log_loss", "brier", "ece")}
    few = "It rests on few validation images (4 of 'benign'): others would give another value."
    metrics["operating_point"]["note"] = few
    fitted = {"method": "temperature scaling", "temperature": 1.5, "split": "val", "n": 1200, "note": few}
    metrics["calibration"] = fitted | {"metrics": after}
    metrics["at_prevalence"] = {"prevalence": 0.02, "ppv": {**parts["ppv"], "value": 0.04}, "npv": parts["npv"]}
    write_json(run / "metrics.json", metrics)
    text = read(run).text
    assert "predicted from a probability of 0.312 on (sensitivity>=0.9 on 1,200 validation images)" in text
    assert "temperature scaling, temperature 1.500, fitted on 1,200 images of the split `val`" in text
    assert text.count(few) == 2
    assert f"| {parts['brier']['value']:.3f} " in text
    assert "| 0.125 " in text
    assert "At a prevalence of 0.02:" in text
    assert "| PPV | 0.040 " in text


def test_the_card_shows_numbers_near_0_and_1_with_the_digits_that_they_need(run, read):
    metrics = score(["benign", "malignant"], [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0])
    metrics["threshold"] = 0.99996
    metrics["metrics"]["npv"] |= {"value": 0.99972, "low": 0.00023, "high": 1.0}
    write_json(run / "metrics.json", metrics)
    text = read(run).text
    assert "from a probability of 0.99996 on" in text
    assert re.search(r"NPV +\| +0\.99972 +\| 0\.00023 to 1\.000", text)


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (None, "Its probabilities were not calibrated."),
        ((-0.1, -0.1, 0.0), "1.500 (see below) improved Log loss and Brier score on the split `test`."),
        ((0.1, 0.0, 0.1), "1.500 (see below) made Log loss and Expected calibration error worse on the split `test`."),
        (
            (-0.1, 0.1, 0.0),
            "1.500 (see below) made Brier score worse on the split `test`, though it improved Log loss.",
        ),
        ((0.0, 0.0, 0.0002), "1.500 (see below) changed no score on the split `test`."),
    ],
)
def test_the_card_says_what_calibration_did_to_the_scores(run, read, moved, said):
    metrics = score(["benign", "malignant"], [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0])
    if moved:
        parts = {name: {**metrics["metrics"][name], "value": 0.4} for name in ("log_loss", "brier", "ece")}
        metrics["metrics"] |= parts
        after = {name: {**part, "value": 0.4 + by} for (name, part), by in zip(parts.items(), moved, strict=True)}
        fitted = {"method": "temperature scaling", "temperature": 1.5, "split": "val", "n": 12, "metrics": after}
        metrics["calibration"] = fitted
    write_json(run / "metrics.json", metrics)
    text = read(run).text
    assert said in text
    assert "the temperature below does that" not in text


@pytest.mark.parametrize("damage", [{"classes": 3}, {"metrics": []}, {"per_class": None}, {"threshold": "abc"}])
def test_a_damaged_run_has_no_card(run, damage):
    write_json(run / "metrics.json", {**score(["benign", "malignant"], [0, 0, 1, 1]), **damage})
    with pytest.raises(InputError, match=r"`metrics\.json` of a run must be as `tlmed train` writes it"):
        write_card(run)


def test_a_hybrid_has_its_classifier_told(run, read):
    classifier = {"name": "SVC", "parameters": {"C": 10, "gamma": "scale"}, "folds": 5, "features": 1280}
    metrics = {name: value for name, value in run.json("metrics.json").items() if name != "kept"}
    write_json(run / "metrics.json", {**metrics, "classifier": {**classifier, "cv_score": 0.9, "scoring": "macro_auc"}})
    change(run, "plan", phases=[], classifier={"grid": {"C": [1, 10]}})
    head = to_json(load_recipe("feature_extractor_hybrid"))["head"] | {"pca": 50, "grid": {"C": [1, 10]}}
    change(run, "recipe", head=head, phases=[], class_weight="balanced")
    card = read(run)
    assert (
        "Classifier: SVC of scikit-learn on 1,280 features of the frozen backbone, with `C=10, gamma=scale`"
        in card.text
    )
    assert "scikit-learn" in card.data.tags
    assert "Its own probabilities are calibrated inside the training split; a temperature of " in card.text
    chosen = "| monitor | val_auc (here macro_auc in 5 folds of the training images) |"
    assert chosen in card.text.replace("\\", "")
    assert "not calibrated" not in card.text
    assert "`classifier.skops`, read by `tlmed predict RUN IMAGES`" in card.text
    assert "| Phase |" not in card.text
    text = html.unescape(card.text.replace("\\", ""))
    assert re.search(
        r"`StandardScaler\(\)`, then `PCA\(n_components=50, random_state=\d+\)`, then `OneVsRestClassifier\("
        r"estimator=SVC\(C=10, class_weight='balanced', random_state=\d+\)\)`, then a sigmoid \(one",
        text,
    )
    for row in (
        "head.scale | yes",
        "head.pca | 50",
        "head.grid | C: 1, 10",
        "class_weight | balanced",
        "augment | none",
    ):
        assert f"| {row} |" in text
    assert "optimizer" not in text.split("## What it is for")[0]


def test_several_backbones_and_one_of_keras_hub_are_told(run, read):
    sources = [{"name": name, "path": None, "sha256": "2" * 64, "licence": None} for name in ("imagenet/keras", "own")]
    change(run, "environment", weights=sources)
    change(run, "recipe", backbone=["VGG16", "hub:/home/secret/vit"])
    card = read(run)
    assert "VGG16 and hub:vit as a classifier" in card.text
    assert card.data.tags[3:5] == ["VGG16", "hub:vit"]
    assert "import keras_hub" in card.text
    assert "secret" not in card.content


def test_any_text_survives_in_the_front_matter():
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with huggingface-hub: pip install '.[test]'")
    content = {"texts": TEXTS, "nested": [{"name": text, "list": [{"value": 1e-05}]} for text in TEXTS]}
    content |= {"numbers": [0.5, 1, 0.0, 1e-05, 1.5e-07, 1e22, 2.5e16]}
    assert yaml.safe_load(to_yaml(content)) == content


def test_any_names_of_classes_and_runs_make_a_card(run, read, tmp_path):
    names = [text for text in TEXTS if text.strip()]
    write_json(run / "metrics.json", score(names, list(range(len(names)))))
    rows = [(f"{i}.png", name, "", "test") for i, name in enumerate(names)]
    write_splits(run, [row for row in rows if row[1] != "\ud83d"])
    hostile = RunDir(run.path.rename(tmp_path / 'a: "b"\n---\n| <img>'))
    card = read(hostile)
    assert card.data.model_name == 'a: "b"\n---\n| <img>'
    text = re.sub(r"(?s)```python.*?```", "", card.text)  # a list of texts within code
    assert not re.search(r"(?<!\\)<(script|img)", text)
    table = card.text.split("| Images | train |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) == len(names) + 1
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {5}


def write_kinds(folder):
    """Write an image of each kind that Pillow alone would read otherwise than tlmed."""
    folder.mkdir()
    colour, random = Image.fromarray(draw(1, 0)), np.random.RandomState(0)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    alpha = Image.fromarray(random.randint(0, 256, (40, 40)).astype("uint8"))
    transparent = colour.copy()
    transparent.putalpha(alpha)
    colour.save(folder / "rgb.png")
    colour.crop((0, 0, 40, 25)).save(folder / "turned.jpg", exif=turned)
    colour.crop((0, 0, 40, 25)).save(folder / "turned.tif", exif=turned)
    transparent.save(folder / "rgba.png")
    colour.quantize(7).save(folder / "palette.png", transparency=bytes(range(0, 210, 30)))
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(random.randint(0, 65536, (40, 40)).astype("uint16")).save(folder / name)
    return sorted(folder.iterdir())


def test_the_code_in_the_card_gives_what_predict_gives(finished, tmp_path, monkeypatch, capsys):
    files = write_kinds(tmp_path / "kinds")
    _, rows, _ = inference.predict(RunDir(finished.path), files)
    (tmp_path / "model.keras").symlink_to(finished.path / "model.keras")
    monkeypatch.chdir(tmp_path)
    (source,) = re.findall(r"```python\n(.*?)```", write_card(RunDir(finished.path)), re.DOTALL)
    assert len(source.splitlines()) < 40
    for file, (_, _, *scores) in zip(files, rows, strict=True):
        given = {}
        exec(source.replace("image.png", str(file)), given)
        np.testing.assert_allclose(given["probabilities"], scores[: len(CLASSES)], atol=1e-5, err_msg=file.name)
    capsys.readouterr()


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("ends", [None, (78.0, 2566.0)])
@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "rgb.png"])
def test_the_function_in_the_card_knows_window_and_shape(name, ends, fit, tmp_path):
    (path,) = (path for path in write_kinds(tmp_path / "kinds") if path.name == name)
    rule = PixelRule((7, 12), resolve("auto").measured(ends), fit)
    np.testing.assert_array_equal(read_alone(path, 7, 12, ends, fit)[0], decode_resized(path.read_bytes(), rule))


@pytest.mark.parametrize("window", [None, (0.5, 99.5, "file")])
@pytest.mark.parametrize("spacing", [None, 1.0])
def test_the_card_names_what_its_function_does_not_know_of_scale_and_of_ranges_of_files(run, window, spacing):
    shown = intensity.to_json(resolve(window or "auto"))
    write_json(run / "plan.json", run.json("plan.json") | {"window": shown})
    recipe = run.json("recipe.json")
    write_json(run / "recipe.json", {**recipe, "data": {**recipe["data"], "spacing": spacing}})
    card = write_card(run)
    assert ("by a range of each file (`data.window`): use `tlmed predict` for images of more than 8 bits" in card) == (
        window is not None
    )
    assert ("`read` is only for images that have this scale and size already" in card) == (spacing is not None)


OTHERWISE = (
    "png 2 bits, transparent gray",
    "png 4 bits, transparent gray",
    "tiff 16 white is zero",
)  # as the card says


@pytest.mark.parametrize("name", [name for name in LOSSLESS if not name.startswith("array")])
def test_the_function_in_the_card_reads_as_tlmed_does(name):
    content = LOSSLESS[name][0]
    same = np.array_equal(read_alone(io.BytesIO(content), 4, 5)[0], decode_resized(content, (4, 5)))
    assert same != (name in OTHERWISE)


def test_the_function_in_the_card_refuses_what_has_no_range(tmp_path):
    for number, kind in enumerate(("int32", "float32")):
        Image.fromarray(np.ones((4, 4), kind)).save(tmp_path / f"{number}.tif")
        with pytest.raises(ValueError, match="tlmed takes no images of mode"):
            read_alone(tmp_path / f"{number}.tif", 4, 4)


@pytest.mark.parametrize("name", ["recipe.json", "environment.json", "plan.json", "metrics.json", "splits.csv"])
def test_a_missing_file_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(InputError, match=re.escape(name)):
        write_card(run)


# --- writing


def test_an_export_is_written_whole_or_not_at_all(tmp_path):
    save(tmp_path / "README.md", "ünï\n", "card")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "ünï\n<!-- Made by tlmed export. -->\n"
    with pytest.raises(InputError, match=r"--out.* Received: .*nowhere"):
        save(tmp_path / "nowhere" / "README.md", "", "card")
    with pytest.raises(InputError, match="--out"):
        save(tmp_path, "", "card")
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
