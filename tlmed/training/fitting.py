"""Train a phase: exact validation scores, early stopping, checkpoints; NaN ends it."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tlmed import stopping
from tlmed.errors import RunFailed, Terminated
from tlmed.label_texts import NEGATIVE, POSITIVE
from tlmed.label_vectors import are_vectors
from tlmed.optimizers import read_averages
from tlmed.replicas import assign_each, read_each, replicas, workers
from tlmed.schedules import is_scheduled
from tlmed.sections import MONITORS, Phase
from tlmed.sections.training import EMA, TOP3
from tlmed.training.best_epoch import BestEpoch
from tlmed.training.checkpoints import Checkpoints
from tlmed.training.judging import Judge, measure
from tlmed.training.loop import Loop
from tlmed.training.rates import Rates
from tlmed.training.soups import PLACES, choose_average, cook
from tlmed.words import listed

IMAGES = "images"  # what a phase is fed with where no features are kept


@dataclass(frozen=True)
class PhaseResult:
    """How a phase ended.

    Attributes:
        name: The phase.
        score: Its best value of the monitored score.
        best_epoch: The epoch that gave it, counted from 1; the network holds that epoch's weights, or an average.
        epochs: Epochs trained.
        seconds: What the phase took, tracing and validation included.
        earlier: Seconds of it that an earlier, stopped command spent.
        averaged: The epochs whose weights were averaged, counted from 1; none where nothing was.
        moving_average: The epoch, from 1, at whose end the moving average of the weights was what the network holds;
            None where it holds none.
        solved: Whether its head was solved; the one epoch is that of the solution.
    """

    name: str
    score: float
    best_epoch: int
    epochs: int
    seconds: float
    earlier: float = 0.0
    averaged: tuple[int, ...] = ()
    moving_average: int | None = None
    solved: bool = False


class Validation(keras.callbacks.Callback):
    """Score the validation images after every epoch, in one pass, exactly.

    Keras's own AUC approximates by thresholds and knows no macro average; `val_auc` is `metrics.macro_auc`.
    It must come before the callbacks that read `val_...` from the logs.
    """

    def __init__(self, predict: Callable[[], np.ndarray], labels: np.ndarray):
        super().__init__()
        self.predict, self.labels = predict, labels

    def on_epoch_end(self, epoch, logs=None):
        """Add `val_loss`, `val_accuracy` and `val_auc` to the logs."""
        scores = self.predict()
        if not (np.isfinite(scores).all() and math.isfinite(logs["loss"])):
            raise RunFailed(
                f"The loss must stay finite; a lower `learning_rate` often helps. "
                f"Received: loss={logs['loss']} in epoch {epoch + 1}."
            )
        logs.update({f"val_{name}": value for name, value in measure(scores, self.labels).items()})


class EpochLog(keras.callbacks.Callback):
    """Hand every epoch's scores, with its number and seconds, to a function, and remember them.

    Attributes:
        rows: One for each epoch so far.
        before: Seconds that an earlier, stopped command spent on the phase; and how many of them on its last epoch.
        start: When the phase began, as `time.perf_counter` gives it; None: now.
    """

    def __init__(self, phase: str, record: Callable[[dict], None], start: float | None = None):
        super().__init__()
        self.phase, self.record, self.rows, self.before = phase, record, [], (0.0, 0.0)
        self.epoch_start = time.perf_counter()
        self.start = self.epoch_start if start is None else start

    @property
    def phase_seconds(self) -> float:
        """What the phase has taken."""
        return time.perf_counter() - self.start + self.before[0]

    @property
    def epoch_seconds(self) -> float:
        """What the epoch has taken."""
        return time.perf_counter() - self.epoch_start + self.before[1]

    def resume(self, rows: list[dict], before: tuple[float, float]) -> None:
        """Go on after some epochs, whose rows are recorded again."""
        self.rows, self.before = rows, before
        for row in rows:
            self.record(row)

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self.epoch_start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Record the epoch."""
        row = {"phase": self.phase, "epoch": epoch + 1, **logs, "seconds": round(self.epoch_seconds, 3)}
        # The earlier command spent seconds on this epoch alone; the next ones begin here.
        self.before = (self.before[0], 0.0)
        self.rows.append(row)
        self.record(row)


