"""Open a run to be served: check its files and make its networks ready, from kept graphs where there are any."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tlmed.data.held_files import Limits
from tlmed.errors import InputError
from tlmed.graph_runs import CannotConvert
from tlmed.inference.finishing import load_finish
from tlmed.inference.image_notes import read_usual
from tlmed.inference.panel import open_panel
from tlmed.inference.trained_runs import Trained
from tlmed.inference.unlike_images import open_jury
from tlmed.regular_files import sha256
from tlmed.run_files import METRICS_JSON
from tlmed.rundir import NETWORK, RunDir
from tlmed.serving.answering import ServedRun, Voter
from tlmed.serving.conversions import Preparation
from tlmed.serving.explaining import Explanations
from tlmed.serving.graph_engines import KERAS
from tlmed.slicing import Tiling

if TYPE_CHECKING:
    from tlmed.inference.scorer import Scorer


def open_served(run: RunDir, prepared: Preparation, limits: Limits, warn: Callable[[str], None]) -> ServedRun:
    """Make the networks of a run ready.

    Args:
        run: A complete run, a cross-validation or an ensemble.
        prepared: What makes its networks ready.
        limits: What of an upload is decoded.
        warn: Is told what cannot be checked.

    Raises:
        InputError: Its files are not as it wrote them, it cuts slides into tiles, or the engine cannot run it.
    """
    panel = open_panel(run)
    if isinstance(panel.recipe.data.slicing, Tiling):
        raise InputError(
            "`tlmed serve` must have a run of images or volumes: slides are read from files, piece by piece; use "
            f"`tlmed predict`. Received: {str(run.path)!r}, which cuts slides into tiles (`data.tile`)."
        )
    for sentence in panel.check_intact("environment.json", "plan.json"):
        warn(sentence)
    asked = [(member, float(share)) for member, share in zip(panel.members, panel.weights, strict=True) if share]
    jury, found = open_jury(panel), [_open_voter(*pair, prepared) for pair in asked]
    for (member, _), (voter, _) in zip(asked, found, strict=True):
        # The first image would pay for what first use makes, and find what does not fit.
        jury.note(member, voter(np.zeros((1, *voter.rule.size, 3), np.uint8))[0])
    explanations = Explanations(panel, sha256(panel.first.run / NETWORK), found[0][1])
    voters = tuple(voter for voter, _ in found)
    return ServedRun(panel, voters, jury, explanations, limits, read_usual(panel.first.run))


def _open_voter(member: Trained, share: float, prepared: Preparation) -> tuple[Voter, "Scorer | None"]:
    """Return a network that answers, and the same as Keras has it where Keras runs it."""
    hybrid = "classifier" in METRICS_JSON.read(member.run)
    outputs = () if hybrid else (len(member.classes),)
    if prepared.engine != KERAS:
        try:
            engine = prepared.open(
                member.run, lambda engine: (engine.size, engine.widths[1:]) == (tuple(member.rule.size), outputs)
            )
            finish = load_finish(member.run) if hybrid else None
            return Voter(member.rule, share, engine, engine.widths[0], finish), None
        except CannotConvert as error:
            if not prepared.falls_back:
                raise InputError(
                    f"`--engine {prepared.engine}` must be able to run the network; `--engine keras` runs any. "
                    f"Received: {error}."
                ) from error
    from tlmed.inference.scorer import load_scorer  # TensorFlow, which takes seconds
    from tlmed.serving.converting import run_in_keras

    scorer = load_scorer(member.run)
    width, finish = scorer.features.output_shape[-1], scorer.finish if hybrid else None
    return Voter(member.rule, share, run_in_keras(scorer.joint), width, finish), scorer
