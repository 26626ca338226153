"""Fold batch norm into the convolution before it: the same function in evaluation mode, with fewer and smaller operations."""

from __future__ import annotations

import copy
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy of the network, in evaluation mode, without the batch norms that directly follow a convolution.

    Following means: the next child of the same parent, in the order of definition, which is the order of use in this package's networks
    (ResNet's `conv1, bn1`, `Sequential(conv, norm, ...)`).
    """
    folded = copy.deepcopy(network).eval()
    for parent in list(folded.modules()):
        children = list(parent.named_children())
        for (name, conv), (follower, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, follower, nn.Identity())
    return folded
