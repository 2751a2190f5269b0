"""List the backbones without building any: names, sizes, and where ImageNet weights are found here."""

import csv
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tlmed.tabulation import Table, numbers, texts
from tlmed.words import decimals

COLUMNS = ("name", "parameters", "blocks", "height", "width", "least", "file", "package")
FILE = Path(__file__).with_suffix(".csv")  # made by `python -m tlmed.plan.counting`
_BYTES = 4  # of each number in Keras's files


@dataclass(frozen=True)
class Entry:
    """A backbone of the list.

    Attributes:
        name: Its name.
        parameters: Its parameters without a classifier.
        blocks: How many it is cut into.
        size: Height and width that its authors gave it, in pixels.
        least: The least height and width that it takes, in pixels.
        file: Keras's file of its ImageNet weights at that size, `""` where there is none.
        package: A module that carries weights for it, `""` where none does.
    """

    name: str
    parameters: int
    blocks: int
    size: tuple[int, int]
    least: int
    file: str
    package: str

    def find_weights(self) -> str:
        """Say where weights would come from, without importing or reading; a file that is too small is ignored."""
        file = _keras_home() / "models" / self.file
        if self.file and file.is_file() and file.stat().st_size >= _BYTES * self.parameters:
            return "in cache"
        if self.package and importlib.util.find_spec(self.package) is not None:
            return "with tlmed" if self.package == "tlmed" else "installed"
        return "download" if self.file else "none"


def read_catalogue() -> list[Entry]:
    """Return the backbones, by name."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return list(_parse(file))


def _parse(file) -> Iterator[Entry]:
    for row in csv.DictReader(file):
        size = int(row["height"]), int(row["width"])
        parameters, blocks, least = (int(row[name]) for name in ("parameters", "blocks", "least"))
        yield Entry(row["name"], parameters, blocks, size, least, row["file"], row["package"])


def _keras_home() -> Path:
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()


def describe_catalogue() -> list[str | Table]:
    """Return the list of backbones as a table, with what its columns mean."""
    rows = [
        (entry.name, decimals(entry.parameters / 1e6), str(entry.blocks), _name_size(entry.size), entry.find_weights())
        for entry in read_catalogue()
    ]
    return [
        Table(texts("backbone") + numbers("M params", "blocks", "size") + texts("weights"), rows),
        "",
        "M params: millions of parameters without a classifier. size: height and width that the authors used.",
        "weights: of ImageNet, LeNet5's of digits; in Keras's cache, in an installed package, with tlmed, to be "
        "downloaded, or none, so that training begins from random ones.",
        "`tlmed backbones NAME` shows the blocks of one. A MobileNet can have a width: MobileNet:0.25.",
    ]


def _name_size(size) -> str:
    return " x ".join(map(str, size))
