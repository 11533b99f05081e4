# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from lwd_data.errors import ExchangeError
from lwd_data.exchange import episode, lerobot_writer
from lwd_data.exchange import lerobot_stats as statistics
from lwd_data.exchange.lerobot_choice import choose
from lwd_data.exchange.lerobot_export import export
from lwd_data.exchange.lerobot_source import LerobotSource
from lwd_data.exchange.video import IndexedVideo, VideoWriter
from lwd_data.reader import EpisodeReader
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.files import Files
from lwd_data.replay.ingest import ingest

sys.path.insert(0, str(Path(__file__).parent))
from episodes import FAILURE, POLICY, TELEOP, write_episode

CAMERAS = ('head', 'left_wrist')
TEXTS = ('put the can on the shelf', 'open the fridge')


@pytest.fixture
def pool(tmp_path):
    """Two episodes: one with a take-over, a lost tick and two policies; one that fails."""
    folder = tmp_path / 'pool'
    write_episode(
        folder / 'a', steps=30, cameras=CAMERAS, image_every=2, segment_seconds=0.4,
        source={10: TELEOP, 20: POLICY}, version={25: 'b' * 64}, rewards={5: 0.25},
        lost={(12, 'executed_command')}, custom={'kind': 'rollout', 'score': '0.5'})
    write_episode(
        folder / 'b', steps=20, seed=3, cameras=CAMERAS, label='failure', terminal=FAILURE,
        task='fridge', instruction=TEXTS[1], driver={4: 1})
    return folder


def columns_of(folder):
    """Return the learner's view of an episode."""
    entries = ingest(folder, 'offline')
    record = replace(entries[0].episode, segments=tuple(entry.segment for entry in entries))
    return EpisodeColumns(record, Files().index)


def read_back(out, place):
    """Import all episodes of a data set; returns their folders by name."""
    mapping = choose(out)
    assert mapping.name == 'lerobot-lwd'
    source = LerobotSource(out, mapping)
    for reference in source.episodes():
        recording = source.read(reference)
        episode.write(recording, place / recording.name, mapping)
    return {path.name: path for path in place.iterdir()}


def images_of(folder):
    """Return the JPEG that each step saw, by camera."""
    columns, files = columns_of(folder), Files()
    return {camera: [files.read(*columns.image_place(step, camera))
                     for step in range(len(columns))] for camera in CAMERAS}


@pytest.mark.parametrize('images', ['jpeg', 'video', 'none'])
def test_what_was_exported_comes_back_bit_for_bit(pool, tmp_path, images):
    export(pool, tmp_path / 'out', images=images)
    back = read_back(tmp_path / 'out', tmp_path / 'back')
    assert set(back) == {'a', 'b'}
    for name, folder in back.items():
        before, after = columns_of(pool / name), columns_of(folder)
        for column in ('tick', 'state', 'executed', 'source', 'reward', 'terminal', 'active'):
            assert np.array_equal(getattr(before, column), getattr(after, column)), column
        versions = [[one.versions[k] for k in one.version] for one in (before, after)]
        assert versions[0] == versions[1]
        scenes = [EpisodeReader(one).steps().scene for one in (pool / name, folder)]
        assert np.array_equal(*scenes)
        for key in ('task', 'instruction', 'label', 'robot'):
            assert before.record.custom[key] == after.record.custom[key]
    assert EpisodeReader(back['a']).metadata.custom['kind'] == 'rollout'
    assert EpisodeReader(back['a']).metadata.custom['score'] == '0.5'
    assert len(EpisodeReader(back['a']).steps()) == 29


def test_recorded_jpegs_come_back_as_they_were(pool, tmp_path):
    export(pool, tmp_path / 'out', images='jpeg')
    for name, folder in read_back(tmp_path / 'out', tmp_path / 'back').items():
        assert images_of(pool / name) == images_of(folder)


AV1 = """
import sys
from fractions import Fraction
import av
import numpy as np
with av.open(sys.argv[1], 'w') as file:
    stream = file.add_stream('libsvtav1', rate=30, options={'crf': '30', 'preset': '8'})
    stream.width, stream.height, stream.pix_fmt = 64, 64, 'yuv420p'
    for i in range(5):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40 * i, np.uint8), format='rgb24')
        file.mux(stream.encode(frame))
    file.mux(stream.encode())
"""


