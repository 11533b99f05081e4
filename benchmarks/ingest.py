# SPDX-License-Identifier: Apache-2.0
"""From the end of an episode to the learner: a fleet that records and uploads at 3 MB/s a robot.

Each robot is two processes: one writes recorded traffic into its spool at the pace of its stamps,
with the recorder's writer and its fsync, the other takes closed segments to one store. A
coordinator takes them into the catalogue, and another process looks at its snapshots. An episode
is sampleable when a snapshot holds its last segment and its label. Announcements go through a pipe
in the place of a ROS topic.

ROBOTS=8 and SECONDS_=60 change the size; STORE=folder says which disk (default: a temporary one).
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import quick, report
from lwd_data.replay.catalogue import Catalogue
from lwd_learner_bridge.store.notice import Notice

ROBOTS = int(os.environ.get('ROBOTS', '4' if quick() else '16'))
SECONDS = float(os.environ.get('SECONDS_', '25' if quick() else '300'))
LONGEST = 40.0
RATE = 30
CAMERAS = ('head', 'left_wrist', 'right_wrist')
IMAGE_BYTES = 32_000
"""Of a JPEG: three cameras at 30 Hz and the rest are 3 MB/s."""
SEGMENT_SECONDS = 10.0
BUDGET_GB = 0.25
GRACE = 60.0
"""What does not arrive while nothing else does for so long is lost, s."""


class Message(NamedTuple):
    """One of the recorded messages."""

    stamp_ns: int
    name: str
    type_name: str
    data: bytes


class Ended(NamedTuple):
    """An episode that a robot finished recording."""

    name: str
    moment: float
    """Monotonic, s."""
    sizes: tuple[int, ...]


@dataclass
class Channels:
    """Between the processes."""

    announced: SimpleQueue[str]
    ended: SimpleQueue[Any]
    seen: SimpleQueue[Any]
    used: SimpleQueue[Any]
    stop: Event


def traffic() -> list[Message]:
    """Return what a robot publishes in LONGEST seconds, as it is recorded."""
    import array

    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import CompressedImage, JointState

    from g1_description.joints import COMMAND_NAMES, STATE_NAMES
    from lwd_data.cdr import serialize
    from lwd_msgs.msg import ControlStep, ExecutedCommand, Tick
    rng = np.random.default_rng(0)
    found: list[Message] = []

    def moment(ns: int) -> Time:
        return Time(sec=ns // 10**9, nanosec=ns % 10**9)

    def add(stamp: int, name: str, message: Any) -> None:
        kind = type(message)
        found.append(Message(
            stamp, name, f'{kind.__module__.partition(".")[0]}/msg/{kind.__name__}',
            serialize(message)))

    for step in range(round(LONGEST * RATE)):
        stamp = 10**9 + step * 10**9 // RATE
        for part in range(4):
            joints = JointState(name=list(STATE_NAMES))
            joints.header.stamp = moment(stamp + part * 8 * 10**6)
            joints.position = array.array('d', rng.normal(size=20))
            joints.velocity = array.array('d', rng.normal(size=20))
            add(stamp + part * 8 * 10**6, 'joint_states', joints)
        for camera in CAMERAS:
            # What a learner would decode is not looked at here.
            image = CompressedImage(format='rgb8; jpeg compressed bgr8')
            image.header.stamp = moment(stamp)
            image.data = array.array('B', rng.bytes(IMAGE_BYTES))
            add(stamp, f'{camera}/image_raw/compressed', image)
        tick = Tick(tick=step, cameras=list(CAMERAS), image_stamps=[moment(stamp)] * 3)
        tick.header.stamp, tick.joint_state_stamp = moment(stamp), moment(stamp)
        add(stamp, 'tick', tick)
        asked = ControlStep(
            tick=step, step_index=step, source=ControlStep.SOURCE_POLICY, chunk_id=1,
            joint_names=list(COMMAND_NAMES), cameras=list(CAMERAS),
            image_stamps=[moment(stamp)] * 3, policy_version='a' * 64)
        asked.header.stamp, asked.joint_state_stamp = moment(stamp), moment(stamp)
        asked.positions = array.array('d', rng.normal(size=16))
        add(stamp, 'control_step', asked)
        sent = ExecutedCommand(tick=step, joint_names=list(COMMAND_NAMES))
        sent.positions = sent.requested = asked.positions
        sent.clips = array.array('B', bytes(16))
        add(stamp, 'executed_command', sent)
    return found


def record(folder: Path, robot: str, messages: list[Message], seconds: float) -> Ended:
    """Record an episode in real time."""
    from lwd_data.writer import EpisodeWriter
    writer = EpisodeWriter(folder, {
        'episode_id': folder.name, 'robot': robot, 'task': 'restock',
        'instruction': 'put the green can on the upper shelf'}, segment_seconds=SEGMENT_SECONDS)
    began, first = time.monotonic(), messages[0].stamp_ns
    for message in messages:
        at = (message.stamp_ns - first) * 1e-9
        if at > seconds:
            break
        ahead = at - (time.monotonic() - began)
        if ahead > 0.05:
            time.sleep(ahead)
        writer.write(f'/{robot}/{message.name}', message.type_name, message.data,
                     message.stamp_ns)
    content = writer.close({'label': 'success'})
    moment = time.monotonic()
    return Ended(folder.name, moment, tuple(
        (folder / segment.file).stat().st_size for segment in content.segments))


def recorder(number: int, root: Path, messages: list[Message], channels: Channels) -> None:
    """Be a robot's recorder: episode after episode."""
    name = f'g1_{number:02d}'
    rng = np.random.default_rng(number)
    # Robots do not begin together.
    time.sleep(float(rng.uniform(0.0, SEGMENT_SECONDS if not quick() else 2.0)))
    until, episode = time.monotonic() + SECONDS, 0
    while (left := until - time.monotonic()) > 1.0:
        seconds = min(left, float(rng.uniform(8.0, LONGEST)))
        channels.ended.put(record(
            root / 'spools' / name / name / f'{name}_{episode:04d}', name, messages, seconds))
        episode += 1
    channels.ended.put(None)
    channels.stop.wait()
    channels.used.put(('recorders', _cpu(), {}))


