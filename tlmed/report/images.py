"""The images of a run: splits, what was left out, warnings."""

from collections import Counter

from tlmed.evaluation.page import bullets, table, text
from tlmed.report.content import Content

_MADE = {"made": "The splits were made by tlmed.", "given": "The splits were given with the data."}


def is_synthetic(content: Content) -> bool:
    """Tell whether the images were drawn by tlmed."""
    places = [part.get("data", {}).get("source", "") for part in (content.recipe, content.environment)]
    return any("tlmed_phantoms" in str(place) for place in places)


def show_images(content: Content) -> str:
    """Return images per class and split as HTML."""
    order = {"train": 0, "val": 1, "test": 2}
    splits = sorted({row["split"] for row in content.splits}, key=lambda name: (order.get(name, 3), name))
    cells = Counter((row["label"], row["split"]) for row in content.splits)
    rows = [
        (text(label), *(f"{cells[label, split]:,}" for split in splits), f"{sum(cells[label, s] for s in splits):,}")
        for label in sorted({row["label"] for row in content.splits})
    ]
    whole = Counter(row["split"] for row in content.splits)
    rows.append(("all images", *(f"{whole[split]:,}" for split in splits), f"{len(content.splits):,}"))
    groups = {(row["group"], row["split"]) for row in content.splits if row.get("group")}
    if groups:
        per_split = Counter(split for _, split in groups)
        rows.append(("groups", *(f"{per_split[split]:,}" for split in splits), f"{len({g for g, _ in groups}):,}"))
    data = content.environment.get("data", {})
    left_out = [f"{text(item['path'])}: {text(item['reason'])}" for item in data.get("left_out", [])]
    more = f"<h3>Left out</h3>{bullets(left_out)}" if left_out else ""
    return f"<p>{_MADE.get(data.get('split'), '')}</p>{table(('Class', *map(text, splits), 'all'), rows)}{more}"


def show_warnings(content: Content) -> str:
    """Return the warnings of all of a run's files as a list of HTML."""
    found = [*content.environment.get("warnings", []), *content.plan.get("warnings", [])]
    return bullets(map(text, [*found, *content.metrics.get("warnings", [])]))
