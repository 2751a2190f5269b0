"""The command line: each command a few lines, TensorFlow only where a command needs it."""

import contextlib
import csv
import dataclasses
import importlib
import io
import logging
import shlex
import shutil
import sys
import time
import traceback
from pathlib import Path

import click

from tlmed import __version__, stopping
from tlmed.columns import Grouping
from tlmed.errors import InputError, Interrupted, RunFailed, TlmedError
from tlmed.recipe import STRATEGIES, find_recipe, override, read_recipe, read_text, shipped_recipes, summary, to_source
from tlmed.regular_files import check_exists
from tlmed.screen import Screen
from tlmed.tabulation import Table, numbers, texts
from tlmed.targets import check_targets
from tlmed.trust import trusting
from tlmed.voice import Voice
from tlmed.whole_files import write_text
from tlmed.words import count

UNFINISHED = 3
SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
FORMATS = ("requirements", "card")
GROUP = "The column of a CSV that names the patient of each image; by default one with a usual name."
NO_GROUPS = "Every image stands alone, whatever columns there are."
DATA = "A folder, a .csv, a MedMNIST .npz, or tfds:NAME; by default the recipe's."
SET = "Replace a field of the recipe, such as phases.0.epochs=3; may be given several times."
STRATEGY = "Which devices train together; auto: all GPUs of this machine, or all workers. By default the recipe's."
PREVALENCE = "The share of positives where the classifier is used, for its PPV and NPV there."
OUT = "The directory of the run; given again, the run continues. By default a new one in runs/."
LEVEL = "What must be equal: all bits, classes and scores, or metrics; by default the strictest that can hold here."
EXPLANATIONS = ("grad-cam", "grad-cam++", "occlusion", "integrated-gradients")  # their module imports TensorFlow


def main() -> None:
    """Run the command line; whatever goes wrong is one line that starts with `Error:`, and an exit status."""
    stopping.listen()
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a download that fails is told once, not at each retry
    try:
        cli(standalone_mode=False, prog_name="tlmed")
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()  # a command without its arguments is no error, but a question
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _fail(_describe_misuse(error), error.exit_code)
    except TlmedError as error:
        _fail(str(error), error.exit_status)
    except click.Abort as error:  # click's word for Ctrl-C, and for an end of file that nobody expected
        if isinstance(error.__cause__, KeyboardInterrupt):
            _fail("Stopped by Ctrl-C.", Interrupted.exit_status)
        _fail(f"Something unforeseen: {error.__cause__!r} (--debug shows where).", UNFINISHED)
    except BrokenPipeError:
        sys.stderr.close()  # `tlmed ... | head`: the reader has gone, which is no fault
    except Exception as error:  # the outermost line of defence: a person gets a sentence, not a traceback
        if stop := stopping.requested():
            _fail(str(stop), stop.exit_status)
        if _lacks_memory(error):
            _fail(
                "The command must fit into memory. Received: too little of it; smaller or fewer images need less.",
                UNFINISHED,
            )
        _fail(f"Something unforeseen: {type(error).__name__}: {error} (--debug shows where).", UNFINISHED)


def _describe_misuse(error: click.ClickException) -> str:
    """Return a line for what click refuses; it breaks some of its own."""
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} `{context.command_path} --help` shows what there is." if context is not None else message


def _lacks_memory(error: Exception) -> bool:
    if "tensorflow" not in sys.modules:
        return isinstance(error, MemoryError)
    from tlmed.failures import lacks_memory

    return lacks_memory(error)


def _fail(message: str, status: int):
    if "--debug" in sys.argv:
        traceback.print_exc()  # of the exception that is being handled
    Screen(sys.stderr).show(f"Error: {message}".split("\n"))
    sys.exit(status)


def _debug(command):
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show a traceback where something goes wrong."
    )(command)


def _force(command):
    return click.option("--force", is_flag=True, help="Write over files that the same command made earlier.")(command)


def _trust(command):
    def allow(context, option, given):
        if given:
            context.with_resource(trusting())

    return click.option(
        *("--trust", "trust"),
        is_flag=True,
        expose_value=False,
        callback=allow,
        help="Run code that a TensorFlow data set brings along.",
    )(command)


