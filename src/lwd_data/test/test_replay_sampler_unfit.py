# SPDX-License-Identifier: Apache-2.0
"""What cannot be drawn is left out or named."""

import dataclasses
import sys
from pathlib import Path

import pytest

from lwd_data.errors import CatalogueError, IndexFileError, SampleError
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.sampler import WindowSampler

sys.path.insert(0, str(Path(__file__).parent))
from episodes import write_episode
from sampling import CONFIG, N, fill, pairs


def test_windows_without_their_observations_are_left_out(tmp_path):
    lost = {(12, 'head/image_raw/compressed'), (20, 'scene_features')}
    write_episode(tmp_path / 'one', steps=40, lost=lost, cameras=('head',))
    write_episode(tmp_path / 'two', steps=40, scene=False)
    with Catalogue(tmp_path) as catalogue:
        catalogue.add_folder(tmp_path, origin='offline')
        snapshot = catalogue.snapshot()
    n = {'restock': 2}

    def steps(**changes):
        sampler = WindowSampler(snapshot, dataclasses.replace(CONFIG, **changes), n)
        found = [pair for k in range(20) for pair in pairs(sampler.batch(k))]
        return sampler.describe()['left_out'], {t for e, t in found if e == 0}, {
            t for e, t in found if e == 1}

    everything = set(range(36))
    assert steps(scene=False) == (0, everything, everything)
    # Not at 20, and not where 20 is the next state, 10 steps on.
    assert steps(scene=True) == (38, everything - {10, 20}, set())
    assert steps(scene=False, cameras=('head',)) == (38, everything - {2, 12}, set())
    with pytest.raises(SampleError, match=(
            r'has 2 episodes and not one window of chunks of 5 steps; 72 lack scene features or '
            r'images of tail at one of their ends')):
        steps(cameras=('tail',))


def seeing(store, *folders):
    with Catalogue(store) as catalogue:
        for folder in folders:
            catalogue.add_folder(folder, origin='offline')
        snapshot = catalogue.snapshot()
    return WindowSampler(
        snapshot, dataclasses.replace(CONFIG, cameras=('head',)), {'restock': 2})


def test_images_of_two_sizes_are_named(tmp_path):
    folders = [write_episode(tmp_path / name, steps=40, cameras=('head',), image_size=size)
               for name, size in (('one', 16), ('two', 24))]
    with pytest.raises(SampleError, match=(
            r'images of head are of several sizes: .*(16|24)\) and, in .*(one|two), .*one size')):
        seeing(tmp_path / 'store', *folders).batch(0)


def test_images_that_are_no_jpeg_are_named(tmp_path):
    def spoil(name, step, message):
        if name.startswith('head'):
            message.data = message.data[2:]
    folder = write_episode(tmp_path / 'one', steps=40, cameras=('head',), change=spoil)
    with pytest.raises(IndexFileError, match=r'one_0\.mcap: the image of head at byte \d+ is'):
        seeing(tmp_path / 'store', folder).batch(0)


def test_a_segment_that_shrinks_meanwhile_is_named(tmp_path):
    folder = write_episode(tmp_path / 'one', steps=40, cameras=('head',))
    sampler = seeing(tmp_path / 'store', folder)
    with (folder / 'one_0.mcap').open('r+b') as file:
        file.truncate(100)
    with pytest.raises(IndexFileError, match=r'one_0\.mcap has 0 bytes at \d+, not \d+: it was'):
        sampler.batch(0)


def test_scenes_of_two_layouts_are_named(tmp_path, monkeypatch):
    from lwd_data import scene_layout
    monkeypatch.setitem(
        scene_layout.LAYOUTS, 'scene-2', dataclasses.replace(scene_layout.SCENE_1, name='scene-2'))
    write_episode(tmp_path / 'data' / 'one', steps=40)
    write_episode(tmp_path / 'data' / 'two', steps=40, layout='scene-2')
    with Catalogue(tmp_path / 'store') as catalogue:
        catalogue.add_folder(tmp_path / 'data', origin='offline')
        snapshot = catalogue.snapshot()
    with pytest.raises(SampleError, match=(
            r'two has scene features of layout scene-2, others of scene-1; a batch has one')):
        WindowSampler(snapshot, CONFIG, N)
    assert WindowSampler(snapshot, dataclasses.replace(CONFIG, scene=False), N).batch(0)


def test_discarded_episodes_are_not_used_even_if_they_could_not_be(tmp_path):
    write_episode(tmp_path / 'one', steps=40)
    write_episode(tmp_path / 'two', steps=40, label='discard')
    with Catalogue(tmp_path) as catalogue:
        catalogue.add_folder(tmp_path, origin='offline')
        snapshot = catalogue.snapshot()
    (tmp_path / 'two' / 'two_0.mcap').unlink()
    sampler = WindowSampler(snapshot, CONFIG, {'restock': 1})
    assert [one.record.name for one in sampler.episodes] == ['one']


def test_files_that_are_gone_are_named(tmp_path):
    snapshot = fill(tmp_path)
    sampler = WindowSampler(snapshot, CONFIG, N)
    segment = tmp_path / 'offline' / 'b' / 'b_0.mcap'
    segment.rename(segment.with_suffix('.away'))
    with pytest.raises(CatalogueError, match=r'1 files of the snapshot .*b_0\.mcap is missing'):
        WindowSampler(snapshot, CONFIG, N)
    assert (sampler.describe()['episodes'], sampler.episodes[1].record.name) == (4, 'b')
    with pytest.raises(IndexFileError, match=r'b_0\.mcap cannot be opened: No such file'):
        sampler.batch(0)
