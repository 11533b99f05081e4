# SPDX-License-Identifier: Apache-2.0
"""Small data sets in foreign formats, written from their descriptions, not by our writers."""

import json
from dataclasses import dataclass, field
from fractions import Fraction

import av
import cv2
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

AGIBOT_CAMERAS = {'head': 'head_color', 'left_wrist': 'hand_left_color',
                  'right_wrist': 'hand_right_color'}
START_NS = 1_725_000_000_123_456_789


def shade(camera, episode, frame):
    """Return the grey that says which frame of which camera an image is; 8 apart from the next."""
    return 20 + (8 * frame + 64 * len(camera) + 32 * episode) % 200


def picture(camera, episode, frame, width=64, height=48):
    return np.full((height, width, 3), shade(camera, episode, frame), np.uint8)


def write_video(path, images, fps=30):
    """Write images as H.264."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=fps, options={'crf': '5'})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.time_base = Fraction(1, fps)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@dataclass
class Motion:
    """Joints of T frames in AgiBot World's units and order."""

    arms: np.ndarray
    grippers: np.ndarray
    """Raw, 35 open to 120 closed."""
    head: np.ndarray
    waist: np.ndarray
    """Pitch rad, lift m."""
    arm_command: np.ndarray
    gripper_command: np.ndarray

    def state(self):
        """Return what our state must be, (T, 20)."""
        closure = (self.grippers - 35.0) / 85.0
        return np.concatenate([
            self.arms[:, :7], closure[:, :1], self.arms[:, 7:], closure[:, 1:], self.head,
            self.waist[:, 1:], self.waist[:, :1]], axis=1)

    def command(self):
        """Return what our command must be, (T, 16)."""
        return np.concatenate([
            self.arm_command[:, :7], self.gripper_command[:, :1], self.arm_command[:, 7:],
            self.gripper_command[:, 1:]], axis=1)


def motion(frames, seed):
    rng = np.random.default_rng(seed)
    closure = 0.5 + 0.4 * np.sin(np.arange(frames)[:, None] / 3.0 + rng.uniform(0, 1, 2))
    arms = 0.5 * np.sin(np.arange(frames)[:, None] / 9.0 + rng.uniform(-1, 1, 14))
    return Motion(
        arms, 35.0 + 85.0 * closure, np.tile([0.1, 0.4], (frames, 1)),
        np.tile([0.5, 0.25], (frames, 1)), arms + rng.normal(0.0, 0.01, arms.shape), closure)


@dataclass
class Agibot:
    """What an AgiBot World folder holds, and what is wrong with it."""

    frames: int = 12
    episodes: tuple = (648642, 648649)
    task: int = 327
    cameras: tuple = tuple(AGIBOT_CAMERAS)
    stamps: object = None
    """(T,) s; 30 Hz with some jitter by default."""
    change: dict = field(default_factory=dict)
    """HDF5 name to another array; None to leave it out."""
    video_frames: dict = field(default_factory=dict)
    """By camera: how many frames its video has."""


def write_agibot(folder, made=None, **changes):
    """Write a folder; returns the motion of each episode."""
    made = made or Agibot(**changes)
    (folder / 'task_info').mkdir(parents=True, exist_ok=True)
    motions = {}
    for place, episode in enumerate(made.episodes):
        moved = motions[episode] = motion(made.frames, episode)
        jitter = np.random.default_rng(1).uniform(-0.004, 0.004, made.frames)
        seconds = np.arange(made.frames) / 30.0 + jitter if made.stamps is None else made.stamps
        arrays = {
            'timestamp': START_NS + np.round(np.asarray(seconds) * 1e9).astype(np.int64),
            'state/joint/position': moved.arms, 'state/effector/position': moved.grippers,
            'state/head/position': moved.head, 'state/waist/position': moved.waist,
            'state/effector/force': np.zeros(0, np.float32),
            'action/joint/position': moved.arm_command,
            'action/joint/index': np.arange(made.frames),
            'action/effector/position': moved.gripper_command,
            'action/effector/index': np.arange(made.frames), **made.change}
        path = folder / f'proprio_stats/{made.task}/{episode}/proprio_stats.h5'
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, 'w') as file:
            for name, array in arrays.items():
                if array is not None:
                    file[name] = array
        for camera in made.cameras:
            count = made.video_frames.get(camera, made.frames)
            write_video(
                folder / f'observations/{made.task}/{episode}/videos/{AGIBOT_CAMERAS[camera]}.mp4',
                [picture(camera, place, frame) for frame in range(count)])
    (folder / f'task_info/task_{made.task}.json').write_text(json.dumps([{
        'episode_id': episode, 'task_name': 'Pickup items in the supermarket',
        'init_scene_text': 'The robot is in front of the fruit stand.',
        'label_info': {'action_config': [{
            'start_frame': 0, 'end_frame': made.frames, 'action_text': 'Retrieve cucumber.',
            'skill': 'Pick'}]}} for episode in made.episodes]))
    return motions


NAMES = ['head_yaw', 'head_pitch', *(f'left_joint_{i}' for i in range(7)), 'left_gripper',
         *(f'right_joint_{i}' for i in range(7)), 'right_gripper', 'waist_pitch', 'waist_lift']
