# SPDX-License-Identifier: Apache-2.0
"""Replay on one core: time to index a segment, to draw batches, and what decoding leaves of it.

A few episodes of the simulated robot, with and without cameras, are recorded and copied under
other names until the store is large. `image_fraction` compares batches with images of one camera
to decoding the same JPEGs from memory with as many threads, which no sampler can beat.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from benchmarks.harness import quick, report
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.files import Files
from lwd_data.replay.index import build_index
from lwd_data.replay.sampler import SamplerConfig, WindowSampler
from lwd_rollout.runner import Setting, expert, run_episode

COPIES = 20 if quick() else 400
SECONDS = 2.0 if quick() else 10.0
CAMERAS = ('head', 'left_wrist', 'right_wrist')
CONFIG = SamplerConfig(batch_size=256, scene=False, decode_threads=os.cpu_count() or 1)
N = {'restock': 10}
RATE = 30.0


def rate(call: Callable[[int], object]) -> float:
    """Return calls a second, each with another number."""
    call(0)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        count += 1
        call(count)
    return count / (time.perf_counter() - began)


def copy(folder: Path, name: str) -> None:
    """Copy an episode under another name."""
    target = folder.parent / name
    target.mkdir()
    for path in folder.glob('*.mcap'):
        shutil.copyfile(path, target / path.name.replace(folder.name, name))
    text = (folder / 'metadata.yaml').read_text(encoding='utf-8')
    (target / 'metadata.yaml').write_text(text.replace(folder.name, name), encoding='utf-8')


def index_rate(folder: Path) -> float:
    """Return seconds of recording that are indexed in a second."""
    segments = sorted(folder.glob('*/*.mcap'))
    began = time.perf_counter()
    rows = sum(len(build_index(segment)) for segment in segments)
    return rows / RATE / (time.perf_counter() - began)


def decoder(sampler: WindowSampler, pool: ThreadPoolExecutor) -> Callable[[int], object]:
    """Return what only decodes the JPEGs of a batch, from memory."""
    batch, files, threads = sampler.batch(1), Files(), sampler.config.decode_threads
    jpegs = []
    for steps in (batch.step, batch.step + batch.span - (batch.end > 0)):
        for number, step in zip(batch.episode.tolist(), steps.tolist()):
            place = sampler.episodes[number].image_place(step, CAMERAS[0])
            if place is not None:
                jpegs.append(np.frombuffer(files.read(*place), np.uint8))

    def decode(first: int) -> None:
        for data in jpegs[first::threads]:
            cv2.imdecode(data, cv2.IMREAD_COLOR)

    return lambda _: list(pool.map(decode, range(threads)))


def compare(one: Callable[[int], object], other: Callable[[int], object]) -> tuple[float, float]:
    """Return calls a second of both, taken in turns: what else the machine does hits both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    one(0)
    other(0)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < 2 * SECONDS:
        count += 1
        for call, found in zip((one, other), seconds):
            before = time.perf_counter()
            call(count)
            found.append(time.perf_counter() - before)
    return 1.0 / float(np.median(seconds[0])), 1.0 / float(np.median(seconds[1]))


def main() -> int:
    """Run the benchmark."""
    cv2.setNumThreads(1)
    metrics: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, cameras in (('blind', ()), ('seeing', CAMERAS)):
            folder = Path(place) / name
            run_episode(Setting('restock', cameras=cameras), 0, expert(),
                        folder=folder / 'restock_0')
            for number in range(1, COPIES if name == 'blind' else max(1, COPIES // 10)):
                copy(folder / 'restock_0', f'restock_{number}')
            metrics[f'index_realtime_factor_{name}'] = index_rate(folder)
            with Catalogue(folder) as catalogue:
                catalogue.add_folder(folder, origin='offline')
                snapshot = catalogue.snapshot()
            began = time.perf_counter()
            sampler = WindowSampler(snapshot, CONFIG, N)
            if name == 'blind':
                metrics['open_ms_an_episode'] = (
                    time.perf_counter() - began) / len(sampler.episodes) * 1e3
                metrics['state_batches_per_s'] = rate(sampler.batch)
                scene = WindowSampler(snapshot, dataclasses.replace(CONFIG, scene=True), N)
                metrics['scene_batches_per_s'] = rate(scene.batch)
                scene = WindowSampler(
                    snapshot, scene.config, N, files=Files(bags=1, indexes=1))
                metrics['scene_batches_per_s_reopening'] = rate(scene.batch)
            else:
                images = WindowSampler(
                    snapshot, dataclasses.replace(CONFIG, cameras=CAMERAS[:1]), N)
                with ThreadPoolExecutor(CONFIG.decode_threads) as pool:
                    metrics['image_batches_per_s'], metrics['decode_batches_per_s'] = compare(
                        images.batch, decoder(images, pool))
    metrics['image_fraction'] = metrics['image_batches_per_s'] / metrics['decode_batches_per_s']
    metrics['index_realtime_factor'] = min(
        metrics['index_realtime_factor_blind'], metrics['index_realtime_factor_seeing'])
    return report('sampler', metrics, {
        'state_batches_per_s': ('>=', 20.0), 'scene_batches_per_s': ('>=', 20.0),
        'image_fraction': ('>=', 0.8), 'index_realtime_factor': ('>=', 100.0)})


if __name__ == '__main__':
    sys.exit(main())