@dataclass(frozen=True)
class State:
    """All that the next step of a phase depends on, besides the images and their order, which the seed decides.

    Attributes:
        loop: Where training stands, its metrics and the optimizer.
        best: The best epoch so far, with its weights.
        log: The epochs so far.
        moving: The network's variables that the phase can change, the states of dropout and augmentation among them.
        fed: What the phase is fed with, in words: a step on images and one on features are not the same to the bit.
    """

    loop: Loop
    best: BestEpoch
    log: EpochLog
    moving: Sequence[keras.Variable]
    fed: str = IMAGES

    @property
    def _weights(self) -> list[keras.Variable]:
        """The weights that the phase can change, in the network's order, whether the loop trains all of it or a suffix.

        They are numbered, not named by their paths: a user's own layers may have other numbers in their names when the
        network is made again.
        """
        local = {id(variable) for variable in self._states}
        return [variable for variable in self.moving if id(variable) not in local]

    @property
    def _states(self) -> list[keras.Variable]:
        """The random states of dropout and augmentation; each replica has its own."""
        weights = {id(weight) for weight in self.loop.model.weights}
        return [variable for variable in self.moving if id(variable) not in weights]

    @property
    def _seen(self) -> list[keras.Variable]:
        """The sums of the metrics over this epoch's steps; each replica has its own."""
        return [variable for metric in self.loop.metrics for variable in metric.variables]

    @property
    def _places(self) -> list[int]:
        """The position of each of `_weights` among all weights of what the loop trains: the network, or its suffix."""
        places = {id(weight): i for i, weight in enumerate(self.loop.model.weights)}
        return [places[id(weight)] for weight in self._weights]

    def take(self) -> tuple[dict, Iterator[tuple[str, np.ndarray]]]:
        """Return the facts and arrays that `put` restores everything from; each array is read when it is asked for."""
        best, loop = self.best, self.loop
        about = {
            "phase": self.log.phase,
            "fed": self.fed,
            "replicas": replicas(),
            "epoch": loop.epoch,
            "step": loop.step,
            "stopped": bool(loop.model.stop_training),
            "best": None if best.best is None else float(best.best),
            "best_epoch": best.best_epoch,
            "wait": best.wait,
            "runners": list(best.runners),
            "average": best.average is not None,
            "rows": self.log.rows,
            "seconds": [self.log.phase_seconds, self.log.epoch_seconds if loop.step else 0.0],
        }
        return about, self._arrays()

    def _arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        yield from ((name, variable.numpy()) for name, variable in self._shared.items())
        yield from ((f"state {i}", values) for i, values in enumerate(read_each(self._states)))
        yield from ((f"seen {i}", values) for i, values in enumerate(read_each(self._seen)))
        if self.best.best_weights is not None:
            yield from ((f"best {i}", self.best.best_weights[place]) for i, place in enumerate(self._places))
        if self.best.average is not None:
            yield from ((f"average {i}", self.best.average[place]) for i, place in enumerate(self._places))
        for epoch, weights in self.best.runners.items():
            yield from ((f"runner{epoch} {i}", weights[place]) for i, place in enumerate(self._places))

    @property
    def _shared(self) -> dict[str, keras.Variable]:
        """The variables that are the same on all replicas, by a name for the checkpoint."""
        parts = {"weight": self._weights, "optimizer": self.loop.model.optimizer.variables}
        return {f"{name} {i}": variable for name, part in parts.items() for i, variable in enumerate(part)}

    def put(self, about: dict, arrays: dict[str, np.ndarray]) -> None:
        """Restore everything that `take` saved; with another number of replicas random states start again.

        Raises:
            RunFailed: If the checkpoint is of something else than the phase trains.
        """
        best, loop = self.best, self.loop
        self._check(about, arrays)
        for name, variable in self._shared.items():
            variable.assign(arrays[name])
        seen = [arrays[f"seen {i}"] for i in range(len(self._seen))]
        if about["replicas"] == replicas():
            assign_each(self._states, [arrays[f"state {i}"] for i in range(len(self._states))])
        else:
            # A metric is the sum over its replicas, so that all of it may stand on the first one.
            seen = [np.stack([rows.sum(axis=0), *[np.zeros_like(rows[0])] * (replicas() - 1)]) for rows in seen]
        assign_each(self._seen, seen)
        best.best, best.best_epoch, best.wait = about["best"], about["best_epoch"], about["wait"]
        if about["best"] is not None:
            best.loss = about["rows"][best.best_epoch]["val_loss"]
            # All weights are restored at once. Frozen ones are the same now as then, so only the others were saved.
            best.best_weights = self._complete("best", arrays)
            best.average = self._complete("average", arrays) if about.get("average") else None
        runners = {epoch: self._complete(f"runner{epoch}", arrays) for epoch in about.get("runners", ())}
        best.resume(about["rows"], runners)
        loop.epoch, loop.step, loop.model.stop_training = about["epoch"], about["step"], about["stopped"]
        self.log.resume(about["rows"], tuple(about["seconds"]))

    def _complete(self, name, arrays) -> list[np.ndarray]:
        weights = self.loop.model.get_weights()
        for i, place in enumerate(self._places):
            weights[place] = arrays[f"{name} {i}"]
        return weights

    def _check(self, about, arrays) -> None:
        """Refuse a checkpoint of something else than is trained here."""
        here = {name: tuple(variable.shape) for name, variable in self._shared.items()}
        kept = [*(["best"] if about["best"] is not None else []), *(["average"] if about.get("average") else [])]
        kept += [f"runner{epoch}" for epoch in about.get("runners", ())]
        here |= {f"{name} {i}": tuple(it.shape) for name in kept for i, it in enumerate(self._weights)}
        # "state" and "seen" depend on the number of replicas, which may have changed.
        there = {name: array.shape for name, array in arrays.items() if name.split()[0] not in ("state", "seen")}
        differ = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
        if about.get("fed") != self.fed or differ:
            why = f"others are {listed(differ)}" if differ else f"{about.get('fed')} there, {self.fed} here"
            raise RunFailed(
                f"A checkpoint of phase {self.log.phase!r} must be of what the phase trains here; --fresh starts over. "
                f"Received: {why}."
            )


