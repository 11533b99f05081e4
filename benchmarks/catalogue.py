# SPDX-License-Identifier: Apache-2.0
"""The replay catalogue at a million segments: time to register one, take a snapshot, open it.

Opening is all of it: the database, the snapshot by its id, and the list of its episodes with their
segments. The segments are entries without files; what files cost is for benchmarks.sampler.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import quick, report
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.ingest import Entry
from lwd_data.replay.records import EpisodeRecord, SegmentRecord
from lwd_data.replay.registry import rebuild

SEGMENTS = 50_000 if quick() else 1_000_000
SEGMENTS_AN_EPISODE = 10
BATCH = 10_000
SINGLE = 200


def entries(store: Path, first: int, count: int) -> Iterator[Entry]:
    """Yield the segments of episodes, one episode after the other."""
    for number in range(first, first + count):
        which, segment = divmod(number, SEGMENTS_AN_EPISODE)
        name = f'g1_{which % 50:02d}_{which:08d}'
        custom = {
            'episode_id': name, 'robot': f'g1_{which % 50:02d}', 'task': 'restock',
            'instruction': 'put the green can on the upper shelf', 'seed': str(which)}
        if segment == SEGMENTS_AN_EPISODE - 1:
            custom |= {'label': 'success', 'score': '1', 'steps': '3000'}
        episode = EpisodeRecord(
            name, store / name[:5] / name, custom['robot'], custom['task'],
            custom['instruction'], 'online', custom.get('label', ''),
            json.dumps(custom, sort_keys=True))
        yield Entry(episode, SegmentRecord(
            segment, f'{name}_{segment}.mcap', 30_000_000 + segment,
            hashlib.sha256(f'{number}'.encode()).hexdigest(), False))


def main() -> int:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        with Catalogue(store) as catalogue:
            began = time.perf_counter()
            for first in range(0, SEGMENTS, BATCH):
                catalogue.register(entries(store, first, BATCH))
            filled = time.perf_counter() - began
            began = time.perf_counter()
            for entry in entries(store, SEGMENTS, SINGLE):
                catalogue.register([entry])
            single = (time.perf_counter() - began) / SINGLE
            began = time.perf_counter()
            for _ in range(SINGLE):
                snapshot = catalogue.snapshot()
            taken = (time.perf_counter() - began) / SINGLE
        began = time.perf_counter()
        with Catalogue(store) as catalogue:
            episodes = catalogue.open_snapshot(snapshot.id).episodes()
        opened = time.perf_counter() - began
        found = sum(len(episode.segments) for episode in episodes)
        began = time.perf_counter()
        rebuild(store)
        rebuilt = time.perf_counter() - began
        size = sum(path.stat().st_size for path in store.glob('*') if path.suffix != '.old')
    return report('catalogue', {
        'register_ms': single * 1e3, 'snapshot_s': taken, 'open_s': opened,
        'segments': float(found), 'fill_s': filled, 'rebuild_s': rebuilt,
        'bytes_a_segment': size / found,
        'peak_memory_gb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }, {'register_ms': ('<=', 5.0), 'snapshot_s': ('<=', 1.0), 'open_s': ('<=', 10.0),
        'segments': ('==', float(SEGMENTS + SINGLE))})


if __name__ == '__main__':
    sys.exit(main())
