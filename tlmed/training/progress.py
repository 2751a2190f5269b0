"""Show training on a screen: a bar with the last scores on a terminal, a line an epoch elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import keras

from tlmed.errors import InputError
from tlmed.screen import Bar, Screen, in_notebook, is_terminal
from tlmed.voice import SILENT, Voice

SCORES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc")


def speak(screen: Screen) -> Voice:
    """Return a voice that speaks to a screen."""

    def progress(phase: str, epochs: int, steps: int):
        return _show_phase(screen, phase, epochs, steps)

    def features(name: str, images: int):
        return _count(screen, f"Features ({name})", images)

    def count(words: str, total: int):
        return _count(screen, words, total)

    return Voice(screen.say, screen.warn, screen.busy, progress, features, count)


def open_voice(verbose: bool | str = "auto") -> Voice:
    """Return a voice that speaks to standard output, or a silent one.

    Args:
        verbose: True, False, or `"auto"`: whether standard output is a terminal, or a notebook's.

    Raises:
        InputError: If it is something else.
    """
    if verbose not in (True, False, "auto"):
        raise InputError(f"`verbose` must be True, False or 'auto'. Received: verbose={verbose!r}.")
    shown = is_terminal(sys.stdout) or in_notebook() if verbose == "auto" else verbose
    return speak(Screen(sys.stdout)) if shown else SILENT


def describe(logs: dict) -> str:
    """Return an epoch's scores in a few words.

    >>> describe({"loss": 0.5, "val_auc": 0.875})
    'loss 0.5000  val_auc 0.8750'
    """
    return "  ".join(f"{name} {logs[name]:.4f}" for name in SCORES if logs.get(name) is not None)


class Lines(keras.callbacks.Callback):
    """Say a line for every epoch."""

    def __init__(self, say: Callable[[str], None], phase: str, epochs: int):
        super().__init__()
        self.say, self.phase, self.epochs = say, phase, epochs

    def on_epoch_end(self, epoch, logs=None):
        """Say the epoch's scores."""
        self.say(f"{self.phase}  epoch {epoch + 1}/{self.epochs}  {describe(logs)}")


class Moving(keras.callbacks.Callback):
    """Move a bar along by batches, with the scores of the last epoch below it."""

    def __init__(self, bar: Bar, phase: str, epochs: int, steps: int):
        super().__init__()
        self.bar, self.phase, self.epochs, self.steps = bar, phase, epochs, steps
        self.epoch, self.last = 0, ""

    def on_epoch_begin(self, epoch, logs=None):
        """Note the epoch, counted from 0."""
        self.epoch = epoch
        self.bar.label = f"{self.phase}  epoch {epoch + 1}/{self.epochs}"

    def on_train_batch_end(self, batch, logs=None):
        """Move on to a batch, counted from 0: an absolute position, because a run that goes on begins in the middle."""
        self.bar.move(self.epoch * self.steps + batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        """Show the epoch's scores, the validation's first: what does not fit is cut off on the right."""
        self.last = describe(logs)
        self.bar.note = "  ".join(reversed(self.last.split("  ")))


@contextlib.contextmanager
def _show_phase(screen, phase, epochs, steps) -> Iterator[keras.callbacks.Callback]:
    """Give a callback that shows a phase; on a terminal one line about it remains."""
    if screen.console is None:
        yield Lines(screen.say, phase, epochs)
        return
    begin = time.monotonic()
    with screen.wait(Bar(phase, epochs * steps)) as bar:
        moving = Moving(bar, phase, epochs, steps)
        yield moving
    screen.say(f"{phase}  {moving.epoch + 1} of {epochs} epochs, {time.monotonic() - begin:.0f} s  {moving.last}")


@contextlib.contextmanager
def _count(screen, label, total) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many more of something are done: a bar on a terminal, nothing elsewhere."""
    with screen.wait(Bar(label, total)) as bar:
        bar.move(0)
        yield lambda more: bar.move(bar.done + more)
