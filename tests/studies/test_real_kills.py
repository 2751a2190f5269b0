"""A study of real trainings that is killed ends as one that is left alone."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_real_study_that_was_killed_ends_as_one_that_was_not(images, tmp_path):
    # Three moments; `python -m tests.killed_study IMAGES FOLDER` takes twenty.
    command = [sys.executable, "-m", "tests.killed_study", str(images), str(tmp_path / "studies"), "--moments", "3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 equal" in done.stdout
