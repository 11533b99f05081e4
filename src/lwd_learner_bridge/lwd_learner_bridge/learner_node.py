# SPDX-License-Identifier: Apache-2.0
"""A node around the learner: it trains in a thread of its own and says what it does."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, replace

from rclpy.node import Node

from lwd_data.errors import DataError
from lwd_learner.errors import LearnerError
from lwd_learner_bridge.errors import BridgeError
from lwd_learner_bridge.online import OnlineLearner
from lwd_learner_bridge.online_config import OnlineConfig, Standing
from lwd_msgs.msg import LearnerStatus
from lwd_policy.errors import PolicyError
from lwd_ros.diagnostics import ERROR, OK, Diagnostics, Health
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import LATCHED

TOPIC = '/lwd/learner/status'
_PERIOD = 1.0  # s
_NOBODY_KNOWS = Standing(0, 0, '', '', 0, 0, 0, 0, '', 0)


class _StopError(Exception):
    """Ends the training between two updates."""


@dataclass(frozen=True)
class _State:
    """What the training thread last said of itself; replaced as a whole."""

    state: int = LearnerStatus.STATE_STARTING
    standing: Standing = _NOBODY_KNOWS
    metrics: tuple[tuple[str, float], ...] = ()
    detail: str = ''


class LearnerNode(Node):
    """Trains on what the store holds, and publishes where it stands once a second."""

    def __init__(self, **options: object) -> None:
        """Begin or go on with the run of the parameters."""
        super().__init__('learner', **options)
        self.config = declare(self, OnlineConfig)
        self._now = _State()
        self._crash: BaseException | None = None
        self._ending = threading.Event()
        self._status = self.create_publisher(LearnerStatus, TOPIC, LATCHED)
        self._timer = self.create_timer(_PERIOD, self._report)
        self._diagnostics = Diagnostics(self, self._health, hardware_id='learner')
        self._thread = threading.Thread(target=self._work, name='learner')
        self._thread.start()

    def destroy_node(self) -> None:
        """End the training with a checkpoint, then the node."""
        self._ending.set()
        self._thread.join()
        self._now = replace(self._now, state=LearnerStatus.STATE_STOPPED)
        self._report()
        super().destroy_node()

    def _work(self) -> None:
        try:
            self._train()
        except _StopError:
            pass
        except (LearnerError, PolicyError, DataError, BridgeError) as error:
            # Known and lasting: beginning again would only meet it again.
            self._now = replace(self._now, state=LearnerStatus.STATE_FAULT, detail=str(error))
            self.get_logger().error(str(error))
        except BaseException as error:  # noqa: BLE001  raised in the main thread
            self._crash = error

    def _train(self) -> None:
        learner = OnlineLearner(
            self.config, say=lambda text: self.get_logger().info(text),
            on_update=lambda: self._told(learner, LearnerStatus.STATE_TRAINING, stop=True))
        try:
            learner.publish_start()
            while not self._ending.is_set():
                found = learner.step()
                self._told(learner, LearnerStatus.STATE_WAITING)
                if found is None:
                    self._ending.wait(_PERIOD)
                else:
                    self.get_logger().info(
                        f'published policy {found.version[:12]}, number {found.number}, after '
                        f'{found.update} updates')
        except _StopError:
            # Between two updates everything that is needed to go on is there.
            learner.trainer.save()
            raise
        finally:
            learner.close()

    def _told(self, learner: OnlineLearner, state: int, *, stop: bool = False) -> None:
        standing = learner.standing
        missing = standing.wanted_windows - standing.online_windows
        self._now = _State(
            state, standing, tuple(learner.trainer.last_metrics.items()),
            f'waits for {missing} more windows' if state == LearnerStatus.STATE_WAITING else
            standing.phase)
        if stop and self._ending.is_set():
            raise _StopError

    def _report(self) -> None:
        if self._crash is not None:
            raise self._crash
        now = self._now
        standing = now.standing
        message = LearnerStatus(
            state=now.state, stage='online', algorithm=self.config.train.algorithm,
            update=standing.update, snapshot=standing.snapshot, episodes=standing.episodes,
            transitions=standing.windows, published_version=standing.published,
            publications=standing.publications, detail=now.detail,
            metric_names=[name for name, _ in now.metrics],
            metric_values=[float(value) for _, value in now.metrics])
        message.header.stamp = self.get_clock().now().to_msg()
        self._status.publish(message)

    def _health(self) -> Health:
        now = self._now
        values = {
            'updates': now.standing.update, 'rounds': now.standing.round,
            'episodes': now.standing.episodes, 'online windows': now.standing.online_windows,
            'published': now.standing.published[:12] or 'nothing'}
        if now.state == LearnerStatus.STATE_FAULT:
            return Health(ERROR, now.detail, values)
        return Health(OK, now.detail or 'starting', values)


def main() -> int:
    """Run the node."""
    return run(LearnerNode)


if __name__ == '__main__':
    sys.exit(main())
