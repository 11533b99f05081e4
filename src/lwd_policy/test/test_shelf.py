# SPDX-License-Identifier: Apache-2.0
"""A shelf shows whole versions, and the choice between them, whatever happens to its writer."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from lwd_policy.errors import ShelfError
from lwd_policy.shelf import Choice, Shelf, ShelfWriter


def _version(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def _put(shelf, number):
    folder = shelf.scratch('policy')
    (folder / 'weights.safetensors').write_bytes(str(number).encode())
    return shelf.add(folder, _version(number))


@pytest.fixture
def writer(tmp_path):
    with ShelfWriter(tmp_path / 'shelf') as shelf:
        yield shelf


def test_shelf_that_is_not_there_yet_has_nothing(tmp_path):
    shelf = Shelf(tmp_path / 'none')
    assert shelf.current() is None
    assert shelf.versions() == []
    assert not (tmp_path / 'none').exists()


def test_reader_follows_the_writer(writer):
    reader = Shelf(writer.folder)
    for number in range(3):
        place = _put(writer, number)
        writer.select(_version(number))
        assert reader.current() == _version(number)
        assert reader.path(_version(number)) == place
        assert (place / 'weights.safetensors').read_bytes() == str(number).encode()
    assert reader.versions() == [_version(2), _version(1), _version(0)]
    assert reader.choice().history == (_version(1), _version(0))


def test_polling_reads_the_file_only_when_it_changed(writer, monkeypatch):
    _put(writer, 0)
    writer.select(_version(0))
    reader = Shelf(writer.folder)
    assert reader.current() == _version(0)
    monkeypatch.setattr('lwd_policy.shelf._parse', lambda *_: pytest.fail('read again'))
    assert reader.current() == _version(0)


def test_version_that_is_there_already_stays(writer):
    place = _put(writer, 0)
    _put(writer, 1)
    assert _put(writer, 0) == place
    assert writer.versions() == [_version(1), _version(0)]
    assert not list(writer.folder.glob('.*.part'))


def test_keep_spares_the_present_and_the_previous_good_one(writer):
    for number in range(6):
        _put(writer, number)
    writer.select(_version(0))
    writer.select(_version(1))
    writer.change(faulty={_version(5): 'clips'})
    assert set(writer.keep(2)) == {_version(2), _version(3)}
    assert writer.versions() == [_version(5), _version(4), _version(1), _version(0)]
    assert writer.previous_good() == _version(0)


def test_faulty_version_is_no_previous_good_one(writer):
    for number in range(3):
        _put(writer, number)
        writer.select(_version(number))
    writer.change(faulty={_version(1): 'not finite'})
    assert writer.previous_good() == _version(0)


def test_pin_and_unknown_versions(writer):
    _put(writer, 0)
    writer.select(_version(0), pinned=True)
    assert Shelf(writer.folder).choice() == Choice(_version(0), pinned=True)
    with pytest.raises(ShelfError, match=r'not on the shelf.*holds'):
        writer.select(_version(7))
    with pytest.raises(ShelfError, match='SHA-256'):
        writer.add(writer.scratch('policy'), '../../etc')
    assert writer.choice().version == _version(0)


def test_second_writer_is_refused_until_the_first_ends(writer):
    with pytest.raises(ShelfError, match='another process'):
        ShelfWriter(writer.folder)
    writer.close()
    ShelfWriter(writer.folder).close()


def test_damaged_choice_is_named(writer):
    (writer.folder / 'current.json').write_text('{"version"')
    with pytest.raises(ShelfError, match=r'current\.json.*remove it'):
        writer.current()


def test_refused_write_leaves_the_choice(writer, monkeypatch):
    _put(writer, 0)
    writer.select(_version(0))
    _put(writer, 1)

    def full(_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(ShelfError, match='No space left'):
        writer.select(_version(1))
    assert Shelf(writer.folder).current() == _version(0)


_CHURN = textwrap.dedent("""
    import hashlib, itertools, sys
    from pathlib import Path
    from lwd_policy.shelf import ShelfWriter
    with ShelfWriter(Path(sys.argv[1])) as shelf:
        for number in itertools.count(len(shelf.versions())):
            folder = shelf.scratch('policy')
            data = f'{number}-{sys.argv[2]}'.encode() * 1000
            (folder / 'weights.safetensors').write_bytes(data)
            version = hashlib.sha256(data).hexdigest()
            shelf.add(folder, version)
            shelf.select(version)
            shelf.keep(3)
            if number == 5:
                print('going', flush=True)
""")


def test_killed_writer_leaves_a_whole_shelf(tmp_path):
    folder = tmp_path / 'shelf'
    reader = Shelf(folder)
    for attempt in range(3):
        writer = subprocess.Popen(
            [sys.executable, '-c', _CHURN, str(folder), str(attempt)], stdout=subprocess.PIPE)
        if attempt == 0:
            assert writer.stdout.readline() == b'going\n'
        seen = 0
        while seen < 50:
            # A version may be removed between the two calls, but is never half there.
            version = reader.current()
            if version is not None:
                try:
                    data = (reader.path(version) / 'weights.safetensors').read_bytes()
                except (ShelfError, FileNotFoundError):
                    continue
                assert hashlib.sha256(data).hexdigest() == version
                seen += 1
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        version = reader.current()
        data = (reader.path(version) / 'weights.safetensors').read_bytes()
        assert hashlib.sha256(data).hexdigest() == version
    with ShelfWriter(folder) as mended:
        assert not list(folder.glob('.*.part'))
        assert mended.current() in mended.versions()
