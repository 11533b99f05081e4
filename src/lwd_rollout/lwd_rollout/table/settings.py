# SPDX-License-Identifier: Apache-2.0
"""The training settings of a cell: the protocol's, the budget's share, the method's own."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from lwd_learner.training import TrainConfig
from lwd_rollout.errors import TableError
from lwd_rollout.table.methods import Method
from lwd_rollout.table.protocol import Budget, TableProtocol
from lwd_ros.errors import alternatives

T = TypeVar('T')


def of_cell(protocol: TableProtocol, method: Method, seed: int) -> TrainConfig:
    """Return what a method is trained with."""
    changes = {'algorithm': method.algorithm, 'seed': seed,
               **_shares(protocol.budget, method), **method.settings}
    return functools.reduce(
        lambda config, item: changed(config, item[0], item[1]), changes.items(), protocol.train)


def _shares(budget: Budget, method: Method) -> Mapping[str, Any]:
    """Return the updates of each phase: their sum is the same for all methods."""
    offline = budget.reference if method.alone else budget.offline
    imitation = {'updates': offline, 'online_updates': budget.round}
    long = round(method.long_share * budget.critic)
    refreshed = method.settings.get('lwd.reference') == 'refreshed'
    return {
        **{f'{name}.{key}': value for name in ('sft', 'hg_dagger')
           for key, value in imitation.items()},
        'recap.value_updates': budget.critic,
        'recap.updates': offline - budget.critic,
        'recap.online_value_updates': budget.round - budget.round_actor,
        'recap.online_updates': budget.round_actor,
        'lwd.reference_updates': budget.reference,
        'lwd.critic_updates': long,
        'lwd.settle_updates': budget.critic - long,
        'lwd.actor_updates': budget.actor,
        'lwd.refresh_updates': budget.round_refresh,
        # A reference that stays as it is leaves its updates to the critic.
        'lwd.online_critic_updates':
            budget.round_critic + (0 if refreshed else budget.round_refresh),
        'lwd.online_updates': budget.round_actor,
    }


def changed(config: T, name: str, value: Any) -> T:
    """Return a dataclass with a setting, named by dots, changed.

    Raises:
        TableError: It has none of that name.
    """
    first, _, rest = name.partition('.')
    known = [one.name for one in fields(config)]  # type: ignore[arg-type]
    if first not in known:
        raise TableError(f'there is no setting {name!r}{alternatives(first, known)}')
    inner = getattr(config, first)
    if is_dataclass(inner) != bool(rest):
        raise TableError(f'{name!r} is no setting' + (
            f'; it has settings of its own: {", ".join(one.name for one in fields(inner))}'
            if is_dataclass(inner) else ''))
    new = {first: changed(inner, rest, value) if rest else value}
    return cast('T', replace(cast('Any', config), **new))
