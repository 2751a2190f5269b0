"""The model card of a run, or of several runs whose networks answer together."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from tlmed.answer_units import unit_of
from tlmed.backbones.ancestry import list_weights
from tlmed.errors import InputError
from tlmed.evaluation.answer_rules import say_rule
from tlmed.evaluation.decision_lines import name_rule
from tlmed.evaluation.ensemble_lines import describe_ensemble
from tlmed.evaluation.lines import describe_size
from tlmed.evaluation.pooling import say_pooling
from tlmed.export.card import count_groups, introduce, write_run_card
from tlmed.export.card_facts import CardFacts, read_card_facts
from tlmed.export.earlier_runs import describe_earlier
from tlmed.export.front_matter import find_licence, write_front_matter
from tlmed.export.label_tables import count_label_images
from tlmed.export.naming import name_data, name_weights
from tlmed.export.score_section import (
    name_positive,
    show_baselines,
    show_parts,
    show_score_section,
    show_without_leaks,
    tabulate_all,
)
from tlmed.export.usage import show_usage
from tlmed.identifiers import read_identifiers
from tlmed.members import Member, list_members, name_members
from tlmed.report.image_counts import list_left_out
from tlmed.run_files import METRICS_JSON, TIMING_JSON
from tlmed.run_files.check_summary import read_summary, say_errors
from tlmed.rundir import RunDir
from tlmed.tabulation import Table, numbers, texts
from tlmed.tabulation.markdown import block, bullets, code, plain
from tlmed.words import count, thousandths


def write_card(run: RunDir, shared: bool = False) -> str:
    """Return the model card of a finished run, cross-validation or ensemble, as a README.md of the Hugging Face Hub.

    No path of this machine, no file name and no group is in it.

    Args:
        run: A finished one.
        shared: As for `write_run_card`; then the networks are one.

    Raises:
        InputError: A file is missing, cannot be read, or is not as it was written; or a member of an ensemble is gone.
    """
    members = list_members(run, ("recipe.json", "plan.json", "splits.csv", "metrics.json"))
    if len(members) == 1:
        return write_run_card(run, shared)
    parts = [read_card_facts(member.run) for member in members]
    try:
        return _write(run, members, parts, shared)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        # The files are valid JSON with other content than tlmed writes: it may fail in any of these ways.
        what = f"{type(error).__name__}: {error}"
        raise InputError(
            f"RUN must have its files as tlmed writes them. Received: {str(run.path)!r}: {what}."
        ) from error


def _write(run, members, parts, shared) -> str:
    content = _join(run, parts)
    sections = {
        "What it is": _describe_members(content, members, parts),
        "What it is for, and what not": _describe_use(content, len(parts)),
        "What it learned from": _describe_data(content),
        "How well it does": _show_scores(content),
        "How to use it": show_usage(content, sum(one.weight > 0 for one in members), shared)
        if shared
        else _show_usage(),
        "How to repeat it": _show_repetition(content),
    }
    text = [write_front_matter(content), f"# {plain(content.title)}", introduce(content)]
    return "\n\n".join(text + [f"## {title}\n\n{part}" for title, part in sections.items()]) + "\n"


def _join(run, parts: Sequence[CardFacts]) -> CardFacts:
    """Return the facts of all members as one: their backbones and weights, with the scores that they have together."""
    first = parts[0]
    sources = {source["name"]: source for part in parts for source in part.weights}
    backbones = list(dict.fromkeys(name for part in parts for name in part.backbones))
    return dataclasses.replace(
        first,
        name=run.path.resolve().name,
        recipe={**first.recipe, "name": None, "backbone": backbones},
        environment={**first.environment, "weights": list(sources.values())},
        metrics=METRICS_JSON.read(run),
        timing=TIMING_JSON.find(run),
        check=read_summary(run) if run.folds else first.check,
        unchecked=list(dict.fromkeys(said for part in parts for said in part.unchecked)),
    )


def _describe_members(content, members: Sequence[Member], parts: Sequence[CardFacts]) -> str:
    rows = [
        (
            name,
            thousandths(member.weight),
            " + ".join(map(name_weights, part.backbones)) + (" and a classifier" if part.is_hybrid else ""),
            " + ".join(name_weights(source["name"]) for source in part.weights),
            " x ".join(map(str, part.recipe["data"]["image_size"])),
            str(part.recipe.get("seed")),
        )
        for name, member, part in zip(name_members(members), members, parts, strict=True)
    ]
    kind = "The folds of a cross-validation" if "folds" in content.metrics else "An ensemble"
    columns = texts("Member") + numbers("Weight") + texts("Backbone", "Weights", "Image size") + numbers("Seed")
    said = (
        f"{kind}: {count(len(parts), 'network')} answer together, by the mean of their probabilities with the "
        "weights below; each reads an image by its own rule (size, window)."
    )
    return f"{said}\n\n{Table(columns, rows).markdown()}"


def _describe_use(content, amount: int) -> str:
    knows = (
        "labels above and nothing else: any image gets some of them, or none"
        if content.is_multi
        else ("classes above and nothing else: any image gets one of them")
    )
    return bullets(
        [
            "For research and teaching: to compare methods, and to start from.",
            "Not for decisions about people: no authority has examined it.",
            f"It knows the {knows}.",
            "Images of another device, hospital or population may give worse results than those below.",
            f"An answer takes the time of {amount} networks.",
        ]
    )


def _describe_data(content) -> str:
    data, splits = content.environment["data"], content.splits
    counts = Counter(row["label"] for row in splits)
    classes = content.metrics["classes"]
    table = (
        count_label_images(classes, splits)
        if content.is_multi
        else Table(texts("Images") + numbers("all"), [(name, f"{counts[name]:,}") for name in classes]).markdown()
    )
    left_out = list_left_out(content.environment)
    licence, alone = data.get("licence"), content.recipe["data"].get("groups") is False
    of_weights = " The licence that this card begins with is that of the weights." if find_licence(content) else ""
    points = [
        f"Source: {code(name_data(content.recipe['data']['source']))}.",
        f"Licence of the images: {plain(licence) if licence else 'not stated by the source'}.{of_weights}",
        "The images are those of all members together; each trained on its own training split of them.",
        *describe_earlier(list_weights(content.environment, content.recipe), read_identifiers(data), splits, alone),
        *([f"Left out of the first member: {plain('; '.join(left_out))}."] if left_out else []),
        f"Of the first member: {count_groups(splits, content.recipe['data'], read_identifiers(data).pseudonyms)}",
    ]
    return f"{table}\n\n{bullets(points)}"


def _show_scores(content) -> str:
    if "folds" not in content.metrics:
        return f"{bullets(map(plain, describe_ensemble(content.metrics)))}\n\n{show_score_section(content)}"
    return _show_means(content)


def _show_means(content) -> str:
    """Return the means of a cross-validation: any image of it is known to all of its networks but one or few."""
    metrics = content.metrics
    groups = f" of {count(metrics['groups'], 'group')}" if metrics.get("groups") else ""
    said = (
        f"Means over {count(len(metrics['folds']), 'fold')}, each scored on its own test images: "
        f"{count(metrics['n'], unit_of(metrics))}{groups} in all. They tell what one such network does; all together "
        f"may do better. {name_positive(metrics)}{_say_thresholds(metrics)}"
    ).rstrip()
    decision = metrics.get("decision")
    parts = [
        *([plain(say_pooling(metrics))] if "pool" in metrics else []),
        *([f"Predicted is {plain(say_rule(decision))}."] if decision else []),
        *_list_costs(metrics),
        *map(plain, describe_size(metrics)),
        tabulate_all(metrics),
        *(f"**{plain(doubt)}**" for doubt in (*content.unchecked, *say_errors(content.check))),
        *show_without_leaks(metrics),
        *show_parts(metrics),
        *show_baselines(metrics),
    ]
    return "\n\n".join([said, *parts])


def _list_costs(metrics) -> list[str]:
    """Say what errors cost, where this was stated."""
    costs = [
        f"{plain(true)} taken for {plain(guess)} {cost:g}"
        for true, row in metrics.get("costs", {}).items()
        for guess, cost in row.items()
    ]
    return [f"What errors cost: {', '.join(costs)}."] if costs else []


def _say_thresholds(metrics) -> str:
    point = metrics.get("operating_point", {})
    if point.get("rule", "fixed") == "fixed":
        return ""
    return f" Each fold has a threshold of its own ({name_rule(point)}, on its validation images)."


def _show_usage() -> str:
    lines = "tlmed predict DIR IMAGES"
    said = (
        "The answer needs all members: keep their directories where they lie, seen from this one. "
        "`tlmed export DIR --format keras --out FILE.keras` makes one Keras file of all networks, where they read "
        "images in one way and none is a hybrid."
    )
    return f"{said}\n\n{block(lines, 'bash')}"


def _show_repetition(content) -> str:
    if "folds" in content.metrics:
        return "Each fold is repeated by itself: `tlmed reproduce DIR/folds/01`, and so on."
    lines = f"tlmed ensemble MEMBER... --weights {content.metrics['ensemble']['weights']} --out DIR"
    said = "Each member is repeated by itself (`tlmed reproduce MEMBER`), and described by a card of its own. Then:"
    return f"{said}\n\n{block(lines, 'bash')}"
