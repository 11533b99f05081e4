# SPDX-License-Identifier: Apache-2.0
"""A store to draw windows from, for tests."""

from episodes import FAILURE, HOLD, TELEOP, write_episode

from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.sampler import SamplerConfig

CONFIG = SamplerConfig(batch_size=64, horizon=5)
N = {'restock': 3, 'tea': 2}


def fill(store):
    """Make a store of both origins, two tasks, two versions and a human; return a snapshot."""
    offline, online = store / 'offline', store / 'online'
    write_episode(offline / 'a', steps=40, seed=1, segment_seconds=0.4, cameras=('head',))
    write_episode(offline / 'b', steps=30, seed=2, task='tea', instruction='make tea',
                  terminal=FAILURE, label='failure', rewards={7: 0.5}, cameras=('head',))
    write_episode(online / 'c', steps=60, seed=3, segment_seconds=0.3, cameras=('head',),
                  version={0: 'b' * 64, 20: 'c' * 64}, source={35: TELEOP, 50: HOLD})
    write_episode(online / 'd', steps=25, seed=4, task='tea', instruction='make green tea',
                  terminal=0, label='', cameras=('head',))
    with Catalogue(store) as catalogue:
        catalogue.add_folder(offline, origin='offline')
        catalogue.add_folder(online, origin='online')
        return catalogue.snapshot()


def pairs(batch):
    return list(zip(batch.episode.tolist(), batch.step.tolist()))
