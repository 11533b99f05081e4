# SPDX-License-Identifier: Apache-2.0
"""Networks without random weights, for weights that are about to be loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode


class Unfilled(TorchFunctionMode):
    """Within it the functions of torch.nn.init leave a tensor as it is.

    Random weights take half of the time of reading a small policy.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, unless it fills a tensor."""
        del types
        given = kwargs or {}
        if getattr(func, '__module__', '') == 'torch.nn.init':
            return given['tensor'] if 'tensor' in given else args[0]
        return func(*args, **given)
