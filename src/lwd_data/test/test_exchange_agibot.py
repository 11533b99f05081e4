# SPDX-License-Identifier: Apache-2.0
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwd_data.errors import ExchangeError
from lwd_data.exchange import episode, mapping, mapping_file
from lwd_data.exchange.agibot import AgibotSource
from lwd_data.reader import EpisodeReader
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.sampler import SamplerConfig, WindowSampler
from lwd_msgs.msg import ControlStep, Reward

sys.path.insert(0, str(Path(__file__).parent))
from exchange_sets import AGIBOT_CAMERAS, picture, shade, write_agibot

MAPPING = mapping_file.find('agibot-world')
_places = itertools.count()


def imported(folder, place, using=MAPPING, **options):
    """Import the first episode; returns its reader."""
    source = AgibotSource(folder, using, **options)
    recording = source.read(source.episodes()[0])
    episode.write(recording, place / recording.name, using)
    return EpisodeReader(place / recording.name)


def refused(folder, using=MAPPING, **options):
    """Return why the first episode cannot be imported."""
    with pytest.raises(ExchangeError) as found:
        imported(folder, folder / f'episodes_{next(_places)}', using, **options)
    return str(found.value)


def test_an_episode_has_states_commands_and_words_of_its_recording(tmp_path):
    moved = write_agibot(tmp_path / 'set')[648642]
    reader = imported(tmp_path / 'set', tmp_path)
    steps = reader.steps()
    np.testing.assert_allclose(steps.state, moved.state(), rtol=0, atol=1e-15)
    assert np.array_equal(steps.executed, moved.command())
    assert np.array_equal(steps.requested, steps.executed)
    assert set(steps.source) == {ControlStep.SOURCE_EXPERT}
    assert steps.terminal.tolist() == [0] * 11 + [Reward.TERMINAL_SUCCESS]
    assert steps.reward.tolist() == [0.0] * 11 + [1.0]
    custom = reader.metadata.custom
    assert custom['task'] == 'agibot-327'
    assert custom['instruction'] == 'Pickup items in the supermarket'
    assert (custom['label'], custom['kind'], custom['steps']) == ('success', 'expert', '12')
    assert (custom['dataset'], custom['dataset_episode']) == ('agibot-world', '327/648642')
    assert json.loads(custom['subtasks'])[0]['action_text'] == 'Retrieve cucumber.'


def test_each_step_sees_its_own_frame_cut_and_resized(tmp_path):
    write_agibot(tmp_path / 'set')
    imported(tmp_path / 'set', tmp_path / 'pool', replace(MAPPING, image_size=32))
    with Catalogue(tmp_path / 'store') as catalogue:
        catalogue.add_folder(tmp_path / 'pool', origin='offline')
        config = SamplerConfig(batch_size=16, horizon=4, scene=False,
                               cameras=tuple(AGIBOT_CAMERAS))
        sampler = WindowSampler(catalogue.snapshot(), config, {'agibot-327': 1})
    batch = sampler.batch(0)
    for camera in AGIBOT_CAMERAS:
        images = batch.observation.images[camera]
        assert images.shape == (16, 32, 32, 3)
        for image, step in zip(images, batch.step):
            assert abs(float(image.mean()) - shade(camera, 0, int(step))) < 3.0


def test_rows_in_which_nothing_was_sent_keep_the_last_command(tmp_path):
    moved = write_agibot(tmp_path / 'set', change={'action/joint/index': np.array([2, 3, 7])})
    found = imported(tmp_path / 'set', tmp_path).steps()
    arms = np.r_[0:7, 8:15]
    rows = [2, 3, 3, 3, 3, 7, 7, 7, 7, 7]
    assert np.array_equal(found.executed[2:, arms], moved[648642].arm_command[rows])
    assert np.array_equal(found.executed[:2, arms], np.repeat(found.state[:1, arms], 2, axis=0))
    assert np.array_equal(found.executed[:, [7, 15]], moved[648642].gripper_command)


