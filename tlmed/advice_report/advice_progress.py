"""How far an advice got, and the commands that go on: in sentences that its page and a terminal share."""

import math
import shlex

from tlmed.advice_report.advice_record import AdviceRecord
from tlmed.advice_report.advice_sentences import say_ends
from tlmed.advice_report.asked_options import LENIENT, change_option, keep_options, name_beside
from tlmed.metrics.names import name_inline
from tlmed.pages.amounts import number
from tlmed.run_files.advice_files import KEPT, LEARNABLE, NOT_LEARNABLE, RECIPE_PY, RUN, STOPPED
from tlmed.run_files.advice_seal import say_opening
from tlmed.words import count, join_names

# The steps of the course in their order, as a sentence lists them.
STEPS = {"probes": "probes", "thawing": "thawing", "all layers": "training of all layers", "ensemble": "an ensemble"}

_WRITTEN = "This was written before the answer was trained."


def say_best(record: AdviceRecord) -> str:
    """Return the best so far on development images, which is no test score; "" where nothing was kept."""
    if (best := record.best) is None:
        return ""
    score = best.score
    images = count(score["n"], "development image") if "n" in score else "development images"
    return (
        f"Best so far: {best.entry['name']}, {name_inline(score['metric'])} {number(score['value'])}"
        f"{say_ends(score, '95 % interval ')} on {images}. Choosing by these flatters a little. "
        f"{say_opening(record.content.get('sealed'))}"
    )


def say_stopped(record: AdviceRecord) -> list[str]:
    """Return why an advice is not finished, what there is, and what is missing; nothing for one that is complete."""
    if record.is_complete:
        return []
    why = record.content.get("stopped") or (_WRITTEN if record.content.get("sealed") else "")
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
        **{STEPS[name]: name in steps and any(map(_is_made, steps[name]["tried"])) for name in STEPS},
        "the decision": bool(content.get("sealed")),
        "the score on test images": bool(content.get("answer")),
    }
    parts = list(has)
    reached = max((place for place, part in enumerate(parts, 1) if has[part]), default=0)
    cut = [f"the rest of {STEPS.get(name, name)}" for name, step in steps.items() if _is_cut(step)]
    return [part for part in parts[:reached] if has[part]], [*cut, *parts[reached:]]


def _is_made(one) -> bool:
    """Tell whether something was scored, or decided for without a trial."""
    return one["score"] is not None or one["decision"] == KEPT


def _is_cut(step) -> bool:
    return any(one["decision"] == STOPPED for one in step["tried"])


def say_command(record: AdviceRecord) -> str:
    """Return the command that goes on with this advice; of one that Python asked for with a recipe, the call."""
    command, gate = record.content.get("command"), record.content.get("gate") or {}
    needs = gate.get("errors") and not gate["accepted"]
    if not command:
        return _write_call(record.folder, ", accept=True" if needs else "")
    if _is_spent(record):
        minutes = math.ceil((record.content["seconds"] + record.content["budget"]) / 60)
        command = change_option(command, "--budget", f"{minutes}m")
    return f"{command} --accept" if needs and "--accept" not in shlex.split(command) else command


def _is_spent(record) -> bool:
    """Tell whether the time is over before anything was decided, so that the same command could not go on."""
    budget = record.content.get("budget")
    return budget is not None and record.content["seconds"] >= budget and not record.content.get("sealed")


def _write_call(folder, more="") -> str:
    return f"tlmed.advise(..., out={str(folder)!r}{more})"


def list_commands(record: AdviceRecord) -> list[tuple[str, str]]:
    """Return commands that use an advice, each after what it does; or the one command that goes on."""
    gate = record.content.get("gate") or {}
    if not record.is_complete:
        if record.doubts or record.edited:
            return [
                ("This advice goes on only if what was sealed is put back. To ask again instead:", _ask_again(record))
            ]
        which = "command" if record.content.get("command") else "call in Python, with the same arguments,"
        if gate.get("errors") and not gate["accepted"]:
            return [("Mend the errors first. To go on in spite of them:", say_command(record))]
        longer = ", with a longer budget," if _is_spent(record) else ""
        return [(f"The same {which}{longer} goes on where it stopped:", say_command(record))]
    learnable = record.content["verdict"]["learnable"]
    used = [] if learnable == NOT_LEARNABLE else _use(record)
    return used if learnable == LEARNABLE else [*used, *_look(record)]


def _use(record) -> list[tuple[str, str]]:
    folder, answer = record.folder, record.content["answer"]
    commands = [("Classify new images:", ["tlmed", "predict", str(folder / answer["path"]), "new_images/"])]
    if answer["path"] != RUN:
        words = f"Faster, with one network{_say_alone(answer)}:"
        commands.append((words, ["tlmed", "predict", str(folder / RUN), "new_images/"]))
    words = "Train the recipe again, after editing it for example:"
    commands.append((words, ["tlmed", "train", *_list_recipe(record)]))
    return [(words, shlex.join(parts)) for words, parts in commands]


def _say_alone(answer) -> str:
    """Return what the first of several networks scores on the test images, after a blank; "" if nobody knows."""
    alone = answer.get("alone") or {}
    if alone.get("value") is None:
        return ""
    return (
        f", whose {name_inline(answer['metric'])} on the same test images is {number(alone['value'])}{say_ends(alone)}"
    )


def _list_recipe(record) -> list[str]:
    """Return the advised recipe and its images as commands take them; it says how they are read."""
    chosen = record.folder / record.content["answer"].get("recipe", RECIPE_PY)
    return [str(chosen), "--data", record.content["source"], *keep_options(record.content.get("command", ""), LENIENT)]


def _look(record) -> list[tuple[str, str]]:
    """Return commands for images from which nothing was learnt for sure: nobody should just use such a network."""
    show = ["tlmed", "data", "show", *_list_recipe(record), "--out", name_beside(record.folder, "images")]
    return [
        ("Look at the images and their labels:", shlex.join(show)),
        ("Ask again, after images were added or labels mended:", _ask_again(record)),
    ]


def _ask_again(record) -> str:
    """Return the command that asks for the same with another directory."""
    command, again = record.content.get("command"), name_beside(record.folder, "again")
    return change_option(command, "--out", again) if command else _write_call(again)
