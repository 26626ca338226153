"""`ppr codedmarl train` and `ppr codedmarl config`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.methods.common.errors import UsageError

from .. import types, verbs
from ..fields import As
from ._live import View

if TYPE_CHECKING:
    from ppr.methods.codedmarl.config import TrainConfig
    from ppr.methods.common.running.run import Run

PRESET = As(help="demo: a few minutes on two cores; paper: the paper's settings.")
#: What may be other when a training goes on: where its learners are, how long they are waited for, and what is done to them.
CHANGEABLE = (
    *("engine", "address", "spares", "timeout", "retries", "grace", "max_cond", "checkpoint_every", "evaluate_every"),
    *("straggler_model", "stragglers", "delay", "straggler_share", "pareto_shape", "trace", "slow_mode", "kill_rate"),
)


class Training(verbs.Training):
    """With learners that are watched, and of which some may be other when it goes on."""

    @property
    def configured(self) -> bool:
        return bool("preset" in self.given or self.config_path)

    def preset(self) -> Mapping[str, Any]:
        values = dict(super().preset())
        if self.given.get("code") not in (None, "balanced", "multi"):
            values.pop("tolerance", None)  # which is not for this code
        return values

    def values(self) -> dict[str, Any]:
        """The options, and what follows from them: those about stragglers imply their model, a matrix its numbers."""
        values = super().values()
        if "straggler_model" not in values:
            implied = (("trace", "trace"), ("straggler_share", "bernoulli"), ("stragglers", "fixed"))
            model = next((model for key, model in implied if values.get(key)), None)
            values |= {} if model is None else {"straggler_model": model}
        if values.get("straggler_model") in ("fixed", "bernoulli", "exp", "pareto") and self.config_path is None:
            values.setdefault("delay", 1.0)
        if "matrix" in values:
            from ppr.methods.codedmarl.codes.matrices import load_matrix

            code = load_matrix(Path(values["matrix"]), values.get("field"))
            values = {"field": code.field, "learners": code.learners} | values
        return values

    def resumed(self, config: TrainConfig) -> TrainConfig:
        """Its own, with what may be other now.

        Raises:
            UsageError: an option for something that the run has settled.
        """
        from ppr.methods.common.config import load_config

        changed = load_config(type(config), None, self.overrides, base=config.model_dump(), **self.values())
        for key, value in changed.model_dump().items():
            if key not in CHANGEABLE and value != getattr(config, key):
                raise UsageError(
                    f"--resume goes on with the run's own {key} ({getattr(config, key)})",
                    hint=f"these can be changed: {', '.join(CHANGEABLE)}",
                )
        return changed

    def check(self, config: TrainConfig) -> None:
        from ppr.methods.codedmarl.train import check

        check(config)

    def train(self, config: TrainConfig, run: Run) -> None:
        from ppr.methods.codedmarl.train import train

        train(config, run, resume=self.resume is not None, watch=self.view.update)

    def showing(self) -> verbs.Showing:
        self.view = View(as_json=self.as_json)
        return self.view.showing()


train = verbs.train(
    "codedmarl",
    "env agents adversaries envs learners engine address field payload code tolerance matrix stragglers delay straggler_model "
    "straggler_share pareto_shape trace slow_mode kill_rate iterations overlap checkpoint_every",
    preset=PRESET,
    typed={
        "env": As(metavar="NAME|MODULE:FUNCTION"),
        "address": As(metavar="local|auto|HOST:PORT"),
        "matrix": As(metavar="FILE"),
        "stragglers": As("--stragglers -k", metavar="K"),
        "delay": As(type=types.DURATION, help="By how much they are slow (250ms); exp, pareto: mean. [default: 1s if there are any]"),
        "straggler_model": As("--straggler-model --model"),
        "straggler_share": As(metavar="P"),
        "pareto_shape": As(metavar="A"),
        "trace": As(metavar="FILE|RUN"),
        "kill_rate": As(metavar="P"),
        "checkpoint_every": As(metavar="N"),
    },
    training=Training,
    doc="""Train agents whose updates are computed by coded learners: an iteration ends when the shares that came can be decoded.

    With --field gf256 the result has the same bits as that of one process (--engine inproc), whoever is slow or dies. Stragglers and kills
    can be injected to see that. Ctrl-C saves; --resume goes on with the same bits, if need be on another engine or address.

    \b
    ppr codedmarl train --preset demo --out runs/spread
    ppr codedmarl train --agents 8 --learners 15 --tolerance 3 --stragglers 2 --delay 1 --out runs/slow
    ppr codedmarl train --engine ray --address HEAD:6379 --learners 30 --out runs/big
    ppr codedmarl train --resume runs/big
    """,
)
config = verbs.config("codedmarl", preset=PRESET, training=Training)
