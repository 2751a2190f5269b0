"""`tlmed evaluate`."""

import math
import sys
from pathlib import Path

import click

from tlmed.answer_units import POOLED_BY, POOLS
from tlmed.cli.options import GROUP, NO_GROUPS, Bounded, check_groups, check_place, debug, force, open_voice, trust
from tlmed.columns import Grouping
from tlmed.errors import InputError
from tlmed.recipe import parse, read_stated
from tlmed.screen import Screen

SHARE = Bounded(0, 1, min_open=True, max_open=True)
STATE = "A number that metrics need, such as beta=1 or specificity=0.95; the further metrics are then listed."
COST = "What an error costs, others 1; may be repeated. A RUN predicts the class of least expected cost."
COST_RATIO = "Of two classes, the cost of a missed positive, if a false alarm costs 1."
THRESHOLD = (
    "With --predictions: the score from which on the positive one of two classes is predicted, or a label (edema=0.3; "
    "without a name all labels). May be repeated."
)
PREVALENCE = "The share of positives where the classifier will be used: PPV and NPV are for it, and costs if stated."


@click.command(short_help="Score a run again, on other images, or a file of predictions.")
@click.argument("run", required=False)
@click.option("--data", metavar="SOURCE", help="Score all images of another source, of the same classes.")
@click.option("--moved", is_flag=True, help="--data is where the images of RUN lie now: score its test images.")
@click.option("--predictions", type=click.Path(path_type=Path), help="Score a CSV of predictions; needs no RUN.")
@click.option("--out", type=click.Path(path_type=Path), help="Write metrics.json, predictions and a page here.")
@click.option(
    "--pool", type=click.Choice(("none", *POOLS)), help="With --predictions: how several samples become one answer."
)
@click.option("--pool-by", type=click.Choice(POOLED_BY), help="With --predictions: what has one answer.")
@click.option("--positive", metavar="CLASS", help="With --predictions: which of two classes is the positive one.")
@click.option("--order", metavar="CLASSES", help="With --predictions: ordered classes, from the lowest: 0,1,2.")
@click.option("--threshold", "thresholds", multiple=True, metavar="[CLASS=]SCORE", help=THRESHOLD)
@click.option("--group", metavar="COLUMN", help=GROUP)
@click.option("--no-groups", is_flag=True, help=NO_GROUPS)
@click.option("--prevalence", type=SHARE, metavar="SHARE", help=PREVALENCE)
@click.option("--state", "settings", multiple=True, metavar="KEY=VALUE", help=STATE)
@click.option("--cost", nargs=3, type=(str, str, float), multiple=True, metavar="TRUE PREDICTED COST", help=COST)
@click.option("--cost-ratio", type=float, metavar="R", help=COST_RATIO)
@click.option("--logit-adjustment", type=float, metavar="TAU", help="Predict the classes of RUN by logit adjustment.")
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and list them.")
@force
@trust
@debug
def evaluate(
    run,
    data,
    moved,
    predictions,
    out,
    pool,
    pool_by,
    positive,
    order,
    thresholds,
    group,
    no_groups,
    prevalence,
    settings,
    cost,
    cost_ratio,
    logit_adjustment,
    skip_bad,
    force,
):
    """Score RUN on its test images again, or on other data, or score a file of predictions.

    The test images are those of the run's `splits.csv`; what was added, changed or deleted since is named and not
    scored. Other data must have the classes of RUN, by name; of several labels they may lack some. Columns of a CSV
    that tlmed does not know divide the images into subgroups, which are scored each by itself. A RUN pools scores of
    samples as it did in training; of a file of predictions, samples of one file (`a.nii#plane=3`) get one answer by
    default, their mean.
    """
    if (run is None) == (predictions is None):
        raise click.UsageError("Give a RUN or --predictions FILE, one of the two.")
    if predictions is not None and data is not None:
        raise click.UsageError("--data goes with a RUN.")
    if predictions is not None and skip_bad:
        raise click.UsageError("--skip-bad goes with a RUN.")
    if cost and cost_ratio is not None:
        raise click.UsageError("Give --cost or --cost-ratio, one of the two.")
    if predictions is not None and logit_adjustment is not None:
        raise click.UsageError("--logit-adjustment goes with a RUN, whose training images are known.")
    check_groups(group, no_groups)
    grouping = Grouping(group, not no_groups) if group is not None or no_groups else None
    if grouping is not None and (moved or (data is None and predictions is None)):
        raise click.UsageError("--group and --no-groups go with other data or --predictions; a RUN has its own groups.")
    if moved and data is None:
        raise click.UsageError("--moved goes with --data SOURCE.")
    if run is not None and positive is not None:
        raise click.UsageError("--positive goes with --predictions; a RUN has its own.")
    if run is not None and order is not None:
        raise click.UsageError("--order goes with --predictions; a RUN has its own.")
    if run is not None and thresholds:
        raise click.UsageError("--threshold goes with --predictions; a RUN has its own.")
    if run is not None and (pool or pool_by):
        raise click.UsageError("--pool and --pool-by go with --predictions; a RUN has its own.")
    pooled_by = (None if pool == "none" else pool or "auto", pool_by or "file")
    if pooled_by == (None, "group"):
        raise click.UsageError("--pool-by group goes with --pool mean, max or top3.")
    stated, thresholds = read_stated(settings), _read_thresholds(thresholds)
    from tlmed.rundir import find_run

    run = find_run(run, several=True) if run is not None else None
    check_place(data)
    screen = Screen(sys.stdout, waits=False)
    voice = open_voice(screen, "inference.rescoring")
    from tlmed import inference
    from tlmed.evaluation.lines import describe_metrics
    from tlmed.evaluation.stated_lines import describe_further

    read = [path for path in (data, predictions) if path is not None]
    if out is not None:
        # Before images are read: a wrong `--out` costs no time then.
        inference.check_evaluation_folder(out, force, read)
    order = None if order is None else parse(order, tuple[str, ...])
    errors = _gather_errors(cost, cost_ratio, logit_adjustment)
    asked = (positive, prevalence, skip_bad, voice, moved, grouping, pooled_by, order, stated, errors, thresholds)
    made, result = inference.evaluate(run, data, predictions, *asked)
    if out is not None:
        from tlmed.report.evaluations import write_evaluation_page

        inference.write_evaluation(out, made, result, force, read)
        write_evaluation_page(out, made.units, result)
    screen.show([*describe_metrics(result), *(describe_further(result) if settings else [])])


def _read_thresholds(texts) -> dict[str | None, float]:
    """Return the stated thresholds by the names of classes or labels; None for the one without a name."""
    found = {}
    for text in texts:
        name, mark, number = text.rpartition("=")
        try:
            score = float(number)
        except ValueError:
            score = math.nan
        if not 0 <= score <= 1 or (name if mark else None) in found:
            rule = "`--threshold` must be a score from 0 to 1, or NAME=SCORE, each name once."
            raise InputError(f"{rule} Received: {', '.join(texts)}.")
        found[name if mark else None] = score
    return found


def _gather_errors(cost, cost_ratio, logit_adjustment) -> dict[str, object]:
    """Return what is stated of errors, named as in a recipe."""
    costs = {}
    for true, guess, amount in cost:
        if costs.setdefault(true, {}).setdefault(guess, amount) != amount:
            raise click.UsageError(
                f"Each error must have one cost. Received: --cost {true} {guess} {costs[true][guess]:g} and "
                f"--cost {true} {guess} {amount:g}."
            )
    stated = {"costs": costs or None, "cost_ratio": cost_ratio, "logit_adjustment": logit_adjustment}
    return {name: value for name, value in stated.items() if value is not None}
