"""Runs whose head is solved and not trained."""

import contextlib
import dataclasses
import io
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import tlmed
from tests.conftest import SMALL
from tests.terminal import Terminal
from tlmed.data import load
from tlmed.errors import InputError, Interrupted
from tlmed.export import write_card
from tlmed.heads.dense import split_head
from tlmed.heads.solved import STRENGTHS
from tlmed.plan.tables import describe_phases
from tlmed.recipe import Dense, Images, Phase, Recipe, override, solver_rules
from tlmed.run import solved_phases
from tlmed.rundir import RunDir
from tlmed.screen import Screen
from tlmed.training import speak
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")
SOLVED = Phase("head", thaw=0, solver="lbfgs")


def make(*settings, phases=(SOLVED,), **fields):
    recipe = Recipe(data=Images("x"), backbone="CifarNet", weights="none", phases=phases, **fields)
    return override(recipe, [*(line for line in SMALL if not line.startswith("phases")), *settings])


FEW = len(STRENGTHS[::4])  # as tests/conftest.py lets most runs try them


@pytest.fixture(scope="module")
def solved(images, tmp_path_factory, strengths):
    """Give a run of a solved head, balanced by class weights, and a phase that trains after it."""
    top = Phase("top", thaw=1, epochs=1, learning_rate=1e-5)
    recipe = make("keep=last", phases=(SOLVED, top), class_weight="balanced", score_degrees=True)
    with strengths():
        return tlmed.train(recipe, tmp_path_factory.mktemp("runs") / "solved", images)


def test_the_saved_head_is_that_of_scikit_learn(images, tmp_path):
    out = tlmed.train(make("phases.0.l2=0.05"), tmp_path / "run", images).path
    network = keras.models.load_model(out / "model.keras")
    features, head = split_head(network)
    table = read_csv(out / "splits.csv")
    pixels = load(images, (32, 32)).pixels
    values = features.predict(pixels.take(np.arange(len(table))), verbose=0)
    labels = np.unique([row["label"] for row in table], return_inverse=True)[1]
    train = np.array([row["split"] == "train" for row in table])
    scaler = StandardScaler().fit(values[train])
    theirs = LogisticRegression(C=1 / (train.sum() * 0.05), tol=1e-7, max_iter=5000)
    theirs.fit(scaler.transform(values[train]), labels[train])
    expected = theirs.predict_proba(scaler.transform(values))
    np.testing.assert_allclose(head.predict(values, verbose=0), expected, atol=2e-3)


def test_the_files_of_a_run_tell_of_the_solver(solved):
    run = RunDir(solved.path)
    history = read_csv(run / "history.csv")
    assert [(row["phase"], row["epoch"]) for row in history] == [("head", "1"), ("top", "1")]
    path = read_csv(run / "strengths.csv")
    assert len(path) == len(STRENGTHS)
    (chosen,) = [row for row in path if row["chosen"] == "yes"]
    assert float(chosen["val_weighted_loss"]) == min(float(row["val_weighted_loss"]) for row in path)
    assert float(chosen["loss"]) == pytest.approx(float(history[0]["loss"]), abs=1e-6)
    plan = run.json("plan.json")["phases"]
    assert [phase["solver"] for phase in plan] == ["lbfgs", None]
    assert plan[0]["cache"]["on"]
    certificate = run.json("freeze.json")["phases"][0]
    assert len(certificate["moved"]) == 2
    assert "solved" not in run.json("metrics.json")["kept"]  # the phase that trains, after it


def test_the_card_gives_a_solved_phase_no_settings_of_training(solved):
    card = write_card(RunDir(solved.path))
    assert "| phases.solver | head: lbfgs, top: none |" in card
    assert "| phases.optimizer | top: adam |" in card
    assert "| phases.patience | top: none |" in card
    (chosen,) = [row for row in read_csv(solved.path / "strengths.csv") if row["chosen"] == "yes"]
    assert f"| phases.l2 of head | auto, which chose {float(chosen['l2']):g} |" in card
    assert "| head | 0 | solved |  | frozen |" in card


