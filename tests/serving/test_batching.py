"""What arrives together is computed together, and nobody's fault is another's."""

import threading
import time
from concurrent.futures import CancelledError

import pytest

from tests.processes import until
from tlmed.serving.batching import Batcher, Full, Stopped


@pytest.fixture
def open_batcher():
    """Give a function that starts a batcher which doubles numbers, and the sizes of its batches."""
    batchers = []

    def start(most=4, waiting=8, hold=None):
        sizes = []

        def double(items):
            if hold is not None:
                hold.wait(5)
            sizes.append(len(items))
            if None in items:
                raise ValueError("None has no double")
            return [2 * item for item in items]

        batchers.append(Batcher(double, most, waiting))
        return batchers[-1], sizes

    yield start
    for batcher in batchers:
        batcher.stop()


def test_items_that_wait_are_one_batch_up_to_its_size(open_batcher):
    hold = threading.Event()
    batcher, sizes = open_batcher(most=4, hold=hold)
    first = batcher.submit(0)
    until(lambda: first.running())
    found = [batcher.submit(number) for number in range(1, 7)]
    hold.set()
    assert [future.result(5) for future in (first, *found)] == [0, 2, 4, 6, 8, 10, 12]
    assert sizes == [1, 4, 2]


def test_an_item_of_many_images_is_a_batch_of_its_own(open_batcher):
    hold = threading.Event()
    batcher, sizes = open_batcher(most=4, hold=hold)
    first = batcher.submit(0)
    until(lambda: first.running())
    found = [batcher.submit(number, size) for number, size in ((1, 2), (2, 9), (3, 1), (4, 3))]
    hold.set()
    assert [future.result(5) for future in found] == [2, 4, 6, 8]
    assert sizes == [1, 1, 1, 2]


def test_a_full_queue_refuses(open_batcher):
    hold = threading.Event()
    batcher, _ = open_batcher(waiting=2, hold=hold)
    first = batcher.submit(0)
    until(lambda: first.running())
    found = [batcher.submit(1), batcher.submit(2)]
    assert len(batcher) == 2
    with pytest.raises(Full):
        batcher.submit(3)
    hold.set()
    assert [future.result(5) for future in found] == [2, 4]


def test_what_nobody_waits_for_is_not_computed(open_batcher):
    hold = threading.Event()
    batcher, sizes = open_batcher(hold=hold)
    first = batcher.submit(0)
    until(lambda: first.running())
    gone, kept = batcher.submit(1), batcher.submit(2)
    assert gone.cancel()
    hold.set()
    assert kept.result(5) == 4
    assert sizes == [1, 1]
    with pytest.raises(CancelledError):
        gone.result(1)


def test_a_fault_is_answered_to_the_one_whose_it_is(open_batcher):
    hold = threading.Event()
    batcher, _ = open_batcher(hold=hold)
    first = batcher.submit(0)
    until(lambda: first.running())
    found = [batcher.submit(item) for item in (1, None, 3)]
    hold.set()
    assert (found[0].result(5), found[2].result(5)) == (2, 6)
    with pytest.raises(ValueError, match="no double"):
        found[1].result(5)
    assert batcher.submit(4).result(5) == 8


def test_what_waits_at_the_end_is_answered_and_nothing_new_is_taken(open_batcher):
    hold = threading.Event()
    batcher, _ = open_batcher(hold=hold)
    found = [batcher.submit(number) for number in range(6)]
    ending = threading.Thread(target=batcher.stop)
    ending.start()
    time.sleep(0.05)
    with pytest.raises(Stopped):
        batcher.submit(9)
    hold.set()
    ending.join(5)
    assert [future.result(0) for future in found] == [0, 2, 4, 6, 8, 10]
