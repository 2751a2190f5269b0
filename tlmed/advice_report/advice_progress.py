"""How far an advice got, and the commands that go on: in sentences that its page and a terminal share."""

import shlex

from tlmed.advice_report.advice_record import AdviceRecord
from tlmed.advice_report.advice_sentences import say_ends
from tlmed.metrics.names import name_inline
from tlmed.pages.amounts import number
from tlmed.run_files.advice_files import NOT_LEARNABLE, RECIPE_PY, RUN, STOPPED
from tlmed.words import count, join_names

# The steps of the course in their order, as a sentence lists them.
STEPS = {"probes": "probes", "thawing": "thawing", "all layers": "training of all layers", "ensemble": "an ensemble"}


def say_best(record: AdviceRecord) -> str:
    """Return the best so far on development images, which is no test score; "" where nothing was kept."""
    if (best := record.best) is None:
        return ""
    score = best.score
    images = count(score["n"], "development image") if "n" in score else "development images"
    return (
        f"Best so far: {best.entry['name']}, {name_inline(score['metric'])} {number(score['value'])}"
        f"{say_ends(score, '95 % interval ')} on {images}. Choosing by these flatters a little; the test "
        f"images {'were opened' if record.is_opened else 'are still closed'}."
    )


def say_stopped(record: AdviceRecord) -> list[str]:
    """Return why an advice is not finished, what there is, and what is missing; nothing for one that is complete."""
    if record.is_complete:
        return []
    why = record.content.get("stopped")
    done, missing = _list_parts(record)
    said = ["This advice is not finished.", *([why] if why else [])]
    if done:
        said.append(f"There is so far: {join_names(done)}.")
    return [*said, f"Missing: {join_names(missing)}."]


def _list_parts(record) -> tuple[list[str], list[str]]:
    """Return what the advice has, and all that comes after the last of it."""
    content, gate = record.content, record.content.get("gate")
    steps = {step["step"]: step for step in content["steps"]}
    has = {
        "the check of the data": bool(gate),
        "the fingerprint": bool(content.get("fingerprint")),
        "the rules": bool(content.get("rules")),
        **{STEPS[name]: name in steps for name in STEPS},
        "the decision": bool(content.get("sealed")),
        "the score on test images": bool(content.get("answer")),
    }
    parts = list(has)
    reached = max((place for place, part in enumerate(parts, 1) if has[part]), default=0)
    cut = [f"the rest of {STEPS.get(name, name)}" for name, step in steps.items() if _is_cut(step)]
    return [part for part in parts[:reached] if has[part]], [*cut, *parts[reached:]]


def _is_cut(step) -> bool:
    return any(one["decision"] == STOPPED for one in step["tried"])


def say_command(record: AdviceRecord) -> str:
    """Return the command that goes on with this advice."""
    content = record.content
    if content.get("command"):
        command = content["command"]
    else:
        parts = ["tlmed", "advise", "--data", content["source"], "--out", str(record.folder)]
        if content.get("budget") is not None:
            parts += ["--budget", f"{content['budget']:g}"]
        if content["goal"]["text"] != "auc":
            parts += ["--goal", content["goal"]["text"]]
        command = shlex.join(parts)
    gate = content.get("gate") or {}
    needs = gate.get("errors") and not gate["accepted"] and "--accept" not in command
    return f"{command} --accept" if needs else command


def list_commands(record: AdviceRecord) -> list[tuple[str, str]]:
    """Return commands that use an advice, each after what it does; or the one command that goes on."""
    gate = record.content.get("gate") or {}
    if not record.is_complete:
        if gate.get("errors") and not gate["accepted"]:
            return [("Mend the errors first. To go on in spite of them:", say_command(record))]
        return [("The same command goes on where it stopped:", say_command(record))]
    return _use(record) if record.content["verdict"]["learnable"] != NOT_LEARNABLE else _look(record)


def _use(record) -> list[tuple[str, str]]:
    folder, answer = record.folder, record.content["answer"]
    recipe, source = str(folder / answer.get("recipe", RECIPE_PY)), record.content["source"]
    commands = [
        ("Classify new images:", ["tlmed", "predict", str(folder / answer["path"]), "new_images/"]),
        ("Train the recipe again, after editing it for example:", ["tlmed", "train", recipe, "--data", source]),
    ]
    if answer["path"] != RUN:
        commands.insert(1, ("Faster, with one network:", ["tlmed", "predict", str(folder / RUN), "new_images/"]))
    return [(words, shlex.join(parts)) for words, parts in commands]


def _look(record) -> list[tuple[str, str]]:
    """Return commands for images from which nothing was learnt: nobody should classify by such a network."""
    folder, source = record.folder, record.content["source"]
    look = ["tlmed", "data", "show", source, "--out", f"{folder}-images"]
    again = ["tlmed", "advise", "--data", source, "--out", f"{folder}-again"]
    return [
        ("Look at the images and their labels:", shlex.join(look)),
        ("Ask again, after images were added or labels mended:", shlex.join(again)),
    ]
