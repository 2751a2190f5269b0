"""What the process that trains cells answers to its jobs; nothing is trained here."""

import io
import json
import shutil

import pytest
import tensorflow as tf

from tests.studies.conftest import small
from tlmed import stopping
from tlmed.errors import InputError
from tlmed.failures import explained
from tlmed.recipe.settings import override
from tlmed.rundir import RunDir
from tlmed.studies import cell_worker
from tlmed.studies.jobs import TRAIN, write_job, write_look

EXHAUSTED = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Give a function that lets training end by an error in each of some jobs, and returns the answers."""

    def run(*errors):
        cells, left = small(seeds=1).expand("images"), list(errors)

        def train(recipe, out, **options):
            out.mkdir()
            if error := left.pop(0):
                RunDir(out).mark("Training.")
                with explained(RunDir(out), 8, (32, 32)):
                    raise error

        monkeypatch.setattr(cell_worker, "train", train)
        monkeypatch.setattr(stopping, "_requests", [])
        jobs = [write_job(TRAIN, cell, tmp_path, False) for cell, _ in zip(cells, errors, strict=False)]
        answers = io.StringIO()
        cell_worker.serve(io.StringIO("".join(jobs)), answers)
        return [json.loads(line) for line in answers.getvalue().splitlines()]

    return run


def test_a_cell_that_fails_is_answered_with_its_reason_and_the_next_one_is_trained(serve):
    ready, *answers = serve(InputError("No weights."), MemoryError(), KeyError("name"), None)
    assert ready == {"state": "ready"}
    assert [answer["state"] for answer in answers] == ["failed"] * 3 + ["complete"]
    assert answers[0]["reason"] == "No weights."
    assert answers[2]["reason"] == "KeyError: 'name'"


@pytest.mark.parametrize("error", [MemoryError(), EXHAUSTED])
def test_a_cell_without_memory_says_what_needs_less_and_nothing_of_another_command(error, serve):
    answer = serve(error)[1]
    assert answer["state"] == "failed"
    assert answer["reason"] == (
        "The run must fit into memory: a smaller `data.batch_size` or `data.image_size` needs less. Received: "
        "data.batch_size=8, data.image_size=(32, 32). Fewer `--jobs` leave more of it to each cell."
    )


def test_lists_are_looked_at_without_reading_an_image(tmp_path):
    for split, amount in (("train", 4), ("val", 1), ("test", 2)):
        for label in ("ill", "well"):
            (tmp_path / "given" / split / label).mkdir(parents=True)
            for number in range(amount):
                (tmp_path / "given" / split / label / f"{split}{number}.png").write_bytes(b"no image")
    shutil.copytree(tmp_path / "given", tmp_path / "open", ignore=shutil.ignore_patterns("val"))
    recipe = next(iter(small(seeds=1).expand())).recipe
    asked = [
        override(recipe, (), {"data.source": str(tmp_path / source), "data.val_seed": draw})
        for source, draw in (("given", 1), ("given", None), ("open", 1), ("nowhere", 1))
    ]
    answers = io.StringIO()
    cell_worker.serve(io.StringIO(write_look(asked)), answers)
    answer = json.loads(answers.getvalue().splitlines()[1])
    assert answer["state"] == "complete"
    (drawn,), *none, (missing,) = answer["faults"]
    assert drawn.startswith("`data.val_seed` must be None where the data gives validation images of its own")
    assert "a search sets it" in drawn
    assert none == [[], []]
    assert str(tmp_path / "nowhere") in missing
