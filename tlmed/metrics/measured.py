"""A metric with its interval, and how much each image moves it: what means over classes are combined from."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Measured:
    """A metric of some images.

    Attributes:
        entry: `value`, `low`, `high` and `method` as in `metrics.json`; `reason` where it is undefined, and a `note`.
        influences: What each image adds to the metric, to first order, float [n]; empty where it is undefined.
    """

    entry: dict
    influences: np.ndarray = field(default_factory=lambda: np.zeros(0))


def undefined(reason: str) -> Measured:
    """Return a metric that is undefined, with the reason.

    >>> undefined("All images are of class 'a'.").entry["value"] is None
    True
    """
    return Measured({"value": None, "low": None, "high": None, "method": None, "reason": reason})


def unbounded(value: float, influences: np.ndarray, note: str) -> Measured:
    """Return a metric without an interval, and why it has none.

    >>> unbounded(0.5, np.zeros(3), "Too few.").entry["low"] is None
    True
    """
    return Measured({"value": float(value), "low": None, "high": None, "method": None, "note": note}, influences)


def bounded(value: float, bounds: tuple[float, float], method: str, influences: np.ndarray, note: str = "") -> Measured:
    """Return a metric with its interval, which always holds the value: rounding could leave it out.

    >>> bounded(0.5, (0.6, 0.7), "...", np.zeros(3)).entry["low"]
    0.5
    """
    low, high = (float(bound) for bound in bounds)
    entry = {"value": float(value), "low": min(low, float(value)), "high": max(high, float(value)), "method": method}
    return Measured(entry | ({"note": note} if note else {}), influences)