@dataclass(frozen=True)
class Saving:
    """What is saved of a phase while it trains, and where.

    Attributes:
        checkpoints: Where the phase is saved, also when it is asked to stop, and where it goes on from. None: nowhere.
        moving: The variables that the phase can change; None: all of the network's.
        fed: What the loop's batches hold, in words; a phase goes on only from a checkpoint with the same.
        start: When the phase began, as `time.perf_counter` gives it. The seconds of a stopped command count from there,
            so that they include computing features. None: when `fit_phase` is called.
    """

    checkpoints: Checkpoints | None = None
    moving: Sequence[keras.Variable] | None = None
    fed: str = IMAGES
    start: float | None = None


def fit_phase(
    loop: Loop,
    phase: Phase,
    judge: Judge,
    record: Callable[[dict], None] = lambda row: None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    saving: Saving = Saving(),
    most: int | None = None,
) -> PhaseResult:
    """Train a compiled network for one phase and leave it with the weights of its best epoch.

    Args:
        loop: Over the network, as `tlmed.phases.thaw` left it or the `tlmed.phases.trainer` of that.
        phase: Epochs and patience.
        judge: Scores each epoch.
        record: Called with every epoch's scores; if a phase goes on, first with those of the epochs before.
        callbacks: More Keras callbacks, such as a progress bar.
        saving: What is saved while it trains; by default nothing.
        most: Epochs after which it ends, of those that it has; None: all.

    Raises:
        RunFailed: If the loss or a score is no longer finite, or a checkpoint is of something else.
        Interrupted, Terminated: If it is asked to stop: after the next step, and once that is saved.
    """
    # Without patience no epoch ends it, but the weights of the best one are kept.
    places = PLACES if phase.average == TOP3 else 1
    patience, moves = phase.patience or phase.epochs, phase.average == EMA
    best = BestEpoch(judge.monitor, MONITORS[judge.monitor], patience, places, moves)
    log, checkpoints = EpochLog(phase.name, record, saving.start), saving.checkpoints
    moving = loop.model.variables if saving.moving is None else saving.moving
    state, rates = State(loop, best, log, moving, saving.fed), Rates(phase, judge.monitor, loop.steps)

    def save() -> None:
        if checkpoints is not None:
            checkpoints.save(*state.take())

    def wishes() -> tuple[bool, bool]:
        return stopping.requested() is not None, checkpoints is not None and checkpoints.due

    def look(stop: bool, due: bool) -> None:
        if stop or due:
            save()
        if stop:
            raise stopping.requested() or Terminated("Stopped: another worker was asked to.")

    def begin() -> None:
        if checkpoints is not None and (found := checkpoints.newest(phase.name)):
            state.put(*found)
            rates.resume(log.rows)

    # One of several workers must not stop alone, because the others would wait for it: they agree on a step in `look`.
    with stopping.saving(save if workers()[1] == 1 else None):
        # The order matters: Validation adds the scores that all after it read.
        scores = [Validation(judge.validate, judge.labels), *([rates] if is_scheduled(phase) else [])]
        loop.run(min(phase.epochs, most or phase.epochs), [*scores, best, log, *callbacks], wishes, look, begin)
    averaged = _average(loop.model, best, judge, len(log.rows))
    seconds, earlier = log.phase_seconds, log.before[0]
    # Keras counts from 0.
    return PhaseResult(phase.name, float(best.best), best.best_epoch + 1, len(log.rows), seconds, earlier, **averaged)


