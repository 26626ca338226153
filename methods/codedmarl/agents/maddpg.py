"""MADDPG (Lowe et al. 2017) as the paper's learners compute it: the update of one agent is a pure function of what was broadcast.

Random numbers come from (seed, iteration, agent, purpose), torch runs on one thread, and every process computes from arrays of the same
alignment. So it does not matter which learner updates an agent, nor which others it updates: the result has the same bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.adam import adam

from ...common.errors import PprError
from ...common.measuring.cores import torch_threads
from ..config import TrainConfig
from ..environments import AgentSpec
from ..network import noise, squash
from .problem import Problem, Purpose
from .state import AgentState

ALIGNMENT = 64  # bytes, torch's own; MKL promises the same bits only for arrays of the same alignment


@dataclass(frozen=True)
class Minibatch:
    """Transitions of all agents at the same B times.

    Args:
        joint: float32 [B, width], all observations, then all actions.
        next_joint: float32 [B, width], the next observations and what the target policies do there.
        rewards: float32 [B, M].
        terminated: float32 [B, M], 1 where an agent's task ended. An episode that is cut off by its length goes on for the critics.
    """

    joint: Tensor
    next_joint: Tensor
    rewards: Tensor
    terminated: Tensor


def target_actions(problem: Problem, states: Sequence[AgentState], observations: Tensor, iteration: int) -> Tensor:
    """What the target policies do, with their noise: observations of all agents [B, …] -> actions of all agents [B, …]."""
    actions = []
    with torch_threads(1):
        for agent, (spec, state) in enumerate(zip(problem.specs, states, strict=True)):
            actor = problem.actor(agent)
            logits = actor.forward(actor.layers(state.target_policy), observations[:, problem.observation_columns[agent]])
            drawn = noise(spec.kind, len(logits), spec.actions, problem.generator(iteration, agent, Purpose.TARGET))
            actions.append(squash(spec.kind, logits + drawn))
    return torch.cat(actions, 1)


def update(problem: Problem, state: AgentState, minibatch: Minibatch, iteration: int, agent: int) -> NDArray[np.float32]:
    """What a learner computes for one agent: its gradients [critic, policy], or with payload "params" its whole new state.

    Raises:
        PprError: a gradient that is not finite; it names the agent.
    """
    with torch_threads(1):
        gradient = _gradient(problem, state, minibatch, iteration, agent)
        if problem.config.payload == "params":
            return _descended(problem, state, gradient, iteration, agent).vector.numpy()
        return gradient.numpy()


def apply(problem: Problem, state: AgentState, payload: NDArray[np.float32], iteration: int, agent: int) -> AgentState:
    """The controller's half: the agent's next state from what a learner sent, or what was decoded of it.

    Args:
        payload: float32, at least as long as the agent's payload; what is behind that is padding.

    Raises:
        PprError: something in it is not finite; it names the agent.
    """
    length = payload_lengths(problem.specs, problem.config)[agent]
    with torch_threads(1):
        received = torch.tensor(payload[:length])
        if problem.config.payload == "grad":
            return _descended(problem, state, received, iteration, agent)
        if not torch.isfinite(received).all():
            raise _not_finite(problem, iteration, agent, "parameters")
        new = AgentState(received, state.policy_length, state.steps + 1)
        for moments in (new.policy_v, new.critic_v):
            moments.clamp_(min=0)  # decoding over the reals can round them below
        return new


def _gradient(problem: Problem, state: AgentState, minibatch: Minibatch, iteration: int, agent: int) -> Tensor:
    """Unclipped gradients of the critic's and the policy's loss, the latter by the critic after its own step; [C + P]."""
    critic_gradient, stepped = _critic_gradient(problem, state, minibatch, agent), state.successor()
    _step(problem, stepped, "critic", critic_gradient, iteration, agent)
    return torch.cat([critic_gradient, _policy_gradient(problem, state.policy, stepped.critic, minibatch, iteration, agent)])


def _critic_gradient(problem: Problem, state: AgentState, minibatch: Minibatch, agent: int) -> Tensor:
    """Of the mean squared error against r + gamma Q'(o', a'); [C]."""
    critic = problem.critic(agent)
    with torch.no_grad():
        ahead = critic.forward(critic.layers(state.target_critic), _critic_inputs(problem, minibatch.next_joint, agent)).squeeze(1)
        goal = minibatch.rewards[:, agent] + problem.config.gamma * (1 - minibatch.terminated[:, agent]) * ahead
    layers = [part.detach().requires_grad_() for part in critic.layers(state.critic)]
    values = critic.forward(layers, _critic_inputs(problem, minibatch.joint, agent)).squeeze(1)
    return _flat(torch.autograd.grad((values - goal).square().mean(), layers))


