"""Plans as lines and tables, for the command line."""

from collections.abc import Sequence

import keras
import numpy as np

from tlmed.batch_statistics import STATISTICS_IMAGES
from tlmed.cache import show_size
from tlmed.label_texts import NEGATIVE, NOTHING, POSITIVE, UNDECIDED
from tlmed.label_vectors import are_vectors
from tlmed.plan.plan_json import cut, describe_block
from tlmed.sections.phase_words import say_phases
from tlmed.split_names import PLACES, SPLITS, UNUSED
from tlmed.tabulation import Table, numbers, texts
from tlmed.tasks import MULTI_LABEL
from tlmed.words import decimals, listed, name_pooling, tell_apart

_MOST_NAMES = 4  # so many blocks are named one by one in a row of the table
_RECALIBRATE = (
    f"recalibrate: after the phase, BatchNorm statistics are estimated again on {STATISTICS_IMAGES} training images at "
    "most. Epochs are chosen by the scores before that, phases by those after it."
)


def describe_backbone(name: str, model: keras.Model) -> list[str | Table]:
    """Return a backbone's blocks, layers and parameters as a line and a table."""
    blocks = [describe_block(block) for block in cut(model)]
    layers, parameters = (sum(block[key] for block in blocks) for key in ("layers", "parameters"))
    height, width = model.input_shape[1:3]
    first = (
        f"{name}: {len(blocks)} blocks, {layers} weighted layers, {parameters:,} parameters without a head "
        f"(shapes at {height} x {width})"
    )
    return [first, *describe_blocks({"blocks": blocks})]


def describe_images(
    classes: Sequence[str], labels: np.ndarray, splits: np.ndarray, groups: Sequence[str] | None = None
) -> Table:
    """Return how many images, and groups, of each class are in each split; of each label, those that have it.

    Args:
        classes: The names of the classes.
        labels: The class of every image, int [n], or a vector of labels, int [n, k].
        splits: The split of every image, n texts.
        groups: The group of every image, n texts, or None.

    >>> table = describe_images(["a", "b"], np.array([0, 0, 1]), np.array(["train", "test", "train"]))
    >>> print(*table.lines(), sep="/")
    class  train  val  test  all/a          1    0     1    2/b          1    0     0    1/all        2    0     1    3
    """
    several, every = are_vectors(labels), np.ones(len(labels), bool)
    if several:
        rows = {name: labels[:, label] == POSITIVE for label, name in enumerate(classes)}
        rows[NOTHING] = (labels == NEGATIVE).all(axis=1)
        undecided = ~rows[NOTHING] & ~(labels == POSITIVE).any(axis=1)
        rows |= {UNDECIDED: undecided} if undecided.any() else {}
    else:
        rows = {name: labels == label for label, name in enumerate(classes)}
    rows |= {"all": every}
    places = PLACES if (splits == UNUSED).any() else SPLITS
    parts = [*(splits == place for place in places), every]
    table = [(name, *(f"{(chosen & part).sum():,}" for part in parts)) for name, chosen in rows.items()]
    if groups is not None:
        owners = np.array(groups, dtype=object)
        table.append(("groups", *(f"{len(set(owners[part])):,}" for part in parts)))
    return Table(texts("label" if several else "class") + numbers(*places, "all"), table)


def describe_blocks(plan: dict) -> list[Table | str]:
    """Return the plan's blocks as a table, and a sentence if layers that are used more than once prevented cuts."""
    rows = [
        (
            block["name"],
            str(block["layers"]),
            f"{block['parameters']:,}",
            _name_shape(block["shape"]),
            _name_ends(block),
        )
        for block in plan["blocks"]
    ]
    return [
        Table(texts("block") + numbers("layers", "parameters") + texts("output", "from .. to"), rows),
        *describe_reused(plan),
    ]


def describe_reused(plan: dict) -> list[str]:
    """Say which layers the backbone uses more than once, and what that does to its blocks.

    >>> describe_reused({"reused": ["conv"], "blocks": [{"name": "block1"}]})
    ["Used more than once: layer 'conv'. All its uses lie in one block; the backbone is a single block."]
    """
    if not (names := plan.get("reused")):
        return []
    layers = f"layer{'s' if len(names) > 1 else ''} {listed(map(repr, names))}"
    uses = "All uses of each lie" if len(names) > 1 else "All its uses lie"
    single = "; the backbone is a single block" if len(plan["blocks"]) == 1 else ""
    return [f"Used more than once: {layers}. {uses} in one block{single}."]


