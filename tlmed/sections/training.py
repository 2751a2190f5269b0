"""Phases and degrees: what is trained, in which order, and which score decides what is kept."""

import dataclasses
import re
from typing import Literal

from tlmed.sections.adaptation import ADAPTERS, find_adapter_conflicts
from tlmed.sections.rules import count, must, not_negative, one_of, optional_count, positive, section, share

BATCH_NORM = ("frozen", "affine", "update", "recalibrate")
MONITORS = {"val_auc": "max", "val_accuracy": "max", "val_loss": "min"}
OPTIMIZERS = ("adam", "adamw", "nadam", "rmsprop", "sgd")
PLATEAU = "plateau"
LBFGS, WHERE_POSSIBLE, AUTO_L2 = "lbfgs", "auto", "auto"
TOP3, EMA = "top3", "ema"
AVERAGES = ("none", TOP3, EMA)
EMA_DECAY = 0.999  # of a moving average
AUTO_RGN = "auto-rgn"
RATES = ("given", AUTO_RGN)
SCHEDULES = ("constant", "cosine", "linear", "step", PLATEAU)
STARTS = ("previous", "pretrained")
UNITS = ("block", "layer")
THRESHOLD_RULE = re.compile(r"youden|costs|(sensitivity|specificity)>=(0?\.\d+|1(?:\.0+)?|0)")

_LONGEST_NAME = 200  # bytes; file names are made of it, and file systems allow 255


def _warmup():
    return must("a share of the phase's steps, 0 to 1", lambda value: 0 <= value <= 1, default=0.0)


def _clip_norm():
    return must("a number above 0, or None", lambda value: value is None or positive(value), default=None)


def _weight_decay():
    return must("a number of 0 or more, or None", lambda value: value is None or not_negative(value), default=None)


def _strength(what):
    return must(f"{what}, 0 or more; 0 is off", not_negative, default=0.0)


def _label_smoothing():
    return must("a share from 0 to below 1", lambda value: 0 <= value < 1, default=0.0)


