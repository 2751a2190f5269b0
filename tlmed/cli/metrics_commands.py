"""`tlmed metrics advise`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from tlmed.cli.options import DATA, check_place, debug, open_voice, trust
from tlmed.errors import InputError
from tlmed.fingerprint import (
    MOST_CLASSES,
    QUESTIONS,
    SOURCES,
    Choice,
    Fingerprint,
    Question,
    choose_metrics,
    tell_from_answers,
    tell_from_counts,
    tell_from_recipe,
)
from tlmed.screen import Screen
from tlmed.tabulation import Table, texts
from tlmed.words import thousandths

Answers = dict[str, tuple[object, str]]  # by a question's name: the answer, and where it comes from


@click.group(short_help="Find out which metrics suit a question.")
def metrics():
    """Find out which metrics suit a question, and where they are in the files of a run."""


def _question_options(command: Callable) -> Callable:
    for question in reversed(QUESTIONS):
        words = {"type": _type_of(question), "multiple": question.several, "help": _say_option(question)}
        command = click.option(f"--{question.name}", **words)(command)
    return command


def _type_of(question: Question) -> click.ParamType:
    return click.Choice(list(question.choices)) if question.choices else click.IntRange(2, MOST_CLASSES)


def _say_option(question: Question) -> str:
    words = "; ".join(f"{name}: {meaning}" for name, meaning in question.choices.items())
    more = " May be given several times." if question.several else ""
    return f"{question.text} {words}.{more}" if words else question.text


@metrics.command(short_help="Recommend metrics for a question, with reasons.")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--data", metavar="SOURCE", help=DATA.partition(";")[0] + ".")
@_question_options
@trust
@debug
def advise(run, data, **given):
    """Recommend metrics after Metrics Reloaded (Maier-Hein et al. 2024), with the reason for each.

    What RUN or the data tell is not asked; an option answers a question, too. The others are asked on a terminal.
    """
    if run is not None and data is not None:
        raise click.UsageError("Give RUN or --data SOURCE, one of the two.")
    content: Mapping = {}
    known: Answers = {}
    if run is not None:
        content, known = _read_run(run)
    elif data is not None:
        known = _read_data(data)
    answers = _complete(known | _check_given(known, given))
    screen = Screen(sys.stdout, waits=False)
    screen.show([_tabulate(answers), *_list_metrics(answers, content)])


def _read_run(path: Path) -> tuple[Mapping, Answers]:
    """Return the content of a run's `metrics.json`, and the answers that the run gives."""
    from tlmed.run_files import METRICS_JSON, RECIPE_JSON
    from tlmed.rundir import find_run

    run = find_run(path)
    content = METRICS_JSON.read(run, "per_class")
    counts = {name: entry["n"] for name, entry in content["per_class"].items()}
    return content, {
        **{name: (value, "the run's test images") for name, value in tell_from_counts(counts).items()},
        **{name: (value, "the run's recipe") for name, value in tell_from_recipe(RECIPE_JSON.read(run)).items()},
    }


def _read_data(source: str) -> Answers:
    """Return the answers that the labels of a source give, of its test images where it names them; no image is read."""
    check_place(source)
    open_voice(Screen(sys.stdout, waits=False), "data")
    from tlmed.data import open_source

    table = open_source(source)
    tested = [split == "test" for split in table.splits or ()]
    labels, origin = (table.labels[tested], "the data's test images") if any(tested) else (table.labels, "the data")
    counts = {name: int((labels == label).sum()) for label, name in enumerate(table.classes)}
    return {name: (value, origin) for name, value in tell_from_counts(counts).items()}


def _check_given(known: Answers, given: Mapping) -> Answers:
    """Return the answers that options give; they replace what is known, except what the labels are."""
    answers = {name: (value, "the option") for name, value in given.items() if value not in (None, ())}
    for name in ("findings", "classes"):
        if name in answers and name in known and answers[name][0] != known[name][0]:
            raise InputError(
                f"`--{name}` must be what the labels say, {known[name][0]}, or be left out. "
                f"Received: --{name} {answers[name][0]}."
            )
    return answers


