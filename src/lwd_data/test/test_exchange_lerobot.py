# SPDX-License-Identifier: Apache-2.0
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lwd_data.errors import ExchangeError
from lwd_data.exchange import episode, mapping, mapping_file, pictures
from lwd_data.exchange.lerobot_choice import choose
from lwd_data.exchange.lerobot_meta import _names
from lwd_data.exchange.lerobot_source import LerobotSource, slug
from lwd_data.reader import EpisodeReader
from lwd_data.replay.ingest import ingest
from lwd_msgs.msg import Reward

sys.path.insert(0, str(Path(__file__).parent))
from exchange_sets import LEROBOT_CAMERAS, shade, write_lerobot

MAPPING = mapping_file.find('lerobot-agibot')
DATA = 'data/chunk-000/file-000.parquet'
_places = itertools.count()


def imported(folder, place, using=MAPPING, number=0, **options):
    """Import an episode; returns its reader."""
    source = LerobotSource(folder, using, **options)
    recording = source.read(source.episodes()[number])
    episode.write(recording, place / recording.name, using)
    return EpisodeReader(place / recording.name)


def refused(folder, using=MAPPING, **options):
    """Return why an episode cannot be imported."""
    with pytest.raises(ExchangeError) as found:
        imported(folder, folder / f'episodes_{next(_places)}', using, **options)
    return str(found.value)


def change_info(folder, **changes):
    path = folder / 'meta/info.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def shades(reader, camera):
    """Return the mean grey of each image of a camera, in order."""
    found = []
    for raw in reader.messages({'compressed'}):
        if f'/{camera}/' in raw.topic:
            data = raw.data[raw.data.index(b'\xff\xd8\xff'):]
            found.append(float(pictures.decode(data, camera).mean()))
    return found


@pytest.mark.parametrize('png', [False, True])
def test_every_episode_of_a_shared_file_gets_its_own_rows_and_frames(tmp_path, png):
    moved = write_lerobot(tmp_path / 'set', png=png)
    for number, length in enumerate((9, 7)):
        reader = imported(tmp_path / 'set', tmp_path, number=number)
        assert reader.folder.name == f'set_{number:06d}'
        steps = reader.steps()
        assert len(steps) == length
        np.testing.assert_allclose(steps.state, moved[number].state(), atol=1e-6)
        np.testing.assert_allclose(steps.executed, moved[number].command(), atol=1e-6)
        for camera in LEROBOT_CAMERAS:
            wanted = [shade(camera, number, frame) for frame in range(length)]
            np.testing.assert_allclose(shades(reader, camera), wanted, atol=3.0)
        custom = reader.metadata.custom
        assert custom['instruction'] == f'Task {number}'
        assert custom['task'] == f'task-{number}'
        assert custom['robot_type'] == 'AgiBot_A2D'
        assert custom['label'] == 'success'
        assert ingest(reader.folder, 'offline')


def test_a_video_of_another_rate_gives_each_tick_the_last_frame(tmp_path):
    write_lerobot(tmp_path / 'set', fps=15, lengths=(4, 4))
    reader = imported(tmp_path / 'set', tmp_path, number=1)
    assert len(reader.steps()) == 7
    # Of two ticks that see the same frame only the first records it.
    np.testing.assert_allclose(
        shades(reader, 'head'), [shade('head', 1, frame) for frame in range(4)], atol=3.0)


def test_the_shipped_mapping_that_fits_is_found(tmp_path):
    write_lerobot(tmp_path / 'set')
    assert choose(tmp_path / 'set').name == 'lerobot-agibot'
    change_info(tmp_path / 'set', features={
        'action': {'dtype': 'float32', 'shape': [2], 'names': None}})
    with pytest.raises(ExchangeError, match='no shipped mapping fits') as found:
        choose(tmp_path / 'set')
    assert 'lerobot-any4 lacks observation.states.joint.position' in str(found.value)
    assert 'It has action.' in str(found.value)


def test_success_that_the_data_says_goes_before_the_label_of_the_mapping(tmp_path):
    write_lerobot(tmp_path / 'set', success=(True, False))
    using = replace(MAPPING, extra=mapping.Extra(success='next.success'), cameras={})
    labels = [imported(tmp_path / 'set', tmp_path, using, number).metadata.custom['label']
              for number in range(2)]
    assert labels == ['success', 'failure']
    terminal = EpisodeReader(tmp_path / 'set_000001').steps().terminal
    assert terminal[-1] == Reward.TERMINAL_FAILURE


@pytest.mark.parametrize(('names', 'found'), [
    (['a', 'b'], ('a', 'b')), ([['a', 'b']], ('a', 'b')), ({'motors': ['a']}, ('a',)),
    ({'axes': [['a']]}, ('a',)), (None, ()), ([], ())])
def test_names_of_columns_are_read_in_all_the_forms_that_there_are(names, found):
    assert _names(names) == found


def fall(columns, number):
    columns['timestamp'][4] = columns['timestamp'][2]


