"""The files of an advice: what was written is read again, and what is damaged or of another program is refused."""

import copy
import hashlib
import json
import subprocess

import pytest

from tests.advice_report.samples import AFTER_PROBES, COMPLETE, SAMPLES
from tlmed.errors import InputError
from tlmed.run_files.advice_files import (
    digest_decision,
    is_advice,
    read_advice_json,
    read_decision,
    read_state,
    seal_decision,
    write_advice,
    write_state,
)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_was_written_is_read_again(tmp_path, name):
    assert not is_advice(tmp_path)
    write_advice(tmp_path, SAMPLES[name])
    assert is_advice(tmp_path)
    assert read_advice_json(tmp_path) == SAMPLES[name]


def put(content, place, value):
    """Return content with another value at a place such as `steps.0.tried`; None removes what is there."""
    content = copy.deepcopy(content)
    *outer, last = [int(part) if part.isdecimal() else part for part in place.split(".")]
    inside = content
    for part in outer:
        inside = inside[part]
    if value is None:
        del inside[last]
    else:
        inside[last] = value
    return content


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        ("state", None, "no `state`"),
        ("state", "done", "state is none of complete, stopped: 'done'"),
        (
            "steps.0.tried.0.decision",
            "kept?",
            "decision of 'VGG16' is none of kept, replaced, dropped, not tried, stopped: 'kept?'",
        ),
        ("steps.0.tried.0.score.value", "high", "steps.0.tried.0.score.value is 'high'"),
        ("steps.1.tried.0.gain", 0.02, "steps.1.tried.0.gain is 0.02"),
        ("data.classes", ["ill"], "data.classes is ['ill']"),
        ("gate.accepted", 1, "gate.accepted is 1"),
        ("answer.path", "best", "answer.path is none of run, ensemble: 'best'"),
        ("verdict.learnable", "maybe", "verdict.learnable is none of yes, no, unsure: 'maybe'"),
        ("answer", None, "it is complete without `answer`"),
        ("sealed.test_scored_at", None, "it is complete without `sealed.test_scored_at`"),
        ("sealed.at", "yesterday", "`at` is no time with its offset from UTC: 'yesterday'"),
        ("sealed.at", "2026-11-27T22:40:00", "`at` is no time with its offset from UTC: '2026-11-27T22:40:00'"),
    ],
)
def test_a_damaged_advice_is_refused_in_one_line(tmp_path, place, value, fault):
    write_advice(tmp_path, put(COMPLETE, place, value))
    with pytest.raises(InputError) as caught:
        read_advice_json(tmp_path)
    (said,) = caught.value.faults
    assert fault in said
    assert "`advice.json` of an advice must be as `tlmed advise` writes it" in said
    assert "\n" not in said


def test_an_advice_that_was_stopped_needs_no_answer(tmp_path):
    parts = {name: part for name, part in AFTER_PROBES.items() if part is not None}
    write_advice(tmp_path, parts)
    assert read_advice_json(tmp_path) == parts


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "complete"}', "\udcff", "[" * 100_000])
def test_what_is_no_advice_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "advice.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        read_advice_json(tmp_path)
    (said,) = caught.value.faults
    assert str(tmp_path) in said
    assert "\n" not in said


def test_a_folder_without_an_advice_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a directory that `tlmed advise` wrote. Received: .*, without `advice.json`"):
        read_advice_json(tmp_path)
    with pytest.raises(InputError, match=r"without `decision.json`"):
        read_decision(tmp_path)


def test_the_seal_is_what_other_programs_compute(tmp_path):
    assert digest_decision(tmp_path) == ""
    decided = {"at": "2026-11-27T22:40:00+00:00", "path": "run", "recipe_sha256": "0" * 64}
    file, noted = tmp_path / "decision.json", []
    seal_decision(tmp_path, decided, lambda digest: noted.append((digest, file.exists())))
    ((seal, was_there),) = noted
    assert not was_there
    assert seal == hashlib.sha256(file.read_bytes()).hexdigest()
    assert subprocess.check_output(["sha256sum", file], text=True).split()[0] == seal
    assert read_decision(tmp_path) == decided
    file.write_text(file.read_text().replace("run", "ensemble"))
    assert digest_decision(tmp_path) != seal
    seal_decision(tmp_path, {"at": "noon"}, noted.append)
    with pytest.raises(InputError, match="`at` is no time"):
        read_decision(tmp_path)


def test_the_state_is_kept_until_the_same_command_goes_on(tmp_path):
    assert read_state(tmp_path) == {}
    state = {"asked": {"source": "busi", "budget": 1800.0}, "seconds": 3.5, "done": {"probes": [0.8]}}
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    (tmp_path / "state.json").write_text(json.dumps({"asked": {}}))
    with pytest.raises(InputError, match=r"`state.json` of an advice must be as `tlmed advise` writes it.*no `done`"):
        read_state(tmp_path)
