"""Which metric to use, or not, for which answers: three tables, read from top to bottom.

It follows Metrics Reloaded (Maier-Hein et al. 2024) for whole images, in short, and the sources that each row names.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tlmed.fingerprint.questions import Fingerprint

SOURCES = {
    "Maier-Hein 2024": "Maier-Hein, Reinke et al., Metrics reloaded: recommendations for image analysis validation, "
    "Nature Methods 21:195-212, 2024",
    "Reinke 2024": "Reinke, Tizabi et al., Understanding metric-related pitfalls in image analysis validation, "
    "Nature Methods 21:182-194, 2024",
    "Cohen 1968": "Cohen, Weighted kappa, Psychological Bulletin 70:213-220, 1968",
    "Deeks 2004": "Deeks & Altman, Diagnostic tests 4: likelihood ratios, BMJ 329:168-169, 2004",
    "Ferrer 2022": "Ferrer, Analysis and comparison of classification metrics, arXiv:2209.05355, 2022",
    "Gneiting 2007": "Gneiting & Raftery, Strictly proper scoring rules, prediction, and estimation, Journal of the "
    "American Statistical Association 102:359-378, 2007",
    "McClish 1989": "McClish, Analyzing a portion of the ROC curve, Medical Decision Making 9:190-195, 1989",
    "Saito 2015": "Saito & Rehmsmeier, The precision-recall plot is more informative than the ROC plot when evaluating "
    "binary classifiers on imbalanced datasets, PLoS ONE 10:e0118432, 2015",
    "Van Calster 2016": "Van Calster, Nieboer et al., A calibration hierarchy for risk models was defined, Journal of "
    "Clinical Epidemiology 74:167-176, 2016",
    "Vickers 2006": "Vickers & Elkin, Decision curve analysis, Medical Decision Making 26:565-574, 2006",
}


@dataclass(frozen=True)
class Choice:
    """A metric, when it is chosen, and why.

    Attributes:
        metric: Its name in `metrics.json`.
        when: Whether it is chosen.
        why: The reason, a clause that could follow a colon.
        source: A key of `SOURCES`.
        place: Where it is in `metrics.json`, dotted, or on which page; "" for `metrics.NAME`.
    """

    metric: str
    when: Callable[[Fingerprint], bool]
    why: str
    source: str
    place: str = ""

    @property
    def key(self) -> str:
        """Where it is in `metrics.json`."""
        return self.place or f"metrics.{self.metric}"


def _joins_errors(asked: Fingerprint) -> bool:
    """Tell whether what decides is one figure for both kinds of error of two classes."""
    return asked.decides and asked.two and not _parts_errors(asked)


def _parts_errors(asked: Fingerprint) -> bool:
    """Tell whether what decides is a figure for each kind of error of two classes."""
    return asked.weighs and asked.two and (asked.several or not asked.same)


_SHARES = "the value depends on the shares of the classes, which are others, or may be, where the answers are used"

_PROPER = "a proper score: best where the probabilities are the true ones, it sees a wrong order as well as wrong sizes"

FIRST = (
    Choice(
        "quadratic_kappa",
        lambda asked: asked.ordered,
        "an error of two grades counts four times as much as an error of one, and agreement by chance counts nothing",
        "Cohen 1968",
    ),
    Choice(
        "normalised_expected_cost",
        lambda asked: asked.weighs and asked.same and not asked.several,
        "what the errors cost by your own costs (`costs` or `cost_ratio` in the recipe), divided by what the best "
        "constant answer costs: below 1 the answers are worth something",
        "Ferrer 2022",
    ),
    Choice(
        "sensitivity",
        lambda asked: asked.weighs and asked.two and not asked.same,
        "errors that differ in cost must be seen apart where the shares of the classes are others than in the test "
        "images, on which their cost depends; this is about missed cases",
        "Maier-Hein 2024",
    ),
    Choice(
        "sensitivity",
        lambda asked: asked.weighs and asked.several and asked.same,
        "errors that differ in cost must be seen apart, because tlmed knows no costs of several findings; this is "
        "about missed ones",
        "Maier-Hein 2024",
    ),
    Choice(
        "specificity",
        _parts_errors,
        "the other kind of error: false alarms",
        "Maier-Hein 2024",
    ),
    Choice(
        "confusion",
        lambda asked: asked.weighs and not asked.two and not asked.same,
        "the share of each class's images that get each answer does not depend on how frequent the class is, unlike "
        "what the errors cost together",
        "Maier-Hein 2024",
        "confusion",
    ),
    Choice(
        "accuracy",
        lambda asked: asked.plain and asked.same and not asked.rare,
        "all errors count alike, and the classes are about as frequent as where the answers are used",
        "Maier-Hein 2024",
    ),
    Choice(
        "balanced_accuracy",
        lambda asked: asked.plain and (asked.rare or not asked.same),
        "each class counts the same, however frequent it is; so it does not depend on the shares of the classes",
        "Maier-Hein 2024",
    ),
    Choice(
        "mcc",
        lambda asked: asked.plain and asked.rare,
        "with a rare class, accuracy and balanced accuracy stay high despite many false alarms; this also counts how "
        "many of the alarms are right",
        "Reinke 2024",
    ),
    Choice(
        "auc",
        lambda asked: asked.ranks and asked.two,
        "the chance that an image of the class ranks before one of another; it needs no threshold and does not depend "
        "on the shares of the classes",
        "Maier-Hein 2024",
    ),
    Choice(
        "auc",
        lambda asked: asked.ranks and not asked.two,
        "the chance that an image of a class ranks before one of the rest, as a mean over the classes; it needs no "
        "threshold, and depends on the shares of the classes only as they make up the rest",
        "Maier-Hein 2024",
    ),
    Choice(
        "average_precision",
        lambda asked: asked.ranks and asked.rare,
        "with a rare class the AUC can be high although most of what ranks first is a false alarm",
        "Saito 2015",
    ),
    Choice(
        "brier",
        lambda asked: asked.informs and asked.same,
        _PROPER,
        "Gneiting 2007",
        "calibration.metrics.brier",
    ),
    Choice(
        "brier",
        lambda asked: asked.informs and not asked.same,
        f"{_PROPER}. It holds for the shares of the classes in the test images: where they are others, the "
        "probabilities are too high or too low, and must be fitted anew",
        "Gneiting 2007",
        "calibration.metrics.brier",
    ),
    Choice(
        "log_loss",
        lambda asked: asked.informs,
        "a proper score, too, which punishes being sure and wrong much more",
        "Gneiting 2007",
        "calibration.metrics.log_loss",
    ),
)

ALSO = (
    Choice(
        "mean_absolute_error",
        lambda asked: asked.ordered,
        "by how many grades the answers are wrong on average",
        "Maier-Hein 2024",
    ),
    Choice(
        "balanced_accuracy",
        lambda asked: asked.ordered and not asked.same,
        "kappa depends on the shares of the classes, and this does not",
        "Maier-Hein 2024",
    ),
    Choice(
        "expected_cost",
        lambda asked: asked.weighs and not asked.several and not (asked.two and asked.prevalence == "other"),
        "the cost of an answer on average, in the unit of your costs (`costs` or `cost_ratio` in the recipe), for the "
        "shares of the classes in the test images",
        "Ferrer 2022",
    ),
    Choice(
        "expected_cost",
        lambda asked: asked.weighs and not asked.several and asked.two and asked.prevalence == "other",
        "the cost of an answer on average, in the unit of your costs (`costs` or `cost_ratio` in the recipe), at the "
        "prevalence where it is used, which `tlmed evaluate RUN --prevalence 0.02` takes, or `prevalence=0.02` in the "
        "recipe",
        "Ferrer 2022",
        "at_prevalence.expected_cost",
    ),
    Choice(
        "sensitivity",
        _joins_errors,
        "it tells how many cases are missed, which one figure for both kinds of error does not",
        "Maier-Hein 2024",
    ),
    Choice(
        "specificity",
        _joins_errors,
        "and how many alarms are false",
        "Maier-Hein 2024",
    ),
    Choice(
        "sensitivity",
        lambda asked: asked.decides and not asked.two,
        "a mean over classes hides a class that is never found",
        "Maier-Hein 2024",
        "per_class.<class>.sensitivity",
    ),
    Choice(
        "ppv",
        lambda asked: asked.decides and asked.two and asked.same,
        "how often a positive answer is right, which is what its reader asks",
        "Maier-Hein 2024",
    ),
    Choice(
        "ppv",
        lambda asked: asked.decides and asked.two and asked.prevalence == "other" and not asked.several,
        "how often a positive answer is right at the prevalence where it is used, which `tlmed evaluate RUN "
        "--prevalence 0.02` takes, or `prevalence=0.02` in the recipe",
        "Maier-Hein 2024",
        "at_prevalence.ppv",
    ),
    Choice(
        "lr_positive",
        lambda asked: asked.decides and asked.two and not asked.same,
        "how many times a positive answer multiplies the odds of the finding, whatever its prevalence",
        "Deeks 2004",
    ),
    Choice(
        "net_benefit_at_0.1",
        lambda asked: asked.weighs and asked.two,
        "whether answers are worth more than to treat all, or none, where one acts from a risk of 0.1 on; "
        "`stated.net_benefit` in the recipe names other risks, and the report's decision curve shows all",
        "Vickers 2006",
    ),
    Choice(
        "partial_auc",
        lambda asked: asked.ranks and asked.rare,
        "the AUC where false alarms are few, which is the part that a work list of rare findings uses",
        "McClish 1989",
    ),
    Choice(
        "calibration_intercept",
        lambda asked: asked.informs and asked.two,
        "below 0, the probabilities are too high on the whole; above 0, too low",
        "Van Calster 2016",
        "calibration.metrics.calibration_intercept",
    ),
    Choice(
        "calibration_intercept",
        lambda asked: asked.informs and not asked.two,
        "of each class before calibration: below 0, its probabilities are too high on the whole; above 0, too low",
        "Van Calster 2016",
        "per_class.<class>.calibration_intercept",
    ),
    Choice(
        "calibration_slope",
        lambda asked: asked.informs,
        "below 1, the probabilities are too extreme; above 1, not extreme enough",
        "Van Calster 2016",
        "calibration.metrics.calibration_slope",
    ),
    Choice(
        "ece",
        lambda asked: asked.informs,
        "how far the probabilities are from how often they come true; see the reliability diagram of the report, too. "
        "Alone it says little: it grows as images get fewer, for perfect probabilities too",
        "Reinke 2024",
        "calibration.metrics.ece",
    ),
)

NOT = (
    Choice("accuracy", lambda asked: asked.ordered, "a near miss counts as much as the farthest", "Maier-Hein 2024"),
    Choice(
        "accuracy",
        lambda asked: asked.weighs and not asked.ordered,
        "all errors count alike, and yours do not",
        "Maier-Hein 2024",
    ),
    Choice(
        "accuracy",
        lambda asked: asked.plain and asked.rare,
        "to answer the most frequent class every time is enough for a high one",
        "Reinke 2024",
    ),
    Choice(
        "hamming_loss",
        lambda asked: asked.decides and asked.several and asked.rare,
        "it is the share of errors among all pairs of an image and a finding: to say that no image has a rare finding "
        "is enough for a low one",
        "Reinke 2024",
    ),
    *(
        Choice(name, lambda asked: asked.decides and not asked.same, _SHARES, "Reinke 2024")
        for name in ("mcc", "f1", "ppv", "npv")
    ),
    Choice("accuracy", lambda asked: asked.plain and not asked.same, _SHARES, "Reinke 2024"),
    Choice(
        "f1",
        lambda asked: asked.weighs and asked.two and asked.same,
        "missed cases and false alarms count alike, and yours do not",
        "Maier-Hein 2024",
    ),
    Choice("average_precision", lambda asked: asked.ranks and not asked.same, _SHARES, "Reinke 2024"),
    Choice(
        "auc",
        lambda asked: not asked.ranks,
        "it sees the order of the scores alone: neither the threshold at which a class is given, nor whether "
        "probabilities are true",
        "Maier-Hein 2024",
    ),
)


def choose_metrics(asked: Fingerprint) -> dict[str, list[Choice]]:
    """Return what to decide by, what to report as well, and what not to decide by.

    >>> asked = Fingerprint("one", 2, "no", "unbalanced", "same", "equal", ("class",))
    >>> [choice.metric for choice in choose_metrics(asked)["first"]]
    ['balanced_accuracy', 'mcc']
    """
    tables = {"first": FIRST, "also": ALSO, "not": NOT}
    return {role: [choice for choice in table if choice.when(asked)] for role, table in tables.items()}