@section
class Phase:
    """One phase of training: which blocks are thawed, for how long, at which learning rate.

    Attributes:
        name: Names the phase in files and on screen.
        thaw: Blocks thawed, counted from the output; `"all"` for every block, 0 for the head alone.
        epochs: Passes over the training images, at most; with `sampling="balanced"` as many draws.
        learning_rate: Step size of the optimizer.
        patience: Epochs without improvement of the recipe's `monitor` before the phase ends; None: never.
        batch_norm: What BatchNorm does in thawed blocks. `"frozen"`: nothing moves; `"affine"`: gamma and beta
            train, statistics stay; `"update"`: everything trains, on the statistics of each batch, and the moving
            ones follow with a momentum of 0.9 at most, however slowly the backbone's own would;
            `"recalibrate"`: as `"affine"`, then the statistics are estimated again on training images.
        optimizer: A Keras optimizer, made afresh for the phase.
        unit: What `thaw` counts: blocks (one per resolution) or weighted layers.
        start: The weights to start from: those of the phase before, or the pretrained ones with the head as it was
            after the last phase that thawed nothing.
        block_decay: The factor from one learning rate to the next, from output to input: the head has `learning_rate`,
            the last block `learning_rate * block_decay`, the block before it that times `block_decay`, and so on.
        rates: Where the learning rates of blocks come from. `"given"`: from `learning_rate` and `block_decay`;
            `"auto-rgn"`: measured on training batches before the phase. The block with the largest ratio of gradient
            and weights has `learning_rate`, as the head has, the others have less in proportion (Lee et al. 2023).
        schedule: How the learning rate falls. `"constant"`: not at all; `"cosine"` and `"linear"`: towards 0 at the
            end of the phase; `"step"`: to a tenth after half of the steps, to a hundredth after three quarters (He et
            al. 2016); `"plateau"`: to a tenth whenever the recipe's `monitor` has not improved for half of `patience`.
        warmup: The share of the phase's steps in which the learning rate rises to its full value; 0: none.
        clip_norm: The largest norm of the gradient, of all weights together; a longer one is shortened. None: any.
        weight_decay: By which share, times the learning rate, weights shrink in each step (Loshchilov & Hutter 2019);
            biases, gamma and beta are left out. None: what the optimizer does by itself in Keras.
        label_smoothing: The probability with which a label is taken for one that is drawn from all (Szegedy et al.
            2016, section 7); of several labels, for 0 or 1 (each of them for itself).
        mixup: Alpha of the beta distribution from which the share of a second image is drawn, for each image anew;
            both are mixed, and so are their losses (Zhang et al. 2018). Where blocks are frozen, their outputs are
            mixed (Verma et al. 2019). 0: nothing is mixed.
        l2_sp: Half of this, times the squared distance of the thawed blocks from the pretrained weights, is added to
            the loss (Li et al. 2018, equation 2, without its term for the head).
        solver: How the head is found where it alone is trained. None: by the optimizer, epoch by epoch. `"lbfgs"`:
            multinomial logistic regression on standardised features is solved until it converges (for several labels
            one regression each), and the scaling becomes part of the head; epochs, rate, optimizer and patience have
            no meaning then, and can be left out. `"auto"`: solved where nothing asks for an optimizer, such as dropout,
            a hidden layer, augmentation anew in each epoch, a schedule, or `thaw` above 0; else trained.
        l2: The strength of the solver's penalty: `l2` / 2 times the sum of squared weights is added to the mean loss.
            `"auto"`: of 13 the one with the lowest log loss on validation images; where these are fewer than 10 of a
            class, on folds of the training images, which keep groups together.
        average: `"top3"`: the phase ends with the mean of the weights of its best three epochs, as far as validation is
            no worse for it (greedy soup, Wortsman et al. 2022). `"ema"`: with the exponential moving average of the
            weights of all steps (after Polyak & Juditsky 1992; decay 0.999, less at the beginning), as it was at the
            end of the phase or of its best epoch, if validation is no worse for it. With `batch_norm="update"`
            statistics are estimated again.
        adapt: What is trained of the thawed blocks in place of all their weights; the head trains as ever. `"lora"`:
            a product of two thin matrices beside each kernel of dense layers, attention and 1x1 convolutions (Hu et al.
            2022); `"ssf"`: a factor and a summand for each channel after convolutions, dense layers and normalisations
            (Lian et al. 2022); `"bitfit"`: biases, and the shifts of normalisations (Ben Zaken et al. 2022). After the
            phase they are merged into the weights: the network that is saved is a plain one.
        rank: Of LoRA's matrices; None: 8.
    """

    name: str = must(
        f"a word of letters, digits, '_', '-' or '.', with no '.' at the beginning, of {_LONGEST_NAME} bytes at most",
        # Files that begin with a dot are hidden.
        lambda name: re.fullmatch(r"[\w-][\w.-]*", name) and len(name.encode()) <= _LONGEST_NAME,
    )
    thaw: int | Literal["all"] = must("a whole number of blocks, 0 or more, or 'all'", lambda n: n == "all" or n >= 0)
    epochs: int = count()
    learning_rate: float = must("a number above 0", positive)
    patience: int | None = optional_count(default=None)
    batch_norm: str = one_of(BATCH_NORM, default="frozen")
    optimizer: str = one_of(OPTIMIZERS, default="adam")
    unit: str = one_of(UNITS, default="block")
    start: str = one_of(STARTS, default="previous")
    block_decay: float = share(default=1.0)
    rates: str = one_of(RATES, default="given")
    schedule: str = one_of(SCHEDULES, default="constant")
    warmup: float = _warmup()
    clip_norm: float | None = _clip_norm()
    weight_decay: float | None = _weight_decay()
    label_smoothing: float = _label_smoothing()
    mixup: float = _strength("alpha of a beta distribution")
    l2_sp: float = _strength("a strength")
    average: str = one_of(AVERAGES, default="none")
    adapt: str | None = must(
        " or ".join((", ".join(map(repr, ADAPTERS)), "None")), lambda name: name in (*ADAPTERS, None), default=None
    )
    rank: int | None = optional_count(default=None)
    solver: str | None = must(
        f"{LBFGS!r}, {WHERE_POSSIBLE!r} or None", lambda value: value in (LBFGS, WHERE_POSSIBLE, None), default=None
    )
    l2: float | Literal["auto"] = must(
        f"a number above 0, or {AUTO_L2!r}", lambda value: value == AUTO_L2 or positive(value), default=AUTO_L2
    )

    @staticmethod
    def fill_in(given: dict) -> None:
        """Give a phase that is solved the epochs and the rate of Keras, which nothing uses."""
        if given.get("solver") == LBFGS:
            given.setdefault("epochs", 1)
            given.setdefault("learning_rate", 1e-3)

    def find_conflicts(self, path: str) -> list[str]:
        """Return one sentence for each field that others rule out."""
        faults = _find_step_conflicts(self, path) + _find_solver_conflicts(self, path)
        faults += _find_rate_conflicts(self, path) + find_adapter_conflicts(self, path)
        if self.l2_sp and self.thaw == 0:
            faults.append(
                f"`{path}l2_sp` must be 0 with thaw=0, where no pretrained weight is trained. "
                f"Received: l2_sp={self.l2_sp!r}."
            )
        return faults


