"""Files with damage anywhere, drawn by hypothesis: each is read, or ends in a short reason; nothing hangs or grows."""

import resource
import time

import pytest

hypothesis = pytest.importorskip("hypothesis", reason="needs hypothesis: pip install '.[test]'")
from hypothesis import strategies as st  # noqa: E402

MUTANTS = 2000
LONGEST = 10  # seconds for one file, on a machine that has other work
LARGEST = 2**20  # bytes of a file that is changed
MEMORY = 2**30  # bytes by which all mutants together may raise the process's memory
WORDS = (b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4), b"\x80\0\0\0", b"\xff\xff\xff\x7f")
# Where: more often in the header, which is short, than in the pixels.
PLACES = st.one_of(st.integers(0, 3000), st.floats(0, 1))
EDITS = st.one_of(
    st.tuples(st.just("bit"), PLACES, st.integers(0, 7)),
    st.tuples(st.just("byte"), PLACES, st.integers(0, 255)),
    st.tuples(st.just("word"), PLACES, st.sampled_from(WORDS)),
    st.tuples(st.just("remove"), PLACES, st.integers(1, 200)),
    st.tuples(st.just("repeat"), PLACES, st.integers(1, 200)),
    st.tuples(st.just("cut"), PLACES, st.none()),
)


def mutate(content, edits):
    changed = bytearray(content)
    for kind, place, value in edits:
        place = min(int(place * len(changed)) if isinstance(place, float) else place, max(len(changed) - 1, 0))
        if kind == "bit" and changed:
            changed[place] ^= 1 << value
        elif kind == "byte" and changed:
            changed[place] = value
        elif kind == "word":
            changed[place : place + 4] = value
        elif kind == "remove":
            del changed[place : place + value]
        elif kind == "repeat":
            changed[place:place] = changed[place // 2 : place // 2 + value]
        elif kind == "cut":
            del changed[place:]
    return bytes(changed)


def check(function, content):
    began, reason = time.monotonic(), "read"
    try:
        function(content)
    except ValueError as error:
        reason = str(error)
    assert 0 < len(reason) < 200
    assert "\n" not in reason
    assert time.monotonic() - began < LONGEST


def check_mutants(seeds, read):
    """Damage files in `MUTANTS` ways, and give each to a function; together they may not take much memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    # The same mutants each time: a failure is found again.
    @hypothesis.settings(
        max_examples=MUTANTS,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.sampled_from(seeds), st.lists(EDITS, min_size=1, max_size=5))
    def read_damaged(content, edits):
        read(mutate(content, edits))

    read_damaged()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY
