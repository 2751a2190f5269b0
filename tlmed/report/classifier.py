"""The classical classifier of a feature extractor hybrid: what was searched for, and what was found."""

from collections.abc import Mapping, Sequence

from tlmed.evaluation.page import fold, table, text
from tlmed.pages.amounts import flatten, number
from tlmed.report.content import Content
from tlmed.report.schedule import show_blocks
from tlmed.words import count, join_names

_MOST_ROWS = 12  # of a search that is shown without a click
_SEARCH = ("rank", "mean_score", "std_score")
_FLAT = "probabilities keep the classifier's order and say little more than how often they occur"


def show_classifier(content: Content) -> str:
    """Return the classifier, its parameters and its search as HTML; nothing where the network has a head."""
    found = content.metrics.get("classifier")
    if not found:
        return ""
    named = ", ".join(f"{name} = {value}" for name, value in found.get("parameters", {}).items()) or "the defaults"
    rows = [
        ("Classifier", f"<code>{text(found['name'])}</code>"),
        ("Parameters chosen", f"<code>{text(named)}</code>"),
        ("Cross-validated score", _say_score(found)),
    ]
    if found.get("features") is not None:
        rows.append(("Features per image", text(f"{found['features']:,}")))
    if found.get("turned"):
        names = join_names(found["turned"])
        rows.append(("Calibration", text(f"the folds ranked images of {names} the wrong way round; {_FLAT}")))
    steps = [(text(key.replace("_", " ")), text(value)) for key, value in flatten(content.plan.get("classifier", {}))]
    return (
        table(("", ""), rows, texts=(1,))
        + "<p><small>Parameters were chosen by cross-validation inside the training split; validation and test images "
        "had no part in it.</small></p>"
        + _show_search(content.search)
        + (fold("How the features reach the classifier", table(("", ""), steps, texts=(1,))) if steps else "")
        + show_blocks(content.plan)
    )


def _say_score(found) -> str:
    if found.get("cv_score") is None:
        return "none"
    by = f" ({text(found['scoring'])}" if found.get("scoring") else " ("
    return f"{number(found['cv_score'])}{by}, mean of {count(found['folds'], 'fold')})"


def _show_search(rows: Sequence[Mapping]) -> str:
    """Return every point of the grid, best first; folded where they are many."""
    if not rows:
        return ""
    parameters = [name for name in rows[0] if name not in _SEARCH]
    best_first = sorted(rows, key=lambda row: int(row["rank"]))
    cells = [
        (
            text(row["rank"]),
            *(number(float(row[name])) if row[name] else "" for name in ("mean_score", "std_score")),
            *(text(row[name]) for name in parameters),
        )
        for row in best_first
    ]
    shown = table(("Rank", "Mean score", "Std over folds", *map(text, parameters)), cells)
    title = f"Search over {count(len(rows), 'grid point')}"
    return f"<h3>{title}</h3>{shown}" if len(rows) <= _MOST_ROWS else fold(title, shown)
