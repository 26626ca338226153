"""Configurations that are printed can be read."""

from __future__ import annotations

from ppr.methods.codedmarl.config import TrainConfig


def test_the_configuration_is_printed_and_can_be_read(ppr, tmp_path):
    from ppr.methods.codedmarl.config import PRESETS
    from ppr.methods.common.config import load_config

    for arguments, values in (((), {}), (("--preset", "demo"), PRESETS["demo"]), (("--preset", "paper"), PRESETS["paper"])):
        answer = ppr("codedmarl", "config", *arguments)
        (tmp_path / "c.yaml").write_text(answer.out)
        assert load_config(TrainConfig, tmp_path / "c.yaml") == TrainConfig.model_validate(values)
    answer = ppr("codedmarl", "config", "--preset", "dmo")
    assert answer.code == 2 and "is not one of 'demo', 'paper'" in answer.err
