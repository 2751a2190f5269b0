import os
import re
import time

import pytest

from tests.cli.test_cli import here
from tlmed.evaluation.lines import describe_metrics
from tlmed.run_files import STATUS_JSON, append_history
from tlmed.rundir import RunDir
from tlmed.sealed import seal
from tlmed.status import describe_status, find_runs, list_status
from tlmed.training import Checkpoints
from tlmed.whole_files import write_json


def test_a_folder_of_runs_has_a_line_for_each(tmp_path):
    for name in ("b", "a", "c"):
        with RunDir(tmp_path / name).open():
            RunDir(tmp_path / name).mark("Training phase 'head'.")
    for name in ("recipe.json", "metrics.json"):
        write_json(tmp_path / "c" / name, {})
    RunDir(tmp_path / "c").finish()
    with RunDir(tmp_path / "tlmed-worker-x").open():  # a worker that was killed leaves its folder behind
        RunDir(tmp_path / "tlmed-worker-x").mark("Started.")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    with RunDir(tmp_path / "a").open():
        status, out, err = here("status", tmp_path)
    assert (status, err) == (0, "")
    assert out.replace("\n", " ").split(f"{tmp_path}/")[1:] == [
        "a: running: Training phase 'head'. ",
        "b: stopped: Training phase 'head'. ",
        "c: complete. ",
    ]
    assert list_status(find_runs(tmp_path / "a")) == []
    status, _, err = here("status", tmp_path / "notes")
    assert (status, err.startswith("Error: RUN must be the directory of a run")) == (2, True)


def write_note(run, **fields):
    note = {"phase": "head", "number": 1, "phases": 2, "epoch": 25, "epochs": 400, "step": 1, "steps": 3}
    write_json(
        run / STATUS_JSON.name, {**note, "images_per_second": 5.0, "seconds_left": 96, "time": time.time(), **fields}
    )


def test_a_stopped_run_is_where_it_will_go_on_and_has_no_time_left(tmp_path):
    run = RunDir(tmp_path)
    with run.open():
        run.mark("Stopped by Ctrl-C.")
        write_note(run)
        assert "Phase 'head' (1 of 2), epoch 25 of 400, step 1 of 3; 5.0 images" in describe_status(run)[2]
    assert describe_status(run)[2:] == ["Saved: nothing of the phase that was training."]
    checkpoints = Checkpoints(run.progress / "checkpoints")
    for epoch in (34, 35):
        checkpoints.save({"phase": "head", "epoch": epoch, "step": 0}, [])
    assert describe_status(run)[2:] == ["Saved: phase 'head', after epoch 35, step 0."]
    (run.progress / "checkpoints" / "000002.checkpoint").write_bytes(b"cut short")
    assert describe_status(run)[2:] == ["Saved: phase 'head', after epoch 34, step 0."]
    seal(run.progress / "head.phase", {}, [])
    assert describe_status(run)[2:] == ["Saved: phase 'head', whole."]
    write_note(run, phase="top")
    checkpoints.save({"phase": "top", "epoch": 0, "step": 2}, [])
    assert describe_status(run)[2:] == ["Saved: phase 'top', after epoch 0, step 2."]


def test_a_running_run_says_what_it_has_recorded_and_since_when(tmp_path):
    run = RunDir(tmp_path)
    with run.open():
        run.mark("Training phase 'head'.")
        assert re.fullmatch(r"Since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.", *describe_status(run)[2:])
        write_note(run)
        assert len(describe_status(run)) == 4
        for epoch in (25, 26):
            append_history(run, {"phase": "head", "epoch": epoch})
        os.utime(run / "history.csv", (time.time() + 9, time.time() + 9))
        assert describe_status(run)[4].startswith("Epoch 26 of 400 ended at ")
        run.mark("Training phase 'top'.")
        os.utime(run.marker, (time.time() + 20, time.time() + 20))
        assert [line.split(" ")[0] for line in describe_status(run)[2:]] == ["Since"]  # the note is the head's


@pytest.mark.parametrize(
    ("n", "groups", "said"),
    [
        (6, None, "Only 6 images: one alone is 17 % of all"),
        (100, 4, "Only 4 groups: one alone is 25 % of all"),
        (30, None, ""),
        (100, (4, 25), "Only 4 groups: one alone is 25 % of all"),
        (304, (24, 200), "Only 24 groups: one alone is 66 % of all"),
        (
            304,
            (24, 200),
            "The largest group holds 200 of 304 images: every score, which counts images, depends",
        ),
        (200, (59, 42), "The largest group holds 42 of 200 images: every score"),
        (200, (59, 20), ""),
        (200, (40, 20), ""),
    ],
)
def test_a_small_test_set_does_not_pass_without_comment(n, groups, said):
    entry = {"value": 1.0, "low": 0.6, "high": 1.0, "method": "Wilson"}
    several = groups if isinstance(groups, tuple) else (groups,)
    result = {
        "n": n,
        **dict(zip(("groups", "largest_group"), several, strict=False)),
        "classes": ["a", "b"],
        "positive": None,
        "split": "test",
        "metrics": {"accuracy": entry},
    }
    lines = describe_metrics(result)
    assert any(line.startswith(said) for line in lines[2:]) if said else len(lines) == 2
