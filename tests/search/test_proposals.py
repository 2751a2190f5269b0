"""What a search tries next and what it gives up, against Optuna asked in the usual way, and against brute force."""

import random
from dataclasses import replace

import numpy as np
import optuna
import pytest

from tlmed.recipe import Search, Study
from tlmed.recipe.search_space import make_space
from tlmed.search.proposals import (
    COMPLETE,
    PRUNED,
    RUNGS,
    Tried,
    find_winner,
    may_go_on,
    measure_importance,
    propose,
    rank,
)


@pytest.fixture(scope="module")
def space():
    study = Study(
        recipes=("feature_extractor", "fine_tuning"), backbones=("MobileNetV2", "VGG16=none"), search=Search()
    )
    return make_space(study)


def search(space, score, trials, seed=0):
    """Search as a single process does; `score` takes a candidate and a draw."""
    tried = []
    for number in range(trials):
        params = propose(space, tried, seed)
        if params is None:
            break
        tried.append(Tried(number, params))
        draws = []
        for rung in RUNGS:
            draws += [score(params, draw) for draw in range(len(draws) + 1, rung + 1)]
            tried[-1] = replace(tried[-1], scores={**tried[-1].scores, rung: float(np.mean(draws))})
            if rung == RUNGS[-1]:
                tried[-1] = replace(tried[-1], state=COMPLETE)
            elif not may_go_on(space, tried, number):
                tried[-1] = replace(tried[-1], state=PRUNED)
                break
    return tried


def likes_fine_tuning(params, draw):
    """Score fine-tuning of MobileNetV2 at a rate near its own best."""
    noise = random.Random(f"{params} {draw}").gauss(0, 0.01)
    good = 0.1 * (params["recipe"] == "fine_tuning") + 0.1 * (params["backbone"] == "MobileNetV2")
    return 0.7 + good - 0.05 * abs(np.log10(params.get("rate_factor", 1.0)) - 0.3) + noise


def test_a_search_finds_what_is_good_with_a_fraction_of_the_trainings(space):
    tried = search(space, likes_fine_tuning, 30)
    winner = find_winner(tried)
    assert (winner.params["recipe"], winner.params["backbone"]) == ("fine_tuning", "MobileNetV2")
    assert abs(np.log10(winner.params["rate_factor"]) - 0.3) < 0.3
    assert sum(each.draws for each in tried) < 30 * RUNGS[-1] * 0.75
    late = [each.params["backbone"] == "MobileNetV2" for each in tried[15:]]
    assert np.mean(late) > 0.6
    importance = measure_importance(tried, ["recipe", "backbone", "augment"])
    assert importance["backbone"] > 0.3
    assert importance["augment"] < 0.2


def test_the_same_seed_searches_the_same_way_and_no_candidate_twice(space):
    first, second, other = (search(space, likes_fine_tuning, 8, seed) for seed in (0, 0, 1))
    assert first == second
    assert [each.params for each in first] != [each.params for each in other]
    assert len({str(each.params) for each in first}) == 8


def test_a_space_that_is_tried_whole_ends_the_search():
    study = Study(recipes=("feature_extractor",), backbones=("LeNet5", "VGG16=none"), search=Search())
    space = make_space(study)
    assert space.size == 4
    assert len(search(space, lambda params, draw: 0.5, 10)) == 4


def test_what_cannot_be_trained_is_not_proposed(space):
    known = [propose(space, [], seed, lambda params: params["backbone"] == "VGG16=none") for seed in range(5)]
    assert {params["backbone"] for params in known} == {"VGG16=none"}
    assert propose(space, [], 0, lambda params: False) is None


