"""The files that users copy into their repositories to gate on locks: `docs/ci.md` and `docs/ci/`."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tlmed import pytest_locks
from tlmed.cli import cli

NOT_INSTALLED = "check-jsonschema is not installed (pip install -e '.[test]')"
yaml = pytest.importorskip("ruamel.yaml", reason=NOT_INSTALLED)

DOCS = Path(__file__).parents[2] / "docs"
GITHUB, GITLAB, PAGE = DOCS / "ci/github-reproduce.yml", DOCS / "ci/gitlab-reproduce.yml", DOCS / "ci.md"
SCHEMAS = {GITHUB: "vendor.github-workflows", GITLAB: "vendor.gitlab-ci"}
SHELLS = {
    "github": ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"],
    "gitlab": ["sh", "-e", "-c"],
    "a person": ["bash", "-c"],
}
# Writes what it is asked to, and exits with the status that the lock's content is.
STAND_IN = """#!/bin/sh
echo "$*" >> calls
status=$(cat "$2")
for word; do
  case $before in --junit | --summary) echo "$status" > "$word" ;; esac
  before=$word
done
exit "$status"
"""


def load(path):
    return yaml.YAML(typ="safe").load(path)


def github_steps():
    return load(GITHUB)["jobs"]["reproduce"]["steps"]


def lines_of(where):
    """Return the lines that reproduce each lock."""
    if where == "github":
        return next(step["run"] for step in github_steps() if step.get("id") == "reproduce")
    if where == "gitlab":
        (lines,) = load(GITLAB)[".tlmed-reproduce"]["script"]
        return lines
    (block,) = [block for block in blocks("sh") if "for lock" in block]
    return block.removeprefix("TLMED_LOCKS=locks\n")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def scripts():
    """Return everything that a shell runs in the files and on the page."""
    job = load(GITLAB)[".tlmed-reproduce"]
    steps = [step["run"] for step in github_steps() if "run" in step]
    return [*steps, *job["before_script"], *job["script"], *blocks("sh")]


def commands(program):
    """Return the words of each call of a program."""
    lines = "\n".join(scripts()).replace("\\\n", " ").splitlines()
    found = [re.sub(r"\$\{\w+:\+(.*?)\}", r"\1", line).strip() for line in lines]  # ${X:+--option="$X"}
    return [shlex.split(line)[1:] for line in found if line.startswith(f"{program} ")]


def check(path, schema):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(importlib.util.find_spec("check_jsonschema") is None, reason=NOT_INSTALLED)
@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_file_is_what_its_schema_asks_for(path, tmp_path):
    # As a job that runs: of a hidden one the schema asks nothing.
    text = re.sub(r"^\.tlmed-reproduce:", "reproduce:", path.read_text(), flags=re.MULTILINE)
    right, wrong = tmp_path / "right.yml", tmp_path / "wrong.yml"
    right.write_text(text)
    wrong.write_text(re.sub(r"^( +)(runs-on|when): .*$", r"\1\2: [[1]]", text, flags=re.MULTILINE))
    status, said = check(right, SCHEMAS[path])
    assert status == 0, said
    assert check(wrong, SCHEMAS[path])[0] == 1


def test_all_run_the_same_lines():
    assert lines_of("github") == lines_of("gitlab") == lines_of("a person")


def test_the_snippets_of_the_page_are_yaml_that_fits_the_files():
    gate, include = (yaml.YAML(typ="safe").load(block) for block in blocks("yaml"))
    call = gate["jobs"]["reproduce"]
    assert set(call["with"]) <= set(load(GITHUB)["on"]["workflow_call"]["inputs"])
    assert include["reproduce"]["extends"] in load(GITLAB)
    assert set(include["reproduce"]["variables"]) <= set(load(GITLAB)[".tlmed-reproduce"]["variables"])


def test_the_page_names_every_input():
    inputs = load(GITHUB)["on"]["workflow_call"]["inputs"]
    names = [*inputs, *load(GITLAB)[".tlmed-reproduce"]["variables"]]
    assert [name for name in names if f"`{name}`" not in PAGE.read_text()] == []


def test_inputs_have_one_default():
    workflow = load(GITHUB)
    inputs = workflow["on"]["workflow_call"]["inputs"]
    found = re.findall(r"inputs\.([\w-]+) \|\| (?:'([^']*)'|(\d+))", GITHUB.read_text())
    assert {name: text or int(number) for name, text, number in found} == {
        name: given["default"] for name, given in inputs.items() if given["default"] != ""
    }
    assert set(workflow["on"]["workflow_dispatch"]["inputs"]) <= set(inputs)


def test_no_expression_stands_in_a_script():
    assert not any("${{" in step.get("run", "") for step in github_steps())


def test_actions_are_pinned_and_rights_are_few():
    uses = re.findall(r"uses: (?!\./)(.*)", GITHUB.read_text())
    assert uses
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses)
    workflow = load(GITHUB)
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["reproduce"]["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_a_shell_can_read_the_scripts(shell):
    for script in scripts():
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_commands_and_options_exist():
    called = commands("tlmed")
    assert {words[0] for words in called} == {"train", "reproduce"}
    for name, *words in called:
        known = {option for parameter in cli.commands[name].params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known


def test_options_of_pytest_exist():
    page = PAGE.read_text()
    named = set(re.findall(r"--tlmed-[a-z]+", page))
    assert named == set(re.findall(r'"(--tlmed-[a-z]+)"', Path(pytest_locks.__file__).read_text()))
    assert [words[:2] for words in commands("pytest")] == [["--tlmed-locks", "locks/"]] * 2


@pytest.fixture
def repository(tmp_path):
    """Give a folder with three locks, and a stand-in for tlmed on the path."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/tlmed"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    (tmp_path / "my locks").mkdir()
    return tmp_path