LEROBOT_CAMERAS = {'head': 'top_head', 'left_wrist': 'hand_left', 'right_wrist': 'hand_right'}


@dataclass
class Lerobot:
    """What a LeRobot v3.0 data set holds, and what is wrong with it."""

    lengths: tuple = (9, 7)
    fps: int = 30
    cameras: tuple = tuple(LEROBOT_CAMERAS)
    png: bool = False
    """Whether images are PNG in rows instead of videos."""
    info: dict = field(default_factory=dict)
    """Changes of info.json."""
    change: object = None
    """Called with the columns of an episode and its number before they are written."""
    success: tuple = ()
    """By episode: next.success of its last frame; none without."""


def write_lerobot(folder, made=None, **changes):
    """Write a data set, all episodes in one file each; returns the motion of each."""
    made = made or Lerobot(**changes)
    motions = [motion(length, 7 + number) for number, length in enumerate(made.lengths)]
    rows, episodes, first = [], [], 0
    keys = {camera: f'observation.images.{name}' for camera, name in LEROBOT_CAMERAS.items()}
    for number, (length, moved) in enumerate(zip(made.lengths, motions)):
        def joined(arms, grippers, moved=moved):
            return np.concatenate([
                moved.head, arms[:, :7], grippers[:, :1], arms[:, 7:], grippers[:, 1:],
                moved.waist], axis=1).astype(np.float32)

        columns = {
            'observation.state': joined(moved.arms, moved.grippers),
            'action': np.concatenate([
                joined(moved.arm_command, moved.gripper_command),
                np.zeros((length, 2), np.float32)], axis=1),
            'timestamp': (np.arange(length) / made.fps).astype(np.float32),
            'frame_index': np.arange(length), 'episode_index': np.full(length, number),
            'index': first + np.arange(length), 'task_index': np.full(length, number % 2)}
        if made.success:
            columns['next.success'] = (np.arange(length) == length - 1) & made.success[number]
        if made.change is not None:
            made.change(columns, number)
        table = {name: pa.array(list(array)) for name, array in columns.items()}
        if made.png:
            for camera in made.cameras:
                table[keys[camera]] = pa.array([
                    {'bytes': cv2.imencode('.png', picture(camera, number, frame))[1].tobytes(),
                     'path': f'{frame}.png'} for frame in range(length)])
        rows.append(pa.table(table))
        where = {
            f'videos/{keys[camera]}/{name}': value for camera in made.cameras
            for name, value in (
                ('chunk_index', 0), ('file_index', 0), ('from_timestamp', first / made.fps),
                ('to_timestamp', (first + length) / made.fps))}
        episodes.append({
            'episode_index': number, 'tasks': [f'Task {number % 2}'], 'length': length,
            'data/chunk_index': 0, 'data/file_index': 0, 'dataset_from_index': first,
            'dataset_to_index': first + length, 'meta/episodes/chunk_index': 0,
            'meta/episodes/file_index': 0, 'stats/action/mean': [0.0] * 22,
            **({} if made.png else where)})
        first += length
    (folder / 'data/chunk-000').mkdir(parents=True)
    (folder / 'meta/episodes/chunk-000').mkdir(parents=True)
    pq.write_table(pa.concat_tables(rows), folder / 'data/chunk-000/file-000.parquet')
    pq.write_table(pa.Table.from_pylist(episodes),
                   folder / 'meta/episodes/chunk-000/file-000.parquet')
    pq.write_table(pa.table({'task_index': [0, 1], '__index_level_0__': ['Task 0', 'Task 1']}),
                   folder / 'meta/tasks.parquet')
    for camera in () if made.png else made.cameras:
        write_video(folder / f'videos/{keys[camera]}/chunk-000/file-000.mp4', [
            picture(camera, number, frame) for number, length in enumerate(made.lengths)
            for frame in range(length)], made.fps)
    image = {'dtype': 'image' if made.png else 'video', 'shape': [48, 64, 3],
             'names': ['height', 'width', 'channel']}
    features = {
        'observation.state': {'dtype': 'float32', 'shape': [20], 'names': {'axes': NAMES}},
        'action': {'dtype': 'float32', 'shape': [22],
                   'names': {'axes': [*NAMES, 'velocity_x', 'yaw_rate']}},
        **{keys[camera]: image for camera in made.cameras},
        **({'next.success': {'dtype': 'bool', 'shape': [1], 'names': None}}
           if made.success else {}),
        **{name: {'dtype': 'int64', 'shape': [1], 'names': None}
           for name in ('frame_index', 'episode_index', 'index', 'task_index')},
        'timestamp': {'dtype': 'float32', 'shape': [1], 'names': None}}
    (folder / 'meta/info.json').write_text(json.dumps({
        'codebase_version': 'v3.0', 'robot_type': 'AgiBot_A2D',
        'total_episodes': len(made.lengths), 'total_frames': first, 'total_tasks': 2,
        'chunks_size': 1000, 'fps': made.fps, 'splits': {'train': f'0:{len(made.lengths)}'},
        'data_path': 'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet',
        'video_path': 'videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4',
        'features': features, **made.info}))
    return motions
