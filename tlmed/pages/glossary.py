"""The glossary of all pages: each term is explained where it stands, and in a list at the page's end.

A tooltip does not exist on a phone or on paper. So a term has its explanation as a tooltip, and is a link to the list
as well.
"""

import re

from tlmed.metrics.names import name_metric
from tlmed.tabulation import Cell, say

_OF_POSITIVE = "With more than two classes: the mean over the classes, each against the rest."
# Explanations by the names of metrics; those of other terms are in WORDS, by names that only tlmed uses.
METRICS = {
    "accuracy": "The share of all predictions that are right. With a rare class it is high even if that class is "
    "always missed.",
    "auc": "Area under the ROC curve: how often one of the positive class scores higher than one of the other. "
    f"0.5 is guessing, 1 is perfect; it does not depend on a threshold. {_OF_POSITIVE}",
    "sensitivity": f"The share of the positive class that was found (recall). {_OF_POSITIVE}",
    "specificity": f"The share of what is not of the positive class that was called so. {_OF_POSITIVE}",
    "ppv": "Positive predictive value (precision): the share of right ones among those predicted as the positive "
    f"class. It falls where that class is rarer than here. {_OF_POSITIVE}",
    "npv": "Negative predictive value: the share of right ones among those predicted as not of the positive "
    f"class. It, too, depends on how common the class is. {_OF_POSITIVE}",
    "balanced_accuracy": "The mean of the classes' sensitivities: each class counts the same, however rare it is. "
    "Guessing gives one divided by the number of classes.",
    "f1": f"The harmonic mean of PPV and sensitivity: high only where both are. {_OF_POSITIVE}",
    "mcc": "Matthews's correlation of predicted and true classes, from -1 to 1. 0 is no better than chance, whatever "
    "the mix of classes.",
    "kappa": "Agreement of predicted and true classes beyond what chance gives (Cohen), from -1 to 1. 0 is chance.",
    "quadratic_kappa": "Cohen's kappa for ordered classes: a confusion weighs by the square of how many steps apart "
    "the two are. It makes sense only if the order of the classes does.",
    "mean_absolute_error": "By how many grades predictions are off on average. 0 is best, and lower is better.",
    "within_one": "The share of predictions that are right, or off by one grade.",
    "kendall_tau": "Kendall's tau-b: how well predicted grades order the images as the true ones do, from -1 to 1. "
    "0 is no better than chance.",
    "average_precision": "The area below the curve of precision and recall: the mean PPV over all thresholds. Guessing "
    f"gives the share of the class. {_OF_POSITIVE}",
    "exact_match": "The share of images whose labels are all predicted right, of those whose labels are all known.",
    "hamming_loss": "The share of known labels that are predicted wrong. 0 is best, and lower is better.",
    "log_loss": "How surprised the scores are by the truth; being sure and wrong costs most. 0 is best, and lower is "
    "better.",
    "brier": "The squared distance of the score from the truth (0 or 1), averaged over the answers. With more than two "
    "classes it is summed over the classes, so that 2 is the worst. 0 is best, and lower is better.",
    "ece": "Expected calibration error (ECE): by how much, on average, the scores miss how often they come true. 0 is "
    "best, and lower is better.",
    "expected_cost": "What an answer costs on average, by the stated costs of errors; a right answer costs nothing. 0 "
    "is best, and lower is better.",
    "normalised_expected_cost": "The expected cost divided by that of the best constant answer: from 1 on, the "
    "classifier costs no less than to give every image the same answer.",
    "lr_positive": "Sensitivity / (1 - specificity): by how much a positive prediction multiplies the odds of being "
    "positive. 1 says nothing; above 10 is called strong evidence. It does not depend on how common the class is.",
    "lr_negative": "(1 - sensitivity) / specificity: by how much a negative prediction multiplies the odds of being "
    "positive. 1 says nothing; below 0.1 is called strong evidence.",
    "youden": f"Sensitivity + specificity - 1. 0 is guessing, 1 is perfect. {_OF_POSITIVE}",
    "f_beta": "As F1, but sensitivity counts beta times as much as PPV.",
    "sensitivity_at_specificity": "The highest sensitivity that a threshold gives with at least that specificity. The "
    "threshold is chosen on what is scored.",
    "specificity_at_sensitivity": "The highest specificity that a threshold gives with at least that sensitivity. The "
    "threshold is chosen on what is scored.",
    "ppv_at_sensitivity": "The PPV at the highest threshold that gives at least that sensitivity, for the mix of "
    "classes there. The threshold is chosen on what is scored.",
    "partial_auc": "The area under the ROC curve up to that false positive rate (1 - specificity), standardised so "
    "that 0.5 is guessing and 1 is perfect (McClish 1989).",
    "calibration_intercept": "How much too low the scores are on the whole, on the logit scale. 0 is right; below 0 "
    "they are too high.",
    "calibration_slope": "Whether scores are too extreme: the slope of the outcome on the logit of the score. 1 is "
    "right; below 1 they are too extreme, above 1 too timid.",
    "weighted_kappa": "Cohen's kappa in which some confusions count more than others. Linear and quadratic weights go "
    "by the steps between two classes in the confusion matrix: they make sense only if its order does.",
    "root_brier": "The root of the Brier score: the typical distance of the scores from the truth. 0 is best.",
    "classwise_ece": "The calibration error of each class's score, averaged over the classes. 0 is best.",
}
WORDS = {
    "backbone": (
        "Backbone",
        "A network that has already learnt to see, mostly from photographs, and is reused here. What it makes of an "
        "image are its features.",
    ),
    "baseline": (
        "Baseline",
        "A score without transfer learning. A result that does not beat it gained nothing from transfer.",
    ),
    "batch_norm": (
        "BatchNorm",
        "Batch normalisation, layers that hold statistics of the images. Frozen: statistics and factors stay as they "
        "were; affine: the factors train; update: the statistics follow the new images too; recalibrate: as affine, "
        "and after the phase the statistics are estimated again on training images.",
    ),
    "confusion": ("Confusion matrix", "How many of each true class were predicted as which class."),
    "corrected": (
        "Corrected p",
        "Of many comparisons some look like a difference by chance. Holm's correction raises each p so that this "
        "happens in 5 % of all such sets at most.",
    ),
    "cross_validation": (
        "Cross-validation",
        "The images are divided into folds; each fold is the test split of a network that was trained on the others.",
    ),
    "development": (
        "Development images",
        "All images but the test images. They teach, and everything is decided by them, so that their scores flatter a "
        "little.",
    ),
    "ensemble": ("Ensemble", "Several networks that answer together: their scores are averaged."),
    "examples": (
        "Map of the evidence",
        "Where in the image the network found evidence for its prediction. It shows what was used, not what is true.",
    ),
    "fine_tuning_ratio": ("Fine-tuning ratio", "The share of the backbone's weighted layers that train."),
    "group": (
        "Group",
        "Images that belong together, of one patient for example. They are alike and tell less than as many images of "
        "different patients; intervals and tests count by groups.",
    ),
    "interval": (
        "95 % interval",
        "Where the value may lie on other data of the same kind: of 100 such intervals about 95 hold the true value. "
        "A wide one means that too little was tested to tell.",
    ),
    "leak": (
        "Leak",
        "Test images whose file, byte for byte, or whose group is in training or validation too. The network knows "
        "them, so that they score better than new ones do. A picture that was saved again is not among these: "
        "the check of the data names it.",
    ),
    "net_benefit": (
        "Net benefit",
        "The share of true positives minus that of false positives, which weigh less the more of them one accepts for "
        "one that is found.",
    ),
    "noise": (
        "Noise",
        "By how much a gain changes by chance alone: one standard error of the difference on the same images. A gain "
        "that is not larger may be luck.",
    ),
    "positive": (
        "Positive class",
        "The one of two classes that is looked for. Sensitivity, PPV, F1 and AUC are about it.",
    ),
    "prevalence": (
        "Prevalence",
        "How common the positive class is where the network is used. Predictive values depend on it.",
    ),
    "probe": (
        "Probe",
        "A quick test of a backbone as it is: a linear classifier on its features, scored on images that it was not "
        "fitted on.",
    ),
    "recall": (
        "Precision-recall curve",
        "PPV (precision) against sensitivity (recall) at every threshold. It shows what the ROC curve hides where a "
        "class is rare.",
    ),
    "reliability": (
        "Reliability diagram",
        "How often scores came true, against what they said. On the diagonal they mean what they say.",
    ),
    "roc": (
        "ROC curve",
        "Sensitivity against 1 - specificity at every threshold: how many are found, at the price of how many false "
        "alarms.",
    ),
    "score": (
        "Score",
        "The number between 0 and 1 that the network gives a class. It is a probability only as far as it is "
        "calibrated.",
    ),
    "seal": (
        "Seal",
        "A fingerprint (SHA-256) of what was decided, taken before the test images are scored. If a letter of the "
        "decision is changed later, it no longer fits.",
    ),
    "shortcut": (
        "Shortcut",
        "Something besides the finding that tells the class, such as brightness, a frame or a scanner. A network may "
        "learn it instead of the finding, and then fails where it is missing.",
    ),
    "split": (
        "Splits",
        "Training images teach, validation (val) images choose epoch, phase, threshold and temperature, test images "
        "only score. The same image or patient in two of them makes scores too good.",
    ),
    "temperature": (
        "Temperature",
        "One number by which the network's outputs are divided before they become scores. Above 1 it makes them less "
        "sure, below 1 surer; the order of the classes stays.",
    ),
    "thaw": (
        "Thawing",
        "Letting blocks of a backbone learn from the new images too. Frozen blocks stay as they were.",
    ),
    "threshold": (
        "Threshold",
        "The score from which on the positive class is predicted. A lower one finds more, and gives more false alarms.",
    ),
}
TERMS = {**{name: (name_metric(name), meaning) for name, meaning in METRICS.items()}, **WORDS}
_LINK = re.compile(r'href="#term-([a-z0-9_]+)"')


def explain(name: str, said: str | None = None) -> Cell:
    """Return a word that leads to its explanation on a page; one without an explanation is plain.

    Args:
        name: A metric's name, or a key of `WORDS`.
        said: The word on the page; by default the term's name.

    >>> explain("my_metric"), explain("leak", "leaks").term
    (Cell(parts=('My metric',), below=(), mark='', term='', link='', interval=None), 'leak')
    """
    if name not in TERMS:
        return say(said if said is not None else name_metric(name))
    return say(said if said is not None else TERMS[name][0], term=name)


def find_terms(page: str) -> dict[str, tuple[str, str]]:
    """Return the words that a page links, in the order of the alphabet: name to word and explanation.

    >>> list(find_terms('<a href="#term-roc">ROC</a> <a href="#term-auc">AUC</a>'))
    ['auc', 'roc']
    """
    return {name: TERMS[name] for name in sorted(set(_LINK.findall(page)), key=lambda name: TERMS[name][0].casefold())}


def anchor(title: str) -> str:
    """Return the name by which a link finds a heading.

    >>> anchor("What was asked, and what was done")
    'what-was-asked-and-what-was-done'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
