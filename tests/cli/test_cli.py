import contextlib
import csv
import functools
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from unittest import mock

import click
import numpy as np
import pytest

from tests.conftest import SMALL, write_images
from tests.run.test_determinism import check_same
from tlmed import stopping
from tlmed.cache import Store
from tlmed.cli import cli, entry, main
from tlmed.cli.predict_command import EXPLANATIONS, _show_predictions
from tlmed.errors import RunFailed, TlmedError
from tlmed.evaluation.explanations import METHODS
from tlmed.evaluation.lines import describe_worse
from tlmed.evaluation.unusual_lines import describe_lack
from tlmed.export import write_card
from tlmed.inference.scorer import load_scorer
from tlmed.recipe import from_json, load_recipe, read_recipe, shipped_recipes, shipped_studies, to_json, to_source
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv

COMMANDS = ["", "train", "plan", "evaluate", "predict", "recipes", "recipes list", "recipes show", "recipes copy"]
COMMANDS += ["data", "data show", "data list", "cache", "cache list", "cache verify", "cache clear"]


def start(*words, **options):
    # Not `-m tlmed.cli`: the console script's own way in; and with nothing that quiets TensorFlow beforehand.
    command = [sys.executable, "-c", "from tlmed.cli import main; main()", *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_CPP_")}
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options
    )


def tlmed(*words, cwd=None):
    process = start(*words, cwd=cwd)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def here(*words, cwd=".", out=None):
    """Run a command in this process: the same way in, without the seconds that TensorFlow takes to start."""
    out, err, status = out or io.StringIO(), io.StringIO(), 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    arguments = mock.patch.object(sys, "argv", ["tlmed", *map(str, words)])
    requests = mock.patch.object(stopping, "_requests", [])  # a stop ends this command, and no later one
    redirected = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    try:
        with contextlib.chdir(cwd), redirected[0], redirected[1], arguments, requests:
            main()
    except SystemExit as stop:
        status = stop.code
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return status, out.getvalue(), err.getvalue()


def small():
    return [word for setting in (*SMALL, "phases.epochs=1") for word in ("--set", setting)]


def test_help_answers_without_tensorflow():
    # In one process for all: the first command that imports what is heavy is named.
    code = """
import contextlib, io, sys, tlmed.cli
for command in sys.argv[1:]:
    sys.argv = ['tlmed', *command.split(), '--help']
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
        tlmed.cli.main()
    print([command, out.getvalue()[:12], sorted({'tensorflow', 'keras', 'numpy'} & set(sys.modules))])
"""
    commands = [*COMMANDS, "backbones"]
    done = subprocess.run([sys.executable, "-c", code, *commands], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str([command, "Usage: tlmed", []]) for command in commands]
    assert done.stderr == ""


@pytest.mark.parametrize("words", [[], ["recipes"], ["cache"], ["metrics"]])
def test_a_command_without_its_arguments_shows_its_help(words):
    status, out, err = here(*words)
    assert (status, out) == (2, "")
    assert err.startswith("Usage: tlmed")
    assert "Error" not in err


@pytest.mark.parametrize("words", [[], ["recipes"], ["cache"], ["metrics"]])
def test_summaries_are_whole_sentences(words):
    status, out, _ = here(*words, "--help")
    commands = out.partition("Commands:\n")[2].splitlines()
    assert status == 0
    assert commands
    assert all(line.endswith(".") and not line.endswith("..") and len(line) <= 80 for line in commands)


def test_recipes_are_listed_shown_and_copied(tmp_path):
    status, out, _ = here("recipes", "list")
    assert status == 0
    parts = out.split("\n\nStudies, for `tlmed sweep`:\n")
    listed = [[line.split()[0] for line in part.splitlines()] for part in parts]
    assert listed == [list(shipped_recipes()), list(shipped_studies())]
    assert here("recipes", "show", "data_size")[1] == shipped_studies()["data_size"].read_text()
    assert here("recipes", "show", "fine_tuning")[1] == shipped_recipes()["fine_tuning"].read_text()
    assert here("recipes", "copy", "fine_tuning", "mine.py", cwd=tmp_path)[0] == 0
    assert (tmp_path / "mine.py").read_text() == shipped_recipes()["fine_tuning"].read_text()
    (tmp_path / "mine.py").write_text("edited")
    status, _, err = here("recipes", "copy", "fine_tuning", "mine.py", cwd=tmp_path)
    assert (status, (tmp_path / "mine.py").read_text()) == (2, "edited")
    assert "new file" in err


