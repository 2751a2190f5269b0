"""The scikit-learn classifier of a feature extractor hybrid: the parameters that were tried, and those chosen."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from tlmed.pages.amounts import flatten, number
from tlmed.pages.templating import render
from tlmed.report.image_counts import SHOWN, count_known, say_hidden, say_test_apart
from tlmed.report.loaded_files import RunContent
from tlmed.report.phase_tables import show_blocks
from tlmed.tabulation import CODE, Table, numbers, say, texts
from tlmed.words import count, join_names, tell_apart

_MOST_ROWS = 12  # a search with more rows is folded
_CHOSEN = "Parameters were chosen by cross-validation inside the training split"
_SEARCH = ("label", "rank", "mean_score", "std_score")
_FLAT = "probabilities keep the classifier's order, but hardly differ from how often the class occurs"


def show_classifier(content: RunContent) -> Markup:
    """Return the classifier, its parameters and its search; nothing where the network has a head."""
    found = content.metrics.get("classifier")
    if not found:
        return Markup()
    steps = [
        (key.replace("_", " "), "" if value is None else str(value))
        for key, value in flatten(content.plan.get("classifier", {}))
    ]
    labels = found.get("labels", {})
    points = len(content.search) // max(1, len(labels))
    each = f" for each of {count(len(labels), 'label')}" if labels else ""
    return render(
        "report/classifier.html",
        found=Table(texts("", ""), _list_found(found), footnote=f"{_CHOSEN}; {_say_apart(content)}."),
        labels=_tabulate_labels(found) if labels else None,
        steps=Table(texts("", ""), steps),
        blocks=show_blocks(content.plan),
        title=f"Search over {count(points, 'grid point')}{each}",
        search=_tabulate_search(content.search),
        folded=len(content.search) > _MOST_ROWS,
    )


def _list_found(found) -> list[tuple]:
    rows = [("Classifier", say(found["name"], mark=CODE))]
    if "labels" not in found:
        rows.append(("Parameters chosen", say(_name_parameters(found), mark=CODE)))
    rows.append(("Cross-validated score", _say_score(found)))
    if found.get("features") is not None:
        rows.append(("Features per image", f"{found['features']:,}"))
    if found.get("turned"):
        names = join_names(found["turned"])
        rows.append(("Calibration", f"the folds did not rank images of {names} above others; {_FLAT}"))
    return rows


def _name_parameters(found) -> str:
    return ", ".join(f"{name} = {value}" for name, value in found.get("parameters", {}).items()) or "the defaults"


def _tabulate_labels(found) -> Table:
    """Return the classifier of each label: the images it was fitted to, what was chosen, and its score."""
    rows = [
        (label, say(_name_parameters(one), mark=CODE), f"{one['images']:,}", number(one["cv_score"]))
        for label, one in found["labels"].items()
    ]
    return Table(texts("Label", "Parameters chosen") + numbers("Training images", "Cross-validated score"), rows)


def _say_apart(content) -> str:
    metrics = content.metrics
    if count_known(metrics) or content.copies:
        return say_test_apart(metrics, content.copies)
    return f"validation and test images had no part in it, {SHOWN}{say_hidden(metrics)}"


def _say_score(found) -> str:
    if found.get("cv_score") is None:
        return "none"
    by = f" ({found['scoring']}" if found.get("scoring") else " ("
    over = " and labels" if "labels" in found else ""
    return f"{number(found['cv_score'])}{by}, mean of {count(found['folds'], 'fold')}{over})"


def _tabulate_search(rows: Sequence[Mapping]) -> Table | None:
    """Return every point of the grid, best first; of several labels one label after the other."""
    if not rows:
        return None
    parameters = [name for name in rows[0] if name not in _SEARCH]
    means = {float(row["mean_score"]) for row in rows if row["mean_score"]}
    known = sorted(filter(math.isfinite, means))
    shown = dict(zip(known, tell_apart(*known), strict=True))  # the best one was chosen: a worse must not read like it
    labels = list(dict.fromkeys(row.get("label") for row in rows))
    cells = [
        (
            *((row["label"],) if "label" in row else ()),
            row["rank"],
            shown.get(float(row["mean_score"]), row["mean_score"]) if row["mean_score"] else "",
            number(float(row["std_score"])) if row["std_score"] else "",
            *(row[name] for name in parameters),
        )
        for row in sorted(rows, key=lambda row: (labels.index(row.get("label")), int(row["rank"])))
    ]
    first = texts(*(("Label",) if "label" in rows[0] else ()), "Rank")
    return Table(first + numbers("Mean score", "Std over folds", *parameters), cells)