def uploader(number: int, root: Path, channels: Channels) -> None:
    """Be a robot's uploader."""
    from lwd_learner_bridge.store.objects import ObjectStore
    from lwd_learner_bridge.upload.config import UploadConfig
    from lwd_learner_bridge.upload.uploader import Stopped, Uploader
    from lwd_learner_bridge.worker import Worker
    name = f'g1_{number:02d}'
    uploaded: dict[str, float] = {}

    def announce(notice: Notice) -> None:
        channels.announced.put(notice.key)
        uploaded[notice.episode] = time.monotonic()

    worker = Worker(
        lambda: Uploader(
            root / 'spools' / name, name, ObjectStore(str(root / 'store')),
            UploadConfig(budget=BUDGET_GB), announce=announce, report=_warn),
        (Stopped,), _warn)
    channels.stop.wait()
    worker.stop()
    channels.used.put(('uploaders', _cpu(), uploaded))


def coordinator(root: Path, channels: Channels) -> None:
    """Be the learner's coordinator."""
    from lwd_learner_bridge.ingest.coordinator import Coordinator
    from lwd_learner_bridge.store.objects import ObjectStore
    from lwd_learner_bridge.worker import Worker
    objects = ObjectStore(str(root / 'store'))
    worker = Worker(lambda: Coordinator(objects, root / 'store', report=_warn), (), _warn)

    def listen() -> None:
        while key := channels.announced.get():
            if (core := worker.core) is not None:
                core.announce(key)
                worker.wake()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    channels.stop.wait()
    worker.stop()
    channels.used.put(('coordinator', _cpu(), {}))


def observer(root: Path, channels: Channels) -> None:
    """Look at snapshots as a learner does, and note when each episode has how much."""
    seen: dict[tuple[str, int, bool], float] = {}
    with Catalogue(root / 'store') as catalogue:
        last = ''
        stopping = False
        while not stopping:
            # One more look behind the end.
            stopping = channels.stop.wait(0.02)
            snapshot = catalogue.snapshot()
            if snapshot.id == last:
                continue
            last, moment = snapshot.id, time.monotonic()
            for one in snapshot.episodes():
                seen.setdefault((one.name, len(one.segments), bool(one.label)), moment)
    channels.seen.put(seen)


