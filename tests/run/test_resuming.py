"""A run that was stopped, at whatever moment, ends where an uninterrupted one ends."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tlmed
from tests.conftest import SMALL, write_images
from tlmed import stopping
from tlmed.augmentation import make_augmentation
from tlmed.errors import InputError, Interrupted, RunFailed
from tlmed.heads.dense import attach_head
from tlmed.phases import moving, thaw
from tlmed.recipe import Augment, Dense, Phase, override
from tlmed.rundir import RunDir
from tlmed.sealed import DamagedFile, read_facts, seal, unseal
from tlmed.training import Checkpoints, Judge, Loop, Saving, fit_phase
from tlmed.whole_files import atomic, read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")

RANDOM = np.random.RandomState(0)
LABELS = np.arange(24) % 3
IMAGES = (RANDOM.uniform(0, 120, (24, 8, 8, 3)) + 60 * np.eye(3)[LABELS][:, None, None]).astype("float32")
STEPS, EPOCHS = 3, 5


class Killed(BaseException):
    """What a test stops a run with: nothing in tlmed catches it."""


class KillAt(keras.callbacks.Callback):
    """Stop behind so many steps, before anything of that step is saved; with None never."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture
def deterministic():
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(0)


EVERY_CHANGE = {
    **{"flip": "both", "rotation": 0.1, "zoom": 0.1, "contrast": 0.1, "brightness": 0.1, "gamma": 0.2, "stain": 0.1},
    **{"blur": 0.5, "speckle": 0.1, "noise": 0.1},
}


def make(phase, changes):
    inputs = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Conv2D(4, 3, strides=2)(keras.layers.Rescaling(1 / 255)(inputs))
    features = keras.layers.BatchNormalization()(x)
    backbone = keras.Model(inputs, features)
    random = np.random.RandomState(1)
    backbone.set_weights([random.uniform(0.1, 0.5, weight.shape) for weight in backbone.weights])
    augment = make_augmentation(Augment(**changes))
    model = attach_head(backbone, 3, Dense(dropout=0.5), augment, seed=3)
    model.remember()
    return thaw(model, phase)


def batches(begin, share):
    epochs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8).repeat()
    return epochs.skip(STEPS * begin[0] + begin[1])


def fit(folder, kill=None, fed="images", changes=EVERY_CHANGE, **fields):
    """Train, from the last checkpoint in `folder`; return the network, how it ended and what it wrote."""
    phase = Phase(**{"name": "p", "thaw": "all", "epochs": EPOCHS, "learning_rate": 0.02, **fields})
    model, rows = make(phase, changes), []
    checkpoints = Checkpoints(folder, seconds=0)
    checkpoints.save = save_always(checkpoints)
    result = fit_phase(
        *(Loop(model, batches, STEPS), phase, Judge(lambda: model.plain()(IMAGES[:12]).numpy(), LABELS[:12])),
        record=rows.append,
        callbacks=[KillAt(kill)],
        saving=Saving(checkpoints, moving(model), fed),
    )
    return model, result, [{**row, "seconds": 0} for row in rows]


def save_always(checkpoints):
    save = Checkpoints.save

    def again(about, arrays):
        save(checkpoints, about, arrays)
        checkpoints._next = 0

    return again


PHASES = [
    slow({"patience": 2}, (0, 4)),
    slow({}, (0, 1, STEPS - 1, STEPS, -1)),
    ({"batch_norm": "update"}, (4,)),
    slow({"batch_norm": "affine", "optimizer": "sgd"}, (4,)),
    slow({"patience": 1}, (-1,)),
]


@pytest.mark.parametrize(("fields", "kills"), PHASES, ids=str)
def test_a_phase_ends_in_the_same_bits_wherever_it_was_stopped(fields, kills, deterministic, tmp_path):
    model, result, rows = fit(tmp_path / "whole", **fields)
    for kill in (kill % (result.epochs * STEPS) for kill in kills):
        with pytest.raises(Killed):
            fit(tmp_path / str(kill), kill, **fields)
        again, resumed, more = fit(tmp_path / str(kill), **fields)
        for one, other in zip(model.weights, again.weights, strict=True):
            np.testing.assert_array_equal(one, other)
        assert more == rows
        assert (resumed.score, resumed.best_epoch, resumed.epochs) == (result.score, result.best_epoch, result.epochs)


FLIPPED = {"changes": {"flip": "both"}}  # tracing every change takes longer than the steps here


