"""The sections of a recipe: what can be set, and the rule of each field."""

import re
from typing import Literal

from tlmed.columns import Grouping
from tlmed.recipe.rules import count, must, one_of, optional_count, positive, section, share

CACHE = ("auto", "on", "off")
CACHE_DTYPES = ("float32", "float16")
ENGINES = ("auto", "tensorflow", "openvino")
PRECISIONS = ("float32", "bfloat16")
BATCH_NORM = ("frozen", "affine", "update", "recalibrate")
FLIPS = ("none", "horizontal", "vertical", "both")
OPTIMIZERS = ("adam", "adamw", "nadam", "rmsprop", "sgd")
POOLING = ("avg", "max")
STRATEGIES = ("auto", "one", "mirrored", "multi-worker")
STARTS = ("previous", "pretrained")
UNITS = ("block", "layer")

_LONGEST_NAME = 200  # file names are made of it, and file systems take 255 bytes
# What one value of a grid can be, so that a recipe's source says all of it.
Plain = int | float | str | bool | None


@section
class KFold:
    """Cross-validation: the images are divided into `k` folds, and each fold is the test split of a run of its own.

    Attributes:
        k: How many folds the images are divided into.
        repeats: How often they are divided, anew each time.
        val: The share of what is not test that becomes validation.
        fold: None: a run for each fold, `k * repeats` in all, and their mean. A number from 1: this fold's run alone.
    """

    k: int = must("a whole number of 2 or more", lambda k: k >= 2)
    repeats: int = count(default=1)
    val: float = must("a fraction above 0 and below 1", lambda val: 0 < val < 1, default=0.15)
    fold: int | None = optional_count(default=None)

    @property
    def folds(self) -> int:
        """Return how many folds there are in all."""
        return self.k * self.repeats

    @property
    def test_share(self) -> float:
        """Return the test images of a fold by those that its weights are trained on, without validation images.

        >>> round(KFold(k=5, val=0.15).test_share, 3)
        0.294
        """
        return 1 / ((self.k - 1) * (1 - self.val))

    def place(self) -> tuple[int, int]:
        """Return the repeat that `fold` is in, and its place there, both from 1.

        >>> KFold(k=5, repeats=2, fold=7).place()
        (2, 2)
        """
        repeat, fold = divmod(self.fold - 1, self.k)
        return repeat + 1, fold + 1


@section
class Images:
    """Where the images come from and how they are read.

    Attributes:
        source: A folder, a `.csv`, a MedMNIST `.npz`, or `tfds:NAME`; see the guide on data.
        image_size: Height and width, in pixels, that every image is resized to.
        split: Fractions of train, validation and test, used where the data brings no split of its own; or a `KFold`,
            for data that brings none.
        batch_size: Images per training step.
        positive: The positive class of a two-class task; by default the second in sorted order, numbers by their size:
            malignant of benign and malignant, 1 of 0 and 1, 10 of 9 and 10.
        group_column: The column of a `.csv` that names the group (the patient) of each image, whose images stay in one
            split; None: the one with a usual name, such as `group`, `patient_id`, `subject` or `case`.
        groups: False: every image stands alone, whatever columns there are.
    """

    source: str = must("a path or 'tfds:NAME'", bool)
    image_size: tuple[int, int] = must(
        "two whole numbers from 16 to 4096, height and width",
        lambda size: all(16 <= side <= 4096 for side in size),
        default=(224, 224),
    )
    split: tuple[float, float, float] | KFold = must(
        "three fractions above 0 that sum to 1: train, val, test; or a KFold(...)",
        lambda split: isinstance(split, KFold) or (all(map(positive, split)) and abs(sum(split) - 1) < 1e-6),
        default=(0.70, 0.15, 0.15),
    )
    batch_size: int = count(default=32)
    positive: str | None = must("the name of a class, or None", lambda name: name != "", default=None)
    group_column: str | None = must("the name of a column, or None", lambda name: name != "", default=None)
    groups: bool = must("True or False", lambda _: True, default=True)

    @property
    def grouping(self) -> Grouping:
        """Return how groups are found."""
        return Grouping(self.group_column, self.groups)


@section
class Augment:
    """Random changes to training images; all off by default.

    Attributes:
        flip: Mirror at random along this axis.
        rotation: Largest rotation, as a fraction of a full turn, in both directions (0.1: up to 36 degrees).
        zoom: Largest change of scale, as a fraction, in both directions.
        contrast: Largest change of contrast, as a fraction, in both directions.
        views: Versions of each training image that are made once and take turns over the epochs, so that what frozen
            blocks give for them can be kept; 0: every epoch makes new ones. Phases that freeze nothing make new ones.
    """

    flip: str = one_of(FLIPS, default="none")
    rotation: float = must("a fraction of a turn from 0 to 0.5", lambda v: 0 <= v <= 0.5, default=0.0)
    zoom: float = must("a fraction from 0 to below 1", lambda v: 0 <= v < 1, default=0.0)
    contrast: float = must("a fraction from 0 to below 1", lambda v: 0 <= v < 1, default=0.0)
    views: int = must("a whole number, 0 or more", lambda n: n >= 0, default=0)