def _policy_gradient(problem: Problem, policy: Tensor, critic_parameters: Tensor, batch: Minibatch, iteration: int, agent: int) -> Tensor:
    """Of -mean Q(o, a with the agent's own action anew) + penalty * mean(logits^2); [P].

    Of the critic's input only the agent's own action differs from the minibatch. So its first layer is applied to the minibatch as it
    is, without gradients, and then corrected by the difference of the actions.
    """
    spec, actor, critic = problem.specs[agent], problem.actor(agent), problem.critic(agent)
    layers = [part.detach().requires_grad_() for part in actor.layers(policy)]
    logits = actor.forward(layers, batch.joint[:, problem.observation_columns[agent]])
    drawn = noise(spec.kind, len(logits), spec.actions, problem.generator(iteration, agent, Purpose.POLICY))
    actions = squash(spec.kind, logits + drawn)
    weight, bias, *_rest = critic_layers = critic.layers(critic_parameters)
    inputs, own = _critic_inputs(problem, batch.joint, agent), _own_columns(problem, agent)
    first = torch.addmm(bias, inputs, weight.T) + (actions - inputs[:, own]) @ weight[:, own].T
    loss = -critic.behind_first(critic_layers, first).mean() + problem.config.logit_penalty * logits.square().mean()
    return _flat(torch.autograd.grad(loss, layers))


def _critic_inputs(problem: Problem, joint: Tensor, agent: int) -> Tensor:
    """Joint rows, or of a critic that sees its agent alone its observation and action."""
    if problem.centralised(agent):
        return joint
    return torch.cat([joint[:, problem.observation_columns[agent]], joint[:, problem.action_columns[agent]]], 1)


def _own_columns(problem: Problem, agent: int) -> slice:
    """The agent's action in what its critic sees."""
    spec = problem.specs[agent]
    return problem.action_columns[agent] if problem.centralised(agent) else slice(spec.observation, spec.observation + spec.actions)


def _flat(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def _descended(problem: Problem, state: AgentState, gradient: Tensor, iteration: int, agent: int) -> AgentState:
    """The state after clipping, Adam's steps and the step of the targets."""
    new = state.successor()
    critic, policy = gradient.split([state.critic_length, state.policy_length])
    _step(problem, new, "critic", critic, iteration, agent)
    _step(problem, new, "policy", policy, iteration, agent)
    new.target_policy.lerp_(new.policy, problem.config.tau)
    new.target_critic.lerp_(new.critic, problem.config.tau)
    return new


def _step(problem: Problem, new: AgentState, network: Literal["critic", "policy"], gradient: Tensor, iteration: int, agent: int) -> None:
    """Adam's step number `new.steps` (Kingma & Ba 2015) in place, with the gradient scaled to a norm of `clip` where it is longer.

    Raises:
        PprError: a gradient that is not finite.
    """
    config = problem.config
    norm = gradient.norm()
    if not torch.isfinite(norm):
        raise _not_finite(problem, iteration, agent, f"gradient of the {network}")
    adam(
        [getattr(new, network)],
        [gradient * (config.clip / (norm + 1e-6)).clamp(max=1)],
        [getattr(new, f"{network}_m")],
        [getattr(new, f"{network}_v")],
        [],
        [torch.tensor(new.steps - 1.0)],
        foreach=False,
        amsgrad=False,
        beta1=0.9,
        beta2=0.999,
        lr=problem.rate(config.critic_lr if network == "critic" else config.actor_lr, iteration),
        weight_decay=0.0,
        eps=1e-8,
        maximize=False,
    )


def _not_finite(problem: Problem, iteration: int, agent: int, what: str) -> PprError:
    return PprError(
        f"agent {problem.specs[agent].name}: the {what} is not finite in iteration {iteration}",
        hint="lower actor_lr and critic_lr; the last saved state is from before",
    )


def payload_lengths(specs: tuple[AgentSpec, ...], config: TrainConfig) -> list[int]:
    """Numbers in what a learner computes for each agent."""
    problem, copies = Problem(specs, config), 4 if config.payload == "params" else 1
    return [copies * (problem.actor(agent).length + problem.critic(agent).length) for agent in range(len(specs))]


def published(states: Sequence[AgentState], minibatch: Minibatch) -> dict[str, NDArray[np.generic]]:
    """What is broadcast in an iteration, as arrays that share their memory with the tensors."""
    arrays: dict[str, NDArray[np.generic]] = {f"agent.{agent}": state.vector.numpy() for agent, state in enumerate(states)}
    arrays |= {f"minibatch.{name}": tensor.numpy() for name, tensor in vars(minibatch).items()}
    return arrays | {"steps": np.array([state.steps for state in states], np.int64)}


def restored(problem: Problem, arrays: Mapping[str, NDArray[np.generic]], agent: int) -> tuple[AgentState, Minibatch]:
    """The minibatch and one agent's state from what was published, without a copy where memory is aligned as torch's."""
    state = AgentState(_aligned(arrays[f"agent.{agent}"]), problem.actor(agent).length, int(arrays["steps"][agent]))
    return state, Minibatch(*(_aligned(arrays[f"minibatch.{name}"]) for name in Minibatch.__dataclass_fields__))


def _aligned(array: NDArray[np.generic]) -> Tensor:
    if array.ctypes.data % ALIGNMENT or not array.flags.c_contiguous:
        return torch.tensor(array)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # nothing here writes to it
        return torch.from_numpy(array)


@dataclass(frozen=True)
class Computation:
    """What a learner calls: (what was published, iteration, agent) -> that agent's update. Can be pickled."""

    problem: Problem

    def __call__(self, arrays: Mapping[str, NDArray[np.generic]], iteration: int, agent: int) -> NDArray[np.float32]:
        """As `update`."""
        state, minibatch = restored(self.problem, arrays, agent)
        return update(self.problem, state, minibatch, iteration, agent)