def _name_shape(shape) -> str:
    if shape and isinstance(shape[0], list):
        return " + ".join(map(_name_shape, shape))
    return " x ".join(map(str, shape))


def _name_ends(block) -> str:
    return f"{block['first']} .. {block['last']}"


def describe_phases(plan: dict) -> list[Table | str]:
    """Return the plan's phases as a table, or its classifier as a table of settings; and what else phases do."""
    if "classifier" in plan:
        return _describe_settings(plan["classifier"], plan.get("task"))
    moving = any("moving_statistics" in phase for phase in plan["phases"])
    ratios = tell_apart(*(phase["fine_tuning_ratio"] for phase in plan["phases"]), places=2)
    rows = [
        (
            *(phase["name"], str(phase["thaw"]), _name_blocks(phase), f"{phase['trainable_parameters']:,}"),
            *((f"{phase.get('moving_statistics', 0):,}",) if moving else ()),
            *(f"{phase['frozen_parameters']:,}", ratio, phase["batch_norm"]),
            *(*_name_training(phase), phase["start"]),
        )
        for phase, ratio in zip(plan["phases"], ratios, strict=True)
    ]
    head = (
        *(*texts("phase"), *numbers("thaw"), *texts("trains"), *numbers("trainable")),
        *numbers(*(("statistics",) if moving else ()), "frozen", "ratio"),
        *(*texts("BatchNorm"), *numbers("epochs"), *texts("rate", "start")),
    )
    if {phase["start"] for phase in plan["phases"]} == {"previous"}:  # the default needs no column
        head, rows = head[:-1], [row[:-1] for row in rows]
    again = any(phase["batch_norm"] == "recalibrate" and phase["blocks"] for phase in plan["phases"])
    return [
        Table(head, rows),
        *say_phases(plan["phases"]),
        *plan.get("trained", ()),
        *([_RECALIBRATE] if again else []),
    ]


def describe_caching(plan: dict) -> list[Table]:
    """Return for each of the plan's phases whether the outputs of its frozen blocks are kept, and why."""
    rows = [
        (
            *(phase["name"], "kept" if phase["cache"]["on"] else "run in every epoch"),
            *(decimals(phase["cache"]["flops"] / 1e9), show_size(phase["cache"]["bytes_per_image"])),
            phase["cache"]["reason"],
        )
        for phase in plan["phases"]
        if phase["blocks"] != [block["name"] for block in plan["blocks"]]
    ]
    head = texts("phase", "frozen blocks") + numbers("GFLOP/image", "features/image") + texts("because")
    return [Table(head, rows)] if rows else []


def _name_blocks(phase) -> str:
    names = phase["blocks"]
    if len(names) > _MOST_NAMES:
        return f"{names[0]} .. {names[-1]} ({len(names)}) head"
    return " ".join([*names, "head"])


def _name_training(phase) -> tuple[str, str]:
    """Return epochs and learning rate; a head that is solved has neither."""
    if phase["solver"] is not None:
        return "solved", ""
    if not phase["learning_rates"]:  # those that training measures
        return str(phase["epochs"]), f"up to {phase['learning_rate']:.3g}"
    return str(phase["epochs"]), _name_rates(phase["learning_rates"])


def _name_rates(rates) -> str:
    """Name the learning rate, or the head's and the first block's where it falls from one to the other."""
    high, low = rates["head"], min(rates.values())
    return f"{high:.3g}" if high == low else f"{high:.3g} .. {low:.3g}"


def _name_tap(tap) -> str:
    return "the whole backbone" if tap == "last" else tap


def _describe_settings(classifier, task) -> list[Table]:
    of = "training images" + (", for each label those of which it is known" if task == MULTI_LABEL else "")
    words = {
        "classifier": classifier["name"],
        "features": f"of {_name_tap(classifier['tap'])}, {name_pooling(classifier['pooling'])}",
        "scaled": "yes" if classifier["scale"] else "no",
        "PCA": "no" if classifier["pca"] is None else str(classifier["pca"]),
        **{f"grid {name}": ", ".join(map(str, values)) for name, values in classifier["grid"].items()},
        "search": f"{classifier['points']} grid points, each in {classifier['folds']} folds of the {of}",
    }
    return [Table(texts("setting", "value"), list(words.items()))]
