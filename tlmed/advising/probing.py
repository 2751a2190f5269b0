"""Step 4, probes: a linear head on the frozen features of each network, judged by repeated folds."""

from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import PROBES, Attempt
from tlmed.advising.ladder import make_probe
from tlmed.advising.work import Work, attempt, compare, say_score
from tlmed.errors import InputError
from tlmed.metrics.names import name_inline
from tlmed.run_files.advice_files import DROPPED, KEPT
from tlmed.status import describe_seconds
from tlmed.words import count

_SHARE = 0.4  # of the time that is left, which probes may take: trainings need the rest
_MOST = 2  # networks that go on


def probe_all(work: Work, networks: list[Network]) -> list[Attempt]:
    """Probe networks in their order; return those that go on, the best first.

    The second best goes on if the best is not better by more than its noise.

    Args:
        work: The work.
        networks: In the order in which they are tried.

    Raises:
        InputError: If the budget has no time for any, or none can be trained.
    """
    probed, best = [], None
    for network in networks:
        each = attempt(work, _begin(work, network), best, 1.0 if best is None else _SHARE)
        if each.score is not None and each.score.value is not None:
            work.screen.say(say_score(work, each))
            probed.append(each)
            best = max(probed, key=_rate)
        else:
            work.screen.say(f"{each.name}: {each.decision}: {each.reason}")
    if best is None:
        _refuse(work)
    return _choose(work, sorted(probed, key=_rate, reverse=True))


def _begin(work, network) -> Attempt:
    name = f"probe-{network.slug}"
    folds = tuple(range(1, work.division.folds + 1))
    trial = work.make_trial(name, make_probe(work.base, network), folds)
    return Attempt(PROBES, name, network, "linear head on frozen features", trial)


def _rate(each) -> float:
    return each.score.value


def _refuse(work) -> None:
    reasons = {each.name: each.reason for each in work.log.of(PROBES)}
    first = next(iter(reasons.values()))
    if all("budget" in reason for reason in reasons.values()):
        raise InputError(
            f"`--budget` must leave time for one probe. Received: {describe_seconds(work.request.budget)}: {first}."
        )
    said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise InputError(f"An advice needs a network that can be trained. Received: {said}")


def _choose(work, probed) -> list[Attempt]:
    """Decide which go on; all others are dropped, with the reason."""
    best, metric = probed[0], name_inline(work.metric)
    work.log.add(best.decide(KEPT, f"the highest {metric} of {count(len(probed), 'probe')}"))
    chosen = [best]
    for each in probed[1:]:
        each, _ = compare(work, each, best)
        gain = each.gain
        near = gain.is_measured and gain.value > -gain.noise
        if near and len(chosen) < _MOST:
            chosen.append(each)
            work.log.add(each.decide(KEPT, f"not further below {best.name} than the noise of their difference"))
        else:
            why = f"below {best.name} by more than the noise"
            if near:
                why = "two others are as good or better"
            elif not gain.is_measured:
                why = f"how far it is below {best.name} could not be measured"
            work.log.add(each.decide(DROPPED, why))
    names = " and ".join(each.network.name for each in chosen)
    work.log.said[PROBES] = (
        f"A linear head on the frozen features of {count(len(probed), 'network')}, judged on "
        f"{count(work.division.folds, 'fold')} of the development images: {names} "
        f"{'goes' if len(chosen) == 1 else 'go'} on."
    )
    work.screen.say(work.log.said[PROBES])
    return [next(one for one in work.log.of(PROBES) if one.name == each.name) for each in chosen]
