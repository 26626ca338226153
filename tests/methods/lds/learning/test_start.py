"""Where training starts, and what is refused before memory is taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.lds.learning import start
from ppr.methods.lds.learning.start import check_memory, check_start, start_theta
from ppr.methods.lds.learning.theta import AllPairs, CandidatePairs

from ..conftest import clusters, quick

FEATURES = clusters().features
LIKE = torch.zeros(1)


@pytest.fixture
def free(monkeypatch):
    """Sets the free memory, in GB."""
    return lambda gigabytes: monkeypatch.setattr(start, "available_memory", lambda: gigabytes * 1e9)


def test_too_many_pairs_are_refused_with_an_estimate_and_a_setting_that_fits(free):
    free(8)
    with pytest.raises(PprError, match=r"all candidates of 100,000 rows need about 240.0 GB; 8.0 GB are free") as caught:
        check_memory(100_000, "all")
    assert caught.value.hint == "--candidates 50"
    check_memory(100_000, 50)
    free(2)
    with pytest.raises(PprError, match="500 candidates of 100,000 rows") as caught:
        check_memory(100_000, 500)
    advised = int((caught.value.hint or "").removeprefix("--candidates "))
    assert 1 <= advised < 50
    check_memory(100_000, advised)
    free(0.001)
    with pytest.raises(PprError) as caught:
        check_memory(100_000, 1)
    assert caught.value.hint == "take a sample of the rows"


def test_the_estimate_is_looked_at_before_a_search_begins(free, monkeypatch):
    free(1e-6)
    monkeypatch.setattr(start, "knn_graph", pytest.fail)
    for candidates in ("all", 5, "auto"):
        with pytest.raises(PprError, match="GB are free"):
            start_theta(FEATURES, None, 3, "cosine", quick(candidates=candidates), LIKE)
        with pytest.raises(PprError, match="GB are free"):
            check_start(FEATURES, None, quick(candidates=candidates))


def test_free_memory_is_a_sensible_number():
    assert 1e7 < start.available_memory() < 1e14


def test_auto_is_all_pairs_up_to_a_size(monkeypatch):
    config = quick(candidates="auto")
    assert isinstance(start_theta(FEATURES, None, 3, "cosine", config, LIKE)[0], AllPairs)
    monkeypatch.setattr(start, "ALL_PAIRS_NODES", 47)
    assert isinstance(start_theta(FEATURES, None, 3, "cosine", config, LIKE)[0], CandidatePairs)


def test_candidates_are_as_many_as_there_are_distinct_rows():
    """Forty-eight rows of which six are distinct, and 50 candidates a row: for a given graph too."""
    features = np.repeat(np.arange(6, dtype=np.float32), 8)[:, None]
    given = PairGraph.build(48, [0, 1], [9, 30])
    theta, _notes = start_theta(features, given, None, None, quick(candidates=50), LIKE)
    assert theta.graph().probability_of(np.array([0, 1]), np.array([9, 30])).tolist() == [1, 1]
    constant, _notes = start_theta(np.ones((48, 1), np.float32), given, None, None, quick(candidates=50), LIKE)
    assert len(constant.graph()) >= 2


def test_a_grid_is_checked_as_a_whole_before_it_is_begun():
    check_start(FEATURES, None, quick(k=[3, 47]))
    with pytest.raises(UsageError, match="k = 48: there are only 48 distinct rows"):
        check_start(FEATURES, None, quick(k=[3, 48]))
    check_start(FEATURES, PairGraph.build(48, [0], [1]), quick(k=[3, 48]))
    with pytest.raises(UsageError, match="engine=dense learns all pairs, not 5 candidates"):
        check_start(FEATURES, None, quick(engine="dense", candidates=5))
