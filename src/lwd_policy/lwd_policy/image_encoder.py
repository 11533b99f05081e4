# SPDX-License-Identifier: Apache-2.0
"""Encodes camera images as tokens: one for each patch of the last feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImageTokens(nn.Module):
    """A small convolutional network, shared by the cameras, which differ by an embedding.

    Group norms and no batch statistics: the same image gives the same tokens in training and on
    the robot, alone or in a batch.
    """

    def __init__(self, cameras: tuple[str, ...], size: int, width: int) -> None:
        """Build it for square images of a size, pixels."""
        super().__init__()
        self.cameras, self.size = cameras, size
        channels = (32, 64, 96, width)
        layers: list[nn.Module] = []
        before = 3
        for i, after in enumerate(channels):
            layers += [nn.Conv2d(before, after, 5 if i == 0 else 3, 2, 2 if i == 0 else 1),
                       nn.GroupNorm(8, after), nn.GELU()]
            before = after
        self.net = nn.Sequential(*layers)
        side = size
        for _ in channels:
            side = (side + 1) // 2
        self.side = side
        self.place = nn.Parameter(torch.randn(len(cameras), side * side, width) * 0.1)

    def forward(self, images: dict[str, Tensor]) -> Tensor:
        """Return tokens, (B, cameras * side^2, width), of images (B, size, size, 3) uint8."""
        stacked = torch.cat([images[name] for name in self.cameras])
        values = stacked.permute(0, 3, 1, 2).to(self.place.dtype) / 127.5 - 1.0
        tokens = self.net(values).flatten(2).transpose(1, 2)
        per_camera = tokens.unflatten(0, (len(self.cameras), -1)) + self.place[:, None]
        return per_camera.transpose(0, 1).flatten(1, 2)
