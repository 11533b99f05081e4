# SPDX-License-Identifier: Apache-2.0
"""The fleet as a web page of this machine: it shows, and can change nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from flask import Flask, Response, jsonify
from waitress.server import create_server

from lwd_bringup.errors import BringupError
from lwd_bringup.loop.state import FleetFact
from lwd_bringup.loop.web_state import web_state

HOST = '127.0.0.1'
"""Not a setting: what robots see and people do is for nobody else on the network."""
PORT = 8765
_PAGE = Path(__file__).with_name('web.html')
_HEADERS = {
    # The page is one file; nothing else is loaded, embedded or kept.
    'Content-Security-Policy': "default-src 'none'; script-src 'unsafe-inline'; "
                               "style-src 'unsafe-inline'; img-src 'self'; connect-src 'self'; "
                               "frame-ancestors 'none'; base-uri 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store'}
_THREADS = 4
_JOIN_SECONDS = 10.0


class Cameras(Protocol):
    """Where the robots' images come from; called by several threads."""

    def names(self, robot: str) -> Sequence[str]:
        """Return the cameras of a robot that have given an image."""

    def jpeg(self, robot: str, camera: str) -> bytes | None:
        """Return the newest image of a camera; None if there is none."""


class NoCameras:
    """Robots that send no images."""

    def names(self, robot: str) -> Sequence[str]:
        """Return no camera."""
        del robot
        return ()

    def jpeg(self, robot: str, camera: str) -> bytes | None:
        """Return no image."""
        del robot, camera
        return None


class WebPage:
    """A page that is served until it is closed."""

    def __init__(self, app: Flask, bound: socket.socket) -> None:
        """Serve in a thread, on a socket of `listening`."""
        self.port = int(bound.getsockname()[1])
        self._server = create_server(app, sockets=[bound], threads=_THREADS, ident=None)
        self._thread = threading.Thread(target=self._server.run, name='web', daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Return where it is."""
        return f'http://{HOST}:{self.port}/'

    def close(self) -> None:
        """End serving; the port is free then."""
        # The thread that serves waits on its sockets: only itself may close them.
        self._server.trigger.pull_trigger(self._end)
        self._thread.join(_JOIN_SECONDS)

    def _end(self) -> None:
        self._server.task_dispatcher.shutdown()
        self._server.close()
        for channel in list(self._server._map.values()):  # noqa: SLF001  it has no public name
            channel.close()

    def __enter__(self) -> WebPage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def serve(
    state: Callable[[], FleetFact], port: int | socket.socket = PORT,
    cameras: Cameras | None = None,
) -> WebPage:
    """Serve the page of a fleet on this machine, in a thread of its own.

    Args:
        state: Returns what is known now; called by other threads: what it returned must not be
            changed any more (see `Shown`).
        port: To listen on; 0 for any that is free. Or what `listening` returned.
        cameras: Where images come from; None: there are none.

    Raises:
        BringupError: The port is no port, or in use.
    """
    bound = port if isinstance(port, socket.socket) else listening(port)
    return WebPage(application(state, cameras or NoCameras()), bound)


def application(state: Callable[[], FleetFact], cameras: Cameras) -> Flask:
    """Return the page as a WSGI application."""
    app = Flask(__name__, static_folder=None)
    # Others would let any web site that names itself after 127.0.0.1 read the page.
    app.config['TRUSTED_HOSTS'] = [HOST, 'localhost']
    # The methods that are allowed are those of the routes, without OPTIONS.
    app.config['PROVIDE_AUTOMATIC_OPTIONS'] = False
    page = _PAGE.read_text(encoding='utf-8')

    @app.after_request
    def _headers(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    @app.get('/')
    def _page() -> Response:
        return Response(page, mimetype='text/html')

    @app.get('/state.json')
    def _state() -> Response:
        fact = state()
        return jsonify({
            **web_state(fact),
            'cameras': {name: list(cameras.names(name)) for name in fact.robots}})

    @app.get('/camera/<robot>/<name>.jpg')
    def _camera(robot: str, name: str) -> Response:
        image = cameras.jpeg(robot, name)
        if image is None:
            return Response(f'no image of camera {name} of {robot}\n', 404, mimetype='text/plain')
        return Response(image, mimetype='image/jpeg')

    return app


def listening(port: int) -> socket.socket:
    """Take a port of this machine for the page, before anything else is begun.

    Args:
        port: 0 for any that is free.

    Raises:
        BringupError: The port is no port, or in use.
    """
    if not 0 <= port <= 65535:
        raise BringupError(f'the port of the web page is {port}; it must be from 1 to 65535, or 0 '
                           'for any that is free')
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
        # Only then is the port refused to others.
        bound.listen()
    except OSError as error:
        bound.close()
        raise BringupError(
            f'port {port} of {HOST} cannot be had for the web page ({error.strerror}); end what '
            'listens there, or give another one, 0 for any that is free: --port 0') from error
    return bound
