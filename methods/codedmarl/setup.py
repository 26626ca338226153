"""What a training needs before its first iteration, from its configuration: code, faults, engine."""

from __future__ import annotations

import logging
from pathlib import Path

from ..common.errors import UsageError, missing_extra
from ..common.measuring.cores import usable_cores
from .codes.code import Code
from .codes.construction import build
from .codes.matrices import load_matrix
from .config import TrainConfig
from .learners.engine import Engine
from .learners.stragglers import Schedule, schedule

log = logging.getLogger("ppr")


def code_of(config: TrainConfig, agents: int) -> Code:
    """The code that a configuration names, for so many agents.

    Raises:
        UsageError: one that cannot be, a matrix for other agents.
        PprError: a matrix file that cannot be read.
    """
    if not config.matrix:
        return build(config.code, config.learners, agents, tolerance=config.tolerance, field=config.field, seed=config.seed)
    code = load_matrix(Path(config.matrix), config.field)
    if code.agents != agents:
        raise UsageError(
            f"{config.matrix}: a matrix for {code.agents} agents, and {config.env} has {agents}", hint=f"--agents {code.agents}, or another"
        )
    return code


def schedule_of(config: TrainConfig, learners: int) -> Schedule:
    """The faults that a configuration injects.

    Raises:
        UsageError: values that make no sense, or no sense together.
        PprError: a trace that cannot be used.
    """
    if config.straggler_model == "none" and (config.stragglers or config.delay or config.straggler_share):
        raise UsageError("stragglers without a model of them", hint="--straggler-model fixed, bernoulli, exp or pareto")
    if config.stragglers >= learners:
        raise UsageError(
            f"{config.stragglers} stragglers of {learners} learners: somebody has to be on time",
            hint=f"--stragglers {learners - 1} or fewer",
        )
    return schedule(
        config.straggler_model,
        learners,
        stragglers=config.stragglers,
        delay=config.delay,
        chance=config.straggler_share,
        shape=config.pareto_shape,
        trace=config.trace or None,
        kill_rate=config.kill_rate,
        seed=config.seed,
    )


def engine_of(config: TrainConfig) -> Engine:
    """The engine that a configuration names, not started.

    Raises:
        PprError: its package is not installed.
        UsageError: it doesn't work on this system, or is no engine of learners.
    """
    if config.engine == "local":
        from .learners.local import LocalEngine

        return LocalEngine(config.spares)
    if config.engine == "ray":
        try:
            from .learners.on_ray import RayEngine
        except ImportError as error:
            raise missing_extra("ray", "marl") from error
        return RayEngine(config.address, config.spares)
    if config.engine == "sim":
        from .learners.simulated import SimEngine

        return SimEngine()
    raise UsageError(f"--engine {config.engine}: has no learners", hint="local, ray or sim")


def warn_of_contention(config: TrainConfig, learners: int) -> None:
    """Say so where learners wait for each other's cores: what is measured of them then isn't their own slowness."""
    here = config.engine == "local" or (config.engine == "ray" and config.address == "local")
    cores = usable_cores()
    if here and learners > cores:
        log.warning("%d learners on %d cores: a learner that is measured as slow may only have waited for a core", learners, cores)
