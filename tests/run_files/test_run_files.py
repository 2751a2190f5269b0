import json
import typing
from pathlib import Path

import pytest

from tlmed import run_files
from tlmed.errors import InputError
from tlmed.run_files import (
    ENVIRONMENT_JSON,
    EXAMPLES_JSON,
    HISTORY_CSV,
    METRICS_JSON,
    PLAN_JSON,
    SEARCH_CSV,
    SPLITS_CSV,
    STATUS_JSON,
    TIMING_JSON,
)
from tlmed.run_files.checking import find_fault
from tlmed.rundir import FILES, RunDir

ROOT = Path(__file__).parents[2]
FILES_READ = [file for file in vars(run_files).values() if isinstance(file, run_files.JsonFile | run_files.CsvFile)]
ENTRY = {"value": 0.9, "low": None, "high": None}


class Inner(typing.TypedDict):
    count: int


class Outer(typing.TypedDict, total=False):
    name: typing.Required[str]
    share: float | None
    flag: bool
    inner: list[Inner]
    tables: dict[str, Inner]
    either: Inner | str
    anything: object


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"name": "a"}, ""),
        ({"name": "a", "unknown": 3, "anything": [None]}, ""),
        ({"name": "a", "share": None}, ""),
        ({"name": "a", "share": 3}, ""),
        ({"name": "a", "share": True}, "another kind of `share`: True"),
        ({"name": "a", "share": float("nan")}, "another kind of `share`: nan"),
        ({"name": "a", "share": 10**400}, "another kind of `share`: 1"),
        ({"name": "a", "flag": 1}, "another kind of `flag`: 1"),
        ({"share": 1.0}, "no `name`"),
        ({"name": None}, "another kind of `name`: None"),
        ({"name": "a", "inner": {}}, "another kind of `inner`: {}"),
        ({"name": "a", "inner": [{"count": 1}, {"count": 1.5}]}, "another kind of `inner`: inner.1.count is 1.5"),
        ({"name": "a", "inner": [{}]}, "no `inner.0.count`"),
        ({"name": "a", "tables": {"x": 3}}, "another kind of `tables`: tables.x is 3"),
        ({"name": "a", "either": "b"}, ""),
        ({"name": "a", "either": {"count": 2}}, ""),
        ({"name": "a", "either": {"count": "2"}}, "another kind of `either`: either.count is '2'"),
        ([], "[]"),
    ],
    ids=str,
)
def test_a_part_of_another_kind_is_named_by_its_place(content, fault):
    found = find_fault(content, Outer)
    assert found.startswith(fault)
    assert bool(found) == bool(fault)


@pytest.mark.parametrize("file", FILES_READ, ids=lambda file: file.name)
def test_every_file_that_is_damaged_is_named_in_one_line(file, tmp_path):
    run = RunDir(tmp_path)
    (run / file.name).parent.mkdir(exist_ok=True)
    for damage in (None, b"\xff\xfe\0", b"a\n1,2,3\n"):
        if damage is not None:
            (run / file.name).write_bytes(damage)
        with pytest.raises(InputError) as caught:
            file.read(run)
        assert f"Received: {run / file.name}: " in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", FILES_READ, ids=lambda file: file.name)
def test_a_file_that_a_run_does_not_have_is_empty_where_it_may_be_missing(file, tmp_path):
    assert not file.find(RunDir(tmp_path))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (METRICS_JSON, {"split": "test", "classes": ["a", "b"], "metrics": {"auc": ENTRY}, "n": 3, "kept": None}),
        (PLAN_JSON, {"phases": [{"name": "head", "fine_tuning_ratio": 0.0, "learning_rates": {"head": 1e-3}}]}),
        (TIMING_JSON, {"training_seconds": 3, "stages": [], "extractions": [{"images": 3, "computed": 0}]}),
        (EXAMPLES_JSON, {"split": "test", "notes": ["None."], "examples": []}),
    ],
    ids=lambda it: getattr(it, "name", ""),
)
def test_json_is_read_as_it_was_written(file, content, tmp_path):
    run = RunDir(tmp_path)
    file.write(run, content)
    assert file.read(run) == content
    assert (run / file.name).read_text() == json.dumps(content, indent=2) + "\n"


