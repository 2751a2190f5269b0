"""Say in a model card which images the runs learned from that gave a run its weights."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tlmed.backbones.ancestry import find_known, list_starts
from tlmed.export.naming import name_data, name_weights
from tlmed.run_files import ENVIRONMENT_JSON, RECIPE_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.tabulation.markdown import code
from tlmed.words import name_start


def describe_earlier(weights: Iterable[str], source: str) -> list[str]:
    """Return a sentence for each earlier run that gave weights, back to the first, and one if something is not known.

    Args:
        weights: The full names of the weights that a run started from.
        source: Where its images come from.
    """
    known, unsure = find_known(weights, source)
    sentences = [_describe(RunDir(Path(folder))) for folder in known]
    if unsure:
        sentences.append("On which images its first weights were trained is not fully known.")
    return sentences


def _describe(run) -> str:
    counts = Counter(row["split"] for row in SPLITS_CSV.read(run))
    source = name_data(RECIPE_JSON.read(run)["data"]["source"])
    start = name_start([*map(name_weights, list_starts(ENVIRONMENT_JSON.read(run)))])
    return (
        f"The run {code(run.path.name)}, which gave weights, learned before that from images of {code(source)}: "
        f"{counts['train']:,} in train, {counts['val']:,} in val. It began with {code(start)}."
    )
