"""What a lock says of a run: everything is read from the run's own files."""

import csv
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping

import h5py
import numpy as np

from tlmed.errors import InputError
from tlmed.recipe import digest, from_json
from tlmed.rundir import RunDir, read_csv
from tlmed.seeds import derive

FORMAT = 1
STREAMS = ("split", "backbone", "statistics", "bootstrap/test", "folds", "pca", "classifier")
TIMES = ("seconds", "earlier")
_READ_ERRORS = (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


def make_lock(run: RunDir) -> dict:
    """Return the content of a complete run's `lock.json`, without its checksum.

    Tables are lists of CSV lines, so that a version control system shows which line of one changed.

    Raises:
        InputError: If the run's files cannot be read.
    """
    try:
        if "code_sha256" not in run.json("environment.json"):
            raise InputError(
                "RUN must be of a tlmed that records all that decides a result; train it again. "
                f"Received: {str(run.path)!r}, of an older one."
            )
        return _make(run)
    except _READ_ERRORS as error:
        raise InputError(f"RUN must have all its files, readable. Received: {str(run.path)!r}: {error}.") from error


def _make(run) -> dict:
    environment, resolved = run.json("environment.json"), run.json("recipe.json")
    recipe, data = from_json(resolved), environment.pop("data")
    file = environment.pop("recipe", {})
    weights = environment.pop("weights")
    code = {
        "version": environment["versions"].pop("tlmed"),
        "git_commit": environment.pop("git_commit"),
        "sha256": environment.pop("code_sha256"),
    }
    for name in ("warnings", "seed"):
        environment.pop(name)
    return {
        "format": FORMAT,
        "recipe": {**file, "sha256": digest(recipe), "resolved": resolved},
        "code": code,
        "data": {**data, "sha256": digest_file(run / "splits.csv"), "rows": _lines(run / "splits.csv")},
        "weights": [_strip_path(source) for source in (weights if isinstance(weights, list) else [weights])],
        "seeds": {"seed": recipe.seed, "streams": name_streams(recipe.seed, _phase_names(run))},
        "environment": environment,
        "plan": {phase["name"]: phase["cache"] for phase in run.json("plan.json")["phases"] if "cache" in phase},
        "results": describe_results(run),
    }


def _strip_path(source) -> dict:
    """Return what weights are without where this machine keeps them; where a user named a file, the name says it."""
    return {name: value for name, value in source.items() if name != "path"}


def describe_results(run: RunDir) -> dict:
    """Return what came of a run: hashes of weights and predictions, the predictions, metrics and history."""
    found = {
        "weights": digest_model(run / "model.keras"),
        "classifier": None,
        "predictions": {
            "sha256": digest_file(run / "predictions.csv"),
            "rows": _lines(run / "predictions.csv"),
        },
        "metrics": strip_times(run.json("metrics.json")),
        "history": read_history(run),
    }
    if (run / "classifier.skops").exists():
        found["classifier"] = digest_classifier(run / "classifier.skops")
    return found


def read_history(run: RunDir) -> list[str]:
    """Return a run's `history.csv` as lines, without the times."""
    if not (run / "history.csv").exists():
        return []
    rows = read_csv(run / "history.csv")
    names = [name for name in rows[0] if name not in TIMES]
    return [",".join(names), *(",".join(row[name] for name in names) for row in rows)]


def name_streams(seed: int, phases: list[str]) -> dict[str, int]:
    """Return the seeds of the streams that a run draws from, by their names."""
    return {name: derive(seed, *name.split("/")) for name in (*STREAMS, *(f"phase/{phase}" for phase in phases))}


def strip_times(content):
    """Return some JSON without what only tells how long something took."""
    if isinstance(content, Mapping):
        return {name: strip_times(value) for name, value in content.items() if name not in TIMES}
    return [strip_times(value) for value in content] if isinstance(content, list) else content


def digest_file(path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_model(path) -> str:
    """Return the SHA-256 of all weights of a `.keras` file, by name, type, shape and value.

    The file itself holds the date at which it was saved. States of random numbers are no weights.
    """
    found = hashlib.sha256()

    def add(name: str, item) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name:
            value = np.ascontiguousarray(item[()])
            found.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
            found.update(value)

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
        file.visititems(add)
    return found.hexdigest()


def digest_classifier(path) -> str:
    """Return the SHA-256 of all arrays of a `.skops` file.

    Their names in the file are numbers of the process that wrote it, so the arrays' digests are put in order.
    """
    digests = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                digests.append(_digest_array(np.load(io.BytesIO(archive.read(name)), allow_pickle=False)))
    return hashlib.sha256(json.dumps(sorted(digests)).encode()).hexdigest()


def _digest_array(array) -> str:
    """Return the SHA-256 of an array; between the fields of a structured one lie bytes that mean nothing."""
    parts = [array[name] for name in array.dtype.names] if array.dtype.names else [array]
    found = hashlib.sha256(f"{array.dtype.descr} {array.shape}".encode())
    for part in parts:
        found.update(np.ascontiguousarray(part))
    return found.hexdigest()


def _phase_names(run) -> list[str]:
    return [phase["name"] for phase in run.json("plan.json")["phases"]]


def _lines(path) -> list[str]:
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def read_rows(lines: list[str]) -> list[dict[str, str]]:
    """Return a lock's table as one dictionary a row.

    >>> read_rows(["path,split", '"a, b.png",train'])
    [{'path': 'a, b.png', 'split': 'train'}]
    """
    return list(csv.DictReader(io.StringIO("\n".join(lines), newline="")))
