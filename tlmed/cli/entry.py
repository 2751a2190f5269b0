"""The entry point of the command line: every error becomes one line and an exit status."""

import atexit
import gc
import logging
import sys
import traceback

import click

from tlmed import __version__, stopping
from tlmed.cli.advise_command import advise
from tlmed.cli.backbones_command import backbones
from tlmed.cli.cache_commands import cache
from tlmed.cli.compare_command import compare
from tlmed.cli.data_commands import data
from tlmed.cli.ensemble_command import ensemble
from tlmed.cli.evaluate_command import evaluate
from tlmed.cli.export_command import export
from tlmed.cli.launch_command import launch
from tlmed.cli.metrics_commands import metrics
from tlmed.cli.plan_command import plan
from tlmed.cli.predict_command import predict
from tlmed.cli.recipes_commands import recipes
from tlmed.cli.reproduce_command import reproduce
from tlmed.cli.serve_command import serve
from tlmed.cli.status_command import status
from tlmed.cli.sweep_command import sweep
from tlmed.cli.train_command import train
from tlmed.cli.watch_command import watch
from tlmed.errors import CheckFailed, InputError, Interrupted, TlmedError
from tlmed.screen import Screen

UNFINISHED = 3  # the exit status of what could not finish


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tlmed")
def cli():
    """Transfer learning for medical image classification.

    Begin with `tlmed train quickstart`, then `tlmed train feature_extractor --data FOLDER`.
    A recipe is Python code, and loading it runs it; data and weights never are. Not a medical device.
    """


for _command in (
    *(
        advise,
        train,
        plan,
        sweep,
        data,
        evaluate,
        predict,
        serve,
        watch,
        compare,
        ensemble,
        reproduce,
        metrics,
        export,
        status,
        launch,
    ),
    *(recipes, cache),
    backbones,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; whatever goes wrong is one line that starts with `Error:`, and an exit status."""
    # Else Python looks at the 440,000 objects of TensorFlow again as it ends: a second, and ten on a busy machine.
    atexit.register(gc.freeze)
    if status := _run():
        stopping.end()
        if status not in (CheckFailed.exit_status, InputError.exit_status):
            # Threads of TensorFlow may still be reading images for the pipeline that the error left behind. If it went
            # only when Python ends, it would wait for them forever: they cannot run Python any more.
            gc.collect()
        sys.exit(status)


def _run() -> int:
    """Run the command line; return the exit status, once nothing holds the error any more."""
    stopping.listen()
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a failed download is reported once, not at each retry
    try:
        # Not standalone, in which click would print errors in its own form and exit with its own statuses.
        cli(standalone_mode=False, prog_name="tlmed")
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()  # a command without arguments is a question, not an error
        return error.exit_code
    except click.ClickException as error:
        return _fail(_describe_misuse(error), error.exit_code)
    except TlmedError as error:
        return _fail(str(error), error.exit_status)
    except click.Abort as error:  # what click makes of Ctrl-C, and of an unexpected end of file
        if isinstance(error.__cause__, KeyboardInterrupt):
            return _fail("Stopped by Ctrl-C.", Interrupted.exit_status)
        return _fail(f"Unexpected error: {error.__cause__!r} (--debug shows where).", UNFINISHED)
    except BrokenPipeError:
        sys.stderr.close()  # `tlmed ... | head`: the reader has ended, which is no error
    except Exception as error:  # the outermost line of defence: a person gets a sentence, not a traceback
        # TensorFlow may have turned the request to stop into an error of its own.
        if stop := stopping.requested():
            return _fail(str(stop), stop.exit_status)
        if _lacks_memory(error):
            return _fail(
                "The command must fit into memory; smaller or fewer images need less. Received: too little memory.",
                UNFINISHED,
            )
        return _fail(f"Unexpected error: {type(error).__name__}: {error} (--debug shows where).", UNFINISHED)
    return 0


def _describe_misuse(error: click.ClickException) -> str:
    """Return an error of click as one line; click breaks some of its messages into several."""
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} `{context.command_path} --help` shows the usage." if context is not None else message


def _lacks_memory(error: Exception) -> bool:
    if "tensorflow" not in sys.modules:
        return isinstance(error, MemoryError)
    from tlmed.failures import lacks_memory

    return lacks_memory(error)


def _fail(message: str, status: int) -> int:
    if "--debug" in sys.argv:
        traceback.print_exc()  # of the exception that is being handled
    Screen(sys.stderr).show(f"Error: {message}".split("\n"))
    return status
