# SPDX-License-Identifier: Apache-2.0
"""Notices two robots that go by one name."""

from __future__ import annotations

from lwd_learner_bridge.store.notice import Notice


class Namesakes:
    """Who was heard of. A new spool under an old name is fine, two by turns are not."""

    def __init__(self) -> None:
        """Have heard of nobody."""
        self._machines: dict[str, list[str]] = {}
        self.problems: dict[str, str] = {}
        """By robot."""

    def hear(self, notice: Notice) -> str:
        """Take note of who sent a notice; returns what is wrong the first time, else ''."""
        machines = self._machines.setdefault(notice.robot, [])
        if notice.machine in machines[:-1] and notice.robot not in self.problems:
            self.problems[notice.robot] = (
                f'two machines upload as {notice.robot}: give each robot a name of its own; all '
                'their episodes are kept')
            return self.problems[notice.robot]
        if notice.machine not in machines:
            machines.append(notice.machine)
        return ''
