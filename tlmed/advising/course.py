"""The course of an advice, readable from top to bottom: look, decide, seal, and only then open the test images."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

from tlmed.advice_doubts import find_changes, find_doubts
from tlmed.advice_report import describe_advice, read_advice, say_left_out, say_took, write_advice_page
from tlmed.advising import opening
from tlmed.advising.advice_rules import EPOCHS, LEAST_UNITS, apply_rules, choose_folds, find_faults
from tlmed.advising.attempts import Log
from tlmed.advising.both_sides import say_apart, say_difference, say_parts_apart, weigh_parts
from tlmed.advising.choosing import choose_networks, expect, read_others
from tlmed.advising.climbing import climb, go_further, settle_epochs
from tlmed.advising.conclusions import judge_learnable, list_next, say_goal, say_sure, say_validation, warn_of_copies
from tlmed.advising.development_fingerprint import Fingerprint, count_units, describe_development
from tlmed.advising.diary import ANSWER, DECISION_MADE, LOOK, open_diary, refuse_among
from tlmed.advising.first_look import (
    check_unchanged,
    describe_gate,
    describe_images,
    digest_images,
    list_places,
    look,
    open_images,
    refuse_errors,
    refuse_taught,
)
from tlmed.advising.fold_answers import answer_together
from tlmed.advising.part_scores import join_parts, list_parts, measure_difference, score_parts
from tlmed.advising.probing import probe_all
from tlmed.advising.reasons import give_reasons, tell_story
from tlmed.advising.recipe_file import write_recipe
from tlmed.advising.request import Request
from tlmed.advising.stories import Story, write_all
from tlmed.advising.team import Team
from tlmed.advising.work import Work, count_validation, find_auc, read_results, recall_skipped
from tlmed.errors import InputError, TlmedError
from tlmed.failures import writing
from tlmed.recipe import Recipe, from_json, override
from tlmed.run_files import METRICS_JSON
from tlmed.run_files.advice_files import (
    BEGAN,
    DECISION_JSON,
    SCORED,
    SEALED,
    TRIED,
    is_advice,
    is_complete_advice,
    read_advice_json,
)
from tlmed.run_files.advice_seal import now
from tlmed.rundir import RunDir
from tlmed.screen import Screen
from tlmed.tasks import MULTI_LABEL
from tlmed.voice import Voice
from tlmed.words import count

LOGS, DECISION = "logs", DECISION_JSON.name
_MOST = 3  # parts on which a training is judged, from many images on, where the first leaves a decision open


def make_advice(request: Request, screen: Screen, voice: Voice, command: str = "") -> Path:
    """Give advice: look at the images, try what promises most, seal the decision, and open the test images once.

    Args:
        request: What is asked for.
        screen: Where to say what happens.
        voice: Likewise, for what the gate does.
        command: As the user gave it, for the page.

    Returns:
        The directory, which holds `advice.json` and `advice.html`.

    Raises:
        InputError: If the images or the directory cannot be used, or the budget is too small.
        CheckFailed: If the gate found errors that were not accepted.
        RunFailed: If what was decided cannot be trained, or the disk is full.
        Interrupted, Terminated: If it was asked to stop; the same request goes on.
    """
    done = is_complete_advice(request.folder)
    if done:  # what is complete keeps its own budget
        content = read_advice_json(request.folder)
        for doubt in (*find_doubts(request.folder, content), *find_changes(request.folder, content)):
            screen.say(f"Warning: {doubt}")
        own = content.get("budget")
        if own is not None and (request.budget is None or request.budget > own):
            screen.say(
                f"{request.folder} holds a complete advice. {say_took(content)} A larger --budget changes nothing in "
                "it: ask in another --out."
            )
        request = dataclasses.replace(request, budget=own)
    with writing(request.folder), open_diary(request) as diary:
        story = Story(request, diary, command)
        try:
            _tell(story, screen, voice)
        except (TlmedError, KeyboardInterrupt) as error:
            story.stopped = " ".join(error.faults) if isinstance(error, TlmedError) else "Stopped by Ctrl-C."
            if done:  # what is complete is not replaced by what is not; doubts about it belong on its page
                write_advice_page(request.folder, read_advice(request.folder))
            elif story.data:
                story.steps = story.steps or _read_steps(request.folder)
                screen.say(f"Page: {write_all(story)}")
            raise
        page = write_all(story)
        screen.show([*describe_advice(read_advice(request.folder)), f"Page: {page}"])
    return request.folder


def _read_steps(folder) -> list:
    """Return the steps that an earlier command wrote down, where this one ended before it came to them."""
    return read_advice_json(folder)["steps"] if is_advice(folder) else []


def _tell(story: Story, screen: Screen, voice: Voice) -> None:
    request, diary = story.request, story.diary
    subject = open_images(request, voice)
    if "images" not in diary.done:
        refuse_among(request.folder, list_places(subject.images.table))
    for line in subject.words:
        screen.say(line)
    refuse_taught(request, subject.images)
    digests = digest_images(subject.images)
    check_unchanged(diary.done.get("images"), digests, request.folder)
    story.data = describe_images(subject.images, request)
    diary.note(images=digests)
    team = Team(request.folder / LOGS, request.skip_bad, screen, request.jobs, diary.note)
    try:
        if "gate" not in diary.done:
            team.warm(_count_together(subject.images))
            _look(request, diary, subject, voice)
        _set_rules(request, diary)
        _recall(story)
        story.gate["accepted"] = bool(story.gate["errors"]) and request.accept
        if faults := diary.done["faults"]:
            raise InputError(faults)
        refuse_errors(request, story.gate, subject.images.table, story.command)
        screen.say(say_fingerprint(story.fingerprint))
        for rule in story.rules:
            screen.say(f"Rule, {rule['name']}: {rule['says']} [{rule['source']}]")
        diary.stamp(LOOK)
        work = _begin(story, team, screen)
        decision = opening.recall_sealed(diary) or _decide(work, story)
        diary.stamp(DECISION_MADE)
        _open(work, story, decision)
    finally:
        team.close()


def _count_together(images) -> int:
    """Return how many runs will be trained at a time, at most."""
    return len(choose_folds(count_units(images), LEAST_UNITS)[1])


def _look(request, diary, subject, voice) -> None:
    """Run the gate and describe the development images, and note both."""
    seen = look(request, subject, voice)
    fingerprint = describe_development(request.recipe, seen.images, seen.course.evidence)
    curve = seen.found.figures.get("forecast")
    told = {} if seen.course.evidence.features is None else {"features": str(request.recipe.backbone)}
    diary.note(
        gate=describe_gate(seen.found, request.accept),
        curve=None if curve is None else {**curve, **told},
        fingerprint={**fingerprint.to_json(), **told},
        faults=find_faults(fingerprint),
    )


def _set_rules(request, diary) -> None:
    """Let the rules follow from what the images are and from the budget of this command, until something was tried."""
    if "rules" in diary.done and (SEALED in diary.done or any((request.folder / TRIED).glob("*"))):
        return
    found = Fingerprint.from_json(diary.done["fingerprint"])
    rules = apply_rules(found, request.budget, request.given, request.recipe.data.batch_size)
    diary.note(rules=[rule.to_json() for rule in rules])


def say_fingerprint(found: Mapping) -> str:
    """Return what the development images are, in a line."""
    sides, near = (found["height"], found["width"]), found["nearest_neighbour_auc"]
    parts = [
        count(found["images"], "image"),
        "gray" if found["gray"] else "in colour",
        f"{sides[0]} x {sides[1]} pixels (median)" if all(sides) else "of unknown size",
    ]
    if found["groups"]:
        parts.append(f"{count(found['groups'], 'patient')} (groups)")
    if near is not None:
        by = f", by features of {found['features']}," if found.get("features") else ""
        parts.append(f"the nearest image{by} tells the class with AUC {near:.2f}")
    return f"Development images: {', '.join(parts)}."


def _begin(story, team, screen) -> Work:
    request, found = story.request, story.fingerprint
    base = _apply_rules(request, story.rules)
    division, folds = choose_folds(found["units"], found["fewest"])
    further = tuple(fold for fold in range(1, 1 + min(_MOST, division.k)) if fold not in folds)
    log = Log(request.folder / TRIED, story.diary.stamp(LOOK))
    sides = None if found["task"] == MULTI_LABEL else (found["fewest"], found["units"] - found["fewest"])
    skipped = recall_skipped(story.diary, request.budget)
    return Work(request, story.diary, team, screen, log, base, division, folds, further, sides, skipped=skipped)


def _recall(story) -> None:
    done = story.diary.done
    story.gate, story.curve = dict(done["gate"]), done["curve"]
    story.fingerprint, story.rules = done["fingerprint"], done["rules"]


def _apply_rules(request, rules) -> Recipe:
    """Return the recipe with what the rules decided."""
    settings = {"data.split_seed": request.recipe.split_seed}
    settings |= {name: value for rule in rules for name, value in rule["settings"].items()}
    if request.goal.threshold is not None:
        settings["threshold"] = request.goal.threshold
    # What JSON has as lists are tuples in a recipe.
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return override(request.recipe, (), plain)


def _decide(work: Work, story: Story) -> dict:
    """Try what promises most, and seal the decision; return the content of `decision.json`."""
    rows, own = read_others(work.request, story.data["sketch"])
    networks, story.experience = choose_networks(work, story.fingerprint, rows, own)
    if own:
        work.screen.say(say_left_out(own))
    expected = functools.partial(expect, rows, story.fingerprint, work.metric)
    try:
        chosen = probe_all(work, networks)
        _settle_epochs(work, story, chosen[0], expected)
        best = climb(work, chosen, expected)
        choice = answer_together(work, go_further(work, best, expected))
    finally:
        story.steps = work.log.to_json()
    recipe = opening.finish_recipe(work, choice.answer)
    text = write_recipe(recipe, give_reasons(story.rules, work.log, choice.answer), tell_story(story, choice))
    parts = score_parts(read_results(work, choice.judged), work.division, story.data["sides"])
    facts = {
        "images": work.diary.done["images"],
        "rules": story.rules,
        "experience": story.experience,
        "steps": story.steps,
        "judged": choice.judged.name,
        "found": dataclasses.asdict(choice.judged.score),
        "found_auc": dataclasses.asdict(find_auc(work, choice.judged)),
        "validation": count_validation(work, choice.judged),
        "found_parts": {name: dataclasses.asdict(score) for name, score in parts.items()},
        "fingerprint": story.fingerprint,
    }
    return opening.seal(work, choice, text, facts)


def _settle_epochs(work, story, probe, expected) -> None:
    """Say for how many epochs blocks are trained, now that the speed of this machine is known."""
    says = settle_epochs(work, probe, story.fingerprint["images"], expected)
    before = next(rule for rule in story.rules if rule["name"] == EPOCHS)
    if says != before["says"]:
        work.screen.say(f"Rule, {EPOCHS}: {says}")
    story.rules = [{**rule, "says": says} if rule is before else rule for rule in story.rules]
    work.diary.note(rules=story.rules)


def _open(work: Work, story: Story, decision: dict) -> None:
    """Train what was decided, which scores the test images, and draw the conclusions."""
    folder = work.request.folder
    opening.check_seal(folder, decision)
    story.steps, story.experience = decision["steps"], decision["experience"]
    done = work.diary.done
    if SCORED not in done:
        work.screen.say(
            f"Decided: {decision['attempt']}, sealed in {folder / DECISION}. Now the test images are opened."
        )
        # Whoever is stopped from here on leaves a page that says how far the test images were opened.
        write_all(story)
        work.diary.note(**{BEGAN: done.get(BEGAN) or now()})
        write_all(story)
    path = opening.open_test(work, from_json(decision["recipe"]), decision)
    work.diary.note(**{SCORED: done.get(SCORED) or now()})
    work.diary.stamp(ANSWER)
    story.answer = opening.describe_answer(path, folder, work, decision)
    untried = story.answer.get("untried", "")
    tested = story.answer["metrics"].get("auc") or {}
    network = story.answer["backbone"]
    verdict = judge_learnable(decision["found_auc"], tested, untried, story.curve, network)
    story.verdict = _compare_parts(story, decision, verdict, METRICS_JSON.read(RunDir(path)), untried)
    story.verdict["says"] += say_goal(work.request.goal, story.answer)
    story.verdict["warnings"] += warn_of_copies(tested, story.answer)
    story.next = list_next(story)
    story.sure = [
        *say_sure(story.steps, decision["found"], story.answer, untried),
        *say_difference(story.difference, untried),
        *say_validation(story.data, decision.get("validation"), "members" in story.answer),
    ]


def _compare_parts(story, decision, verdict, result, untried) -> dict:
    """Note how development and test images differ, in all and in each part; return the verdict with what that means."""
    found, tested, task = decision["found_auc"], result["metrics"]["auc"], story.data["task"]
    is_better = bool(untried) or "members" in story.answer
    story.difference = measure_difference(found, tested, is_better)
    # A decision of an earlier version has no scores of parts.
    story.parts = join_parts(decision.get("found_parts", {}), list_parts(result), is_better)
    verdict = weigh_parts(verdict, story.parts, task, untried)
    apart = say_apart(found, tested, story.difference, story.data["test_drawn"], untried)
    parts = [] if untried else say_parts_apart(story.parts, task)
    return {**verdict, "apart": [*apart, *parts], "warnings": verdict.get("warnings", [])}
