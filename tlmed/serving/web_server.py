"""Serve a run from its files to the last request: load it, answer until somebody ends it, and leave nothing behind."""

import tlmed.tensorflow_start

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tlmed.data.held_files import Limits
from tlmed.rundir import RunDir
from tlmed.serving.answering import MOST_SAMPLES, open_served
from tlmed.serving.application import make_application
from tlmed.serving.guarding import Rules
from tlmed.serving.listening import listen
from tlmed.serving.refusals import MEGABYTE, UploadLimits
from tlmed.serving.running_networks import AUTO
from tlmed.serving.service import open_service
from tlmed.voice import Voice


@dataclass(frozen=True)
class Offer:
    """How a run is served.

    Attributes:
        rules: Who may ask.
        engine: What runs the network, of `tlmed.serving.running_networks.ENGINES`.
        megabytes: The most that a file may have.
        megapixels: The most that a plane of an image may have.
    """

    rules: Rules
    engine: str = AUTO
    megabytes: float = 64.0
    megapixels: float = 50.0


def serve_run(
    run: RunDir,
    offer: Offer,
    taken: socket.socket,
    loading: AbstractContextManager,
    voice: Voice,
    ready: Callable[[str], None],
) -> None:
    """Answer requests for a run until Ctrl-C or SIGTERM.

    Args:
        run: A complete run, a cross-validation or an ensemble.
        offer: How.
        taken: The socket, from `open_socket`.
        loading: Is entered while the networks are loaded.
        voice: Is told what a user should know.
        ready: Is told what runs the network, when the first request can be answered.

    Raises:
        InputError: The run cannot be served.
    """
    with loading:
        served = open_served(run, offer.engine, Limits(round(offer.megapixels * 1e6), MOST_SAMPLES), voice.warn)
        service = open_service(served, UploadLimits(round(offer.megabytes * MEGABYTE)))
    try:
        listen(make_application(service, offer.rules), taken, lambda: ready(served.engine))
    finally:
        service.stop()
