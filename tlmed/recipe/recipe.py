"""The recipe itself: its sections together, and the rules between them."""

import dataclasses
import unicodedata

from tlmed.errors import InputError
from tlmed.recipe.decision_fields import (
    ABOVE_ZERO,
    COSTS,
    are_costs,
    find_decision_faults,
    is_above_zero,
    say_wrong_costs,
)
from tlmed.recipe.label_rules import find_task_conflicts
from tlmed.recipe.solver_rules import find_solver_faults, settle_solvers
from tlmed.sections import MONITORS, THRESHOLD_RULE, Augment, Degrees, Dense, Hybrid, Images, Phase, Stated
from tlmed.sections.rules import find_faults as find_section_faults
from tlmed.sections.rules import must, one_of, optional_count, section
from tlmed.source_layout import Layout
from tlmed.tasks import AUTO, MULTI_LABEL, ORDINAL, SINGLE_LABEL, TASKS

CACHE = ("auto", "on", "off")
CACHE_DTYPES = ("float32", "float16")
CLASS_WEIGHTS = ("none", "balanced")
ENGINES = ("auto", "tensorflow", "openvino")
KEEP = ("best", "last")
PRECISIONS = ("float32", "bfloat16")
SAMPLING = ("none", "balanced")
ASKED_TASKS = (AUTO, *TASKS)
STRATEGIES = ("auto", "one", "mirrored", "multi-worker")
LONGEST_NAME = 200  # characters of a title
# Unicode categories that no title may hold: controls, halves of surrogate pairs, ends of lines and of paragraphs.
_NO_LETTERS = frozenset({"Cc", "Cs", "Zl", "Zp"})


def _one_name_or_several(value) -> bool:
    return bool(value) and (isinstance(value, str) or (len(value) > 1 and all(value)))  # a single one is no tuple


def _rule_or_score(value) -> bool:
    return bool(THRESHOLD_RULE.fullmatch(value)) if isinstance(value, str) else 0 <= value <= 1


def _one_line(value) -> bool:
    """Tell whether a text of any script can stand as a title."""
    plain = not any(unicodedata.category(letter) in _NO_LETTERS for letter in value)
    return plain and bool(value.strip()) and len(value) <= LONGEST_NAME


