"""Digests of the files of a run, without times, dates and addresses: equal for two runs of one job."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from tlmed.regular_files import read_regular, sha256
from tlmed.run_files import (
    DEGREES_CSV,
    EXAMPLES_JSON,
    FREEZE_JSON,
    HISTORY_CSV,
    NOVELTY_JSON,
    SEARCH_CSV,
    STRENGTHS_CSV,
)
from tlmed.rundir import EXAMPLES, RunDir
from tlmed.whole_files import format_csv

TIMES = ("seconds", "earlier")
# Files that decide no result, and that people read beside it.
_READ = (FREEZE_JSON, DEGREES_CSV, STRENGTHS_CSV, SEARCH_CSV, EXAMPLES_JSON, NOVELTY_JSON)
BESIDE = ("recipe.py", *(file.name for file in _READ))
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_BY_ADDRESS = ("__id__", "file", "_skops_version")
# Parts of a layer's configuration that have no effect when it is used. Initial values differ with every seed.
_OF_TRAINING = ("trainable", "seed", "shared_object_id", "compile_config", "build_config")
_ENDINGS_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")


def digest_model(path: Path) -> str:
    """Return the SHA-256 of all weights of a `.keras` file, by name, type, shape and value.

    The file itself holds the date at which it was saved. States of random numbers and of an optimizer are no weights.

    Raises:
        ValueError: If the file says that it holds more numbers than fit into it, or that they lie elsewhere.
    """
    found = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        size, content = archive.getinfo(_WEIGHTS).file_size, archive.read(_WEIGHTS)

    def add(name: str, item) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name and not name.startswith("optimizer/"):
            if item.nbytes > size or item.external or item.is_virtual:
                raise ValueError(f"{name} is not held by the file")
            value = np.ascontiguousarray(item[()])
            found.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
            found.update(value)

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(add)
    return found.hexdigest()


def digest_layers(path: Path) -> str:
    """Return the SHA-256 of the layers of a `.keras` file: their settings, and how they are joined.

    Two networks may have the same weights and give other features: frozen ones with another pooling do.
    Names count by the order in which they come, because Keras numbers them through in each process.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read(_CONFIG))
    names: dict[str, int] = {}
    return hashlib.sha256(json.dumps(_strip(config, names), sort_keys=True).encode()).hexdigest()


def _strip(part, names: dict[str, int]):
    if isinstance(part, dict):
        kept = {key: value for key, value in part.items() if not _is_of_training(key)}
        if part.get("class_name") == "DTypePolicy":  # its name is a setting
            return kept
        return {key: _number(value, names) if key == "name" else _strip(value, names) for key, value in kept.items()}
    if isinstance(part, list):
        return [_strip(value, names) for value in part]
    return names.get(part, part) if isinstance(part, str) else part


def _number(name, names):
    return names.setdefault(name, len(names)) if isinstance(name, str) else name


def _is_of_training(key: str) -> bool:
    return key in _OF_TRAINING or key.endswith(_ENDINGS_OF_TRAINING)


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


# What `metrics.json` says since locks say the digest of all of it (`whole`), by the names of its parts and metrics.
ADDED = frozenset(
    {
        *("task", "primary", "lr_positive", "lr_negative", "youden", "f_beta", "weighted_kappa"),
        *("net_benefit", "sensitivity_at_specificity", "specificity_at_sensitivity", "ppv_at_sensitivity"),
        *("partial_auc", "calibration_slope", "calibration_intercept", "classwise_ece", "root_brier"),
        *("mean_absolute_error", "within_one", "kendall_tau", "cuts", "expected_cost", "normalised_expected_cost"),
    }
)


def digest_metrics(metrics: Mapping, whole: bool = True) -> str:
    """Return the SHA-256 of all that `metrics.json` says except times.

    Args:
        metrics: Its content.
        whole: False leaves out what the first versions that wrote locks did not write, to compare with their locks.

    >>> digest_metrics({"n": 20, "task": "ordinal"}, whole=False) == digest_metrics({"n": 20})
    True
    """
    kept = {name: value for name, value in metrics.get("kept", {}).items() if name not in TIMES}
    timeless = {**metrics, **({"kept": kept} if kept else {})}
    said = timeless if whole else _leave_out_added(timeless)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _leave_out_added(part):
    if isinstance(part, dict):
        # `net_benefit_at_0.1` is a net benefit.
        kept = {name: value for name, value in part.items() if name.partition("_at_0")[0] not in ADDED}
        return {name: _leave_out_added(value) for name, value in kept.items()}
    return [_leave_out_added(item) for item in part] if isinstance(part, list) else part


def list_history(run: RunDir) -> list[str]:
    """Return a run's `history.csv` as lines, without the times."""
    rows = HISTORY_CSV.find(run)
    if not rows:
        return []
    names = [name for name in rows[0] if name not in TIMES]
    return split_lines(format_csv(names, ([row[name] for name in names] for row in rows)))


def digest_beside(run: RunDir, name: str) -> str | None:
    """Return the SHA-256 of one of the files `BESIDE`, without the times; None if the run has no such file."""
    if not (run / name).exists():
        return None
    if name == "recipe.py":
        return sha256(run / name)
    file = next(file for file in _READ if file.name == name)
    content = file.read(run)
    parts = content if isinstance(content, list) else [content]
    kept = [{key: value for key, value in part.items() if key not in TIMES} for part in parts]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def digest_pictures(run: RunDir) -> dict[str, str]:
    """Return the SHA-256 of each picture that `examples.json` names, if it is still there, by `examples/<name>`."""
    names = sorted(Path(example["file"]).name for example in EXAMPLES_JSON.find(run).get("examples", []))
    return {f"{EXAMPLES}/{name}": sha256(run / EXAMPLES / name) for name in names if (run / EXAMPLES / name).exists()}


def list_lines(path: Path) -> list[str]:
    """Return the lines of a text file."""
    # Not `read_text`, which would change the line ends that a file name may hold.
    return split_lines(read_regular(path).decode())


def split_lines(text: str) -> list[str]:
    r"""Return the lines of a text, the last with or without its end.

    >>> split_lines("a\nb\n")
    ['a', 'b']
    """
    return text.removesuffix("\n").split("\n")
