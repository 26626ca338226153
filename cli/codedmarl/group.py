"""The group `ppr codedmarl` and its table of verbs."""

from __future__ import annotations

import click

from ..lazy import LazyGroup

VERBS = {
    "plan": ("ppr.cli.codedmarl.plan:plan", "What each code would buy: expected iteration, tolerance, work and upload."),
    "design": ("ppr.cli.codedmarl.design:design", "Make an encoding matrix, or check one."),
    "simulate": ("ppr.cli.codedmarl.simulate:simulate", "Iterations of up to 10,000 learners on a virtual clock, without learning."),
    "train": ("ppr.cli.codedmarl.train:train", "Train agents with coded learners, on Ray or on processes of this machine."),
    "evaluate": ("ppr.cli.codedmarl.evaluate:evaluate", "Returns of trained agents with confidence intervals; cross-play of two runs."),
    "infer": ("ppr.cli.codedmarl.infer:infer", "Watch trained agents as a GIF, or ask them for actions through a pipe."),
    "export": ("ppr.cli.codedmarl.export:export", "One ONNX or TorchScript actor an agent."),
    "bench": ("ppr.cli.codedmarl.bench:bench", "Measured iterations of the codes under stragglers, beside what `plan` predicts."),
    "report": ("ppr.cli.codedmarl.report:report", "Which learners were slow, lost or wasted in a run."),
    "chaos": ("ppr.cli.codedmarl.chaos:chaos", "Kill learners of a running training."),
    "config": ("ppr.cli.codedmarl.config:config", "Print the default configuration as commented YAML."),
}


@click.group(cls=LazyGroup, table=VERBS)
def codedmarl() -> None:
    """Multi-agent training that does not wait for stragglers (coded distributed MARL, Wang et al., ICRA 2021).

    \b
    ppr codedmarl plan --learners 15 --agents 8 --stragglers 2 --delay 1   which code, and what it costs
    ppr codedmarl infer --gif spread.gif                                   the policy that comes along
    ppr codedmarl train --preset demo --out runs/spread                    a few minutes on two cores
    ppr codedmarl train --engine ray --address HEAD:6379 --out runs/big    on a Ray cluster
    """
