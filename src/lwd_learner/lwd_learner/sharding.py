# SPDX-License-Identifier: Apache-2.0
"""Networks spread over processes (FSDP2): each keeps its rows of every weight and its gradients.

Parameters are whole only while a part of the network computes. What leaves a network is whole all
the same: its state dictionary and its optimiser's hold plain tensors, and take them back, so that
checkpoints do not tell how many processes wrote them. Taking one is a joint act: all processes
must ask for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from lwd_policy.backbone import Backbone
from lwd_policy.critic import Critic
from lwd_policy.expert import TransformerExpert
from lwd_policy.policy import FlowPolicy


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Spread a network's parameters over the processes of a mesh; buffers stay with all."""
    for unit in _units(network):
        if isinstance(unit, TransformerExpert):
            for layer in _layers(unit):
                fully_shard(layer, mesh=mesh, reshard_after_forward=True)
        # Not kept whole after a forward pass, not even at the top: a weight that an optimiser or
        # an average changes must be the one that the next pass gathers.
        fully_shard(unit, mesh=mesh, reshard_after_forward=True)
        unit.register_state_dict_post_hook(_gather_weights)
        unit.register_load_state_dict_pre_hook(_scatter_weights)
    # Outputs are never written into here, which is what it warns of.
    warnings.filterwarnings('ignore', 'FSDP2-wrapped module .* returned a view', UserWarning)


def _units(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the largest parts that are only ever used as a whole, by calling them."""
    for child in network.children():
        if isinstance(child, nn.ModuleList | Backbone):
            yield from _units(child)
        elif any(True for _ in child.parameters()):
            yield child


def _layers(expert: TransformerExpert) -> Iterator[list[nn.Module]]:
    """Yield the parts of each layer, so that no more than one is whole at a time."""
    for parts in zip(expert.attention_modulations, expert.project, expert.merge,
                     expert.modulations, expert.blocks):
        yield list(parts)


def whole(network: FlowPolicy | Critic) -> Any:
    """Return a network that any process can use on its own: itself, or a copy if it is spread."""
    if not any(isinstance(one, DTensor) for one in network.parameters()):
        return network
    if isinstance(network, Critic):
        copy: nn.Module = Critic(network.config, network.encoder.config)
    else:
        copy = FlowPolicy(network.config)
    copy.load_state_dict(network.state_dict())
    return copy.to(next(network.parameters()).device).train(network.training)


def whole_state(optimiser: torch.optim.Optimizer) -> None:
    """Let an optimiser's state dictionary be whole, whether or not its parameters are spread."""
    optimiser.register_state_dict_post_hook(_gather_moments)
    optimiser.register_load_state_dict_pre_hook(_scatter_moments)


def _gathered(value: Any) -> Any:
    return value.full_tensor() if isinstance(value, DTensor) else value


def _scattered(value: Any, like: Tensor) -> Any:
    """Return the rows of a whole value that this process keeps of one that is spread."""
    if (isinstance(like, DTensor) and isinstance(value, Tensor)
            and not isinstance(value, DTensor) and value.shape == like.shape):
        # All processes have all of it: nothing is sent.
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements,
                                 src_data_rank=None)
    return value


def _gather_weights(
    module: nn.Module, state: dict[str, Any], prefix: str, metadata: Mapping[str, Any],
) -> None:
    del module, metadata
    for name, value in state.items():
        if name.startswith(prefix):
            state[name] = _gathered(value)


def _scatter_weights(
    module: nn.Module, state: dict[str, Any], prefix: str, *_: Any,
) -> None:
    for name, parameter in module.named_parameters():
        if prefix + name in state:
            state[prefix + name] = _scattered(state[prefix + name], parameter)


def _gather_moments(
    optimiser: torch.optim.Optimizer, state: dict[str, Any],
) -> dict[str, Any]:
    del optimiser
    return {**state, 'state': {
        index: {name: _gathered(value) for name, value in kept.items()}
        for index, kept in state['state'].items()}}


def _scatter_moments(
    optimiser: torch.optim.Optimizer, state: dict[str, Any],
) -> dict[str, Any]:
    parameters = [one for group in optimiser.param_groups for one in group['params']]
    indices = [index for group in state['param_groups'] for index in group['params']]
    of = dict(zip(indices, parameters))
    return {**state, 'state': {
        index: {name: _scattered(value, of[index]) for name, value in kept.items()}
        if index in of else kept for index, kept in state['state'].items()}}
