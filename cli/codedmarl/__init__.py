"""Commands of `ppr codedmarl`."""

from __future__ import annotations

from ..method import Method

METHOD = Method(
    "codedmarl",
    __name__,
    title="Coding for Distributed Multi-Agent Reinforcement Learning",
    published="Wang et al., ICRA 2021",
    url="https://arxiv.org/abs/2101.02308",
    line="Coded MARL: multi-agent training that does not wait for stragglers, on Ray.",
    help="Multi-agent training that does not wait for stragglers (coded distributed MARL, Wang et al., ICRA 2021).",
    verbs={
        "plan": "What each code would buy: expected iteration, tolerance, work and upload.",
        "design": "Make an encoding matrix, or check one.",
        "simulate": "Iterations of up to 10,000 learners on a virtual clock, without learning.",
        "train": "Train agents with coded learners, on Ray or on processes of this machine.",
        "evaluate": "Returns of trained agents with confidence intervals; cross-play of two runs.",
        "infer": "Watch trained agents as a GIF, or ask them for actions through a pipe.",
        "export": "One ONNX or TorchScript actor an agent.",
        "bench": "Measured iterations of the codes under stragglers, beside what `plan` predicts.",
        "report": "Which learners were slow, lost or wasted in a run.",
        "chaos": "Kill learners of a running training.",
        "config": "Print the default configuration as commented YAML.",
    },
    examples=[
        "ppr codedmarl plan --learners 15 --agents 8 --stragglers 2 --delay 1   which code, and what it costs",
        "ppr codedmarl infer --gif spread.gif                                   the policy that comes along",
        "ppr codedmarl train --preset demo --out runs/spread                    a few minutes on two cores",
        "ppr codedmarl train --engine ray --address HEAD:6379 --out runs/big    on a Ray cluster",
    ],
)