def _recipe_options(command):
    """Add the argument and the options of every command that takes a recipe."""
    for decorate in (
        click.option("--seed", type=int, help="Of all random numbers; by default the recipe's."),
        click.option("--strategy", type=click.Choice(STRATEGIES), help=STRATEGY),
        click.option(
            "--positive",
            metavar="CLASS",
            help="The positive one of two classes; by default the second in sorted order, numbers by size.",
        ),
        click.option("--no-groups", is_flag=True, help=NO_GROUPS),
        click.option("--group", metavar="COLUMN", help=GROUP),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=SET),
        click.option("--data", metavar="SOURCE", help=DATA),
        click.argument("recipe"),
    ):
        command = decorate(command)
    return command


def _load(recipe, data, settings, positive, group, no_groups, strategy, seed):
    """Return the recipe's file, read, and the recipe, with what the options replace."""
    _check_groups(group, no_groups)
    file = read_recipe(recipe)
    options = {"data.source": data, "data.positive": positive, "distribute": strategy, "seed": seed}
    options |= {"data.group_column": group, "data.groups": False if no_groups else None}
    given = {key: value for key, value in options.items() if value is not None}
    changed = override(file.recipe, settings, given)
    _check_place(data)
    return file, changed


def _check_place(data: str | None) -> None:
    """Refuse data that are not there before TensorFlow is loaded, which takes seconds."""
    if data and not data.startswith("tfds:"):
        check_exists(Path(data).expanduser())


def _check_groups(group, no_groups) -> None:
    if group is not None and no_groups:
        raise click.UsageError("Give --group COLUMN or --no-groups, one of the two.")


def _open_voice(screen: Screen, *modules: str) -> Voice:
    """Import TensorFlow, and modules of tlmed that import it, while the screen says so; return what speaks to it."""
    from tlmed.quiet import check_backend, import_tensorflow

    check_backend()
    loaded = "tensorflow" in sys.modules
    with contextlib.nullcontext() if loaded else screen.busy("Loading TensorFlow"):
        import_tensorflow()
        from tlmed.training import speak

        for module in modules:
            importlib.import_module(f"tlmed.{module}")
    return speak(screen)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tlmed")
def cli():
    """Transfer learning for medical image classification.

    Begin with `tlmed train quickstart`, then `tlmed train feature_extractor --data FOLDER`.
    A recipe is Python code, and loading it runs it; data and weights never are. Not a medical device.
    """


@cli.command(short_help="Train a recipe, evaluate the result and write a report.")
@_recipe_options
@click.option("--out", type=click.Path(path_type=Path), help=OUT)
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and list them.")
@click.option("--strict", is_flag=True, help="Exit with 1 if images leak between splits.")
@click.option("--fresh", is_flag=True, help="Delete what the run in --out wrote, and train anew.")
@click.option("--name", "title", metavar="TITLE", help="The title of the report; by default the recipe's name.")
@_trust
@_debug
def train(recipe, data, settings, positive, group, no_groups, strategy, seed, out, skip_bad, strict, fresh, title):
    """Train RECIPE (a file or a shipped recipe's name) and evaluate the result."""
    file, recipe = _load(recipe, data, settings, positive, group, no_groups, strategy, seed)
    if title is not None:
        recipe = dataclasses.replace(recipe, name=title)
    voice = _open_voice(Screen(sys.stdout), "run")
    from tlmed import run

    run.train(recipe, out, skip_bad=skip_bad, strict=strict, fresh=fresh, recipe_file=file, voice=voice)


@cli.command(short_help="Show what a recipe would train, without training.")
@_recipe_options
@click.option("--write", type=click.Path(path_type=Path), help="Write the expanded recipe here, to edit and run.")
@click.option("--measure", is_flag=True, help="Time a training step on this machine in each precision.")
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and list them.")
@_trust
@_debug
def plan(recipe, data, settings, positive, group, no_groups, strategy, seed, write, measure, skip_bad):
    """Show the images and what RECIPE would train on them, phase by phase, without training.

    Every image is read, and what `train` would refuse is refused.
    """
    file, recipe = _load(recipe, data, settings, positive, group, no_groups, strategy, seed)
    target = _new_recipe(write, file.path.name, "--write") if write is not None else None
    screen = Screen(sys.stdout, waits=False)
    _open_voice(screen, "run")
    from tlmed.plan import describe_blocks, describe_caching, describe_phases
    from tlmed.run import preview

    with screen.busy(f"Planning {file.path.stem}"):
        words, content, phases = preview(recipe, skip_bad)
    screen.show((*words, "", *describe_blocks(content), "", *describe_phases(content), "", *describe_caching(content)))
    if measure:
        from tlmed.run.measuring import measure_precisions, recommend

        with screen.busy("Timing training steps"):
            measured = measure_precisions(recipe)
        screen.say(f"\n{recommend(measured)}")
    if target is not None:
        docstring = f"{summary(file.path)}\n\ntlmed train {shlex.quote(str(target))}"
        write_text(target, to_source(dataclasses.replace(recipe, phases=phases), docstring))
        screen.say(f"\n{target}: edit it, then: tlmed train {shlex.quote(str(target))}")


