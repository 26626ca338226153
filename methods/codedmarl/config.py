"""Configuration of `ppr codedmarl`, and its named settings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ..common.config import BaseConfig, PathText

Family = Literal["uncoded", "replication", "mds", "random-sparse", "ldpc", "balanced", "multi"]
FieldName = Literal["gf256", "real64", "real32"]
EngineName = Literal["inproc", "local", "ray", "sim"]
StragglerModel = Literal["none", "fixed", "bernoulli", "exp", "pareto", "trace"]
Algorithm = Literal["maddpg", "ddpg"]


class TrainConfig(BaseConfig):
    """Training of `ppr codedmarl`: MADDPG whose agents are updated by coded learners (Wang et al. 2021, algorithm 1)."""

    seed: NonNegativeInt = Field(0, description="fixes initial weights, exploration, minibatches, codes and injected stragglers")

    env: str = Field(
        "simple_spread",
        description="simple_spread, simple_tag, simple_adversary, simple_push, or module:function of a PettingZoo parallel environment",
    )
    agents: PositiveInt | None = Field(None, description="agents in all (paper: 8 and 10); none: 3, or as many as module:function has")
    adversaries: NonNegativeInt | None = Field(None, description="how many of them are adversaries; none: the scenario's own share")
    env_backend: Literal["batched", "mpe2"] = Field("batched", description="batched: all rollout environments at once; mpe2: the package")
    envs: PositiveInt = Field(32, description="rollout environments")
    episode_length: PositiveInt = Field(25, description="steps of an episode (paper: 25)")

    learners: PositiveInt = Field(6, description="learners N, at least as many as agents (paper: 15)")
    code: Family = Field("balanced", description="how agents are assigned to learners and their updates combined")
    matrix: PathText = Field("", description="encoding matrix (.npz of `design`, or .npy) instead of a code by name")
    tolerance: NonNegativeInt | None = Field(
        None, description="lost learners that `balanced` and `multi` shall survive; none: as many as two updates a learner buy"
    )
    field: FieldName = Field("gf256", description="gf256 decodes bit for bit; real64 and real32 for machines that round differently")
    payload: Literal["grad", "params"] = Field("grad", description="what a share holds: gradients, or the paper's updated parameters")
    max_cond: PositiveFloat | None = Field(
        None, description="largest condition number to decode with before waiting for another share; none: 1e8, for real32 1e4"
    )
    grace: NonNegativeFloat = Field(1.0, description="seconds to wait for that share")
    timeout: PositiveFloat = Field(30.0, description="seconds without enough shares after which missing agents are given to other learners")
    retries: PositiveInt = Field(3, description="such rounds before the training stops with its state saved")

    engine: EngineName = Field("local", description="ray: a Ray cluster; local: processes here; sim: a virtual clock; inproc: no learners")
    address: str = Field("local", description="Ray: local starts one here; auto or HOST:PORT joins a cluster")
    spares: NonNegativeInt = Field(1, description="learners kept started beside the others, to step in for a lost one")

    straggler_model: StragglerModel = Field("none", description="delays that are injected into learners")
    stragglers: NonNegativeInt = Field(0, description="fixed: learners that are slow, drawn anew every iteration (paper: 0 to 8)")
    delay: NonNegativeFloat = Field(0.0, description="seconds of a delay; exp, pareto: its mean (paper: 0.25 and 1)")
    straggler_share: float = Field(0.0, ge=0, le=1, description="bernoulli: chance that a learner is slow")
    pareto_shape: float = Field(2.0, gt=1, description="pareto: tail index")
    trace: PathText = Field("", description="trace: .csv with iteration, learner, delay (and kind: delay, kill, corrupt, drop), or a run")
    slow_mode: Literal["sleep", "burn"] = Field("sleep", description="a slow learner sleeps, or keeps a core busy")
    kill_rate: float = Field(0.0, ge=0, lt=1, description="chance that a learner's process is killed in an iteration")

    iterations: PositiveInt = Field(500, description="updates of every agent")
    rollout: PositiveInt = Field(100, description="joint environment steps before each (paper: 100), rounded up to whole rounds of `envs`")
    overlap: bool = Field(False, description="act for the next iteration while learners work: faster, with policies one update old")
    warmup: PositiveInt = Field(25_600, description="joint steps in the replay before the first (paper: batch x episode length)")
    batch: PositiveInt = Field(1024, description="transitions of a minibatch (paper: 1024)")
    replay: PositiveInt = Field(1_000_000, description="transitions that are kept (paper: 1e6)")
    hidden: PositiveInt = Field(64, description="units of both hidden layers (paper: 64)")
    good: Algorithm = Field("maddpg", description="ddpg: their critics see only their own observation and action")
    adversary: Algorithm = Field("maddpg", description="the same for adversaries")
    actor_lr: PositiveFloat = Field(1e-2, description="Adam (paper: 0.01)")
    critic_lr: PositiveFloat = Field(1e-2, description="Adam (paper: 0.01)")
    lr_final: float = Field(1.0, gt=0, le=1, description="rates of the last iteration as a share of the first, linear between; 1: constant")
    gamma: float = Field(0.95, ge=0, lt=1, description="discount (paper: 0.95)")
    tau: float = Field(0.01, gt=0, le=1, description="step of the target networks towards the others (paper: 0.01)")
    clip: PositiveFloat = Field(0.5, description="largest gradient norm of a network (paper: 0.5)")
    logit_penalty: NonNegativeFloat = Field(1e-3, description="weight of the squared logits in the actor's loss (paper's base: 1e-3)")

    checkpoint_every: PositiveInt = Field(50, description="iterations between saved states")
    evaluate_every: NonNegativeInt = Field(50, description="iterations between evaluations; 0 never evaluates")
    evaluate_episodes: PositiveInt = Field(100, description="episodes of an evaluation")


#: Named settings, as values that replace defaults.
PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "env": "simple_spread",
        "agents": 3,
        "learners": 6,
        "code": "balanced",
        "tolerance": 2,
        "iterations": 1500,
        "warmup": 2048,
        "replay": 100_000,
        "lr_final": 0.1,
        "evaluate_every": 150,
        "checkpoint_every": 150,
    },
    "paper": {"env": "simple_spread", "agents": 8, "learners": 15, "code": "mds", "envs": 1, "rollout": 100, "payload": "params"},
}
