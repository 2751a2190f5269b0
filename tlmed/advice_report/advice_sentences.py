"""What an advice says, in sentences that its page and a terminal share: nothing beyond what `advice.json` holds."""

import re
from collections.abc import Mapping

from tlmed.advice_report.advice_record import AdviceRecord, Candidate
from tlmed.advice_report.advice_times import say_took
from tlmed.metrics.names import name_inline
from tlmed.metrics.proportions import read_freedom
from tlmed.pages.amounts import join, number
from tlmed.run_files.advice_files import ENSEMBLE, LEARNABLE, NOT_LEARNABLE, UNSURE
from tlmed.run_files.advice_scores import count_test, find_without_copies
from tlmed.run_files.advice_seal import has_begun, is_scored, say_opening, say_time
from tlmed.sections.image_attributes import name_images
from tlmed.tasks import MULTI_LABEL, ORDINAL, SINGLE_LABEL
from tlmed.words import count, join_names, span, tell_apart

VERDICTS = {
    LEARNABLE: "There is something to learn.",
    NOT_LEARNABLE: "Nothing to learn was found.",
    UNSURE: "It is not sure that there is anything to learn.",
}
AUC = "auc"
PARTS = {MULTI_LABEL: "label", SINGLE_LABEL: "class", ORDINAL: "cut"}  # what has an AUC of its own
NEXT = {
    "images": "Images",
    "networks": "Networks",
    "labels": "Labels",
    "scanner": "Other scanners",
    "computing": "Computing time",
    "shortcut": "Shortcuts",
}
_LITTLE = 0.5  # share of all values that an interval holds, from which on it says next to nothing
_MOST_CLASSES = 12  # in a sentence
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z'\"`])")
_CLOSED = (
    "It read the test images, too, to find copies, patients in several splits and damaged images; shortcuts and wrong "
    "labels were looked for in the development images alone."
)
_ERRORS = "the errors: scores and labels that they concern"
# What guessing gives. Other metrics depend on the mix of classes.
CHANCE = {AUC: 0.5, "mcc": 0.0, "kappa": 0.0, "quadratic_kappa": 0.0}


def say_verdict(record: AdviceRecord) -> list[str]:
    """Return whether there is anything to learn, and why; nothing where that is not known yet."""
    verdict = record.content.get("verdict")
    if not verdict:
        return []
    title = say_title(record)
    # The course may have begun with the same words.
    begun = any(said.startswith(title.removesuffix(".")) for said in verdict["says"][:1])
    return [*([] if begun else [title]), *verdict["says"]]


def say_title(record: AdviceRecord) -> str:
    """Return the verdict in a sentence, which covers no label, class or cut of which nothing is shown.

    Args:
        record: An advice with a verdict.
    """
    learnable, parts = record.content["verdict"]["learnable"], record.content.get("parts", [])
    shown, kind = sum(each["shown"] for each in parts), PARTS[record.content["data"]["task"]]
    if learnable != LEARNABLE or shown == len(parts):
        return VERDICTS[learnable]
    return f"There is something to learn, but that is shown for {shown or 'none'} of {count(len(parts), kind)} only."


def say_answer(record: AdviceRecord) -> list[str]:
    """Return what to use and how good it is, and then how sure that is; nothing before test images are scored."""
    answer = record.content.get("answer")
    if not answer:
        return []
    metric, name = _name_metric(record), _name_answer(answer)
    copies = answer.get("copies", [])
    sealed = "" if record.doubts or copies else " that nothing was decided by"
    where = f"on {count_test(answer)}{sealed}"
    worth = f"{number(answer['value'])}{say_ends(answer, '95 % interval ')}{_say_without_copies(answer)}"
    learnable = (record.content.get("verdict") or {}).get("learnable")
    if learnable == NOT_LEARNABLE:
        first = f"Use none of the networks: {where}, the {metric} of {name}, which was chosen, is {worth}."
    elif learnable == UNSURE:
        first = f"The best that was found is {name}: {where}, its {metric} is {worth}."
    else:
        first = f"Use {name}: {where}, its {metric} is {worth}."
    if copies:
        copies = [*copies, "What was decided by an image is no fair test of its copy: the score may be too high."]
    return [first, *_say_unscored(answer), *copies, *_say_kept(answer), _say_sureness(answer)]


def _say_unscored(answer) -> list[str]:
    """Return which test images an answer of several networks leaves out, and what is not known of those it scores."""
    said = [answer["not_joined"]] if "not_joined" in answer else []
    if left_out := answer.get("left_out"):
        said.append(
            f"{left_out:,} of {count(left_out + answer['n'], 'test image')} {'is' if left_out == 1 else 'are'} not in "
            "these scores: training or validation knows them, or their patients."
        )
    if undecided := answer.get("undecided"):
        said.append(
            f"What the weights learned from before is not known: {undecided:,} of {count(answer['n'], 'test image')}, "
            "or their patients, may be among it, and then the score is too high."
        )
    return said


