"""What a person sees of an advice: all that its file says, and nothing else."""

import copy
import html
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.advice_report.pasted_commands import parse_command
from tests.advice_report.samples import (
    AFTER_PROBES,
    AT_GATE,
    COMPLETE,
    EVIL,
    ONE_BACKBONE,
    OPENING,
    PROBES,
    SAMPLES,
    change,
    write_sample,
)
from tests.report.test_report import Reader
from tlmed.advice_report import advice_page, describe_advice, read_advice, write_advice_page
from tlmed.advice_report.advice_page import make_advice_page
from tlmed.advice_report.advice_plots import draw_gain, draw_probes, find_timed
from tlmed.advice_report.advice_progress import list_commands, say_best, say_command, say_stopped
from tlmed.advice_report.advice_record import AdviceRecord, Candidate
from tlmed.advice_report.advice_sentences import (
    say_answer,
    say_cost,
    say_data,
    say_experience,
    say_gain,
    say_gate,
    say_goal,
    say_seal,
    say_test_width,
    say_title,
    say_verdict,
)
from tlmed.advice_report.advice_tables import tabulate_course
from tlmed.advice_report.advice_times import say_took
from tlmed.pages.figures import Picture
from tlmed.screen import to_lines
from tlmed.tabulation import Table

WIDTH = 80


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("advice")
    return {name: write_sample(root / name, content) for name, content in SAMPLES.items()}


@pytest.fixture(scope="module")
def pages(folders):
    records = {name: read_advice(folder) for name, folder in folders.items()}
    paths = [write_advice_page(folders[name], record) for name, record in records.items()]
    assert {path.name for path in paths} == {"advice.html"}
    return {path.parent.name: path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture
def plain(monkeypatch):
    """Leave pictures out: drawing them takes longer than all the rest of a page."""
    monkeypatch.setattr(advice_page, "draw", lambda *_: Picture("png", "", 100, "", ""))
    for name in ("draw_probes", "draw_gain", "draw_forecast"):
        monkeypatch.setattr(advice_page, name, lambda *_: Figure())


def make(content, recipe=""):
    return AdviceRecord(advice_page.Path("advice"), content, recipe)


def read_page(content):
    return Reader(make_advice_page(make(content))).text


def write_without_drawings(content):
    return re.sub(r"<svg.*?</svg>", "", make_advice_page(make(content)))


def list_numbers(content, place=()):
    """Yield the place of each number."""
    if isinstance(content, int | float) and not isinstance(content, bool):
        yield place
    elif isinstance(content, dict | list):
        for key, part in content.items() if isinstance(content, dict) else enumerate(content):
            yield from list_numbers(part, (*place, key))


def test_every_number_of_the_file_is_on_the_page(plain):
    whole = write_without_drawings(COMPLETE)
    hidden = {"images", "times"}  # what of the learning curve its sentences say
    places = [place for place in list_numbers(COMPLETE) if place[0] != "curve" or place[-1] not in hidden]
    assert len(places) > 120
    for place in places:
        content = copy.deepcopy(COMPLETE)
        inside = content
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] += 70 if isinstance(inside[place[-1]], int) else 0.08 * (1 + abs(inside[place[-1]]))
        assert write_without_drawings(content) != whole, place


def test_all_texts_of_the_file_are_on_the_page(pages):
    text = Reader(pages["complete"]).text.replace("\n", " ")
    said = [rule["says"] for rule in COMPLETE["rules"]] + [rule["source"] for rule in COMPLETE["rules"]]
    said += [step["says"] for step in COMPLETE["steps"]] + COMPLETE["sure"] + COMPLETE["verdict"]["says"]
    said += [one["reason"] for step in COMPLETE["steps"] for one in step["tried"]]
    said += [one["says"] for one in COMPLETE["next"]] + COMPLETE["gate"]["texts"] + COMPLETE["curve"]["sentences"]
    assert [one for one in said if one.replace("`", "") not in text] == []
    assert "from tlmed.recipe import Recipe  # <b>not HTML</b>" in text


