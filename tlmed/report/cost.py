"""What a run cost, and what it ran on."""

from collections.abc import Mapping

from markupsafe import Markup

from tlmed.pages.amounts import duration, flatten
from tlmed.pages.templating import render
from tlmed.tabulation import Table, numbers, texts


def show_cost(timing: Mapping) -> Markup:
    """Return times, speed and memory."""
    named = {
        "training_seconds": "Training, from the first image read",
        "total_seconds": "Whole run, without start and report",
    }
    rows = [(words, duration(timing[key])) for key, words in named.items() if key in timing]
    if timing.get("images_per_second") is not None:
        rows.append(("Images per second while training", f"{timing['images_per_second']:,.1f}"))
    if timing.get("peak_memory_mb") is not None:
        rows.append(("Peak memory", f"{timing['peak_memory_mb']:,.0f} MB"))
    stages = [(stage["name"], duration(stage["seconds"])) for stage in timing.get("stages", [])]
    return render(
        "report/cost.html",
        costs=Table(texts("") + numbers(""), rows),
        stages=Table(texts("Stage") + numbers("Time"), stages),
    )


def show_environment(environment: Mapping) -> Markup:
    """Return versions, devices, threads, seed and weights."""
    elsewhere = ("warnings", "leaks", "data", "earlier")
    rows = [
        (key, "" if value is None else str(value))
        for key, value in flatten(environment)
        if not key.startswith(elsewhere)
    ]
    return render("report/environment.html", environment=Table(texts("", ""), rows))
