"""What was made fast elsewhere, in its obvious slow form: tests compare with it, nothing else uses it.

GF(256) symbol by symbol, ranks of whole matrices, every erasure and every set of stragglers one after the other, a replay that is a list,
one particle world in plain floats, and the update of an agent by torch's own modules, autograd and optimisers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .agents.maddpg import Minibatch
from .agents.problem import Problem, Purpose
from .agents.state import AgentState
from .config import FieldName
from .environments.base import AgentSpec
from .environments.physics import DAMPING, MARGIN, STIFFNESS, TIME_STEP
from .network import noise

Floats = NDArray[np.float64]
Point = tuple[float, float]
POLYNOMIAL = 0x11D


@cache
def multiply(left: int, right: int) -> int:
    """A product in GF(256): shift and add, reduced by the polynomial."""
    total = 0
    while right:
        if right & 1:
            total ^= left
        left <<= 1
        if left & 0x100:
            left ^= POLYNOMIAL
        right >>= 1
    return total


def combination(coefficients: Sequence[int], symbols: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """sum_i c_i symbols_i over GF(256): [M], [M, length] -> [length]."""
    columns = symbols.T.tolist()
    total = [0] * len(columns)
    for place, column in enumerate(columns):
        for coefficient, symbol in zip(coefficients, column, strict=True):
            total[place] ^= multiply(int(coefficient), symbol)
    return np.array(total, np.uint8)


def rank(matrix: NDArray[Any], field: FieldName = "real64") -> int:
    """Of a matrix: over the reals by the singular values of its rows, each scaled to a largest entry of 1."""
    if field == "gf256":
        return rank_galois(matrix.tolist())
    largest = np.abs(matrix).max(axis=1, keepdims=True, initial=0.0)
    return int(np.linalg.matrix_rank(matrix / np.where(largest > 0, largest, 1.0)))


def rank_galois(rows: list[list[int]]) -> int:
    """Over GF(256), of which 0 and 1 are GF(2): elimination entry by entry."""
    left, found = [list(map(int, row)) for row in rows], 0
    for column in range(len(left[0]) if left else 0):
        pivot = next((row for row in left if row[column]), None)
        if pivot is None:
            continue
        left.remove(pivot)
        inverse = next(element for element in range(1, 256) if multiply(element, pivot[column]) == 1)
        for row in left:
            factor = multiply(row[column], inverse)
            if factor:
                row[:] = [entry ^ multiply(factor, other) for entry, other in zip(row, pivot, strict=True)]
        found += 1
    return found


def determined(rows: NDArray[Any], field: FieldName = "real64") -> set[int]:
    """Agents whose updates follow from received rows [n, M]: their unit vectors add nothing to the rank."""
    units, before = np.eye(rows.shape[1], dtype=rows.dtype), rank(rows, field)
    return {agent for agent, unit in enumerate(units) if rank(np.vstack([rows, unit]), field) == before}


def received(learners: int, lost: int) -> Iterator[list[int]]:
    """Who is left in each of the erasures of so many learners."""
    for gone in itertools.combinations(range(learners), lost):
        yield [learner for learner in range(learners) if learner not in gone]


def decodable_fraction(matrix: NDArray[Any], lost: int, field: FieldName = "real64") -> float:
    """P(dec | k): the part of the erasures of k rows that leaves full rank."""
    verdicts = [rank(matrix[left], field) == matrix.shape[1] for left in received(len(matrix), lost)]
    return sum(verdicts) / len(verdicts)


def tolerance(matrix: NDArray[Any], field: FieldName = "real64") -> int:
    """The last number of lost rows at which no erasure hurts."""
    spare = len(matrix) - matrix.shape[1]
    return next((lost - 1 for lost in range(1, spare + 1) if decodable_fraction(matrix, lost, field) < 1), spare)


def surplus(held: NDArray[np.bool_]) -> int:
    """The least of |learners of A| - |A| over all sets A of agents, of a support [N, M]."""
    agents = range(held.shape[1])
    sets = itertools.chain.from_iterable(itertools.combinations(agents, size) for size in range(1, len(agents) + 1))
    return min(int(held[:, list(chosen)].any(axis=1).sum()) - len(chosen) for chosen in sets)


def condition(rows: Floats) -> float:
    """The condition number of rows of unit norm; rows of zeros stay."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return float(np.linalg.cond(rows / np.where(norms > 0, norms, 1.0)))


def first_decodable(matrix: Floats, times: Floats) -> float:
    """When the rows that have arrived, at `times` [N], have full rank for the first time; infinite if never."""
    for until in np.unique(times[np.isfinite(times)]):
        if rank(matrix[times <= until]) == matrix.shape[1]:
            return float(until)
    return math.inf


def waits(matrix: Floats, slow: int, delay: float, update: float, transfer: float) -> list[float]:
    """Of an iteration, for each set of so many learners that are late by a delay: T_j = w_j t_u + D_j + B/R."""
    weights, learners = (matrix != 0).sum(axis=1), range(len(matrix))
    return [
        first_decodable(matrix, weights * update + transfer + np.isin(learners, late) * delay)
        for late in itertools.combinations(learners, slow)
    ]


def ring(numbers: Sequence[int], capacity: int) -> list[int]:
    """What a replay keeps of transitions that came in this order."""
    kept: list[int] = []
    for number in numbers:
        kept.append(number)
        if len(kept) > capacity:
            kept.pop(0)
    return kept


def push(one: Point, other: Point, reach: float) -> Point:
    """The force on a particle from another one that it touches within `reach`, which is softened."""
    away = one[0] - other[0], one[1] - other[1]
    distance = math.hypot(*away)
    if distance == 0:
        return 0.0, 0.0
    depth = (reach - distance) / MARGIN
    softened = MARGIN * (depth if depth > 500 else math.log1p(math.exp(depth)))
    return STIFFNESS * softened * away[0] / distance, STIFFNESS * softened * away[1] / distance