@pytest.mark.parametrize("name", SAMPLES)
def test_no_part_of_a_page_is_empty(pages, name):
    page = pages[name]
    Reader(page)  # all tags close in order
    assert (
        re.findall(r"<(h2|h3|p|ul|li|pre|tbody|td class=\"text\"|figcaption|b|small)(?: [^>]*)?>\s*</\1>", page) == []
    )
    bodies = re.split(r"<h[23][^>]*>[^<]*</h[23]>", page.partition("</nav>")[2])
    assert len(bodies) > 2
    assert all(re.sub(r"<[^>]+>", "", body).strip() for body in bodies[1:])
    assert "None" not in Reader(page).text
    assert "nan" not in Reader(page).text.split()
    assert not re.search(r"https?:|<script", page)


def test_what_users_wrote_is_escaped(pages):
    reader = Reader(pages["hostile"])
    assert "script" not in {tag for tag, _ in reader.tags}
    assert reader.text.count(EVIL) > 12
    assert html.escape(EVIL, quote=False)[:8] in pages["hostile"]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_terminal_of_80_columns_holds_the_summary(folders, name, monkeypatch):
    monkeypatch.chdir(folders[name].parent)
    lines = to_lines(describe_advice(read_advice(advice_page.Path(name))), WIDTH)
    assert max(map(len, lines)) <= WIDTH
    assert 5 < len(lines) <= 28
    assert [line for line in lines if "None" in line] == []


def test_a_shortcut_stands_before_all_sections(pages, folders):
    assert "Mean brightness" in pages["one-backbone"].partition("<nav")[0]
    assert "shortcut" not in pages["complete"].partition("<nav")[0]
    long = "Brightness tells the class: AUC 0.97, p = 0.002. The same holds for the border (0.91)."
    page = make_advice_page(
        make(change(COMPLETE, gate={"shortcuts": [long, "b", "c", "d"], "errors": 0, "texts": ["e"]}))
    )
    lead, _, rest = page.partition("<nav")
    assert "<p>Brightness tells the class: AUC 0.97, p = 0.002.</p>" in lead
    assert "The others stand below." in lead
    assert long in rest
    assert "<li>d</li>" in rest
    lines = [line for line in describe_advice(read_advice(folders["one-backbone"])) if not isinstance(line, Table)]
    assert "Warning: a shortcut: Mean brightness tells the class with an AUC of 0.97." in lines


@pytest.mark.parametrize(
    ("value", "noise", "said"),
    [
        (0.02, 0.008, ["+0.020", "beyond noise (0.008)"]),
        (0.008, 0.008, ["+0.008", "within noise (0.008)"]),
        (0.00804, 0.00796, ["+0.0080", "beyond noise (0.0080)"]),
        (-0.004, 0.008, ["-0.004", "within noise (0.008)"]),
        (-0.02, 0.008, ["-0.020", "worse, beyond noise (0.008)"]),
        (0.02, None, ["+0.020", "noise unknown"]),
    ],
)
def test_a_gain_counts_only_beyond_its_noise(value, noise, said):
    gain = {"over": "VGG16", "value": value, "noise": noise}
    amount, over, about = say_gain(Candidate(1, "probes", {"name": "a", "gain": gain}))
    assert over == "over VGG16"
    assert about.partition(" ")[0] == said[1].partition(" ")[0]
    assert amount.startswith(said[0][0])


