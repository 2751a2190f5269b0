"""`tlmed metrics advise`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from tlmed.answer_units import say_all_undecided, say_least, say_undecided, unit_of
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
    tell_from_labels,
    tell_from_recipe,
)
from tlmed.label_texts import NEGATIVE
from tlmed.recipe import override, read_recipe, to_json
from tlmed.screen import Screen
from tlmed.tabulation import Table, texts
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import begin_sentence, count, span, thousandths

_PLAIN = "feature_extractor"  # the recipe that data are read with
SETTINGS = "With --data: how it is read, as in a recipe, such as data.label_columns=edema,mass; may be repeated."

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
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help=SETTINGS)
@_question_options
@trust
@debug
def advise(run, data, settings, **given):
    """Recommend metrics after Metrics Reloaded (Maier-Hein et al. 2024), with the reason for each.

    What RUN or the data tell is not asked; an option answers what they do not tell. The others are asked on a terminal.
    """
    if run is not None and data is not None:
        raise click.UsageError("Give RUN or --data SOURCE, one of the two.")
    if settings and data is None:
        raise click.UsageError("--set goes with --data SOURCE.")
    content: Mapping = {}
    known: Answers = {}
    if run is not None:
        content, known = _read_run(run)
    elif data is not None:
        known = _read_data(data, settings)
    answers = _complete(known | _check_given(known, given))
    screen = Screen(sys.stdout, waits=False)
    screen.show([_tabulate(answers), *_list_metrics(answers, content)])


def _read_run(path: Path) -> tuple[Mapping, Answers]:
    """Return the content of a run's `metrics.json`, and the answers that the run gives."""
    from tlmed.run_files import METRICS_JSON, RECIPE_JSON
    from tlmed.rundir import find_run

    run = find_run(path)
    content = METRICS_JSON.read(run, "per_class")
    counts = content["per_class"].items()
    if read_task(content) == MULTI_LABEL:
        told = tell_from_labels({name: (it["positives"], it["n"] - it["positives"]) for name, it in counts})
    else:
        told = tell_from_counts({name: entry["n"] for name, entry in counts})
    return content, {
        **{name: (value, "the run's test images") for name, value in told.items()},
        **{name: (value, "the run's recipe") for name, value in tell_from_recipe(RECIPE_JSON.read(run)).items()},
    }


def _read_data(source: str, settings: Sequence[str]) -> Answers:
    """Return the answers that the labels of a source give, of its test images where it names them; no image is read."""
    check_place(source)
    open_voice(Screen(sys.stdout, waits=False), "data")
    from tlmed.data import open_source

    recipe = override(read_recipe(_PLAIN).recipe, settings, {"data.source": source})
    table = open_source(source, recipe.layout)
    tested = [row for row, split in enumerate(table.splits or ()) if split == "test"]
    table, origin = (table.take(tested), "the data's test images") if tested else (table, "the data")
    counts = {name: int(table.has(label).sum()) for label, name in enumerate(table.classes)}
    if table.is_multi:
        lacking = (table.labels == NEGATIVE).sum(axis=0).tolist()
        told = tell_from_labels(dict(zip(counts, zip(counts.values(), lacking, strict=True), strict=True)))
    else:
        told = tell_from_counts(counts)
    return {
        **{name: (value, origin) for name, value in told.items()},
        **{name: (value, "the recipe") for name, value in tell_from_recipe(to_json(recipe)).items()},
    }


def _check_given(known: Answers, given: Mapping) -> Answers:
    """Return the answers that options give; none may be another one than a run or data give."""
    answers = {name: (value, "the option") for name, value in given.items() if value not in (None, ())}
    if faults := [
        f"`--{name}` must be what {_name_teller(known[name][1])}, {known[name][0]}, or be left out. "
        f"Received: --{name} {value}."
        for name, (value, _) in answers.items()
        if name in known and value != known[name][0]
    ]:
        raise InputError(faults)
    if given["findings"] == "several" and given["classes"] not in (None, 2):
        raise InputError(
            "`--classes` must be 2, or left out, where an image can show several findings: each is there or not. "
            f"Received: --classes {given['classes']}."
        )
    return answers


def _name_teller(origin: str) -> str:
    return f"{origin} says" if origin.endswith("recipe") else "the labels say"


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
        "Decide by, each with its place in a run's metrics.json:": _list_places(chosen["first"], content, asked),
        "Report as well:": _list_places(chosen["also"], content, asked),
        "Do not decide by:": _list_reasons(chosen["not"]),
    }
    lines = [line for head, part in parts.items() if part for line in ("", head, *part)]
    if asked.several:
        lines += ["", "Each finding is a question of its own: take these metrics for each. `metrics` has their means."]
    if leaks := content.get("without_leaks"):
        amount = f"{leaks['leaked']:,} of {count(leaks['leaked'] + leaks['n'], f'test {unit_of(content)}')}"
        known = f"are known from training or validation{say_undecided(content)}"
        said = f"{known}, so that these values may be too good"
        where = "`without_leaks` in metrics.json has the values without them."
        lines += ["", f"{say_least(content).capitalize()}{amount} {said}: {where}"]
    elif hidden := say_all_undecided(content):
        lines += ["", hidden]
    used = dict.fromkeys(choice.source for choices in chosen.values() for choice in choices)
    return [*lines, "", *(f"{name}: {SOURCES[name]}." for name in used)]


def _list_places(choices: Sequence[Choice], content: Mapping, asked: Fingerprint) -> list[str]:
    """Return for each metric where it is, its value in a run, and why it was chosen."""
    lines = []
    for choice in choices:
        place = f"per_class.<label>.{choice.key.removeprefix('metrics.')}" if asked.several else choice.key
        values = _find_values(choice, content, place) if asked.several else _find_value(choice, content, place)
        lines += [f"  {choice.metric}, {place}{values and f': {values}'}", f"    {_say_why(choice)}"]
    return lines


def _find_values(choice: Choice, content: Mapping, place: str) -> str:
    """Return the values of a metric for each label of a run, and their mean, as words."""
    labels = content.get("per_class", ())
    found = {label: _find_value(choice, content, place, label) for label in labels}
    found |= {"mean": _find_value(choice, content, choice.key)}
    return ", ".join(f"{name} {value}" for name, value in found.items() if value)


def _list_reasons(choices: Sequence[Choice]) -> list[str]:
    """Return metrics with the reason; those with the same one stand together."""
    together: dict[str, list[str]] = {}
    for choice in choices:
        together.setdefault(_say_why(choice), []).append(choice.metric)
    return [line for why, names in together.items() for line in (f"  {', '.join(names)}", f"    {why}")]


def _say_why(choice: Choice) -> str:
    return f"{begin_sentence(choice.why)}. [{choice.source}]"


def _find_value(choice: Choice, content: Mapping, place: str, label: str = "") -> str:
    """Return a metric's value and interval in a run, as words; "" where it has none."""
    entry, folders = content, place.removesuffix(choice.metric).split(".")  # a metric's name may hold a point
    for name in (*(label if name == "<label>" else name for name in folders if name), choice.metric):
        entry = entry.get(name, {}) if isinstance(entry, Mapping) else {}
    if not isinstance(entry, Mapping) or entry.get("value") is None:
        return ""
    beside = "" if entry.get("low") is None else f" ({span(entry['value'], entry['low'], entry['high'])})"
    return f"{thousandths(entry['value'])}{beside}"