def moved(
    agent: Point, velocity: Point, action: Sequence[float], others: Sequence[tuple[Point, float]], acceleration: float, top_speed: float
) -> tuple[Point, Point]:
    """Where an agent is after a step, and how fast: it goes by its old velocity, which is then damped and accelerated.

    Args:
        action: nothing, left, right, down, up.
        others: what pushes it, and within which distance.
        top_speed: infinite where there is none.
    """
    strengths = [min(max(part, 0.0), 1.0) for part in action]
    force = [acceleration * (strengths[2] - strengths[1]), acceleration * (strengths[4] - strengths[3])]
    for other, reach in others:
        for axis, part in enumerate(push(agent, other, reach)):
            force[axis] += part
    x, y = (speed * (1 - DAMPING) + part * TIME_STEP for speed, part in zip(velocity, force, strict=True))
    brake = min(1.0, top_speed / (math.hypot(x, y) or 1.0))
    return (agent[0] + velocity[0] * TIME_STEP, agent[1] + velocity[1] * TIME_STEP), (x * brake, y * brake)


def module(sizes: Sequence[int], flat: Tensor) -> nn.Sequential:
    """A perceptron of torch with the parameters of a flat vector, float64."""
    layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair, dtype=torch.float64), nn.ReLU())][:-1]
    made = nn.Sequential(*layers)
    nn.utils.vector_to_parameters(flat.clone(), made.parameters())
    return made


def behaviour(kind: str, logits: Tensor) -> Tensor:
    """Actions in [0, 1] by the definitions of sigmoid and softmax."""
    return 1 / (1 + torch.exp(-logits)) if kind == "box" else torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)


def update(problem: Problem, state: AgentState, batch: Minibatch, iteration: int, agent: int, rate: float) -> dict[str, Tensor]:
    """The fields of an agent's next state: critic step, actor step by the new critic, then the targets (Lowe et al. 2017).

    Args:
        rate: of this iteration, as a part of the first one's.

    Shapes:
        everything float64.
    """
    config, spec = problem.config, problem.specs[agent]
    inputs, own, seen = _seen(problem, agent, batch.joint)
    ahead, _own, _observation = _seen(problem, agent, batch.next_joint)
    policy_sizes = (spec.observation, config.hidden, config.hidden, spec.actions)
    critic_sizes = (inputs.shape[1], config.hidden, config.hidden, 1)
    policy, target_policy = module(policy_sizes, state.policy), module(policy_sizes, state.target_policy)
    critic, target_critic = module(critic_sizes, state.critic), module(critic_sizes, state.target_critic)
    policy_adam = _adam(policy, rate * config.actor_lr, state.policy_m, state.policy_v, state.steps)
    critic_adam = _adam(critic, rate * config.critic_lr, state.critic_m, state.critic_v, state.steps)

    goal = batch.rewards[:, [agent]] + config.gamma * (1 - batch.terminated[:, [agent]]) * target_critic(ahead).detach()
    nn.functional.mse_loss(critic(inputs), goal).backward()
    nn.utils.clip_grad_norm_(critic.parameters(), config.clip)
    critic_adam.step()

    logits = policy(batch.joint[:, seen])
    drawn = noise(spec.kind, len(logits), spec.actions, problem.generator(iteration, agent, Purpose.POLICY))
    anew = inputs.clone()
    anew[:, own] = behaviour(spec.kind, logits + drawn)
    (-critic(anew).mean() + config.logit_penalty * (logits**2).mean()).backward()
    nn.utils.clip_grad_norm_(policy.parameters(), config.clip)
    policy_adam.step()

    found = {}
    for name, made, target, adam in (("policy", policy, target_policy, policy_adam), ("critic", critic, target_critic, critic_adam)):
        found[name] = nn.utils.parameters_to_vector(made.parameters()).detach()
        old = nn.utils.parameters_to_vector(target.parameters()).detach()
        found[f"target_{name}"] = (1 - config.tau) * old + config.tau * found[name]
        for key, moment in (("m", "exp_avg"), ("v", "exp_avg_sq")):
            found[f"{name}_{key}"] = torch.cat([adam.state[parameter][moment].flatten() for parameter in made.parameters()])
    return found


def _adam(network: nn.Module, rate: float, m: Tensor, v: Tensor, steps: int) -> torch.optim.Adam:
    """torch's Adam, in the middle of its work."""
    adam = torch.optim.Adam(network.parameters(), lr=rate)
    at = 0
    for parameter in network.parameters():
        part = slice(at, at + parameter.numel())
        moments = {"exp_avg": m[part].view_as(parameter).clone(), "exp_avg_sq": v[part].view_as(parameter).clone()}
        adam.state[parameter] = {"step": torch.tensor(float(steps)), **moments}
        at += parameter.numel()
    return adam


def _seen(problem: Problem, agent: int, joint: Tensor) -> tuple[Tensor, slice, slice]:
    """What an agent's critic sees of joint rows, where its own action stands in that, and where its observation stands in the rows."""
    spec: AgentSpec = problem.specs[agent]
    observations = np.cumsum([0] + [other.observation for other in problem.specs])
    actions = observations[-1] + np.cumsum([0] + [other.actions for other in problem.specs])
    seen, done = slice(*observations[agent : agent + 2]), slice(*actions[agent : agent + 2])
    if (problem.config.adversary if spec.team == "adversary" else problem.config.good) == "ddpg":
        return torch.cat([joint[:, seen], joint[:, done]], 1), slice(spec.observation, spec.observation + spec.actions), seen
    return joint.clone(), done, seen