def test_the_page_of_an_unfinished_advice_says_of_when_it_is_and_where_a_later_command_is_seen(folders, monkeypatch):
    monkeypatch.setattr(advice_page, "now", lambda: "2026-11-27T23:00:00+00:00")
    pages = {name: make_advice_page(read_advice(folders[name])) for name in ("after-probes", "complete")}
    said = "This page is of 2026-11-27 23:00:00 UTC. While a command works on it, "
    assert [said in page for page in pages.values()] == [True, False]
    assert f"tlmed status {folders['after-probes']}</code> says how far it is." in pages["after-probes"]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.6, 0.8, "The whole interval lies above 0.5, which is guessing; it is 0.200 wide"),
        (0.5, 0.8, "contains 0.5, which is guessing: these test images do not show that anything was learnt"),
        (0.2, 0.4, "The whole interval lies below 0.5, which is guessing"),
        (None, None, "How sure this is cannot be said, because there is no interval."),
    ],
)
def test_how_sure_it_is_follows_from_the_interval(low, high, said):
    first, second = say_answer(make(change(COMPLETE, answer={"value": 0.7, "low": low, "high": high})))
    assert said in second
    assert ("95 % interval" in first) == (low is not None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"low": 0.5}, ""),
        ({"low": 0.01, "n": 12}, "nothing of how good the answer is: 12 test images are too few."),
        (
            {"low": 0.01, "groups": 28, "method": "DeLong of 28 groups, t with 1 df"},
            "nothing of how good the answer is: a few of the 28 patients decide it, and it is as unsure as if there "
            "were 2 patients.",
        ),
        (
            {"low": 0.01, "groups": 12, "method": "DeLong of 12 groups, t with 11 df"},
            "nothing of how good the answer is: 12 patients are too few.",
        ),
        ({"low": 0.01, "metric": "kappa"}, ""),  # which begins at -1
    ],
)
def test_of_an_interval_that_says_nothing_the_reason_is_said(answer, said):
    (_, second) = say_answer(make(change(COMPLETE, answer={"value": 0.7, "high": 0.99, **answer})))
    assert ("So wide an interval says next to" in second) == bool(said)
    assert second.endswith(said)


def test_the_answer_follows_from_the_verdict():
    def say(learnable, **answer):
        return say_answer(make(change(COMPLETE, verdict={"learnable": learnable}, answer=answer)))[0]

    assert say("yes").startswith(
        "Use the ensemble of 2 networks (MobileNetV2): on 117 test images that nothing was dec"
    )
    assert say("no", path="run").startswith("Use none of the networks: on 117 test images")
    assert say("unsure", path="run", n=1).startswith("The best that was found is MobileNetV2: on 1 test image that")
    assert say("yes", metric="accuracy", path="run").endswith("its accuracy is 0.913 (95 % interval 0.857 to 0.949).")


def test_a_seal_that_does_not_fit_is_said_first_and_nothing_is_claimed_of_it(tmp_path, folders):
    assert read_advice(folders["complete"]).doubts == ()
    folder = write_sample(tmp_path / "changed", COMPLETE)
    file = folder / "decision.json"
    file.write_text(file.read_text().replace('"run"', '"ensemble"'))
    record = read_advice(folder)
    assert "`decision.json` is not what was sealed" in record.doubts[0]
    lead = make_advice_page(record).partition("<nav")[0]
    assert "is not what was sealed" in lead
    assert "nothing was decided by" not in lead
    assert "decided nothing" not in lead
    whole = make_advice_page(read_advice(folders["complete"])), make_advice_page(record)
    for claim in ("Everything was decided by", "took no part in the decision"):
        assert [claim in page for page in whole] == [True, False], claim
    file.unlink()
    assert "nothing proves" in read_advice(folder).doubts[0]
    for name in ("opening_began_at", "test_scored_at"):
        early = {name: "2026-11-27T23:39:59+01:00"}  # a second before 22:40 UTC
        record = read_advice(write_sample(tmp_path / name, change(COMPLETE, sealed=early)))
        assert record.doubts == ("The test images were opened before it was decided what to advise.",)


def test_how_far_the_test_images_were_opened_is_said_of_each_moment(pages):
    def say(**sealed):
        record = make(change(OPENING, sealed=sealed))
        return [*say_stopped(record), say_best(record), *say_data(record), *say_seal(record)]

    closed, begun = (" ".join(say(opening_began_at=at)) for at in (None, OPENING["sealed"]["opening_began_at"]))
    for said in (closed, begun):
        assert "an ensemble and the decision. Missing: the score on test images." in said
    assert "117 test images were not scored yet." in closed
    assert closed.count("no test image is scored yet") == 2
    assert "117 test images may be scored already: their opening began." in begun
    assert begun.count("the opening of the test images began at 2026-11-27 22:40:02 UTC") == 2
    assert "not scored yet" not in begun
    assert "closed" not in Reader(pages["opening"]).text
    (_, opened) = say_seal(make(COMPLETE))
    assert opened.startswith(
        "The test images were opened from 2026-11-27 22:40:02 UTC on, and scored by 2026-11-27 22:44:10 UTC, after"
    )


