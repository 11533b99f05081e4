# SPDX-License-Identifier: Apache-2.0
"""Replay on one core: time to index a segment, to draw batches, and what decoding leaves of it.

A few episodes of the simulated robot, with and without cameras, are recorded and copied under
other names until the store is large. Rates are of processor time, except those with images, which
are by the clock: `image_fraction` compares batches with images of one camera to decoding the same
JPEGs from memory, also with one thread, which no sampler can beat.
"""

from __future__ import annotations

import dataclasses
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
CONFIG = SamplerConfig(batch_size=256, scene=False, decode_threads=1)
N = {'restock': 10}
RATE = 30.0


def rate(call: Callable[[int], object]) -> float:
    """Return calls a second of one core, each with another number."""
    call(0)
    # Of the processor, not of the clock: others may use the machine too.
    began, count = time.process_time(), 0
    while time.process_time() - began < SECONDS:
        count += 1
        call(count)
    return count / (time.process_time() - began)


def copy(folder: Path, name: str) -> None:
    """Copy an episode under another name."""
    target = folder.parent / name
    target.mkdir()
    for path in folder.glob('*.mcap'):
        shutil.copyfile(path, target / path.name.replace(folder.name, name))
    text = (folder / 'metadata.yaml').read_text(encoding='utf-8')
    (target / 'metadata.yaml').write_text(text.replace(folder.name, name), encoding='utf-8')


def index_rate(folder: Path) -> float:
    """Return seconds of recording that one core indexes in a second."""
    segments = sorted(folder.glob('*/*.mcap'))
    began = time.process_time()
    rows = sum(len(build_index(segment)) for segment in segments)
    return rows / RATE / (time.process_time() - began)


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


def compare(
    one: Callable[[int], object], other: Callable[[int], object],
) -> tuple[float, float, float]:
    """Return calls a second of both by the clock, and the ratio of their processor times.

    They are taken in turns. By the clock the quickest of each counts, which nobody disturbed.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    used = [0.0, 0.0]
    one(0)
    other(0)
    began, count = time.process_time(), 0
    while time.process_time() - began < 2 * SECONDS:
        count += 1
        for k, call in enumerate((one, other)):
            before, before_used = time.perf_counter(), time.process_time()
            call(count)
            seconds[k].append(time.perf_counter() - before)
            used[k] += time.process_time() - before_used
    return 1.0 / min(seconds[0]), 1.0 / min(seconds[1]), used[1] / used[0]


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
            began = time.process_time()
            sampler = WindowSampler(snapshot, CONFIG, N)
            if name == 'blind':
                metrics['open_ms_an_episode'] = (
                    time.process_time() - began) / len(sampler.episodes) * 1e3
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
                    found = compare(images.batch, decoder(images, pool))
                names = ('image_batches_per_s', 'decode_batches_per_s',
                         'image_fraction_of_processor_time')
                metrics.update(zip(names, found))
    metrics['image_fraction'] = metrics['image_batches_per_s'] / metrics['decode_batches_per_s']
    metrics['index_realtime_factor'] = min(
        metrics['index_realtime_factor_blind'], metrics['index_realtime_factor_seeing'])
    return report('sampler', metrics, {
        'state_batches_per_s': ('>=', 20.0), 'scene_batches_per_s': ('>=', 20.0),
        'image_fraction': ('>=', 0.8), 'index_realtime_factor': ('>=', 100.0)})


if __name__ == '__main__':
    sys.exit(main())