# By the second epoch each of them is at work. In the last one there is more that earlier epochs have left behind.
STEPPED = [
    ({"schedule": "cosine", "warmup": 0.3, "clip_norm": 0.1, "weight_decay": 0.1, "block_decay": 0.5}, (4,)),
    ({"schedule": "plateau", "learning_rate": 0.3}, (13,)),
    ({"schedule": "linear", "mixup": 0.4, "label_smoothing": 0.1, "l2_sp": 0.1, "average": "top3"}, (4, 13)),
    ({"warmup": 0.2, "average": "ema", "patience": 2, "optimizer": "sgd"}, (4,)),
]


@pytest.mark.parametrize(("fields", "kills"), STEPPED, ids=str)
def test_a_phase_with_a_schedule_or_regularisers_goes_on_in_the_same_bits(fields, kills, deterministic, tmp_path):
    model, result, rows = fit(tmp_path / "whole", **FLIPPED, **fields)
    assert len({row["learning_rate"] for row in rows}) > 1
    ends = (result.averaged, result.moving_average)
    for kill in kills:
        with pytest.raises(Killed):
            fit(tmp_path / str(kill), kill, **FLIPPED, **fields)
        again, resumed, more = fit(tmp_path / str(kill), **FLIPPED, **fields)
        for one, other in zip(model.weights, again.weights, strict=True):
            np.testing.assert_array_equal(one, other)
        assert more == rows
        assert (resumed.averaged, resumed.moving_average) == ends


def test_a_checkpoint_holds_all_that_changes_and_nothing_that_is_frozen(deterministic, tmp_path):
    with pytest.raises(Killed):
        fit(tmp_path, kill=2, thaw=0, **FLIPPED)
    about, arrays = unseal(max(tmp_path.glob("*.checkpoint")))
    assert (about["epoch"], about["step"]) == (0, 2)
    head = [values.shape for name, values in arrays.items() if name.startswith("weight")]
    assert sorted(head) == [(3,), (4, 3)]
    assert any(np.abs(values).max() > 0 for name, values in arrays.items() if name.startswith("optimizer"))


def test_a_checkpoint_of_something_else_is_refused_with_the_reason(deterministic, tmp_path):
    with pytest.raises(Killed):
        fit(tmp_path, kill=2, **FLIPPED)
    refused = "--fresh starts over. Received: .*"
    with pytest.raises(RunFailed, match=f"{refused}images there, features here"):
        fit(tmp_path, fed="features", **FLIPPED)
    file = max(tmp_path.glob("*.checkpoint"))
    about, arrays = unseal(file)
    seal(file, about, {**arrays, "weight 0": arrays["weight 0"][..., :1]}.items())
    with pytest.raises(RunFailed, match=f"{refused}others are weight 0"):
        fit(tmp_path, **FLIPPED)