def test_commands_of_the_sent_rows_only_are_put_where_their_index_says(tmp_path):
    sent = np.array([0, 4, 9])
    moved = write_agibot(tmp_path / 'set')[648642]
    write_agibot(tmp_path / 'set', change={
        'action/joint/index': sent, 'action/joint/position': moved.arm_command[:3]})
    found = imported(tmp_path / 'set', tmp_path).steps()
    rows = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2]
    assert np.array_equal(found.executed[:, :7], moved.arm_command[rows, :7])


def test_a_recording_of_another_rate_is_brought_to_30_hz(tmp_path):
    moved = write_agibot(tmp_path / 'set', frames=10, stamps=np.arange(10) / 10.0)[648642]
    found = imported(tmp_path / 'set', tmp_path).steps()
    assert len(found) == 28
    np.testing.assert_allclose(found.state[::3], moved.state(), atol=1e-12)
    np.testing.assert_allclose(
        found.state[1], moved.state()[0] * 2 / 3 + moved.state()[1] / 3, atol=1e-9)
    assert found.terminal[-1] == Reward.TERMINAL_SUCCESS


def test_commands_can_be_taken_from_states(tmp_path):
    write_agibot(tmp_path / 'set', change={
        'action/joint/position': np.zeros(0), 'action/joint/index': None})
    using = replace(MAPPING, command_from='next_state')
    found = imported(tmp_path / 'set', tmp_path, using).steps()
    assert np.array_equal(found.executed[:-1], found.state[1:, :16])
    assert 'is empty' in refused(tmp_path / 'set')


def test_images_may_be_files_of_their_own(tmp_path):
    write_agibot(tmp_path / 'set', cameras=())
    for frame in range(12):
        path = tmp_path / f'set/camera/648642/{frame}/head_color.jpg'
        path.parent.mkdir(parents=True)
        path.write_bytes(cv2.imencode('.jpg', picture('head', 0, frame))[1].tobytes())
    using = replace(
        MAPPING, image_size=0, cameras={'head': 'camera/{episode}/{frame}/head_color.jpg'})
    reader = imported(tmp_path / 'set', tmp_path, using)
    images = [raw.data for raw in reader.messages({'compressed'})]
    wanted = [(tmp_path / f'set/camera/648642/{frame}/head_color.jpg').read_bytes()
              for frame in range(12)]
    assert all(want in image for image, want in zip(images, wanted))
    assert len(images) == 12
    path.unlink()
    assert 'has 11 images, 12 were expected' in refused(tmp_path / 'set', using)


def test_episodes_that_are_not_on_disk_are_counted(tmp_path):
    write_agibot(tmp_path / 'set')
    (tmp_path / 'set/proprio_stats/327/648642/proprio_stats.h5').unlink()
    source = AgibotSource(tmp_path / 'set', MAPPING)
    assert [one.name for one in source.episodes()] == ['agibot_327_648649']
    assert source.absent == 1


def test_a_label_of_the_data_goes_before_that_of_the_mapping(tmp_path):
    write_agibot(tmp_path / 'set')
    path = tmp_path / 'set/task_info/task_327.json'
    entries = json.loads(path.read_text())
    entries[0]['success'] = False
    path.write_text(json.dumps(entries))
    using = replace(MAPPING, extra=mapping.Extra(success='success'))
    reader = imported(tmp_path / 'set', tmp_path, using)
    assert reader.metadata.custom['label'] == 'failure'
    assert reader.steps().terminal[-1] == Reward.TERMINAL_FAILURE
    assert not reader.steps().reward.any()


def nan(array):
    array = np.array(array, float)
    array[5, 2] = np.nan
    return array


