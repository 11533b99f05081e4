# SPDX-License-Identifier: Apache-2.0
"""What a critic says along successful and failed episodes, with pictures of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray

from lwd_data.errors import DataError
from lwd_data.reader import EpisodeReader, Steps
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.records import EpisodeRecord
from lwd_policy.critic import Critic, pessimistic
from lwd_policy.observation import Observation
from lwd_policy.store import CRITIC, load_critic

mpl.use('Agg')
from matplotlib import pyplot as plt

_STRIDE = 5
_FRAMES = 6
_COLOURS = {'success': 'tab:green', 'failure': 'tab:red', 'timeout': 'tab:orange'}

Array = NDArray[np.float64]


def draw_values(run: Path, file: Path, *, task: str = '', episodes: int = 3) -> None:
    """Draw Q of the executed chunks along episodes of a run's snapshot.

    Args:
        run: Folder of the run, with its catalogue and critic.
        file: PNG.
        task: Whose episodes; the first one's by default.
        episodes: Of each outcome.

    Raises:
        DataError: The snapshot has no such episode.
        PolicyError: The critic cannot be loaded.
    """
    critic = load_critic(run / CRITIC)
    with Catalogue(run / 'replay') as catalogue:
        records = catalogue.snapshot().episodes()
    known = sorted({record.task for record in records})
    task = task or known[0]
    if task not in known:
        raise DataError(f'the run has no episode of {task!r}; it has {", ".join(known)}')
    figure, axis = plt.subplots(figsize=(9, 4.2), constrained_layout=True)
    shown: list[EpisodeRecord] = []
    for label, colour in _COLOURS.items():
        chosen = [one for one in records if one.task == task and one.label == label][:episodes]
        shown += chosen[:1]
        for i, record in enumerate(chosen):
            seconds, values = _along(critic, record)
            axis.plot(seconds, values, color=colour, alpha=0.8, linewidth=1.3,
                      label=label if i == 0 else None)
    axis.set(xlabel='s', ylabel='Q of the executed chunk', title=f'{task}: Q along episodes')
    axis.grid(alpha=0.25)
    axis.legend()
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]
    plt.close(figure)
    strips = [strip for record in shown if (strip := _strip(record, picture.shape[1])) is not None]
    whole = np.vstack([picture, *strips])
    if not cv2.imwrite(str(file), cv2.cvtColor(whole, cv2.COLOR_RGB2BGR)):
        raise DataError(f'cannot write {file}')


def _along(critic: Critic, record: EpisodeRecord) -> tuple[Array, Array]:
    steps = EpisodeReader(record.folder).steps()
    horizon = critic.encoding.picked.max().item() + 1
    rows = np.arange(0, max(1, len(steps) - horizon), _STRIDE)
    sent = np.where(rows[:, None] > 0, steps.executed[rows - 1], steps.state[rows, :16])
    seen = Observation(
        torch.tensor(steps.state[rows], dtype=torch.float32),
        torch.tensor(sent, dtype=torch.float32), torch.tensor(steps.scene[rows]), {},
        torch.zeros(len(rows), dtype=torch.long), (record.instruction,))
    chunks = np.stack([_chunk(steps, int(row), int(horizon)) for row in rows])
    with torch.no_grad():
        actions = critic.actions.encode(
            torch.tensor(chunks, dtype=torch.float32), seen.sent)
        values = pessimistic(critic.qs(critic.state(seen), actions))
    return rows / 30.0, values.double().numpy()


def _chunk(steps: Steps, row: int, horizon: int) -> Array:
    """Return a chunk of real commands; an episode shorter than one is held at its end."""
    found = steps.executed[row:row + horizon]
    return np.vstack([found, np.repeat(found[-1:], horizon - len(found), axis=0)])


def _strip(record: EpisodeRecord, width: int) -> NDArray[np.uint8] | None:
    """Return pictures along an episode from its head camera, if it was recorded."""
    images = [raw for raw in EpisodeReader(record.folder).messages({'compressed'})
              if '/head/' in raw.topic]
    if not images:
        return None
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import CompressedImage
    frames = []
    for part in np.linspace(0, len(images) - 1, _FRAMES).round().astype(int):
        message = deserialize_message(images[part].data, CompressedImage)
        bgr = cv2.imdecode(np.frombuffer(bytes(message.data), np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise DataError(f'{record.folder} has an image that is no JPEG')
        side = width // _FRAMES
        frames.append(cv2.cvtColor(cv2.resize(bgr, (side, side)), cv2.COLOR_BGR2RGB))
    strip = np.hstack(frames)
    padded = np.full((strip.shape[0], width, 3), 255, dtype=np.uint8)
    padded[:, :strip.shape[1]] = strip
    return padded
