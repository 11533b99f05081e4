# SPDX-License-Identifier: Apache-2.0
"""A policy server over openpi's websocket protocol: wire format, answers, bad answers."""

import threading

import msgpack
import numpy as np
import pytest
from puppet import SIZE, Puppet
from websockets.sync.server import serve

from g1_description.joints import COMMAND_JOINTS, HOME, limits
from lwd_actor.errors import InferenceError, RemoteError
from lwd_actor.policies.msgpack_numpy import dumps, loads
from lwd_actor.policies.remote import RemotePolicy
from lwd_policy.observation import single

METADATA = {'cameras': ['head'], 'image_size': SIZE, 'version': 'served-1'}


class Served:
    """A policy server that answers with what a test says."""

    def __init__(self, metadata=METADATA):
        self.metadata, self.asked = metadata, []
        self.answer = self.stand
        self.server = serve(self._handle, '127.0.0.1', 0, compression=None, max_size=None)
        port = self.server.socket.getsockname()[1]
        self.url = f'ws://127.0.0.1:{port}'
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    @staticmethod
    def stand(observation):
        return {'actions': np.repeat(observation['sent'][None], 12, axis=0),
                'server_timing': {'infer_ms': 1.0}}

    def _handle(self, connection):
        connection.send(dumps(self.metadata))
        for data in connection:
            observation = loads(data)
            self.asked.append(observation)
            answer = self.answer(observation)
            connection.send(answer if isinstance(answer, (str, bytes)) else dumps(answer))

    def close(self):
        self.server.shutdown()
        self._thread.join(10.0)


@pytest.fixture
def served():
    found = Served()
    yield found
    found.close()


def seen():
    return single(np.concatenate([HOME, np.zeros(4)]), HOME, 'pour', images={
        'head': np.arange(SIZE * SIZE * 3, dtype=np.uint8).reshape(SIZE, SIZE, 3)})


def test_an_observation_goes_out_and_a_chunk_comes_back(served):
    policy = RemotePolicy(served.url)
    assert (policy.version, policy.needs.cameras, policy.needs.image_size) == (
        'served-1', ('head',), SIZE)
    assert policy.horizon == 12
    commands = policy.infer(seen(), None)
    asked = served.asked[-1]
    assert asked['prompt'] == 'pour'
    assert asked['state'].shape == (20,)
    np.testing.assert_array_equal(asked['images']['head'], seen().images['head'][0].numpy())
    np.testing.assert_allclose(
        commands, np.repeat(np.clip(HOME, *limits(COMMAND_JOINTS))[None], 12, axis=0), atol=1e-6)
    policy.close()


def test_the_wire_format_is_openpis():
    """As openpi_client.msgpack_numpy writes it: arrays as maps with these keys, in bytes."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    plain = msgpack.unpackb(dumps({'actions': array, 'n': np.int64(3)}))
    assert plain == {
        'actions': {b'__ndarray__': True, b'data': array.tobytes(), b'dtype': '<f4',
                    b'shape': [2, 3]},
        'n': {b'__npgeneric__': True, b'data': 3, b'dtype': '<i8'}}
    back = loads(dumps({'actions': array, 'n': np.int64(3)}))
    np.testing.assert_array_equal(back['actions'], array)
    assert back['n'] == 3
    with pytest.raises(RemoteError, match='type object cannot be sent'):
        dumps(np.array([None]))


@pytest.mark.parametrize(('answer', 'reason'), [
    ('Traceback: out of memory', 'failed: Traceback: out of memory'),
    ({'action': np.zeros((12, 16))}, 'without an array `actions`; it has action'),
    ({'actions': np.zeros((12, 14))}, r'shape \(12, 14\); this robot takes \(12, 16\)'),
    ({'actions': np.full((12, 16), np.nan)}, 'answers with nan for .* in step 0'),
    ({'actions': np.zeros((12, 16), bool)}, 'type bool; they must be numbers'),
    (b'\xc1nonsense', 'are no answer in msgpack')])
def test_a_bad_answer_is_refused_with_the_reason(served, answer, reason):
    policy = RemotePolicy(served.url)
    served.answer = lambda observation: answer
    with pytest.raises(InferenceError, match=reason):
        policy.infer(seen(), None)
    policy.close()


@pytest.mark.parametrize(('metadata', 'reason'), [
    (['a'], 'begins with a list, not with its metadata'),
    ({'cameras': ['haed']}, "asks for camera 'haed'; did you mean 'head'")])
def test_a_server_that_is_none_is_refused(metadata, reason):
    found = Served(metadata)
    try:
        with pytest.raises(RemoteError, match=reason):
            RemotePolicy(found.url)
    finally:
        found.close()


def test_no_server_is_said_with_the_address():
    with pytest.raises(RemoteError, match=r'no policy server at ws://127.0.0.1:9: .*mend'):
        RemotePolicy('ws://127.0.0.1:9')


def test_a_robot_is_driven_by_a_server_and_survives_its_end(served, ros_domain):
    robot = Puppet(ros_domain, ('head',))
    try:
        node = robot.start(remote=served.url)
        step = robot.driven()
        assert step.policy_version == 'served-1'
        served.answer = lambda observation: 'shutting down'
        robot.until(lambda step: not len(step.positions), 'hold')
        assert 'is refused' in robot.health().message
        served.answer = Served.stand
        robot.graph.until(lambda: node.supply.pending, 'the server again')
        assert robot.driven().policy_version == 'served-1'
    finally:
        robot.close()
