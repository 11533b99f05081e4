# SPDX-License-Identifier: Apache-2.0
"""Where training runs: device, precision, and one of several processes.

Data parallelism is PyTorch's own (DDP). Random numbers are drawn for the
whole batch and each rank takes its rows, so that W processes compute what one would.
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

from lwd_learner.errors import ConfigError


@dataclass(frozen=True)
class EngineConfig:
    """Device and precision."""

    device: str = 'auto'
    """auto takes a GPU if there is one."""
    precision: Literal['auto', 'fp32', 'bf16'] = 'auto'
    """bf16 computes losses under autocast; auto does so on a GPU."""
    threads: int = 0
    """Of PyTorch on a CPU; 0 leaves its choice."""
    compile: bool = False
    """Whether to compile the networks (torch.compile); pays on a GPU."""


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
        if self.world_size > 1 and not dist.is_initialized():
            dist.init_process_group('nccl' if self.device.type == 'cuda' else 'gloo')

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
        ids = [self.device.index] if self.device.type == 'cuda' else None
        return nn.parallel.DistributedDataParallel(
            module, device_ids=ids, find_unused_parameters=True)

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