def _average(model, best, judge, epochs) -> dict:
    """Average weights where validation is no worse for it, and return the fields of `PhaseResult` that say so."""
    if best.averaged:
        averages = {best.best_epoch: best.average, epochs - 1: read_averages(model)}
        chosen = choose_average(model, best.best_weights, averages, judge.score, judge.settle)
        return {"moving_average": None if chosen is None else chosen + 1}
    if not best.runners:
        return {}
    soup = cook(model, [(best.best_epoch, best.best_weights), *best.runners.items()], judge.score, judge.settle)
    return {"averaged": tuple(epoch + 1 for epoch in soup.epochs)} if len(soup.epochs) > 1 else {}


def class_weights(labels: np.ndarray) -> dict[int, float | tuple[float, float]]:
    """Return n / (classes * n_class) for every class, scikit-learn's "balanced"; for every label a pair, for 0 and 1.

    Args:
        labels: Classes [n], or vectors of labels [n, k]; a label counts where it is known.

    >>> class_weights(np.array([0, 0, 0, 1]))
    {0: 0.6666666666666666, 1: 2.0}
    """
    if are_vectors(labels):
        return {number: _balance(column) for number, column in enumerate(labels.T)}
    counts = np.bincount(labels)
    return {i: len(labels) / (len(counts) * int(count)) for i, count in enumerate(counts)}


def _balance(column) -> tuple[float, float]:
    """Return the factors of 0 and 1 of a label; 1 for a value that does not occur."""
    counts = [int((column == value).sum()) for value in (NEGATIVE, POSITIVE)]
    return tuple(sum(counts) / (2 * number) if number else 1.0 for number in counts)
