"""Step 4, probes: a linear head on the frozen features of each network, judged by repeated folds."""

from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import PROBES, Attempt
from tlmed.advising.ladder import make_probe
from tlmed.advising.work import Work, attempt, compare, say_score
from tlmed.errors import InputError
from tlmed.metrics.names import name_inline
from tlmed.run_files.advice_files import DROPPED, KEPT, STOPPED, UNTRIED
from tlmed.status import describe_seconds
from tlmed.words import count

_SHARE = 0.4  # of the time that is left, which probes may take: trainings need the rest
_MOST = 2  # networks that go on


def probe_all(work: Work, networks: list[Network]) -> list[Attempt]:
    """Probe networks in their order; return those that go on, the one that leads first.

    Those that the noise does not tell from the highest go on: the first in the order, and the highest of the others.
    If repeated folds would take most of the budget, the images are divided once.

    Args:
        work: The work.
        networks: In the order in which they are tried.

    Raises:
        InputError: If the budget has no time for any, or none can be trained.
    """
    probed, best = [], None
    folds = tuple(range(1, work.division.folds + 1))
    once = folds[: work.division.k]
    for network in networks:
        # One probe is needed for any answer; its repetitions are not, and a training may be worth more than they are.
        share = 1.0 if best is None and folds == once else _SHARE
        each = attempt(work, _begin(work, network, folds), best, share)
        if best is None and each.score is None and each.decision in (UNTRIED, STOPPED) and folds != once:
            each = attempt(work, _begin(work, network, once), best)
            folds = folds if each.score is None else once
        if each.score is not None and each.score.value is not None:
            work.screen.say(say_score(work, each))
            probed.append(each)
            best = max(probed, key=_rate)
        else:
            work.screen.say(f"{each.name}: {each.decision}: {each.reason}")
    if best is None:
        _refuse(work)
    return _choose(work, probed, len(folds))


def _begin(work, network, folds) -> Attempt:
    name = f"probe-{network.slug}"
    trial = work.make_trial(name, make_probe(work.base, network), folds)
    return Attempt(PROBES, name, network, "linear head on frozen features", trial)


def _rate(each) -> float:
    return each.score.value


def _refuse(work) -> None:
    reasons = {each.name: each.reason for each in work.log.of(PROBES)}
    first = next(iter(reasons.values()))
    if all("budget" in reason for reason in reasons.values()):
        raise InputError(
            f"`--budget` must leave time for one probe. Received: {describe_seconds(work.request.budget)}, of which "
            f"{describe_seconds(work.diary.seconds)} were spent on all before, earlier commands included: {first}."
        )
    said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise InputError(f"An advice needs a network that can be trained. Received: {said}")


def _choose(work, probed, folds) -> list[Attempt]:
    """Decide which go on; all others are dropped, with the reason.

    Of those that the noise does not tell from the best, the first in the order leads: what other images tell, or else
    that it is the smallest, counts more than luck (the rule of one standard error, Breiman et al. 1984).
    """
    highest, metric = max(probed, key=_rate), name_inline(work.metric)
    compared = {each.name: each if each is highest else compare(work, each, highest)[0] for each in probed}
    near = [each for each in compared.values() if each.name == highest.name or _is_near(each.gain)]
    leader = near[0]
    others = sorted((each for each in near if each is not leader), key=_rate, reverse=True)
    chosen = [leader, *others[: _MOST - 1]]
    for each in compared.values():
        work.log.add(each.decide(*_judge(each, highest, chosen, near, metric, len(probed))))
    names = " and ".join(each.network.name for each in chosen)
    fewer = f" (the budget had no time for {work.division.folds})" if folds < work.division.folds else ""
    work.log.said[PROBES] = (
        f"A linear head on the frozen features of {count(len(probed), 'network')}, judged on "
        f"{count(folds, 'fold')} of the development images{fewer}: {names} "
        f"{'goes' if len(chosen) == 1 else 'go'} on."
    )
    work.screen.say(work.log.said[PROBES])
    return [next(one for one in work.log.of(PROBES) if one.name == each.name) for each in chosen]


def _is_near(gain) -> bool:
    return gain.is_measured and gain.value > -gain.noise


def _judge(each, highest, chosen, near, metric, probed) -> tuple[str, str]:
    """Return what is decided of a probe, and why."""
    below = f"not further below {highest.name} than the noise of their difference"
    if each.name == highest.name:
        reason = f"the highest {metric} of {count(probed, 'probe')}"
        first = each.name == chosen[0].name
        reason += "" if first else f", which the noise does not tell from {chosen[0].name}, the first in the order"
    elif each in chosen:
        reason = f"{below}, and before it in the order" if each is chosen[0] else below
    elif each in near:
        reason = f"{below}; two others are before it in the order, or higher"
    elif not each.gain.is_measured:
        reason = f"how far it is below {highest.name} could not be measured"
    else:
        reason = f"below {highest.name} by more than the noise"
    return (KEPT if each in chosen else DROPPED), reason
