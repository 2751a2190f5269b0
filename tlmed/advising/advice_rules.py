"""Rules: what follows from the fingerprint of images before anything is tried, each in a line with its source."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field

from tlmed.advising.development_fingerprint import Fingerprint
from tlmed.advising.epochs_rule import MOST, SOURCE, say_epochs
from tlmed.advising.size_rule import choose_size
from tlmed.class_order import are_numbers
from tlmed.data.table import MANY_CLASSES
from tlmed.sections import KFold
from tlmed.tasks import MULTI_LABEL, ORDINAL
from tlmed.words import count, listed

MANY_UNITS = 500  # patients, or images on their own, from which on one fold of five judges what is trained
_FOLDS, _REPEATS, LEAST_UNITS = 5, 2, 3  # of a class: one each for training, validation and the part that judges
UNEVEN = 5  # the ratio of classes from which on the rarest of several was found less than half of the time
FEW_UNITS = 100
# Fields that decide how classes are weighed, or from which score on a class is predicted.
_BALANCING = {"class_weight", "sampling", "threshold", "costs", "cost_ratio", "prevalence", "logit_adjustment"}
EPOCHS = "epochs"
_VERSIONS = 4  # of a training image, on which a head can still be solved
_PAGE = "docs/imbalance.md of tlmed"


@dataclass(frozen=True)
class Rule:
    """What a rule decided.

    Attributes:
        name: What it is about.
        says: What was decided, and why, in a sentence or two.
        source: A paper, or where tlmed measured it.
        settings: Fields of a recipe, by their dotted names, and their values.
    """

    name: str
    says: str
    source: str
    settings: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict:
        """Return it as plain JSON."""
        return asdict(self)


def apply_rules(
    fingerprint: Fingerprint, budget: float | None = None, given: Collection[str] = (), batch_size: int = 32
) -> tuple[Rule, ...]:
    """Return what follows from what images are, in the order in which it is said.

    Args:
        fingerprint: Of the development images.
        budget: Seconds for the whole advice; None: no limit.
        given: The dotted names of fields that were asked for: no rule decides them.
        batch_size: Images of a step of training.

    >>> found = Fingerprint("single-label", 663, {"benign": 371, "malignant": 292}, 1.3, None, None, 663, 292, 256, 256,
    ...     True, 84.1, 52.3, {64: 0.24, 128: 0.6, 224: 0.9, 320: 1.0})
    >>> [rule.name for rule in apply_rules(found)]
    ['task', 'image size', 'augmentation', 'decisions', 'epochs', 'class balance', 'patients']
    """
    rules = (
        _rule_task(fingerprint),
        _rule_size(fingerprint, budget, given),
        _rule_augmentation(fingerprint, given),
        _rule_decisions(fingerprint),
        Rule(EPOCHS, say_epochs(fingerprint.images, batch_size), SOURCE),
        _rule_balance(fingerprint, given),
        _rule_patients(fingerprint, given),
        _rule_classes(fingerprint),
    )
    return tuple(rule for rule in rules if rule is not None)


def choose_folds(units: int, fewest: int) -> tuple[KFold, tuple[int, ...]]:
    """Return how development images are divided for decisions, and on which folds a training is judged.

    Args:
        units: How many groups (patients) there are, and images on their own.
        fewest: Those of the class that has fewest; 3 or more.

    >>> choose_folds(499, 40)[1], choose_folds(500, 40)[1], choose_folds(60, 4)[0].k
    ((1, 2, 3, 4, 5), (1,), 4)
    """
    k = min(_FOLDS, fewest)
    if units >= MANY_UNITS:
        return KFold(k), (1,)
    return KFold(k, repeats=_REPEATS), tuple(range(1, k + 1))


def find_faults(fingerprint: Fingerprint) -> list[str]:
    """Return why no advice can be given on images, and what can be done; none if it can.

    Training needs images of each class for training, validation and test; an advice needs a further part that judges.
    """
    kind = "images" if fingerprint.groups is None else "patients (groups)"
    fewest, rarest = fingerprint.fewest, min(fingerprint.counts, key=fingerprint.counts.get, default="")
    if fewest >= LEAST_UNITS:
        return []
    if fingerprint.task == MULTI_LABEL:
        cure, received = "Collect more.", f"{fewest} {kind}"
    else:
        cure = (
            "Collect more of it, leave the class out, or merge it with another one "
            "(`--set data.classes=...`, see the guide on data)."
        )
        received = f"{fewest} of a class; the rarest is {rarest!r} with {count(fingerprint.counts[rarest], 'image')}"
    return [
        f"Each class must have {LEAST_UNITS} {kind} or more besides the test images: for training, for validation, and "
        f"for the part that judges what is tried. {cure} Received: {received}."
    ]


def _rule_task(found: Fingerprint) -> Rule:
    amount = count(found.classes, "class")
    source = "the form of the data"
    if found.task == MULTI_LABEL:
        return Rule("task", f"Images may have several of {found.classes} labels: multi-label.", source)
    if found.task == ORDINAL:
        return Rule("task", f"{amount} in an order: ordinal, an error counts by how many grades it is.", source)
    says = f"{amount}, one for each image: single-label."
    if found.classes > 2 and are_numbers(found.counts):
        says += " Their names are numbers: if these are grades, `--set task=ordinal` says so."
    return Rule("task", says, source)


def _rule_size(found: Fingerprint, budget, given) -> Rule:
    if "data.image_size" in given:
        return Rule("image size", "As was asked for.", "the command")
    chosen = choose_size(found.detail, found.images, budget)
    return Rule("image size", chosen.says, chosen.source, {"data.image_size": (chosen.size, chosen.size)})


# Which preset of augmentation is for which images; the part of the body is named where it decides.
_PRESETS = {
    ("x-ray", "chest"): "chest-x-ray",
    **{
        (name, None): name
        for name in (
            *("x-ray", "mammography", "ct", "mri", "oct", "pet", "spect", "sonography", "endoscopy", "photography"),
            "microscopy",
        )
    },
}


def find_preset(modality: str | None, body_part: str | None) -> str | None:
    """Return the name of the preset of augmentation for a kind of image; None if its kind is not known.

    >>> find_preset("x-ray", "chest"), find_preset("x-ray", "hand"), find_preset(None, "chest")
    ('chest-x-ray', 'x-ray', None)
    """
    return _PRESETS.get((modality, body_part)) or _PRESETS.get((modality, None))


def _rule_augmentation(found: Fingerprint, given) -> Rule:
    if any(name.partition(".")[0] == "augment" for name in given):
        return Rule("augmentation", "As was asked for.", "the command")
    says = (
        f"None: in {MOST} passes or fewer a network does not come to an end with changed images, and a solved head is "
        "worse on them."
    )
    if name := find_preset(found.modality, found.body_part):
        asked = f"--set augment.preset={name} --set augment.views={_VERSIONS}"
        says += f" For longer trainings there is a preset for such images: `{asked}`."
    return Rule("augmentation", says, SOURCE)


def _rule_decisions(found: Fingerprint) -> Rule:
    division, folds = choose_folds(found.units, max(found.fewest, 2))
    kind = "different images" if found.groups is None else "patients (groups)"
    if len(folds) > 1:
        few = f" With fewer than {FEW_UNITS}, expect wide intervals." if found.units < FEW_UNITS else ""
        says = (
            f"{found.units:,} {kind} for development, fewer than {MANY_UNITS}: probes are judged by {division.folds} "
            f"folds ({division.k}, divided {division.repeats} times; once where time is short), what is trained by "
            f"{len(folds)}.{few}"
        )
    else:
        says = (
            f"{found.units:,} {kind} for development, {MANY_UNITS} or more: probes are judged by {division.k} folds, "
            "what is trained by one of them, which takes less time and leaves about twice the noise."
        )
    return Rule("decisions", says, "Varoquaux, NeuroImage 2018, 180:68; benchmarks/advice_rules.py of tlmed")


def _rule_balance(found: Fingerprint, given) -> Rule:
    if _BALANCING & {*given}:
        return Rule("class balance", "As was asked for.", "the command")
    source = f"van den Goorbergh et al., JAMIA 2022, ocac093; {_PAGE}"
    plain = "No weights: they do not raise the AUC, and make probabilities of rare classes too high."
    is_even = found.ratio is None or found.ratio < 1.5
    ratio = "" if is_even else f"The most frequent class has {found.ratio:g} times the images of the rarest. "
    if found.task == MULTI_LABEL:
        return Rule("class balance", f"{plain} Each label has a threshold, chosen on validation images.", source)
    if found.classes == 2:
        says = f"{ratio}{plain} The threshold is chosen on validation images."
        return Rule("class balance", says, source)
    if found.task == ORDINAL or found.ratio is None or found.ratio < UNEVEN:
        return Rule("class balance", f"{ratio}{plain}", source)
    says = (
        f"{ratio}{plain} From a ratio of {UNEVEN} on, what is predicted is adjusted by the shares of classes, so that "
        "rare ones are found more often; fewer answers are right in all. Probabilities and the AUC stay as they are."
    )
    return Rule("class balance", says, f"Menon et al., ICLR 2021, arXiv:2007.07314; {_PAGE}", {"logit_adjustment": 1.0})


def _rule_patients(found: Fingerprint, given) -> Rule:
    if found.groups is None and "data.groups" in given:
        says = "As was asked for, each image stands for itself. If a patient has several, scores are too good."
        return Rule("patients", says, "the command")
    source = "Yagis et al., Scientific Reports 2021, 11:22544"
    if found.groups is None:
        says = (
            "No patients are known: each image stands for itself. If a patient has several, scores are too good; name "
            "patients in a table with a column `patient`, or by `--set data.groups=folder`."
        )
        return Rule("patients", says, source)
    says = (
        f"{count(found.images, 'image')} of {count(found.groups, 'patient')} (groups): wherever an advice divides "
        "images, those of one stay together. A given test split stays as it is; the check names patients in it who "
        "stand elsewhere too."
    )
    return Rule("patients", says, source)


def _rule_classes(found: Fingerprint) -> Rule | None:
    if found.classes < MANY_CLASSES:
        return None
    rare = [name for name, amount in found.counts.items() if amount < 10]
    named = f" Fewer than 10 images are of {listed(rare, 3)}." if rare else ""
    says = (
        f"{count(found.classes, 'class')}: scores are means over them, and what is said of one of them alone rests on "
        f"few images.{named}"
    )
    return Rule("many classes", says, "the number of images")