def _say_without_copies(answer) -> str:
    """Return the score of the test images that repeat no development image, as the end of a sentence; or nothing."""
    if "without_copies" not in answer:
        return ""
    if (found := find_without_copies(answer)) is None:
        return ", and each of these images repeats a development image, or is of a patient who has one there"
    name, entry = found
    named = "" if name == answer["metric"] else f"its {name_inline(name)} is "
    worth = "not defined" if entry["value"] is None else f"{number(entry['value'])}{say_ends(entry)}"
    return f", and {named}{worth} on the {answer['without_copies']['n']:,} of them that repeat no development image"


def _name_metric(record) -> str:
    metric, data = record.content["answer"]["metric"], record.content["data"]
    if metric != AUC or (data["task"] != MULTI_LABEL and len(data["classes"]) < 3):
        return name_inline(metric)
    return f"mean {name_inline(metric)} over {'labels' if data['task'] == MULTI_LABEL else 'classes'}"


def _say_kept(answer) -> list[str]:
    """Say so where the last phase of the training did not give the result; nothing elsewhere."""
    phases = answer.get("kept_phases")
    if not phases:
        return []
    named = join_names([f"'{name}'" for name in dict.fromkeys(phases)])
    whose = "Its result" if answer["path"] != ENSEMBLE else f"The result of {count(len(phases), 'network')} of it"
    return [
        f"{whose} is that of the phase {named}: on validation images no later phase was better, so what later ones "
        "trained was not kept."
    ]


def _name_answer(answer) -> str:
    backbone = join(answer["backbone"])
    if answer["path"] != ENSEMBLE:
        return backbone
    networks = f" of {count(answer['members'], 'network')}" if "members" in answer else ""
    return f"the ensemble{networks} ({backbone})"


def say_ends(entry: Mapping, words: str = "") -> str:
    """Return the interval of a score after a blank, in brackets; "" where there is none.

    >>> say_ends({"value": 0.85, "low": 0.8, "high": 0.9}), say_ends({"low": None, "high": None})
    (' (0.800 to 0.900)', '')
    """
    if entry.get("low") is None or entry.get("high") is None:
        return ""
    return f" ({words}{span(entry['value'], entry['low'], entry['high'])})"


def _say_sureness(answer) -> str:
    low, high, chance = answer["low"], answer["high"], CHANCE.get(answer["metric"])
    if answer["value"] is None or low is None or high is None:
        return "How sure this is cannot be said, because there is no interval."
    wide, little = f"{number(high - low)} wide", _say_little(answer)
    if chance is None:
        return f"The interval is {wide}: the true value may lie anywhere in it.{little}"
    guessing = f"{chance:g}, which is guessing"
    if low <= chance <= high:
        return (
            f"The interval is {wide} and contains {guessing}: these test images do not show that anything was "
            f"learnt.{little}"
        )
    side = "above" if low > chance else "below"
    return (
        f"The whole interval lies {side} {guessing}; it is {wide}, and the true value may lie anywhere in it.{little}"
    )


def _say_little(answer) -> str:
    """Return that an interval is too wide to say anything, and why, after a blank; "" of a narrower one."""
    least = -1.0 if CHANCE.get(answer["metric"]) == 0 else 0.0
    if answer["high"] - answer["low"] < _LITTLE * (1 - least):
        return ""
    said = " So wide an interval says next to nothing of how good the answer is:"
    freedom, patients = read_freedom(answer.get("method")), answer.get("groups")
    if patients is None or freedom is None or freedom + 1 >= patients:
        units = count(answer["n"], "test image") if patients is None else count(patients, "patient")
        return f"{said} {units} {'is' if (patients or answer['n']) == 1 else 'are'} too few."
    return (
        f"{said} a few of the {patients:,} patients decide it, and it is as unsure as if there were {freedom + 1:,} "
        "patients."
    )


def say_plainly(record: AdviceRecord) -> str:
    """Return what the score means, in everyday words; "" for a metric that has none, or where nothing was learnt."""
    answer, verdict = record.content.get("answer"), record.content.get("verdict") or {}
    if not answer or verdict.get("learnable") == NOT_LEARNABLE or answer["metric"] != AUC or answer["value"] is None:
        return ""
    return (
        "In everyday words: take an image of a class and one that is not of it, again and again. The one of the class "
        f"gets the higher score in about {100 * answer['value']:.0f} of 100 such pairs; guessing gives 50."
    )