def _new_recipe(path: Path, name: str, option: str) -> Path:
    """Return where to write a recipe: a file of that path, or of a name in that folder; nothing is written over."""
    target = path / name if path.is_dir() else path
    check_targets(option, {target: lambda file: False})
    rules = {
        "lie in a folder that exists": target.parent.is_dir(),
        "end in .py, as recipes do": target.suffix == ".py",
    }
    if faults := [f"{option} must {rule}. Received: {target}." for rule, kept in rules.items() if not kept]:
        raise InputError(faults)
    return target


@cli.command(short_help="Score a run again, on other images, or a file of predictions.")
@click.argument("run", required=False)
@click.option("--data", metavar="SOURCE", help="Score all images of another source, of the same classes.")
@click.option("--moved", is_flag=True, help="--data is where the images of RUN lie now: score its test images.")
@click.option("--predictions", type=click.Path(path_type=Path), help="Score a CSV of predictions; needs no RUN.")
@click.option("--out", type=click.Path(path_type=Path), help="Write metrics.json, predictions.csv and a page here.")
@click.option("--positive", metavar="CLASS", help="The positive one of two classes, with --predictions.")
@click.option("--group", metavar="COLUMN", help=GROUP)
@click.option("--no-groups", is_flag=True, help=NO_GROUPS)
@click.option("--prevalence", type=SHARE, metavar="SHARE", help=PREVALENCE)
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and list them.")
@_force
@_trust
@_debug
def evaluate(run, data, moved, predictions, out, positive, group, no_groups, prevalence, skip_bad, force):
    """Score RUN on its test images again, or on other data, or score a file of predictions.

    The test images are those of the run's `splits.csv`; what was added, changed or deleted since is named and not
    scored. Other data must have the classes of RUN, by name. Columns of a CSV that tlmed does not know divide the
    images into subgroups, which are scored each by itself.
    """
    if (run is None) == (predictions is None):
        raise click.UsageError("Give a RUN or --predictions FILE, one of the two.")
    if predictions is not None and data is not None:
        raise click.UsageError("--data goes with a RUN.")
    if predictions is not None and skip_bad:
        raise click.UsageError("--skip-bad goes with a RUN.")
    _check_groups(group, no_groups)
    grouping = Grouping(group, not no_groups) if group is not None or no_groups else None
    if grouping is not None and (moved or (data is None and predictions is None)):
        raise click.UsageError("--group and --no-groups go with other data or --predictions; a RUN has its own groups.")
    if moved and data is None:
        raise click.UsageError("--moved goes with --data SOURCE.")
    if run is not None and positive is not None:
        raise click.UsageError("--positive goes with --predictions; a RUN has its own.")
    from tlmed.rundir import find_run

    run = find_run(run) if run is not None else None
    _check_place(data)
    screen = Screen(sys.stdout, waits=False)
    voice = _open_voice(screen, "inference")
    from tlmed import inference
    from tlmed.evaluation.lines import describe_metrics

    read = [path for path in (data, predictions) if path is not None]
    if out is not None:
        inference.check_evaluation_folder(out, force, read)
    made, result = inference.evaluate(run, data, predictions, positive, prevalence, skip_bad, voice, moved, grouping)
    if out is not None:
        from tlmed.report.evaluations import write_evaluation_page

        inference.write_evaluation(out, made, result, force, read)
        write_evaluation_page(out, made, result)
    screen.show(describe_metrics(result))


