"""`tlmed predict`."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from tlmed.cli.options import debug, force, open_voice
from tlmed.label_texts import NOTHING
from tlmed.screen import Screen
from tlmed.tabulation import Table, numbers, texts
from tlmed.words import thousandths

# Their module imports TensorFlow.
EXPLANATIONS = ("grad-cam", "grad-cam++", "occlusion", "integrated-gradients", "attention-rollout")


@click.command(short_help="Predict the class of images, as a CSV.")
@click.argument("run")
@click.argument("paths", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the CSV here; by default it is printed.")
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and name them.")
@click.option("--explain", type=click.Path(path_type=Path), metavar="DIR", help="Write a picture of each image here.")
@click.option("--method", type=click.Choice(EXPLANATIONS), help="How to explain; by default grad-cam, or occlusion.")
@click.option("--block", metavar="NAME", help="The block that grad-cam and grad-cam++ show; by default the last.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME",
    help="Of several labels: explain this one, predicted or not; may be repeated. By default those that are predicted.",
)
@click.option(
    "--dicom-sr",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write a report for each study of DICOM images here: a DICOM SR, and a FHIR DiagnosticReport.",
)
@click.option("--overlay/--no-overlay", default=True, help="With --dicom-sr: a picture of why, as Secondary Capture.")
@click.option(
    "--code",
    "codes",
    multiple=True,
    metavar="CLASS=CODE,SCHEME,MEANING",
    help="With --dicom-sr: what a class is called in medical terminology; may be repeated. By default the recipe's.",
)
@force
@debug
def predict(run, paths, out, skip_bad, explain, method, block, labels, dicom_sr, overlay, codes, force):
    """Predict the class of images: a CSV with one row per image of PATHS, files or folders.

    A terminal shows a table instead, with the score of the predicted class. With --explain, a PNG of each image shows
    where the evidence for the predicted class lies; of several labels there is one for each label that is predicted.
    """
    draws = explain is not None or (dicom_sr is not None and overlay)
    if (not draws and (method or block)) or (explain is None and labels):
        raise click.UsageError(
            "--method, --block and --label go with --explain DIR; --method and --block go with the pictures of "
            "--dicom-sr, too."
        )
    if dicom_sr is None and (codes or not overlay):
        raise click.UsageError("--code and --no-overlay go with --dicom-sr DIR.")
    from tlmed.evaluation.predicted_tables import check_table
    from tlmed.rundir import find_run
    from tlmed.targets import writing_out
    from tlmed.whole_files import format_csv, write_csv

    run = find_run(run, several=True)
    if out is not None:
        check_table(out, force, paths)
    screen = Screen(sys.stderr, waits=False)  # standard output is the table's
    voice = open_voice(screen, "inference.loose_images")
    from tlmed import inference

    asked = {"paths": paths, "skip_bad": skip_bad, "force": force, "overlay": overlay, "method": method, "block": block}
    report = _prepare_reports(run, screen, voice, dicom_sr, codes, **asked)
    with screen.busy("Explaining images" if explain else "Predicting images"):
        shown = None if explain is None else inference.Pictures(explain, method, block, force, labels)
        answered = inference.answer(run, paths, skip_bad, shown, voice)
    header, rows = answered.columns, answered.rows
    for path, reason in answered.broken:
        screen.warn(f"{path} left out: {reason}")
    report(answered)
    if out is not None:
        check_table(out, force, paths)  # again, because a file may have appeared while images were read and scored
        with writing_out(out):
            write_csv(out, header, rows)
        return
    if sys.stdout.isatty():
        Screen(sys.stdout).show(_show_predictions(header, rows))
        return
    click.echo(format_csv(header, map(_shorten_scores, rows)), nl=False)


def _prepare_reports(run, screen, voice, folder, codes, **asked) -> Callable:
    """Check all that reports need, and return what writes them once all is answered: nothing without a folder."""
    if folder is None:
        return lambda answered: None
    from tlmed import dicom_reports

    wanted = dicom_reports.Wanted(folder, codes=dict(map(dicom_reports.read_code, codes)), **asked)
    with screen.busy("Reading headers"):
        prepared = dicom_reports.prepare_reports(run, wanted, voice)

    def write(answered) -> None:
        with screen.busy("Writing reports"):
            dicom_reports.write_reports(prepared, answered, voice)

    return write


def _show_predictions(header, rows) -> list[str | Table]:
    """Return predictions for a person: each image with the score of its predicted class."""
    columns = {name: place for place, name in enumerate(header)}
    rows = [(*row[:-1], _mark(columns, row)) for row in rows]
    noted = any(row[-1] for row in rows)
    if "prediction" not in columns:
        return _show_labels(header, rows, noted)
    shown = [(*row[:2], thousandths(row[columns[f"score_{row[1]}"]]), *row[-1:] * noted) for row in rows]
    more = "score: that of the predicted class. `--out FILE`, or `> FILE`, gives a CSV with all classes and all digits."
    return [Table(texts("path", "prediction") + numbers("score") + texts(*["note"] * noted), shown), more]


def _mark(columns, row) -> str:
    """Return the note of an image; one that is unlike the images of training is marked there."""
    from tlmed.novelty.known_images import ALARM  # with NumPy, for which `--help` need not wait

    p = row[columns["unusual"]] if "unusual" in columns else 1.0
    mark = f"unlike training images (p {thousandths(p)})" if p < ALARM else ""
    return "; ".join(filter(None, (mark, row[-1])))


def _show_labels(header, rows, noted) -> list[str | Table]:
    """Return predictions of several labels: each image with the labels that are predicted, and the scores of all."""
    names = [name.removeprefix("score_") for name in header if name.startswith("score_")]
    k = len(names)
    shown = [
        (
            row[0],
            ", ".join(name for name, has in zip(names, row[1 : k + 1], strict=True) if has) or NOTHING,
            *map(thousandths, row[k + 1 : 2 * k + 1]),
            *row[-1:] * noted,
        )
        for row in rows
    ]
    more = "Scores are those of the labels. `--out FILE`, or `> FILE`, gives a CSV with all digits."
    return [Table(texts("path", "labels") + numbers(*names) + texts(*["note"] * noted), shown), more]


def _shorten_scores(row) -> list:
    """Return a row with as many digits as its scores have: networks compute in float32. A file keeps all digits."""
    import numpy

    return [str(numpy.float32(cell)) if isinstance(cell, float) else cell for cell in row]
