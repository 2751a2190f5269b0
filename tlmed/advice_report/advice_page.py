"""The page of an advice, in a single file: the answer first, then why, and how sure it is."""

import shlex
from pathlib import Path

from markupsafe import Markup

from tlmed.advice_report.advice_plots import draw_gain, draw_probes, find_timed, sort_probes
from tlmed.advice_report.advice_progress import list_commands, say_best, say_stopped
from tlmed.advice_report.advice_record import PROBES, AdviceRecord
from tlmed.advice_report.advice_sentences import (
    CHANCE,
    NEXT,
    PARTS,
    list_shortcuts,
    say_answer,
    say_cost,
    say_data,
    say_experience,
    say_gate,
    say_goal,
    say_plainly,
    say_seal,
    say_test_width,
    say_verdict,
)
from tlmed.advice_report.advice_tables import (
    list_settings,
    say_scores,
    tabulate_curve,
    tabulate_facts,
    tabulate_parts,
    tabulate_step,
)
from tlmed.evaluation.curve_plot import draw_forecast
from tlmed.metrics.names import list_once, name_inline
from tlmed.pages.entries import list_entries
from tlmed.pages.figures import Picture, draw
from tlmed.pages.templating import make_page, render
from tlmed.run_files.advice_files import ADVICE_HTML
from tlmed.run_files.advice_scores import find_without_copies
from tlmed.run_files.advice_seal import now, say_time
from tlmed.source_forms import is_path
from tlmed.whole_files import write_text
from tlmed.words import begin_sentence, count


def write_advice_page(folder: Path, record: AdviceRecord) -> Path:
    """Write `advice.html` into the directory of an advice, and return its path."""
    file = folder / ADVICE_HTML
    write_text(file, make_advice_page(record))
    return file


def make_advice_page(record: AdviceRecord) -> str:
    """Return the whole page as HTML."""
    sections = {
        **_show_parts(record),
        "Your data": _show_data(record),
        "What was checked": _show_gate(record),
        "Rules": _show_rules(record),
        "What was tried": _show_steps(record),
        "What to do next": _show_next(record),
        "How sure this is": _show_sure(record),
        "The recipe": _show_recipe(record),
        "How to go on": render("advice/commands.html", commands=list_commands(record)),
    }
    return make_page(f"Advice for {_name(record.content['source'])}", _show_lead(record), sections)


def _name(source: str) -> str:
    """Return what the page calls a source: a path by its last name, as the folders above it are nobody's business."""
    return Path(source).expanduser().resolve().name if is_path(source) else source


def _show_lead(record) -> Markup:
    content = record.content
    verdict, answer, gate = (content.get(name) or {} for name in ("verdict", "answer", "gate"))
    return render(
        "advice/lead.html",
        images=content["data"]["images"],
        verdict=say_verdict(record),
        learnable=verdict.get("learnable", ""),
        answer=say_answer(record),
        plainly=say_plainly(record),
        goal=say_goal(record),
        score=answer or None,
        unique=find_without_copies(answer) if answer else None,
        stopped=_say_stopped(record),
        best="" if record.is_complete else say_best(record),
        commands=[] if record.is_complete else list_commands(record),
        doubts=[*record.doubts, *record.changes],
        tested=_say_tested(record),
        apart=verdict.get("apart", []),
        warnings=verdict.get("warnings", []),
        positive=content["data"].get("positive_doubts", []),
        shortcuts=list_shortcuts(record),
        page=gate.get("page") or "",
        cost=say_cost(record),
    )


def _say_stopped(record) -> list[str]:
    """Return how far an unfinished advice is, and of when that is: a command that works writes the page seldom."""
    status = f"`{shlex.join(['tlmed', 'status', str(record.folder)])}`"
    of = f"This page is of {say_time(now())}. While a command works on it, {status} says how far it is."
    return [] if record.is_complete else [*say_stopped(record), of]


def _say_tested(record) -> str:
    """Return what stands below the number of test images: of how many patients, and that they decided nothing."""
    answer = record.content.get("answer") or {}
    patients = f"of {count(answer['groups'], 'patient')}" if answer.get("groups") else ""
    is_apart = answer and not record.doubts and "copies" not in answer
    apart = f"{'it' if answer['n'] == 1 else 'they'} decided nothing" if is_apart else ""
    return "; ".join(filter(None, [patients, apart]))


