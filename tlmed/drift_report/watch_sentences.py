"""A check for drift in sentences, and its tests as rows of a table; for a page and for a terminal."""

from collections.abc import Mapping, Sequence

from tlmed.drift.drift_check import WHOLE
from tlmed.drift.drift_tests import CLASSES, SCORES, TRUTH, UNUSUAL
from tlmed.drift.stability_index import LARGE, SMALL
from tlmed.words import count, join_names, percent, thousandths

_MOST = 4  # findings that a sentence names; it counts the others


def conclude(content: Mapping) -> str:
    """Return whether there is drift, and in what.

    Args:
        content: Of `watch.json`.
    """
    tests = [(period["period"], test) for period in content["periods"] for test in period["tests"]]
    found = [(period, test) for period, test in tests if test["drift"]]
    how = f"{count(len(tests), 'test')}, corrected by Holm at {content['level']:g}"
    if not found:
        return f"No drift found ({how}). That does not prove that there is none: small changes need many images."
    named = [f"{name_test(test)}{_of(period)} (p {say_p(test['adjusted'])})" for period, test in found[:_MOST]]
    more = [f"{len(found) - _MOST:,} more"] if len(found) > _MOST else []
    return f"Drift: {join_names([*named, *more])}. {len(found):,} of {how}."


def _of(period: str) -> str:
    return "" if period == WHOLE else f" in {period}"


def name_test(test: Mapping) -> str:
    """Return what was tested, for a person.

    >>> name_test({"kind": "scores", "name": "ill"}), name_test({"kind": "unusual", "name": ""})
    ('scores of ill', 'share of unusual images')
    """
    return {
        SCORES: f"scores of {test['name']}",
        CLASSES: f"predicted {test['name']}" if test["name"] else "predicted classes",
        UNUSUAL: "share of unusual images",
        TRUTH: "scores of the true class",
    }[test["kind"]]


def say_p(p: float) -> str:
    """Return a p-value for a person.

    >>> say_p(0.00004), say_p(0.0312), say_p(1.0)
    ('< 0.001', '0.031', '1.000')
    """
    return "< 0.001" if p < 0.001 else thousandths(p) if p < 0.9995 else "1.000"


def say_amounts(test: Mapping) -> tuple[str, str]:
    """Return what was tested on the test split and in what came in: a mean, or the share of the class that moved most.

    >>> say_amounts({"kind": "classes", "name": "", "there": {"ill": 0.5, "well": 0.5}, "here": {"ill": 1, "well": 0}})
    ('ill 50 %', 'ill 100 %')
    """
    there, here = test["there"], test["here"]
    if isinstance(there, Mapping):
        moved = max(there, key=lambda name: abs(there[name] - here[name]))
        return tuple(f"{moved} {percent(part[moved])}" for part in (there, here))
    shown = percent if test["kind"] in (CLASSES, UNUSUAL) else thousandths
    return shown(there), shown(here)


def say_stability(psi: Mapping | None) -> str:
    """Return a population stability index beside what chance reaches, and what it means if it is more; "" for None.

    >>> say_stability({"value": 0.31, "by_chance": 0.12, "p": 0.002, "verdict": "large"})
    '0.310 (0.120), large'
    """
    if psi is None:
        return ""
    said = {"none": "", "by chance as large": ", chance"}.get(psi["verdict"], f", {psi['verdict']}")
    return f"{psi['value']:.3f} ({psi['by_chance']:.3f}){said}"


def describe_month(period: Mapping) -> tuple[str, ...]:
    """Return a month as a row: its images, the share of unusual ones, the least p-value, the largest PSI, and drift.

    Args:
        period: Of `watch.json`.
    """
    tests = period["tests"]
    found = [name_test(test) for test in tests if test["drift"]]
    share = percent(period["unusual"]["value"]) if "unusual" in period else "-"
    least = say_p(min(test["adjusted"] for test in tests)) if tests else "-"
    indices = [test["psi"] for test in tests if "psi" in test]
    # One that chance does not reach says more than a larger one that it does.
    index = max(indices, key=lambda psi: (psi["value"] > psi["by_chance"], psi["value"]), default=None)
    said = f"not tested: {period['reason']}" if "reason" in period else ", ".join(found) or "-"
    return period["period"], f"{period['n']:,}", share, least, say_stability(index) or "-", said


def describe_stability(tests: Sequence[Mapping]) -> list[str]:
    """Say what the index is by chance, with these numbers of images."""
    if not any(test.get("psi") for test in tests):
        return []
    return [
        f"PSI: the population stability index. The usual thresholds are {SMALL:g} (moderate) and {LARGE:g} (large). "
        "In brackets: up to where it is by chance alone with so many images (in 95 % of draws); only above that it is "
        "called anything. It does not decide."
    ]
