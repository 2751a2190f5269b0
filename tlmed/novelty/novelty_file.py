"""`novelty.sealed` of a run: what it knows of its training images, arrays and numbers only."""

import hashlib
import json
from pathlib import Path

import numpy as np

from tlmed.errors import InputError
from tlmed.novelty.conformal import Calibration
from tlmed.novelty.distances import MEASURES, rebuild_measure
from tlmed.novelty.known_images import Novelty
from tlmed.rundir import NOVELTY, RunDir
from tlmed.sealed import DamagedFile, seal, unseal

FORMAT = 1


def write_novelty(run: RunDir, novelty: Novelty) -> None:
    """Write what a run knows of its training images, whole or not at all."""
    arrays = {
        **novelty.measure.arrays(),
        "scores": novelty.calibration.scores.astype(np.float64),
        "owners": novelty.calibration.owners.astype(np.int32),
        "tested": novelty.tested.astype(np.float64),
        "testers": novelty.testers.astype(np.int32),
    }
    about = {"format": FORMAT, **novelty.about, "width": novelty.width}
    seal(run / NOVELTY, about, ((f"{name}.npy", array) for name, array in arrays.items()))


def find_novelty(run: RunDir) -> Novelty | None:
    """Return what a run knows of its training images; None where it kept nothing.

    Raises:
        InputError: If the file is damaged or of a newer version.
    """
    return load_novelty(run) if (run / NOVELTY).exists() else None


def load_novelty(run: RunDir | str | Path) -> Novelty:
    """Return what a run knows of its training images.

    Args:
        run: A run of one network.

    Raises:
        InputError: If there is no such file, or it is damaged or of a newer version.
    """
    run = run if isinstance(run, RunDir) else RunDir(Path(run))
    path = run / NOVELTY
    try:
        about, arrays = unseal(path)
        return _rebuild(about, {name.removesuffix(".npy"): array for name, array in arrays.items()})
    except FileNotFoundError as error:
        raise InputError(
            f"RUN must have a file `{NOVELTY}` to tell unusual images: train it again with this version. "
            f"Received: {run.path}, without one."
        ) from error
    except (DamagedFile, KeyError, ValueError, TypeError) as error:
        raise InputError(f"`{NOVELTY}` must be as `tlmed train` wrote it. Received: {path}: {error}.") from error


def _rebuild(about, arrays) -> Novelty:
    if about["format"] != FORMAT or about["measure"] not in MEASURES:
        raise DamagedFile(f"format {about['format']!r} with the measure {about['measure']!r}, unknown to this version")
    measure = rebuild_measure(about["measure"], arrays)
    calibration = Calibration(arrays["scores"], arrays["owners"])
    facts = {name: value for name, value in about.items() if name not in ("format", "width")}
    return Novelty(measure, calibration, int(about["width"]), facts, arrays["tested"], arrays["testers"])


def digest_novelty(path: Path) -> str:
    """Return the SHA-256 of all that the file holds; the file itself holds the time at which it was written.

    Raises:
        DamagedFile, FileNotFoundError: As `tlmed.sealed.unseal`.
    """
    about, arrays = unseal(path)
    found = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array)
    return found.hexdigest()