def test_test_images_that_repeat_development_images_are_said_beside_the_score():
    copies = ["4 of 27 test images repeat an image of train, as the check of the data found."]
    record = make(change(COMPLETE, answer={**COMPLETE["answer"], "copies": copies}))
    said = say_answer(record)
    assert said[1] == copies[0]
    assert "too high" in said[2]
    assert "nothing was decided by" not in said[0]
    lead = make_advice_page(record).partition("<nav")[0]
    assert [sentence for sentence in said[1:] if sentence not in lead] == []
    assert "they decided nothing" not in lead


def test_the_score_without_copies_of_development_images_stands_beside_the_score():
    auc = {"value": 0.7, "low": 0.6, "high": 0.79, "method": "DeLong"}
    copies = {"copies": ["46 of 117 test images repeat an image of train, as the check of the data found."]}
    answer = {**COMPLETE["answer"], **copies, "without_copies": {"leaked": 46, "n": 71, "metrics": {"auc": auc}}}
    record = make(change(COMPLETE, answer=answer))
    end = "and 0.700 (0.600 to 0.790) on the 71 of them that repeat no development image."
    assert say_answer(record)[0].endswith(end)
    assert "without copies" in make_advice_page(record).partition('class="headline"')[2].partition("<nav")[0]
    other = make(change(record.content, answer={**answer, "metric": "f1"}))
    assert f"and its AUC is {end[4:]}" in say_answer(other)[0]
    none_left = {**answer, "without_copies": {"leaked": 117, "n": 0, "metrics": {}}}
    said = say_answer(make(change(COMPLETE, answer=none_left)))[0]
    assert said.endswith(
        ", and each of these images repeats a development image, or is of a patient who has one there."
    )


def test_a_stopped_advice_says_what_is_missing_and_how_to_go_on(folders, pages):
    record = read_advice(folders["after-probes"])
    assert say_stopped(record) == [
        "This advice is not finished.",
        "It was stopped by Ctrl-C.",
        "There is so far: the check of the data, the fingerprint, the rules and probes.",
        "Missing: thawing, training of all layers, an ensemble, the decision and the score on test images.",
    ]
    assert say_command(record) == COMPLETE["command"]
    text = Reader(pages["after-probes"]).text
    assert "Best so far: MobileNetV2, AUC 0.890 (95 % interval 0.860 to 0.920) on 663 development images." in text
    assert "117 test images were not scored yet" in text
    assert "tlmed predict" not in text
    gate = read_advice(folders["at-gate"])
    assert say_command(gate) == f"{COMPLETE['command']} --accept"
    assert "Mend the errors first" in pages["at-gate"].partition("<nav")[0]
    assert say_cost(gate) == "Nothing was scored yet. It took 31 s of 30 min."
    own = {name: part for name, part in record.content.items() if name != "command"}
    assert say_command(make(own)) == "tlmed.advise(..., out='advice')"
    cut = copy.deepcopy(PROBES)
    cut["tried"][3]["decision"] = "stopped"
    assert say_stopped(make(own | {"steps": [cut]}))[-1].startswith("Missing: the rest of probes, thawing,")


def test_a_budget_that_is_spent_is_not_offered_again():
    spent = AT_GATE | {"seconds": 927.0, "budget": 240.0, "command": "tlmed advise --data a --out b --budget 4m"}
    says, command = list_commands(make(spent))[0]
    assert (says, command) == (
        "Mend the errors first. To go on in spite of them:",
        "tlmed advise --data a --out b --budget 20m --accept",
    )
    assert "The check of the data alone took longer" in say_took(spent)
    untried = copy.deepcopy(PROBES)
    for one in untried["tried"]:
        one |= {"score": None, "decision": "not tried"}
    stopped = AFTER_PROBES | {"steps": [untried], "seconds": 927.0, "budget": 240.0, "command": "tlmed advise --data a"}
    assert "probes" in say_stopped(make(stopped))[-1]
    assert "probes" not in say_stopped(make(stopped))[-2]
    says, command = list_commands(make(stopped))[0]
    assert says == "The same command, with a longer budget, goes on where it stopped:"
    assert command.endswith("--data a --budget 20m")


