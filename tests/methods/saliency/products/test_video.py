"""Moving pictures: smoothing, raw frames, video files."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.saliency import naive
from ppr.methods.saliency.infer import Predictor
from ppr.methods.saliency.pairs.procedural import scene
from ppr.methods.saliency.products.style import Style
from ppr.methods.saliency.products.video import Smoother, convert, pack, raw_frames
from ppr.methods.saliency.saliency_map import Saliency


def level(value: float) -> Saliency:
    return Saliency(np.full((4, 4), value, np.float32), 4, 4)


def test_smoothing_is_an_exponential_average():
    smoother = Smoother(0.25)
    values = [1.0, 0.0, 0.0, 0.7, 0.2]
    found = [smoother(level(value)).probability[0, 0] for value in values]
    np.testing.assert_allclose(found, naive.smoothed(values, 0.25), rtol=1e-6)
    np.testing.assert_allclose(found[:3], [1.0, 0.75, 0.5625], rtol=1e-6)
    assert Smoother(1.0)(level(0.3)).probability[0, 0] == np.float32(0.3)


def test_raw_frames_come_out_as_they_went_in():
    frames = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    found = list(raw_frames(io.BytesIO(frames.tobytes()), 7, 5))
    assert len(found) == 3
    assert (np.stack(found) == frames).all()
    with pytest.raises(PprError, match="ends within frame 3"):
        list(raw_frames(io.BytesIO(frames.tobytes()[:-1]), 7, 5))


@pytest.mark.parametrize(("layout", "channels"), [("gray", 1), ("rgb", 3), ("rgba", 4)])
def test_packed_frames_have_the_promised_size(layout, channels):
    rgb = np.full((4, 4, 3), 200, np.uint8)
    data = np.frombuffer(pack(rgb, level(1.0), layout), np.uint8).reshape(4, 4, channels)
    assert (data == (255 if layout == "gray" else np.array([200] * 3 + [255] * (channels - 3)))).all()


def test_a_video_file_keeps_its_frames(tmp_path):
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter.fourcc(*"mp4v"), 10, (160, 120))
    for index in range(6):
        writer.write(cv2.cvtColor(scene(160, 120, seed=index)[0], cv2.COLOR_RGB2BGR))
    writer.release()
    made = convert(source, target, Predictor.load(threads=1), "overlay", Style(), overwrite=False)
    assert made.frames == 6
    capture = cv2.VideoCapture(str(target))
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (160, 120)
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 6
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["in.mp4", "out.mp4"]


def test_what_is_no_video_is_refused(tmp_path):
    fake = tmp_path / "fake.mp4"
    fake.write_bytes(b"not a video at all")
    predictor = Predictor.load(threads=1)
    with pytest.raises(PprError, match="not a video"):
        convert(fake, tmp_path / "out.mp4", predictor, "mask", Style(), overwrite=False)
    with pytest.raises(UsageError, match="makes no video"):
        convert(fake, tmp_path / "out.mp4", predictor, "cutout", Style(), overwrite=False)
    assert not (tmp_path / "out.mp4").exists()
