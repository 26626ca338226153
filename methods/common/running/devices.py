"""Where work runs: the device that was asked for, and the processes of a training."""

from __future__ import annotations

import logging
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from ..config import BaseTrainConfig
from ..errors import UsageError

log = logging.getLogger("ppr")


def resolve_device(device: str) -> tuple[str, list[int] | None]:
    """Split `auto | cpu | cuda | cuda:N` into Fabric's accelerator and device index.

    Raises:
        UsageError: not one of those, or CUDA asked for and absent.
    """
    kind, _, index = device.partition(":")
    if kind == "auto" and not index:
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        log.info("device: %s", kind)
    if kind not in ("cpu", "cuda") or (index and (kind == "cpu" or not index.isdigit())):
        raise UsageError(f"--device {device}: not a device", hint="one of: auto, cpu, cuda, cuda:N")
    if kind == "cuda":
        count = torch.cuda.device_count()
        if not torch.cuda.is_available():
            raise UsageError(
                f"--device {device}: this PyTorch sees no CUDA device", hint="use --device cpu; `ppr doctor` shows what is there"
            )
        if index and int(index) >= count:
            raise UsageError(f"--device {device}: there are {count} CUDA devices", hint=f"cuda:0 to cuda:{count - 1}")
    return kind, [int(index)] if index else None


def launch(config: BaseTrainConfig) -> Fabric:
    """Start the processes of a training and seed them. Under `torchrun` it joins the processes that are there.

    Raises:
        UsageError: a device, strategy or precision this machine cannot do.
    """
    accelerator, index = resolve_device(config.device)
    if config.precision == "16" and accelerator == "cpu":
        raise UsageError("--precision 16: needs a GPU", hint="use bf16 or 32 on the CPU")
    precision: Any = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[config.precision]
    strategy: Any = "ddp" if config.devices > 1 and config.strategy == "auto" else config.strategy
    if strategy == "fsdp":
        from lightning_fabric.strategies import ModelParallelStrategy

        strategy = ModelParallelStrategy(_shard, data_parallel_size=config.devices, tensor_parallel_size=1)
    fabric = Fabric(accelerator=accelerator, devices=index or config.devices, strategy=strategy, precision=precision)
    if config.devices > 1 or strategy != "auto":
        fabric.launch()
    fabric.seed_everything(config.seed, workers=False, verbose=False)
    return fabric


def _shard(network: nn.Module, mesh: Any) -> nn.Module:
    """Shard every parameter over the data-parallel processes (FSDP2), in place, so that names and parameter groups stay."""
    from torch.distributed.fsdp import fully_shard

    fully_shard(network, mesh=mesh["data_parallel"])
    return network
