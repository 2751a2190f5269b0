"""Why a recipe is as it is: the reason of each setting, as comments of its file."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tlmed.advising.attempts import ENSEMBLE, PROBES, Attempt, Log
from tlmed.advising.climbing import Choice
from tlmed.advising.work import describe_score
from tlmed.run_files.advice_files import KEPT, RECIPE_PY
from tlmed.source_forms import is_path
from tlmed.words import count


def give_reasons(rules: Sequence[Mapping], log: Log, best: Attempt) -> dict[str, str]:
    """Return the names of fields to why they are as they are, from rules and from what was measured.

    Args:
        rules: As `advice.json` says them.
        log: What was tried.
        best: What was decided.
    """
    reasons = {name: rule["says"] for rule in rules for name in rule["settings"]}
    source = str(best.trial.recipe.data.source)
    if is_path(source) and not Path(source).expanduser().is_absolute():
        reasons["data.source"] = f"`{source}` leads from the folder in which the advice was asked for; else: `--data`."
    probes = [each for each in log.of(PROBES) if each.score is not None]
    own = next((each for each in probes if each.network == best.network), best)
    others = [each for each in probes if each is not own]
    said = f"As a linear head on frozen features: {describe_score(own.score)}"
    if others:
        said += "; " + "; ".join(f"{each.network.name} {describe_score(each.score)}" for each in others[:3])
    reasons["backbone"] = f"{said}."
    reasons["phases"] = _explain_phases(log, best)
    return reasons


def _explain_phases(log, best) -> str:
    told = [each for each in log.attempts if each.step not in (PROBES, ENSEMBLE)]
    judged = [_explain(each) for each in told if each.score is not None]
    broken = [
        f"{each.changes}: {each.reason}"
        for each in told
        if each.score is None and each.seconds and each.decision != KEPT
    ]
    trusted = [f"{each.changes}: {each.reason}" for each in told if each.score is None and each.decision == KEPT]
    parts = [f"Judged on development images: {'; '.join(judged)}."] if judged else []
    parts += [f"Begun and not finished: {'; '.join(broken)}."] if broken else []
    parts += [f"Taken without a trial: {'; '.join(trusted)}."] if trusted else []
    return " ".join(parts) or "Nothing but the head is trained: nothing else was tried."


def _explain(each) -> str:
    if each.gain is None or not each.gain.is_measured:
        return f"{each.changes}: {each.decision}, {each.reason}"
    gain = f"{each.gain.value:+.3f} over {each.gain.over} (noise {each.gain.noise:.3f})"
    return f"{each.changes} {gain}: {each.decision}, {each.reason}"


def tell_story(story, choice: Choice) -> list[str]:
    """Return the sentences at the head of the recipe's file.

    Args:
        story: The advice, as far as it got.
        choice: What was decided.
    """
    errors = story.gate["errors"]
    accepted = (
        f" {count(errors, 'error')} of the data {'was' if errors == 1 else 'were'} accepted, though: if a test image "
        "repeats a development image, that one took part."
    )
    source, best, judged = story.request.recipe.data.source, choice.answer, choice.judged
    untried, whose = ("", "it") if choice.is_tried else ("; it was not tried on them", judged.name)
    said = [
        f"Advice for {source}: {best.network.name}, {best.changes}.",
        f"Decided on {count(story.data['development'], 'development image')}{untried}. On {judged.score.n:,} of them "
        f"{whose} had {describe_score(judged.score)}. The test images took no part.{accepted if errors else ''} Every "
        "setting may be changed.",
        shlex.join(["tlmed", "train", str(story.request.folder / RECIPE_PY)]),
    ]
    if choice.folds:
        said.append(
            f"{count(len(choice.folds), 'network')} of folds, in tried/ beside this file, "
            f"{'was' if len(choice.folds) == 1 else 'were'} decided on to answer, too: if ensemble/ is there, that is "
            "the common answer."
        )
    return said
