from types import SimpleNamespace

import pytest

from tlmed.serving import worth


@pytest.mark.parametrize(("unit", "said"), [("group", True), ("file", False)])
def test_a_server_of_a_run_that_pools_by_group_says_that_it_answers_for_files(unit, said, monkeypatch):
    monkeypatch.setattr(worth, "describe_panel", lambda panel: [])
    asked = {"unit": unit, "pool": "max", "classes": ["ill", "well"], "positive": "ill", "task": "single-label"}
    panel = SimpleNamespace(metrics=asked, decision=SimpleNamespace(labels=(), threshold=None))
    sentences = " ".join(worth._say_decision(panel))
    assert ("Each file is answered by itself" in sentences) == said
