# SPDX-License-Identifier: Apache-2.0
"""Where training runs: device, precision, and one of several processes.

Data parallelism is PyTorch's own: with DDP each process has every network, with FSDP2 a part of
each (`sharding.py`). Random numbers are drawn for the whole batch and each rank takes its rows, so
that W processes compute what one would.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from g1_description.errors import alternatives
from lwd_learner.errors import ConfigError
from lwd_learner.sharding import shard

SHARDING = ('none', 'ddp', 'fsdp')


@dataclass(frozen=True)
class EngineConfig:
    """Device and precision."""

    device: str = 'auto'
    """auto takes a GPU if there is one."""
    precision: Literal['auto', 'fp32', 'bf16'] = 'auto'
    """bf16 computes losses under autocast; auto does so on a GPU."""
    threads: int = 0
    """Of PyTorch on a CPU; 0 leaves its choice."""
    sharding: Literal['none', 'ddp', 'fsdp'] = 'ddp'
    """How several processes share the work: ddp, whole networks in each; fsdp, each keeps a part
    of every weight, for networks that do not fit one device. none refuses to be one of several.
    One process has nothing to share."""
    compile: bool = False
    """Whether to compile the networks (torch.compile); pays on a GPU. In one process only."""

    def __post_init__(self) -> None:
        if self.sharding not in SHARDING:
            raise ConfigError(
                f'engine.sharding is {self.sharding!r}{alternatives(self.sharding, SHARDING)}')


class Engine:
    """Device, precision and ranks."""

    def __init__(self, config: EngineConfig | None = None) -> None:
        """Join the other processes if `torchrun` started this one."""
        self.config = config or EngineConfig()
        self.world_size = int(os.environ.get('WORLD_SIZE', '1'))
        self.rank = int(os.environ.get('RANK', '0'))
        if self.config.threads:
            torch.set_num_threads(self.config.threads)
        device = self.config.device
        if device == 'auto':
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
        if device == 'cuda':
            if not torch.cuda.is_available():
                raise ConfigError('engine.device is cuda, but PyTorch sees no GPU here')
            torch.cuda.set_device(int(os.environ.get('LOCAL_RANK', '0')))
        self.device = torch.device(device)
        precision = self.config.precision
        self.bf16 = precision == 'bf16' or (precision == 'auto' and self.device.type == 'cuda')
        self._mesh: DeviceMesh | None = None
        if self.world_size > 1:
            self._join()

    def _join(self) -> None:
        sharding = self.config.sharding
        if sharding == 'none':
            raise ConfigError(
                f'engine.sharding is none, but this is one of {self.world_size} processes; choose '
                'ddp or fsdp, or start one process')
        if self.config.compile:
            raise ConfigError(
                f'engine.compile is on, but this is one of {self.world_size} processes; it is '
                'for one: turn it off')
        if not dist.is_initialized():
            dist.init_process_group('nccl' if self.device.type == 'cuda' else 'gloo')
        if sharding == 'fsdp':
            self._mesh = init_device_mesh(self.device.type, (self.world_size,))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> Any:
        """Return a module whose gradients are those of the whole batch.

        Call what is returned only for the forward pass that training differentiates.
        """
        if self.world_size == 1:
            return torch.compile(module) if self.config.compile else module
        if self._mesh is not None:
            self.spread(module)
            return module
        ids = [self.device.index] if self.device.type == 'cuda' else None
        return nn.parallel.DistributedDataParallel(
            module, device_ids=ids, find_unused_parameters=True)

    def spread(self, module: nn.Module) -> None:
        """Keep a part of a network in each process, where that was chosen.

        For networks that are averages of what `wrap` wrapped: both must lie alike.
        """
        if self._mesh is not None:
            shard(module, self._mesh)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Compute in bf16 where that was chosen."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            yield

    def generator(self, *numbers: int) -> torch.Generator:
        """Return a generator of an update; the same numbers give the same draws on every rank."""
        seed = 0
        for number in numbers:
            seed = (seed * 1_000_003 + number + 1) % (2**63 - 25)
        return torch.Generator().manual_seed(seed)

    def normal(
        self, shape: tuple[int, ...], generator: torch.Generator, *, batch: int = 0,
    ) -> Tensor:
        """Return this rank's rows of standard normal noise.

        Args:
            shape: Of this rank's part.
            generator: The same on every rank.
            batch: Which dimension is the batch.
        """
        return self._rows(torch.randn(self._whole(shape, batch), generator=generator), batch)

    def uniform(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Return this rank's rows of noise in [0, 1)."""
        return self._rows(torch.rand(self._whole(shape, 0), generator=generator), 0)

    def _whole(self, shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
        return (*shape[:batch], shape[batch] * self.world_size, *shape[batch + 1:])

    def _rows(self, values: Tensor, batch: int) -> Tensor:
        part = values.chunk(self.world_size, dim=batch)[self.rank]
        return part.to(self.device)

    def mean(self, value: Tensor | float) -> float:
        """Return the mean of a number over all processes."""
        number = torch.as_tensor(value, dtype=torch.float64).detach().to(self.device)
        if self.world_size > 1:
            dist.all_reduce(number)
            number = number / self.world_size
        return float(number)

    def close(self) -> None:
        """Leave the other processes."""
        if self.world_size > 1 and dist.is_initialized():
            dist.destroy_process_group()
