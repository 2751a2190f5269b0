"""The usage section of a model card: code that reads an image as tlmed does, and scores it with plain Keras."""

import inspect

from tlmed.evaluation.pooling import say_pooling
from tlmed.export.card_facts import CardFacts
from tlmed.export.plain_reading import read
from tlmed.fitting_in import STRETCH
from tlmed.intensity import FILE, from_json
from tlmed.tabulation.markdown import block, bullets, plain

_EXCEPTIONS = (
    "`read` gives the pixels that tlmed gives for PNG, JPEG, BMP, GIF and TIFF: gray or RGB of 1 to 16 bits, palettes, "
    "transparency, CMYK, EXIF orientation. Not for gray PNG of 2, 4 or 16 bits with a transparent colour, and not for "
    "gray TIFF of 12 bits, or of 16 bits where white is zero: use `tlmed predict` for these, and for other formats. "
    "tlmed also refuses images whose meaning is not sure (signed samples, 16-bit colours in separate planes), and "
    "`read` does so only in part."
)


def _find_limits(content: CardFacts) -> str:
    """Say which images `read` cannot read as the run did, if its rule needs more than pixels; "" if it does not."""
    limits = ""
    if content.recipe["data"].get("spacing") is not None:
        limits += (
            "\n\nThe run shows all images at one scale (`data.spacing`). PNG, JPEG and their like do not say how many "
            "millimetres their pixels measure: `tlmed predict` reads the files that do. `read` is only for images that "
            "have this scale and size already."
        )
    if from_json(content.plan.get("window")).kind == FILE:
        limits += (
            "\n\nThe run shows values by a range of each file (`data.window`): use `tlmed predict` for images of more "
            "than 8 bits."
        )
    return limits


def _show_rule(content: CardFacts) -> str:
    """Return the further arguments of `read`: what is black and white in 16 bits, and how an image gets its size."""
    window, fit = from_json(content.plan.get("window")), content.recipe["data"].get("fit", STRETCH)
    ends = None if window.low is None else (window.low, window.high)
    return "" if ends is None and fit == STRETCH else f", {ends!r}, {fit!r}"


def show_usage(content: CardFacts, members: int = 1, shared: bool = False) -> str:
    """Return Markdown with code that scores an image.

    Args:
        content: The facts of a run, or of several that answer together.
        members: How many networks are in `model.keras`.
        shared: Whether the reader has a shared folder and not the run.
    """
    height, width = content.recipe["data"]["image_size"]
    of_hub = any(name.startswith("hub:") for name in content.backbones)
    result = "features" if content.is_hybrid else "probabilities"
    lines = [
        "import keras",
        *(["import keras_hub  # its layers are in the model"] if of_hub else []),
        "import numpy as np",
        "from PIL import Image, ImageOps",
        "",
        "",
        inspect.getsource(read),
        "",
        'model = keras.saving.load_model("model.keras", safe_mode=True)',
        f'{result} = model.predict(read("image.png", {height}, {width}{_show_rule(content)}))[0]',
    ]
    if not content.is_hybrid:
        lines.append(f"print(dict(zip({content.metrics['classes']!r}, {result})))")
    words = _describe_folder(content, members) if shared else _describe_files(content)
    if content.is_multi:
        words += " A label is predicted from its own threshold on (see above), whatever the other labels have."
    if pooled := say_pooling(content.metrics):
        words += f" The code scores one image. {plain(pooled)} This is not part of `model.keras`."
    return f"{words}\n\n{block(chr(10).join(lines), 'python')}\n\n{_EXCEPTIONS}{_find_limits(content)}"


def _describe_files(content) -> str:
    if content.is_hybrid:
        return (
            "`model.keras` gives the features; `classifier.skops`, read by `tlmed predict RUN IMAGES`, turns them into "
            "probabilities. The features alone need no tlmed:"
        )
    return "`model.keras` is a plain Keras model and needs no tlmed. With tlmed: `tlmed predict RUN IMAGES`."


def _describe_folder(content, members) -> str:
    """Say what is in a shared folder; whoever reads it does not have the run."""
    together = f", the weighted mean of {members} networks" if members > 1 else ""
    gives = "the features" if content.is_hybrid else f"the probabilities{together}"
    points = [
        f"`model.keras` is a plain Keras model and needs no tlmed; it gives {gives}.",
        "`preprocessing.json` says how an image becomes its input, and by which rule its scores become an answer.",
        "`metrics.json` has all scores with their intervals.",
    ]
    if content.is_hybrid:
        points.append(
            "`classifier.skops` is the classifier of scikit-learn that turns the features into probabilities "
            "(`skops.io.load`, which asks which types in it are trusted)."
        )
    if members == 1:
        points.append(
            'In a recipe of tlmed, `weights="hf:FOLDER"` starts from this network, where FOLDER is this folder: it '
            "takes the backbone and leaves the head. On which images it was trained cannot be told from this folder by "
            "name or content: make sure that none of your test images is among them."
        )
    return f"{bullets(points)}\n\nThis code uses plain Keras."
