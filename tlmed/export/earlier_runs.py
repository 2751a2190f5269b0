"""Say in a model card which images the runs learned from that gave a run its weights."""

from collections.abc import Iterable, Mapping, Sequence

from tlmed.backbones import ancestry
from tlmed.export.naming import name_data, name_weights
from tlmed.identifiers import Identifiers
from tlmed.tabulation.markdown import code
from tlmed.words import name_start, say_undecided


def describe_earlier(
    weights: Iterable[ancestry.Start], images: Identifiers, rows: Sequence[Mapping[str, str]], alone: bool
) -> list[str]:
    """Return a sentence for each earlier run that gave weights, back to the first, and one if something is not known.

    Args:
        weights: Those that a run started from.
        images: How its images are identified.
        rows: Those of its `splits.csv`.
        alone: Whether its recipe says that each image stands alone.
    """
    runs, certain = ancestry.describe_earlier(weights, images, rows, alone)
    sentences = [_describe(run) for run in runs]
    if not certain:
        sentences.append("On which images its first weights were trained is not fully known.")
    return sentences


def _describe(run) -> str:
    began = f" It began with {code(name_start([*map(name_weights, run['began'])]))}." if run["began"] else ""
    return (
        f"The run {code(run['name'])}, which gave weights, learned before that from images of "
        f"{code(name_data(run['source']))}: {run['train']:,} in train, {run['val']:,} in val.{began}"
        f"{say_undecided(run['undecided'])}"
    )
