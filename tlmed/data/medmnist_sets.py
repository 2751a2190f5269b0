"""The public sets of MedMNIST by name, `medmnist:pathmnist` or `medmnist:pathmnist@64`, downloaded once.

Names, classes, licences and MD5 are those of `medmnist/info.py`; Yang et al., MedMNIST v2, Scientific Data 10 (2023)
41, and for the sizes 64, 128 and 224 MedMNIST+, https://zenodo.org/records/10519652.
"""

import tlmed.tensorflow_start

import json
import os
from dataclasses import dataclass
from pathlib import Path

from keras.src.backend import config

from tlmed.data.archives import open_archive
from tlmed.data.readers.stack import CHOOSE
from tlmed.data.table import Table
from tlmed.downloads import DownloadFailed, download, is_intact
from tlmed.errors import InputError, did_you_mean
from tlmed.words import listed

_FILE = Path(__file__).with_name("medmnist.json")
_FOLDER = Path("datasets", "medmnist")  # in Keras's cache
_SMALLEST = "28"
_RULE = "`medmnist:NAME` or `medmnist:NAME@SIZE` must name a set of MedMNIST"


@dataclass(frozen=True)
class PublicSet:
    """One size of a set.

    Attributes:
        name: Its name, with the size if it is not 28.
        file: The name of its file.
        url: Where that is.
        md5: Of the file, in hexadecimal.
        classes: The names of the labels 0, 1 and so on.
        licence: As MedMNIST states it.
        volumes: Whether its images are volumes.
    """

    name: str
    file: str
    url: str
    md5: str
    classes: tuple[str, ...]
    licence: str
    volumes: bool


def list_sets() -> dict[str, dict]:
    """Return what MedMNIST says of each set, by name: `task`, `volumes`, `licence`, `classes`, `md5` by size."""
    return _read()["sets"]


def find_set(name: str) -> PublicSet:
    """Return a set.

    Args:
        name: Such as `breastmnist`, of 28 x 28 pixels, or `breastmnist@224`.

    Raises:
        InputError: There is no such set or size.

    >>> find_set("breastmnist@64").file
    'breastmnist_64.npz'
    """
    plain, _, size = name.partition("@")
    sets = list_sets()
    if plain not in sets:
        raise InputError(f"{_RULE}: {listed(sets, 30)}.{did_you_mean(plain, sets)} Received: data=medmnist:{name}.")
    about = sets[plain]
    if (size or _SMALLEST) not in about["md5"]:
        sizes = listed(about["md5"], 10)
        raise InputError(f"The size of medmnist:{plain} must be one of {sizes}. Received: data=medmnist:{name}.")
    file = f"{plain}.npz" if size in ("", _SMALLEST) else f"{plain}_{size}.npz"
    url = _read()["url"].format(file=file)
    md5 = about["md5"][size or _SMALLEST]
    return PublicSet(name, file, url, md5, tuple(about["classes"]), about["licence"], about["volumes"])


def open_medmnist(name: str, sliced: bool = False) -> Table:
    """Read a set, which is downloaded into Keras's cache if no intact copy is there.

    Args:
        name: As for `find_set`.
        sliced: Whether volumes become samples; if not, those of a set are refused before they are downloaded.

    Raises:
        InputError: As for `find_set`, or it cannot be downloaded.
    """
    public = find_set(name)
    if public.volumes and not sliced:
        raise InputError(f"Volumes must become samples: {CHOOSE}. Received: data=medmnist:{name}, a set of volumes.")
    path = Path(os.path.expanduser(config.keras_home())) / _FOLDER / public.file
    if not (path.is_file() and is_intact(path, public.md5)):
        try:
            download(public.url, path, public.md5)
        except DownloadFailed as error:
            raise InputError(
                f"A set of MedMNIST must be in the Keras cache or be downloaded: copy {public.file} to {path.parent}. "
                f"Received: data=medmnist:{name}: {error}."
            ) from error
    return open_archive(path, f"medmnist:{name}", public.classes, public.licence)


def _read() -> dict:
    return json.loads(_FILE.read_text(encoding="utf-8"))