@section
class Degrees:
    """Degrees of fine-tuning: a phase for the head alone, then one for each block (or layer), which thaws one more.

    Attributes:
        epochs: Passes over the training images for each degree, the head's phase too, at most.
        learning_rate: Step size of the first degree that thaws a block.
        unit: What each degree thaws one more of: blocks or weighted layers.
        start: What each degree starts from: the one before it (progressive), or the pretrained weights with the
            trained head (independent, so that degrees can be compared with one another).
        falloff: Each further degree has `falloff` times the learning rate of the one before it.
        head_learning_rate: Step size of the head's phase.
        patience: Epochs without improvement of the recipe's `monitor` before a degree ends; None: never.
        batch_norm: As in `Phase`.
        optimizer: As in `Phase`.
        schedule: As in `Phase`, for each degree.
        warmup: As in `Phase`.
        clip_norm: As in `Phase`.
        weight_decay: As in `Phase`.
        label_smoothing: As in `Phase`.
        mixup: As in `Phase`.
        l2_sp: As in `Phase`, for each degree but the head's phase.
        average: As in `Phase`.
    """

    epochs: int = count()
    learning_rate: float = must("a number above 0", positive)
    unit: str = one_of(UNITS, default="block")
    start: str = one_of(STARTS, default="previous")
    falloff: float = share(default=1.0)
    head_learning_rate: float = must("a number above 0", positive, default=1e-3)
    patience: int | None = optional_count(default=None)
    batch_norm: str = one_of(BATCH_NORM, default="frozen")
    optimizer: str = one_of(OPTIMIZERS, default="adam")
    schedule: str = one_of(SCHEDULES, default="constant")
    warmup: float = _warmup()
    clip_norm: float | None = _clip_norm()
    weight_decay: float | None = _weight_decay()
    label_smoothing: float = _label_smoothing()
    mixup: float = _strength("alpha of a beta distribution")
    l2_sp: float = _strength("a strength")
    average: str = one_of(AVERAGES, default="none")

    def find_conflicts(self, path: str) -> list[str]:
        """Return one sentence for each field that others rule out."""
        return _find_step_conflicts(self, path)

    def expand(self, names) -> tuple[Phase, ...]:
        """Return the phases that these degrees are for a backbone.

        Args:
            names: The names of its blocks, from input to output; each degree is named after the block that it adds.

        >>> [(phase.name, phase.thaw) for phase in Degrees(epochs=1, learning_rate=1e-4).expand(["block1", "block2"])]
        [('head', 0), ('block2', 1), ('block1', 2)]
        """
        same = {name: getattr(self, name) for name in _find_same()}
        head = Phase("head", thaw=0, learning_rate=self.head_learning_rate, **same)
        same |= {"start": self.start, "l2_sp": self.l2_sp}
        degrees = (
            Phase(name, thaw=i + 1, learning_rate=_fall(self.learning_rate, self.falloff, i), **same)
            for i, name in enumerate(reversed(names))
        )
        return (head, *degrees)


