# SPDX-License-Identifier: Apache-2.0
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from lwd_data.errors import SampleError
from lwd_data.replay.feature_cache import STEPS, FeatureCache
from lwd_data.replay.index import build_index, ensure_index

sys.path.insert(0, str(Path(__file__).parent))
from episodes import write_episode

ONE, TWO = '1' * 64, '2' * 64


class Encoder:
    """Features that say whose they are; counts what it is asked for."""

    def __init__(self, sign=1.0):
        self.sign, self.asked = sign, []

    def __call__(self, rows):
        self.asked.append(rows.tolist())
        return self.sign * (rows[:, None] + np.arange(8) / 8)

    def expect(self, rows, dtype=np.float16):
        return (self.sign * (np.asarray(rows)[:, None] + np.arange(8) / 8)).astype(dtype)


@pytest.fixture
def index(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=30, cameras=('head', 'left_wrist'))
    return build_index(folder / 'one_0.mcap')


def files(index):
    return sorted(path.name for path in index.segment.parent.glob('*features*'))


@pytest.mark.parametrize('dtype', ['float16', 'float32'])
def test_features_are_computed_once(index, dtype):
    encoder, cache = Encoder(), FeatureCache('head', (8,), dtype=dtype)
    found = cache.get(index, np.array([3, 7, 3]), ONE, encoder)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, encoder.expect([3, 7, 3], dtype))
    cache.get(index, np.array([7, 3]), ONE, encoder)
    again = FeatureCache('head', (8,), dtype=dtype)
    found = again.get(index, np.array([29, 7, 0, 29]), ONE, encoder)
    np.testing.assert_array_equal(found, encoder.expect([29, 7, 0, 29], dtype))
    assert encoder.asked == [[3, 7], [0, 29]]


def test_encoders_cameras_and_shapes_never_mix(index):
    rows, asked = np.arange(30), 0
    for camera in ('head', 'left_wrist'):
        for name, sign in ((ONE, 1.0), (TWO, -1.0), (ONE, 1.0)):
            encoder = Encoder(sign)
            found = FeatureCache(camera, (8,)).get(index, rows, name, encoder)
            np.testing.assert_array_equal(found, encoder.expect(rows))
            asked += len(encoder.asked)
    assert asked == 4
    assert len(files(index)) == 4
    squares = FeatureCache('head', (2, 4)).get(
        index, rows, ONE, lambda rows: Encoder()(rows).reshape(-1, 2, 4))
    assert squares.shape == (30, 2, 4)


def test_steps_have_features_beside_those_of_cameras(index):
    cache = FeatureCache(STEPS, (8,), dtype='float32')
    rows = np.array([0, len(index) - 1, 4])
    _, there = cache.read(index, rows, ONE)
    assert not there.any()
    given = Encoder().expect(rows[[0, 2]], np.float32)
    np.testing.assert_array_equal(cache.write(index, rows[[0, 2]], ONE, given), given)
    found, there = FeatureCache(STEPS, (8,), dtype='float32').read(index, rows, ONE)
    assert there.tolist() == [True, False, True]
    np.testing.assert_array_equal(found[[0, 2]], given)
    assert not FeatureCache('head', (8,), dtype='float32').read(index, rows, ONE)[1].any()


def test_another_segment_of_the_same_name_starts_anew(index, tmp_path):
    cache, encoder = FeatureCache('head', (8,)), Encoder()
    cache.get(index, np.arange(30), ONE, encoder)
    other = write_episode(tmp_path / 'two', steps=30, seed=1, cameras=('head',))
    index.segment.write_bytes((other / 'two_0.mcap').read_bytes())
    changed = ensure_index(index.segment)
    assert changed.sha256 != index.sha256
    found = cache.get(changed, np.arange(5), ONE, Encoder(-1.0))
    np.testing.assert_array_equal(found, Encoder(-1.0).expect(np.arange(5)))


def test_damaged_rows_are_computed_again(index):
    cache, encoder = FeatureCache('head', (8,)), Encoder()
    cache.get(index, np.arange(30), ONE, encoder)
    path = index.segment.parent / files(index)[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    again = FeatureCache('head', (8,)).get(index, np.arange(30), ONE, encoder)
    np.testing.assert_array_equal(again, encoder.expect(np.arange(30)))
    assert encoder.asked[1:] == [[29]]
    path.write_bytes(b'rubbish' * 1000)
    again = FeatureCache('head', (8,)).get(index, np.arange(30), ONE, encoder)
    np.testing.assert_array_equal(again, encoder.expect(np.arange(30)))


@pytest.mark.parametrize(('compute', 'text'), [
    (lambda rows: np.zeros((len(rows), 7)), r'shape \(2, 7\) for 2 images of head; .*\(2, 8\)'),
    (lambda rows: np.full((len(rows), 8), np.nan), r'of head in .*one_0\.mcap that are not fini'),
    (lambda rows: np.full((len(rows), 8), 1e6), 'not finite as float16; keep them as float32')])
def test_what_the_encoder_must_not_give_is_named(index, compute, text):
    cache, encoder = FeatureCache('head', (8,)), Encoder()
    with pytest.raises(SampleError, match=text):
        cache.get(index, np.array([1, 2]), ONE, compute)
    cache.get(index, np.array([1, 2]), ONE, encoder)
    assert encoder.asked == [[1, 2]]


WRITER = textwrap.dedent("""
    import sys
    from pathlib import Path
    import numpy as np
    from lwd_data.replay.feature_cache import FeatureCache
    from lwd_data.replay.index import open_index
    index = open_index(Path(sys.argv[1]))
    rng = np.random.default_rng(int(sys.argv[2]))
    for number in range(10**6):
        cache = FeatureCache('head', (4096,), dtype='float32')
        encoder = f'{number // 30:064d}'
        rows = rng.integers(0, 30, 4)
        found = cache.get(index, rows, encoder, lambda rows: np.repeat(
            rows[:, None] + 0.5 + number // 30, 4096, axis=1))
        assert (found == rows[:, None] + 0.5 + number // 30).all()
        print(number, flush=True)
""")


def test_two_writers_and_a_kill_leave_no_wrong_row(index):
    writers = [subprocess.Popen(
        [sys.executable, '-c', WRITER, str(index.segment), str(seed)],
        stdout=subprocess.PIPE, text=True) for seed in range(2)]
    for writer in writers:
        for line in writer.stdout:
            if int(line) >= 100:
                break
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
    cache = FeatureCache('head', (4096,), dtype='float32')
    computed = []
    for number in range(4):
        def encode(rows, number=number):
            computed.append(len(rows))
            return np.repeat(rows[:, None] + 0.5 + number, 4096, axis=1)

        found = cache.get(index, np.arange(30), f'{number:064d}', encode)
        np.testing.assert_array_equal(found, encode(np.arange(30), number))
    # Of 120 rows most were there: each writer asked for that many of each encoder.
    assert sum(computed) - 120 < 40
