"""`tlmed ensemble`."""

import sys
from pathlib import Path

import click

from tlmed.cli.options import debug, open_voice
from tlmed.screen import Screen

WEIGHTS = "mean: all members count alike. fitted: by non-negative least squares on the validation images they share."


@click.command(short_help="Let the networks of several runs answer together.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="A new directory for it.")
@click.option("--weights", type=click.Choice(("mean", "fitted")), default="mean", show_default=True, help=WEIGHTS)
@debug
def ensemble(runs, out, weights):
    """Let the networks of several runs answer together, by the mean of their probabilities.

    RUNs are runs of the same images and classes, or cross-validations, whose folds are then the members. Each test
    image is scored by the members that have not seen it. `tlmed predict`, `evaluate --data`, `compare` and `export`
    take DIR, and a cross-validation, as they take a run.
    """
    screen = Screen(sys.stdout, waits=False)
    from tlmed.rundir import find_run

    for run in runs:
        find_run(run, several=True)  # before TensorFlow, which takes seconds to load
    voice = open_voice(screen, "ensembles")
    from tlmed import ensembles
    from tlmed.evaluation.ensemble_lines import describe_ensemble
    from tlmed.evaluation.lines import describe_metrics
    from tlmed.report.evaluations import write_ensemble_page

    ensembles.check_new_folder(out)
    found = ensembles.gather_runs(runs)
    with screen.busy(f"Reading the predictions of {len(found)} runs"):
        made = ensembles.make_ensemble(found, weights, voice)
        folder = ensembles.write_ensemble(out, made)
        said = describe_ensemble(made.result)
        page = write_ensemble_page(folder.path, made.pooled.units, made.result, said)
    screen.show([*describe_metrics(made.result), *said, f"Ensemble: {out}", f"Report: {page}"])
