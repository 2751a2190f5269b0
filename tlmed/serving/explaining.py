"""Where the evidence for an answer lies. Keras finds it, and is loaded for it when that is first asked for."""

import io
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tlmed.errors import InputError
from tlmed.inference.panel import Panel
from tlmed.regular_files import sha256
from tlmed.rundir import NETWORK

if TYPE_CHECKING:
    from tlmed.evaluation.explanations import Explainer
    from tlmed.inference.scorer import Scorer


@dataclass(frozen=True)
class Shown:
    """What shows where the evidence lies.

    Attributes:
        method: How it was found, such as "grad-cam, last block".
        image: A PNG of what the network sees.
        overlay: A PNG of the same, with the evidence as colour.
        empty: Whether nothing in the image speaks for the class.
    """

    method: str
    image: bytes
    overlay: bytes
    empty: bool


@dataclass(frozen=True, eq=False)
class Explanations:
    """Explain answers: by Grad-CAM, or by occlusion where the network allows no other.

    Attributes:
        panel: What answers.
        sha256: Of the network file of its first member, when the run was opened.
        scorer: Its network; None: it is loaded when it is needed.
    """

    panel: Panel
    sha256: str
    scorer: "Scorer | None"
    _loading: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def load(self) -> "Explainer":
        """Load what is needed, once: TensorFlow and the network, which takes seconds; others wait meanwhile.

        Raises:
            InputError: Several networks answer together, the network allows no explanation, or its file is not there
                any more as it was.
            RunFailed: TensorFlow cannot be loaded.
        """
        self.panel.refuse_several("`explain`")
        with self._loading:
            return self._explainer

    @cached_property
    def _explainer(self) -> "Explainer":
        return (self.scorer or self._load_scorer()).explainer()

    def _load_scorer(self) -> "Scorer":
        path = self.panel.first.run / NETWORK
        try:
            there = sha256(path)
        except OSError as error:
            there = error.strerror
        if there != self.sha256:
            raise InputError(
                f"`{NETWORK}` must be there as it was when the server started, to explain answers. "
                f"Received: {path}: {'another file' if len(there) == len(self.sha256) else there}."
            )
        from tlmed.inference.scorer import load_scorer

        return load_scorer(self.panel.first.run)

    def show(self, pixels: np.ndarray, label: int) -> Shown:
        """Show where the evidence for a class lies.

        Args:
            pixels: uint8 [height, width, 3], as the network sees them.
            label: The class.

        Raises:
            InputError, RunFailed: As for `load`.
        """
        explainer = self.load()
        from tlmed.evaluation.explanations import overlay
        from tlmed.inference.scorer import computing

        with computing():
            heat = explainer(pixels[None], label)[0]
        return Shown(explainer.name, _write_png(pixels), _write_png(overlay(pixels, heat)), not heat.any())


def _write_png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
