"""`ppr imnet bench`: rows for every extractor and runtime."""

from __future__ import annotations

import pytest


def test_extractors_on_exact_chairs(ppr):
    """What they ask for and miss is counted, whatever this machine does meanwhile."""
    options = ["--field", "boxes", "-r", "32", "--seed-grid", "16", "--shapes", "2"]
    rows = {row["mode"]: row for row in ppr("imnet", "bench", *options, "--json").records}
    assert list(rows) == ["sparse", "dense", "mise"]
    assert list(rows["sparse"]) == ["mode", "resolution", "queries", "queries_ratio", "seconds", "seconds_ratio", "cells", "missed"]
    assert rows["dense"]["queries"] > 4 * rows["sparse"]["queries"]
    assert rows["dense"]["queries_ratio"] == pytest.approx(rows["dense"]["queries"] / rows["sparse"]["queries"], rel=0.01)
    assert (rows["dense"]["missed"], rows["sparse"]["seconds_ratio"], rows["sparse"]["resolution"]) == (0, 1, 32)
    assert all(row["seconds"] > 0 for row in rows.values())


@pytest.fixture
def small_model(tmp_path):
    """Random weights: how fast they are is no question of what they know."""
    import torch

    from ppr.methods.common.running.checkpoint import Meta, save_checkpoint
    from ppr.methods.imnet.config import NetworkConfig
    from ppr.methods.imnet.network import AutoEncoder

    config = NetworkConfig(z_dim=6, ef_dim=2, gf_dim=4)
    weights = AutoEncoder(config).state_dict() | {"codes": torch.rand(3, 6)}
    return save_checkpoint(tmp_path / "small.safetensors", weights, Meta(method="imnet", arch="fast", config=config.model_dump()))


@pytest.mark.slow
def test_runtimes_of_a_decoder(ppr, small_model):
    done = ppr("imnet", "bench", "--runtimes", "--threads", "1", "--checkpoint", small_model, "--json")
    assert done.code == 0, done.err
    rows = {row["runtime"]: row for row in done.records}
    assert list(rows) == ["numpy", "torch", "onnxruntime"]
    assert rows["numpy"]["ratio"] == 1
    assert rows["torch"]["ratio"] == pytest.approx(rows["torch"]["points_per_second"] / rows["numpy"]["points_per_second"], rel=0.01)
