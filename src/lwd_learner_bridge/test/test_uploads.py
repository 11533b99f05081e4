# SPDX-License-Identifier: Apache-2.0
import hashlib

from site_helpers import Site

def hashes(folder):
    return {hashlib.sha256(path.read_bytes()).hexdigest(): 1 for path in folder.glob('*.mcap')}


def test_an_episode_arrives_with_its_label(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    site.settle()
    episode = site.episodes()['ep1']
    assert episode.label == 'success'
    assert len(episode.segments) == 3
    assert site.registered() == hashes(folder)