def test_av1_is_read(tmp_path):
    # Written by a process of its own: its encoder changes the priority of who calls it.
    subprocess.run([sys.executable, '-c', AV1, str(tmp_path / 'a.mp4')], check=True, timeout=300)
    frames = list(IndexedVideo(tmp_path / 'a.mp4', 5).read(range(5)))
    assert [round(float(frame.mean()) / 40) for frame in frames] == [0, 1, 2, 3, 4]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_videos_come_back_within_what_a_codec_loses(pool, tmp_path):
    export(pool, tmp_path / 'out')
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    for name, folder in read_back(tmp_path / 'out', tmp_path / 'back').items():
        before, after = images_of(pool / name), images_of(folder)
        for camera in CAMERAS:
            for one, two in zip(before[camera], after[camera], strict=True):
                far = np.abs(decoded(one).astype(int) - decoded(two).astype(int))
                # Neighbouring images of the tests are far apart in colour; half the colour's
                # resolution goes to the codec.
                assert far.mean() < 6.0


def decoded(data):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)


class Reader:
    """Reads a data set by its published description alone: paths and offsets out of meta."""

    def __init__(self, folder):
        self.folder = folder
        self.info = json.loads((folder / 'meta/info.json').read_text())
        self.stats = json.loads((folder / 'meta/stats.json').read_text())
        self.tasks = pq.read_table(folder / 'meta/tasks.parquet')
        self.episodes = [row for path in sorted((folder / 'meta/episodes').glob('*/*.parquet'))
                         for row in pq.read_table(path).to_pylist()]
        self.rows = [row for path in sorted((folder / 'data').glob('*/*.parquet'))
                     for row in pq.read_table(path).to_pylist()]

    def frame(self, index, key):
        """Return a frame of a video, found by its time stamp."""
        row = self.rows[index]
        found = self.episodes[row['episode_index']]
        path = self.folder / self.info['video_path'].format(
            video_key=key, chunk_index=found[f'videos/{key}/chunk_index'],
            file_index=found[f'videos/{key}/file_index'])
        wanted = found[f'videos/{key}/from_timestamp'] + row['timestamp']
        with av.open(str(path)) as container:
            frames = {frame.time: frame for frame in container.decode(video=0)}
        nearest = min(frames, key=lambda time: abs(time - wanted))
        assert abs(nearest - wanted) < 1e-4
        return frames[nearest].to_ndarray(format='rgb24')


def test_the_data_set_is_as_the_format_describes_it(pool, tmp_path):
    done = export(pool, tmp_path / 'out')
    found = Reader(tmp_path / 'out')
    info = found.info
    assert info['codebase_version'] == 'v3.0'
    assert (info['total_episodes'], info['total_frames'], info['total_tasks']) == (2, 49, 2)
    assert (info['fps'], info['splits']) == (30, {'train': '0:2'})
    assert info['features']['observation.state'] == {
        'dtype': 'float32', 'shape': [20], 'names': list(STATE_NAMES)}
    assert info['features']['action']['names'] == list(COMMAND_NAMES)
    head = info['features']['observation.images.head']
    assert (head['dtype'], head['shape']) == ('video', [16, 16, 3])
    assert head['info']['video.fps'] == 30
    assert not any('/' in name for name in info['features'])
    assert set(done.features) == set(info['features'])
    stored = {name for name, one in info['features'].items() if one['dtype'] != 'video'}
    for number, row in enumerate(found.rows):
        assert set(row) == stored
        assert row['index'] == number
    for number, one in enumerate(found.episodes):
        rows = found.rows[one['dataset_from_index']:one['dataset_to_index']]
        assert {row['episode_index'] for row in rows} == {number} == {one['episode_index']}
        assert [row['frame_index'] for row in rows] == list(range(one['length']))
        np.testing.assert_allclose(
            [row['timestamp'] for row in rows], np.arange(one['length']) / 30, rtol=1e-6)
        assert [row['next.done'] for row in rows] == [False] * (one['length'] - 1) + [True]
        assert one['tasks'] == [TEXTS[number]]
        texts = found.tasks.column('task').to_pylist()
        assert texts[rows[0]['task_index']] == TEXTS[number]
    about = json.loads(found.tasks.schema.metadata[b'pandas'])
    assert about['index_columns'] == ['task']
    first = found.rows[:29]
    assert sum(row['next.reward'] for row in first) == pytest.approx(1.25)
    assert [row['next.success'] for row in first] == [False] * 28 + [True]
    ticks = [row['lwd.tick'] - 100 for row in first]
    assert ticks == [tick for tick in range(30) if tick != 12]
    assert [row['intervention'] for row in first] == [10 <= tick < 20 for tick in ticks]
    assert first[0]['policy_version'] == 'a' * 64
    assert first[-1]['policy_version'] == 'b' * 64


