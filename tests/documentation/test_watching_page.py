"""The script of `docs/watching.md` that mails what `tlmed watch` found."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tlmed.errors import CheckFailed, InputError, RunFailed

PAGE = Path(__file__).parents[2] / "docs" / "watching.md"
STAND_INS = {"tlmed": 'echo "Said by $1 $2"; exit {status}', "mail": 'echo "$2: $(cat)" > mailed'}


@pytest.mark.parametrize(
    ("status", "mailed"),
    [
        (0, None),
        (CheckFailed.exit_status, "Drift in breast: Said by watch /data/runs/breast"),
        (InputError.exit_status, "tlmed watch failed: Said by watch /data/runs/breast"),
        (RunFailed.exit_status, "tlmed watch failed: Said by watch /data/runs/breast"),
    ],
)
def test_only_drift_is_mailed_as_drift(tmp_path, status, mailed):
    [script] = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for name, content in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{content.format(status=status)}\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, check=True, timeout=60)
    found = tmp_path / "mailed"
    assert (found.read_text().strip() if found.exists() else None) == mailed
