"""`ppr saliency stream`: as many frames and bytes out as in, and a clean end however it comes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ppr.methods.saliency.pairs.procedural import scene

STREAM = [sys.executable, "-m", "ppr.cli.main", "saliency", "stream"]


@pytest.fixture(scope="module")
def frames() -> bytes:
    return b"".join(scene(64, 48, seed=0, index=index)[0].tobytes() for index in range(7))


@pytest.mark.parametrize(("layout", "channels"), [("gray", 1), ("rgb", 3), ("rgba", 4)])
def test_frame_and_byte_count_are_exact(frames, layout, channels):
    done = subprocess.run(
        [*STREAM, "--size", "64x48", "--out", layout, "--smooth", "0.5"], input=frames, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0
    assert len(done.stdout) == 7 * 64 * 48 * channels
    assert b"7 frames" in done.stderr
    if layout == "rgba":
        assert (np.frombuffer(done.stdout, np.uint8).reshape(7, 48, 64, 4)[..., :3].tobytes()) == frames


def test_nothing_in_nothing_out():
    done = subprocess.run([*STREAM, "--size", "64x48"], input=b"", capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_stream_that_ends_within_a_frame_is_an_error(frames):
    done = subprocess.run([*STREAM, "--size", "64x48"], input=frames[:-7], capture_output=True, timeout=300, check=False)
    assert done.returncode == 1
    assert b"ends within frame 7" in done.stderr
    assert len(done.stdout) == 6 * 64 * 48


def test_a_reader_that_leaves_early_ends_it_cleanly(frames):
    process = subprocess.Popen(
        [*STREAM, "--size", "64x48", "--out", "rgba"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    feeder = subprocess.Popen(
        [sys.executable, "-c", "import sys\nfor _ in range(400): sys.stdout.buffer.write(sys.stdin.buffer.read(0) or b'\\1' * 9216)"],
        stdout=process.stdin,
    )
    process.stdin.close()
    process.stdout.read(100)
    process.stdout.close()
    assert process.wait(timeout=300) == 0
    feeder.kill()
    feeder.wait()
    assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("size", ["64", "0x10", "99999x10", "axb", "-1x5"])
def test_wrong_sizes(ppr, size):
    answer = ppr("saliency", "stream", "--size", size)
    assert (answer.code, "not a size such as" in answer.err) == (2, True)
