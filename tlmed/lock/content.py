"""What a lock says of a run: everything is read from the run's own files."""

import contextlib
import csv
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Iterator

import h5py
import numpy as np

from tlmed.backbones.packages import sha256
from tlmed.errors import InputError
from tlmed.evaluation.predictions import read_predictions
from tlmed.recipe import digest, from_json
from tlmed.regular_files import read_regular
from tlmed.rundir import RunDir, format_csv, read_csv
from tlmed.seeds import derive

FORMAT = 2  # 1 held copies of `predictions.csv` and `metrics.json`: 100 MB for 1,000 classes
STREAMS = ("split", "backbone", "statistics", "bootstrap/test", "folds", "pca", "classifier")
TIMES = ("seconds", "earlier")
PREDICTIONS = ("path", "split", "label", "prediction", "score")
_BY_ADDRESS = ("__id__", "file", "_skops_version")
# What JSON of another shape, a short table, a damaged archive and damaged HDF5 raise when they are read.
_READ_ERRORS = (
    *(OSError, KeyError, IndexError, ValueError, TypeError, AttributeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, csv.Error),
)


@contextlib.contextmanager
def reading(run: RunDir) -> Iterator[None]:
    """Turn what can go wrong with the files of a run into one error that says so."""
    try:
        yield
    except InputError:
        raise
    except _READ_ERRORS as error:
        what = f"{type(error).__name__}: {error}"
        raise InputError(f"RUN must have all its files, readable. Received: {str(run.path)!r}: {what}.") from error


def make_lock(run: RunDir) -> dict:
    """Return the content of a complete run's `lock.json`, without its checksum.

    Tables are lists of CSV lines, so that a version control system shows which line of one changed.

    Raises:
        InputError: If the run's files cannot be read.
    """
    with reading(run):
        return _make(run)


def _make(run) -> dict:
    environment, resolved = run.json("environment.json"), run.json("recipe.json")
    if "code_sha256" not in environment:
        raise InputError(
            "RUN must be of a tlmed that records all that decides a result; train it again. "
            f"Received: {str(run.path)!r}, of an older one."
        )
    recipe, data, weights = from_json(resolved), environment.pop("data"), environment.pop("weights")
    code = {
        "version": environment["versions"].pop("tlmed"),
        "git_commit": environment.pop("git_commit"),
        "sha256": environment.pop("code_sha256"),
    }
    origin = environment.pop("recipe")
    for name in ("warnings", "leaks", "seed", "changed"):
        environment.pop(name, None)
    plan = run.json("plan.json")["phases"]
    return {
        "format": FORMAT,
        "recipe": {**origin, "sha256": digest(recipe), "resolved": resolved},
        "code": code,
        "data": {**data, "sha256": sha256(run / "splits.csv"), "rows": _lines(run / "splits.csv")},
        "weights": [_strip_path(source) for source in (weights if isinstance(weights, list) else [weights])],
        "seeds": {"seed": recipe.seed, "streams": name_streams(recipe.seed, [phase["name"] for phase in plan])},
        "environment": environment,
        "plan": {phase["name"]: phase["cache"] for phase in plan},
        "results": describe_results(run),
    }


def _strip_path(source) -> dict:
    """Return what weights are, without where a package or Keras keeps them on this machine."""
    return {name: value for name, value in source.items() if name != "path"}


def describe_results(run: RunDir) -> dict:
    """Return what came of a run: hashes of weights, predictions and `metrics.json`, and what other levels compare.

    That is, beside the history, for each image the predicted label with its score, and the metrics of all classes
    together. Of two classes nothing is lost; of more, a score that moves without the highest one moves the hash.

    Raises:
        InputError: If the run's files cannot be read.
    """
    with reading(run):
        hybrid = (run / "classifier.skops").exists()
        return {
            "weights": digest_model(run / "model.keras"),
            "classifier": digest_classifier(run / "classifier.skops") if hybrid else None,
            "predictions": {"sha256": sha256(run / "predictions.csv"), "rows": list_predictions(run)},
            "metrics": describe_metrics(run.json("metrics.json")),
            "history": read_history(run),
        }


