# SPDX-License-Identifier: Apache-2.0
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
import run_helpers as helpers

from lwd_bringup.cli import main
from lwd_bringup.errors import BringupError
from lwd_bringup.loop import folder as run_folder
from lwd_bringup.loop import report, versions
from lwd_bringup.loop.comparison import compare
from lwd_bringup.loop.state import quantile

VOID = {'meta', 'img'}


class Page(HTMLParser):
    """Sees that every tag is closed, and what the page would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.titles, self.text = [], [], [], ''
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value for name, value in attrs if name in ('src', 'href')]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != 'style':
            self.text += data + ' '
        if self.open and self.open[-1] == 'h2':
            self.titles.append(data)


def drawn(folder):
    return Page(report.write(folder).read_text(encoding='utf-8'))


def test_a_finished_run_tells_everything(tmp_path):
    helpers.finished(tmp_path)
    page = drawn(tmp_path)
    assert 'What is missing' not in page.titles
    assert page.titles == [title for title, _, _ in report._SECTIONS[1:]]
    found = compare(*(run_folder.read(tmp_path).first, run_folder.read(tmp_path).last))
    assert f'{found.first:.2f} → {found.last:.2f}' in page.text
    assert f'exact McNemar p = {found.p_value:.3g}' in page.text
    fact = helpers.fleet(300.0)
    assert f'P50 {quantile(fact.upward(), 0.5):.2f} s' in page.text
    assert f'P99 {quantile(fact.downward(), 0.99):.2f} s' in page.text
    assert '1,234 segments are in the store' in page.text
    assert 'online 33%' in page.text
    assert '1.5 newer policies were deployed in the mean' in page.text
    for number in range(1, 5):
        assert helpers.version_of(number)[:12] in page.text
    assert 'learner.learner.keep' in page.text
    assert '3.11.2' in page.text
    # Two filmstrips a task, inside the page; nothing is loaded.
    assert len(page.sources) == 4
    assert all(source.startswith('data:image/png;base64,') for source in page.sources)


def test_every_chart_is_well_formed(tmp_path):
    helpers.finished(tmp_path)
    charts = re.findall(r'<svg.*?</svg>', report.write(tmp_path).read_text(), re.DOTALL)
    assert len(charts) >= 8
    for chart in charts:
        numbers = [float(word) for element in ElementTree.fromstring(chart).iter()
                   for word in re.split(r'[ ,]', element.get('points', '')) if word]
        assert all(-1.0 <= number <= 1100.0 for number in numbers)


def test_a_run_that_has_just_begun_says_what_is_missing(tmp_path):
    helpers.begun(tmp_path)
    text = drawn(tmp_path).text
    for said in ('the first policy is not evaluated yet', 'the last policy is not evaluated yet',
                 'the fleet has told nothing yet', 'the learner has noted no losses yet',
                 'published no policy yet', f'--resume {tmp_path}', 'no versions.jsonl'):
        assert said in text


@pytest.mark.parametrize('done', range(1, 5))
def test_a_run_can_be_drawn_at_every_stage(done, tmp_path):
    helpers.begun(tmp_path)
    steps = (lambda: helpers.evaluate(tmp_path, 'first', 0.3),
             lambda: helpers.tell(tmp_path, helpers.fleet(5.0)),
             lambda: helpers.tell(tmp_path, helpers.fleet(120.0)),
             lambda: helpers.learn(tmp_path, rounds=1))
    for step in steps[:done]:
        step()
    page = drawn(tmp_path)
    assert 'the last policy is not evaluated yet' in page.text
    assert 'First and last policy on the same held-out scenes' in page.titles
    assert ('Robots' in page.titles) == (done > 1)
    assert ('Lineage' in page.titles) == (done > 3)


def test_several_starts_are_one_curve(tmp_path):
    helpers.begun(tmp_path)
    helpers.tell(tmp_path, helpers.fleet(300.0))
    helpers.tell(tmp_path, helpers.fleet(300.0, seed=1), before=300.0)
    text = drawn(tmp_path).text
    assert '10.0 min' in text
    assert 'in 2 starts' in text


def test_damaged_files_are_named_and_the_rest_is_drawn(tmp_path):
    helpers.finished(tmp_path)
    (tmp_path / 'evaluation' / 'last.json').write_text('{"results": [{"task"')
    (tmp_path / 'learner' / 'metrics.jsonl').write_bytes(b'\xff\xfe')
    card = next((tmp_path / 'learner' / 'published').iterdir()) / 'card.json'
    card.write_text('{}')
    with (tmp_path / 'timeline.jsonl').open('a') as file:
        file.write('{"seconds"')
    page = drawn(tmp_path)
    for said in ('no results in evaluation/last.json', 'the learner has noted no losses yet',
                 'the lineage is not whole', '1 lines of timeline.jsonl were cut short'):
        assert said in page.text
    assert 'Robots' in page.titles


def test_evaluations_of_different_scenes_are_not_compared(tmp_path):
    helpers.finished(tmp_path)
    helpers.evaluate(tmp_path, 'last', 0.5, episodes=5)
    assert 'the two evaluations were of different scenes' in drawn(tmp_path).text


def test_texts_of_the_run_are_escaped(tmp_path):
    helpers.begun(tmp_path, settings={'<script>alert(1)</script>': '%BODY%'})
    fact = helpers.fleet(60.0)
    fact.robots['g1_01'].refused, fact.robots['g1_01'].refusal = 1, '<img src=x>'
    helpers.tell(tmp_path, fact)
    page = drawn(tmp_path)
    assert page.sources == []
    assert '<img src=x>' in page.text
    assert '<script>alert(1)</script>' in page.text


def test_the_command_draws_again(tmp_path, capsys):
    helpers.begun(tmp_path)
    out = tmp_path / 'other.html'
    assert main(['report', str(tmp_path), '--out', str(out)]) == 0
    assert str(out) in capsys.readouterr().out.replace('\n', '')
    helpers.evaluate(tmp_path, 'first', 0.5)
    assert main(['report', str(tmp_path)]) == 0
    assert (tmp_path / 'report.html').stat().st_size > out.stat().st_size


@pytest.mark.parametrize(('prepare', 'text'), [
    (lambda folder: None, 'holds no run: there is no plan.json'),
    (lambda folder: (folder / 'plan.json').write_text('{"robots": 0'), 'cannot be read'),
    (lambda folder: (helpers.begun(folder), (folder / 'report.html.part').mkdir()),
     'give another place with --out'),
])
def test_bad_input_ends_with_status_2_and_says_why(prepare, text, tmp_path, capsys):
    prepare(tmp_path)
    assert main(['report', str(tmp_path)]) == 2
    assert text in ' '.join(capsys.readouterr().out.split())


def test_an_error_leaves_the_old_page(tmp_path):
    helpers.begun(tmp_path)
    before = report.write(tmp_path).read_text()
    (tmp_path / 'plan.json').write_text('no')
    with pytest.raises(BringupError):
        report.write(tmp_path)
    assert (tmp_path / 'report.html').read_text() == before


def test_versions_are_kept_a_start_each(tmp_path):
    versions.keep(tmp_path)
    versions.keep(tmp_path)
    with (tmp_path / versions.FILE).open('a') as file:
        file.write('{"python": "3.')
    one, two = versions.read(tmp_path)
    assert one.keys() == two.keys()
    assert one['torch'].count('.') >= 2
    assert json.dumps(one)
