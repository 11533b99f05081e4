# SPDX-License-Identifier: Apache-2.0
import dataclasses
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lwd_data.errors import IndexFileError
from lwd_data.reader import EpisodeReader
from lwd_data.replay.episode import EpisodeColumns
from lwd_data.replay.files import Files
from lwd_data.replay.index import ensure_index, open_index
from lwd_data.replay.ingest import ingest, read_episode
from lwd_msgs.msg import ControlStep, ExecutedCommand, Reward

sys.path.insert(0, str(Path(__file__).parent))
from episodes import EXPERT, HOLD, TELEOP, jpeg, write_episode

FIELDS = ('tick', 'stamp_ns', 'state', 'requested', 'executed', 'clipped', 'source', 'reward',
          'terminal')


def columns_of(folder):
    entries = ingest(folder, 'online')
    record = dataclasses.replace(
        entries[0].episode, segments=tuple(entry.segment for entry in entries))
    return EpisodeColumns(record, Files().index)


def scene_of(columns, step):
    place = columns.scene_place(step)
    return None if place is None else np.frombuffer(Files().read(*place), '<f4')


def assert_equal_to_reader(folder):
    columns, steps = columns_of(folder), EpisodeReader(folder).steps()
    for field in FIELDS:
        ours, theirs = getattr(columns, field), getattr(steps, field)
        assert ours.dtype == theirs.dtype, field
        # Bit for bit, NaN included.
        assert ours.tobytes() == theirs.tobytes(), field
    assert columns.has_scene.all()
    for step in range(len(steps)):
        assert scene_of(columns, step).tobytes() == steps.scene[step].tobytes()
    return columns


@pytest.mark.parametrize('seconds', [10.0, 0.5, 0.1])
def test_columns_are_what_the_reader_reads(tmp_path, seconds):
    folder = write_episode(
        tmp_path / 'one', steps=70, segment_seconds=seconds, rewards={20: 0.0, 50: 0.25},
        source={30: TELEOP, 45: EXPERT}, driver={12: ExecutedCommand.STATE_HOLD})
    columns = assert_equal_to_reader(folder)
    assert columns.verdict
    assert (columns.stop, columns.outcome) == (70, Reward.TERMINAL_SUCCESS)
    assert columns.rewards == ((20, 0.0), (50, 0.25), (69, 1.0))
    assert np.flatnonzero(~columns.active).tolist() == [12]


@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0.02, 0.4), st.sets(st.tuples(
    st.integers(0, 24), st.sampled_from(['tick', 'joint_states', 'executed_command',
                                         'control_step', 'reward'])), max_size=6))
def test_any_cut_and_any_loss_gives_what_the_reader_reads(tmp_path, seconds, lost):
    shutil.rmtree(tmp_path / 'one', ignore_errors=True)
    folder = write_episode(
        tmp_path / 'one', steps=25, segment_seconds=seconds, lost=lost, rewards={3: 0.5})
    assert_equal_to_reader(folder)


def test_some_cuts_are_within_ticks(tmp_path):
    """What the tests above rest on."""
    folder = write_episode(tmp_path / 'one', steps=60, segment_seconds=0.1)
    segments = [ensure_index(path) for path in folder.glob('*.mcap')]
    assert len(segments) > 10
    split = sum(len(index.loose('executed')['tick']) for index in segments)
    assert 0 < split < 30


def test_slices_are_parts_of_the_whole(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=50, segment_seconds=0.15)
    columns = columns_of(folder)
    whole = columns.executed
    for start in range(50):
        for stop in (start, start + 1, min(50, start + 20), 50):
            np.testing.assert_array_equal(
                columns.read('executed', start, stop), whole[start:stop])


def test_versions_and_chunks_are_those_of_the_control_steps(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=60, segment_seconds=0.4,
                           version={0: 'b' * 64, 25: 'c' * 64, 40: 'b' * 64},
                           source={50: TELEOP})
    columns = columns_of(folder)
    names = np.array(columns.versions)[columns.version].tolist()
    assert names == ['b' * 64] * 25 + ['c' * 64] * 15 + ['b' * 64] * 10 + [''] * 10
    assert columns.chunk_id.tolist() == [1] * 30 + [2] * 30
    assert columns.chunk_index.tolist() == [*range(30)] * 2


