"""An advice from Python says by which command it goes on, or is asked for again."""

import dataclasses
import shlex
import sys

import pytest

import tlmed
from tests.cli.test_cli import here
from tlmed.advising import advice, course


@pytest.fixture
def asked(monkeypatch):
    """Give what the course was asked for, by Python or by a command."""
    seen = []
    for place in (advice, course):
        monkeypatch.setattr(
            place, "make_advice", lambda request, *others: seen.append((request, others[-1])) or request.folder
        )
    return seen


def test_a_command_asks_for_the_same_as_a_call(asked, tmp_path, monkeypatch):
    source, out = tmp_path / "Ann's scans", tmp_path / "my advice"
    source.mkdir()
    tlmed.advise(source, out, 1e6, "auc>=0.9", accept=True, backbones=("VGG16",), skip_bad=True, verbose=False)
    tlmed.advise(source, out, None, experience=(), verbose=False)
    for request, command in list(asked):
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        assert here(*shlex.split(command)[1:])[0] in (0, None)
        by_command, _ = asked.pop()
        assert dataclasses.replace(by_command, recipe=request.recipe) == request
        assert by_command.recipe == request.recipe


def test_a_table_that_cannot_be_contributed_to_is_refused_before_the_work(asked, tmp_path):
    (tmp_path / "scans").mkdir()
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n")
    status, _, error = here("advise", "--data", tmp_path / "scans", "--out", tmp_path / "out", "--contribute", table)
    assert (status, asked) == (2, [])
    assert "labels.csv, without 'set'" in error
    among = tmp_path / "scans" / "results.csv"
    status, _, error = here("advise", "--data", tmp_path / "scans", "--out", tmp_path / "out", "--contribute", among)
    assert (status, asked, among.exists()) == (2, [], False)
    assert "`--contribute` must not be in a folder of the images, where what it holds may be read with them. R" in error