# Fields of degrees that are not the same for all of their phases.
_OF_EACH = ("learning_rate", "start", "l2_sp")


def _find_same() -> list[str]:
    """Return the fields that all phases of degrees have from them.

    `Degrees` lists them once more and inherits nothing: bases would put their fields before `name` in every file, and
    a section in a section would lengthen the names by which a recipe's fields are set. A test compares both lists.
    """
    of_phase = {spec.name for spec in dataclasses.fields(Phase)}
    return [spec.name for spec in dataclasses.fields(Degrees) if spec.name in of_phase and spec.name not in _OF_EACH]


def _find_step_conflicts(part, path) -> list[str]:
    """Return what is wrong with the steps of a phase, or of degrees."""
    faults = []
    if part.warmup == 1 and part.schedule != "constant":
        faults.append(
            f"`{path}warmup` must be below 1 with schedule={part.schedule!r}: the phase would end with the warm-up, "
            f"before the learning rate falls. Received: warmup={part.warmup!r}."
        )
    rate = max(part.learning_rate, getattr(part, "head_learning_rate", 0.0))
    if part.weight_decay and part.weight_decay * rate >= 1:
        faults.append(
            f"`{path}weight_decay` must be below {1 / rate:g} at a learning rate of {rate:g}: a step would take more "
            f"from a weight than all of it. Received: weight_decay={part.weight_decay!r}."
        )
    if part.schedule == PLATEAU and part.patience == 1:
        faults.append(
            f"`{path}patience` must be 2 or more, or None, with schedule='plateau': the phase would end before the "
            "learning rate falls, which it does after half of these epochs. Received: patience=1."
        )
    return faults


def _find_rate_conflicts(phase, path) -> list[str]:
    """Return what does not go with learning rates that are measured."""
    if phase.rates != AUTO_RGN:
        return []
    rules = {
        f"must be 'given' with thaw=0, where no block is trained. Received: rates={phase.rates!r}.": (phase.thaw == 0),
        "must be 'given' with a `block_decay`, because both say the rate of each block. "
        f"Received: rates={phase.rates!r} with block_decay={phase.block_decay!r}.": phase.block_decay != 1,
    }
    return [f"`{path}rates` {words}" for words, holds in rules.items() if holds]


# Fields that mean something to a solver, or that nothing uses then; another that is set would be lost.
_OF_SOLVED = (
    *("name", "thaw", "epochs", "learning_rate", "patience", "batch_norm", "optimizer", "unit", "start"),
    *("solver", "l2"),
)


def list_optimizer_fields(phase: Phase) -> list[str]:
    """Return the fields of a phase that only an optimizer heeds, and that are set, as `name=value`."""
    others = [spec for spec in dataclasses.fields(phase) if spec.name not in _OF_SOLVED]
    given = [(spec.name, getattr(phase, spec.name)) for spec in others if getattr(phase, spec.name) != spec.default]
    return [f"{name}={value!r}" for name, value in given]


def _find_solver_conflicts(phase, path) -> list[str]:
    """Return what does not go with a head that is solved, or with one that is not."""
    if phase.solver is None:
        if phase.l2 == AUTO_L2:
            return []
        return [f"`{path}l2` must be {AUTO_L2!r} without a `solver`. Received: l2={phase.l2!r}."]
    if phase.solver == WHERE_POSSIBLE:
        return []
    if phase.thaw != 0:
        return [
            f"`{path}solver` must be None unless thaw=0: only a head alone can be solved. "
            f"Received: solver={phase.solver!r} with thaw={phase.thaw!r}."
        ]
    if not (given := list_optimizer_fields(phase)):
        return []
    return [
        f"`{path}solver` must be None with fields of an optimizer. Received: solver={phase.solver!r} with "
        f"{', '.join(given)}."
    ]


def _fall(rate, falloff, steps) -> float:
    # Rounded to twelve digits, so that a written recipe says 3e-5 instead of 2.9999999999999997e-05.
    return float(f"{rate * falloff**steps:.12g}")