def list_predictions(run: RunDir) -> list[str]:
    """Return for each image the predicted label and its score, as lines of CSV."""
    found = read_predictions(run / "predictions.csv")
    scores = found.scores[np.arange(len(found.paths)), found.predictions].tolist()
    labels, guesses = ([found.classes[number] for number in numbers] for numbers in (found.labels, found.predictions))
    rows = zip(found.paths, found.splits, labels, guesses, (f"{score:.9g}" for score in scores), strict=True)
    return _split_lines(format_csv(PREDICTIONS, rows))


def describe_metrics(metrics: dict) -> dict:
    """Return the overall metrics, and a hash of all that `metrics.json` says except times."""
    kept = {name: value for name, value in metrics.get("kept", {}).items() if name not in TIMES}
    timeless = {**metrics, **({"kept": kept} if kept else {})}
    digest_of_all = hashlib.sha256(json.dumps(timeless, sort_keys=True).encode()).hexdigest()
    return {"sha256": digest_of_all, "split": metrics["split"], "n": metrics["n"], "metrics": metrics["metrics"]}


def read_history(run: RunDir) -> list[str]:
    """Return a run's `history.csv` as lines, without the times."""
    rows = read_csv(run / "history.csv") if (run / "history.csv").exists() else []
    if not rows:
        return []
    names = [name for name in rows[0] if name not in TIMES]
    return _split_lines(format_csv(names, ([row[name] for name in names] for row in rows)))


def name_streams(seed: int, phases: list[str]) -> dict[str, int]:
    """Return the seeds of some streams that a run draws from: they tell whether streams are still derived alike."""
    return {name: derive(seed, *name.split("/")) for name in (*STREAMS, *(f"phase/{phase}" for phase in phases))}


def digest_model(path) -> str:
    """Return the SHA-256 of all weights of a `.keras` file, by name, type, shape and value.

    The file itself holds the date at which it was saved. States of random numbers and of an optimizer are no weights.
    """
    found = hashlib.sha256()

    def add(name: str, item) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name and not name.startswith("optimizer/"):
            value = np.ascontiguousarray(item[()])
            found.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
            found.update(value)

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
        file.visititems(add)
    return found.hexdigest()


def digest_classifier(path) -> str:
    """Return the SHA-256 of all that a `.skops` file holds, by value.

    Names of its arrays, and the numbers by which its parts refer to each other, are addresses in the memory of the
    process that wrote it: the numbers are replaced by the order in which they come, and the names by what they hold.
    """
    with zipfile.ZipFile(path) as archive:
        arrays = {
            name: _digest_array(np.load(io.BytesIO(archive.read(name)), allow_pickle=False))
            for name in archive.namelist()
            if name.endswith(".npy")
        }
        schema = json.loads(archive.read("schema.json"))
    return hashlib.sha256(json.dumps(_by_value(schema, arrays, {}), sort_keys=True).encode()).hexdigest()


def _by_value(part, arrays, numbers):
    if isinstance(part, dict):
        known = {name: _by_value(value, arrays, numbers) for name, value in part.items() if name not in _BY_ADDRESS}
        if "__id__" in part:
            known["__id__"] = numbers.setdefault(part["__id__"], len(numbers))
        if "file" in part:
            known["file"] = arrays.get(part["file"], part["file"])
        return known
    return [_by_value(value, arrays, numbers) for value in part] if isinstance(part, list) else part


def _digest_array(array) -> str:
    """Return the SHA-256 of an array; between the fields of a structured one lie bytes that mean nothing."""
    parts = [array[name] for name in array.dtype.names] if array.dtype.names else [array]
    found = hashlib.sha256(f"{array.dtype.descr} {array.shape}".encode())
    for part in parts:
        found.update(np.ascontiguousarray(part))
    return found.hexdigest()


def _lines(path) -> list[str]:
    # Not `read_text`, which would make the line feeds of a file name others.
    return _split_lines(read_regular(path).decode())


def _split_lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def read_rows(lines: list[str]) -> list[dict[str, str]]:
    """Return a lock's table as one dictionary a row.

    >>> read_rows(["path,split", '"a, b.png",train'])
    [{'path': 'a, b.png', 'split': 'train'}]
    """
    return list(csv.DictReader(io.StringIO("\n".join(lines), newline="")))
