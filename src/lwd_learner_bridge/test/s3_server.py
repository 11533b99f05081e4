# SPDX-License-Identifier: Apache-2.0
"""A real S3 server (SeaweedFS, from PyPI) on this machine, for tests."""

import json
import shutil
import socket
import subprocess
import time
import uuid
from contextlib import contextmanager

from lwd_learner_bridge.errors import TransferError
from lwd_learner_bridge.store.objects import ObjectStore

KEY, SECRET = 'robotkey', 'not-for-any-log-17'
_PARTS = ('master', 'volume', 'filer', 's3')


def _free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


class S3Server:
    """Where it is, and how to get in."""

    def __init__(self, port):
        self.environment = {
            'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET,
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{port}'}
        self.bucket = f'b{uuid.uuid4().hex[:12]}'

    def store(self, prefix='', **environment):
        return ObjectStore(
            f's3://{self.bucket}/{prefix}', timeout=30.0,
            environment={**self.environment, **environment})


@contextmanager
def running(folder):
    """Start a server; its data is in a folder."""
    config = folder / 's3.json'
    config.write_text(json.dumps({'identities': [{
        'name': 'robot', 'credentials': [{'accessKey': KEY, 'secretKey': SECRET}],
        'actions': ['Admin', 'Read', 'Write', 'List']}]}))
    ports = {part: _free_port() for part in _PARTS}
    arguments = [
        shutil.which('weed'), 'server', '-ip=127.0.0.1', '-ip.bind=127.0.0.1', f'-dir={folder}',
        '-filer', '-s3', f'-s3.config={config}', '-master.volumeSizeLimitMB=64',
        '-volume.max=20', '-master.electionTimeout=1s', '-master.heartbeatInterval=200ms']
    for part, port in ports.items():
        arguments += [f'-{part}.port={port}', f'-{part}.port.grpc={_free_port()}']
    with (folder / 'log').open('wb') as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
        try:
            server = S3Server(ports['s3'])
            _wait(server, process, folder / 'log')
            yield server
        finally:
            process.kill()
            process.wait()


def _wait(server, process, log):
    store, deadline = server.store(), time.monotonic() + 90.0
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return store.write('ready', b'1')
        except TransferError:
            time.sleep(0.1)
    raise AssertionError(f'the S3 server does not start: {log.read_text()[-2000:]}')