@cli.command(short_help="Predict the class of images, as a CSV.")
@click.argument("run")
@click.argument("paths", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the CSV here; by default it is printed.")
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read, and name them.")
@click.option("--explain", type=click.Path(path_type=Path), metavar="DIR", help="Write a picture of each image here.")
@click.option("--method", type=click.Choice(EXPLANATIONS), help="How to explain; by default grad-cam, or occlusion.")
@click.option("--block", metavar="NAME", help="The block that grad-cam and grad-cam++ show; by default the last.")
@_force
@_debug
def predict(run, paths, out, skip_bad, explain, method, block, force):
    """Predict the class of images: a CSV with one row per image of PATHS, files or folders.

    A terminal shows a table instead, with the score of the predicted class. With --explain, a PNG of each image shows
    where the evidence for the predicted class lies.
    """
    if explain is None and (method or block):
        raise click.UsageError("--method and --block go with --explain DIR.")
    from tlmed.evaluation.predictions import check_table
    from tlmed.rundir import find_run
    from tlmed.targets import writing_out
    from tlmed.whole_files import write_csv

    run = find_run(run)
    if out is not None:
        check_table(out, force, paths)
    screen = Screen(sys.stderr, waits=False)  # standard output is the table's
    voice = _open_voice(screen, "inference")
    from tlmed import inference

    with screen.busy("Explaining images" if explain else "Predicting images"):
        header, rows, broken = inference.predict(run, paths, skip_bad, explain, method, block, force, voice)
    for path, reason in broken:
        screen.warn(f"{path} left out: {reason}")
    if out is not None:
        check_table(out, force, paths)  # again: reading and scoring take their time
        with writing_out(out):
            write_csv(out, header, rows)
        return
    if sys.stdout.isatty():
        Screen(sys.stdout).show(_show_predictions(header, rows))
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *map(_shorten_scores, rows)])
    click.echo(text.getvalue(), nl=False)


def _show_predictions(header, rows) -> list[str | Table]:
    """Return predictions for a person: each image with the score of its predicted class."""
    columns = {name: place for place, name in enumerate(header)}
    noted = any(row[-1] for row in rows)
    shown = [(*row[:2], f"{row[columns[f'score_{row[1]}']]:.3f}", *row[-1:] * noted) for row in rows]
    more = "score: of the predicted class. `--out FILE`, or `> FILE`, gives a CSV with all classes and all digits."
    return [Table(texts("path", "prediction") + numbers("score") + texts(*["note"] * noted), shown), more]


def _shorten_scores(row) -> list:
    """Return a row with as many digits as its scores have: networks compute in float32. A file keeps all digits."""
    import numpy

    return [str(numpy.float32(cell)) if isinstance(cell, float) else cell for cell in row]


@cli.command(short_help="Compare runs on the same test images.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write a page and two tables here.")
@click.option("--why", is_flag=True, help="Say why two runs differ: the cause, then all that is not the same.")
@_force
@_debug
def compare(runs, out, why, force):
    """Compare several runs on the same test images, or say why two of them differ.

    Scores and costs, and for every pair the difference with its interval and a corrected p-value. Cross-validations
    are compared by their folds.
    """
    if len(runs) < 2 or (why and len(runs) != 2):
        raise click.UsageError("Give two runs with --why, else two or more.")
    if why and out is not None:
        raise click.UsageError("Give --why or --out DIR, one of the two.")
    screen = Screen(sys.stdout, waits=False)
    screen.show(_explain(runs, screen) if why else _compare(runs, out, force, screen))


def _explain(runs, screen) -> list[str | Table]:
    from tlmed.rundir import find_run

    found = [find_run(run) for run in runs]
    _open_voice(screen, "lock")
    from tlmed.lock import explain

    with screen.busy("Comparing two runs"):
        return explain(*found)


def _compare(runs, out, force, screen) -> list[str | Table]:
    from tlmed.comparison import check_targets, compare, describe_comparison, write_comparison

    if out is not None:
        check_targets(out, force)
    with screen.busy(f"Comparing {len(runs)} runs"):
        comparison = compare(runs)
        files = [] if out is None else write_comparison(out, comparison, force)
    return [*describe_comparison(comparison), *(f"Written: {file}" for file in files)]