def test_a_frame_is_found_by_its_time_in_a_video_of_several_episodes(pool, tmp_path):
    export(pool, tmp_path / 'out')
    found = Reader(tmp_path / 'out')
    for index, name, step in ((0, 'a', 0), (28, 'a', 28), (29, 'b', 0), (48, 'b', 19)):
        wanted = decoded(images_of(pool / name)['left_wrist'][step])
        seen = found.frame(index, 'observation.images.left_wrist')
        assert np.abs(wanted.astype(int) - seen.astype(int)).mean() < 6.0


def test_statistics_are_those_of_the_data(pool, tmp_path):
    export(pool, tmp_path / 'out', images='jpeg')
    found = Reader(tmp_path / 'out')
    action = np.array([row['action'] for row in found.rows])
    stats = found.stats['action']
    np.testing.assert_allclose(stats['mean'], action.mean(0), atol=1e-6)
    np.testing.assert_allclose(stats['std'], action.std(0), atol=1e-6)
    assert stats['min'] == pytest.approx(action.min(0))
    assert stats['count'] == [49]
    one = found.episodes[0]
    np.testing.assert_allclose(
        one['stats/action/q50'], np.median(action[:29], axis=0), atol=1e-6)
    image = np.array(found.stats['observation.images.head']['mean'])
    assert image.shape == (3, 1, 1)
    pixels = [decoded(row['observation.images.head']['bytes']) for row in found.rows]
    by_episode = [np.mean(pixels[:29], axis=(0, 1, 2)), np.mean(pixels[29:], axis=(0, 1, 2))]
    np.testing.assert_allclose(
        image[:, 0, 0], np.average(by_episode, axis=0, weights=[29, 20]) / 255, atol=1e-6)
    assert 'policy_version' not in found.stats
    low = np.minimum(*(one['stats/action/q01'] for one in found.episodes))
    assert found.stats['action']['q01'] == pytest.approx(low)


