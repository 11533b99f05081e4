# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from g1_driver.images import to_jpeg
from lwd_bringup import contact_sheet, doctor
from lwd_bringup.cli import main
from lwd_bringup.contact_sheet import Strip
from lwd_bringup.errors import BringupError
from lwd_bringup.watch import Stream


@pytest.mark.parametrize('words', [
    ['nodes', 'sim_robot', 'expert=true'], ['config', 'robot'], ['tasks'], ['layout'], ['doctor']])
def test_commands_that_only_tell_succeed(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out.strip()


def test_nodes_lists_what_up_would_start(capsys):
    main(['nodes', 'sim_robot', 'expert=true', 'domain=9'])
    out = capsys.readouterr().out
    assert 'ROS_DOMAIN_ID=9' in out
    assert '/g1_01/driver: g1_driver driver' in out
    assert '/g1_01/arbiter: lwd_actor arbiter' in out
    assert '/g1_01/sim_expert: g1_driver sim_expert' in out


@pytest.mark.parametrize(('words', 'text'), [
    (['up', 'sim_robt'], "did you mean 'sim_robot'"),
    (['nodes', 'sim_robot', 'mode'], 'is no setting; write KEY=VALUE'),
    (['expert', '--episodes', '0'], '--episodes is 0'),
    (['expert', 'driver.sim.tsk=restock'], "did you mean 'driver.sim.task'"),
])
def test_bad_input_ends_with_status_2_and_says_why(words, text, capsys):
    assert main(words) == 2
    assert text in ' '.join(capsys.readouterr().out.split())


def test_the_doctor_finds_what_is_missing(monkeypatch, capsys):
    def broken():
        return doctor.Finding('thing', 'missing', 'not there', 'get it')

    monkeypatch.setattr(doctor, 'CHECKS', (broken,))
    assert main(['doctor']) == 1
    out = capsys.readouterr().out
    assert 'missing' in out
    assert 'get it' in out


def test_the_doctor_notices_a_machine_without_graphics(monkeypatch):
    def fail(*_, **__):
        raise OSError('no EGL')

    monkeypatch.setattr('g1_sim.render.mujoco.Renderer', fail)
    finding = doctor._rendering()
    assert finding.status == 'missing'
    assert 'libegl1' in finding.remedy


def test_a_contact_sheet_has_a_row_an_episode(tmp_path):
    jpeg = to_jpeg(np.full((32, 40, 3), 90, dtype=np.uint8), 90)
    strips = [Strip('one', {'head': [jpeg] * 5, 'left_wrist': []}),
              Strip('two', {'head': [jpeg], 'left_wrist': [jpeg, jpeg]})]
    file = tmp_path / 'sheet.png'
    contact_sheet.draw(strips, ['head', 'left_wrist'], file)
    assert cv2.imread(str(file)).shape == (18 + 2 * (18 + 32), 6 * 40, 3)
    with pytest.raises(BringupError, match='no images came in'):
        contact_sheet.draw([Strip('none', {'head': []})], ['head'], file)


def test_gaps_in_a_stream_are_counted():
    stream = Stream()
    for number in (4, 5, 8, 9):
        stream.take(number)
    assert (stream.received, stream.missing) == (4, 2)