@pytest.mark.parametrize("damage", ["flip", slow("cut"), slow("empty")])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(damage, deterministic, tmp_path):
    model, _, _ = fit(tmp_path / "whole", **FLIPPED)
    with pytest.raises(Killed):
        fit(tmp_path / "run", 7, **FLIPPED)
    files = sorted((tmp_path / "run").glob("*.checkpoint"))
    assert len(files) == 2
    content = bytearray(files[-1].read_bytes())
    content[len(content) // 2] ^= 1
    files[-1].write_bytes({"cut": content[:-100], "flip": content, "empty": b""}[damage])
    said = []
    about, _ = Checkpoints(tmp_path / "run", warn=said.append).newest("p")
    assert 3 * about["epoch"] + about["step"] == 6
    assert "is damaged" in said[0]
    assert not files[-1].exists()
    again, _, _ = fit(tmp_path / "run", **FLIPPED)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stray_name_among_checkpoints_is_passed_over(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    (tmp_path / "copy of 000001.checkpoint").write_bytes(b"")
    checkpoints.save({"phase": "p", "epoch": 1, "step": 2}, {"x": np.eye(2)}.items())
    assert checkpoints.newest("p")[0]["epoch"] == checkpoints.facts("p")["epoch"] == 1


def test_checkpoints_wait_for_their_time_and_longer_where_they_take_long(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("tlmed.training.checkpoints.time.monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path)
    assert not checkpoints.due
    now[0] += 30
    assert checkpoints.due
    monkeypatch.setattr("tlmed.training.checkpoints.seal", lambda *_: now.__setitem__(0, now[0] + 5))
    checkpoints.save({}, {})
    now[0] += 99
    assert not checkpoints.due
    now[0] += 1
    assert checkpoints.due


def test_a_sealed_file_is_whole_or_damaged(tmp_path):
    seal(tmp_path / "file", {"a": [1, 2.5, None]}, {"x": np.eye(2), "seed": np.array([1, 2], "uint32")}.items())
    about, arrays = unseal(tmp_path / "file")
    assert about == {"a": [1, 2.5, None]}
    assert arrays["seed"].dtype == np.uint32
    assert read_facts(tmp_path / "file") == about
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes() + b"x")
    with pytest.raises(DamagedFile, match="SHA-256"):
        unseal(tmp_path / "file")


def train(images, out, *settings, name="fine_tuning", **options):
    return tlmed.train(override(tlmed.load_recipe(name), [*SMALL, *settings]), out, images, **options)


# Every kind of draw that a run makes; what augmentation can change besides is resumed by phases above.
DRAWS = ("head.dropout=0.5", "augment.flip=both", "augment.noise=0.05", "cache=off", "sampling=balanced")


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """Give a run that nothing disturbed."""
    return train(images, tmp_path_factory.mktemp("runs") / "whole", *DRAWS)


@pytest.fixture
def asked():
    """Let a test ask a run to stop, as Ctrl-C does."""
    yield lambda: stopping._stop(Interrupted, "Stopped by Ctrl-C.")
    stopping._requests.clear()


@pytest.mark.parametrize("where", ["step", slow("validation"), slow("between")])
def test_ctrl_c_saves_the_step_and_the_run_goes_on_from_it(where, whole, asked, images, tmp_path, monkeypatch):
    calls = {"step": "tlmed.training.loop.Loop.run", "validation": "tlmed.training.fitting.Validation.on_epoch_end"}
    if where == "step":
        monkeypatch.setattr(StopAt, "asked", staticmethod(asked))
        monkeypatch.setattr("tlmed.run.phase_training.watchers", lambda *_: [StopAt(4)])
    elif where == "validation":
        original = tlmed.training.fitting.Validation.on_epoch_end

        def ask(self, epoch, logs=None):
            asked()
            original(self, epoch, logs)

        monkeypatch.setattr(calls["validation"], ask)
    else:
        monkeypatch.setattr(
            "tlmed.run.phase_training._has_stopped_improving", lambda recipe, degrees: degrees and asked()
        )
    with pytest.raises(Interrupted, match="--out"):
        train(images, tmp_path / "run", *DRAWS)
    run = RunDir(tmp_path / "run")
    assert "Ctrl-C" in run.marker.read_text()
    assert list(run.progress.rglob("*.checkpoint" if where != "between" else "*.phase"))
    monkeypatch.undo()
    stopping._requests.clear()
    resumed = train(images, tmp_path / "run", *DRAWS)
    check_equal(whole.path, resumed.path)


class StopAt(keras.callbacks.Callback):
    """Ask to stop behind so many steps."""

    asked = None

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.asked()


def test_a_second_ctrl_c_does_not_wait(asked):
    with stopping.saving(lambda: pytest.fail("nothing is saved")):
        asked()
        with pytest.raises(Interrupted):
            asked()


def check_equal(one: Path, other: Path):
    """Check that two runs ended in the same bits, except for times."""
    for name in ("predictions.csv", "splits.csv", "recipe.json", "plan.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for name in ("history.csv", "degrees.csv"):
        rows = [[{**row, "seconds": 0} for row in read_csv(folder / name)] for folder in (one, other)]
        assert rows[0] == rows[1], name
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (one, other)]
    for content in metrics:
        del content["kept"]["seconds"], content["kept"]["earlier"]
    assert metrics[0] == metrics[1]
    hashes = [json.loads((folder / "freeze.json").read_text())["phases"] for folder in (one, other)]
    assert hashes[0] == hashes[1]
    models = [keras.saving.load_model(folder / "model.keras").get_weights() for folder in (one, other)]
    for a, b in zip(*models, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    assert not (other / "progress").exists()


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["head.weights", "head.phase"])
def test_what_was_saved_behind_a_phase_is_not_trusted_when_it_is_damaged(damaged, whole, images, tmp_path, monkeypatch):
    monkeypatch.setattr("tlmed.run.story.evaluate_run", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        train(images, tmp_path / "run", *DRAWS)
    monkeypatch.undo()
    path = tmp_path / "run" / "progress" / damaged
    path.write_bytes(path.read_bytes()[:-1])
    said = []
    resumed = train(images, tmp_path / "run", *DRAWS, voice=tlmed.voice.Voice(warn=said.append))
    assert any("'head' is damaged" in sentence for sentence in said)
    check_equal(whole.path, resumed.path)


def test_a_run_directory_has_one_writer(images, tmp_path):
    run = RunDir(tmp_path / "run")
    with run.open():
        assert run.is_running
        with pytest.raises(InputError, match="no other process"):
            train(images, tmp_path / "run")
    assert not run.is_running
    with run.open():
        assert run.is_running


@pytest.mark.slow
def test_a_run_that_goes_on_in_another_environment_says_so(images, tmp_path, monkeypatch):
    monkeypatch.setattr("tlmed.run.story.evaluate_run", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        train(images, tmp_path / "run")
    monkeypatch.undo()
    file, start = tmp_path / "run" / "environment.json", tmp_path / "run" / "progress" / "start"
    about, _ = unseal(start)
    about["environment"]["versions"]["keras"] = "3.0.0"
    seal(start, about, {})
    said = []
    train(images, tmp_path / "run", voice=tlmed.voice.Voice(warn=said.append))
    [sentence] = [sentence for sentence in said if "another environment" in sentence]
    assert f"versions.keras: 3.0.0 before, {keras.__version__} now" in sentence
    assert "another environment" in json.loads(file.read_text())["warnings"][-1]


def test_a_full_disk_ends_the_run_and_it_goes_on_when_there_is_room(whole, images, tmp_path, monkeypatch):
    monkeypatch.setattr("tlmed.training.checkpoints.Checkpoints.due", True)
    monkeypatch.setattr("tlmed.training.checkpoints.seal", fill_at(3))
    with pytest.raises(RunFailed, match="disk must have room"):
        train(images, tmp_path / "run", *DRAWS)
    assert not list((tmp_path / "run").rglob(".writing-*"))
    assert len(list((tmp_path / "run").rglob("*.checkpoint"))) == 2
    monkeypatch.undo()
    check_equal(whole.path, train(images, tmp_path / "run", *DRAWS).path)


def fill_at(number):
    """Return what seals files until the disk is full, in the midst of the `number`th."""
    calls = []

    def write(path, about, arrays):
        calls.append(1)
        if len(calls) < number:
            return seal(path, about, arrays)
        with atomic(path) as part:
            part.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return write


def test_the_images_that_changed_are_named(images, tmp_path, monkeypatch):
    data = write_images(tmp_path / "data", 10)
    monkeypatch.setattr("tlmed.run.story.train_phases", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        train(data, tmp_path / "run")
    (data / "benign" / "benign (3).png").rename(data / "benign" / "renamed.png")
    (data / "normal" / "normal (1).png").write_bytes((images / "normal" / "normal (12).png").read_bytes())
    with pytest.raises(InputError) as error:
        train(data, tmp_path / "run")
    assert "1 new: benign/renamed.png" in str(error.value)
    assert "1 gone: benign/benign (3).png" in str(error.value)
    assert "normal/normal (1).png (" in str(error.value)


ROOT = Path(__file__).parents[2]
MOMENTS = [
    *(("step", n) for n in (1, 2, 4, 6, 7, 9, 11)),
    *(("checkpoint", n) for n in (1, 3, 6, 10)),
    *(("extraction", n) for n in (1, 2)),
    *(("validation", n) for n in (1, 3)),
    *(("phase end", n) for n in (1, 2)),
    *(("phase ended", n) for n in (1, 2)),
    *(("model", 1), ("predictions", 1), ("metrics", 1), ("report", 1), ("finish", 1)),
]


def check_kills(images, folder, moments, caches=("with", "with"), statuses=(0,)):
    """Kill a run at each moment, start it again, and compare it with one that was left alone.

    Return what the commands said of errors.
    """
    environment = {**os.environ, "TLMED_CACHE_DIR": str(folder / "cache")}
    arguments = [str(images), str(folder), json.dumps(moments), json.dumps(caches)]
    command = [sys.executable, "-m", "tests.killed_run", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    ended = json.loads(done.stdout.splitlines()[-1])
    assert ended == [[-signal.SIGKILL, *statuses]] * len(moments), done.stderr[-3000:]
    for i in range(len(moments)):
        check_equal(folder / "whole", folder / str(i))
    return done.stderr


@pytest.mark.slow
def test_a_run_that_is_killed_ends_in_the_same_bits(images, tmp_path):
    check_kills(images, tmp_path, [("checkpoint", 4)])


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_ends_in_the_same_bits(images, tmp_path):
    assert len(MOMENTS) >= 20
    check_kills(images, tmp_path, MOMENTS)


IN_THE_SECOND_PHASE = [("step", 9), ("step", 11), ("checkpoint", 12), ("validation", 3), ("phase ended", 2)]


@pytest.mark.slow
def test_a_run_that_began_without_a_cache_goes_on_without_it(images, tmp_path):
    check_kills(images, tmp_path, [("step", 3), ("phase end", 1), *IN_THE_SECOND_PHASE], ("without", "with"))


@pytest.mark.slow
def test_a_run_that_began_with_a_cache_waits_for_it(images, tmp_path):
    moments = [("step", 3), ("phase end", 1), *IN_THE_SECOND_PHASE]
    said = check_kills(images, tmp_path, moments, ("with", "without", "with"), (3, 0))
    assert said.count("A run that began with features from the cache must go on with them") == len(moments)
    assert "Unexpected error" not in said
