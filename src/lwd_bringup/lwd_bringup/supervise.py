# SPDX-License-Identifier: Apache-2.0
"""The list of nodes as processes under supervisord, for machines without `launch`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import psutil
import yaml
from supervisor.xmlrpc import SupervisorTransport

from lwd_bringup.errors import BringupError
from lwd_bringup.nodes import NodeSpec, executable

_STOP_SECONDS = 12
_START_SECONDS = 30
_REVIVE_SECONDS = 10.0
"""Between two attempts at a node that supervisord has given up: a full disk may get room."""
_GROUP = 'nodes'


def command(spec: NodeSpec, parameter_file: Path, log_level: str) -> list[str]:
    """Write a node's parameters to a file and return its command line."""
    content = {f'{spec.namespace}/{spec.name}': {'ros__parameters': dict(spec.parameters)}}
    parameter_file.write_text(yaml.safe_dump(content, sort_keys=False), encoding='utf-8')
    words = [str(executable(spec)), *spec.arguments, '--ros-args',
             '-r', f'__node:={spec.name}', '-r', f'__ns:={spec.namespace}',
             '--params-file', str(parameter_file), '--log-level', log_level]
    for source, target in spec.remappings:
        words += ['-r', f'{source}:={target}']
    return words


class Supervised:
    """Nodes under supervisord: restarted when they die, logged to files, stopped together."""

    def __init__(
        self, nodes: Sequence[NodeSpec], folder: Path, *, environment: Mapping[str, str],
        log_level: str = 'info', retries: int = 5,
    ) -> None:
        """Write the supervisor's configuration.

        Args:
            nodes: What to start.
            folder: Where logs and generated files go; made if missing.
            environment: Variables for every node.
            log_level: Of every node.
            retries: Starts in a row that may fail before a node is given up for a while.

        Raises:
            BringupError: A node is not installed.
        """
        self.folder = folder
        self._environment = dict(environment)
        (folder / 'logs').mkdir(parents=True, exist_ok=True)
        # A socket's path may have 107 bytes at most, so it does not go into the folder.
        self._socket_folder = Path(tempfile.mkdtemp(prefix='lwd-'))
        self._config = folder / 'supervisord.conf'
        self._process: subprocess.Popen[bytes] | None = None
        self.pids: dict[str, int] = {}
        """Of the nodes that ran when `states` was asked last, <robot>.<node>."""
        self._given_up: dict[str, float] = {}
        """When a node was first found given up."""
        self._revived = 0.0
        sections = [
            f'[unix_http_server]\nfile={self._socket}\nchmod=0700',
            '[rpcinterface:supervisor]\n'
            'supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface',
            f'[supervisord]\nnodaemon=true\nsilent=true\nlogfile={folder}/logs/supervisord.log\n'
            f'pidfile={self._socket_folder}/supervisord.pid\nchildlogdir={folder}/logs',
        ]
        for spec in nodes:
            name = f'{spec.namespace.strip("/")}.{spec.name}'
            words = command(spec, folder / f'{name}.yaml', log_level)
            sections.append('\n'.join([
                f'[program:{name}]',
                'command=' + ' '.join(_quoted(word) for word in words),
                f'autorestart={"true" if spec.respawn else "false"}',
                'startsecs=1', f'startretries={retries}', 'stopsignal=INT',
                f'stopwaitsecs={_STOP_SECONDS}', 'stopasgroup=true', 'killasgroup=true',
                'redirect_stderr=true',
                f'stdout_logfile={folder}/logs/{name}.log',
                'stdout_logfile_maxbytes=20MB', 'stdout_logfile_backups=2',
            ]))
        # Groups are stopped one after the other, what is in a group together: twenty nodes of a
        # busy machine would not end in time.
        names = [f'{spec.namespace.strip("/")}.{spec.name}' for spec in nodes]
        sections.append(f'[group:{_GROUP}]\nprograms={",".join(names)}')
        self._config.write_text('\n\n'.join(sections) + '\n', encoding='utf-8')

    @property
    def _socket(self) -> Path:
        return self._socket_folder / 'supervisor.sock'

    def start(self) -> None:
        """Start supervisord, and through it the nodes.

        Raises:
            BringupError: It does not come up.
        """
        self._process = subprocess.Popen(  # noqa: S603  our own configuration
            [sys.executable, '-m', 'lwd_bringup.supervisor', str(os.getpid()),
             '-c', str(self._config)],
            env={**os.environ, **self._environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # Ctrl-C goes to the command alone, which then stops everything in order. And if the
            # command itself is killed, supervisord stops everything.
            start_new_session=True)
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            if self._socket.exists() and self.states():
                return
            time.sleep(0.05)
        raise BringupError(f'supervisord did not start; see {self.folder}/logs/supervisord.log')

    @property
    def pid(self) -> int:
        """The supervisor's process id.

        Raises:
            BringupError: It was not started.
        """
        if self._process is None:
            raise BringupError('the supervisor is not running')
        return self._process.pid

    def _server(self) -> xmlrpc.client.ServerProxy:
        return xmlrpc.client.ServerProxy(
            'http://lwd', transport=SupervisorTransport(None, None, f'unix://{self._socket}'))

    def states(self) -> dict[str, str]:
        """Return each node's state: STARTING, RUNNING, BACKOFF, EXITED, FATAL, ..."""
        try:
            answer = cast(
                'list[dict[str, Any]]', self._server().supervisor.getAllProcessInfo())
        except (OSError, xmlrpc.client.Error):
            return {}
        self.pids = {info['name']: info['pid'] for info in answer if info['pid']}
        return {info['name']: info['statename'] for info in answer}

    def heal(self) -> dict[str, float]:
        """Start again what does not come back by itself; call it every second or so.

        Nodes that end are started anew by supervisord; this is for nodes that it has given up
        because they ended again and again, and for supervisord itself.

        Returns:
            The nodes that are given up, and for how long, s.

        Raises:
            BringupError: It was not started, or does not start again.
        """
        if self._process is None:
            raise BringupError('the supervisor is not running')
        now = time.monotonic()
        if self._process.poll() is not None:
            self._end_orphans()
            self._socket.unlink(missing_ok=True)
            self.start()
        states = self.states()
        given_up = [name for name, state in states.items() if state == 'FATAL']
        # While a node is tried again it is not up yet.
        tried = [name for name in self._given_up if states.get(name) in ('STARTING', 'BACKOFF')]
        self._given_up = {name: self._given_up.get(name, now) for name in (*given_up, *tried)}
        if given_up and now - self._revived > _REVIVE_SECONDS:
            self._revived = now
            for name in given_up:
                with contextlib.suppress(OSError, xmlrpc.client.Error):
                    self._server().supervisor.startProcess(f'{_GROUP}:{name}', False)
        return {name: now - since for name, since in self._given_up.items()}

    def _end_orphans(self) -> None:
        """Wait for the nodes of a supervisord that was killed: they were told to end with it."""
        left = []
        for pid in self.pids.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                left.append(psutil.Process(pid))
        deaf = psutil.wait_procs(left, timeout=_STOP_SECONDS)[1]
        for process in deaf:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(deaf, timeout=_STOP_SECONDS)

    def wait(self, report: Callable[[str], None]) -> None:
        """Report changes of state, and heal, until a signal comes.

        Raises:
            BringupError: Supervisord ended, and does not start again.
        """
        known: dict[str, str] = {}
        while True:
            self.heal()
            for name, state in self.states().items():
                if known.get(name) != state:
                    known[name] = state
                    log = '' if state in ('STARTING', 'RUNNING') else (
                        f'; see {self.folder}/logs/{name}.log')
                    report(f'{name}: {state.lower()}{log}')
            time.sleep(0.5)

    def stop(self) -> None:
        """Stop all nodes, then supervisord; no process is left."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(2 * _STOP_SECONDS)
            except subprocess.TimeoutExpired:
                left = psutil.Process(self._process.pid).children(recursive=True)
                self._process.kill()
                for child in left:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
                self._process.wait()
        elif self._process is not None:
            self._end_orphans()
        shutil.rmtree(self._socket_folder, ignore_errors=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[Supervised]:
        """Start, and stop at the end, come what may."""
        try:
            self.start()
            yield self
        finally:
            self.stop()


def _quoted(word: str) -> str:
    """Return a word for supervisor's shell-like command line, where % begins an expansion."""
    return '"' + word.replace('\\', '\\\\').replace('"', '\\"').replace('%', '%%') + '"'