def _complete(answers: Answers) -> Answers:
    """Return the answers to all questions; those that are open are asked.

    Raises:
        InputError: There is no terminal to ask on.
    """
    there, lacking = sys.stdin.isatty(), []
    for question in QUESTIONS:
        follows = tell_from_answers({name: value for name, (value, _) in answers.items()})
        answers = {name: (value, "other answers") for name, value in follows.items()} | answers
        if question.name in answers:
            continue
        if there:
            answers[question.name] = (_ask(question), "you")
        else:
            lacking.append(f"--{question.name} {'|'.join(question.choices) or 'NUMBER'}")
    if lacking:
        raise InputError(
            "Every question must have an answer: by an option, or on a terminal, where the open ones are asked. "
            f"Received: none for {', '.join(lacking)}."
        )
    return answers


def _ask(question: Question):
    """Ask a person."""
    click.echo(f"\n{question.text}")
    for name, meaning in question.choices.items():
        click.echo(f"  {name}: {meaning}")
    try:
        if question.several:
            return click.prompt("Answer (several with commas)", value_proc=lambda text: _take_several(question, text))
        return click.prompt("Answer", type=_type_of(question))
    except click.Abort:  # Ctrl-C is no Abort here: `stopping` turns it into an exception of its own
        raise InputError("Every question must have an answer. Received: the end of the input.") from None


def _take_several(question: Question, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if wrong := [name for name in names if name not in question.choices]:
        raise click.BadParameter(f"{wrong[0]!r} is not one of {', '.join(question.choices)}.")
    return names


def _tabulate(answers: Answers) -> Table:
    rows = []
    for question in QUESTIONS:
        value, origin = answers[question.name]
        rows.append((question.text, ", ".join(value) if isinstance(value, tuple) else str(value), origin))
    return Table(texts("question", "answer", "from"), rows)


def _list_metrics(answers: Answers, content: Mapping) -> list[str]:
    asked = Fingerprint(**{name: value for name, (value, _) in answers.items()})
    chosen = choose_metrics(asked)
    parts = {
        "Decide by, each with its place in a run's metrics.json:": _list_places(chosen["first"], content),
        "Report as well:": _list_places(chosen["also"], content),
        "Do not decide by:": _list_reasons(chosen["not"]),
    }
    lines = [line for head, part in parts.items() if part for line in ("", head, *part)]
    if asked.findings == "several":
        lines += ["", "Each finding is a question of its own: take these metrics for each, and their means."]
    used = dict.fromkeys(choice.source for choices in chosen.values() for choice in choices)
    return [*lines, "", *(f"{name}: {SOURCES[name]}." for name in used)]


def _list_places(choices: Sequence[Choice], content: Mapping) -> list[str]:
    """Return for each metric where it is, its value in a run, and why it was chosen."""
    lines = []
    for choice in choices:
        lines += [f"  {choice.metric}, {choice.key}{_find_value(choice, content)}", f"    {_say_why(choice)}"]
    return lines


def _list_reasons(choices: Sequence[Choice]) -> list[str]:
    """Return metrics with the reason; those with the same one stand together."""
    together: dict[str, list[str]] = {}
    for choice in choices:
        together.setdefault(_say_why(choice), []).append(choice.metric)
    return [line for why, names in together.items() for line in (f"  {', '.join(names)}", f"    {why}")]


def _say_why(choice: Choice) -> str:
    return f"{choice.why[0].upper()}{choice.why[1:]}. [{choice.source}]"


def _find_value(choice: Choice, content: Mapping) -> str:
    """Return a metric's value and interval in a run, as words; nothing where it has none."""
    entry = content
    for name in choice.key.split("."):
        entry = entry.get(name, {}) if isinstance(entry, Mapping) else {}
    if not isinstance(entry, Mapping) or entry.get("value") is None:
        return ""
    span = "" if entry.get("low") is None else f" ({thousandths(entry['low'])} to {thousandths(entry['high'])})"
    return f": {thousandths(entry['value'])}{span}"
