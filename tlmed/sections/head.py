"""What sits on top of a backbone: a Keras head, or a scikit-learn classifier."""

from tlmed.sections.rules import must, not_negative, one_of, section

LOSSES = ("cross-entropy", "focal")
SOFT_LABELS, CORN = "soft-labels", "corn"
TOKEN_POOLINGS = ("class", "class+avg")
POOLING = ("avg", "max", *TOKEN_POOLINGS)
# The types of a grid's values: plain ones, so that a recipe can be written as source code without loss.
Plain = int | float | str | bool | None


@section
class Dense:
    """A Keras head: global pooling, then dense layers, then one probability per class.

    Attributes:
        dropout: Fraction of inputs dropped before the last layer while training.
        pooling: How the last feature map becomes one vector: its mean or its maximum. Of a transformer's tokens these
            are over the patches; `"class"` is the class token, `"class+avg"` both.
        units: Widths of hidden ReLU layers; none by default, which makes the head a linear classifier.
        loss: What training minimises: `"cross-entropy"`, or `"focal"` (Lin et al. 2017), which gives images less weight
            the surer the network is of their class. Its factor alpha for each class is `class_weight`.
        gamma: The exponent of the focal loss; 0 is the cross-entropy.
        ordinal: How training uses the order of grades: `"soft-labels"` spreads each target over its neighbours (Diaz &
            Marathe 2019); `"corn"` gives the head a question for each grade but the highest, whether it is exceeded,
            once it is reached (Shi et al. 2021). None: it does not.
    """

    dropout: float = must("a fraction from 0 to below 1", lambda rate: 0 <= rate < 1, default=0.0)
    pooling: str = one_of(POOLING, default="avg")
    units: tuple[int, ...] = must(
        "whole numbers of 1 or more", lambda widths: all(width >= 1 for width in widths), default=()
    )
    loss: str = one_of(LOSSES, default="cross-entropy")
    gamma: float = must("a number, 0 or more", not_negative, default=2.0)
    ordinal: str | None = must(
        f"{SOFT_LABELS!r}, {CORN!r} or None", lambda kind: kind in (None, SOFT_LABELS, CORN), default=None
    )

    def find_conflicts(self, path: str) -> list[str]:
        """Return a fault if there is an exponent that nothing uses, or two losses are asked for."""
        faults = []
        if self.loss != "focal" and self.gamma != 2.0:
            faults.append(f"`{path}gamma` must be 2.0 unless `{path}loss` is 'focal'. Received: gamma={self.gamma!r}.")
        if self.loss == "focal" and self.ordinal is not None:
            faults.append(
                f"`{path}loss` must be 'cross-entropy' where `{path}ordinal` is set. "
                f"Received: loss='focal' with ordinal={self.ordinal!r}."
            )
        return faults


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
    grid: dict[str, tuple[Plain | tuple[int | float, ...], ...]] = must(  # tuples: sizes of hidden layers
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
