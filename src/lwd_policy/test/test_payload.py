# SPDX-License-Identifier: Apache-2.0
"""A payload gives back the policy that it was made of, or an error."""

from __future__ import annotations

import hashlib
import json

import pytest
from tiny_policies import saved, tiny, trained

from lwd_policy import canary, weights
from lwd_policy.errors import DeltaError, PayloadError
from lwd_policy.payload import CANARY_FILE, pack, unpack
from lwd_policy.store import load_policy


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp('policies')
    policy = tiny()
    first = saved(folder / 'first', policy)
    saved(folder / 'second', trained(policy, 1), parent=first.version)
    return folder


@pytest.mark.parametrize('base', [None, 'first'])
def test_policy_survives_the_way(folders, tmp_path, base):
    manifest = pack(folders / 'second', tmp_path / 'payload', part_bytes=1000,
                    base=base and folders / base)
    assert manifest.encoding == ('delta' if base else 'full')
    assert manifest.version == weights.version(folders / 'second')
    assert manifest.parent == weights.version(folders / 'first')
    data = (tmp_path / 'payload').read_bytes()
    assert manifest.payload_bytes == len(data)
    assert manifest.part_sha256 == tuple(
        hashlib.sha256(data[at:at + 1000]).hexdigest() for at in range(0, len(data), 1000))
    place = tmp_path / 'there'
    place.mkdir()
    unpack(tmp_path / 'payload', manifest, place, base=base and folders / base)
    for name in (weights.WEIGHTS_FILE, weights.CARD_FILE, CANARY_FILE):
        assert (place / name).read_bytes() == (folders / 'second' / name).read_bytes()
    assert load_policy(place)[2].version == manifest.version
    assert json.loads((place / 'manifest.json').read_text())['version'] == manifest.version


def test_delta_is_smaller(folders, tmp_path):
    full = pack(folders / 'second', tmp_path / 'full')
    delta = pack(folders / 'second', tmp_path / 'delta', base=folders / 'first')
    assert delta.payload_bytes < full.payload_bytes
    assert delta.full_bytes == full.full_bytes


def test_delta_against_another_base_is_refused(folders, tmp_path):
    manifest = pack(folders / 'second', tmp_path / 'delta', base=folders / 'first')
    saved(tmp_path / 'other', tiny(9))
    place = tmp_path / 'there'
    place.mkdir()
    with pytest.raises(DeltaError, match='needs version'):
        unpack(tmp_path / 'delta', manifest, place, base=tmp_path / 'other')


def test_what_is_no_payload_is_refused(folders, tmp_path):
    manifest = pack(folders / 'first', tmp_path / 'payload')
    for content in (b'', b'x' * 10, (tmp_path / 'payload').read_bytes()[:-1]):
        (tmp_path / 'cut').write_bytes(content)
        with pytest.raises(PayloadError, match='ends with'):
            unpack(tmp_path / 'cut', manifest, tmp_path)


def test_policy_without_canary(folders, tmp_path):
    saved(tmp_path / 'bare', tiny(), with_canary=False)
    manifest = pack(tmp_path / 'bare', tmp_path / 'payload')
    (tmp_path / 'there').mkdir()
    unpack(tmp_path / 'payload', manifest, tmp_path / 'there')
    assert not (tmp_path / 'there' / CANARY_FILE).exists()
    assert len(canary.load(folders / 'first' / CANARY_FILE)) == 1
