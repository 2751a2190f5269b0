"""What a run cost, and what it ran on."""

from collections.abc import Mapping

from tlmed.evaluation.page import fold, table, text
from tlmed.pages.amounts import duration, flatten


def show_cost(timing: Mapping) -> str:
    """Return times, speed and memory as HTML."""
    named = {"training_seconds": "Training, from the first image read", "total_seconds": "Whole run"}
    rows = [(words, duration(timing[key])) for key, words in named.items() if key in timing]
    if timing.get("images_per_second") is not None:
        rows.append(("Images per second while training", f"{timing['images_per_second']:,.1f}"))
    if timing.get("peak_memory_mb") is not None:
        rows.append(("Peak memory", f"{timing['peak_memory_mb']:,.0f} MB"))
    stages = [(text(stage["name"]), duration(stage["seconds"])) for stage in timing.get("stages", [])]
    return table(("", ""), rows) + fold("Stages", table(("Stage", "Time"), stages))


def show_environment(environment: Mapping) -> str:
    """Return versions, devices, threads, seed and weights as HTML."""
    elsewhere = ("warnings", "leaks", "data")
    rows = [(text(key), text(value)) for key, value in flatten(environment) if not key.startswith(elsewhere)]
    return fold("Versions, devices, threads, seed, weights", table(("", ""), rows, texts=(1,)))
