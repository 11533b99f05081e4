# SPDX-License-Identifier: Apache-2.0
import os
import socket
import threading
import time

import pytest
from s3_server import KEY, SECRET

from lwd_learner_bridge.errors import MissingError, StoreError, TransferError
from lwd_learner_bridge.store.credentials import redacted, s3_config
from lwd_learner_bridge.store.objects import PART_BYTES, ObjectStore


@pytest.fixture(params=['folder', 'memory', 's3'])
def objects(request, tmp_path):
    if request.param == 'folder':
        return ObjectStore(str(tmp_path / 'a store'))
    if request.param == 'memory':
        return ObjectStore('memory:///')
    return request.getfixturevalue('s3').store(prefix=f'p{os.getpid()}')


def test_what_is_put_is_there_and_what_is_not_is_said(objects):
    objects.write('a/b.json', b'one')
    objects.write('a/b.json', b'two')
    objects.write('ab/c.json', b'')
    assert objects.read('a/b.json') == b'two'
    assert objects.size('a/b.json') == 3
    assert objects.size('a/none') is None
    # A folder, not a prefix of a name.
    assert objects.names('a') == ['a/b.json']
    objects.move('a/b.json', 'q/a/b.json')
    assert (objects.names('a'), objects.read('q/a/b.json')) == ([], b'two')
    objects.delete('q/a/b.json')
    objects.delete('q/a/b.json')
    for call in (objects.read, lambda key: list(objects.stream(key)),
                 lambda key: objects.move(key, 'x')):
        with pytest.raises(MissingError, match=r'a/none'):
            call('a/none')


def test_an_upload_in_parts_appears_whole_or_not_at_all(objects):
    data = os.urandom(2 * PART_BYTES + 12345)
    pieces = [data[at:at + 300_000] for at in range(0, len(data), 300_000)]
    objects.upload('big', pieces)
    assert b''.join(objects.stream('big')) == data

    def cut_off():
        yield from pieces[:-1]
        raise KeyError('the robot ends here')

    with pytest.raises(KeyError):
        objects.upload('other', cut_off())
    assert objects.size('other') is None


@pytest.mark.parametrize(('url', 'match'), [
    ('ftp://host/store', 'is no store; a URL is one of a path, file://, s3://'),
    ('s3://key:secret@bucket/x', 'put keys into the environment'),
    ('/proc/none/store', 'cannot make the store'),
])
def test_a_url_that_cannot_be_used_is_refused(url, match):
    with pytest.raises(StoreError, match=match) as caught:
        ObjectStore(url, environment={})
    assert 'secret' not in str(caught.value)


def test_a_folder_may_be_given_as_url(tmp_path):
    ObjectStore(f'file://{tmp_path}/a%20b').write('x', b'1')
    assert (tmp_path / 'a b' / 'x').read_bytes() == b'1'


def test_keys_come_from_the_environment_or_a_file(tmp_path, s3):
    file = tmp_path / 'credentials'
    file.write_text(f'[robots]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n')
    environment = {'AWS_SHARED_CREDENTIALS_FILE': str(file), 'AWS_PROFILE': 'robots',
                   'AWS_ENDPOINT_URL': s3.environment['AWS_ENDPOINT_URL']}
    store = ObjectStore(f's3://{s3.bucket}/file', timeout=120.0, environment=environment)
    store.write('x', b'1')
    assert store.read('x') == b'1'
    with pytest.raises(StoreError, match="no profile 'default'; set AWS_PROFILE to one of robots"):
        s3_config({'AWS_SHARED_CREDENTIALS_FILE': str(file)})
    with pytest.raises(StoreError, match='which does not exist'):
        s3_config({'AWS_SHARED_CREDENTIALS_FILE': str(tmp_path / 'none')})
    file.write_text(f'{SECRET}\n')
    with pytest.raises(StoreError, match='is no INI file') as caught:
        s3_config({'AWS_SHARED_CREDENTIALS_FILE': str(file)})
    assert SECRET not in str(caught.value)


def test_wrong_keys_are_said_and_not_shown(s3):
    store = s3.store(AWS_SECRET_ACCESS_KEY='wrong-and-secret')
    with pytest.raises(TransferError, match='403') as caught:
        store.write('x', b'1')
    assert 'wrong-and-secret' not in str(caught.value)
    assert KEY not in str(caught.value)
    assert redacted(f'key {KEY} refused', (KEY,)) == 'key *** refused'


def _slowly(source, target):
    """Pass bytes on, a few at a time."""
    try:
        while data := source.recv(65536):
            time.sleep(0.01)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # The other side has gone.
        return


def _slow_front(server, port):
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        far = socket.create_connection(('127.0.0.1', port))
        for pair in ((near, far), (far, near)):
            threading.Thread(target=_slowly, args=pair, daemon=True).start()


def test_a_slow_server_is_waited_for(s3):
    data = os.urandom(PART_BYTES + 1000)
    port = int(s3.environment['AWS_ENDPOINT_URL'].rpartition(':')[2])
    with socket.create_server(('127.0.0.1', 0)) as server:
        threading.Thread(target=_slow_front, args=(server, port), daemon=True).start()
        store = s3.store(
            'slow', AWS_ENDPOINT_URL=f'http://127.0.0.1:{server.getsockname()[1]}')
        store.upload('x', [data])
        assert store.read('x') == data
        server.shutdown(socket.SHUT_RDWR)


def test_a_server_that_never_answers_is_given_up():
    with socket.create_server(('127.0.0.1', 0)) as server:
        store = ObjectStore('s3://bucket', timeout=0.3, environment={
            'AWS_ACCESS_KEY_ID': 'k', 'AWS_SECRET_ACCESS_KEY': 's' * 8,
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{server.getsockname()[1]}'})
        with pytest.raises(TransferError, match='cannot write x in s3://bucket'):
            store.write('x', b'1')


def test_a_server_that_answers_with_errors_is_tried_again_and_then_given_up():
    heard = []

    def serve(server):
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(
                    b'HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')

    with socket.create_server(('127.0.0.1', 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        store = ObjectStore('s3://bucket', timeout=60.0, environment={
            'AWS_ACCESS_KEY_ID': 'k', 'AWS_SECRET_ACCESS_KEY': 's' * 8,
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{server.getsockname()[1]}'})
        with pytest.raises(TransferError, match='503'):
            store.read('x')
        server.shutdown(socket.SHUT_RDWR)
    assert len(heard) == 3


def test_a_full_disk_is_a_transfer_error(tmp_path):
    store = ObjectStore(str(tmp_path))
    (tmp_path / 'full').symlink_to('/dev/full')
    (tmp_path / 'blocked').write_text('a file where a folder should be')
    with pytest.raises(TransferError, match='cannot write blocked/x'):
        store.write('blocked/x', b'1')
