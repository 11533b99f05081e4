# SPDX-License-Identifier: Apache-2.0
import json
import math
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from html import unescape

import numpy as np
import pytest
import rclpy
from run_helpers import fleet, version_of
from sensor_msgs.msg import CompressedImage

from g1_driver.images import to_jpeg
from lwd_bringup.errors import BringupError
from lwd_bringup.loop.cameras import STALE_SECONDS, FleetCameras
from lwd_bringup.loop.web import HOST, NoCameras, application, serve
from lwd_bringup.loop.web_state import Shown, web_state
from lwd_ros.qos import SENSOR

JPEG = to_jpeg(np.full((24, 32, 3), 90, dtype=np.uint8), 90)
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')


class Pictures:
    """The head camera of one robot; remembers what was asked for."""

    def __init__(self):
        self.asked = []

    def names(self, robot):
        return ['head'] if robot == 'g1_01' else []

    def jpeg(self, robot, camera):
        self.asked.append((robot, camera))
        return JPEG if (robot, camera) == ('g1_01', 'head') else None


def browsed(url, folder):
    """Return the page's elements after the browser ran its script for two virtual seconds."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert browser, 'no browser on this machine: apt-get install chromium, or tools/browser.sh'
    done = subprocess.run(
        [browser, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
         '--no-first-run', f'--user-data-dir={folder}', '--virtual-time-budget=2000',
         '--dump-dom', url], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def text_of(page):
    return unescape(re.sub(r'<[^>]+>', ' ', page.partition('<script>')[0]))


def client(fact, cameras=None):
    return application(lambda: fact, cameras or NoCameras()).test_client()


def test_a_browser_shows_the_fleet(tmp_path):
    fact, pictures = fleet(300.0), Pictures()
    one, two = fact.robots.values()
    one.instruction = '<img src=x onerror=alert(1)>'
    two.control, two.refused, two.refusal, two.waiting = 'teleop', 2, 'canary: not sane', 17
    two.pending = version_of(99)
    fact.warnings['coordinator'] = 'the store is slow'
    with serve(lambda: fact, 0, pictures) as web:
        page = browsed(web.url, tmp_path)
    text = text_of(page)
    assert f'5:00 since the start · 2 robots · {len(fact.episodes)} episodes' in text
    assert page.count('class="robot"') == 2
    for robot in (one, two):
        assert robot.version[:8] in text
        assert f'{robot.successes} of {robot.episodes}' in text
        assert robot.episode in text
    assert 'teleop' in text
    assert 'to upload 17 episodes' in ' '.join(text.split())
    assert version_of(99)[:8] in text
    assert 'refused policies: 2; the last one: canary: not sane' in text
    assert 'the store is slow' in text
    assert '500' in text
    assert 'loss/value' in text
    assert 'g1_02 5:' in text
    lines = [drawn.split() for drawn in re.findall(r'<polyline points="([^"]+)"', page)]
    state = web_state(fact)
    assert [len(line) for line in lines] == [len(state['curve']), len(state['alone'])]
    # The rates without help are drawn lower: upwards is towards 0 on a screen.
    assert state['alone'][-1]['rate'] < state['curve'][-1]['rate']
    assert float(lines[1][-1].split(',')[1]) > float(lines[0][-1].split(',')[1])
    assert '<p class="said">&lt;img src=x onerror=alert(1)&gt;</p>' in page
    # One camera of one robot; of the other it is said that there is none.
    assert re.findall(r'<img alt="([^"]+)" src="([^"?]+)', page) == [
        ('head of g1_01', '/camera/g1_01/head.jpg')]
    assert set(pictures.asked) == {('g1_01', 'head')}
    assert page.count('no camera images: the robot sends none') == 2  # one is in the script
    assert re.search(r'<span id="lost"[^>]* hidden', page)


def test_a_browser_says_that_there_is_no_answer(tmp_path):
    def broken():
        raise OSError

    with serve(broken, 0) as web:
        text = text_of(browsed(web.url, tmp_path))
    assert 'no answer: the run has ended, or is stopped (the server answers 500)' in text


def test_nothing_can_be_changed():
    web = client(fleet(60.0))
    for place in ('/', '/state.json', '/camera/g1_01/head.jpg'):
        for method in ('POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'):
            assert web.open(place, method=method).status_code == 405
    for place in ('/nothing', '/camera/g1_01/head.png', '/static/x', '/camera/../../plan.json'):
        assert web.get(place).status_code == 404


def test_the_page_loads_nothing_from_elsewhere():
    answer = client(fleet(60.0)).get('/')
    assert answer.mimetype == 'text/html'
    assert "default-src 'none'" in answer.headers['Content-Security-Policy']
    assert set(re.findall(r'https?://[^\s\'"]+', answer.text)) == {'http://www.w3.org/2000/svg'}


def test_other_names_of_this_machine_are_refused():
    web = client(fleet(60.0))
    for host, status in (('127.0.0.1:8765', 200), ('localhost', 200), ('evil.example', 400),
                         ('127.0.0.1.evil.example:80', 400)):
        assert web.get('/state.json', headers={'Host': host}).status_code == status


def test_images_come_as_they_are_or_not_at_all():
    web = client(fleet(60.0), Pictures())
    answer = web.get('/camera/g1_01/head.jpg')
    assert (answer.mimetype, answer.data) == ('image/jpeg', JPEG)
    answer = web.get('/camera/g1_09/head.jpg')
    assert answer.status_code == 404
    assert 'no image of camera head of g1_09' in answer.text


def test_what_the_page_is_told_is_strict_json():
    fact = fleet(300.0)
    fact.learner.metrics['loss/q'] = math.nan

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads(client(fact).get('/state.json').text, parse_constant=refuse)
    assert found['learner']['metrics']['loss/q'] is None
    assert found['upward']['count'] == len(fact.upward())
    assert [each['episode'] for each in found['episodes']] == [
        each.episode for each in fact.episodes[-12:]]


def test_a_long_curve_is_thinned_to_its_newest_point():
    fact = fleet(20_000.0)
    found = web_state(fact)['curve']
    assert 200 < len(found) <= 400
    assert found[-1]['seconds'] == max(each.ended for each in fact.episodes)


def test_only_this_machine_is_answered():
    with serve(lambda: fleet(10.0), 0) as web:
        assert urllib.request.urlopen(web.url).status == 200
        # Another address of the loopback: bound to all addresses it would be taken.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(('127.0.0.2', web.port), timeout=10.0)


def test_a_port_in_use_is_named_with_the_remedy():
    with serve(lambda: fleet(10.0), 0) as web, pytest.raises(
            BringupError, match=rf'port {web.port} of {HOST} cannot be had.*--port 0'):
        serve(lambda: fleet(10.0), web.port)


@pytest.mark.parametrize('port', [-1, 70000])
def test_a_number_that_is_no_port_is_refused(port):
    with pytest.raises(BringupError, match=f'the port of the web page is {port}'):
        serve(lambda: fleet(10.0), port)


def test_the_port_is_free_again_after_closing_even_with_someone_connected():
    web = serve(lambda: fleet(10.0), 0)
    with socket.create_connection((HOST, web.port)) as idle:
        idle.sendall(b'GET / HTTP/1.1\r\n')
        web.close()
        assert not web._thread.is_alive()
        with serve(lambda: fleet(10.0), web.port) as again:
            assert urllib.request.urlopen(again.url).status == 200


def test_what_is_shown_is_a_copy():
    shown, fact = Shown(), fleet(60.0)
    assert shown().robots == {}
    shown.put(fact)
    fact.robots['g1_01'].steps += 1
    fact.robots['g1_03'] = fact.robots['g1_02']
    fact.learner.update += 1
    fact.policies[0].running['g1_03'] = 1.0
    fact.policies.append(fact.policies[0])
    fact.episodes[0].sampleable += 1.0
    fact.episodes.append(fact.episodes[0])
    fact.warnings['driver'] = 'hot'
    assert shown() == fleet(60.0)


def test_cameras_give_the_newest_image_and_nothing_before_the_first(ros_domain):
    rclpy.init()
    try:
        node = rclpy.create_node('monitor')
        now = [0.0]
        cameras = FleetCameras(clock=lambda: now[0])
        assert list(cameras.names('g1_01')) == []
        cameras.listen(node, ['g1_01'])
        assert list(cameras.names('g1_01')) == []
        assert cameras.jpeg('g1_02', 'head') is None
        assert cameras.jpeg('g1_01', 'foot') is None
        robot = rclpy.create_node('driver', namespace='/g1_01')
        sent = robot.create_publisher(CompressedImage, 'left_wrist/image_raw/compressed', SENSOR)
        until = time.monotonic() + 300.0
        while cameras.jpeg('g1_01', 'left_wrist') is None and time.monotonic() < until:
            sent.publish(CompressedImage(format='jpeg', data=JPEG))
            rclpy.spin_once(node, timeout_sec=0.05)
        assert cameras.jpeg('g1_01', 'left_wrist') == JPEG
        assert list(cameras.names('g1_01')) == ['left_wrist']
        # More may be on the way; a picture that stays the same is old one day.
        until = time.monotonic() + 300.0
        while cameras.jpeg('g1_01', 'left_wrist') is not None and time.monotonic() < until:
            now[0] += STALE_SECONDS + 1.0
        assert cameras.jpeg('g1_01', 'left_wrist') is None
        node.destroy_node()
        assert cameras.jpeg('g1_01', 'left_wrist') is None
    finally:
        rclpy.shutdown()
