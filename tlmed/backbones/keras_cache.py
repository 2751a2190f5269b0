"""Keras's own weight files: in its cache, or downloaded into it."""

import os
from pathlib import Path

from keras.src.backend import config

from tlmed import downloads
from tlmed.backbones.applications import KerasFile
from tlmed.downloads import DownloadFailed, is_intact

_FOLDER = "models"  # where `keras.applications` keeps its files

__all__ = ["DownloadFailed", "cached", "download", "expected_path", "list_names"]


def list_names() -> list[str]:
    """Return the names of the weight files in Keras's cache, whether they are intact or not."""
    folder = Path(os.path.expanduser(config.keras_home())) / _FOLDER
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def expected_path(file: KerasFile) -> Path:
    """Return where Keras keeps the file, whether it is there or not."""
    return Path(os.path.expanduser(config.keras_home())) / file.subfolder / file.name


def cached(file: KerasFile) -> Path | None:
    """Return the path of an intact copy in the Keras cache, None if there is none.

    A copy that fails Keras's own hash is no copy: Keras would fetch it again.
    """
    path = expected_path(file)
    return path if path.is_file() and is_intact(path, file.hash) else None


def download(file: KerasFile) -> Path:
    """Download a file to where keras.applications would, and check its hash.

    Raises:
        DownloadFailed, OSError: As for `tlmed.downloads.download`.
    """
    return downloads.download(file.origin, expected_path(file), file.hash)