def test_tables_are_read_as_they_were_written(tmp_path):
    run = RunDir(tmp_path)
    image = {"path": "a, b.png", "label": "x", "group": "", "split": "val", "sha256": "0" * 64}
    SPLITS_CSV.write(run, [image])
    assert (run / "splits.csv").read_text() == f'path,label,group,split,sha256\n"a, b.png",x,,val,{"0" * 64}\n'
    assert SPLITS_CSV.read(run) == [image]
    SEARCH_CSV.write(run, iter([{"C": 1, "rank": 2}, {"rank": 1, "C": 3}]))
    assert SEARCH_CSV.read(run) == [{"C": "1", "rank": "2"}, {"C": "3", "rank": "1"}]


def test_a_table_with_other_columns_is_refused(tmp_path):
    run = RunDir(tmp_path)
    (run / "history.csv").write_text("phase,epoch\nhead,1\n")
    with pytest.raises(InputError, match=r"with the columns phase,epoch,loss,.*: the columns phase,epoch"):
        HISTORY_CSV.read(run)
    (run / "search.csv").write_text("C,rank\n1\n")
    with pytest.raises(InputError, match="row 2 has not 2 fields"):
        SEARCH_CSV.read(run)


def test_a_status_lacks_nothing(tmp_path):
    run = RunDir(tmp_path)
    run.progress.mkdir()
    (run / STATUS_JSON.name).write_text('{"phase": "head"}')
    with pytest.raises(InputError, match=r"status\.json` of a run must be as `tlmed train` writes it.*: no `epoch`"):
        STATUS_JSON.read(run)


@pytest.mark.parametrize("data", [{}, {"data": {}}, {"data": {"left_out": [3]}}, {"data": {"values": {"fewest": 1}}}])
def test_what_a_reader_cannot_do_without_must_be_there(data, tmp_path):
    run = RunDir(tmp_path)
    ENVIRONMENT_JSON.write(run, data)
    with pytest.raises(InputError, match=r"`environment\.json` of a run must be as .* `data(\.\w+)*`"):
        ENVIRONMENT_JSON.read(run, "data.left_out")
    ENVIRONMENT_JSON.write(run, {"data": {"left_out": [{"path": "a.png"}]}})
    assert ENVIRONMENT_JSON.read(run, "data.left_out")["data"]["left_out"] == [{"path": "a.png"}]


@pytest.mark.parametrize(
    ("unit", "pool"),
    [*(("file", "mean"), ("image", None), (None, None)), *(("patient", "max"), ("group", None), ("image", "max"))],
)
def test_metrics_name_the_table_that_they_are_of(unit, pool, tmp_path):
    named = {name: value for name, value in (("unit", unit), ("pool", pool)) if value}
    METRICS_JSON.write(tmp_path, {"classes": ["a", "b"], "metrics": {}, **named})
    if unit in (None, "image", "file") and pool in (None, "mean"):
        assert METRICS_JSON.read(RunDir(tmp_path))["classes"] == ["a", "b"]
        return
    with pytest.raises(InputError, match=f"unit={unit!r} with pool={pool!r}"):
        METRICS_JSON.read(RunDir(tmp_path))


def test_every_text_file_of_a_run_has_its_reader():
    elsewhere = {"predictions.csv", "pooled.csv", "lock.json"}
    texts = {name for name in FILES if name.endswith((".json", ".csv"))}
    assert texts - elsewhere == {file.name for file in FILES_READ} - {"folds.csv", "ensemble.json", STATUS_JSON.name}


def test_no_other_module_reads_the_json_of_a_run():
    readers = [path for path in (ROOT / "tlmed").rglob("*.py") if ".json(" in path.read_text()]
    assert {path.relative_to(ROOT / "tlmed").parts[0] for path in readers} == {"run_files", "rundir.py"}
