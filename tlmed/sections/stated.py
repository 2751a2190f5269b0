"""The numbers that some metrics need, which only the user can know."""

import math

from tlmed.sections.rules import must, positive, section

KAPPA_WEIGHTS = {"linear": 1, "quadratic": 2}  # the power of the distance between two classes


def _inside(value) -> bool:
    return 0 < value < 1


def _different(risks) -> bool:
    return all(map(_inside, risks)) and len(set(risks)) == len(risks)


def _weights(value) -> bool:
    """Tell whether kappa's weights are a name, or a square table of costs with nothing on its diagonal."""
    if isinstance(value, str):
        return value in KAPPA_WEIGHTS
    square = len(value) > 1 and all(len(row) == len(value) for row in value)
    cells = [cell for row in value for cell in row]
    usable = all(cell >= 0 and math.isfinite(cell) for cell in cells) and any(cells)
    return square and usable and not any(row[place] for place, row in enumerate(value))


@section
class Stated:
    """The numbers at which some metrics are reported.

    Attributes:
        beta: How many times as much as PPV sensitivity counts in `f_beta`.
        specificity: The one at which `sensitivity_at_specificity` is reported.
        sensitivity: The one at which `specificity_at_sensitivity` and `ppv_at_sensitivity` are reported.
        net_benefit: Risks from which on one would act; the net benefit is reported at each.
        partial_auc: The highest false positive rate (1 - specificity) that counts in `partial_auc`.
        kappa_weights: How much a confusion counts in `weighted_kappa`: `"linear"`, by the steps between the two
            classes; `"quadratic"`, by their square; or a table, a row of numbers for each true class, 0 on the
            diagonal.
    """

    beta: float = must("a number above 0", positive, default=2.0)
    specificity: float = must("a share above 0 and below 1", _inside, default=0.9)
    sensitivity: float = must("a share above 0 and below 1", _inside, default=0.9)
    net_benefit: tuple[float, ...] = must(
        "different risks above 0 and below 1, in a tuple", _different, default=(0.1, 0.2)
    )
    partial_auc: float = must("a share above 0 and up to 1", lambda share: 0 < share <= 1, default=0.2)
    kappa_weights: str | tuple[tuple[float, ...], ...] = must(
        "'linear', 'quadratic', or a table with a row and a column per class: 0 on the diagonal, else 0 or more",
        _weights,
        default="linear",
    )