def assert_close(old, new):
    """Compare nested tables; the log loss of features that are computed again moves in its ninth digit."""
    if isinstance(old, dict):
        assert old.keys() == new.keys()
        for name in old:
            assert_close(old[name], new[name])
    elif isinstance(old, float):
        assert new == pytest.approx(old, abs=1e-5)
    else:
        assert old == new


def test_a_whole_session(images, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "2")  # of the process: sets have another order there
    run, words = tmp_path / "run", ("train", "fine_tuning", "--data", images, *small())
    status, out, err = tlmed(*words, "--out", run, "--name", "None")
    assert (status, err) == (0, "")
    assert "<h1>None</h1>" in (run / "report.html").read_text()
    assert "head  epoch 1/1" in out
    assert f"Report: {run / 'report.html'}" in out
    assert "auc" in out

    status, out, err = here(*words, "--out", run, "--name", "None, of <ward 7>")
    assert status == 0
    assert "complete already" in out
    assert "Its title stays 'None'." in out

    # In this process, with nothing kept from before: the same bits.
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "empty"))
    assert here(*words, "--out", tmp_path / "twin")[0] == 0
    check_same(run, tmp_path / "twin")

    status, out, err = here("evaluate", run, "--out", tmp_path / "again")
    assert (status, err) == (0, "")
    for name in ("metrics", "per_class"):
        old, new = (json.loads((folder / "metrics.json").read_text())[name] for folder in (run, tmp_path / "again"))
        assert_close(old, new)

    status, _, err = here("evaluate", "--predictions", run / "predictions.csv", "--out", tmp_path / "file")
    assert (status, err) == (0, "")
    assert json.loads((tmp_path / "file" / "metrics.json").read_text())["metrics"] == old_metrics(run)

    status, out, err = here("evaluate", run, "--data", images)
    assert status == 0
    assert "Warning: 42 images of 60 are among those that the run was trained on" in err
    assert "All (60 images)" in out

    rows = predict(run, images, tmp_path)
    given = {row["path"]: row for row in read_csv(run / "predictions.csv")}
    for row in rows:
        path = Path(row["path"]).relative_to(images).as_posix()
        if path in given:
            assert row["prediction"] == given[path]["prediction"]
            assert float(row["score_benign"]) == pytest.approx(float(given[path]["score_benign"]), abs=1e-6)

    assert EXPLANATIONS == METHODS
    words = ("predict", run, images / "normal", "--out", tmp_path / "p.csv", "--explain", tmp_path / "maps")
    with mock.patch("tlmed.inference.panel_networks.load_scorer", side_effect=load_scorer) as loaded:
        status, _, err = here(*words)
    assert (status, err, loaded.call_count) == (0, say_worse(run), 1)
    assert len(list((tmp_path / "maps").glob("*.grad-cam.png"))) == 20
    status, _, err = here("predict", run, images / "normal", "--explain", tmp_path / "maps", "--block", "blok9")
    assert status == 2
    assert "block" in err
    assert here("predict", run, images, "--method", "occlusion")[0] == 2

    other = write_images(tmp_path / "other", 4, ("benign", "malignant", "cyst"))
    status, _, err = here("evaluate", run, "--data", other)
    assert status == 2
    assert err.startswith("Error: The images must have the run's classes")


def say_worse(run):
    """Return what a prediction says of a run's calibration, and that few validation images tell nothing unusual.

    Its three classes have no threshold.
    """
    lack = describe_lack(json.loads((run / "novelty.json").read_text())["reason"])
    lines = [*describe_worse(json.loads((run / "metrics.json").read_text())), *lack]
    return "".join(f"{line}\n" for line in lines)