@pytest.mark.parametrize('every', [1, 4])
@pytest.mark.parametrize('seconds', [10.0, 0.1])
def test_images_are_those_that_the_policy_saw(tmp_path, seconds, every):
    folder = write_episode(tmp_path / 'one', steps=30, segment_seconds=seconds,
                           cameras=('head', 'left_wrist'), image_every=every)
    columns, files = columns_of(folder), Files()
    assert columns.cameras == ('head', 'left_wrist')
    for camera in columns.cameras:
        assert columns.has_image(camera).all()
        for step in range(30):
            place = columns.image_place(step, camera)
            assert files.read(*place) == jpeg(camera, step - step % every, 16)
            segment, row = columns.image_row(step, camera)
            _, offsets, lengths = open_index(columns.record.path(segment)).image(camera)
            assert place[1:] == (offsets[row], lengths[row])
    assert not columns.has_image('tail').any()
    assert columns.image_place(3, 'tail') is None


def test_lost_images_and_scenes_are_known(tmp_path):
    folder = write_episode(
        tmp_path / 'one', steps=30, segment_seconds=0.2, cameras=('head',),
        lost={(7, 'head/image_raw/compressed'), (9, 'scene_features')})
    columns = columns_of(folder)
    assert np.flatnonzero(~columns.has_image('head')).tolist() == [7]
    assert columns.image_place(7, 'head') is None
    assert np.flatnonzero(~columns.has_scene).tolist() == [9]
    assert columns.scene_place(9) is None


def test_without_a_control_step_the_images_are_the_ticks(tmp_path):
    folder = write_episode(
        tmp_path / 'one', steps=30, cameras=('head',), lost={(7, 'control_step')})
    columns = columns_of(folder)
    assert columns.source[7] == ControlStep.SOURCE_HOLD
    assert Files().read(*columns.image_place(7, 'head')) == jpeg('head', 7, 16)


def test_an_episode_without_scene_has_none(tmp_path):
    columns = columns_of(write_episode(tmp_path / 'one', steps=30, scene=False))
    assert columns.layout == ''
    assert not columns.has_scene.any()


def test_an_episode_that_still_runs_has_the_steps_so_far(tmp_path):
    whole = columns_of(write_episode(tmp_path / 'whole' / 'one', steps=60, segment_seconds=0.31))
    for count in range(1, len(whole.record.segments)):
        folder = tmp_path / str(count) / 'one'
        shutil.copytree(whole.record.folder, folder)
        for segment in whole.record.segments[count:]:
            (folder / segment.file).unlink()
        text = (folder / 'metadata.yaml').read_text()
        (folder / 'metadata.yaml').write_text(text.replace('label: success', "label: ''"))
        part = columns_of(folder)
        assert len(part.record.segments) == count
        assert 0 < len(part) < len(whole)
        assert not part.verdict
        assert part.stop == len(part)
        for field in FIELDS:
            np.testing.assert_array_equal(
                getattr(part, field), getattr(whole, field)[:len(part)])


def test_who_was_in_control_is_not_guessed_while_an_episode_runs(tmp_path):
    """A tick whose control step is still to come is no step yet; in a finished one it is held."""
    lost = {(19, 'control_step')}
    finished = columns_of(write_episode(tmp_path / 'a', steps=20, lost=lost, terminal=0))
    running = columns_of(write_episode(
        tmp_path / 'b', steps=20, lost=lost, terminal=0, label=''))
    assert finished.source.tolist()[18:] == [1, HOLD]
    assert running.source.tolist()[18:] == [1]


def test_an_early_verdict_ends_the_episode(tmp_path):
    def early(name, step, message):
        if name == 'reward' and step == 20:
            message.terminal, message.reward = Reward.TERMINAL_FAILURE, 0.0
    columns = columns_of(write_episode(
        tmp_path / 'one', steps=40, rewards={20: 0.0}, change=early))
    assert (columns.stop, columns.outcome) == (21, Reward.TERMINAL_FAILURE)
    assert len(columns) == 40


def test_segments_with_the_same_ticks_are_refused(tmp_path):
    def again(name, step, message):
        if step >= 20 and hasattr(message, 'tick'):
            message.tick -= 20
    folder = write_episode(tmp_path / 'one', steps=40, segment_seconds=0.66, change=again)
    with pytest.raises(IndexFileError, match=(
            r'one: tick \d+ comes after tick \d+ .*two segments hold the same ticks')):
        ingest(folder, 'online')


def test_metadata_must_say_what_to_do_and_stay_in_its_folder(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=5, instruction='')
    with pytest.raises(IndexFileError, match=r'one/metadata\.yaml has no instruction'):
        read_episode(folder, 'online')
    with pytest.raises(IndexFileError, match="origin is 'mine'; it is one of offline, online"):
        read_episode(folder, 'mine')
    folder = write_episode(tmp_path / 'two', steps=5)
    text = (folder / 'metadata.yaml').read_text().replace('two_0.mcap', '../one/one_0.mcap')
    (folder / 'metadata.yaml').write_text(text)
    with pytest.raises(IndexFileError, match=r"segment '\.\./one/one_0\.mcap'; a segment lies"):
        ingest(folder, 'online')
