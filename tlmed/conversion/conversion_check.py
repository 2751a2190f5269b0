"""Whether an exported model answers as the run did: it is run by its own runtime on the run's test images."""

import numpy as np

from tlmed.conversion.export_graph import CALIBRATED, SCORES, Graph
from tlmed.conversion.format_runs import BATCH_SIZE, Run
from tlmed.conversion.reference_reader import calibrate
from tlmed.conversion.runtimes import Format
from tlmed.conversion.tested_images import Tested
from tlmed.errors import CheckFailed
from tlmed.evaluation.decisions import Decision
from tlmed.words import count

TOLERANCE = 1e-4


def run_tested(run: Run, tested: Tested, facts: dict, form: Format) -> dict[str, np.ndarray]:
    """Return what an exported model gives for the test images: scores, and calibrated probabilities, float [n, k].

    Args:
        run: Runs the file.
        tested: The images.
        facts: What `model.json` says.
        form: The format; where it does not calibrate, the reader beside the model does.
    """
    found = dict(run(tested.pixels))
    return found if form.calibrates else found | {CALIBRATED: calibrate(found[SCORES], facts)}


def expect_scores(graph: Graph, tested: Tested, decision: Decision) -> dict[str, np.ndarray]:
    """Return what it should give: what the run wrote down, or what its networks give together here.

    Args:
        graph: The networks.
        tested: The images.
        decision: Of the run.
    """
    scores = tested.scores
    if scores is None:
        pixels = tested.pixels.astype("float32")
        scores = graph.network.predict(pixels, batch_size=BATCH_SIZE, verbose=0).astype(float)
    return {SCORES: scores, CALIBRATED: decision.calibrate(scores)}


def measure_difference(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """Return the largest difference of any score or calibrated probability; infinite where one is not finite."""
    largest = max(float(np.abs(found[name] - expected[name]).max()) for name in expected)
    return largest if np.isfinite(largest) else float("inf")


def check_agreement(form: Format, difference: float, tested: Tested) -> None:
    """Refuse a model that answers otherwise.

    Raises:
        CheckFailed: It differs by more than `TOLERANCE`.
    """
    if difference > TOLERANCE:
        raise CheckFailed(
            f"A model in another format must answer as the run did, within {TOLERANCE:g}. Received: {form.file}, which "
            f"differs by up to {difference:.2g} on {count(len(tested.paths), 'test image')}; nothing was kept."
        )