def old_metrics(run):
    return json.loads((run / "metrics.json").read_text())["metrics"]


def predict(run, images, tmp_path):
    """Predict a folder, to a file, and single files with a broken one among them, to the terminal."""
    status, out, err = here("predict", run, images, "--out", tmp_path / "all.csv")
    assert (status, out, err) == (0, "", say_worse(run))
    rows = read_csv(tmp_path / "all.csv")
    assert len(rows) == 60
    good, bad = images / "benign" / "benign (0).png", tmp_path / "bad.png"
    bad.write_text("text")
    status, out, err = here("predict", run, good, bad)
    assert (status, out) == (2, "")
    assert "bad.png" in err
    odd = shutil.copy(good, tmp_path / "a\rb.png")  # readers of CSV take \r for the end of a row, unless it is quoted
    status, out, err = here("predict", run, good, odd, bad, "--skip-bad")
    assert status == 0
    assert [row[0] for row in csv.reader(io.StringIO(out, newline=""))] == ["path", str(good), str(odd)]
    assert "Warning:" in err
    return rows


def test_a_terminal_shows_predictions_as_a_table():
    header = ["path", "prediction", "score_a", "score_b", "calibrated_a", "calibrated_b", "image_note"]
    rows = [("x y.png", "b", 0.123456789, 0.876543211, 0.2, 0.8, ""), ("z.png", "a", 0.5, 0.5, 0.4, 0.6, "")]
    table, more = _show_predictions(header, rows)
    assert table.lines() == ["path     prediction  score", "x y.png  b           0.877", "z.png    a           0.500"]
    assert "--out FILE" in more
    table, _ = _show_predictions(header, [rows[0], (*rows[1][:-1], "all but black")])
    assert table.lines()[0] == "path     prediction  score  note"
    assert table.lines()[2] == "z.png    a           0.500  all but black"


WRONG = [
    (["train"], "Missing argument"),
    (["train", "fine_tunning"], "Did you mean 'fine_tuning'?"),
    (["train", "feature_extractor", "--sed", "1"], "--seed"),
    (["train", "feature_extractor", "--set", "sed=1"], "Did you mean 'seed'?"),
    (["train", "feature_extractor", "--seed", "-1"], "seed=-1"),
    (["recipes", "show", "x"], "RECIPE"),
    (["evaluate"], "RUN or --predictions"),
    (["evaluate", "nowhere"], "nowhere"),
    (["evaluate", "--predictions", "x.csv", "--skip-bad"], "--skip-bad goes with a RUN"),
    (["evaluate", "--predictions", "x.csv", "--data", "y"], "--data goes with a RUN"),
    (["evaluate", "nowhere", "--positive", "a"], "--positive goes with --predictions"),
    (["evaluate", "nowhere", "--prevalence", "1"], "0<x<1"),
    (["compare", "a", "b", "--why", "--out", "c"], "--why or --out"),
    (["predict", "nowhere", "x.png"], "nowhere"),
    (["frobnicate"], "frobnicate"),
    (["export", "run"], "Missing option '--format'. Choose from: requirements, card, hub, saved-model, "),
    (["train"], "`tlmed train --help` shows the usage."),
]