@cli.command(short_help="Train again what a run holds, and check that it comes again.")
@click.argument("lock", metavar="RUN|LOCK", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Compare inputs and environment only, without training.")
@click.option("--quick", is_flag=True, help="Repeat the first epochs only, and compare them with the locked history.")
@click.option("--level", type=click.Choice(("bits", "predictions", "metrics")), help=LEVEL)
@click.option("--tolerance", type=float, help="By how much scores or metrics may differ; by default 0.001 and 0.005.")
@click.option("--data", metavar="SOURCE", help="Where the images lie here; by default where they lay.")
@click.option("--weights", multiple=True, metavar="PATH", help="Where weights lie here; once for each backbone.")
@click.option(
    "--recipe", type=click.Path(path_type=Path), help="A recipe to compare with the locked one; runs its code."
)
@click.option("--out", type=click.Path(path_type=Path), help="The fresh directory; by default one in runs/.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the comparison as JUnit XML.")
@click.option("--summary", type=click.Path(path_type=Path), help="Write the comparison as Markdown.")
@click.option("--trust-mtime", is_flag=True, help="Read no image again whose size and time of change are known.")
@_force
@_trust
@_debug
def reproduce(lock, check, quick, level, tolerance, data, weights, recipe, out, junit, summary, trust_mtime, force):
    """Train again what RUN or LOCK (a lock.json) holds, and compare; exit 1 where a result moved.

    Nothing is read back from the run that is checked, and nothing is written into it.
    """
    if check and quick:
        raise click.UsageError("Give --check or --quick, one of the two.")
    _check_place(data)
    voice = _open_voice(Screen(sys.stdout), "reproduce")
    from tlmed.reproduce import Request, reproduce_and_report

    mode = "check" if check else "quick" if quick else "train"
    request = Request(lock, mode, level, tolerance, data, weights, recipe, out, trust_mtime, force)
    reproduce_and_report(request, junit, summary, voice)


@cli.command(short_help="Write down a run's packages, or a model card.")
@click.argument("run")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option("--out", type=click.Path(path_type=Path), help="Write it here; by default it is printed.")
@click.option("--hashes", is_flag=True, help="requirements: ask pip's index for the SHA-256 of every file.")
@_force
@_debug
def export(run, form, out, hashes, force):
    """Write RUN down for others: the packages that it was made with, for pip, or a model card."""
    if hashes and form != "requirements":
        raise click.UsageError("--hashes goes with --format requirements.")
    from tlmed.export import check_target, save, write_card, write_requirements
    from tlmed.rundir import find_run

    run = find_run(run)
    if out is not None:
        check_target(out, force)
    text = write_requirements(run, hashes) if form == "requirements" else write_card(run)
    if out is None:
        click.echo(text, nl=False)
    else:
        save(out, text, form, force)


@cli.command(short_help="Show how far a run is.")
@click.argument("run", type=click.Path(path_type=Path))
@_debug
def status(run):
    """Show how far RUN is, while it trains or after it was stopped; of a folder of runs, how far each is."""
    from tlmed.rundir import RunDir, find_run
    from tlmed.status import describe_status, find_runs, list_status

    runs = [] if RunDir(run).exists else find_runs(run)
    Screen(sys.stdout).show(list_status(runs) if runs else describe_status(find_run(run, complete=False)))


# What follows COMMAND is its own, --debug too.
@cli.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Run a command in several local processes that train together.",
)
@click.option("--workers", type=int, required=True, metavar="NUMBER", help="How many processes.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_debug
def launch(workers, command):
    """Run COMMAND, such as `train RECIPE --out DIR`, in several local processes that train together.

    What they print begins with their number. Ctrl-C and SIGTERM reach all of them, and when one fails all end.
    On several machines start the command itself on each, with TF_CONFIG set or under Slurm.
    """
    from tlmed.launch import launch

    if failed := launch(workers, command):
        sys.exit(failed)


@cli.group(short_help="List, show and copy the recipes that come with tlmed.")
def recipes():
    """List, show and copy the recipes that come with tlmed."""


@recipes.command("list")
@_debug
def list_recipes():
    """List the shipped recipes."""
    rows = [(name, summary(file)) for name, file in shipped_recipes().items()]
    Screen(sys.stdout).show([Table(texts("", ""), rows)])


@recipes.command()
@click.argument("recipe")
@_debug
def show(recipe):
    """Print RECIPE as it is written."""
    click.echo(read_text(find_recipe(recipe)), nl=False)


@recipes.command(short_help="Copy a recipe to a file of your own, to edit and run.")
@click.argument("recipe")
@click.argument("to", required=False, type=click.Path(path_type=Path))
@_debug
def copy(recipe, to):
    """Copy RECIPE to a file of your own, to edit and run: by default RECIPE.py here."""
    file = find_recipe(recipe)
    target = _new_recipe(to or Path(file.name), file.name, "TO")
    shutil.copyfile(file, target)
    Screen(sys.stdout).say(f"{target}: edit it, then: tlmed train {shlex.quote(str(target))}")


@cli.group(short_help="List, check and delete features kept for later runs.")
def cache():
    """List, check and delete the features that are kept for later runs.

    They lie in TLMED_CACHE_DIR, by default the user's cache directory, and take at most TLMED_CACHE_LIMIT, by default
    20GB; what was not used for longest goes first.
    """


@contextlib.contextmanager
def _open_store():
    from tlmed.cache import Store, StoreError, cache_folder, cache_limit

    try:
        yield Store(cache_folder(), cache_limit())
    except StoreError as error:
        raise RunFailed(f"The cache must be a folder that can be read and written. Received: {error}.") from error


def _describe_entry(about) -> tuple[str, str]:
    name, engine, precision = (str(about.get(word, "?")) for word in ("name", "engine", "engine_precision"))
    return name, f"{engine} {precision}"


@cache.command("list")
@_debug
def list_cache():
    """List what is kept, the last used first."""
    from tlmed.cache import find_writers, list_notes, show_size

    with _open_store() as store:
        entries = store.entries()
    rows = [
        (
            *(time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)), show_size(entry.size), f"{entry.count:,}"),
            *_describe_entry(entry.about),
        )
        for entry in entries
    ]
    table = Table(texts("last used") + numbers("size", "images") + texts("features of", "computed by"), rows)
    screen, folder = Screen(sys.stdout), store.folder.parent
    notes = [
        f"{show_size(sum(path.stat().st_size for path in paths))}: {what}"
        for what, paths in list_notes(folder).items()
        if paths
    ]
    if writers := find_writers(folder):
        screen.warn(writers)
    total = show_size(sum(entry.size for entry in entries))
    files = f"{store.folder}: {count(len(entries), 'file')}, {total} of {show_size(store.limit)}"
    screen.show([*([table] if rows else []), *notes, files])


