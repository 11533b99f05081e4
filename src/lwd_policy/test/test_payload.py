# SPDX-License-Identifier: Apache-2.0
"""A payload gives back the policy that it was made of, or an error."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
from tiny_policies import saved, tiny, trained

from lwd_policy import canary, weights
from lwd_policy.card import dumps
from lwd_policy.errors import DeltaError, PayloadError, WeightsError
from lwd_policy.payload import CANARY_FILE, pack, unpack
from lwd_policy.store import load_policy
from lwd_policy.weights_file import to_bytes, version_of


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


def test_weights_that_are_not_of_the_manifest_are_refused(folders, tmp_path):
    for base in (None, folders / 'first'):
        manifest = pack(folders / 'second', tmp_path / 'payload', base=base)
        place = tmp_path / manifest.encoding
        place.mkdir()
        with pytest.raises(WeightsError, match=f'version {manifest.version[:12]}, the manifest'):
            unpack(tmp_path / 'payload', replace(manifest, version='ab' * 32), place, base=base)


def test_weights_that_are_not_finite_are_refused(folders, tmp_path):
    bad = tmp_path / 'bad'
    shutil.copytree(folders / 'second', bad)
    tensors, card = weights.load(bad)
    tensors[max(tensors)].fill_(float('nan'))
    version = version_of(tensors, card.architecture)
    (bad / weights.WEIGHTS_FILE).write_bytes(to_bytes(tensors, card.architecture))
    (bad / weights.CARD_FILE).write_text(dumps(replace(card, version=version)))
    for base in (None, folders / 'first'):
        manifest = pack(bad, tmp_path / 'payload', base=base)
        place = tmp_path / manifest.encoding
        place.mkdir()
        with pytest.raises(WeightsError, match='not finite'):
            unpack(tmp_path / 'payload', manifest, place, base=base)


def test_what_was_found_out_is_not_found_out_again(folders, tmp_path):
    manifest = pack(folders / 'second', tmp_path / 'payload')
    (tmp_path / 'there').mkdir()
    unpacked = unpack(tmp_path / 'payload', manifest, tmp_path / 'there')
    assert unpacked.version == manifest.version
    tensors, card = weights.load(unpacked.folder, known=unpacked.version)
    assert version_of(tensors, card.architecture) == manifest.version
    del tensors
    with pytest.raises(WeightsError, match='one of them was changed'):
        weights.load(unpacked.folder, known='ab' * 32)


def test_part_size_may_follow_from_that_of_the_whole(folders, tmp_path):
    asked = []
    manifest = pack(folders / 'second', tmp_path / 'payload',
                    part_bytes=lambda size: asked.append(size) or 777)
    assert asked == [manifest.payload_bytes]
    assert manifest.part_bytes == 777
    assert len(manifest.part_sha256) == -(-manifest.payload_bytes // 777)


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