def test_an_advice_that_does_not_go_on_gives_the_command_that_asks_again(tmp_path):
    folder = write_sample(tmp_path / "asked", OPENING)
    assert list_commands(read_advice(folder)) == [("The same command goes on where it stopped:", OPENING["command"])]
    for name in ("recipe.py", "decision.json"):
        folder = write_sample(tmp_path / name, OPENING)
        (folder / name).write_text("changed")
        ((words, command),) = list_commands(read_advice(folder))
        assert "goes on only if what was sealed is put back" in words
        assert parse_command(command)["out"] == Path(f"{folder}-again")


def test_a_positive_class_that_sounds_healthy_is_said_before_all_sections(plain):
    said = "The positive class is 'normal', and its name sounds like the healthy one: `--positive abnormal`."
    record = make(change(COMPLETE, data={"positive": "normal", "positive_doubts": [said]}))
    assert "<code>--positive abnormal</code>" in make_advice_page(record).partition("<nav")[0]
    assert f"Warning: {said}" in describe_advice(record)


def test_nobody_is_told_to_use_what_learnt_nothing(folders, pages):
    lines = " ".join(map(str, describe_advice(read_advice(folders["random-labels"]))))
    for text in (lines, Reader(pages["random-labels"]).text):
        assert "Use none of the networks" in text
        assert "In everyday words" not in text
        assert "tlmed predict" not in text
        assert "tlmed data show" in text
    assert "tlmed predict" in Reader(pages["one-backbone"]).text


@pytest.mark.parametrize("learnable", ["yes", "no", "unsure"])
def test_commands_of_a_page_work_when_they_are_pasted(learnable):
    folder, source = Path("Ann's advice; rm $HOME"), 'scans "of" 2024'
    asked = ["--data", source, "--out", str(folder), "--set", "data.label_column=a b", "--skip-bad", "--backbones", "A"]
    content = change(COMPLETE, source=source, command=shlex.join(["tlmed", "advise", *asked]))
    content |= {"verdict": {"learnable": learnable, "says": []}}
    parsed = [parse_command(line) for _, line in list_commands(AdviceRecord(folder, content, ""))]
    assert len(parsed) == {"yes": 3, "no": 2, "unsure": 5}[learnable]
    if learnable != "no":
        assert [each["run"] for each in parsed[:2]] == [str(folder / "ensemble"), str(folder / "run")]
        assert (parsed[2]["recipe"], parsed[2]["data"], parsed[2]["skip_bad"]) == (
            str(folder / "recipe.py"),
            source,
            True,
        )
    if learnable != "yes":
        shown, again = parsed[-2:]
        assert (shown["recipe"], shown["data"]) == (str(folder / "recipe.py"), source)
        assert (shown["out"], shown["skip_bad"]) == (Path(f"{folder}-images"), True)
        assert again["data"] == source
        assert again["settings"] == ("data.label_column=a b",)
        assert (again["out"], again["backbones"], again["skip_bad"]) == (Path(f"{folder}-again"), "A", True)


def test_an_order_is_called_that_of_experience_only_where_experience_compares():
    content = {**COMPLETE, "experience": {"used": True, "rows": 130, "nearest": [], "order": ["A", "B"]}}
    told = content["experience"]
    assert say_experience(make(content)).startswith("What was tried first follows from 130 results")
    told["own"] = 3
    assert "3 results of experience are of these images, or of many of them, and were left" in say_experience(
        make(content)
    )
    told["compared"] = []
    assert "compare none of these networks" in say_experience(make(content))
    told |= {"order": ["A", "B", "C"], "compared": ["A", "B"]}
    assert say_experience(make(content)).endswith("The order: A, B, C. Of C they tell nothing.")


