"""`preprocessing.json` of a shared folder: how an image becomes numbers, these an answer, and what the network is."""

from typing import Required, TypedDict

from tlmed.run_files.json_files import JsonFile

FORMAT = 1  # of `preprocessing.json`
MODEL, CLASSIFIER = "model.keras", "classifier.skops"


class SharedBackbone(TypedDict, total=False):
    """A backbone in a shared network."""

    name: Required[str]
    graph: Required[str]  # which variant of its graph, with its preprocessing: of `tlmed.backbones.weight_files.GRAPHS`
    weights: str  # the name of those that training began with, without a path
    licence: str | None  # of these, as their source states it


class SharedNetwork(TypedDict, total=False):
    """The network of a shared folder."""

    file: str
    sha256: Required[str]  # of `model.keras`
    members: Required[int]  # networks in it, which answer by the mean of their probabilities
    gives: str  # "probabilities", or of a hybrid "features"
    backbones: Required[list[SharedBackbone]]  # of the first member


class SharedImages(TypedDict, total=False):
    """How a file becomes the input of a shared network."""

    size: Required[list[int]]  # height and width in pixels


class Shared(TypedDict, total=False):
    """`preprocessing.json`, as `tlmed.export.hub_folder` writes it."""

    format: Required[int]
    made_by: str
    images: Required[SharedImages]
    answer: dict[str, object]
    network: Required[SharedNetwork]


def _find_fault(content: Shared) -> str:
    if content["format"] != FORMAT:
        return f"format {content['format']}, of which this tlmed knows only {FORMAT}"
    size, backbones = content["images"]["size"], content["network"]["backbones"]
    if len(size) != 2 or min(size) < 1:
        return f"size={size}"
    return "" if backbones else "no backbone"


SHARED_JSON = JsonFile("preprocessing.json", Shared, _find_fault, "tlmed export --format hub", "a shared folder")
