# SPDX-License-Identifier: Apache-2.0
"""A node that manages a robot's episodes and records them: in one process, without a race."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.task import Future
from sensor_msgs.msg import Joy
from std_msgs.msg import UInt64

from lwd_actor.episode_life import Phase
from lwd_actor.episodes import Episodes
from lwd_actor.errors import EpisodeError, RecordingError
from lwd_actor.publishers import trouble
from lwd_actor.recorder_config import RecorderConfig
from lwd_actor.recorder_health import health
from lwd_actor.recording.sink import Sink
from lwd_actor.recording.spool import INTERRUPTED, Spool, default_spool
from lwd_actor.recording.state import EpisodeState, Label, Verdict, verdict
from lwd_actor.recording.streams import Stream, streams
from lwd_actor.session import Act, Session, Wish
from lwd_msgs.msg import ControlStep, Episode, ExecutedCommand
from lwd_msgs.srv import EndEpisode, LabelEpisode, Reset, SetTask, StartEpisode
from lwd_ros.diagnostics import Diagnostics, Health
from lwd_ros.errors import ParameterError
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import COMMAND, LATCHED, RECORD

# What a robot can send while this node does not get the processor.
_EVERY = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=2000, reliability=ReliabilityPolicy.RELIABLE)
_FRESH = 5.0
# Ticks between two words to the driver of how far we have come.
_CREDIT = 5
_ANY = 2**63
_QUIET = 0.5
_GATHER = 0.1
_ACKNOWLEDGE = Duration(seconds=1)


class RecorderNode(Node):
    """Serves start_episode, end_episode, label_episode; publishes episode; writes the spool."""

    def __init__(self, **options: object) -> None:
        """Recover what an interrupted recorder left, and listen to the robot of this namespace.

        Raises:
            ParameterError: The spool cannot be used.
        """
        super().__init__('recorder', **options)
        self.config = config = declare(self, RecorderConfig)
        self._log = self.get_logger()
        try:
            self._spool = Spool(
                Path(config.spool) if config.spool else default_spool(), config.robot,
                min_free_bytes=round(config.min_free_gb * 1e9))
        except RecordingError as error:
            raise ParameterError(str(error)) from error
        self.sink = Sink(
            segment_seconds=config.segment_seconds, limit_bytes=config.queue_mb << 20,
            patience=30.0 if config.lockstep else 0.0)
        self.episodes = Episodes(
            config.robot, self._spool, self.sink, rules=config.rules, on_change=self._changed,
            obstacle=self._obstacle)
        self._streams = streams(config.cameras)
        self._damaged = ''
        self._step: bytes | None = None
        self._foreign = ''
        self._own: set[str] = set()
        self._states = self.create_publisher(Episode, 'episode', LATCHED)
        self.create_subscription(Episode, 'episode', self._on_state, LATCHED)
        # A driver in lockstep does not run away from its recorder.
        self._recorded = self.create_publisher(UInt64, 'recorded', COMMAND)
        self._recover()
        for stream in self._streams:
            self.create_subscription(
                stream.kind, stream.name, partial(self._on_message, stream),
                LATCHED if stream.name == 'task' else _EVERY, raw=True)
        self._pressed = False
        if config.start_button >= 0:
            self.create_subscription(Joy, 'joy', self._on_joy, RECORD)
        self.create_service(StartEpisode, 'start_episode', self._on_start)
        self.create_service(EndEpisode, 'end_episode', self._on_end)
        self.create_service(LabelEpisode, 'label_episode', self._on_label)
        self._set_task = self.create_client(SetTask, 'set_task')
        self._reset = self.create_client(Reset, 'reset')
        self.session = Session(
            config.session, self.episodes, self._spool.folder, obstacle=self._unready,
            clock=time.monotonic) if config.auto else None
        self._timer = self.create_timer(0.05, self._poll)
        self._diagnostics = Diagnostics(self, self._health, hardware_id=config.robot)

    def _recover(self) -> None:
        for name, metadata in self._spool.recover():
            count = sum(segment.count for segment in metadata.segments)
            self._log.warning(
                f'recovered episode {name}: {len(metadata.segments)} segments, {count} messages')
            self._changed(EpisodeState(
                name, self.config.robot, metadata.custom.get('task', ''),
                metadata.custom.get('instruction', ''), Episode.STATE_RECOVERED,
                segments=len(metadata.segments), begin_ns=metadata.begin_ns,
                end_ns=metadata.end_ns, stamp_ns=metadata.end_ns, detail=INTERRUPTED))

        for why in self._spool.unrecovered:
            self._log.error(why)

    def _changed(self, state: EpisodeState) -> None:
        self._own.add(state.episode_id)
        self._states.publish(state.message())
        if state.state == Episode.STATE_ENDED and self.episodes.phase is Phase.IDLE:
            self._log.info(
                f'{state.episode_id} ended: {state.label.word}, {state.segments} segments'
                + (f' ({state.detail})' if state.detail else ''))

    def _on_message(self, stream: Stream, data: bytes) -> None:
        try:
            self.episodes.take(stream, data)
        except RecordingError as error:
            if self._damaged != str(error):
                self._log.error(str(error))
            self._damaged = str(error)
            return
        if stream.name == 'control_step':
            self._step = data
        elif stream.name == 'tick' and self.config.lockstep:
            tick = self.episodes.robot.tick
            if tick is not None and tick.tick % _CREDIT == 0:
                self._recorded.publish(UInt64(data=tick.tick))

    def _on_joy(self, message: Joy) -> None:
        button = self.config.start_button
        before, self._pressed = self._pressed, (
            button < len(message.buttons) and bool(message.buttons[button]))
        if self._pressed and not before:
            try:
                self._start(StartEpisode.Request())
            except EpisodeError as error:
                self._log.error(str(error))

    def _start(self, request: StartEpisode.Request) -> str:
        if self.session is not None and not self.session.over:
            raise EpisodeError(
                'this robot records by itself (auto is true); start the recorder with auto=false '
                'for episodes on demand')
        return self.episodes.start(request.task, request.instruction, request.operator_id)

    # --- services

    def _on_start(
        self, request: StartEpisode.Request, response: StartEpisode.Response,
    ) -> StartEpisode.Response:
        try:
            response.episode_id = self._start(request)
            response.success = True
            response.message = 'begins with the next control step'
        except EpisodeError as error:
            response.message = str(error)
        return response

    def _on_end(
        self, request: EndEpisode.Request, response: EndEpisode.Response,
    ) -> EndEpisode.Response:
        try:
            name = self.episodes.end(
                request.episode_id,
                verdict(request.label, request.score, 'service', request.detail))
            response.success = True
            response.message = f'{name} ends; it is on disk when `episode` says so'
        except EpisodeError as error:
            response.message = str(error)
        return response

    def _on_label(
        self, request: LabelEpisode.Request, response: LabelEpisode.Response,
    ) -> LabelEpisode.Response:
        try:
            self.episodes.label(request.episode_id, verdict(
                request.label, request.score, request.operator_id or 'service', request.detail))
            response.success, response.message = True, f'{request.episode_id} is labelled'
        except EpisodeError as error:
            response.message = str(error)
        return response

    # --- what goes on by itself

    def _poll(self) -> None:
        self.episodes.poll()
        if self.config.lockstep and time.monotonic() - self.episodes.heard_at > _QUIET:
            # All that was sent has been taken: a driver that waits for a killed recorder goes on.
            self._recorded.publish(UInt64(data=_ANY))
        if self.session is not None and (wish := self.session.poll()) is not None:
            self._fulfil(wish)

    def _fulfil(self, wish: Wish) -> None:
        if wish.act is Act.RESET:
            # The first step of the scene is to carry the episode's id.
            self._states.wait_for_all_acked(_ACKNOWLEDGE)
            client, request = self._reset, Reset.Request(seed=wish.seed)
        else:
            client = self._set_task
            request = SetTask.Request(task=wish.task, distribution=wish.distribution)

        def answered(future: Future) -> None:
            answer = future.result()
            if self.session is not None:
                self.session.answered(
                    wish, success=answer is not None and answer.success,
                    message='no answer' if answer is None else answer.message)

        client.call_async(request).add_done_callback(answered)

    def _obstacle(self) -> str:
        """Return why the robot cannot be recorded now: a topic is silent, or has two speakers."""
        if (why := trouble(self, self._streams, self.episodes.robot.doubled)):
            return why
        if self._foreign:
            return f'another recorder runs episode {self._foreign}; stop it'
        return ''

    def _on_state(self, message: Episode) -> None:
        """Hear of the episodes of another recorder, and of our own."""
        if message.episode_id not in self._own:
            running = message.state == Episode.STATE_RUNNING
            self._foreign = message.episode_id if running else ''

    def _unready(self) -> str:
        """Return why the next episode of a session cannot begin; empty if it can."""
        if time.monotonic() - self.episodes.heard_at > _FRESH:
            return 'no tick of the driver'
        if not (self._reset.service_is_ready() and self._set_task.service_is_ready()):
            return 'the driver does not serve reset and set_task'
        if (why := self._spool.trouble() or self._obstacle()):
            return why
        if self.episodes.robot.task is None:
            return 'the robot does not say its task; auto is for simulated robots only'
        if not (self._somebody_drives() or self._faulted()):
            return 'nobody drives the robot yet'
        return ''

    def _somebody_drives(self) -> bool:
        return self._step is not None and deserialize_message(self._step, ControlStep).source in (
            ControlStep.SOURCE_POLICY, ControlStep.SOURCE_EXPERT, ControlStep.SOURCE_TELEOP)

    def _faulted(self) -> bool:
        """Whether nobody drives because of a fault: the next episode's reset clears it."""
        newest = self.episodes.robot.newest('executed_command')
        return newest is not None and deserialize_message(
            newest.data, ExecutedCommand).hold_reason == ExecutedCommand.HOLD_FAULT

    def _health(self) -> Health:
        return health(
            self.episodes, self.sink, self._spool, self.session, damaged=self._damaged,
            obstacle=self._obstacle)

    def destroy_node(self) -> None:
        """End the episode in order, if one runs, and let go of the spool."""
        self.episodes.close(Verdict(Label.NONE, 0.0, 'recorder', 'the recorder was stopped'))
        self.sink.stop()
        self._spool.release()
        super().destroy_node()


def main(make: Callable[[], RecorderNode] = RecorderNode) -> int:
    """Run the recorder as a process; `make` makes the node."""
    # In lockstep the driver waits for us.
    return run(
        make, events=True, gather=lambda node: 0.0 if node.config.lockstep else _GATHER)


if __name__ == '__main__':
    sys.exit(main())
