"""Files that are no images to learn from: those that cannot be read, and masks of other images."""

from collections import defaultdict

from tlmed.data import ImageSet
from tlmed.data.leaks import name_files
from tlmed.data.masks import find_two_values
from tlmed.findings import ERROR, MASK, UNREADABLE, WARNING, Finding
from tlmed.gate.checked import Checked
from tlmed.words import count

NAMED = 4  # files that a sentence names; it counts the others
_REPAIR = "Repair or remove them; `train` refuses the data otherwise, unless `--skip-bad` leaves them out."
_ACCEPTED = "Repair them if you can: which images are missing may depend on their class."
_LEFT_OUT = "Nothing, if they are masks: they are not used. If they are images, give them names that do not say mask."
_LOOK = "Look at them. If they are masks, remove them: they show what somebody drew, and not what an image shows."


def check_files(images: ImageSet, accepted: bool = False) -> Checked:
    """Name images that cannot be read and masks, which evidence of usable images does not hold.

    An image that cannot be read is an error: `train` stops at it, and which images are missing may depend on their
    class. With `--skip-bad` somebody has decided to go on without, and it is a warning. A mask is a warning: those that
    were recognised are left out already, and what only looks like one may be an image.

    Args:
        images: As `load` returns them, with `skip_bad`.
        accepted: Whether a user has said that images that cannot be read are to be left out.

    Returns:
        A finding for each reason for which images cannot be read, and for each kind of masks. Figures: how many.
    """
    reasons = defaultdict(list)
    for path, reason in images.broken:
        reasons[reason].append(path)
    findings = [_tell_broken(tuple(paths), reason, accepted) for reason, paths in reasons.items()]
    masks = images.table.masks
    told = [*masks.tell(), *find_two_values(images.table, images.pixels.extras)]
    left_out = set(masks.of)
    findings += [
        Finding(MASK, sentence, paths, WARNING, _LEFT_OUT if left_out.issuperset(paths) else _LOOK)
        for sentence, paths in told
    ]
    used = sum(len(paths) for _, paths in told) - len(left_out)
    figures = {"unreadable": len(images.broken), "masks_left_out": len(left_out), "masks_perhaps_used": used}
    return Checked("files", tuple(findings), figures)


def _tell_broken(paths: tuple[str, ...], reason: str, accepted: bool) -> Finding:
    left_out = f" {'It is' if len(paths) == 1 else 'They are'} left out." if accepted else ""
    text = f"{count(len(paths), 'image')} cannot be read ({reason}): {name_files(paths, NAMED)}.{left_out}"
    cure = _ACCEPTED if accepted else _REPAIR
    if len(paths) == 1:
        cure = cure.replace("them", "it").replace("they are", "it is")
    return Finding(UNREADABLE, text, paths, WARNING if accepted else ERROR, cure)