def test_the_phase_that_answers_is_said_where_it_is_not_the_last():
    content = copy.deepcopy(COMPLETE)
    assert not any("phase" in said for said in say_answer(make(content)))
    content["answer"] |= {"path": "run", "kept_phases": ["head"]}
    assert say_answer(make(content))[1].startswith("Its result is that of the phase 'head': on validation images")
    content["answer"] |= {"path": "ensemble", "members": 3, "kept_phases": ["head", "head"]}
    assert say_answer(make(content))[1].startswith("The result of 2 networks of it is that of the phase 'head'")


def test_a_step_ends_with_what_a_later_one_replaced():
    content = copy.deepcopy(COMPLETE)
    first = next(each for each in content["steps"][1]["tried"] if each["decision"] == "kept")
    tried = [{**first, "name": f"thaw{degree}-A", "decision": "replaced"} for degree in (1, 2)]
    content["steps"][1]["tried"] = [*tried, {**first, "name": "thaw3-A", "decision": "dropped"}]
    assert [row[1] for row in tabulate_course(make(content)).rows][1] == "thaw2-A"


def test_what_was_kept_without_a_trial_is_no_nothing():
    content = copy.deepcopy(COMPLETE)
    trusted = {**content["steps"][-1]["tried"][0], "name": "whole-A", "score": None, "gain": None, "decision": "kept"}
    content["steps"] = [*content["steps"][:1], {"step": "all layers", "seconds": 0.0, "says": "", "tried": [trusted]}]
    rows = tabulate_course(make(content)).rows
    assert rows[-1] == ("all layers", "whole-A", "not scored", "0.0")
    assert rows[0][1] != "nothing"


def test_one_and_several_are_said_rightly():
    one, several = make(ONE_BACKBONE), make(COMPLETE)
    assert say_data(one)[:4] == [
        "41 images of 2 classes: ill (1) and well (40).",
        "The class that is looked for is ill.",
        "The images belong to 1 group, such as a patient.",
        "Everything was decided by 40 development images; 1 test image was scored once, at the end.",
    ]
    assert say_data(several)[1].endswith("by 663 development images; 117 test images were scored once, at the end.")
    assert say_data(make(SAMPLES["multi-label"]))[0].startswith("2,000 images, each with any of 3 labels: edema (312),")
    assert say_gate(one)[1] == "You accepted the error: scores and labels that it concerns cannot be trusted."
    assert say_gate(several)[0] == "The gate found 12 errors and 3 warnings (near-copy 10, two-labels 2, outlier 3)."
    closed = make(change(COMPLETE, gate={"closed": True}))
    assert [*say_gate(several), say_gate(closed)[-1]] == say_gate(closed)
    assert "shortcuts and wrong labels were looked for in the development images alone" in say_gate(closed)[-1]
    assert say_cost(one).startswith("1 candidate was scored")
    assert say_cost(several).startswith("6 candidates were scored on development images. It took 12 min 22 s of 30 min")


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (1800.0, "It took 12 min 22 s of 30 min: 34 s for"),
        (None, "It took 12 min 22 s: 34 s for"),
        (600.0, "1 min 57 s of the budget were left for the training of the answer, which is never cut short."),
        (480.0, "It took 12 min 22 s, 4 min 22 s more than its budget of 8 min: 34 s for"),
        (480.0, "What was tried took longer than was expected."),
        (30.0, "The check of the data alone took longer than the budget."),
    ],
)
def test_how_long_it_took_is_said_with_what_overran_the_budget(budget, said):
    took = say_cost(make(change(COMPLETE, budget=budget)))
    assert said in took
    parts = re.findall(r"(?:(\d+) min )?(\d+) s for", took)
    assert sum(60 * int(minutes or 0) + int(seconds) for minutes, seconds in parts) == 742


@pytest.mark.parametrize(
    ("least", "said"),
    [
        (0.6, "all of which is 0.600 or more."),
        (0.7, "That is 0.700 or more, but not for sure"),
        (0.75, "less than 0.750"),
    ],
)
def test_a_goal_is_reached_for_sure_only_by_the_whole_interval(least, said):
    assert say_goal(make(COMPLETE)) == ""
    record = make(change(SAMPLES["multi-label"], goal={"least": least, "target": None}))
    assert said in say_goal(record)
    assert say_goal(make(SAMPLES["one-backbone"])).endswith("Whether that is reached is not known.")


