"""`ppr codedmarl train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, training
from ..types import DURATION
from ._live import View
from ._situation import FIELDS, MODELS

if TYPE_CHECKING:
    from ppr.methods.codedmarl.config import TrainConfig

FAMILIES = ("uncoded", "replication", "mds", "random-sparse", "ldpc", "balanced", "multi")
ENGINES = ("inproc", "local", "ray", "sim")
#: What may be other when a training goes on: where its learners are, how long they are waited for, and what is done to them.
CHANGEABLE = (
    *("engine", "address", "spares", "timeout", "retries", "grace", "max_cond", "checkpoint_every", "evaluate_every"),
    *("straggler_model", "stragglers", "delay", "straggler_share", "pareto_shape", "trace", "slow_mode", "kill_rate"),
)

#: Who trains what; the names are those of the configuration.
task_options = options.together(
    click.option("--env", default=None, metavar="NAME|MODULE:FUNCTION", help="Scenario, or a parallel environment of PettingZoo."),
    click.option("--agents", type=click.IntRange(1), default=None, help="Agents M. [default: 3, or the environment's]"),
    click.option("--adversaries", type=click.IntRange(0), default=None, help="How many of them. [default: the scenario's share]"),
    click.option("--envs", type=click.IntRange(1), default=None, help="Rollout environments. [default: 32]"),
)
learner_options = options.together(
    click.option("--learners", type=click.IntRange(1), default=None, help="Learners N. [default: 6, or the matrix's]"),
    click.option("--engine", type=click.Choice(ENGINES), default=None, help="Where learners run; inproc has none. [default: local]"),
    click.option("--address", default=None, metavar="local|auto|HOST:PORT", help="Ray: start a cluster here, or join one."),
    click.option("--field", type=click.Choice(FIELDS), default=None, help="Arithmetic of the shares. [default: gf256, or the matrix's]"),
    click.option("--payload", type=click.Choice(["grad", "params"]), default=None, help="What shares are made of. [default: grad]"),
)
code_options = options.together(
    click.option("--code", type=click.Choice(FAMILIES), default=None, help="How work is assigned and combined. [default: balanced]"),
    click.option("--tolerance", type=click.IntRange(0), default=None, help="Lost learners that balanced and multi shall survive."),
    click.option("--matrix", type=options.PATH, default=None, metavar="FILE", help="An encoding matrix of your own: .npy or .npz."),
)
fault_options = options.together(
    click.option("--stragglers", "-k", type=click.IntRange(0), default=None, metavar="K", help="Learners that are slow, anew each time."),
    click.option("--delay", type=DURATION, default=None, help="By how much (250ms); exp, pareto: mean. [default: 1s if there are any]"),
    click.option("--straggler-model", "--model", "straggler_model", type=click.Choice(MODELS), default=None, help="How they are slow."),
    click.option("--straggler-share", type=float, default=None, metavar="P", help="bernoulli: chance that a learner is slow."),
    click.option("--pareto-shape", type=float, default=None, metavar="A", help="pareto: tail index, above 1."),
    click.option("--trace", type=options.PATH, default=None, metavar="FILE|RUN", help="csv: iteration, learner, delay[, kind]; or a run."),
    click.option("--slow-mode", type=click.Choice(["sleep", "burn"]), default=None, help="A slow learner sleeps, or keeps a core busy."),
    click.option("--kill-rate", type=float, default=None, metavar="P", help="Chance that a learner is killed in an iteration."),
)


@click.command()
@click.option("--preset", default=None, metavar="NAME", help="demo: a few minutes on two cores; paper: the paper's settings.")
@task_options
@learner_options
@code_options
@fault_options
@click.option("--iterations", type=click.IntRange(1), default=None, help="Updates of every agent. [default: 500]")
@click.option("--overlap", is_flag=True, default=None, help="Act for the next iteration while learners work (policies one update old).")
@click.option("--checkpoint-every", type=click.IntRange(1), default=None, metavar="N", help="Iterations between saved states.")
@training.folder_options
def train(
    preset: str | None,
    config_path: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Train agents whose updates are computed by coded learners: an iteration ends when the shares that came can be decoded.

    With --field gf256 the result has the same bits as that of one process (--engine inproc), whoever is slow or dies. Stragglers and kills
    can be injected to see that. Ctrl-C saves; --resume goes on with the same bits, if need be on another engine or address.

    \b
    ppr codedmarl train --preset demo --out runs/spread
    ppr codedmarl train --agents 8 --learners 15 --tolerance 3 --stragglers 2 --delay 1 --out runs/slow
    ppr codedmarl train --engine ray --address HEAD:6379 --learners 30 --out runs/big
    ppr codedmarl train --resume runs/big
    """
    view = View()
    settings = Settings(preset, config_path, overrides, {key: value for key, value in given.items() if value is not None})

    def config_class() -> type[TrainConfig]:
        from ppr.methods.codedmarl.config import TrainConfig

        return TrainConfig

    def check(config: TrainConfig) -> None:
        from ppr.methods.codedmarl.train import check, refuse_second
        from ppr.methods.common.running.run import Run

        folder = resume or out
        assert folder is not None
        refuse_second(Run(folder))
        check(settings.changed(config) if resume else config)

    def work(config: TrainConfig, run: Any, resumed: bool) -> None:
        from ppr.methods.codedmarl.train import train

        train(settings.changed(config) if resumed else config, run, resume=resumed, watch=view.update)

    training.run_training(
        config_class,
        settings.configuration,
        work,
        out=out,
        resume=resume,
        configured=bool(preset or config_path),
        overwrite=overwrite,
        as_json=as_json,
        check=check,
        show=view.showing,
    )


@dataclass(frozen=True)
class Settings:
    """What the command line says about the configuration; `given` are the options that were given."""

    preset: str | None
    path: Path | None
    overrides: tuple[str, ...]
    given: dict[str, Any]

    def configuration(self) -> TrainConfig:
        """Of a new run: a preset, a file, options and --set, later ones winning.

        Raises:
            UsageError: as `load_config`, no such preset.
            PprError: a matrix that cannot be read.
        """
        from ppr.methods.codedmarl.config import TrainConfig, preset
        from ppr.methods.common.config import load_config

        base = dict(preset(self.preset)) if self.preset else {}
        if self.given.get("code") not in (None, "balanced", "multi"):
            base.pop("tolerance", None)  # the preset's, which is not for this code
        return load_config(TrainConfig, self.path, self.overrides, base=base, **self.values())

    def changed(self, config: TrainConfig) -> TrainConfig:
        """Of a run that goes on: its own, with what may be other now.

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

    def values(self) -> dict[str, Any]:
        """The options, and what follows from them: those about stragglers imply their model, a matrix its numbers."""
        values: dict[str, Any] = {key: str(value) if isinstance(value, Path) else value for key, value in self.given.items()}
        if "straggler_model" not in values:
            implied = (("trace", "trace"), ("straggler_share", "bernoulli"), ("stragglers", "fixed"))
            model = next((model for key, model in implied if values.get(key)), None)
            values |= {} if model is None else {"straggler_model": model}
        if values.get("straggler_model") in ("fixed", "bernoulli", "exp", "pareto") and self.path is None:
            values.setdefault("delay", 1.0)
        if "matrix" in values:
            from ppr.methods.codedmarl.codes.matrices import load_matrix

            code = load_matrix(Path(values["matrix"]), values.get("field"))
            values = {"field": code.field, "learners": code.learners} | values
        return values