@section
class Recipe:
    """Everything that decides a run.

    Attributes:
        data: The images.
        backbone: A name from `tlmed backbones`, or several, whose features are concatenated.
        phases: What is trained, in order, or the `Degrees` that make as many phases as the backbone has blocks.
        weights: Where the backbone's weights come from: `"imagenet"`, `"bsds500"`, `"none"` (random), a weight
            file, the directory of a finished run, or `hf:` and a shared folder. Several backbones: one for all, or one
            for each.
        head: The classifier on top: a Keras head, or a scikit-learn classifier on the features.
        task: What is asked of each image: `"single-label"`, one of several classes; `"ordinal"`, a grade: the classes
            are in the order of `data.order`, or numbers by their size, and an error counts by how many grades it is;
            `"multi-label"`, any number of labels; `"auto"`: ordinal where `data.order` is given, and multi-label where
            `data.label_columns` are, where labels stand together (`edema|effusion`), or in a MedMNIST file of such.
        augment: Random changes to training images.
        class_weight: `"balanced"` weighs each class by the inverse of its share of the training images.
        sampling: `"balanced"` draws as many training images of each class in each epoch, those of rare classes several
            times; `"none"`: an epoch visits each image once.
        keep: Which phase is the result: the one with the `"best"` validation score (ties go to the earlier one), or
            the `"last"`.
        score_degrees: Score every phase on the test images, too, to compare degrees of fine-tuning with one another;
            False: only the phase that is kept. Nothing is chosen by these scores in either case.
        monitor: The validation score that picks the best epoch of a phase, and the best phase.
        threshold: The score from which on an image is predicted as the positive one of two classes, chosen on
            validation images: `"youden"` maximises sensitivity + specificity; `"sensitivity>=0.95"` gives the highest
            specificity with a sensitivity of 0.95 or more, `"specificity>=0.9"` the reverse; `"costs"` gives the least
            cost of the errors on these images; a number is used as it is.
        costs: What errors cost: true class to predicted class to cost. An error that is not named costs 1, a right
            answer nothing. The class with the least expected cost, by calibrated probabilities, is predicted, unless
            `threshold="costs"`.
        cost_ratio: For two classes, instead of `costs`: the cost of a missed positive, if a false alarm costs 1.
        logit_adjustment: How far frequent classes are held back when a class is predicted, by calibrated probabilities:
            1 by all of their share of the training images (Menon et al. 2021); None: not at all.
        prevalence: The share of positives where the result is to be used; predictive values are reported for it too,
            and costs are weighed with the probabilities there.
        stated: The numbers at which some metrics are reported, such as the sensitivity at a specificity.
        deterministic: Let TensorFlow use only operations that give the same bits each time. False is quicker, and two
            runs differ in their last digits; in a process that has trained deterministically it changes nothing.
        seed: Decides splits (unless `data.split_seed` does), initial weights, order, dropout, augmentation and
            resampling.
        baselines: Also score a linear classifier on the features of randomly initialised weights, and one on colour
            histograms. The majority class is always reported.
        examples: How many test images of each kind the report shows explained: those where the result is surest and
            right, surest and wrong, and most uncertain; of several labels those where a label is found, missed, and a
            false alarm. 0 shows none.
        cache: Whether the outputs of frozen blocks are computed once per image and kept for all epochs and later runs:
            `"auto"`, where that is cheaper and training images do not change; `"on"`; or `"off"`.
        cache_dtype: The type in which they are kept; `"float16"` takes half the room.
        engine: The library that computes these outputs: `"tensorflow"`; `"openvino"`, which is faster on a CPU and
            gives other last digits, which training amplifies; or `"auto"`: OpenVINO for bfloat16 on a CPU, else
            TensorFlow.
        engine_precision: The precision in which OpenVINO computes.
        steps_per_execution: Training steps that TensorFlow runs before it returns to Python; None: a whole epoch where
            only a head trains on kept features (its steps are so short that Python would slow them down), else one.
        precision: The precision in which the backbone computes while it trains; its weights, the head, the loss and the
            saved network are `"float32"` in any case.
        distribute: The devices that train together: `"one"`, all GPUs of a machine (`"mirrored"`), those of several
            machines (`"multi-worker"`), or `"auto"`, all that there are. `data.batch_size` is that of all replicas
            together.
        scale_learning_rate: Multiply every learning rate by the number of replicas (Goyal et al. 2017). Use it if you
            raised `data.batch_size` with the number of replicas.
        tensorboard: Write event files for TensorBoard into the run.
        phase_patience: Phases without improvement of `monitor` after which no later phase is tried; None: all are.
        name: The title of the run's report; None: the backbone and the run directory. It decides nothing: a run of
            another title is a run of the same recipe.

    Raises:
        InputError: With every fault of the recipe.
    """

    data: Images = must("an Images(...)", lambda _: True)
    backbone: str | tuple[str, ...] = must(
        "the name of a backbone (see `tlmed backbones`), or two names or more in a tuple", _one_name_or_several
    )
    phases: tuple[Phase, ...] | Degrees = must(
        "one Phase(...) or more in a tuple, or a Degrees(...)", lambda _: True, default=()
    )
    weights: str | tuple[str, ...] = must(
        "'imagenet', 'none', another source's name or a path, or one for each of several backbones in a tuple",
        _one_name_or_several,
        default="imagenet",
    )
    head: Dense | Hybrid = must("a Dense(...) or a Hybrid(...)", lambda _: True, default=Dense())
    task: str = one_of(ASKED_TASKS, default=AUTO)
    augment: Augment = must("an Augment(...)", lambda _: True, default=Augment())
    class_weight: str = one_of(CLASS_WEIGHTS, default="none")
    sampling: str = one_of(SAMPLING, default="none")
    keep: str = one_of(KEEP, default="best")
    score_degrees: bool = must("True or False", lambda _: True, default=False)
    monitor: str = one_of(tuple(MONITORS), default="val_auc")
    seed: int = must("a whole number from 0 to 2**32 - 1", lambda seed: 0 <= seed < 2**32, default=0)
    threshold: str | float = must(
        "'youden', 'sensitivity>=NUMBER' or 'specificity>=NUMBER' with a number from 0 to 1, 'costs', or such a number",
        _rule_or_score,
        default="youden",
    )
    costs: dict[str, dict[str, float]] | None = must(COSTS, are_costs, say_wrong_costs, default=None)
    cost_ratio: float | None = must(ABOVE_ZERO, is_above_zero, default=None)
    logit_adjustment: float | None = must(ABOVE_ZERO, is_above_zero, default=None)
    prevalence: float | None = must(
        "a share above 0 and below 1, or None", lambda share: share is None or 0 < share < 1, default=None
    )
    stated: Stated = must("a Stated(...)", lambda _: True, default=Stated())
    deterministic: bool = must("True or False", lambda _: True, default=True)
    baselines: bool = must("True or False", lambda _: True, default=False)
    examples: int = must("a whole number, 0 or more", lambda count: count >= 0, default=3)
    phase_patience: int | None = optional_count(default=None)
    cache: str = one_of(CACHE, default="auto")
    cache_dtype: str = one_of(CACHE_DTYPES, default="float32")
    engine: str = one_of(ENGINES, default="auto")
    engine_precision: str = one_of(PRECISIONS, default="float32")
    precision: str = one_of(PRECISIONS, default="float32")
    steps_per_execution: int | None = optional_count(default=None)
    distribute: str = one_of(STRATEGIES, default="auto")
    scale_learning_rate: bool = must("True or False", lambda _: True, default=False)
    tensorboard: bool = must("True or False", lambda _: True, default=False)
    name: str | None = must(
        f"a text of one line and at most {LONGEST_NAME} characters, or None",
        lambda name: name is None or _one_line(name),
        default=None,
    )

    def __post_init__(self):
        if faults := find_faults(self):
            raise InputError(faults)

    @property
    def split_seed(self) -> int:
        """Return the seed that decides the splits."""
        return self.seed if self.data.split_seed is None else self.data.split_seed

    @property
    def resolved_task(self) -> str:
        """Return the task, `"auto"` resolved."""
        if self.task != AUTO:
            return self.task
        if self.data.label_columns is not None:
            return MULTI_LABEL
        return SINGLE_LABEL if self.data.order is None else ORDINAL

    def find_task(self, several: bool) -> str:
        """Return the task on some data, which may decide it.

        Args:
            several: Whether their images may have several labels.
        """
        return MULTI_LABEL if several else self.resolved_task

    @property
    def schedule(self) -> tuple[Phase, ...] | Degrees:
        """Return the phases as they are run: `solver="auto"` is settled."""
        return settle_solvers(self)

    @property
    def layout(self) -> Layout:
        """Return how the source is read; `task` says whether an image may have several labels."""
        several = None if self.task == AUTO else self.task == MULTI_LABEL
        return self.data.layout if several is None else dataclasses.replace(self.data.layout, several=several)

    def build(self, num_classes: int, backbone=None):
        """Build the network and compile it for the first phase.

        What concerns training, such as `class_weight`, `sampling`, patience and batch size, is used by `tlmed.train`
        alone: pass it to your own `fit`.

        Args:
            num_classes: How many classes the head tells apart, 2 or more.
            backbone: A `keras.Model` of your own from raw RGB images, 0..255, to a feature map or to features,
                instead of the recipe's backbone and weights.

        Returns:
            A compiled `keras.Model` that takes raw RGB images, 0..255, at the recipe's size and gives one
            probability per class. `tlmed.phases.thaw` prepares it for the phases that follow. For a `Hybrid` the
            frozen network from images to pooled features.
        """
        # Imported only here, because loading Keras takes seconds and loading a recipe must take milliseconds.
        from tlmed.quiet import check_backend

        check_backend()
        from tlmed.building import build

        return build(self, num_classes, backbone)


