"""Which cell begins next, and which processes start for it."""

import pytest

from tests.studies.conftest import program, small
from tlmed.studies import worker_pool
from tlmed.studies.crew import Crew, Order
from tlmed.studies.jobs import may_stay, name_features
from tlmed.studies.worker_pool import Pool


@pytest.fixture
def crew(tmp_path):
    """Give what knows the eight cells of a study, none of which is trained yet."""
    return Crew({cell.name: cell for cell in small().expand("images")}, None, None, Order(tmp_path), "")


def preferred(crew):
    return {name for name in crew.cells if name not in crew.running and crew.prefers(name)}


def test_cells_whose_features_nobody_computes_go_first(crew):
    assert preferred(crew) == set(crew.cells)
    crew.running["feature_extractor-LeNet5-seed0"] = 0
    others = {name for name in crew.cells if "AlexNet" in name}
    assert preferred(crew) == others
    assert all(crew.accepts(name) for name in crew.cells)  # where nothing else is left, they wait for the features
    crew.warm.add(name_features(crew.cells["feature_extractor-LeNet5-seed0"]))
    assert preferred(crew) == set(crew.cells) - set(crew.running)


def test_random_weights_give_other_features_with_each_seed(crew):
    crew.running["feature_extractor-AlexNet-seed0"] = 0
    assert {name for name in crew.cells if not crew.prefers(name)} == {
        "feature_extractor-AlexNet-seed0",
        "fine_tuning-AlexNet-seed0",
    }


@pytest.mark.parametrize(
    ("name", "state", "has_gpu", "stays"),
    [
        ("feature_extractor-LeNet5-seed0", "complete", True, True),
        ("feature_extractor-LeNet5-seed0", "failed", True, True),
        ("feature_extractor-LeNet5-seed0", "stopped", False, False),
        ("fine_tuning-LeNet5-seed0", "complete", False, True),
        ("fine_tuning-LeNet5-seed0", "complete", True, False),
        ("fine_tuning-LeNet5-seed0", "failed", False, False),  # it may have run out of memory
    ],
)
def test_a_process_stays_where_that_costs_no_other_cell_memory(crew, name, state, has_gpu, stays):
    assert may_stay(crew.cells[name], state, has_gpu) == stays


def test_as_many_processes_start_at_once_as_there_is_work_and_room(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_pool, "PROGRAM", program())
    pool = Pool(3, tmp_path / "logs")
    try:
        assert pool.find_idle(2) is None
        assert len(pool.workers) == 2
        while (worker := pool.find_idle(2)) is None:
            pool.wait(10.0)
            pool.listen()
        assert worker.is_ready
        assert len(pool.workers) == 2
        pool.find_idle(9)
        assert len(pool.workers) == 3
    finally:
        pool.end(10.0)
