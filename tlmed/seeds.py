"""One seed for a whole run, and a stream of its own for everything that draws from it."""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """Return the seed, in 0..2**31 - 1, of the stream that `names` name.

    A stream depends only on the run's seed and on its own name, so that a new consumer of randomness
    shifts none of the others.

    >>> derive(0, "split") == derive(0, "split")
    True
    >>> derive(0, "split") == derive(0, "head")
    False
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