def test_the_report_shows_scores_against_the_strength_in_place_of_learning_curves(solved, images, tmp_path):
    both = (solved.path / "report.html").read_text()
    assert "Strength of L2" in both
    assert "Learning curves" in both  # of the phase that trains
    assert "Each degree after the first started from the head as it was solved." in both
    assert both.count("<td>solved</td>") == 2  # of epochs, and of the best one
    chosen = "The strength of L2 in phase head by the log loss"
    trained = "the best epoch of each phase that was trained by validation AUC, then the last phase"
    assert f"{chosen} of folds of the training images; {trained}" in both
    alone = (tlmed.train(make(), tmp_path / "run", images).path / "report.html").read_text()
    assert f"{FEW} strengths of L2; chosen: " in alone
    assert "Learning curves" not in alone
    assert f"{chosen} of folds of the training images; " in alone
    assert "the best epoch" not in alone
    assert "a head that is solved, which depends on no first values" in alone
    assert RunDir(tmp_path / "run").json("metrics.json")["kept"]["solved"]
    assert "Trained: head solved. Kept: phase head, solved." in alone
    assert "Settings of the optimizer: adam" in both
    assert "Settings of the optimizer" not in alone
    assert "Trained: head solved; top 1 epoch. Kept: phase top, epoch 1." in both
    given = (tlmed.train(make("phases.0.l2=0.1"), tmp_path / "given", images).path / "report.html").read_text()
    assert "Strength of L2" not in given


@pytest.mark.parametrize(
    "settings",
    [
        ("cache=off",),
        ("backbone=CifarNet,LeNet5",),
        ("augment.flip=both", "augment.views=2"),
        ("monitor=val_loss",),
    ],
)
def test_other_settings_end_with_a_head(settings, images, tmp_path):
    out = tlmed.train(make(*settings), tmp_path / "run", images).path
    assert len(read_csv(out / "strengths.csv")) == FEW
    assert float(read_csv(out / "history.csv")[0]["val_auc"]) > 0.6
    assert RunDir(out).json("metrics.json")["metrics"]["auc"]["value"] > 0.6