def test_the_better_half_goes_on_as_when_optuna_is_asked_in_the_usual_way(space):
    """The same scores, reported to a study of Optuna's one after the other, are pruned at the same places."""
    scores = np.random.default_rng(0).normal(0.8, 0.05, (30, 4))
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2, min_early_stopping_rate=0)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, usual, tried = optuna.create_study(direction="maximize", pruner=pruner), [], []
    for number, own in enumerate(scores):
        trial = study.ask()
        tried.append(Tried(number, {"recipe": "fine_tuning", "backbone": "MobileNetV2"}))
        for rung in RUNGS:
            mean = float(own[:rung].mean())
            trial.report(mean, rung)
            tried[-1] = replace(tried[-1], scores={**tried[-1].scores, rung: mean})
            if rung == RUNGS[-1]:
                study.tell(trial, mean)
                usual.append(rung)
                tried[-1] = replace(tried[-1], state=COMPLETE)
            elif is_pruned := trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                usual.append(rung)
            assert rung == RUNGS[-1] or may_go_on(space, tried, number) is not is_pruned
            if rung < RUNGS[-1] and is_pruned:
                tried[-1] = replace(tried[-1], state=PRUNED)
                break
    assert [each.draws for each in tried] == usual
    assert {1, 2, 4} == set(usual)


def test_the_winner_has_the_best_mean_over_most_draws_and_the_first_one_of_equals():
    tried = [
        Tried(0, {}, {1: 0.99}, PRUNED),
        Tried(1, {}, {1: 0.8, 2: 0.8, 4: 0.9}, COMPLETE),
        Tried(2, {}, {1: 0.8, 2: 0.8, 4: 0.9}, COMPLETE),
        Tried(3, {}, {1: 0.8, 2: 0.8, 4: 0.7}, COMPLETE),
    ]
    assert find_winner(tried).number == 1
    assert [each.number for each in rank(tried)] == [1, 2, 3, 0]
    assert find_winner([Tried(0, {})]) is None


def test_shares_of_dimensions_are_those_of_an_analysis_of_variance_without_what_chance_gives():
    rng = np.random.default_rng(0)
    values = rng.choice(list("abc"), 300)
    tried = [Tried(i, {"x": value}, {1: float(rng.normal())}) for i, value in enumerate(values)]
    shares = [measure_importance(tried, ["x"])["x"]]
    for i, each in enumerate(tried):
        tried[i] = replace(each, scores={1: float(ord(each.params["x"]) + rng.normal())})
    groups = [[each.scores[1] for each in tried if each.params["x"] == kind] for kind in "abc"]
    whole = np.concatenate(groups)
    within = sum(((np.array(own) - np.mean(own)) ** 2).sum() for own in groups)
    total = ((whole - whole.mean()) ** 2).sum()
    expected = (total - within - 2 * within / (300 - 3)) / total
    assert measure_importance(tried, ["x"])["x"] == pytest.approx(expected)
    assert shares[0] < 0.02


def halve(scores):
    """Return the mean over draws of the winner by asynchronous halving, written anew: float [candidates, 4] in."""
    reached = {rung: [] for rung in RUNGS}
    best = -np.inf
    for own in scores:
        for rung in RUNGS:
            mean = own[:rung].mean()
            reached[rung].append(mean)
            order = sorted(reached[rung], reverse=True)
            if rung == RUNGS[-1]:
                best = max(best, mean)
            elif mean < order[max(0, len(order) // 2 - 1)]:
                break
    return best


@pytest.mark.slow
def test_among_equal_candidates_a_search_promises_what_the_highest_of_the_noise_is(space):
    truth, spread, trials, searches = 0.8, 0.02, 16, 120
    rng, optimism = np.random.default_rng(0), []
    for seed in range(searches):
        winner = find_winner(search(space, lambda params, draw: truth + rng.normal(0, spread), trials, seed))
        optimism.append(winner.score - truth)
    expected = np.mean([halve(rng.normal(0, spread, (trials, 4))) for _ in range(4000)])
    error = np.std(optimism) / np.sqrt(searches)
    assert expected > 0.5 * spread
    assert np.mean(optimism) == pytest.approx(expected, abs=3 * error)