def test_long_data_sets_go_into_several_files(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(lerobot_writer, '_MB', 0)
    monkeypatch.setattr(lerobot_writer, '_CHUNK', 1)
    export(pool, tmp_path / 'out')
    assert (tmp_path / 'out/data/chunk-001/file-000.parquet').is_file()
    assert (tmp_path / 'out/videos/observation.images.head/chunk-001/file-000.mp4').is_file()
    found = Reader(tmp_path / 'out')
    wanted = decoded(images_of(pool / 'b')['head'][3])
    seen = found.frame(32, 'observation.images.head')
    assert np.abs(wanted.astype(int) - seen.astype(int)).mean() < 6.0
    assert len(read_back(tmp_path / 'out', tmp_path / 'back')) == 2


def test_what_is_left_out_is_said(pool, tmp_path):
    write_episode(pool / 'c', steps=10, cameras=('head',), scene=False)
    write_episode(pool / 'd', steps=10, cameras=CAMERAS, label='discard')
    done = export(pool, tmp_path / 'out', images='jpeg')
    assert done.episodes == 3
    said = ' '.join(done.left_out)
    assert 'd: it is labelled discard' in said
    assert 'observation.images.left_wrist: 1 of 3 episodes have no such images' in said
    assert 'lwd.scene: not every step' in said
    assert 'observation.images.head' in done.features


def test_steps_before_the_first_image_are_left_out_and_lost_images_are_held(tmp_path):
    lost = {(step, 'head/image_raw/compressed') for step in (0, 1, 7)}
    write_episode(tmp_path / 'pool/a', steps=12, cameras=('head',), lost=lost)
    export(tmp_path / 'pool', tmp_path / 'out', images='jpeg')
    rows = Reader(tmp_path / 'out').rows
    assert [row['lwd.tick'] for row in rows] == list(range(102, 112))
    images = [row['observation.images.head']['bytes'] for row in rows]
    assert images[5] == images[4]
    assert len(set(images)) == 9


def test_of_two_copies_of_an_episode_the_longer_one_is_taken(tmp_path):
    for place, steps in (('spool', 10), ('store', 30), ('trash', 20)):
        write_episode(tmp_path / 'run' / place / 'a', steps=steps, segment_seconds=0.3)
    done = export(tmp_path / 'run', tmp_path / 'out')
    assert (done.episodes, done.frames) == (1, 30)
    assert 'trash/a: a is there a second time' in ' '.join(done.left_out)


def test_tasks_and_numbers_of_episodes_can_be_chosen(pool, tmp_path):
    assert export(pool, tmp_path / 'one', images='none', most=1).episodes == 1
    done = export(pool, tmp_path / 'two', images='none', tasks=['fridge'])
    assert (done.episodes, done.frames) == (1, 20)
    with pytest.raises(ExchangeError, match='no episode of cooler; it has fridge, restock'):
        export(pool, tmp_path / 'three', tasks=['cooler'])


def test_an_export_is_there_whole_or_not_at_all(pool, tmp_path):
    write_episode(pool / 'c', steps=10, cameras=CAMERAS, image_size=32)
    with pytest.raises(ExchangeError, match='32 x 32, others 16 x 16; a video'):
        export(pool, tmp_path / 'out')
    assert not list(tmp_path.glob('out*'))
    (tmp_path / 'out').mkdir()
    with pytest.raises(ExchangeError, match='exists already'):
        export(pool, tmp_path / 'out')
    with pytest.raises(ExchangeError, match='has no episode to export'):
        export(tmp_path / 'out', tmp_path / 'other')
    with pytest.raises(ExchangeError, match='there is no folder'):
        export(tmp_path / 'none', tmp_path / 'other')


@pytest.mark.parametrize(('custom', 'text'), [
    ({'label': 'won'}, "label is 'won'"), ({'robot': '../x'}, "robot is '../x'"),
    ({'seed': 'x'}, "seed is 'x', no number"), ({'score': ''}, "score is '', no number")])
def test_what_a_data_set_says_of_an_episode_is_not_believed(pool, tmp_path, custom, text):
    export(pool, tmp_path / 'out', images='none', most=1)
    path = tmp_path / 'out/meta/episodes/chunk-000/file-000.parquet'
    row = pq.read_table(path).to_pylist()[0]
    row['lwd/custom_data'] = json.dumps({**json.loads(row['lwd/custom_data']), **custom})
    pq.write_table(pa.Table.from_pylist([row]), path)
    with pytest.raises(ExchangeError) as found:
        read_back(tmp_path / 'out', tmp_path / 'back')
    assert text in str(found.value)


def test_a_disk_that_refuses_is_told(pool, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ExchangeError, match='cannot write'):
        export(pool, tmp_path / 'file/out', images='none')


def test_a_video_of_odd_sides_is_refused(tmp_path):
    with pytest.raises(ExchangeError, match='sides must be even'):
        VideoWriter(tmp_path / 'one.mp4', 15, 16, 30, 'h264')


def test_the_deviation_of_parts_is_that_of_the_whole():
    rng = np.random.default_rng(0)
    parts = [rng.normal(mean, 2.0, (count, 3)) for mean, count in ((0.0, 5), (4.0, 50))]
    found = statistics.together([{'x': statistics.of_numbers(part)} for part in parts])['x']
    whole = np.concatenate(parts)
    np.testing.assert_allclose(found['std'], whole.std(0))
    np.testing.assert_allclose(found['mean'], whole.mean(0))
