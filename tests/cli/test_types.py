"""What people type as one word: what is taken, what it means, and what is said of the rest."""

from __future__ import annotations

import click
import pytest

from ppr.cli import types
from ppr.cli.types import NumberOr, Numbers, Size, Words

COUNTS, RATES = Numbers(click.IntRange(1)), Numbers(click.FloatRange(0))
PLACES = Words(("head", "trunk"))
SIDE = NumberOr({"native": 0, "all": "all"}, click.IntRange(32, 4096))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (COUNTS, "1, 2,4", [1, 2, 4]),
        (RATES, "1,0.5e-1", [1.0, 0.05]),
        (PLACES, "trunk, head,", ["trunk", "head"]),
        (Words(), "a b,c", ["a b", "c"]),
        (SIDE, "native", 0),
        (SIDE, "all", "all"),
        (SIDE, "512", 512),
        (Size(16, 9999), "300x400", (300, 400)),
        (Size(16, 9999), "16X16", (16, 16)),
        (types.DURATION, "250ms", 0.25),
        (types.DURATION, "5m", 300.0),
        (types.DURATION, "3", 3.0),
        (types.MINUTES, "90s", 1.5),
        (types.MINUTES, "10", 10.0),
        (types.MINUTES, "1.5h", 90.0),
        (types.BYTES, "2GB", 2e9),
        (types.RATE, "1Gbit", 125e6),
    ],
)
def test_what_is_typed_is_taken_and_a_value_is_left_alone(kind, text, value):
    assert kind.convert(text, None, None) == value
    assert kind.convert(value, None, None) == value  # as click does with defaults


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (COUNTS, "1,x", "'1,x' is not a list of numbers separated by commas"),
        (COUNTS, "1.5", "'1.5' is not a list of numbers"),
        (COUNTS, "", "is not a list of numbers"),
        (COUNTS, "2,0", "0 is not in the range x>=1"),
        (PLACES, "head,hand", "'hand' is none of head, trunk"),
        (PLACES, ",", "',' is none of head, trunk"),
        (Words(), " ", "is no list of words"),
        (SIDE, "some", "'some' is neither native, all nor a number"),
        (SIDE, "31", "31 is not in the range 32<=x<=4096"),
        (Size(16, 9999), "15x20", "'15x20' is not a size such as 1280x720, each side from 16 to 9999"),
        (Size(16, 9999), "300", "'300' is not a size"),
        (Size(16, 9999), "٣٠٠x300", "is not a size"),
        (types.MINUTES, "0", "is not above 0"),
        (types.MINUTES, "soon", "is not a number with a unit, such as 90s"),
        (types.BYTES, "2 bananas", "unknown unit 'bananas'"),
        (types.RATE, "5", "lacks its unit"),
    ],
)
def test_the_rest_is_refused(kind, text, message):
    with pytest.raises(click.BadParameter) as raised:
        kind.convert(text, None, None)
    assert message in raised.value.message
