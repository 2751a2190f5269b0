"""A hybrid as one ONNX graph: its network, then its scikit-learn classifier as skl2onnx writes it."""

from typing import TYPE_CHECKING

import numpy as np

from tlmed.conversion.export_graph import CALIBRATED, FEATURES, SCORES
from tlmed.errors import InputError
from tlmed.heads.skops_files import load_classifier
from tlmed.metrics.calibration import LEAST_PROBABILITY
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import RunDir
from tlmed.tasks import MULTI_LABEL, read_task

if TYPE_CHECKING:
    import onnx

# What skl2onnx's converters of single classifiers raise for what they cannot do, beside its own two errors.
_CONVERTER_ERRORS = (RuntimeError, NotImplementedError, ValueError, TypeError)
_PREFIX = "classifier_"  # of the names in the second graph: both may have the same ones


def is_hybrid(run: RunDir) -> bool:
    """Tell whether a classifier of scikit-learn answers for a run; a cross-validation or an ensemble is none."""
    return not run.folds and not run.is_ensemble and "classifier" in METRICS_JSON.read(run)


def check_hybrid(run: RunDir) -> None:
    """Refuse hybrids that cannot be one graph.

    Raises:
        InputError: It has a classifier for each of several labels.
    """
    if read_task(METRICS_JSON.read(run)) == MULTI_LABEL:
        raise InputError(
            "A hybrid must have one classifier to become one graph. "
            f"Received: {run.path}, which has one for each of its labels."
        )


def join_classifier(features: "onnx.ModelProto", run: RunDir, temperature: float, opset: int) -> "onnx.ModelProto":
    """Return one graph from images to the scores and the calibrated probabilities of a hybrid.

    The classifier computes in single precision there, and in double precision in scikit-learn: an image on the border
    of a tree may fall on the other side. The comparison on test images shows whether that matters.

    Args:
        features: From images to features, as tf2onnx writes it.
        run: The hybrid.
        temperature: By which the logarithms of its scores are divided.
        opset: Of ONNX.

    Raises:
        InputError: The classifier cannot be converted, or was not shown all classes.
    """
    import onnx

    classifier = load_classifier(run / "classifier.skops")
    classes = len(METRICS_JSON.read(run)["classes"])
    if not np.array_equal(classifier.classes_, np.arange(classes)):
        raise InputError(f"A hybrid's classifier must know all classes. Received: {run.path}, whose does not.")
    second = _convert(classifier, run, opset)
    inputs, outputs = [value.name for value in second.graph.input], [value.name for value in second.graph.output]
    versions = {domain.domain: domain.version for domain in features.opset_import}
    for domain in second.opset_import:  # it was asked for no newer one, and may say an older one
        domain.version = versions.get(domain.domain, domain.version)
    second.ir_version = features.ir_version = min(second.ir_version, features.ir_version)
    joined = onnx.compose.merge_models(
        features,
        onnx.compose.add_prefix(second, _PREFIX),
        io_map=[(FEATURES, _PREFIX + inputs[0])],
        outputs=[_PREFIX + outputs[1]],
    )
    return _calibrate(joined, _PREFIX + outputs[1], temperature, classes)


def _convert(classifier, run, opset):
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    try:
        return skl2onnx.to_onnx(
            classifier,
            initial_types=[("features", FloatTensorType([None, classifier.n_features_in_]))],
            options={id(classifier): {"zipmap": False}},
            target_opset={"": opset, "ai.onnx.ml": 3},
        )
    except (MissingConverter, MissingShapeCalculator, *_CONVERTER_ERRORS) as error:
        said = METRICS_JSON.read(run)["classifier"]["name"]
        raise InputError(
            "A hybrid's classifier must be one that skl2onnx converts. "
            f"Received: {run.path} with {said}: {str(error).strip().splitlines()[0]}"
        ) from error


def _calibrate(model, scores: str, temperature: float, classes: int):
    """Name the outputs, and add calibrated probabilities as `Graph` computes them."""
    from onnx import TensorProto, helper, numpy_helper

    constants = {"least": LEAST_PROBABILITY, "temperature": temperature}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.float32(value), f"calibration_{name}") for name, value in constants.items()
    )
    model.graph.node.extend(
        [
            helper.make_node("Identity", [scores], [SCORES]),
            helper.make_node("Max", [SCORES, "calibration_least"], ["calibration_floor"]),
            helper.make_node("Log", ["calibration_floor"], ["calibration_logs"]),
            helper.make_node("Div", ["calibration_logs", "calibration_temperature"], ["calibration_logits"]),
            helper.make_node("Softmax", ["calibration_logits"], [CALIBRATED], axis=1),
        ]
    )
    del model.graph.output[:]
    shape = ["batch", classes]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (SCORES, CALIBRATED)
    )
    return model
