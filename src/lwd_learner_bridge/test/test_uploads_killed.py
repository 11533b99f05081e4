# SPDX-License-Identifier: Apache-2.0
"""Real processes, killed at random moments while they work."""

import random
import socket
import subprocess
import sys
import time
from pathlib import Path

from site_helpers import Site
from test_uploads import hashes

from lwd_data.replay.files import Files
from lwd_data.replay.verify import check_files
from lwd_learner_bridge.ingest.quarantine import quarantined
from lwd_learner_bridge.store.objects import ObjectStore

KILLS = 4


def start(side, folder):
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name('run_side.py')), side, str(folder)],
        stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'ready\n'
    return process


def test_both_sides_killed_again_and_again_lose_and_double_nothing(tmp_path):
    site = Site(tmp_path)
    folders = [site.record(f'ep{k}', seed=k, steps=100, cameras=('head',), image_size=256,
                           segment_seconds=0.5) for k in range(3)]
    chance = random.Random(5)
    processes = {side: start(side, tmp_path) for side in ('uploader', 'coordinator')}
    try:
        for _ in range(KILLS):
            side = chance.choice(['uploader', 'coordinator'])
            # Not to wait for anything: a kill comes at any moment.
            time.sleep(chance.uniform(0.0, 0.15))
            processes[side].kill()
            processes[side].wait()
            processes[side].stdout.close()
            processes[side] = start(side, tmp_path)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
            process.stdout.close()
    site.settle()
    assert site.registered() == hashes(*folders)
    assert {one.label for one in site.episodes().values()} == {'success'}
    assert quarantined(site.objects) == {}
    check_files(site.episodes().values(), Files())


def test_a_store_on_a_real_server_gets_the_same(tmp_path, s3):
    site = Site(tmp_path, s3.store(prefix='fleet'))
    folders = [site.record(f'ep{k}', seed=k) for k in range(2)]
    uploader, coordinator = site.settle()
    assert (uploader.unsettled(), coordinator.counts.registered) == (0, 6)
    assert site.registered() == hashes(*folders)
    check_files(site.episodes().values(), Files())


def test_a_server_that_comes_late_gets_all(tmp_path):
    site = Site(tmp_path)
    folder = site.record()
    uploader = site.uploader(longest_wait=1.0)
    with socket.socket() as server:
        # It is kept from others, and nobody listens there yet.
        server.bind(('127.0.0.1', 0))
        uploader._objects = ObjectStore('s3://bucket', timeout=1.0, environment={
            'AWS_ACCESS_KEY_ID': 'k', 'AWS_SECRET_ACCESS_KEY': 's' * 8,
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{server.getsockname()[1]}'})
        site.run(uploader, until=lambda: uploader.failure, most=50)
    uploader._objects = site.objects
    coordinator = site.coordinator()
    site.run(uploader, coordinator)
    assert uploader.failure == ''
    assert site.registered() == hashes(folder)
