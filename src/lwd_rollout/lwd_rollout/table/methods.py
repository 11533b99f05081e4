# SPDX-License-Identifier: Apache-2.0
"""The methods: which algorithm, with which settings, after which other one, on whose data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lwd_learner.training import Name
from lwd_rollout.errors import TableError
from lwd_rollout.table.protocol import Stage
from lwd_ros.errors import alternatives

Group = Literal['method', 'ablation', 'control']


@dataclass(frozen=True)
class Method:
    """One row of the table."""

    name: str
    title: str
    algorithm: Name
    stage: Stage = 'offline'
    group: Group = 'method'
    after: str = ''
    """Method whose policy of the same seed it begins from; its whole state, if the algorithm is
    the same. Empty: from random weights."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Beyond those that all methods of the algorithm have."""
    operator: bool = True
    """Online: whether a human corrects."""
    data_of: str = ''
    """Online: method whose episodes it trains on, round by round; empty: it collects its own."""
    long_share: float = 1.0
    """Part of its critic's offline updates with the long n; those behind it have the short one."""
    alone: bool = False
    """Whether `reference` is all the updates that it has: what others begin from."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Methods that must be trained before it."""
        return tuple(name for name in (self.after, self.data_of) if name)

    @property
    def has_critic(self) -> bool:
        """Whether it learns Q, so that its critic can choose chunks and be judged."""
        return self.algorithm in ('lwd', 'iql_qam')

    @property
    def judge(self) -> str:
        """The method whose critic chooses for best-of-n: its own if it has one."""
        if self.has_critic:
            return self.name
        return 'lwd_online' if self.stage == 'online' else 'lwd_offline'


_ALL = (
    Method('sft', 'SFT', 'sft', alone=True),
    Method('recap_offline', 'RECAP, offline', 'recap'),
    Method('recap', 'RECAP', 'recap', 'online', after='recap_offline'),
    Method('hg_dagger', 'HG-DAgger', 'hg_dagger', 'online', after='sft_long'),
    Method('lwd_offline', 'LWD, offline', 'lwd', after='sft'),
    Method('lwd_online', 'LWD, online', 'lwd', 'online', after='lwd_offline',
           settings={'lwd.reference': 'frozen'}),
    Method('lwd_refreshed', 'LWD, online, refreshed reference', 'lwd', 'online', 'ablation',
           after='lwd_offline', settings={'lwd.reference': 'refreshed'}),
    Method('expectile_offline', 'expectile, offline', 'iql_qam', 'offline', 'ablation',
           after='sft'),
    Method('expectile_online', 'expectile, online', 'iql_qam', 'online', 'ablation',
           after='expectile_offline', settings={'lwd.reference': 'frozen'}),
    Method('constant_tau_offline', 'constant tau, offline', 'lwd', 'offline', 'ablation',
           after='sft', settings={'lwd.value.divl.alpha': 0.0}),
    Method('constant_tau_online', 'constant tau, online', 'lwd', 'online', 'ablation',
           after='constant_tau_offline',
           settings={'lwd.value.divl.alpha': 0.0, 'lwd.reference': 'frozen'}),
    Method('n1_offline', 'n = 1, offline', 'lwd', 'offline', 'ablation', after='sft',
           settings={'lwd.td.fixed_n': 1}),
    Method('n1_online', 'n = 1, online', 'lwd', 'online', 'ablation', after='lwd_offline',
           settings={'lwd.td.online_n': 1, 'lwd.reference': 'frozen'}),
    Method('own_encoder', "critic's encoder not from the reference, offline", 'lwd', 'offline',
           'ablation', after='sft', settings={'lwd.critic_encoder': 'own'}),
    Method('settled_offline', 'n = 10, then 1, offline', 'lwd', 'offline', 'ablation', after='sft',
           long_share=0.25),
    Method('reference_path', "QAM over the reference's path, offline", 'lwd', 'offline',
           'ablation', after='sft', settings={'lwd.qam.path': 'reference'}),
    Method('plain_actions', 'critic sees joint targets only, offline', 'lwd', 'offline',
           'ablation', after='sft', settings={'lwd.value.critic.encoding': 'plain'}),
    Method('no_interventions', 'LWD, online, without interventions', 'lwd', 'online', 'ablation',
           after='lwd_offline', settings={'lwd.reference': 'frozen'}, operator=False),
    Method('sft_long', 'SFT, trained equally long', 'sft', 'offline', 'control'),
    Method('filtered_same', "filtered BC, LWD's online data", 'sft', 'online', 'control',
           after='sft_long', data_of='lwd_online'),
    Method('filtered_self', 'filtered BC, its own online data', 'sft', 'online', 'control',
           after='sft_long'),
    Method('shuffled', 'LWD, offline, critic of shuffled outcomes', 'lwd', 'offline', 'control',
           after='sft', settings={'lwd.value.shuffle_outcomes': True}),
)
METHODS: Mapping[str, Method] = {method.name: method for method in _ALL}
REFERENCE = 'sft'
"""Whose chunks all critics are asked about."""


def chosen(names: Iterable[str]) -> list[Method]:
    """Return the methods of some names, or all, with those that they need, in the table's order.

    Raises:
        TableError: A name is unknown.
    """
    wanted = list(names) or list(METHODS)
    found: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in METHODS:
            raise TableError(f'unknown method {name!r}{alternatives(name, METHODS)}')
        if name not in found:
            found.add(name)
            wanted += METHODS[name].needs
    return [method for method in _ALL if method.name in found]


def judges(methods: Iterable[Method]) -> list[Method]:
    """Return the methods with those added whose critics choose chunks for them."""
    return chosen([name for method in methods for name in (method.name, method.judge)])


def needed_first(methods: Iterable[Method]) -> list[Method]:
    """Return the methods so that each comes behind those that it needs."""
    found: list[Method] = []

    def place(method: Method) -> None:
        for name in method.needs:
            place(METHODS[name])
        if method not in found:
            found.append(method)

    for method in methods:
        place(method)
    return found