def test_steps_that_score_other_images_are_joined_by_their_gains(plain):
    part = copy.deepcopy(COMPLETE)
    for place, value in ((1, 0.801), (3, 0.82)):  # on one fold, where all scores are lower
        for one in part["steps"][place]["tried"]:
            one["score"] |= {"value": value, "n": 133, "folds": 1}
    found = {one.number: one.level for one in make(part).candidates}
    whole = {one.number: one.level for one in make(COMPLETE).candidates}
    assert found == pytest.approx(whole)
    assert whole[5] == pytest.approx(0.89 + 0.0204)
    assert make(part).best.number == 8
    assert "Scores of 663 development images" in read_page(part)
    assert "Scores of 133 development images" in read_page(part)


def test_what_could_not_be_measured_is_left_open(plain):
    """The course writes a score without a value where a class is missing, and no decision before there is one."""
    part = copy.deepcopy(COMPLETE)
    part["steps"][1]["tried"][1] |= {
        "score": {"metric": "auc", "value": None, "low": None, "high": None, "method": "", "n": 3, "folds": 1},
        "gain": {"over": "MobileNetV2, 1 block", "value": None, "noise": None},
        "decision": "",
        "reason": "",
        "settings": {"changes": "the last 2 blocks thawed"},
    }
    for entry in part["answer"]["metrics"].values():
        del entry["method"]
    text = read_page(part)
    assert "the last 2 blocks thawed" in text
    assert "None" not in text
    assert "changes=" not in text
    assert [one.number for one in find_timed(make(part).candidates)] == [1, 2, 3, 5, 8]


def test_the_headline_says_of_how_many_patients_the_test_images_are(plain):
    answer = {**ONE_BACKBONE["answer"], "n": 15, "groups": 9}
    record = make(change(ONE_BACKBONE, verdict={"learnable": "yes"}, answer=answer))
    assert say_answer(record)[0].startswith("Use MobileNetV2: on 15 test images of 9 patients that nothing was decided")
    assert "<small>of 9 patients; they decided nothing</small>" in make_advice_page(record)
    copied = make(change(record.content, answer={**answer, "copies": ["1 of 15 test images repeats an image."]}))
    assert "<small>of 9 patients</small>" in make_advice_page(copied)


@pytest.mark.parametrize(("modality", "said"), [("ct", "CT images"), ("sonography", "ultrasound images")])
def test_what_images_are_taken_to_be_is_said_as_people_write_it(modality, said):
    facts = change(COMPLETE, fingerprint={"modality": modality})
    assert say_data(make(facts))[-1] == f"The images are taken to be {said}."


def test_what_the_verdict_says_is_not_said_twice():
    said = ["There is something to learn: the AUC on the test images is 0.913.", "The goal auc>=0.9 is reached."]
    record = make(change(COMPLETE, verdict={"says": said}, goal={"text": "auc>=0.9", "least": 0.9}))
    assert say_verdict(record) == said
    assert say_goal(record) == ""
    assert len(say_verdict(make(COMPLETE))) == 2


