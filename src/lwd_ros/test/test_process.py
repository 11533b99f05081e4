# SPDX-License-Identifier: Apache-2.0
"""A node as a process: it takes what comes, in its order, and ends when it is told to."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

# Two topics that answer each other without end: there is always something to take.
_PING_PONG = textwrap.dedent("""
    import sys
    from rclpy.node import Node
    from rclpy.qos import QoSProfile
    from std_msgs.msg import UInt64
    from lwd_ros.process import run

    class PingPong(Node):
        def __init__(self):
            super().__init__('ping_pong')
            self.number, self.heard = 0, []
            deep = QoSProfile(depth=100)
            self.out = [self.create_publisher(UInt64, name, deep) for name in ('ping', 'pong')]
            for name in ('ping', 'pong'):
                self.create_subscription(UInt64, name, self.take, deep)
            # More than once: a publisher may not know of its own node's subscription at once.
            self.create_timer(0.05, self.serve)

        def serve(self):
            if len(self.heard) < 500:
                self.say()
                self.say()

        def say(self):
            self.out[self.number % 2].publish(UInt64(data=self.number))
            self.number += 1

        def take(self, message):
            self.heard.append(message.data)
            if len(self.heard) == 500:
                sys.stdout.write('going\\n')
                sys.stdout.flush()
            self.say()

        def destroy_node(self):
            sys.stdout.write(f'{self.heard == sorted(self.heard)}\\n')
            super().destroy_node()

    sys.exit(run(PingPong, events=True, gather=lambda _: float(sys.argv[1])))
""")


@pytest.mark.parametrize('gather', [0.0, 0.01])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_messages_come_in_order_and_a_signal_ends_a_busy_node(ros_domain, gather, number):
    with subprocess.Popen(
            [sys.executable, '-c', _PING_PONG, str(gather)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, 'ROS_DOMAIN_ID': str(ros_domain)}) as process:
        assert process.stdout.readline() == 'going\n'
        process.send_signal(number)
        told, _ = process.communicate(timeout=120)
    assert (told, process.returncode) == ('True\n', 0)