WRONG = {
    'hands': ({'state/effector/position': np.zeros((12, 12))},
              'state/effector/position has 12 columns, not 2'),
    'joints': ({'state/joint/position': np.zeros((12, 12))},
               'state/joint/position has 12 columns, not 14'),
    'missing': ({'state/waist/position': None}, "has no dataset 'state/waist/position'; did you"),
    'nan': ({'action/joint/position': nan(np.zeros((12, 14)))},
            'action/joint/position is nan at frame 5 (command of idx23_arm_l_joint3)'),
    'degrees': ({'state/head/position': np.full((12, 2), 25.0)},
                'state/head/position gives 25 at frame 0 for state of idx11_head_joint1'),
    'unit grippers': ({'state/effector/position': np.linspace([0, 0], [1, 1], 12)},
                      'change open and closed of left_gripper'),
    'rows': ({'action/joint/position': np.zeros((15, 14))},
             'action/joint/position has 15 rows, for 12 frames of which action/joint/index names'),
    'index': ({'action/joint/index': np.array([3, 2, 5])}, 'it must be growing frame numbers'),
    'text': ({'state/head/position': np.array([[b'a', b'b']] * 12)}, 'not numbers'),
    'falling stamps': ({'timestamp': 10**18 - 33_333_333 * np.arange(12)},
                       'stamps must rise, but frame 1 is at -0.0333 s'),
    'gap': ({'timestamp': 10**9 * np.r_[0:6, 7:13]}, '1.000 s between frames 0 and 1, more than'),
    'stamps': ({'timestamp': np.arange(11)}, 'has 12 rows for 11 frames'),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_does_not_fit_is_refused_with_field_and_value(tmp_path, case):
    change, text = WRONG[case]
    write_agibot(tmp_path / 'set', cameras=(), change=change)
    said = refused(tmp_path / 'set', cameras=())
    assert text in said
    assert '648642/proprio_stats.h5' in said


def test_a_gripper_that_runs_against_its_command_is_refused(tmp_path):
    moved = write_agibot(tmp_path / 'set', cameras=())[648642]
    write_agibot(tmp_path / 'set', cameras=(), change={
        'state/effector/position': 155.0 - moved.grippers})
    said = refused(tmp_path / 'set', cameras=())
    assert 'state/effector/position runs against action/effector/position' in said
    assert 'Exchange open (35) and closed (120)' in said


def test_a_truncated_joints_file_is_refused(tmp_path):
    write_agibot(tmp_path / 'set')
    path = tmp_path / 'set/proprio_stats/327/648642/proprio_stats.h5'
    path.write_bytes(path.read_bytes()[:3000])
    assert f'{path} is damaged' in refused(tmp_path / 'set')


def test_missing_truncated_and_short_videos_are_refused(tmp_path):
    write_agibot(tmp_path / 'set', video_frames={'left_wrist': 8})
    videos = tmp_path / 'set/observations/327/648642/videos'
    assert 'hand_left_color.mp4 ends after 8 frames, 12 were' in refused(
        tmp_path / 'set', cameras=('left_wrist',))
    head = videos / 'head_color.mp4'
    head.write_bytes(head.read_bytes()[:head.stat().st_size // 2])
    assert 'head_color.mp4 is damaged' in refused(
        tmp_path / 'set', replace(MAPPING, label='failure'), cameras=('head',))
    head.unlink()
    assert 'for camera head; change cameras in the mapping' in refused(tmp_path / 'set')


def test_a_camera_that_stops_a_moment_early_is_taken(tmp_path):
    write_agibot(tmp_path / 'set', video_frames={'head': 11}, cameras=('head',))
    reader = imported(tmp_path / 'set', tmp_path, cameras=('head',))
    assert len(list(reader.messages({'compressed'}))) == 12


def test_what_is_no_folder_of_agibot_world_is_refused(tmp_path):
    with pytest.raises(ExchangeError, match='no folder of AgiBot World'):
        AgibotSource(tmp_path, MAPPING)
    write_agibot(tmp_path / 'set', cameras=())
    with pytest.raises(ExchangeError, match="no task '328'; did you mean '327'"):
        AgibotSource(tmp_path / 'set', MAPPING, tasks=['328'])
    with pytest.raises(ExchangeError, match="no camera 'haed'; did you mean 'head'"):
        AgibotSource(tmp_path / 'set', MAPPING, cameras=['haed'])
    with pytest.raises(ExchangeError, match='is for lerobot, not agibot-world'):
        AgibotSource(tmp_path / 'set', mapping_file.find('lerobot-lwd'))
    (tmp_path / 'set/task_info/task_327.json').write_text('[{"task_name": "x"}]')
    with pytest.raises(ExchangeError, match='each with an episode_id'):
        AgibotSource(tmp_path / 'set', MAPPING).episodes()
