"""What a run keeps to tell images unlike its training images, and how often it gives false alarms."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.answer_units import unit_of
from tlmed.evaluation.unusual_lines import say_share
from tlmed.novelty.known_images import expect_alarms
from tlmed.pages.templating import render
from tlmed.words import percent

_MEASURES = {
    "nearest": "the distance of its features to the nearest training image",
    "mahalanobis": "the Mahalanobis distance of its features to the mean of the training images",
    "class-mahalanobis": "the Mahalanobis distance of its features to the nearest class mean",
    "relative-mahalanobis": "the relative Mahalanobis distance of its features to the nearest class mean",
}


def show_novelty(novelty: Mapping) -> Markup:
    """Return how images are judged, and the false alarms; nothing of a run without `novelty.json`.

    Args:
        novelty: The content of `novelty.json`; older versions did not write it.
    """
    if not novelty:
        return Markup()
    unit = unit_of(novelty)
    shares = {split: say_share(novelty[split], unit) for split in ("validation", "test") if split in novelty}
    measure = _MEASURES.get(novelty.get("measure"), novelty.get("measure"))
    by_chance = percent(expect_alarms(novelty["units"])) if "units" in novelty else ""
    facts = {"measure": measure, "shares": shares, "by_chance": by_chance}
    return render("report/novelty.html", novelty=novelty, unit=unit, **facts)
