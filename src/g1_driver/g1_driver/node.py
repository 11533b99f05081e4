# SPDX-License-Identifier: Apache-2.0
"""The driver node: a life cycle around the control loop, topics and services."""

from __future__ import annotations

import sys
import traceback
from functools import partial
from pathlib import Path

import rclpy
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Bool, UInt64
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from g1_description.joints import HOME
from g1_driver import messages
from g1_driver.clock import Clock, VirtualClock, WallClock
from g1_driver.config import LOCKSTEP, DriverConfig
from g1_driver.errors import DriverError
from g1_driver.health import Monitor
from g1_driver.loop import ControlLoop
from g1_driver.loop_thread import LoopThread
from g1_driver.outputs import Outputs
from g1_driver.robot import Robot, SceneInfo, SimulatedRobot
from g1_driver.run_marker import RunMarker
from g1_driver.sdk_robot import SdkRobot
from g1_driver.sim_robot import SimRobot
from lwd_msgs.srv import Reset, SetTask
from lwd_ros.diagnostics import Diagnostics, Health
from lwd_ros.parameters import declare
from lwd_ros.process import run
from lwd_ros.qos import COMMAND, RECORD

_RETRY = 2.0


def make_robot(config: DriverConfig, clock: Clock) -> Robot:
    """Return the back end that a configuration names."""
    cameras = config.cameras
    if config.backend == 'sim':
        return SimRobot(config.sim, clock, cameras=cameras.names, width=cameras.width,
                        height=cameras.height)
    return SdkRobot(config.sdk, clock, cameras=cameras.names, width=cameras.width,
                    height=cameras.height)


def _go_home(thread: LoopThread) -> None:
    if not thread.active:
        raise DriverError('the driver is not active; activate it before a reset')
    thread.loop.go_home(HOME)