@pytest.mark.parametrize(("words", "part"), WRONG)
def test_bad_usage_is_one_line_and_exit_status_2(words, part, tmp_path):
    status, out, err = here(*words, cwd=tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    assert part in err
    assert list(tmp_path.iterdir()) == []


def walk(command, context=None):
    yield command, (context := click.Context(command, context, command.name, terminal_width=60))
    for inner in getattr(command, "commands", {}).values():
        yield from walk(inner, context)


@pytest.mark.parametrize("found", list(walk(cli)), ids=lambda found: found[1].command_path)
def test_help_explains_every_option_and_cuts_no_word(found):
    command, context = found
    assert [option.name for option in command.params if isinstance(option, click.Option) and not option.help] == []
    words = re.sub(r"[A-Z]+\]?\.\.\.", "", command.get_help(context))  # arguments that may be repeated
    assert not re.search(r"\w\.\.\.(?!\w)", words), words


@pytest.mark.parametrize("text", ["none", "None", "1", "1.0", "True", "1e3", "1,2", "[x]", '"q"'])
def test_options_are_values_and_not_read_as_settings_are(text, monkeypatch, tmp_path):
    trained = []
    monkeypatch.setattr("tlmed.run.train", lambda recipe, *words, **options: trained.append(recipe))
    (tmp_path / text).mkdir()
    words = ["--positive", text, "--data", text, "--seed", "7", "--strategy", "one", "--set", "data.positive=x"]
    assert here("train", "feature_extractor", *words, cwd=tmp_path) == (0, "", "")
    found = trained[0]
    assert (found.data.positive, found.data.source, found.seed, found.distribute) == (text, text, 7, "one")


def test_a_class_that_is_called_none_can_be_the_positive_one(tmp_path):
    source = write_images(tmp_path / "images", 8, ("none", "tumor"))
    words = ["--data", source, "--out", "run", *small(), "--positive", "none"]
    status, out, err = here("train", "feature_extractor", *words, cwd=tmp_path)
    assert (status, err) == (0, "")
    assert "positive: none, as asked for" in out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["positive"] == "none"
    lock = json.loads((tmp_path / "run" / "lock.json").read_text())
    assert lock["recipe"]["resolved"]["data"]["positive"] == "none"
    words = ["--predictions", "run/predictions.csv", "--positive", "none", "--out", "again"]
    status, _, err = here("evaluate", *words, cwd=tmp_path)
    assert (status, err) == (0, "")
    again = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert again["metrics"] == metrics["metrics"]
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["data"]["positive"] == "none"


@pytest.mark.parametrize("words", [pytest.param((), marks=pytest.mark.slow), ("--positive", "malignant")])
def test_that_a_class_was_asked_for_is_told_also_where_it_is_the_default(words, tmp_path):
    source = write_images(tmp_path / "images", 8, ("benign", "malignant"))
    why = "malignant, as asked for" if words else "malignant, the second in sorted order"
    settings = ["--data", source, *small(), *words]
    _, plain, _ = here("train", "feature_extractor", *settings, "--out", "run", cwd=tmp_path)
    _, folds, _ = here(
        "train", "feature_extractor", *settings, "--out", "cv", "--set", "data.split=KFold(2)", cwd=tmp_path
    )
    _, again, _ = here("evaluate", "run", cwd=tmp_path)
    _, elsewhere, _ = here("evaluate", "run", "--data", source, "--out", "elsewhere", cwd=tmp_path)
    _, table, _ = here("evaluate", "--predictions", "run/predictions.csv", *words, "--out", "file", cwd=tmp_path)
    shutil.copytree(tmp_path / "run", tmp_path / "twin")
    _, compared, _ = here("compare", "run", "twin", "--out", "comparison", cwd=tmp_path)
    for out in (plain, folds, again, elsewhere, table, compared):
        assert f"positive: {why}" in " ".join(out.split())
    for place in ("run/report.html", "cv/report.html", "elsewhere/evaluation.html", "comparison/comparison.html"):
        page = re.sub("<[^>]*>", "", (tmp_path / place).read_text())
        assert page.count("malignant, ") == page.count(why) > 0, place
    for place in ("run", "cv"):
        card = write_card(RunDir(tmp_path / place))
        assert f"The positive class is {why}." in card
        assert "Intervals: " in card
        assert "| malignant | " in card.partition("Class against the rest")[2]
        assert "Compared with no transfer learning" in card


def test_a_recipe_file_runs_once_and_the_run_keeps_it_as_it_ran(images, tmp_path):
    text = shipped_recipes()["feature_extractor"].read_text()
    text += """
for name, line in (('ran.txt', 'once '), (__file__, '# changed while it trains')):
    with open(name, 'a') as stream:
        stream.write(line)
"""
    (tmp_path / "mine.py").write_text(text)
    words = ["--data", images, "--out", "run", *small(), "--set", "data.split=KFold(2)"]
    status, _, err = here("train", "mine.py", *words, cwd=tmp_path)
    assert (status, err) == (0, "")
    assert (tmp_path / "ran.txt").read_text() == "once "
    for folder in (tmp_path / "run", tmp_path / "run" / "folds" / "02"):
        assert (folder / "recipe.py").read_text() == text
    environment = json.loads((tmp_path / "run" / "folds" / "02" / "environment.json").read_text())
    assert environment["recipe"]["name"] == "mine"
    assert "data.split.k" in environment["recipe"]["set"]


@pytest.mark.parametrize(
    ("words", "expected", "line"),
    [
        (["train", "fine_tunning", "--debug"], 2, "Error: RECIPE must be"),
        (["train", "fine_tuning", "--sed", "1", "--debug"], 2, "Error: No such option"),
        (["cache", "list", "--debug"], 3, "Error: Unexpected error: ZeroDivisionError: x"),
    ],
)
def test_debug_shows_where_and_changes_nothing_else(words, expected, line, tmp_path, monkeypatch):
    monkeypatch.setattr("tlmed.cache.cache_folder", mock.Mock(side_effect=ZeroDivisionError("x")))
    status, _, err = here(*words, cwd=tmp_path)
    assert status == expected
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith(line)
    status, _, err = here(*words[:-1], cwd=tmp_path)
    assert status == expected
    assert err.startswith(line)


KEYS = ["", ".", "seed", "data", "data.", "data.positive", "data.split", "data.split.k", "phases", "phases.0.epochs"]
KEYS += ["phases.--1.epochs", "phases.-0.epochs", f"phases.{'1' * 5000}.epochs", "phases.0.0", "phases.1.thaw", "lr"]
KEYS += [
    "head",
    "head.grid",
    "head.grid.C",
    "head.units",
    "weights",
    "a" * 300,
    "\x1b[2J",
    "\N{SUPERSCRIPT TWO}",
    "__class__",
]
VALUES = ["", " ", "none", "nan", "1e999", "-1", "9" * 5000, "(" * 3000, "KFold(5)", "KFold(k=5, k=6)", "KFold(**{})"]
VALUES += [
    "Phase()",
    "__import__('os')",
    "a\nb",
    "\x1b[31m",
    "\udcff",
    "a,,b",
    '"',
    "'a','b'",
    "[x for x in y]",
    "\0",
    "x" * 9000,
]


def test_odd_settings_are_refused_in_one_line_each_or_make_a_recipe_that_can_be_written_down(monkeypatch, tmp_path):
    trained = []
    monkeypatch.setattr("tlmed.run.train", lambda recipe, *words, **options: trained.append(recipe))
    monkeypatch.setattr("tlmed.cli.options.read_recipe", functools.cache(read_recipe))
    settings = [f"{key}={value}" for key in KEYS for value in VALUES] + KEYS
    assert len(settings) > 300
    for i, setting in enumerate(settings):
        name = ("fine_tuning", "feature_extractor_hybrid", "blockwise")[i % 3]
        status, out, err = here("train", name, "--set", setting)
        assert out == ""
        if status == 0:
            assert from_json(to_json(trained[-1])) == trained[-1], setting
            (tmp_path / "written.py").write_text(to_source(trained[-1]), encoding="utf-8")
            assert load_recipe(tmp_path / "written.py") == trained[-1], setting
            continue
        assert status == 2, (setting, err)
        first, *more = err.removesuffix("\n").split("\n")
        assert first.startswith("Error: "), setting
        assert all(line.startswith("  ") for line in more), setting
        assert all(line.isprintable() and len(line) < 1000 for line in (first, *more)), setting


def test_all_faults_of_planning_stand_below_one_another(tmp_path):
    (tmp_path / "empty").mkdir()
    words = ["--data", "empty", "--set", "backbone=VGG61", "--positive", "x"]
    status, out, err = here("plan", "feature_extractor", *words, cwd=tmp_path)
    first, *more = err.splitlines()
    assert (status, out) == (2, "")
    assert first.startswith("Error: ")
    assert more
    assert all(line.startswith("  ") for line in more)


def test_plan_shows_phases_without_training(images, tmp_path):
    words = ["--data", images, "--set", "backbone=VGG16", "--set", "weights=none"]
    status, out, err = here("plan", "fine_tuning", *words, cwd=tmp_path)
    assert (status, err) == (0, "")
    assert "block5_pool" in out
    assert "block4 block5 head" in out
    assert list(tmp_path.iterdir()) == []


def test_plan_measures_a_step_in_each_precision(images, tmp_path):
    words = ["--data", images, *small(), "--measure"]
    status, out, err = here("plan", "fine_tuning", *words, cwd=tmp_path)
    assert (status, err) == (0, "")
    found = re.search(r"A training step takes (\S+) s in float32 and (\S+) s in bfloat16: (.+) here\.", out)
    slow, fast = (float(found[i]) for i in (1, 2))
    rounding = 0.0005
    if "precision=bfloat16 is" in found[3]:
        assert slow + rounding > 1.1 * (fast - rounding)
    else:
        assert slow - rounding <= 1.1 * (fast + rounding)
    settings = [word for setting in SMALL if "phases" not in setting for word in ("--set", setting)]
    status, out, err = here("plan", "feature_extractor_hybrid", "--data", images, *settings, "--measure", cwd=tmp_path)
    assert (status, err.splitlines()) == (
        2,
        ["Error: --measure needs a recipe that trains a network. Received: a Hybrid(...) as `head`."],
    )


def test_backbones_are_listed_and_described():
    status, out, err = here("backbones")
    assert (status, err) == (0, "")
    assert {"VGG16", "ResNet50", "MobileNetV2", "EfficientNetB0"} <= set(out.split())
    assert "weights" in out.splitlines()[0]
    status, out, err = here("backbones", "VGG16")
    assert (status, err) == (0, "")
    assert "VGG16: 5 blocks, 13 weighted layers, 14,714,688 parameters" in out
    assert "Did you mean 'ResNet50'?" in here("backbones", "RezNet50")[2]


LONG = (
    *("train", "feature_extractor", "--out", "run", *small(), "--set", "phases.epochs=500"),
    *("--set", "head.dropout=0.2"),  # a head with dropout is trained, epoch by epoch
)


class Interrupts(io.StringIO):
    """An output on which Ctrl-C is pressed when it shows a word."""

    def __init__(self, word):
        super().__init__()
        self.word = word

    def write(self, text):
        if self.word in text:
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def check_stopped(status, out_and_err, word, images, folder):
    assert status == {"Ctrl-C": 130, "SIGTERM": 75}[word]
    assert out_and_err[1].startswith(f"Error: Stopped by {word}.")
    assert "--out run" in out_and_err[1]
    assert word in (folder / "UNFINISHED").read_text()
    assert not (folder / "metrics.json").exists()
    assert here("predict", folder, images)[0] == 2


def test_a_stopped_run_says_how_to_continue(images, tmp_path):
    status, *said = here(*LONG, "--data", images, cwd=tmp_path, out=Interrupts("epoch 2/500"))
    assert "epoch 1/500" in said[0]
    check_stopped(status, said, "Ctrl-C", images, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_stopped_process_says_how_to_continue(number, word, images, tmp_path):
    process = start(*LONG, "--data", images, cwd=tmp_path)
    with contextlib.suppress(StopIteration):
        next(line for line in process.stdout if "epoch 2/500" in line)
    process.send_signal(number)
    said = process.communicate(timeout=100)
    check_stopped(process.returncode, said, word, images, tmp_path / "run")


@pytest.mark.slow
def test_a_full_disk_ends_the_run_in_one_line(images, tmp_path):
    # A limit on the size of a file, below that of the weights, stands in for a full disk.
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 10**5, 2 * 10**5)); from tlmed.cli import main; main()"
    )
    words = ["train", "feature_extractor", "--data", images, "--out", tmp_path / "run", *small()]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("Error: The disk must have room")]
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert "UNFINISHED" in left
    assert not {"model.keras", "metrics.json"} & left
    assert not [name for name in left if name.startswith(".writing")]