def find_faults(recipe: Recipe) -> list[str]:
    """Return one sentence for each fault of a recipe: in its sections, and between them."""
    faults = find_section_faults(recipe)
    for find in (
        _find_name_faults,
        _find_head_faults,
        find_solver_faults,
        find_task_conflicts,
        _find_backbone_faults,
        _find_balance_faults,
        _find_patience_faults,
        _find_start_faults,
        _find_cache_faults,
        find_decision_faults,
    ):
        faults += find(recipe)
    return faults


def _find_name_faults(recipe) -> list[str]:
    phases = recipe.phases if isinstance(recipe.phases, tuple) else ()
    names = [phase.name for phase in phases if isinstance(phase, Phase) and isinstance(phase.name, str)]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"`phases` must have names of their own. Received: {name!r} more than once." for name in twice]


def _find_head_faults(recipe) -> list[str]:
    """Check what the kind of head demands of phases and augmentation."""
    if isinstance(recipe.head, Dense) and recipe.phases == ():
        return [
            "`phases` must hold one Phase(...) or more for a Dense(...), or be a Degrees(...). Received: phases=()."
        ]
    if isinstance(recipe.head, Dense) and recipe.head.ordinal is not None and recipe.resolved_task != ORDINAL:
        return [
            "`head.ordinal` must be None where classes have no order; `data.order` gives them one. "
            f"Received: ordinal={recipe.head.ordinal!r} with task={recipe.task!r}."
        ]
    if not isinstance(recipe.head, Hybrid):
        return []
    rules = (
        ("phases", (), "be empty for a Hybrid(...), whose backbone stays frozen"),
        ("augment", Augment(), "be off for a Hybrid(...), which sees each image once"),
        ("sampling", "none", "be 'none' for a Hybrid(...), which has no epochs (class_weight='balanced' balances too)"),
        ("phase_patience", None, "be None for a Hybrid(...), which has no phases"),
    )
    return [
        f"`{name}` must {rule}. Received: {name}={getattr(recipe, name)!r}."
        for name, right, rule in rules
        if getattr(recipe, name) != right
    ]