def say_goal(record: AdviceRecord) -> str:
    """Return what was asked for, and whether the test images show that it was reached; "" if the verdict tells it."""
    goal, answer = record.content["goal"], record.content.get("answer")
    told = (record.content.get("verdict") or {}).get("says", ())
    if goal.get("least") is None or any(f"goal {goal['text']}" in said for said in told):
        return ""
    target = goal.get("target") or goal["text"].partition(">=")[0].strip().lower()
    found = (answer or {}).get("metrics", {}).get(target)
    if found is None and answer and answer["metric"] == target:
        found = answer
    asked = f"Asked for: {goal['text']}."
    if found is None or found["value"] is None:
        return f"{asked} Whether that is reached is not known{'' if answer else ' yet'}."
    value, least = tell_apart(found["value"], goal["least"])
    said = f"{asked} The {name_inline(target)} on test images is {value}{say_ends(found)}"
    if found["value"] < goal["least"]:
        return f"{said}, which is less than {least}."
    if found["low"] is None or found["low"] < goal["least"]:
        return f"{said}. That is {least} or more, but not for sure: the interval holds lower values."
    return f"{said}, all of which is {least} or more."


def say_data(record: AdviceRecord) -> list[str]:
    """Return how many images there are, of what, and which of them decided."""
    data, facts = record.content["data"], record.content.get("fingerprint") or {}
    classes, several = data["classes"], data["task"] == "multi-label"
    names = join_names([f"{name} ({amount:,})" for name, amount in list(classes.items())[:_MOST_CLASSES]])
    rest = f" and {len(classes) - _MOST_CLASSES:,} more" if len(classes) > _MOST_CLASSES else ""
    kind = f"each with any of {count(len(classes), 'label')}" if several else f"of {count(len(classes), 'class')}"
    images = count(data["images"], "image")
    said = [f"{images}{',' if several else ''} {kind}: {names}{rest}."]
    if data["task"] == "ordinal":
        said.append("The classes are grades, in this order.")
    if data.get("positive"):
        said.append(f"The class that is looked for is {data['positive']}.")
    if data.get("groups"):
        such = "a patient" if data["groups"] == 1 else "patients"
        said.append(f"The images belong to {count(data['groups'], 'group')}, such as {such}.")
    said.append(_say_division(record))
    if facts.get("height") and facts.get("width"):
        tone = {True: ", gray", False: ", in colour", None: ""}[facts.get("gray")]
        said.append(f"A typical image has {facts['height']:,g} x {facts['width']:,g} pixels (height x width){tone}.")
    if facts.get("modality"):
        said.append(f"The images are taken to be {name_images(facts['modality'])}.")
    return said


def _say_division(record) -> str:
    data = record.content["data"]
    is_past, development = "was" if record.is_complete else "is", count(data["development"], "development image")
    decided = f"There are {development}" if record.doubts else f"Everything {is_past} decided by {development}"
    if not data["test"]:
        return f"{decided}; there are no test images."
    was = "was" if data["test"] == 1 else "were"
    test, sealed = count(data["test"], "test image"), record.content.get("sealed")
    if is_scored(sealed):
        return f"{decided}; {test} {was} scored once, at the end."
    if has_begun(sealed):
        return f"{decided}; {test} may be scored already: {'its' if data['test'] == 1 else 'their'} opening began."
    return f"{decided}; {test} {was} not scored yet."


def say_gate(record: AdviceRecord) -> list[str]:
    """Return what the gate found, in short; nothing where it has not looked yet."""
    gate = record.content.get("gate")
    if not gate:
        return []
    closed = [_CLOSED] if gate.get("closed") and record.content["data"]["test"] else []
    errors, warnings = count(gate["errors"], "error"), count(gate["warnings"], "warning")
    if not gate["errors"] and not gate["warnings"]:
        return ["The gate found no errors and no warnings. That does not prove that nothing is there.", *closed]
    kinds = ", ".join(f"{kind} {amount:,}" for kind, amount in gate.get("kinds", {}).items())
    said = [f"The gate found {errors} and {warnings}{f' ({kinds})' if kinds else ''}."]
    if gate["errors"] and not gate["accepted"]:
        said.append("Errors stop an advice, because scores or labels cannot be trusted before they are mended.")
    elif gate["errors"]:
        them = "the error: scores and labels that it concerns" if gate["errors"] == 1 else _ERRORS
        said.append(f"You accepted {them} cannot be trusted.")
    return [*said, *closed]


def say_experience(record: AdviceRecord) -> str:
    """Return what results on other data decided; "" where that is not known yet."""
    experience = record.content.get("experience")
    if not experience:
        return ""
    order = f"The order: {', '.join(experience['order'])}." if experience.get("order") else ""
    left = say_left_out(experience["own"]) if experience.get("own") else ""
    return " ".join(filter(None, [_say_used(experience), left, order, _say_uncompared(experience)]))


