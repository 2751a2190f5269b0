"""`tlmed serve`."""

import contextlib
import gc
import importlib.util
import sys
from collections.abc import Callable, Iterator

import click

from tlmed.cli.options import Bounded, debug
from tlmed.errors import InputError
from tlmed.rundir import find_run
from tlmed.screen import Screen

ENGINES = ("auto", "keras", "openvino", "onnxruntime")  # their module imports NumPy
_NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


@click.command(short_help="Answer for images on a page and over HTTP.")
@click.argument("run")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; beyond this machine: --token.")
@click.option("--token", envvar="TLMED_SERVE_TOKEN", help="What clients must know; or the variable TLMED_SERVE_TOKEN.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="A further name by which browsers reach it.")
@click.option("--engine", type=click.Choice(ENGINES), default="auto", show_default=True, help="What runs the network.")
@click.option("--most-megabytes", type=Bounded(0.01, 1024), default=64, show_default=True, help="Of a file.")
@click.option("--most-megapixels", type=Bounded(0.01, 100), default=50, show_default=True, help="Of an image.")
@debug
def serve(run, port, host, token, names, engine, most_megabytes, most_megapixels):
    """Answer for images that are dropped on a page, or sent to `POST /predict`, as `tlmed predict` does.

    RUN is a run, a cross-validation or an ensemble. The page is on this machine only; Ctrl-C ends it. Images are read
    in memory and never written to a disk. It is no medical device.
    """
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"`tlmed serve` needs an extra: pip install 'tlmed[serve]'. Received: no {', '.join(missing)}."
        )
    found = find_run(run, several=True)
    from tlmed.serving.conversions import preparing
    from tlmed.serving.guarding import is_loopback, make_rules

    rules = make_rules(host, names, token)
    screen = Screen(sys.stdout, waits=False)
    shown = f"[{host}]" if ":" in host else host
    with contextlib.ExitStack() as stack:
        tidy = stack.enter_context(_leaving_garbage())
        # Networks first: a process of its own converts them while this one loads all the rest.
        prepared = stack.enter_context(preparing(found, engine, screen.warn))
        from tlmed.serving.listening import open_socket

        taken = stack.enter_context(contextlib.closing(open_socket(host, port)))
        if begun := prepared.say_begun():
            screen.say(begun)
        from tlmed.serving.web_server import Offer, serve_run

        if not is_loopback(host) or names:
            screen.warn("Without a reverse proxy that gives TLS, images and the token can be read on the way.")

        def tell(runs: str) -> None:
            tidy()
            screen.say(f"Serving {run} by {runs}: http://{shown}:{taken.getsockname()[1]}/ (Ctrl-C ends it)")

        offer = Offer(rules, most_megabytes, most_megapixels)
        serve_run(found, prepared, offer, taken, screen.busy("Loading the network"), screen.warn, tell)
    screen.say("Ended.")


@contextlib.contextmanager
def _leaving_garbage() -> Iterator[Callable[[], None]]:
    """Give a function that ends this: until then Python looks for no garbage, which takes a sixth of a start.

    What was loaded stays until the end, so nothing is looked for in it later either.
    """

    def end() -> None:
        gc.freeze()
        gc.enable()

    gc.disable()
    try:
        yield end
    finally:
        gc.enable()