def _show_parts(record) -> dict[str, Markup]:
    """Return the section of the AUCs whose mean is that of all; none where there is one AUC."""
    parts = record.content.get("parts")
    if not parts:
        return {}
    kind = PARTS[record.content["data"]["task"]]
    shown = sum(each["shown"] for each in parts)
    table = tabulate_parts(parts, kind)
    facts = {"kind": kind, "amount": len(parts), "shown": shown, "untried": record.content["answer"].get("untried")}
    return {f"Each {kind}": render("advice/parts.html", table=table, **facts)}


def _show_data(record) -> Markup:
    facts = record.content.get("fingerprint")
    table = tabulate_facts(facts) if facts else None
    return render("advice/data.html", sentences=say_data(record), facts=table)


def _show_gate(record) -> Markup:
    gate = record.content.get("gate")
    if not gate:
        return Markup()
    texts, page = [*gate.get("texts", []), *gate.get("shortcuts", [])], gate.get("page") or ""
    texts = list(dict.fromkeys(texts))  # shortcuts are findings, too
    found = gate["errors"] + gate["warnings"]
    return render("advice/gate.html", sentences=say_gate(record), texts=texts, found=found, page=page)


def _show_rules(record) -> Markup:
    rules = record.content.get("rules", [])
    if not rules and not say_experience(record):
        return Markup()
    shown = [{**rule, "settings": list_settings(rule.get("settings", {}))} for rule in rules]
    return render("advice/rules.html", rules=shown, experience=say_experience(record))


def _show_steps(record) -> Markup:
    if not record.content["steps"]:
        return Markup()
    candidates, steps = record.candidates, []
    for step in record.content["steps"]:
        own = [one for one in candidates if one.step == step["step"]]
        pictures = [_draw_probes(own)] if step["step"] == PROBES and sort_probes(own) else []
        table = tabulate_step(own) if own else None
        steps.append(
            {"seconds": None, **step, "title": begin_sentence(step["step"]), "table": table, "pictures": pictures}
        )
    timed = find_timed(candidates)
    gain = _draw_gain(timed, record) if len(timed) > 1 else None
    scores = say_scores(candidates)
    return render("advice/steps.html", steps=steps, cost=say_cost(record), scores=scores, gain=gain)


def _draw_probes(probes) -> Picture:
    metric = sort_probes(probes)[0].score["metric"]
    picture = draw_probes(probes, name_inline(metric), CHANCE.get(metric))
    shown = "Dots: scores of development images; lines: 95 % intervals; open: not kept"
    return draw(picture, f"{name_inline(metric)} of each probe with its interval; the table has the numbers.", shown)


def _draw_gain(timed, record) -> Picture:
    metric = name_inline(record.content["goal"]["metric"])
    shown = (
        f"{metric} of the best so far against minutes: that of the probe, plus what was gained since on the same "
        "images. Bars: noise of the difference to what each was compared with; numbers: those of the tables"
    )
    return draw(draw_gain(timed, metric), f"{metric} against minutes; the tables have the numbers.", shown)


def _show_next(record) -> Markup:
    curve, steps = record.content.get("curve"), record.content.get("next", [])
    if not steps and not curve:
        return Markup()
    picture = None
    if curve and curve["points"]:
        alt = f"Learning curve: {curve['metric']} against the number of training images."
        of = f" of {curve['features']}" if curve.get("features") else ""
        caption = (
            f"A linear head on frozen features{of}, fitted on training images and tested on other training images. "
            "Dots: measured, with 95 % intervals; diamonds: forecast, with 90 % intervals; line: fitted"
        )
        picture = draw(draw_forecast(curve), alt, caption)
    advised = [(NEXT.get(one["what"], begin_sentence(one["what"])), one["says"]) for one in steps]
    points = tabulate_curve(curve) if picture else None
    sentences = [*curve.get("sentences", []), *say_test_width(record)] if curve else []
    return render("advice/next.html", advised=advised, picture=picture, points=points, sentences=sentences)


def _show_sure(record) -> Markup:
    sure, sealed, answer = record.content.get("sure", []), say_seal(record), record.content.get("answer") or {}
    metrics = answer.get("metrics")
    if not sure and not sealed and not metrics:
        return Markup()
    once = {"classes": list(record.content["data"]["classes"]), "metrics": metrics or {}}
    table = (
        list_entries({name: {"method": None, **entry} for name, entry in list_once(once).items()}) if metrics else None
    )
    return render("advice/sure.html", sure=sure, sealed=sealed, doubts=record.doubts, metrics=table, n=answer.get("n"))


def _show_recipe(record) -> Markup:
    if not record.recipe and not record.edited:
        return Markup()
    return render("advice/recipe.html", recipe=record.recipe, edited=record.edited)
