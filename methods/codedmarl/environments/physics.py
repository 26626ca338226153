"""Point-mass physics of the multi-agent particle environments (Lowe et al. 2017), for E worlds at once.

Constants and order of operations are those of the package mpe2 1.1.1, so that worlds of both go the same way. Everything is float64.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TIME_STEP = 0.1
DAMPING = 0.25  # part of the velocity lost in a step
STIFFNESS = 100.0  # force per unit of penetration
MARGIN = 1e-3  # width of the soft transition between apart and touching
ACCELERATION = 5.0  # of an agent at full action, where the scenario gives none
ACTIONS = 5  # nothing, left, right, down, up

_NEVER_DIVIDE_BY_ZERO = 1e-12


def offsets(position: Tensor, agents: int) -> tuple[Tensor, Tensor]:
    """From each agent to each entity: vectors [E, M, K, 2] and distances [E, M, K], for positions [E, K, 2], the first M of agents."""
    vector = position[:, None] - position[:, :agents, None]
    return vector, (vector[..., 0].square() + vector[..., 1].square()).sqrt()


def contact_forces(vector: Tensor, distance: Tensor, reach: Tensor) -> Tensor:
    """Forces on agents from what they touch.

    The penetration is softened: margin * log(1 + exp((reach - distance) / margin)). Entities in exactly the same place, and with them an
    agent and itself, do not push each other.

    Shapes:
        vector [E, M, C, 2], distance [E, M, C] to the entities that collide; reach [M, C] sums of radii -> [E, M, 2].
    """
    # Radii are below 1, so the exponential stays finite (threshold: argument beyond which torch would leave the logarithm out).
    depth = MARGIN * F.softplus((reach - distance) / MARGIN, threshold=700)
    strength = -STIFFNESS * depth / distance.clamp_min(_NEVER_DIVIDE_BY_ZERO)
    return torch.einsum("emc,emcd->emd", strength, vector)


def action_forces(actions: Tensor, acceleration: Tensor) -> Tensor:
    """Forces [E, M, 2] of actions, float32 [E, M, 5] clipped to [0, 1]: right minus left and up minus down, times acceleration [M, 1]."""
    kept = actions.clamp(0, 1)
    return (kept[..., 2::2] - kept[..., 1::2]).double() * acceleration


def move(position: Tensor, velocity: Tensor, force: Tensor, top_speed: Tensor | None) -> tuple[Tensor, Tensor]:
    """One step of agents: positions [E, M, 2] by the old velocity, then the velocity by damping and force, at most top_speed [M, 1]."""
    position = position + velocity * TIME_STEP
    velocity = velocity * (1 - DAMPING) + force * TIME_STEP
    if top_speed is not None:
        speed = (velocity[..., 0].square() + velocity[..., 1].square()).sqrt()[..., None]
        velocity = torch.where(speed > top_speed, velocity / speed.clamp_min(_NEVER_DIVIDE_BY_ZERO) * top_speed, velocity)
    return position, velocity
