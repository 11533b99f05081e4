# SPDX-License-Identifier: Apache-2.0
"""A real S3 server (SeaweedFS, from PyPI) on this machine, for tests."""

import json
import random
import shutil
import socket
import subprocess
import time
import uuid
from contextlib import ExitStack, contextmanager

from lwd_learner_bridge.errors import TransferError
from lwd_learner_bridge.store.objects import ObjectStore

KEY, SECRET = 'robotkey', 'not-for-any-log-17'
# Only a test that fails waits so long.
PATIENCE = 300.0
ATTEMPTS = 5
_PARTS = ('master', 'volume', 'filer', 's3')
# Below those that the system gives to whoever connects, the server's own parts among them.
_PORTS = range(10_000, 30_000)


class _EndedError(Exception):
    """The server's process has ended by itself, as when a port of its is in use."""


def _ports(count, claims):
    """Return free ports; they stay this process's, as against other tests', with the claims."""
    found = []
    while len(found) < count:
        port = random.choice(_PORTS)
        claim, trial = socket.socket(socket.AF_UNIX), socket.socket()
        try:
            # Of no folder, and gone with its process, whatever ends that.
            claim.bind(f'\0lwd-test-port-{port}')
            with trial:
                trial.bind(('127.0.0.1', port))
        except OSError:
            claim.close()
            continue
        claims.enter_context(claim)
        found.append(port)
    return found


class S3Server:
    """Where it is, and how to get in."""

    def __init__(self, port):
        self.environment = {
            'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET,
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port}'}
        self.bucket = f'b{uuid.uuid4().hex[:12]}'

    def store(self, prefix='', timeout=120.0, **environment):
        return ObjectStore(
            f's3://{self.bucket}/{prefix}', timeout=timeout,
            environment={**self.environment, **environment})


@contextmanager
def running(folder):
    """Start a server; its data is in a folder."""
    with ExitStack() as stack:
        for attempt in range(ATTEMPTS):
            place = folder / str(attempt)
            place.mkdir()
            try:
                server = stack.enter_context(_started(place))
                break
            except _EndedError as error:
                # Somebody else took a port between its choice and its use.
                ended = error
        else:
            raise AssertionError(f'the S3 server does not start: {ended}')
        yield server


@contextmanager
def _started(folder):
    (folder / 's3.json').write_text(json.dumps({'identities': [{
        'name': 'robot', 'credentials': [{'accessKey': KEY, 'secretKey': SECRET}],
        'actions': ['Admin', 'Read', 'Write', 'List']}]}))
    with ExitStack() as stack:
        ports = _ports(2 * len(_PARTS), stack)
        # Sockets beside the data and not in /tmp, where another user's could be in the way; their
        # names are relative, for a socket's path may have 107 bytes at most.
        arguments = [
            shutil.which('weed'), 'server', '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-dir=.',
            '-filer', '-s3', '-s3.config=s3.json', '-master.volumeSizeLimitMB=64',
            '-volume.max=20', '-volume.minFreeSpace=100MiB', '-master.electionTimeout=1s',
            '-master.heartbeatInterval=200ms', '-master.telemetry=false',
            '-filer.localSocket=filer.sock', '-s3.localSocket=s3.sock']
        for part, port, grpc in zip(_PARTS, ports[::2], ports[1::2]):
            arguments += [f'-{part}.port={port}', f'-{part}.port.grpc={grpc}']
        log = stack.enter_context((folder / 'log').open('wb'))
        process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=folder)
        try:
            server = S3Server(ports[-2])
            _wait(server, process, folder / 'log')
            yield server
        finally:
            process.kill()
            process.wait()


def _wait(server, process, log):
    # Each try is short: while the server starts it may take a request and never answer.
    store, deadline = server.store(timeout=5.0), time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise _EndedError(log.read_text()[-2000:])
        try:
            return store.write('ready', b'1')
        except TransferError:
            time.sleep(0.1)
    raise AssertionError(f'the S3 server does not answer: {log.read_text()[-2000:]}')
