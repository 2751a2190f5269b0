"""Serve a run from its files to the last request: load it, answer until somebody ends it, and leave nothing behind."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tlmed.data.held_files import Limits
from tlmed.rundir import RunDir
from tlmed.serving.answering import MOST_SAMPLES
from tlmed.serving.application import make_application
from tlmed.serving.conversions import Preparation
from tlmed.serving.guarding import Rules
from tlmed.serving.listening import listen
from tlmed.serving.refusals import MEGABYTE, UploadLimits
from tlmed.serving.served_runs import open_served
from tlmed.serving.service import open_service


@dataclass(frozen=True)
class Offer:
    """How a run is served.

    Attributes:
        rules: Who may ask.
        megabytes: The most that a file may have.
        megapixels: The most that a plane of an image may have.
    """

    rules: Rules
    megabytes: float = 64.0
    megapixels: float = 50.0


def serve_run(
    run: RunDir,
    prepared: Preparation,
    offer: Offer,
    taken: socket.socket,
    loading: AbstractContextManager,
    warn: Callable[[str], None],
    ready: Callable[[str], None],
) -> None:
    """Answer requests for a run until Ctrl-C or SIGTERM.

    Args:
        run: A complete run, a cross-validation or an ensemble.
        prepared: What makes its networks ready.
        offer: How.
        taken: The socket, from `open_socket`.
        loading: Is entered while the networks are loaded.
        warn: Is told what a user should know.
        ready: Is told what runs the network, when the first request can be answered.

    Raises:
        InputError: The run cannot be served.
    """
    with loading:
        served = open_served(run, prepared, Limits(round(offer.megapixels * 1e6), MOST_SAMPLES), warn)
        service = open_service(served, UploadLimits(round(offer.megabytes * MEGABYTE)))
    try:
        listen(make_application(service, offer.rules), taken, lambda: ready(served.engine))
    finally:
        service.stop()