def nan(columns, number):
    columns['action'][3, 5] = np.inf


def shuffle(columns, number):
    columns['frame_index'] = columns['frame_index'][::-1]


def short(columns, number):
    for name in columns:
        columns[name] = columns[name][1:] if number == 0 else columns[name]


@pytest.mark.parametrize(('change', 'text'), [
    (fall, 'stamps must rise, but frame 4 is at 0.0667 s'),
    (nan, 'action is inf at frame 3 (command of idx24_arm_l_joint4)'),
    (shuffle, 'frame_index is not 0 .. 8'),
    (short, 'has 8 rows, its length is 9')])
def test_rows_that_do_not_fit_are_refused_with_field_and_frame(tmp_path, change, text):
    write_lerobot(tmp_path / 'set', cameras=(), change=change)
    said = refused(tmp_path / 'set', cameras=())
    assert text in said
    assert f'{DATA} (episode 0)' in said


@pytest.mark.parametrize('version', ['v2.1', 'v3.1', 'v4.0', None, 3])
def test_other_versions_are_refused(tmp_path, version):
    write_lerobot(tmp_path / 'set', cameras=(), info={'codebase_version': version})
    with pytest.raises(ExchangeError, match=f'is of version {version!r}, this reads'):
        LerobotSource(tmp_path / 'set', MAPPING)


def test_truncated_and_missing_files_are_refused(tmp_path):
    write_lerobot(tmp_path / 'set')
    data = tmp_path / 'set' / DATA
    whole = data.read_bytes()
    data.write_bytes(whole[:len(whole) // 2])
    assert f'{data} is damaged' in refused(tmp_path / 'set')
    data.unlink()
    assert f'there is no {data}' in refused(tmp_path / 'set')
    data.write_bytes(whole)
    video = tmp_path / 'set/videos/observation.images.top_head/chunk-000/file-000.mp4'
    frames = video.read_bytes()
    video.write_bytes(frames[:len(frames) // 2])
    assert f'{video} is damaged' in refused(tmp_path / 'set')
    video.unlink()
    assert f'there is no video {video}; fetch it' in refused(tmp_path / 'set')
    tasks = tmp_path / 'set/meta/tasks.parquet'
    tasks.write_bytes(b'PAR1')
    assert f'{tasks} is damaged' in refused(tmp_path / 'set')


def test_a_video_that_ends_before_its_episode_is_refused(tmp_path):
    write_lerobot(tmp_path / 'set', lengths=(9,))
    path = tmp_path / 'set/meta/episodes/chunk-000/file-000.parquet'
    row = pq.read_table(path).to_pylist()[0]
    row['videos/observation.images.top_head/from_timestamp'] = 0.2
    pq.write_table(pa.Table.from_pylist([row]), path)
    assert 'has no frame at 0.300 s, the nearest is 0.267 s' in refused(
        tmp_path / 'set', cameras=('head',))


def test_a_missing_camera_joint_or_column_is_named_with_the_nearest(tmp_path):
    write_lerobot(tmp_path / 'set', cameras=('head',))
    assert "no feature 'observation.images.hand_left'" in refused(tmp_path / 'set')
    features = json.loads((tmp_path / 'set/meta/info.json').read_text())['features']
    names = features['action']['names']['axes']
    features['action']['names']['axes'] = [
        'left_jiont_3' if name == 'left_joint_3' else name for name in names]
    change_info(tmp_path / 'set', features=features)
    said = refused(tmp_path / 'set', cameras=())
    assert "action has no column 'left_joint_3'; did you mean" in said
    assert 'Change columns of left_arm' in said
    del features['action']
    change_info(tmp_path / 'set', features=features)
    assert "info.json has no feature 'action'" in refused(tmp_path / 'set', cameras=())


def test_a_data_set_cannot_name_files_outside_itself(tmp_path):
    write_lerobot(tmp_path / 'set', cameras=(), info={
        'data_path': '../outside-{chunk_index}-{file_index}.parquet'})
    assert 'outside the data set' in refused(tmp_path / 'set', cameras=())


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(ExchangeError, match='no data set of LeRobot'):
        LerobotSource(tmp_path, MAPPING)
    write_lerobot(tmp_path / 'set', cameras=(), info={'fps': 0})
    with pytest.raises(ExchangeError, match='fps is 0; it must be above'):
        LerobotSource(tmp_path / 'set', MAPPING)
    change_info(tmp_path / 'set', fps=30, features={'action': {}})
    with pytest.raises(ExchangeError, match="lacks 'dtype'"):
        LerobotSource(tmp_path / 'set', MAPPING)
    (tmp_path / 'set/meta/info.json').write_text('{')
    with pytest.raises(ExchangeError, match='cannot be read'):
        LerobotSource(tmp_path / 'set', MAPPING)


def test_names_are_made_of_texts():
    assert slug('Pick up the *red* cup, please!') == 'pick-up-the-red-cup-please'
    assert slug('  ') == ''
