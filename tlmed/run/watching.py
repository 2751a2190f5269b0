"""Let a run be watched from outside: its progress for `tlmed status`, and events for TensorBoard."""

import time
from collections.abc import Sequence

import keras

from tlmed.run.job import Job
from tlmed.run_files import STATUS_JSON
from tlmed.rundir import RunDir
from tlmed.sections import Phase

TENSORBOARD = "tensorboard"  # the folder of a run
SECONDS = 1.0  # at least so long between two notes: writing one takes time from training


class StatusNote(keras.callbacks.Callback):
    """Note where training stands, about once a second.

    Args:
        run: The run.
        phases: Its schedule.
        phase: The phase that is trained.
        steps: Batches per epoch.
        images: Images per epoch.
    """

    def __init__(self, run: RunDir, phases: Sequence[Phase], phase: Phase, steps: int, images: int):
        super().__init__()
        self.run, self.phase, self.steps, self.images = run, phase, steps, images
        self.number, self.phases = list(phases).index(phase) + 1, len(phases)
        self.start, self.first, self.noted, self.epoch = time.monotonic(), None, 0.0, 0

    def on_epoch_begin(self, epoch, logs=None):
        """Note the epoch, counted from 0."""
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        """Note the step that this command begins with, so that the pace counts only its own steps."""
        if self.first is None:
            self.first = self.epoch * self.steps + batch

    def on_train_batch_end(self, batch, logs=None):
        """Write a note, if the last one is a second old."""
        now = time.monotonic()
        if now - self.noted < SECONDS:
            return
        self.noted, done = now, self.epoch * self.steps + batch + 1
        pace = (now - self.start) / (done - self.first)
        STATUS_JSON.write(
            self.run,
            {
                "phase": self.phase.name,
                "number": self.number,
                "phases": self.phases,
                "epoch": self.epoch + 1,
                "epochs": self.phase.epochs,
                "step": batch + 1,
                "steps": self.steps,
                "images_per_second": round(self.images / self.steps / pace, 2),
                "seconds_left": round((self.phase.epochs * self.steps - done) * pace, 1),
                "time": time.time(),
            },
        )


def watchers(job: Job, phases: Sequence[Phase], phase: Phase, images: int) -> list[keras.callbacks.Callback]:
    """Return the callbacks by which a phase can be watched."""
    steps = -(-images // job.recipe.data.batch_size)
    found = [StatusNote(job.run, phases, phase, steps, images)]
    if job.recipe.tensorboard:
        found.append(keras.callbacks.TensorBoard(job.run / TENSORBOARD / phase.name, write_graph=False))
    return found
