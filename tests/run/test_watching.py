"""A run can be watched while it trains."""

import json
import sys

import keras
import pytest
import tensorflow as tf
from click.testing import CliRunner

import tlmed
from tests.conftest import SMALL
from tlmed.cli import cli
from tlmed.errors import InputError
from tlmed.recipe import override
from tlmed.status import describe_seconds
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")


def train(images, out, *settings, **options):
    return tlmed.train(override(tlmed.load_recipe("fine_tuning"), [*SMALL, *settings]), out, images, **options)


def status(run):
    return CliRunner().invoke(cli, ["status", str(run)], catch_exceptions=True)


class Look(keras.callbacks.Callback):
    """Ask for the status in the midst of the second epoch."""

    def __init__(self, run, seen):
        super().__init__()
        self.run, self.seen, self.epoch = run, seen, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            self.seen.append(status(self.run).output)


def test_status_tells_phase_epoch_speed_and_time_left(images, tmp_path, monkeypatch):
    from tlmed.run import watching

    monkeypatch.setattr(watching, "SECONDS", 0)
    original, seen = watching.watchers, []
    monkeypatch.setattr(
        "tlmed.run.phase_training.watchers", lambda *given: [*original(*given), Look(tmp_path / "run", seen)]
    )
    train(images, tmp_path / "run", "cache=off")
    assert len(seen) == 2
    assert "running" in seen[0]
    assert "Phase 'head' (1 of 2), epoch 2 of 2, step 2 of 3" in seen[0]
    assert "images a second" in seen[0]
    assert "left in this phase" in seen[0]
    assert "Phase 'top' (2 of 2)" in seen[1]
    assert "complete" in status(tmp_path / "run").output


def test_status_of_a_stopped_run_says_how_to_go_on(images, tmp_path, monkeypatch):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    monkeypatch.setattr("tlmed.run.phase_training.watchers", lambda *_: [Stop()])
    with pytest.raises(KeyboardInterrupt):
        train(images, tmp_path / "run")
    output = status(tmp_path / "run").output
    assert "stopped; the same `tlmed train` command continues it" in output
    assert "Ctrl-C" in output


def test_status_of_no_run_is_an_input_error(tmp_path):
    result = status(tmp_path)
    assert "must be the directory of a run" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_times_are_read_easily():
    assert [describe_seconds(seconds) for seconds in (0.4, 61, 3599.6, 86400)] == [
        "0 s",
        "1 min 1 s",
        "1 h 0 min",
        "24 h 0 min",
    ]


def test_tensorboard_gets_the_scores_of_every_epoch(images, tmp_path):
    run = train(images, tmp_path / "run", "tensorboard=true", "cache=off")
    for phase in ("head", "top"):
        rows = [row for row in read_csv(run.path / "history.csv") if row["phase"] == phase]
        for part, column in (("train", "loss"), ("validation", "val_loss")):
            [file] = (run.path / "tensorboard" / phase / part).iterdir()
            values = [
                tf.make_ndarray(value.tensor).item()
                for event in tf.compat.v1.train.summary_iterator(str(file))
                for value in event.summary.value
                if value.tag == "epoch_loss"
            ]
            assert values == pytest.approx([float(row[column]) for row in rows], rel=1e-6)


def test_tensorboard_that_is_not_installed_is_said_before_training(images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(InputError, match=r"pip install tensorboard"):
        train(images, tmp_path / "run", "tensorboard=true", "cache=off")
    assert not (tmp_path / "run").exists()


def test_nothing_is_written_for_tensorboard_unless_asked(finished):
    assert not (finished.path / "tensorboard").exists()
    assert json.loads((finished.path / "recipe.json").read_text())["tensorboard"] is False