def _warn(text: str) -> None:
    sys.stderr.write(f'{text}\n')


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(root: Path) -> int:
    """Run the fleet in a folder."""
    context = multiprocessing.get_context('fork')
    messages = traffic()
    mean = sum(len(one.data) for one in messages) / LONGEST / 1e6
    channels = Channels(
        context.SimpleQueue(), context.SimpleQueue(), context.SimpleQueue(),
        context.SimpleQueue(), context.Event())
    idle = _idle()
    began = time.monotonic()
    processes = [
        context.Process(target=observer, args=(root, channels)),
        context.Process(target=coordinator, args=(root, channels)),
        *(context.Process(target=uploader, args=(number, root, channels))
          for number in range(ROBOTS)),
        *(context.Process(target=recorder, args=(number, root, messages, channels))
          for number in range(ROBOTS))]
    for process in processes:
        process.start()
    ended: list[Ended] = []
    left = ROBOTS
    while left:
        one = channels.ended.get()
        if one is None:
            left -= 1
        else:
            ended.append(one)
    lasted = time.monotonic() - began
    busy = 1.0 - (_idle() - idle) / lasted / (os.cpu_count() or 1)
    expected = sum(len(one.sizes) for one in ended)
    found: list[tuple[str, int, int]] = []
    progress = (0, 0)
    deadline = time.monotonic() + GRACE
    with Catalogue(root / 'store') as catalogue:
        while time.monotonic() < deadline:
            episodes = catalogue.snapshot().episodes()
            found = [(one.name, segment.number, segment.size)
                     for one in episodes for segment in one.segments]
            labelled = sum(bool(one.label) for one in episodes)
            if len(found) >= expected and labelled == len(ended):
                break
            if (len(found), labelled) > progress:
                progress = (len(found), labelled)
                deadline = time.monotonic() + GRACE
            time.sleep(0.1)
        # For the observer to see it as well.
        time.sleep(0.5)
    channels.stop.set()
    channels.announced.put('')
    seen: dict[tuple[str, int, bool], float] = channels.seen.get()
    used: dict[str, float] = {}
    uploaded: dict[str, float] = {}
    for _ in range(2 * ROBOTS + 1):
        who, seconds, moments = channels.used.get()
        used[who] = used.get(who, 0.0) + seconds
        uploaded |= moments
    for process in processes:
        process.join(10.0)
        process.kill()
    wanted = [(one.name, number, size)
              for one in ended for number, size in enumerate(one.sizes)]
    delays = [seen.get((one.name, len(one.sizes), True), float('inf')) - one.moment
              for one in ended]
    on_the_way = [uploaded.get(one.name, float('inf')) - one.moment for one in ended]
    return report('ingest', {
        'robots': ROBOTS, 'seconds': SECONDS, 'mb_per_s_a_robot': mean,
        'mb_per_s': sum(sum(one.sizes) for one in ended) / lasted / 1e6,
        'episodes': len(ended), 'segments': len(wanted),
        'sampleable_p50_s': float(np.percentile(delays, 50)),
        'sampleable_p99_s': float(np.percentile(delays, 99)),
        'sampleable_max_s': max(delays),
        'uploaded_p50_s': float(np.percentile(on_the_way, 50)),
        'uploaded_p99_s': float(np.percentile(on_the_way, 99)),
        'lost': len(set(wanted) - set(found)), 'duplicated': len(found) - len(set(found)),
        'foreign': len(set(found) - set(wanted)),
        'cores_coordinator': used['coordinator'] / lasted,
        'cores_uploaders': used['uploaders'] / lasted,
        'cores_recorders': used['recorders'] / lasted, 'machine_busy': busy,
    }, {'sampleable_p50_s': ('<=', 1.0), 'sampleable_p99_s': ('<=', 5.0), 'lost': ('==', 0.0),
        'duplicated': ('==', 0.0), 'foreign': ('==', 0.0)})


def _idle() -> float:
    """Return the seconds that the machine's cores have idled or waited for a disk."""
    with open('/proc/stat', encoding='utf-8') as file:
        fields = file.readline().split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf('SC_CLK_TCK')


def main() -> int:
    """Run the benchmark."""
    root = Path(tempfile.mkdtemp(dir=os.environ.get('STORE')))
    try:
        return run(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