def run_lines(shell, folder, **variables):
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TLMED_LOCKS": "my locks/"}
    command = [*SHELLS[shell], lines_of(shell)]
    done = subprocess.run(command, cwd=folder, env={**environment, **variables}, capture_output=True, text=True)
    calls = folder / "calls"
    return done.returncode, calls.read_text().splitlines() if calls.exists() else []


def write_locks(folder, **statuses):
    for name, status in statuses.items():
        (folder / "my locks" / f"{name}.json").write_text(str(status))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("statuses", "worst"), [((0, 0, 0), 0), ((0, 1, 0), 1), ((3, 0, 1), 3), ((1, 2, 0), 2), ((0, 137, 1), 137)]
)
def test_all_locks_are_tried_and_the_worst_status_is_told(shell, repository, statuses, worst):
    write_locks(repository, **dict(zip(("a", "b c", "d"), statuses, strict=True)))
    status, calls = run_lines(shell, repository)
    assert status == worst
    assert [call.split(" --")[0] for call in calls] == [f"reproduce my locks/{name}.json" for name in ("a", "b c", "d")]
    reports = {path.name: int(path.read_text()) for path in (repository / "reports").iterdir()}
    assert reports == {
        f"{name}.{kind}": given
        for name, given in zip(("a", "b c", "d"), statuses, strict=True)
        for kind in ("xml", "md")
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_a_folder_without_locks_fails(shell, repository):
    assert run_lines(shell, repository) == (2, [])


@pytest.mark.parametrize("stopped", [75, 130])
def test_nothing_is_begun_when_the_job_was_stopped(repository, stopped):
    write_locks(repository, a=stopped, b=0)
    status, calls = run_lines("github", repository)
    assert (status, len(calls)) == (stopped, 1)


def test_level_and_data_are_passed_on_as_one_word_each(repository):
    write_locks(repository, a=0)
    (repository / "bin/tlmed").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > calls\n')
    _, words = run_lines("gitlab", repository, TLMED_LEVEL="metrics", TLMED_DATA="my $(touch harm) images")
    assert words[:4] == ["reproduce", "my locks/a.json", "--level=metrics", "--data=my $(touch harm) images"]
    assert not (repository / "harm").exists()


def test_what_pip_installs_is_split_as_in_a_shell_and_nothing_else_is_run(repository):
    program = repository / "bin/python"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > calls\n')
    program.chmod(0o755)
    (line,) = load(GITLAB)[".tlmed-reproduce"]["before_script"]
    assert line in [step.get("run") for step in github_steps()]
    given = "-r requirements.txt 'tlmed[offline] @ git+https://example.org/x' $(touch harm); touch harm"
    environment = {**os.environ, "PATH": f"{repository / 'bin'}:{os.environ['PATH']}", "TLMED_INSTALL": given}
    subprocess.run(["sh", "-ec", line], cwd=repository, env=environment, check=True)
    words = (repository / "calls").read_text().splitlines()
    assert words[:6] == ["-m", "pip", "install", "-r", "requirements.txt", "tlmed[offline] @ git+https://example.org/x"]
    assert not (repository / "harm").exists()


def test_the_tables_are_shown_in_order(repository):
    (script,) = [step["run"] for step in github_steps() if step.get("name") == "Show the tables"]
    (repository / "reports").mkdir()
    environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(repository / "summary.md")}
    subprocess.run([*SHELLS["github"], script], cwd=repository, env=environment, check=True)  # there are none
    for name in ("b b", "a"):
        (repository / "reports" / f"{name}.md").write_text(f"table {name}\n")
    subprocess.run([*SHELLS["github"], script], cwd=repository, env=environment, check=True)
    assert (repository / "summary.md").read_text() == "table a\ntable b b\n"