@cache.command()
@_debug
def verify():
    """Check every file, and delete what is damaged."""
    from tlmed.cache import find_writers

    screen = Screen(sys.stdout, waits=False)
    with _open_store() as store, screen.busy("Reading every file"):
        sound, damaged = store.verify()
    if writers := find_writers(store.folder.parent):
        screen.warn(writers)
    for path, reason in damaged:
        screen.warn(f"deleted, because of {reason}: {path}")
    screen.say(f"{count(sound, 'file')} sound, {count(len(damaged), 'file')} damaged")


@cache.command(short_help="Delete all that is kept; it is computed again when it is needed.")
@_debug
def clear():
    """Delete all that is kept; it is computed again when it is needed."""
    from tlmed.cache import show_size

    with _open_store() as store:
        files, size = store.clear()
    Screen(sys.stdout).say(f"{count(files, 'file')} deleted, {show_size(size)}")


@cli.command(short_help="List the backbones, or show the blocks of one.")
@click.argument("name", required=False)
@click.option("--table", is_flag=True, help="Print table 1 of the review beside our own counts.")
@_debug
def backbones(name, table):
    """List the backbones, or show the blocks, layers and parameters of NAME."""
    if name is not None and table:
        raise click.UsageError("Give a NAME or --table, one of the two.")
    screen = Screen(sys.stdout, waits=False)
    if name is None and not table:
        from tlmed.catalogue import describe_catalogue

        screen.show(describe_catalogue())
        return
    _open_voice(screen, "plan")
    if table:
        from tlmed.backbones.published_counts import describe_table

        with screen.busy("Counting"):
            lines = describe_table()
    else:
        from tlmed.backbones import build
        from tlmed.plan import describe_backbone

        with screen.busy(f"Building {name}"):
            lines = describe_backbone(name, build(name, "none").model)
    screen.show(lines)
