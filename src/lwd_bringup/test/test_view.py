# SPDX-License-Identifier: Apache-2.0
"""The page of a recorded episode holds what was recorded, and needs nothing else."""

import base64
import json
import re

import numpy as np
import pytest

from g1_driver.images import from_jpeg
from lwd_bringup.cli import main
from lwd_bringup.errors import BringupError
from lwd_bringup.view import page
from lwd_bringup.view.contents import contents
from lwd_data import metadata
from lwd_data.reader import EpisodeReader
from lwd_rollout.runner import Setting, expert, run_episode

MANY = 1 << 30


@pytest.fixture(scope='module')
def episode(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pool') / 'one'
    run_episode(Setting('restock', cameras=('head', 'left_wrist'), image_size=32,
                        max_seconds=1.0), 0, expert(), folder=folder)
    return folder


def data_of(file):
    text = file.read_text()
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    return json.loads(found[1])


def test_the_page_shows_what_was_recorded(episode, tmp_path, capsys):
    file = tmp_path / 'page.html'
    assert main(['view', str(episode), '--out', str(file)]) == 0
    assert str(file) in capsys.readouterr().out
    data, steps = data_of(file), EpisodeReader(episode).steps()
    assert data['tick'] == steps.tick.tolist()
    assert data['source'] == ['expert'] * len(steps)
    assert data['rewards'] == []
    first = data['joints'][0]
    np.testing.assert_allclose(first['state'], steps.state[:, 0], atol=1e-4)
    np.testing.assert_allclose(first['sent'], steps.executed[:, 0], atol=1e-4)
    assert len(data['joints']) == 16
    assert sorted(data['cameras']) == ['head', 'left_wrist']
    head = data['cameras']['head']
    assert len(head['jpeg']) == len(head['time']) == len(steps)
    assert from_jpeg(base64.b64decode(head['jpeg'][0])).shape == (32, 32, 3)
    assert data['custom']['instruction'] == EpisodeReader(episode).metadata.custom['instruction']


def test_the_page_asks_for_nothing_from_elsewhere(episode, tmp_path):
    page.write(episode, tmp_path / 'page.html')
    text = (tmp_path / 'page.html').read_text()
    assert not re.search(r'(src|href)=|https?://|@import|fetch\(', text)


def test_long_episodes_show_fewer_images(episode):
    whole = contents(episode, limit_bytes=MANY)['cameras']
    size = sum(len(base64.b64decode(jpeg)) for one in whole.values() for jpeg in one['jpeg'])
    half = contents(episode, limit_bytes=size // 2 + 1)['cameras']
    assert half['head']['jpeg'] == whole['head']['jpeg'][::2]
    assert half['head']['time'] == whole['head']['time'][::2]


def test_a_text_of_the_episode_cannot_end_the_script(episode, tmp_path):
    folder = tmp_path / 'copy'
    folder.mkdir()
    for path in episode.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    metadata.amend(folder, {'detail': '</script><b>%DATA%'})
    page.write(folder, tmp_path / 'page.html')
    assert data_of(tmp_path / 'page.html')['custom']['detail'] == '</script><b>%DATA%'


def test_what_cannot_be_shown_is_named(episode, tmp_path, capsys):
    assert main(['view', str(tmp_path)]) == 2
    assert 'cannot be shown' in ' '.join(capsys.readouterr().out.split())
    assert main(['view', str(episode), '--max-mb', '0']) == 2
    with pytest.raises(BringupError, match=r'cannot write .*nowhere/page\.html: No such file'):
        page.write(episode, tmp_path / 'nowhere' / 'page.html')
