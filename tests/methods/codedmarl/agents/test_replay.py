"""The replay against a list that loses its oldest, and its files after crashes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.agents.replay import START, Replay, Transitions
from ppr.methods.common.errors import PprError


def rows(first: int, count: int) -> Transitions:
    """Transitions that hold their number everywhere."""
    numbers = torch.arange(first, first + count, dtype=torch.float32)[:, None]
    return Transitions(numbers.expand(-1, 3).clone(), numbers.expand(-1, 2).clone(), numbers.clone(), (numbers % 2).bool())


def a_replay(capacity: int) -> Replay:
    return Replay(capacity, 3, 2, 1)


def kept(replay: Replay) -> list[int]:
    """The numbers in the order in which they came; all parts of a transition agree."""
    found = replay.numbered(replay.first, replay.added)
    numbers = found.joint[:, 0]
    for part in (found.joint, found.next_observations, found.rewards):
        assert torch.equal(part, numbers[:, None].expand_as(part))
    assert torch.equal(found.terminated[:, 0], (numbers % 2).bool())
    return numbers.int().tolist()


@settings(deadline=None)
@given(capacity=st.integers(1, 12), counts=st.lists(st.integers(0, 30), max_size=8))
def test_it_keeps_the_last_of_what_came(capacity, counts):
    replay, came = a_replay(capacity), 0
    for count in counts:
        replay.add(rows(came, count))
        came += count
        assert kept(replay) == naive.ring(range(came), capacity)


def test_memory_is_taken_as_it_is_needed():
    replay = a_replay(1_000_000)
    assert len(replay.rows) == 0
    replay.add(rows(0, 10))
    assert len(replay.rows) == START
    replay.add(rows(10, START))
    assert len(replay.rows) == 2 * START and kept(replay) == list(range(START + 10))


def test_samples_are_uniform_and_belong_together():
    replay = a_replay(8)
    replay.add(rows(0, 13))
    drawn = replay.sample(80_000, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.joint[:, 0], drawn.rewards[:, 0])
    counts = torch.bincount(drawn.joint[:, 0].long(), minlength=13)
    assert counts[:5].sum() == 0 and float((counts[5:] / 10_000 - 1).abs().max()) < 0.05
    with pytest.raises(ValueError, match="empty"):
        a_replay(8).sample(1, torch.Generator())


@settings(max_examples=15, deadline=None)
@given(counts=st.lists(st.integers(0, 9), max_size=8), capacity=st.integers(1, 20))
def test_files_bring_back_every_position_that_could_have_been_written_down(tmp_path_factory, counts, capacity):
    """After each save both the new position and the one before can be gone back to: a crash may come between save and its note."""
    folder, replay, noted = tmp_path_factory.mktemp("replay"), a_replay(capacity), 0
    for count in counts:
        replay.add(rows(replay.added, count))
        position = replay.save(folder)
        for added in {noted, position}:
            copy = tmp_path_factory.mktemp("copy")
            for path in folder.glob("*.safetensors"):
                (copy / path.name).write_bytes(path.read_bytes())
            again = a_replay(capacity)
            again.restore(copy, added)
            assert kept(again) == naive.ring(range(added), capacity) and again.added == added
            again.add(rows(again.added, 3))
            more = a_replay(capacity)
            more.restore(copy, again.save(copy))
            assert kept(more) == kept(again)
        noted = position


def test_only_what_is_new_is_written_and_what_is_old_goes(tmp_path):
    replay = a_replay(100)
    for _ in range(10):
        replay.add(rows(replay.added, 40))
        replay.save(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[-1] == "000000000360-000000000400.safetensors" and len(names) == 4
    replay.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_new_replay_takes_over_a_folder(tmp_path):
    old = a_replay(10)
    old.add(rows(0, 7))
    old.save(tmp_path)
    new = a_replay(10)
    new.add(rows(0, 5))
    new.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000000-000000000005.safetensors"]


def test_files_that_are_missing_or_damaged_are_noticed(tmp_path):
    replay = a_replay(100)
    for _ in range(3):
        replay.add(rows(replay.added, 20))
        replay.save(tmp_path)
    damaged = tmp_path / "000000000020-000000000040.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:50])
    with pytest.raises(PprError, match="damaged"):
        a_replay(100).restore(tmp_path, 60)
    damaged.unlink()
    with pytest.raises(PprError, match="does not belong"):
        a_replay(100).restore(tmp_path, 60)
    with pytest.raises(PprError, match="does not belong"):
        Replay(100, 4, 2, 1).load(replay.state())
    (tmp_path / "notes.safetensors").touch()
    with pytest.raises(PprError, match="not a piece of a replay"):
        a_replay(100).restore(tmp_path, 60)
