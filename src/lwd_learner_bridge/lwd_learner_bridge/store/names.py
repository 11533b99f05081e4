# SPDX-License-Identifier: Apache-2.0
"""What lies where in the store.

    segments/<robot>/<episode>/<episode>_<n>-<hash>.mcap   recorded data; never changes
    inbox/<robot>/<episode>/<n>-<revision>-<hash>.json     notices: uploaded, not yet answered
    answers/<robot>/<episode>/<the notice's name>          what the learner side did with each
    quarantine/<robot>/<episode>/...                       what cannot be trained on, with reasons

A name holds the hash, so that two contents never have one name. The inbox is as long as the
backlog, so that listing it stays cheap however much there is.
"""

from __future__ import annotations

import re

SEGMENTS, INBOX, ANSWERS, QUARANTINE = 'segments', 'inbox', 'answers', 'quarantine'
SHORT = 16
"""Hex digits of a hash in a name."""
FACTS = 'end'
"""In place of the number: facts about the episode alone, such as a later label."""

_WORD = re.compile(r'[A-Za-z0-9_][A-Za-z0-9._-]{0,127}')
_NOTICE = re.compile(
    rf'(?P<number>\d{{5,}}|{FACTS})-(?P<revision>\d+)-(?P<hash>[0-9a-f]{{{SHORT}}})\.json')


def is_word(text: str) -> bool:
    """Return whether a robot or episode may have that name: it becomes part of paths."""
    return _WORD.fullmatch(text) is not None and '..' not in text


def episode_folder(kind: str, robot: str, episode: str) -> str:
    """Return the folder of an episode, of one of the four kinds."""
    return f'{kind}/{robot}/{episode}'


def segment_key(robot: str, episode: str, number: int, sha256: str) -> str:
    """Return where a segment lies."""
    folder = episode_folder(SEGMENTS, robot, episode)
    return f'{folder}/{episode}_{number}-{sha256[:SHORT]}.mcap'


def notice_name(number: int | None, revision: int, sha256: str) -> str:
    """Return the name of a notice; a number of None: of the episode's facts alone."""
    which = FACTS if number is None else f'{number:05d}'
    return f'{which}-{revision}-{sha256[:SHORT]}.json'


def split_notice_name(name: str) -> tuple[int | None, int, str] | None:
    """Return number (None: facts), revision and short hash of a name; None if it is no notice."""
    match = _NOTICE.fullmatch(name)
    if match is None:
        return None
    number = None if match['number'] == FACTS else int(match['number'])
    return number, int(match['revision']), match['hash']
