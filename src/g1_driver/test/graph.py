# SPDX-License-Identifier: Apache-2.0
"""Real nodes in this process, on a ROS graph of their own."""

from __future__ import annotations

import contextlib
import threading
import time

import rclpy
from rclpy import try_shutdown
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter

# Only a test that fails waits so long.
PATIENCE = 120.0


class Graph:
    """A driver under test, and a client that listens and speaks to it."""

    def __init__(self, domain):
        rclpy.init(domain_id=domain)
        self.client = rclpy.create_node('client', namespace='/g1_01')
        self.heard = {}
        self._nodes = [self.client]
        self._changed = threading.Condition()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.client)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._others = []

    def _spin(self):
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def add(self, kind, *, namespace='/g1_01', together=False, **parameters):
        """Run a node with an executor and a thread of its own, as its process would.

        With `together` it shares them with the last one added: on a busy machine each change of
        threads on the way of a message costs a time slice.
        """
        node = kind(namespace=namespace, parameter_overrides=[
            Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()])
        if together:
            _, executor, thread = self._others[-1]
            executor.add_node(node)
        else:
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            thread = threading.Thread(target=self._spin_other, args=[executor], daemon=True)
            thread.start()
        self._others.append((node, executor, thread))
        return node

    @staticmethod
    def _spin_other(executor):
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    def listen(self, kind, topic, qos):
        heard = self.heard.setdefault(topic, [])

        def take(message):
            with self._changed:
                heard.append(message)
                self._changed.notify_all()

        self.client.create_subscription(kind, topic, take, qos)
        return heard

    def until(self, condition, what='a condition', patience=PATIENCE):
        """Wait for messages to make a condition true, and return what it found.

        It must not call services. What comes meanwhile may be out of date at once: look for a
        message, not at the last one.
        """
        end = time.monotonic() + patience
        with self._changed:
            while not (found := condition()):
                left = end - time.monotonic()
                assert left > 0, f'{what} did not come true in {patience:g} s'
                # Also looks without a message: for what nodes know without saying it.
                self._changed.wait(min(left, 0.1))
            return found

    def call(self, kind, name, request=None):
        client = self.client.create_client(kind, name)
        assert client.wait_for_service(PATIENCE), f'no service {name}'
        future = client.call_async(request or kind.Request())
        answered = threading.Event()
        future.add_done_callback(lambda _: answered.set())
        assert answered.wait(PATIENCE), f'service {name} did not answer'
        return future.result()

    def close(self):
        for node, executor, thread in self._others:
            executor.shutdown()
            thread.join(PATIENCE)
            node.destroy_node()
        self._executor.shutdown()
        self._thread.join(PATIENCE)
        self.client.destroy_node()
        try_shutdown()