class DriverNode(LifecycleNode):
    """Drives one G1. Callbacks hand over to the loop's thread; `Outputs` publishes from it."""

    def __init__(self, **options: object) -> None:
        """Declare parameters; with `autostart` configure and activate by itself."""
        super().__init__('driver', **options)
        self.config = declare(self, DriverConfig)
        self.failed_with: BaseException | None = None
        self._thread: LoopThread | None = None
        self._stop_reason = ''
        folder = Path(self.config.state_folder or Path.home() / '.ros' / 'lwd')
        # Only a real robot can be in anybody's way: a simulated one just goes on after a crash.
        real = self.config.backend == 'sdk'
        self._marker = RunMarker(folder, self.config.robot) if real else None
        if self._marker is not None and self._marker.left_behind:
            self._stop_reason = 'the driver did not end in order last time'
        self.monitor = Monitor(
            self.config.robot, boxes=len(self.config.safety.boxes()))
        self.outputs = Outputs(self, self.config, self.monitor, self._fail)
        self._serve()
        self._diagnostics = Diagnostics(self, self._health, hardware_id=self.config.robot)
        self._watch = self.create_timer(0.2, self._look_for_commanders)
        if self.config.autostart:
            # The first try comes at once, the next ones at this timer's pace.
            self._starter = self.create_timer(_RETRY, self._autostart)
            self._first = self.create_timer(0.01, self._first_start)

    def _serve(self) -> None:
        self.create_subscription(JointTrajectory, 'joint_command', self._on_command, COMMAND)
        self.create_subscription(Bool, 'emergency_stop', self._on_emergency_stop, RECORD)
        if self.config.mode == LOCKSTEP:
            self.create_subscription(UInt64, 'recorded', self._on_recorded, COMMAND)
        self.create_service(Trigger, 'estop', self._on_estop)
        self.create_service(Trigger, 'release_estop', self._on_release)
        self.create_service(Reset, 'reset', self._on_reset)
        self.create_service(SetTask, 'set_task', self._on_set_task)

    # --- life cycle

    def _first_start(self) -> None:
        self._first.cancel()
        self._autostart()

    def _autostart(self) -> None:
        """Try until the node was active once; from then on transitions are the operator's."""
        if self._state_machine.current_state[1] != 'unconfigured':
            # Somebody walks the life cycle by hand: it is theirs.
            self._starter.cancel()
            return
        if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            return
        if self.trigger_activate() == TransitionCallbackReturn.SUCCESS:
            self._starter.cancel()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Connect to the robot and check it; nothing moves."""
        virtual = self.config.mode == LOCKSTEP
        clock: Clock = VirtualClock() if virtual else WallClock()
        try:
            loop = ControlLoop(
                make_robot(self.config, clock), self.config.safety, clock,
                on_state=self.outputs.state)
            self.outputs.attach(loop)
            thread = LoopThread(
                loop, self.outputs,
                lockstep_timeout=self.config.lockstep_timeout if virtual else None)
            thread.start()
            try:
                thread.call(loop.start)
            except BaseException:
                thread.stop()
                raise
        except Exception as error:  # noqa: BLE001  whatever it is, the node stays unconfigured
            self.monitor.refused = str(error)
            self.get_logger().error(f'cannot configure: {error}')
            return TransitionCallbackReturn.FAILURE
        self.monitor.refused = ''
        self._thread = thread
        if self._stop_reason:
            loop.estop(self._stop_reason)
        if isinstance(loop.robot, SimulatedRobot):
            self.outputs.scene(loop.robot.info)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to tick; the robot holds until a command comes."""
        try:
            self._running().activate()
        except DriverError as error:
            self.get_logger().error(f'cannot activate: {error}')
            return TransitionCallbackReturn.FAILURE
        if self._marker is not None:
            self._marker.set()
        self.get_logger().info(
            f'{self.config.robot} is active: {self.config.backend}, {self.config.mode}')
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Brake, hold, cease to tick."""
        self._running().deactivate()
        if self._marker is not None:
            self._marker.clear()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the robot."""
        self._stop()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the robot."""
        self._stop()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End safe: brake and let go of the robot."""
        self._stop()
        return super().on_error(state)

    def _running(self) -> LoopThread:
        if self._thread is None:
            raise DriverError(f'{self.config.robot} is not configured yet: configure it first')
        return self._thread

    def _stop(self) -> None:
        if self._thread is None:
            return
        in_order = self._thread.alive
        self._thread.stop()
        self._thread = None
        if in_order and self._marker is not None:
            self._marker.clear()

    def destroy_node(self) -> None:
        """Let go of the robot, then of the middleware."""
        self._stop()
        super().destroy_node()

    def _fail(self, error: BaseException) -> None:
        """End the process: a supervisor starts it anew."""
        self.failed_with = error
        trace = ''.join(traceback.format_exception(error))
        self.get_logger().fatal(f'the control loop failed, the robot was halted:\n{trace}')
        rclpy.try_shutdown()

    def _new_scene(self, draw: partial[SceneInfo]) -> SceneInfo:
        info = draw()
        self._running().scene_changed()
        self.outputs.scene(info)
        return info

    # --- callbacks

    def _on_command(self, message: JointTrajectory) -> None:
        if self._thread is not None:
            self._thread.offer(messages.command(message))

    def _on_recorded(self, message: UInt64) -> None:
        if self._thread is not None:
            self._thread.recorded(message.data)

    def _on_emergency_stop(self, message: Bool) -> None:
        if message.data:
            self._estop('topic emergency_stop')

    def _estop(self, why: str) -> None:
        """Stop now, and keep the stop over every life cycle until it is released."""
        self._stop_reason = self._stop_reason or why
        self.get_logger().warning(f'emergency stop: {why}')
        if self._thread is not None:
            self._thread.estop(why)

    def _on_estop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._estop('service estop')
        response.success, response.message = True, 'stopped; call release_estop to go on'
        return response

    def _on_release(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            if self._thread is not None:
                self._thread.release_estop()
            self._stop_reason = ''
            response.success, response.message = True, 'released'
        except DriverError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_reset(self, request: Reset.Request, response: Reset.Response) -> Reset.Response:
        try:
            thread = self._running()
            robot = thread.loop.robot
            if isinstance(robot, SimulatedRobot):
                info = thread.call(partial(self._new_scene, partial(robot.reset, request.seed)))
                response.seed, response.instruction = info.seed, info.instruction
                response.message = f'scene {info.seed} of {info.task} ({info.distribution})'
            else:
                thread.call(partial(_go_home, thread))
                response.seed = -1
                response.message = 'moving to the home pose; executed_command.state tells when'
            response.success, response.reset_count = True, thread.loop.reset_count
        except DriverError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_set_task(
        self, request: SetTask.Request, response: SetTask.Response,
    ) -> SetTask.Response:
        try:
            thread = self._running()
            robot = thread.loop.robot
            if not isinstance(robot, SimulatedRobot):
                raise DriverError(
                    'a real robot has no scene to change: start an episode with the task instead')
            info = thread.call(partial(self._new_scene, partial(
                robot.set_task, request.task, request.distribution, request.instruction)))
            response.success, response.instruction = True, info.instruction
            response.message = f'{info.task} ({info.distribution}), scene {info.seed}'
        except DriverError as error:
            response.success, response.message = False, str(error)
        return response

    def _look_for_commanders(self) -> None:
        self.monitor.commanders = self.count_publishers(
            self.resolve_topic_name('joint_command'))
        if self._thread is not None:
            self._thread.expect_commands(self.monitor.commanders > 0)

    def _health(self) -> Health:
        return self.monitor.health(self._thread)


def main() -> int:
    """Run the driver as a process."""
    nodes: list[DriverNode] = []

    def make() -> DriverNode:
        nodes.append(DriverNode())
        return nodes[0]

    code = run(make)
    return 1 if nodes and nodes[0].failed_with is not None else code


if __name__ == '__main__':
    sys.exit(main())
