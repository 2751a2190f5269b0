"""Show a phase as it trains: one bar on a terminal, a line an epoch elsewhere; features too, in a bar."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import click
import keras

SCORES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_auc")


def describe(logs: dict) -> str:
    """Return an epoch's scores in a few words.

    >>> describe({"loss": 0.5, "val_auc": 0.875})
    'loss 0.5000  val_auc 0.8750'
    """
    return "  ".join(f"{name} {logs[name]:.4f}" for name in SCORES if logs.get(name) is not None)


class Lines(keras.callbacks.Callback):
    """Print a line for every epoch."""

    def __init__(self, phase: str, epochs: int):
        super().__init__()
        self.phase, self.epochs = phase, epochs

    def on_epoch_end(self, epoch, logs=None):
        """Print the epoch's scores."""
        click.echo(f"{self.phase}  epoch {epoch + 1}/{self.epochs}  {describe(logs)}")


class Bar(keras.callbacks.Callback):
    """Move a progress bar along by batches, with the scores of the last epoch beside it."""

    def __init__(self, bar, epochs: int, steps: int):
        super().__init__()
        self.bar, self.epochs, self.steps, self.epoch = bar, epochs, steps, 0

    def on_epoch_begin(self, epoch, logs=None):
        """Note the epoch, counted from 0."""
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Move on to a batch, counted from 0; several may have run at once, and some in an earlier, stopped command."""
        self.bar.update(self.epoch * self.steps + batch + 1 - self.bar.pos, self.bar.current_item)

    def on_epoch_end(self, epoch, logs=None):
        """Show the epoch's scores, also where the bar is full."""
        self.bar.current_item = f"epoch {epoch + 1}/{self.epochs}  {describe(logs)}"
        self.bar.render_progress()


@contextlib.contextmanager
def show_phase(phase: str, epochs: int, steps: int) -> Iterator[keras.callbacks.Callback]:
    """Give a callback that shows a phase on standard output: a bar on a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield Lines(phase, epochs)
        return
    with click.progressbar(length=epochs * steps, label=phase, item_show_func=lambda words: words) as bar:
        yield Bar(bar, epochs, steps)


@contextlib.contextmanager
def show_features(name: str, images: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many more images have features: a bar on a terminal, nothing elsewhere."""
    if not sys.stdout.isatty():
        yield lambda count: None
        return
    with click.progressbar(length=images, label=f"Features ({name})") as bar:
        yield bar.update
