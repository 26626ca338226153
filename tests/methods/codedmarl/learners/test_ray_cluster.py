"""Addresses of Ray clusters, and what Ray says of them in a line."""

from __future__ import annotations

import pytest

pytest.importorskip("ray")

from ppr.methods.codedmarl.learners.ray_cluster import _reach, explained
from ppr.methods.common.errors import PprError, UsageError


@pytest.mark.parametrize("address", ["nonsense", "host:", ":6379", "host:99999"])
def test_ray_addresses_that_cannot_be_meant(address):
    with pytest.raises(UsageError, match="not local, auto or HOST:PORT"):
        _reach(address)


def test_ray_addresses_where_nothing_answers():
    with pytest.raises(PprError, match=r"127.0.0.1:1: nothing answers there \(Connection refused\)") as caught:
        _reach("127.0.0.1:1")
    assert "ray start --head --port=1" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("Could not find any running Ray instance. Please", "no Ray cluster runs here", "ray start --head"),
        ("Version mismatch: The cluster was started with:\n    Ray: 2.1\n    Python: 3.9\n", "Ray: 2.1 / Python: 3.9", "same Python, ray"),
        ("InvalidAuthToken: rejected", "wants a token", "RAY_AUTH_MODE=token"),
        ("Token authentication is enabled but no authentication token was found", "wants a token", "ray get-auth-token"),
        ("something else\nand more", "does not start: something else", "--engine local"),
    ],
)
def test_what_ray_says_is_explained_in_a_line(text, message, hint):
    error = explained(text, "auto")
    assert message in error.message
    assert "\n" not in error.message
    assert hint in (error.hint or "")
