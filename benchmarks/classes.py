"""What many classes cost: seconds, memory and sizes of files for a run's predictions, metrics and lock.

    python benchmarks/classes.py [CLASSES] [IMAGES]

Scores are random, in single precision, with calibrated ones beside them, as a network's run writes them.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tlmed.evaluation.measures import Scoring, score
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.predictions_csv import read_predictions, write_predictions
from tlmed.lock.lock_json import describe_metrics, list_predictions
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.whole_files import write_json


def draw(classes: int, images: int) -> Predictions:
    """Return predictions that are right for about half of the images."""
    random = np.random.default_rng(0)
    labels = np.arange(images) % classes
    logits = random.normal(scale=1.5, size=(images, classes)).astype(np.float32)
    logits[np.arange(images), labels] += 5
    powers = np.exp(logits)
    scores = powers / powers.sum(axis=1, keepdims=True)
    names = tuple(f"class {number:04}" for number in range(classes))
    paths = tuple(f"{names[label]}/{number}.png" for number, label in enumerate(labels))
    return Predictions(paths, ("test",) * images, labels, scores, scores.argmax(axis=1), names, calibrated=scores)


def measure(classes: int, images: int) -> None:
    """Print a line for each step."""
    predictions = draw(classes, images)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir(Path(folder))
        steps = {
            "write predictions.csv": lambda: write_predictions(run / "predictions.csv", predictions),
            "read it": lambda: read_predictions(run / "predictions.csv"),
            "score": lambda: METRICS_JSON.write(run, score(predictions, Scoring("test", None, 0))),
            "lock": lambda: write_json(
                run / "lock.json",
                {
                    "rows": list_predictions(run),
                    "metrics": describe_metrics(json.loads((run / "metrics.json").read_text())),
                },
            ),
        }
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            print(f"{name:<22} {time.perf_counter() - begin:6.1f} s, peak {peak:5.0f} MB")
        for file in sorted(run.path.iterdir()):
            print(f"{file.name:<22} {file.stat().st_size / 1e6:6.1f} MB")


if __name__ == "__main__":
    measure(*(int(word) for word in [*sys.argv[1:], *("1000", "4000")[len(sys.argv) - 1 :]]))