def test_the_cache_is_listed_checked_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path))
    rows = np.ones((3, 1000), "float32")
    about = {"name": "VGG16, head", "engine": "tensorflow", "engine_precision": "float32"}
    for key in ("a", "b"):
        with Store(tmp_path, 10**9).create(key, about, (1000,), "float32", [bytes([i]) * 32 for i in range(3)]) as add:
            add(rows)
    status, out, err = here("cache", "list")
    assert (status, err) == (0, "")
    assert out.count("12.4 KB       3  VGG16, head  tensorflow float32") == 2
    assert "2 files, 24.8 KB of 20.0 GB" in out
    damaged = next(tmp_path.rglob("*.rows"))
    damaged.write_bytes(b"nonsense")
    status, out, err = here("cache", "verify")
    assert (status, out) == (0, "1 file sound, 1 file damaged\n")
    assert err.startswith("Warning: deleted, because it is too short: ")
    assert str(damaged) in err
    (tmp_path / "digests-1.txt").write_text("known\n")
    tmp_path.chmod(0o770)
    status, out, err = here("cache", "list")
    assert "6 B: digests of files, for --trust-mtime" in out
    assert err.startswith(f"Warning: Runs trust what the cache holds, and {tmp_path} can be written to by")
    assert here("cache", "clear")[1] == "2 files deleted, 12.4 KB\n"
    assert "0 files" in here("cache", "list")[1]


