# SPDX-License-Identifier: Apache-2.0
"""Networks and optimisers that may be sharded over processes (FSDP2), and their whole state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict as states
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

_METHODS = ('context', 'velocity', 'values', 'state', 'qs', 'rank')
"""What is called beside forward, and needs the parameters whole."""
_LARGE = 100_000
_WHOLE = states.StateDictOptions(full_state_dict=True, cpu_offload=True)
_SPREAD = states.StateDictOptions(full_state_dict=True, broadcast_from_rank0=False)


def shard(module: nn.Module) -> nn.Module:
    """Shard a network's parameters over all processes, its larger children on their own."""
    for child in module.children():
        if sum(parameter.numel() for parameter in child.parameters()) > _LARGE:
            fully_shard(child, reshard_after_forward=True)
    # By default the root stays whole after its forward pass; averages need parts of one kind.
    fully_shard(module, reshard_after_forward=True)
    for method in _METHODS:
        if hasattr(module, method):
            register_fsdp_forward_method(module, method)
    return module


def is_sharded(module: nn.Module) -> bool:
    """Return whether a network is sharded."""
    return any(hasattr(parameter, 'full_tensor') for parameter in module.parameters())


def full_state(module: nn.Module) -> dict[str, Tensor]:
    """Return a network's whole state. Where it is sharded, every rank must call it."""
    if not is_sharded(module):
        return module.state_dict()
    return {name: value.full_tensor() if hasattr(value, 'full_tensor') else value
            for name, value in module.state_dict().items()}


def load_state(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Give a network its whole state; each rank takes its part."""
    if is_sharded(module):
        states.set_model_state_dict(module, dict(state), options=_SPREAD)
    else:
        module.load_state_dict(state)


def optimiser_state(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the whole state of a network's optimiser."""
    if is_sharded(module):
        return states.get_optimizer_state_dict(module, optimiser, options=_WHOLE)
    return optimiser.state_dict()


def load_optimiser(
    module: nn.Module, optimiser: torch.optim.Optimizer, state: dict[str, Any],
) -> None:
    """Give a network's optimiser its whole state."""
    if is_sharded(module):
        states.set_optimizer_state_dict(module, optimiser, state, options=_SPREAD)
    else:
        optimiser.load_state_dict(state)