def test_probes_stand_with_the_best_on_top_and_gains_against_minutes():
    candidates = make(COMPLETE).candidates
    axes = draw_probes([one for one in candidates if one.step == "probes"], "AUC").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["2. MobileNetV2", "3. ResNet50", "1. VGG16"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    timed = find_timed(candidates)
    assert [one.number for one in timed] == [1, 2, 3, 5, 6, 8]
    axes = draw_gain(timed, "AUC").axes[0]
    points = {
        line.get_xdata()[0]: line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_marker() == "o"
    }
    assert list(points) == pytest.approx([one.entry["ended"] / 60 for one in timed])
    assert [line.get_markerfacecolor() == "white" for line in points.values()] == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]
    (course,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert list(course.get_ydata()) == pytest.approx([0.871, 0.89, 0.9104, 0.9222, 0.9222])
    # The noise of each that was compared with another, whether it was kept or not.
    bars = [container.lines[2][0] for container in axes.containers]
    assert [np.ptp(bar.get_segments()[0][:, 1]) / 2 for bar in bars] == pytest.approx(
        [0.0081, 0.0083, 0.0072, 0.0069, 0.0044]
    )


def test_a_mean_over_labels_does_not_cover_those_of_which_nothing_is_shown(pages, folders):
    page = Reader(pages["multi-label"]).text.replace("\n", " ")
    lead, each = page[: page.index("Your data")], page[page.rindex("Each label") :]
    assert "There is something to learn, but that is shown for 1 of 3 labels only." in lead
    assert "its mean AUC over labels is 0.742" in lead
    for said in (*SAMPLES["multi-label"]["verdict"]["apart"], *SAMPLES["multi-label"]["verdict"]["warnings"]):
        assert said in lead
    for number in ("0.540", "0.440 to 0.640", "0.379", "0.175 to 0.637", "p = 0.0001"):
        assert number in each
    whose = "The AUCs on development images are of probe-A, as the answer itself was not tried there."
    assert whose not in each
    sample = SAMPLES["multi-label"]
    assert whose in read_page(change(sample, answer={**sample["answer"], "untried": "probe-A"})).replace("\n", " ")
    lines = describe_advice(read_advice(folders["multi-label"]))
    assert lines[0].startswith("There is something to learn, but that is shown for 1 of 3 labels only.")
    assert "Warning: Development and test images differ. Look at their labels." in lines
    assert "Warning: For 2 of 3 labels nothing is shown to be learnt." in lines


def test_two_classes_have_one_auc_and_no_section_of_each(pages):
    assert "Each class" not in pages["one-backbone"]
    assert say_title(make(COMPLETE)) == "There is something to learn."
    assert "its AUC is" in say_answer(make(change(ONE_BACKBONE, verdict={"learnable": "yes"})))[0]


def test_no_claim_about_test_images_stands_without_their_copies():
    copied = change(COMPLETE, answer={"copies": ["7 of 40 test images repeat an image of train, as the check found."]})
    assert say_seal(make(COMPLETE))[-1].endswith("they took no part in the decision.")
    assert say_seal(make(copied))[-1].endswith(
        "they took no part in the decision, but copies of some did: 7 of 40 test images repeat an image of train, as "
        "the check found."
    )


def test_test_images_that_an_answer_of_several_networks_leaves_out_are_named_and_are_no_copies():
    apart = change(COMPLETE, answer={"left_out": 6, "n": 35})
    said = " ".join(say_answer(make(apart)))
    assert "6 of 41 test images are not in these scores: training or validation knows them, or their patients." in said
    assert "that nothing was decided by" in said
    assert "copy" not in said
    assert say_seal(make(apart))[-1].endswith("but for 6 that are not scored, as training or validation knows them.")


def test_weights_of_unknown_origin_are_no_copies_in_the_data():
    unknown = change(COMPLETE, answer={"undecided": 35, "n": 35})
    said = " ".join(say_answer(make(unknown)))
    assert "What the weights learned from before is not known: 35 of 35 test images" in said
    assert "copy" not in said
    assert say_seal(make(unknown))[-1].endswith("they took no part in the decision.")


def test_why_one_network_answers_where_several_were_decided_on_is_said():
    said = say_answer(make(change(COMPLETE, answer={"not_joined": "Networks of folds do not answer."})))
    assert "Networks of folds do not answer." in " ".join(said)


def test_a_gain_says_on_how_many_of_its_parts_it_was_measured():
    score = {"value": 0.9, "folds": 2}
    for folds, over in ((1, "over A on 1 of its 2 parts"), (2, "over A")):
        entry = {"name": "B", "score": score, "gain": {"over": "A", "value": 0.02, "noise": 0.01, "folds": folds}}
        assert say_gain(Candidate(2, "thawing", entry))[1] == over


def test_the_width_of_the_test_interval_is_the_measured_one_once_there_is_one():
    expected = "The 117 test images here would give an interval of about 0.2 from end to end."
    foreseen = change(COMPLETE, curve={"test": {"images": 117, "width": 0.2, "says": [expected]}})
    assert say_test_width(make(foreseen)) == [
        "The 117 test images here gave an interval of the AUC of 0.092 from end to end."
    ]
    assert say_test_width(make({**foreseen, "answer": None})) == [expected]
