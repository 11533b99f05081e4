# SPDX-License-Identifier: Apache-2.0
"""The driver at real time under ROS: tick period, images, commands; with an expert, as processes.

The period is measured between the stamps of the joint states that open the ticks, which the
driver takes from its clock when it reads them (a tick's own stamp is when it was due), and, as a
check from outside, between arrivals of tick messages.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import rclpy
from sensor_msgs.msg import CompressedImage

from benchmarks.harness import quick, report
from lwd_bringup.config import load_robot
from lwd_bringup.domains import free_domain
from lwd_bringup.nodes import environment, plan
from lwd_bringup.supervise import Supervised
from lwd_msgs.msg import ExecutedCommand, Tick
from lwd_ros.convert import to_ns
from lwd_ros.qos import RECORD, SENSOR_RECORD

SECONDS = 20 if quick() else 120
WARM_UP = 3.0
PERIOD_MS = 1000.0 / 30.0


def main() -> int:
    """Run the benchmark."""
    config = load_robot('sim_robot', {'expert': True, 'domain': free_domain()})
    os.environ.update(environment(config))
    with tempfile.TemporaryDirectory() as folder, Supervised(
            plan(config), Path(folder), environment=environment(config)).running() as supervised:
        return _measure(supervised)


def _measure(supervised: Supervised) -> int:
    rclpy.init()
    node = rclpy.create_node('meter', namespace='/g1_01')
    ticks: list[tuple[float, Tick]] = []
    executed: list[ExecutedCommand] = []
    images: dict[str, set[int]] = {name: set() for name in ('head', 'left_wrist', 'right_wrist')}

    def on_image(name: str, message: CompressedImage) -> None:
        images[name].add(to_ns(message.header.stamp))

    node.create_subscription(
        Tick, 'tick', lambda message: ticks.append((time.monotonic(), message)), RECORD)
    node.create_subscription(ExecutedCommand, 'executed_command', executed.append, RECORD)
    for name in images:
        node.create_subscription(
            CompressedImage, f'{name}/image_raw/compressed', partial(on_image, name),
            SENSOR_RECORD)
    until = time.monotonic() + 60.0
    while len(ticks) < WARM_UP * 30 and time.monotonic() < until:
        rclpy.spin_once(node, timeout_sec=0.1)
    processes = {
        ' '.join(child.cmdline()): child
        for child in psutil.Process(supervised.pid).children(recursive=True)}
    driver = next(process for words, process in processes.items() if 'g1_driver/driver' in words)
    before = driver.cpu_times()
    ticks.clear()
    executed.clear()
    began = time.monotonic()
    while time.monotonic() < began + SECONDS:
        rclpy.spin_once(node, timeout_sec=0.1)
    after = driver.cpu_times()
    measured = time.monotonic() - began
    # What the last ticks announced may still be under way.
    drained = time.monotonic() + 1.0
    messages = [message for _, message in ticks[1:-1]]
    while time.monotonic() < drained:
        rclpy.spin_once(node, timeout_sec=0.05)
    node.destroy_node()
    rclpy.try_shutdown()
    stamps = np.array([to_ns(message.joint_state_stamp) for message in messages]) / 1e6
    periods = np.diff(stamps)
    arrivals = np.diff([1e3 * moment for moment, _ in ticks[1:-1]])
    announced = {
        (camera, to_ns(stamp)) for message in messages
        for camera, stamp in zip(message.cameras, message.image_stamps)}
    dropped = sum(stamp not in images[camera] for camera, stamp in announced)
    answered = {message.tick for message in executed}
    missing = sum(message.tick not in answered for message in messages)
    held = sum(message.state != ExecutedCommand.STATE_ACTIVE for message in executed)
    return report('driver', {
        'period_ms_p50': float(np.median(periods)),
        'period_error_ms_p99': float(np.percentile(np.abs(periods - PERIOD_MS), 99)),
        'period_error_ms_max': float(np.max(np.abs(periods - PERIOD_MS))),
        'arrival_error_ms_p99': float(np.percentile(np.abs(arrivals - PERIOD_MS), 99)),
        'ticks': float(len(messages)),
        'images_announced': float(len(announced)),
        'images_dropped': float(dropped),
        'ticks_unanswered': float(missing),
        'ticks_held': float(held),
        'driver_cores': (after.user + after.system - before.user - before.system) / measured,
    }, {'period_error_ms_p99': ('<=', 3.0), 'images_dropped': ('==', 0.0)})


if __name__ == '__main__':
    sys.exit(main())
