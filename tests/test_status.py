import pytest

from tests.test_cli import here
from tlmed.evaluation.lines import describe_metrics
from tlmed.rundir import RunDir, write_json
from tlmed.status import find_runs, list_status


def test_a_folder_of_runs_has_a_line_for_each(tmp_path):
    for name in ("b", "a", "c"):
        with RunDir(tmp_path / name).open():
            RunDir(tmp_path / name).mark("Training phase 'head'.")
    for name in ("recipe.json", "metrics.json"):
        write_json(tmp_path / "c" / name, {})
    RunDir(tmp_path / "c").finish()
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


@pytest.mark.parametrize(
    ("n", "groups", "said"),
    [
        (6, None, "Only 6 images: one alone is 17 % of all"),
        (100, 4, "Only 4 groups: one alone is 25 % of all"),
        (30, None, ""),
    ],
)
def test_a_small_test_set_does_not_pass_without_comment(n, groups, said):
    entry = {"value": 1.0, "low": 0.6, "high": 1.0, "method": "Wilson"}
    result = {"n": n, "groups": groups, "positive": None, "split": "test", "metrics": {"accuracy": entry}}
    lines = describe_metrics(result)
    assert any(line.startswith(said) for line in lines[2:]) if said else len(lines) == 2