def _say_used(experience) -> str:
    if not experience["used"]:
        return "Results on other data did not decide what was tried first."
    results = count(experience["rows"], "result") if "rows" in experience else "results"
    if experience.get("compared") == []:
        return f"The {results} on other data compare none of these networks with each other, and decided no order."
    said = f"What was tried first follows from {results} on other data"
    nearest = experience.get("nearest")
    if not nearest:
        return f"{said}."
    return (
        f"{said}, of which {join_names(nearest)} {'is' if len(nearest) == 1 else 'are'} most alike. (If your images "
        "are of one of these sets, its results are not of other data.)"
    )


def _say_uncompared(experience) -> str:
    compared = experience.get("compared")
    others = [name for name in experience.get("order", ()) if compared and name not in compared]
    return f"Of {join_names(others)} they tell nothing." if others else ""


def say_left_out(own: int) -> str:
    """Return that results of experience were left out.

    >>> say_left_out(1)
    '1 result of experience is of these images, or of many of them, and was left out.'
    """
    verb, was = ("is", "was") if own == 1 else ("are", "were")
    return f"{count(own, 'result')} of experience {verb} of these images, or of many of them, and {was} left out."


def list_shortcuts(record: AdviceRecord) -> list[str]:
    """Return the first sentence of each shortcut that the gate found; the page of the check has all of them."""
    shortcuts = (record.content.get("gate") or {}).get("shortcuts", ())
    return [_SENTENCE_END.split(text, maxsplit=1)[0] for text in shortcuts]


def say_cost(record: AdviceRecord) -> str:
    """Return how many were scored, how long it took, and how much time there was."""
    scored = sum(one.score is not None for one in record.candidates)
    was = "was" if scored == 1 else "were"
    tried = f"{count(scored, 'candidate')} {was} scored on development images." if scored else "Nothing was scored yet."
    return f"{tried} {say_took(record.content)}"


def say_test_width(record: AdviceRecord) -> list[str]:
    """Return how wide the interval of the test AUC is; before it is measured, what the learning curve expects of it."""
    found = (record.content.get("answer") or {}).get("metrics", {}).get(AUC, {})
    if found.get("low") is None:
        return list(record.content["curve"].get("test", {}).get("says", []))
    images = count(record.content["answer"]["n"], "test image")
    return [f"The {images} here gave an interval of the AUC of {number(found['high'] - found['low'])} from end to end."]


def say_seal(record: AdviceRecord) -> list[str]:
    """Return when it was decided, and when the test images were scored; nothing where nothing is decided yet."""
    sealed = record.content.get("sealed")
    if not sealed:
        return []
    by = f" by {say_time(sealed['at'])}" if sealed["at"] else ""
    said = [f"What to advise was decided{by} and written to `{sealed['file']}`, whose SHA-256 is `{sealed['sha256']}`."]
    if not is_scored(sealed):
        return [*said, say_opening(sealed)]
    answer = record.content.get("answer") or {}
    copies = answer.get("copies", [])
    after = "" if record.doubts else ", after that: they took no part in the decision"
    if after and answer.get("left_out"):
        after += f", but for {answer['left_out']:,} that are not scored, as training or validation knows them"
    after += f", but copies of some did: {copies[0].rstrip('.')}" if after and copies else ""
    began = sealed.get("opening_began_at")
    opened = f"opened from {say_time(began)} on, and scored by" if began else "scored by"
    return [*said, f"The test images were {opened} {say_time(sealed['test_scored_at'])}{after}."]


def say_gain(one: Candidate) -> list[str]:
    """Return the gain of something that was tried, over what, and whether it is more than its noise; or nothing.

    >>> gain = {"over": "VGG16", "value": 0.02, "noise": 0.008}
    >>> say_gain(Candidate(2, "probes", {"name": "MobileNetV2", "gain": gain}))
    ['+0.020', 'over VGG16', 'beyond noise (0.008)']
    """
    if (gain := one.gain) is None:
        return []
    if gain["noise"] is None:
        return [f"{gain['value']:+.3f}", f"over {gain['over']}", "noise unknown"]
    value, noise = tell_apart(gain["value"], gain["noise"])
    worse = "worse, beyond" if gain["value"] < -gain["noise"] else "within"
    beyond = "beyond" if gain["value"] > gain["noise"] else worse
    parts = one.score["folds"] if one.score and one.score.get("folds") else 0
    where = f" on {gain['folds']} of its {parts} parts" if 0 < gain.get("folds", parts) < parts else ""
    return [value if value.startswith("-") else f"+{value}", f"over {gain['over']}{where}", f"{beyond} noise ({noise})"]
