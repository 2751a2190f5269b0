"""Who of an ensemble scored which test images, as sentences from `metrics.json`."""

from collections.abc import Mapping

from tlmed.answer_units import GROUP, IMAGE, unit_of
from tlmed.tasks import MULTI_LABEL, read_task
from tlmed.words import count, join_names, thousandths

TRAIT = "members"  # the subgroups of images that the same members scored


def answers_in_parts(result: Mapping) -> bool:
    """Tell whether some test images were scored by a part of an ensemble, with the threshold of this part.

    >>> about = {"members": [{"weight": 0.5}, {"weight": 0.5}], "scored_by": {"1": 40}}
    >>> answers_in_parts({"ensemble": about}), answers_in_parts({})
    (True, False)
    """
    if "ensemble" not in result:
        return False
    members = sum(entry["weight"] > 0 for entry in result["ensemble"]["members"])
    return any(int(number) < members for number in result["ensemble"]["scored_by"])


def describe_ensemble(result: Mapping) -> list[str]:
    """Say who answers, how many members scored each test image, and what that means for the scores.

    Args:
        result: The content of `metrics.json` of an ensemble.
    """
    about = result["ensemble"]
    members = [entry for entry in about["members"] if entry["weight"] > 0]
    shares = join_names([f"{entry['name']} {thousandths(entry['weight'])}" for entry in about["members"]])
    said = [f"{count(len(about['members']), 'member')}, weights ({about['weights']}): {shares}."]
    said += [f"{entry['name']}: {line}." for entry in about["members"] for line in entry.get("own", ())]
    unit = unit_of(result)
    if folds := about.get("folds"):
        said.append(
            f"{folds:,} of them {'was' if folds == 1 else 'were'} trained on a part of the development images. The "
            "images that judged it help to choose the threshold and the temperature."
        )
    amounts = [f"{count(n, f'test {unit}')} by {number}" for number, n in about["scored_by"].items()]
    said.append(
        f"Each test {unit} is scored by the members that have not seen it: {join_names(amounts)} of {len(members)} "
        f"{'member' if len(members) == 1 else 'members'}."
    )
    if left := about["tested"] - about["scored"]:
        # Older versions counted images here, also where files or groups were scored.
        counted = unit if about["scored"] == sum(about["scored_by"].values()) else IMAGE
        knows = "the group, or a copy of one of its images" if counted == GROUP else "a copy of it, or its patient"
        said.append(
            f"{count(left, counted)} that some member tests {'is' if left == 1 else 'are'} not scored: training or "
            f"validation of each of these members knows {knows}."
        )
    if answers_in_parts(result):
        said.append(f"New {unit}s are scored by all members, whose mean may do better than these scores say.")
        if read_task(result) == MULTI_LABEL:
            said.append(
                f"New {unit}s are predicted by the thresholds of the labels, and calibrated at their temperatures, "
                f"each test {unit} by what its own members have chosen."
            )
        elif result.get("threshold") is not None:
            said.append(
                f"New {unit}s are predicted by the threshold {thousandths(result['threshold'])} and calibrated at one "
                f"temperature, each test {unit} by what its own members have chosen."
            )
    if TRAIT in {*result.get("subgroups", {}), *result.get("subgroups_left_out", {})}:
        said.append(
            "Scores of different networks stand in one ranking here, which may lower an AUC: the same score may mean "
            "something else for each of them."
        )
    if all_ := about.get("by_all"):
        scores = join_names(
            [
                f"{name} {thousandths(entry['value'])}"
                for name, entry in all_["metrics"].items()
                if entry["value"] is not None
            ]
        )
        said.append(f"On the {count(all_['n'], unit)} that all members scored: {scores}.")
    return said
