# SPDX-License-Identifier: Apache-2.0
"""A policy on another machine, over openpi's websocket protocol.

The server speaks first: its metadata. Then each request is one observation and each answer one
dictionary with `actions`, (H, 16) commands; a text in place of bytes is the server's error. Sent
are `state` (20,) and `sent` (16,) float32, `images` by camera (height, width, 3) uint8 RGB, and
the `prompt`. In its metadata the server may ask for other `cameras`, and for an `image_size`.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from g1_description.cameras import CAMERA_NAMES
from g1_description.errors import alternatives
from g1_description.joints import COMMAND_JOINTS, HOME, limits
from lwd_actor.errors import RemoteError
from lwd_actor.policies.base import Needs, check
from lwd_actor.policies.msgpack_numpy import dumps, loads
from lwd_policy.continuation import Committed
from lwd_policy.observation import Observation, single

Array = NDArray[np.float64]

_OPEN, _ANSWER = 3.0, 5.0
_LIMITS = limits(COMMAND_JOINTS)
_WARM_UP_SIZE = 224


class RemotePolicy:
    """A connection to a policy server."""

    continues = False

    def __init__(self, url: str) -> None:
        """Connect, and ask once to learn the horizon and how long it takes.

        Raises:
            RemoteError: There is no server, or it does not answer as agreed.
        """
        self._url = url
        self._open = ExitStack()
        try:
            self._connection: ClientConnection = self._open.enter_context(connect(
                url, compression=None, max_size=None, open_timeout=_OPEN))
        except (OSError, WebSocketException, ValueError, TimeoutError) as error:
            raise RemoteError(
                f'no policy server at {url}: {error}; start it, or mend `remote`') from error
        try:
            self._metadata = self._described(self._receive())
            self.needs = self._asked_for()
            self.version = self._named()
            self.horizon = 0
            self.seconds = self._warm_up()
        except BaseException:
            self.close()
            raise

    def reset(self, seed: int) -> None:
        """Do nothing: the protocol has no seeds."""

    def infer(self, observation: Observation, committed: Committed | None) -> Array:
        """Return commands, (H, 16), of one observation, within the joints' limits."""
        del committed
        self._send(dumps({
            'state': observation.state[0].numpy(), 'sent': observation.sent[0].numpy(),
            'images': {name: image[0].numpy() for name, image in observation.images.items()},
            'prompt': observation.instructions[0]}))
        answer = self._receive()
        if not isinstance(answer, Mapping) or not isinstance(
                answer.get('actions'), np.ndarray):
            has = ', '.join(map(str, answer)) if isinstance(answer, Mapping) else type(answer)
            raise RemoteError(f'{self._url} answers without an array `actions`; it has {has}')
        actions = answer['actions']
        if actions.dtype.kind not in 'fiu':
            raise RemoteError(
                f'{self._url} answers with actions of type {actions.dtype}; they must be numbers')
        commands = check(actions.astype(np.float64), self._url, self.horizon or None)
        self.horizon = len(commands)
        return np.clip(commands, *_LIMITS)

    def close(self) -> None:
        """Close the connection."""
        self._open.close()

    def _send(self, data: bytes) -> None:
        try:
            self._connection.send(data)
        except (OSError, WebSocketException) as error:
            raise RemoteError(f'the policy server {self._url} is gone: {error}') from error

    def _receive(self) -> Any:
        try:
            data = self._connection.recv(_ANSWER)
        except TimeoutError as error:
            raise RemoteError(
                f'the policy server {self._url} has not answered for {_ANSWER:g} s') from error
        except (OSError, WebSocketException) as error:
            raise RemoteError(f'the policy server {self._url} is gone: {error}') from error
        if isinstance(data, str):
            raise RemoteError(f'the policy server {self._url} failed: {data.strip()}')
        return loads(data)

    def _described(self, metadata: Any) -> Mapping[str, Any]:
        if not isinstance(metadata, Mapping):
            raise RemoteError(
                f'{self._url} begins with a {type(metadata).__name__}, not with its metadata; is '
                'it a policy server of openpi?')
        return metadata

    def _asked_for(self) -> Needs:
        cameras = tuple(self._metadata.get('cameras', CAMERA_NAMES))
        for name in cameras:
            if name not in CAMERA_NAMES:
                raise RemoteError(
                    f'{self._url} asks for camera {name!r}{alternatives(str(name), CAMERA_NAMES)}')
        return Needs(cameras=cameras, image_size=int(self._metadata.get('image_size', 0)))

    def _named(self) -> str:
        """Return a version for the record: the server's own, or one made of what it says."""
        own = self._metadata.get('version')
        if isinstance(own, str) and own:
            return own
        text = json.dumps(self._metadata, sort_keys=True, default=repr)
        return hashlib.sha256(f'{self._url} {text}'.encode()).hexdigest()

    def _warm_up(self) -> float:
        size = self.needs.image_size or _WARM_UP_SIZE
        image = np.zeros((size, size, 3), np.uint8)
        seen = single(np.concatenate([HOME, np.zeros(4)]), HOME, 'stand still',
                      images=dict.fromkeys(self.needs.cameras, image))
        took = math.inf
        for _ in range(2):
            began = time.perf_counter()
            self.infer(seen, None)
            took = min(took, time.perf_counter() - began)
        return took


class Server:
    """A policy server as a source of one policy."""

    def __init__(self, url: str) -> None:
        """Connect to a server when its policy is wanted."""
        self._url = url

    def current(self) -> str | None:
        """Return the address."""
        return self._url

    def load(self, name: str) -> RemotePolicy:
        """Return a new connection."""
        return RemotePolicy(name)
