"""What a stopped run goes on from: phases that were saved whole, by this version."""

import numpy as np
import pytest

from tlmed.run.finished import Degree, Finished
from tlmed.sealed import seal, unseal
from tlmed.sections import Phase
from tlmed.training import PhaseResult

PHASES = (Phase("head", thaw=0, epochs=1, learning_rate=1e-3), Phase("top", thaw=1, epochs=1, learning_rate=1e-3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("older", "Phase 'head' was saved by another version of tlmed: it is trained again, with those after it."),
        ("damaged", "What was saved after phase 'head' is damaged ("),
    ],
)
def test_why_finished_phases_are_repeated_is_said_once_and_is_true(change, said, tmp_path):
    warnings = []
    finished = Finished(tmp_path, PHASES, lambda degrees: len(degrees) - 1, warnings.append)
    degrees = [
        Degree(PhaseResult(phase.name, 0.5, 1, 1, 1.0), {}, None, [], np.zeros((1, 2)), {}, 0.0) for phase in PHASES
    ]
    for amount in (1, 2):
        finished.write(degrees[:amount], [])
    assert [degree.result.name for degree in finished.read()] == ["head", "top"]
    file = tmp_path / "head.phase"
    if change == "older":
        facts, arrays = unseal(file)
        del facts["recalibration"]
        seal(file, facts, arrays.items())
    else:
        file.write_bytes(file.read_bytes()[:-9])
    assert finished.read() == []
    assert len(warnings) == 1
    assert warnings[0].startswith(said)
