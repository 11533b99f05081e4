# SPDX-License-Identifier: Apache-2.0
"""A node that listens to a fleet and keeps what is known of it up to date."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String

from lwd_bringup.loop.state import (
    EpisodeFact,
    FleetFact,
    LearnerFact,
    PolicyFact,
    RobotFact,
)
from lwd_data.errors import CatalogueError
from lwd_data.replay import database
from lwd_msgs.msg import (
    ControlStep,
    Episode,
    Intervention,
    LearnerStatus,
    PolicyManifest,
    PolicyStatus,
    SegmentUploaded,
)
from lwd_ros.convert import to_ns
from lwd_ros.qos import LATCHED, RECORD

_SOURCES = {
    ControlStep.SOURCE_HOLD: 'hold', ControlStep.SOURCE_POLICY: 'policy',
    ControlStep.SOURCE_TELEOP: 'teleop', ControlStep.SOURCE_EXPERT: 'expert',
    ControlStep.SOURCE_ESTOP: 'estop'}
_LABELS = {
    Episode.LABEL_SUCCESS: 'success', Episode.LABEL_FAILURE: 'failure',
    Episode.LABEL_TIMEOUT: 'timeout', Episode.LABEL_DISCARD: 'discard'}
_LEARNER = {
    LearnerStatus.STATE_STARTING: 'starting', LearnerStatus.STATE_TRAINING: 'training',
    LearnerStatus.STATE_WAITING: 'waiting', LearnerStatus.STATE_STOPPED: 'stopped',
    LearnerStatus.STATE_FAULT: 'fault'}
_LATE = 20
"""Finished episodes among which that of a late message is looked for."""
_UPLOADER, _WAITING = 'uploader', 'episodes not confirmed'
# Control steps of several robots at once, while a busy machine does something else.
_MANY = QoSProfile(depth=2000, reliability=RECORD.reliability, durability=RECORD.durability)


class Monitor(Node):
    """Listens to robots and learner; `fact` is what it knows."""

    def __init__(self, robots: Sequence[str], store: Path, **options: object) -> None:
        """Listen.

        Args:
            robots: Their names.
            store: Folder of the replay catalogue, to see what can be sampled.
            options: For the node.
        """
        super().__init__('monitor', namespace='/lwd', **options)
        self._store, self._began = store, time.monotonic()
        self.fact = FleetFact(robots={name: RobotFact(name) for name in robots})
        self._open: dict[str, EpisodeFact] = {}
        self._take_overs: dict[str, tuple[int, int]] = {}
        """Of each robot's last one: stamp of its begin, number."""
        self._announced: set[tuple[str, int]] = set()
        """Segments: episode and number."""
        for name in robots:
            self._listen(name)
        self.create_subscription(
            LearnerStatus, '/lwd/learner/status', self._on_learner, LATCHED)
        self.create_subscription(
            PolicyManifest, '/lwd/policy/manifest', self._on_manifest, LATCHED)
        self.create_subscription(SegmentUploaded, '/lwd/segments', self._on_segment, _MANY)
        self.create_subscription(String, '/lwd/replay/snapshot', self._on_snapshot, LATCHED)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, _MANY)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def _listen(self, name: str) -> None:
        for kind, topic, callback, quality in (
                (ControlStep, 'control_step', self._on_step, _MANY),
                (Episode, 'episode', self._on_episode, LATCHED),
                (Intervention, 'intervention', self._on_intervention, _MANY),
                (PolicyStatus, 'policy_status', self._on_policy, LATCHED)):
            self.create_subscription(
                kind, f'/{name}/{topic}', partial(callback, self.fact.robots[name]), quality)

    def _on_step(self, robot: RobotFact, message: ControlStep) -> None:
        robot.steps += 1
        robot.control = _SOURCES.get(message.source, 'unknown')
        version = message.policy_version
        if version and (episode := self._open.get(robot.name)) is not None and (
                not episode.versions or episode.versions[-1] != version):
            episode.versions.append(version)

    def _on_episode(self, robot: RobotFact, message: Episode) -> None:
        if message.state == Episode.STATE_RUNNING:
            robot.episode, robot.task = message.episode_id, message.task
            robot.instruction = message.instruction
            episode = self._open.get(robot.name)
            if episode is None or episode.episode != message.episode_id:
                episode = self._open[robot.name] = EpisodeFact(
                    robot.name, message.episode_id, message.task, '', 0.0, [], 0, -1.0)
            # An episode may be begun before it is known what it is of.
            episode.task = message.task or episode.task
        elif message.label in _LABELS:
            episode = self._open.get(robot.name)
            if episode is None or episode.episode != message.episode_id:
                return
            del self._open[robot.name]
            robot.episode = ''
            episode.label, episode.score = _LABELS[message.label], float(message.score)
            episode.ended = self.seconds
            robot.episodes += 1
            robot.successes += episode.label == 'success'
            self.fact.episodes.append(episode)

    def _on_intervention(self, robot: RobotFact, message: Intervention) -> None:
        # A teleoperation node that was started anew counts from 1 again.
        take_over = (to_ns(message.begin), int(message.intervention_id))
        if not message.active or take_over == self._take_overs.get(robot.name):
            return
        self._take_overs[robot.name] = take_over
        robot.interventions += 1
        # This may come after the end of the episode that it was in, and the next one's begin.
        open_ = self._open.get(robot.name)
        for episode in ([] if open_ is None else [open_]) + self.fact.episodes[:-_LATE:-1]:
            if episode.episode == message.episode_id:
                episode.interventions += 1
                return

    def _on_policy(self, robot: RobotFact, message: PolicyStatus) -> None:
        version = message.running_version
        if version and version != robot.version:
            robot.swaps += bool(robot.version)
            for policy in self.fact.policies:
                if policy.version == version:
                    policy.running.setdefault(robot.name, self.seconds)
        robot.version, robot.pending = version, message.pending_version
        robot.refused, robot.refusal = int(message.refused), message.refused_reason
        robot.inference_p50 = float(message.inference_seconds_p50)
        robot.starved = int(message.starved_ticks)

    def _on_learner(self, message: LearnerStatus) -> None:
        self.fact.learner = LearnerFact(
            _LEARNER.get(message.state, 'unknown'), message.algorithm, int(message.update),
            message.snapshot, int(message.episodes), int(message.transitions),
            int(message.publications),
            dict(zip(message.metric_names, map(float, message.metric_values))), message.detail)

    def _on_manifest(self, message: PolicyManifest) -> None:
        # The same policy is offered in several encodings, and again in a staged roll-out.
        if any(policy.version == message.version for policy in self.fact.policies):
            return
        number = len(self.fact.policies) + 1
        self.fact.policies.append(PolicyFact(
            number, message.version, int(message.update), message.snapshot, self.seconds,
            # The policy to begin with runs before it is offered.
            {robot.name: self.seconds for robot in self.fact.robots.values()
             if robot.version == message.version}))

    def _on_segment(self, message: SegmentUploaded) -> None:
        # It is announced again until it is answered.
        name = (message.episode_id, int(message.segment_index))
        if name not in self._announced:
            self._announced.add(name)
            self.fact.segments += 1

    def _on_snapshot(self, message: String) -> None:
        """Mark the episodes that have their label in the catalogue."""
        del message
        waiting = {each.episode: each for each in self.fact.episodes if each.sampleable < 0}
        if not waiting:
            return
        try:
            with closing(database.connect(self._store, write=False)) as db:
                labelled = {name for name, in db.execute(
                    'SELECT DISTINCT episodes.name FROM episodes JOIN descriptions ON '
                    'descriptions.episode = episodes.number WHERE descriptions.label != "" '
                    'AND episodes.origin = "online"')}
        except (CatalogueError, sqlite3.Error) as error:
            self.get_logger().warning(f'the catalogue cannot be looked at: {error}')
            return
        for name in labelled & waiting.keys():
            waiting[name].sampleable = self.seconds

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            robot, _, node = status.name.partition('/')
            if node == _UPLOADER and robot in self.fact.robots:
                self.fact.robots[robot].waiting = next(
                    (int(each.value) for each in status.values if each.key == _WAITING), 0)
            if status.level in (DiagnosticStatus.WARN, DiagnosticStatus.ERROR):
                self.fact.warnings[status.name] = status.message
            else:
                self.fact.warnings.pop(status.name, None)
