"""Expected waits against the published reference values, an independent enumeration, closed forms, and the paper's own bars."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.codes.matrices import from_matrix
from ppr.methods.codedmarl.learners.stragglers import Stragglers
from ppr.methods.codedmarl.learners.traces import load_trace
from ppr.methods.codedmarl.planning.arrivals import Pace, arrival_times
from ppr.methods.codedmarl.planning.closed_forms import harmonic, shifted_exponential
from ppr.methods.codedmarl.planning.heat_map import heat_map
from ppr.methods.codedmarl.planning.plan import candidates, explanation, make_plan, refined, survival, update_bytes
from ppr.methods.codedmarl.planning.waits import Situation, estimate
from ppr.methods.common.errors import UsageError

#: E[X] in seconds for N=15, M=8, t_u=.02, t_s=1 and k stragglers.
KS = (0, 1, 2, 4, 5, 7)
REFERENCE = {
    "uncoded": (1, 1.0, 0, (0.02, 1.02, 1.02, 1.02, 1.02, 1.02)),
    "replication": (1, 1.875, 0, (0.02, 0.0867, 0.22, 0.6097, 0.7962, 1.0001)),
    "ldpc": (4, 3.5, 1, (0.02, 0.0427, 0.1110, 0.3856, 0.5629, 0.9147)),
    "mds": (8, 15.0, 7, (0.16,) * 6),
}
#: Seconds of 5 training iterations (Wang et al. 2021, the values behind figures 3 to 5): delay, {(agents, code): {k: seconds}}.
PAPER = {
    "cooperative navigation": (
        0.25,
        {
            (8, "replication"): {0: 5.17, 1: 5.20, 2: 5.80},
            (8, "ldpc"): {0: 4.92, 1: 4.95, 2: 5.30},
            (10, "replication"): {0: 8.39, 1: 8.60, 2: 9.20},
            (10, "ldpc"): {0: 7.76, 1: 8.03, 2: 8.45},
        },
    ),
    "predator-prey": (
        1.0,
        {
            (8, "replication"): {0: 3.51, 2: 4.64, 4: 6.68},
            (8, "ldpc"): {0: 3.18, 2: 3.71, 4: 5.53},
            (10, "replication"): {0: 4.79, 2: 7.91, 4: 9.67},
            (10, "ldpc"): {0: 4.26, 2: 5.02, 4: 7.07},
        },
    ),
    "physical deception": (
        1.0,
        {
            (8, "replication"): {0: 2.91, 5: 6.75, 8: 8.16},
            (8, "ldpc"): {0: 2.65, 5: 6.37, 8: 7.90},
            (10, "replication"): {0: 3.94, 5: 9.12, 8: 9.20},
            (10, "ldpc"): {0: 3.57, 5: 7.96, 8: 8.85},
        },
    ),
}


def fixed(slow, delay=1.0, **options):
    return Situation(Stragglers("fixed", slow, delay), **({"update_time": 0.02} | options))


@pytest.mark.parametrize("family", REFERENCE)
def test_reference_waits(family):
    most, redundancy, tolerance, waits = REFERENCE[family]
    code = build(family, 15, 8)
    assert (code.max_weight, code.redundancy, code.tolerance) == (most, redundancy, tolerance)
    for slow, wait in zip(KS, waits, strict=True):
        found = estimate(code, fixed(slow))
        assert found.mean == pytest.approx(wait, abs=1e-4), slow
        assert found.error is None
        assert found.cases == math.comb(code.learners, slow)


@pytest.mark.parametrize(
    ("tolerance", "most", "waits"),
    [
        (2, 2, {0: (0.04, 1e-9), 2: (0.04, 1e-9), 4: (0.116, 0.01), 5: (0.246, 0.02), 7: (0.772, 0.04)}),
        (3, 3, {0: (0.04, 1e-9), 2: (0.040, 1e-3), 4: (0.049, 0.002), 5: (0.078, 0.006), 7: (0.349, 0.05)}),
        (6, 4, {0: (0.08, 1e-9), 5: (0.08, 1e-9), 7: (0.081, 0.001)}),
    ],
)
def test_reference_waits_of_balanced_codes(tolerance, most, waits):
    """Beyond the tolerance they depend a little on the drawn support."""
    code = build("balanced", 15, 8, tolerance=tolerance)
    assert (code.max_weight, code.tolerance, code.redundancy) == (most, tolerance, tolerance + 1)
    for slow, (wait, allowed) in waits.items():
        assert estimate(code, fixed(slow)).mean == pytest.approx(wait, abs=allowed), slow


@pytest.mark.parametrize(
    ("family", "agents", "chances"),
    [
        ("replication", 8, (1, 0.9333, 0.8, 0.6154, 0.4103, 0.2238, 0.0895, 0.0199)),
        ("ldpc", 8, (1, 1, 0.9429, 0.8286, 0.6681, 0.4835, 0.2877, 0.1119)),
        ("replication", 10, (1, 0.6667, 0.3810, 0.1758, 0.0586, 0.0107)),
        ("ldpc", 10, (1, 1, 0.9429, 0.8286, 0.6242, 0.3197)),
    ],
)
def test_reference_survival(family, agents, chances):
    code = build(family, 15, agents)
    assert survival(code, 15 - agents) == pytest.approx(chances, abs=6e-5)
    for slow, chance in enumerate(chances):
        assert estimate(code, fixed(slow)).decodable == pytest.approx(chance, abs=6e-5)


def test_the_papers_bars_follow_from_those_without_stragglers():
    """5 (t_0 + E[X]) with t_0 from the bar at k=0, against every other bar of replication and ldpc."""
    errors = []
    for delay, bars in PAPER.values():
        for (agents, family), measured in bars.items():
            code = build(family, 15, agents)
            for slow, seconds in measured.items():
                if slow:
                    situation = fixed(slow, delay, update_time=0.0, overhead=measured[0] / 5)
                    predicted = 5 * (situation.overhead + estimate(code, situation).mean)
                    errors.append(abs(predicted - seconds) / seconds)
    print(f"mean relative error {np.mean(errors):.2%}, largest {np.max(errors):.2%} of {len(errors)} bars")  # noqa: T201
    assert len(errors) == 24
    assert np.mean(errors) < 0.06
    assert np.max(errors) < 0.19


@pytest.mark.parametrize("seed", range(4))
def test_somebody_elses_matrix_against_an_enumeration_with_singular_values(seed):
    random = np.random.default_rng(seed)
    matrix = np.where(random.random((9, 4)) < 0.5, random.integers(-2, 3, (9, 4)), 0).astype(float)
    matrix[:4] += np.eye(4) * 3
    matrix[8] = matrix[7]
    if seed == 3:
        matrix[6] = 0
    code = from_matrix(matrix)
    for slow in range(5):
        expected = naive.waits(matrix, slow, delay=0.35, update=0.1, transfer=0.05)
        found = estimate(code, fixed(slow, 0.35, update_time=0.1, payload=5.0, bandwidth=100.0))
        assert found.mean == pytest.approx(np.mean(expected))
        assert found.p95 == pytest.approx(np.sort(expected)[math.ceil(0.95 * len(expected)) - 1])


def test_bernoulli_mixes_the_fixed_results():
    code, chance = build("ldpc", 15, 8), 0.15
    mixed = estimate(code, Situation(Stragglers("bernoulli", delay=1.0, chance=chance), 0.02))
    weights = [math.comb(15, k) * chance**k * (1 - chance) ** (15 - k) for k in range(16)]
    parts = [estimate(code, fixed(k)) for k in range(16)]
    assert mixed.error is None
    assert mixed.mean == pytest.approx(sum(w * one.mean for w, one in zip(weights, parts, strict=True)))
    assert mixed.decodable == pytest.approx(sum(w * one.decodable for w, one in zip(weights, parts, strict=True)))


def test_monte_carlo_meets_the_enumeration():
    """C(30, 10) sets are too many; 30 learners hold 10 agents three times, so the chance that some agent has only late ones is exact."""
    code = build("replication", 30, 10)
    lost = sum((-1) ** (n + 1) * math.comb(10, n) * math.comb(30 - 3 * n, 10 - 3 * n) for n in range(1, 4)) / math.comb(30, 10)
    found = estimate(code, fixed(10))
    assert found.method == "monte-carlo" and found.error > 0
    assert abs(found.mean - (0.02 + lost)) < 4 * found.error


@pytest.mark.parametrize(
    ("family", "options", "wait"),
    [
        ("mds", {}, 8 * (1 + harmonic(15) - harmonic(7))),
        ("uncoded", {}, 1 + harmonic(8)),
        ("mds", {"agents": 10}, 10 * (1 + 1.034896)),
        ("replication", {"learners": 16}, 1 + harmonic(8) / 2),
    ],
)
def test_shifted_exponential_closed_forms(family, options, wait):
    sizes = {"learners": 15, "agents": 8} | options
    found = estimate(build(family, **sizes), Situation(Stragglers("exp", delay=1.0), 1.0, payload=50, bandwidth=100))
    assert found.method == "formula"
    assert found.mean == pytest.approx(wait + 0.5, rel=1e-6)


@pytest.mark.parametrize("family", ["mds", "replication", "uncoded"])
def test_closed_forms_against_draws(family):
    """With a negligible chance of being killed, draws are made instead of the formula used."""
    code = build(family, 15, 8)
    formula = shifted_exponential(code, 0.5, 2.0)
    drawn = estimate(code, Situation(Stragglers("exp", delay=2.0, kill_rate=1e-12), 0.5))
    assert drawn.method == "monte-carlo"
    assert abs(drawn.mean - formula.mean) < 4 * drawn.error
    assert drawn.p95 == pytest.approx(formula.p95, rel=0.03)


def test_a_slow_learner_of_multi_still_delivers_its_earlier_updates():
    code = build("multi", 4, 4, tolerance=1)
    assert code.weights.tolist() == [2, 2, 2, 2]
    delays, lost = np.array([[1.0, 0, 0, 0]]), np.zeros((1, 4), bool)
    once = arrival_times(code, delays, lost, Pace(0.1, 0.03), per_update=False)[0].reshape(4, 2)
    np.testing.assert_allclose(once, [[0.13, 1.23], [0.13, 0.23], [0.13, 0.23], [0.13, 0.23]])
    each = arrival_times(code, delays, lost, Pace(0.1, 0.03), per_update=True)[0].reshape(4, 2)
    np.testing.assert_allclose(each[0], [1.13, 2.23])
    slow_link = arrival_times(code, delays * 0, lost, Pace(0.1, 0.3), per_update=False)[0].reshape(4, 2)
    np.testing.assert_allclose(slow_link[0], [0.4, 0.7])  # the second waits for the learner's own link
    assert (arrival_times(code, delays, lost | [True, False, False, False], Pace(0.1), per_update=False)[0][:2] == np.inf).all()


def test_multi_is_never_slower_than_balanced_of_the_same_tolerance_without_delays():
    for tolerance in (1, 3, 5):
        waits = [estimate(build(family, 15, 8, tolerance=tolerance, search=False), fixed(0)).mean for family in ("multi", "balanced")]
        assert waits[0] <= waits[1]


def test_a_trace_is_replayed_with_its_losses(tmp_path):
    """Four iterations: none, learner 1 late, learner 0 killed, both copies of agent 0 lost."""
    (tmp_path / "t.csv").write_text("iteration,learner,delay,kind\n1,1,0.5,\n2,0,0,kill\n3,0,0,drop\n3,2,0,corrupt\n")
    kind = Stragglers("trace", trace=load_trace(tmp_path / "t.csv"))
    found = estimate(build("replication", 3, 2), Situation(kind, 0.1, timeout=7))
    assert found.mean == pytest.approx((0.1 + 0.6 + 0.1 + 7.1) / 4)
    assert (found.never, found.decodable, found.method) == (0.25, 0.75, "replay")


def test_a_trace_with_a_row_in_a_billion_iterations(tmp_path):
    (tmp_path / "t.csv").write_text("iteration,learner,delay\n999999999,0,10\n")
    kind = Stragglers("trace", trace=load_trace(tmp_path / "t.csv"))
    assert estimate(build("uncoded", 3, 3), Situation(kind, 0.1)).mean == pytest.approx(0.1, abs=1e-6)


@pytest.fixture(scope="module")
def plan():
    return make_plan(candidates(15, 8), fixed(2, payload=156e3))


def test_ranking_front_and_words(plan):
    waits = [one.estimate.mean for one in plan.options]
    assert waits == sorted(waits)
    assert plan.best.label == "balanced s=2"
    for one in plan.options:
        better = [other for other in plan.options if other.dominates(one)]
        assert (one.label in plan.front) == (not better)
    assert {"balanced s=2", "uncoded"} <= plan.front
    assert "mds" not in plan.front
    assert plan.find("uncoded").upload == 8 * 156e3
    assert plan.find("multi s=2").upload == 24 * 156e3
    first, second = explanation(plan)
    assert first == (
        "balanced s=2: each learner updates 1-2 agents; survives any 2 losses; an iteration takes 40 ms on average, 19 of 20 at most 40 ms."
    )
    assert second == "Uncoded, an iteration takes 1.02 s: 25.5 times as long."
    assert sum(one.code.family == "balanced" for one in plan.shown()) == 1


def test_the_refined_plan_holds_the_code_that_is_built(plan):
    final = refined(plan)
    best = final.best_of("balanced")
    np.testing.assert_array_equal(best.code.matrix, build("balanced", 15, 8, tolerance=best.tolerance).matrix)
    assert {one.label for one in final.options} == {one.label for one in plan.options}


def test_more_stragglers_than_spare_learners_leave_the_least_work_best():
    codes = {family: build(family, 15, 8) for family in ("uncoded", "replication", "ldpc", "mds")}
    codes["balanced"] = build("balanced", 15, 8, tolerance=3)
    made = make_plan(codes, fixed(9, payload=1))
    assert made.best.label == "uncoded"
    assert all(one.estimate.mean >= 1.02 - 1e-9 for one in made.options)
    assert "9 stragglers are more than the 7 learners" in explanation(made)[-1]


def test_heat_map_cells_are_the_codes_own_estimates(plan):
    heat = heat_map(plan)
    best, separate = heat.best(separate=False), heat.best(separate=True)
    for slow, delay in ((0, 1.0), (2, 1.0), (2, 0.05), (8, 0.5)):
        row, column = heat.stragglers.index(slow), heat.delays.index(delay)
        single = {one.label: estimate(one.code, fixed(slow, delay)) for one in plan.options if not one.code.separate}
        lowest = min(one.mean for one in single.values())
        # Sampled beyond 400 sets of stragglers.
        assert heat.wait_of(best)[row, column] == pytest.approx(lowest, rel=1e-9 if slow < 4 else 0.05)
        assert heat.wait_of(separate)[row, column] <= heat.wait_of(best)[row, column]
    assert heat.options[best[0, 0]].label == "uncoded"
    assert heat.options[best[heat.stragglers.index(8), heat.delays.index(1.0)]].label == "uncoded"


def test_families_that_cannot_be_built_are_left_out_with_a_note(caplog):
    with caplog.at_level("WARNING", logger="ppr"):
        codes = candidates(3, 3)
    assert "uncoded" in codes and not any(label.startswith("balanced") for label in codes)
    assert len(make_plan(codes, fixed(1)).options) == len(codes)
    with pytest.raises(UsageError, match="7 learners for 8 agents"):
        candidates(7, 8)


def test_payload_of_the_papers_networks():
    assert update_bytes(8) == 4 * 39_046
    assert update_bytes(10) == pytest.approx(217e3, rel=1e-3)