@section
class Dense:
    """A Keras head: global pooling, then dense layers, then one probability per class.

    Attributes:
        dropout: Fraction of inputs dropped before the last layer while training.
        pooling: How the last feature map becomes one vector.
        units: Widths of hidden ReLU layers; none by default, which makes the head a linear classifier.
    """

    dropout: float = must("a fraction from 0 to below 1", lambda rate: 0 <= rate < 1, default=0.0)
    pooling: str = one_of(POOLING, default="avg")
    units: tuple[int, ...] = must(
        "whole numbers of 1 or more", lambda widths: all(width >= 1 for width in widths), default=()
    )


@section
class Hybrid:
    """A scikit-learn classifier on pooled features of the frozen backbone, its parameters chosen by a grid search.

    Attributes:
        classifier: The name of a scikit-learn classifier, such as `"SVC"` or `"RandomForestClassifier"`.
        grid: For each of its parameters the values to try; empty: tlmed's own grid for that classifier.
        scale: Standardise the features first.
        pca: Principal components to keep, as a number or as a fraction of the variance; None: all features.
        folds: Folds of the cross-validation inside the training images that chooses from the grid.
        tap: The block whose output gives the features, or `"last"`.
        pooling: How a feature map becomes one vector.
    """

    classifier: str = must("the name of a scikit-learn classifier", str.isidentifier, default="SVC")
    grid: dict[str, tuple[Plain | tuple[int | float, ...], ...]] = must(
        "a dictionary: parameter name -> a tuple of numbers, texts, booleans, None or tuples of numbers",
        lambda grid: all(name and values for name, values in grid.items()),
        default_factory=dict,
    )
    scale: bool = must("True or False", lambda _: True, default=True)
    pca: int | float | None = must(
        "a whole number of 1 or more, a fraction between 0 and 1, or None",
        lambda n: n is None or (n >= 1 if isinstance(n, int) else 0 < n < 1),
        default=None,
    )
    folds: int = must("a whole number of 2 or more", lambda folds: folds >= 2, default=5)
    tap: str = must("the name of a block, or 'last'", bool, default="last")
    pooling: str = one_of(POOLING, default="avg")


@section
class Phase:
    """One stretch of training: what is thawed, for how long, at which rate.

    Attributes:
        name: Names the phase in files and on screen.
        thaw: Blocks thawed, counted from the output; `"all"` for every block, 0 for the head alone.
        epochs: Passes over the training images, at most.
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
        block_decay: The learning rate of each thawed block is this times that of what follows it: the head has
            `learning_rate`, the last block `learning_rate * block_decay`, and so on towards the input.
    """

    name: str = must(
        f"a word of letters, digits, '_', '-' or '.', with no '.' at the beginning, of {_LONGEST_NAME} bytes at most",
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


@section
class Degrees:
    """Degrees of fine-tuning, as many as the backbone has blocks (or layers): the head alone, then one more each.

    Attributes:
        epochs: Passes over the training images for each degree, the head's phase too, at most.
        learning_rate: Step size of the first degree that thaws a block.
        unit: What each degree thaws one more of: blocks or weighted layers.
        start: What each degree starts from: the one before it (progressive), or the pretrained weights with the
            trained head (independent, so that degrees can be compared with one another).
        falloff: Each further degree has the learning rate of the one before it times this.
        head_learning_rate: Step size of the head's phase.
        patience: Epochs without improvement of the recipe's `monitor` before a degree ends; None: never.
        batch_norm: As in `Phase`.
        optimizer: As in `Phase`.
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

    def expand(self, names) -> tuple[Phase, ...]:
        """Return the phases that these degrees are for a backbone.

        Args:
            names: The names of its blocks, from input to output; each degree is called after the one it adds.

        >>> [(phase.name, phase.thaw) for phase in Degrees(epochs=1, learning_rate=1e-4).expand(["block1", "block2"])]
        [('head', 0), ('block2', 1), ('block1', 2)]
        """
        same = {name: getattr(self, name) for name in ("epochs", "patience", "batch_norm", "optimizer", "unit")}
        head = Phase("head", thaw=0, learning_rate=self.head_learning_rate, **same)
        degrees = (
            Phase(name, thaw=i + 1, learning_rate=_fall(self.learning_rate, self.falloff, i), start=self.start, **same)
            for i, name in enumerate(reversed(names))
        )
        return (head, *degrees)


def _fall(rate, falloff, steps) -> float:
    # Twelve digits are exact enough, and a written recipe says 3e-5 instead of 2.9999999999999997e-05.
    return float(f"{rate * falloff**steps:.12g}")