def _find_backbone_faults(recipe) -> list[str]:
    names, weights = recipe.backbone, recipe.weights
    if not isinstance(weights, tuple) or not isinstance(names, (str, tuple)):
        return []
    wanted = len(names) if isinstance(names, tuple) else 1
    if len(weights) == wanted:
        return []
    return [
        f"`weights` must be one for all backbones or one for each of them ({wanted}). "
        f"Received: weights={weights!r} with backbone={names!r}."
    ]


def _find_patience_faults(recipe) -> list[str]:
    if recipe.keep == "last" and recipe.phase_patience is not None:
        return [
            "`phase_patience` must be None unless keep='best': it ends a run at the phase that is kept. "
            f"Received: phase_patience={recipe.phase_patience!r} with keep='last'."
        ]
    return []


def _find_start_faults(recipe) -> list[str]:
    weights = recipe.weights if isinstance(recipe.weights, tuple) else (recipe.weights,)
    phases = recipe.phases if isinstance(recipe.phases, tuple) else (recipe.phases,)
    pulled = [phase.l2_sp for phase in phases if isinstance(phase, Phase | Degrees) and phase.l2_sp]
    if set(weights) != {"none"} or not pulled:
        return []
    return [
        "`l2_sp` must be 0 with weights='none', where there are no pretrained weights to stay close to. "
        f"Received: l2_sp={pulled[0]!r}."
    ]


def _find_balance_faults(recipe) -> list[str]:
    if recipe.class_weight == "balanced" and recipe.sampling == "balanced":
        return [
            "`sampling` must be 'none' with class_weight='balanced': each of the two balances the classes, and both "
            "together favour the rare ones. Received: sampling='balanced'."
        ]
    return []


def _find_cache_faults(recipe) -> list[str]:
    augment, faults = recipe.augment, []
    if not isinstance(augment, Augment):
        return faults
    changes = augment.changes_images
    if recipe.cache == "on" and changes and not augment.views:
        faults.append(
            "`cache` must be 'auto' or 'off' with augmentation that changes the images in each epoch; `augment.views` "
            f"makes that many versions once. Received: cache='on' with augment={augment!r}."
        )
    if augment.views and not changes:
        faults.append(f"`augment.views` must be 0 where augmentation is off. Received: views={augment.views!r}.")
    if augment.views and recipe.cache == "off":
        faults.append(f"`augment.views` must be 0 with cache='off'. Received: views={augment.views!r}.")
    return faults