def test_kept_features_and_features_at_once_give_one_head(images, tmp_path):
    kept, once = (tlmed.train(make(f"cache={way}"), tmp_path / way, images) for way in ("on", "off"))
    for one, other in zip(kept.model().get_weights(), once.model().get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_class_weights_move_the_head(images, tmp_path):
    plain = tlmed.train(make("phases.0.l2=1", "data.split=0.5,0.25,0.25"), tmp_path / "plain", images)
    few = tmp_path / "few"
    few.mkdir()
    for folder in images.iterdir():
        (few / folder.name).mkdir()
        for number, file in enumerate(sorted(folder.iterdir())):
            if folder.name != "normal" or number < 8:
                (few / folder.name / file.name).symlink_to(file)
    heads = [
        tlmed.train(make("phases.0.l2=1", f"class_weight={way}"), tmp_path / way, few).model().get_weights()[-1]
        for way in ("none", "balanced")
    ]
    assert plain.path.exists()
    rare = [head[2] - head[:2].mean() for head in heads]
    assert rare[1] > rare[0] + 0.1


FAULTS = [
    (("head.units=8",), "units=(8,)"),
    (("head.dropout=0.5",), "dropout=0.5"),
    (("head.loss=focal",), "loss='focal'"),
    (("augment.flip=both",), "augmentation anew"),
    (("sampling=balanced",), "sampling='balanced'"),
    (("phases.0.thaw=1",), "thaw=1"),
    (("phases.0.clip_norm=1.0",), "clip_norm=1.0"),
    (("phases.0.solver=none", "phases.0.l2=0.1"), "l2=0.1"),
]


@pytest.mark.parametrize(("settings", "word"), FAULTS)
def test_what_a_solver_cannot_do_is_one_fault(settings, word):
    with pytest.raises(InputError) as caught:
        make(*settings)
    assert len(caught.value.faults) == 1
    assert word in caught.value.faults[0]


def test_all_that_rules_a_solver_out_is_named_at_once():
    with pytest.raises(InputError) as caught:
        make(head=Dense(units=(8,), dropout=0.5), sampling="balanced")
    (fault,) = caught.value.faults
    assert "units=(8,)" in fault
    assert "dropout=0.5" in fault
    assert "sampling='balanced'" in fault


def test_only_a_solved_phase_goes_without_epochs():
    assert dataclasses.replace(SOLVED, epochs=5).epochs == 5
    with pytest.raises(InputError, match="epochs=nothing"):
        Recipe(data=Images("x"), backbone="CifarNet", phases=(Phase("head", thaw=0, learning_rate=1e-3),))


def test_several_labels_are_solved_one_by_one(images, tmp_path):
    cells = {"benign": ("1", ""), "malignant": ("1", "1"), "normal": ("0", "0")}
    (tmp_path / "images").symlink_to(images)
    files = sorted((tmp_path / "images").glob("*/*.png"))
    rows = [f"{file.relative_to(tmp_path)},{','.join(cells[file.parent.name])}" for file in files]
    (tmp_path / "labels.csv").write_text("\n".join(["path,lesion,malignancy", *rows]) + "\n")
    recipe = make("data.label_columns=lesion,malignancy", "class_weight=balanced")
    out = tlmed.train(recipe, tmp_path / "run", tmp_path / "labels.csv").path
    (path,) = {row["judged_on"] for row in read_csv(out / "strengths.csv")}
    assert path == "folds"  # of 9 validation images
    assert float(read_csv(out / "history.csv")[0]["val_auc"]) > 0.6
    assert keras.models.load_model(out / "model.keras").layers[-1].activation.__name__ == "sigmoid"


def test_a_run_that_was_stopped_ends_where_another_one_ends(images, tmp_path, monkeypatch):
    whole = tlmed.train(make(), tmp_path / "whole", images)
    calls = []

    def stop():
        calls.append(0)
        if len(calls) == 3:
            raise Interrupted("Stopped.")

    with monkeypatch.context() as patch:
        patch.setattr(solved_phases, "_look", stop)
        with pytest.raises(Interrupted):
            tlmed.train(make(), tmp_path / "stopped", images)
    assert not (tmp_path / "stopped" / "strengths.csv").exists()
    again = tlmed.train(make(), tmp_path / "stopped", images)
    for one, other in zip(whole.model().get_weights(), again.model().get_weights(), strict=True):
        assert (one == other).all()
    assert len(read_csv(again.path / "history.csv")) == 1


TWICE = """
import sys, tlmed
from tests.run.test_solved_phases import make
tlmed.train(make(), sys.argv[1], sys.argv[2], verbose=False)
"""


@pytest.mark.slow
def test_two_processes_give_the_same_bits(images, tmp_path):
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", TWICE, tmp_path / name, images], check=True, capture_output=True)
    one, two = (keras.models.load_model(tmp_path / name / "model.keras").get_weights() for name in ("one", "two"))
    assert all((left == right).all() for left, right in zip(one, two, strict=True))
    assert (tmp_path / "one" / "strengths.csv").read_bytes() == (tmp_path / "two" / "strengths.csv").read_bytes()


@pytest.mark.parametrize(("settings", "words"), [((), "Heads"), (("phases.0.l2=0.1",), "Strengths of L2")])
def test_a_terminal_shows_how_many_heads_are_solved(settings, words, images, tmp_path):
    terminal, seen = Terminal(100), []
    voice = speak(Screen(terminal))

    @contextlib.contextmanager
    def count(label, total):
        seen.append([label, total, 0])
        with voice.count(label, total) as tell:

            def more(number):
                seen[-1][2] += number
                tell(number)

            yield more

    tlmed.train(make(*settings), tmp_path / "run", images, voice=dataclasses.replace(voice, count=count))
    [(_, total, done)] = [shown for shown in seen if shown[0] == words]
    assert done == total
    assert total == (1 if settings else FEW * 6)  # with few validation images, five folds each
    assert any(line.startswith("head  solved") for line in terminal.kept())
    assert "Solving the head of phase 'head'" in terminal.getvalue()


def test_no_terminal_gets_lines_and_a_silent_run_none(images, tmp_path, capsys):
    stream = io.StringIO()
    tlmed.train(make("cache=off"), tmp_path / "run", images, voice=speak(Screen(stream)))
    lines = stream.getvalue().splitlines()
    for beginning in ("Computing the features of ", "Solving the head of phase 'head' ...", "head  solved; l2 "):
        assert len([line for line in lines if line.startswith(beginning)]) == 1
    tlmed.train(make(), tmp_path / "silent", images, verbose=False)
    assert capsys.readouterr() == ("", "")


def test_tensorboard_gets_the_scores_of_a_solved_head(images, tmp_path):
    out = tlmed.train(make("tensorboard=true"), tmp_path / "run", images).path
    [row] = read_csv(out / "history.csv")
    found = {}
    for file in (out / "tensorboard" / "head").glob("*/*"):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.tag.startswith("epoch_"):
                    found[file.parent.name, value.tag, event.step] = tf.make_ndarray(value.tensor).item()
    names = {"train": ("loss", "accuracy"), "validation": ("val_loss", "val_accuracy", "val_auc")}
    expected = {
        (part, f"epoch_{name.removeprefix('val_')}", 0): pytest.approx(float(row[name]), rel=1e-5)
        for part, columns in names.items()
        for name in columns
    }
    assert found == expected


AUTO = Phase("head", thaw=0, epochs=2, learning_rate=1e-3, solver="auto")
REASONS = [
    (("head.dropout=0.5",), "dropout=0.5 in the head"),
    (("head.units=8",), "units=(8,) in the head"),
    (("augment.flip=both",), "augmentation anew in each epoch"),
    (("phases.0.clip_norm=1.0",), "clip_norm=1.0"),
    (("phases.0.optimizer=sgd",), "optimizer='sgd'"),
    (("sampling=balanced", "head.loss=focal"), "loss='focal' in the head; sampling='balanced'"),
]


@pytest.mark.parametrize("settings", [(), ("class_weight=balanced",), ("phases.0.l2=0.1",)])
def test_a_head_is_solved_where_nothing_asks_for_an_optimizer(settings):
    recipe = make(*settings, phases=(AUTO,))
    assert [phase.solver for phase in recipe.schedule] == ["lbfgs"]
    assert recipe.phases[0].solver == "auto"


@pytest.mark.parametrize(("settings", "reason"), REASONS)
def test_a_head_is_trained_where_something_asks_for_an_optimizer_and_the_plan_says_so(settings, reason, images):
    recipe = make(*settings, phases=(AUTO,))
    (phase,) = recipe.schedule
    assert (phase.solver, phase.epochs) == (None, 2)
    (said,) = solver_rules.say_trained(recipe)
    assert said.startswith("head: the head is trained and not solved, because of ")
    assert reason in said


def test_a_phase_that_thaws_more_is_trained_and_needs_no_reason():
    recipe = make("phases.0.thaw=1", phases=(AUTO,))
    assert recipe.schedule[0].solver is None
    assert solver_rules.say_trained(recipe) == []


def test_plan_and_report_say_why_a_head_is_trained(images, tmp_path):
    out = tlmed.train(make("head.dropout=0.5", phases=(AUTO,)), tmp_path / "run", images).path
    plan = RunDir(out).json("plan.json")
    assert plan["trained"] == ["head: the head is trained and not solved, because of dropout=0.5 in the head"]
    assert plan["trained"][0] in (out / "report.html").read_text()
    assert plan["trained"][0] in describe_phases(plan)
    assert len(read_csv(out / "history.csv")) == 2
    solved = tlmed.train(make(phases=(AUTO,)), tmp_path / "solved", images).path
    assert "trained" not in RunDir(solved).json("plan.json")
    assert len(read_csv(solved / "history.csv")) == 1
