"""The parts of every report around its sections: title, notices, the scores that papers report."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.answer_units import name_left_out, say_all_undecided, say_least, say_undecided, scored_image, unit_of
from tlmed.evaluation.label_lines import name_mean
from tlmed.metrics import say_positive
from tlmed.pages.templating import make_page, render
from tlmed.tasks import MULTI_LABEL, ORDINAL, PRIMARY, read_task
from tlmed.words import begin_sentence

_HEADLINE = ("auc", "accuracy", "sensitivity", "specificity")
_OF_GRADES = (PRIMARY[ORDINAL], "mean_absolute_error", "auc", "accuracy")


def frame(
    title: str, metrics: Mapping, sections: Mapping[str, Markup], synthetic: bool, run: str, model: str = "network"
) -> str:
    """Return a whole page.

    Args:
        title: Plain text.
        metrics: `metrics.json`.
        sections: Titles to what was rendered; a section without content is left out.
        synthetic: Whether the images were drawn by tlmed.
        run: What the run is called where it has no title, plain text.
        model: What knows images that were trained on; of a cross-validation it is one of several.
    """
    leaks = metrics.get("without_leaks")
    without = leaks["metrics"] if leaks else {}
    names = _OF_GRADES if read_task(metrics) == ORDINAL else _HEADLINE
    headline = [
        (name, _name(name, metrics), metrics["metrics"][name], without.get(name))
        for name in names
        if metrics["metrics"].get(name)
    ]
    lead = render(
        "report/lead.html",
        run="" if run == title else run,
        synthetic=synthetic,
        headline=headline,
        positive=say_positive(metrics["classes"], metrics.get("positive"), metrics.get("positive_asked", False)),
        leaks=leaks,
        least=say_least(metrics).capitalize(),
        left_out=name_left_out(metrics),
        more=say_undecided(metrics),
        undecided=say_all_undecided(metrics),
        n=metrics["n"],
        image=scored_image(metrics),
        unit=unit_of(metrics),
        whom=f"{model}s" if "folds" in metrics else model,
    )
    return make_page(title, lead, sections)


def _name(metric, metrics) -> str | None:
    """Return the words of a mean over labels; None for those of the glossary."""
    if read_task(metrics) != MULTI_LABEL:
        return None
    return begin_sentence(name_mean(metric, metrics))