def test_what_is_wrong_with_the_cache_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_LIMIT", "plenty")
    status, out, err = here("cache", "list")
    assert (status, out) == (2, "")
    assert err.startswith("Error: ")
    assert "TLMED_CACHE_LIMIT='plenty'" in err
    monkeypatch.delenv("TLMED_CACHE_LIMIT")
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("shutil.rmtree", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    (tmp_path / "features-1").mkdir()
    status, out, err = here("cache", "clear")
    assert (status, out) == (3, "")
    assert (
        err
        == f"Error: The cache must be a folder that can be read and written. Received: Permission denied: {tmp_path}.\n"
    )


def test_a_fault_inside_the_quiet_block_is_shown():
    code = "from tlmed.quiet import quiet_stderr\nwith quiet_stderr():\n    import os; os.write(2, b'held'); 1 / 0"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "held" in done.stderr
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.slow
def test_help_answers_in_half_a_second():
    start_time = time.perf_counter()
    tlmed("train", "--help")
    assert time.perf_counter() - start_time < 0.5


@pytest.mark.parametrize("ending", ["failed", "stopped"])
def test_nothing_that_an_error_left_behind_is_alive_when_python_ends(monkeypatch, ending):
    # A pipeline of TensorFlow would then wait for threads that read images, and these for Python: forever.
    class Pipeline:
        pass

    alive = []

    def read(**options):
        pipeline = Pipeline()
        alive.append(weakref.ref(pipeline))
        try:
            if ending == "stopped":
                signal.raise_signal(signal.SIGTERM)
            raise RunFailed("An image is gone.")
        except TlmedError as error:
            kept = error  # a circle: the error holds this frame
            raise kept from None

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(entry, "cli", read)
    monkeypatch.setattr(stopping, "_requests", [])
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        for number, handle in before.items():
            signal.signal(number, handle)
    assert ended.value.code == {"failed": 3, "stopped": 75}[ending]
    assert [pipeline() for pipeline in alive] == [None]


def test_a_command_ends_without_a_look_at_all_that_libraries_hold():
    code = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0)); from tlmed.cli import main; "
    ended = subprocess.run([sys.executable, "-c", f"{code}main()", "--version"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.split()[-1]) == (0, "True")
