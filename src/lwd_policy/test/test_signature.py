# SPDX-License-Identifier: Apache-2.0
"""Only what a trusted key signed, to the last bit, is accepted."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwd_policy.errors import ManifestError, SignatureError
from lwd_policy.manifest import Manifest
from lwd_policy.signature import SigningKey, TrustedKeys, new_keys

LIMIT = 10_000_000


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _manifest(**changes):
    return Manifest(**{
        'version': _hash('v'), 'parent': _hash('p'), 'layout': 'scene-1/16x30', 'stamp_ns': 5,
        'full_bytes': 10, 'payload_bytes': 25, 'payload_sha256': _hash('payload'),
        'part_bytes': 10, 'part_sha256': (_hash('0'), _hash('1'), _hash('2')), 'update': 50,
        'metrics': {'success': 0.25}, **changes})


@pytest.fixture(scope='module')
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp('keys')
    private, _ = new_keys(folder, 'learner')
    return SigningKey.load(private), TrustedKeys.load(folder)


def test_what_was_signed_is_accepted(keys):
    key, trusted = keys
    _manifest().signed(key).check(trusted, limit=LIMIT)


_CHANGES = {
    'version': _hash('other'), 'parent': '', 'base': _hash('b'), 'encoding': 'delta',
    'layout': 'cameras/16x30', 'stamp_ns': 6, 'full_bytes': 11, 'payload_bytes': 26,
    'payload_sha256': _hash('x'), 'part_bytes': 9, 'part_sha256': (_hash('0'),),
    'url': 's3://elsewhere', 'snapshot': 's', 'update': 51, 'metrics': {'success': 1.0},
    'rollout_first': 1, 'signer': 'learner2'}


@pytest.mark.parametrize('field', _CHANGES)
def test_every_field_is_signed(keys, field):
    key, trusted = keys
    changed = replace(_manifest().signed(key), **{field: _CHANGES[field]})
    with pytest.raises(SignatureError):
        changed.check(trusted, limit=LIMIT)


@given(bit=st.integers(0, 511))
@settings(max_examples=30, deadline=None)
def test_flipped_bit_of_a_signature_is_refused(keys, bit):
    key, trusted = keys
    signed = _manifest().signed(key)
    flipped = bytearray(signed.signature)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureError, match="not of the trusted key 'learner'"):
        replace(signed, signature=bytes(flipped)).check(trusted, limit=LIMIT)


def test_unsigned_and_foreign_policies_are_refused(keys, tmp_path):
    _, trusted = keys
    with pytest.raises(SignatureError, match='not signed'):
        _manifest().check(trusted, limit=LIMIT)
    private, _ = new_keys(tmp_path / 'a', 'other')
    with pytest.raises(SignatureError, match=r"signed by 'other'.*trusted are learner"):
        _manifest().signed(SigningKey.load(private)).check(trusted, limit=LIMIT)
    # Another pair under the trusted name.
    private, _ = new_keys(tmp_path / 'b', 'learner')
    with pytest.raises(SignatureError, match='not of the trusted key'):
        _manifest().signed(SigningKey.load(private)).check(trusted, limit=LIMIT)


@pytest.mark.parametrize(('changes', 'text'), [
    ({'version': 'abc'}, 'version'),
    ({'payload_sha256': '../x'}, 'payload_sha256'),
    ({'base': _hash('b')}, 'only then'),
    ({'encoding': 'delta'}, 'only then'),
    ({'payload_bytes': LIMIT + 1}, 'max_bytes'),
    ({'part_bytes': 0}, 'part_bytes'),
    ({'part_bytes': 2_000_000}, 'part_bytes'),
    ({'part_sha256': ()}, '0 part hashes.*must be 3'),
])
def test_impossible_manifest_is_refused_though_it_is_signed(keys, changes, text):
    key, trusted = keys
    with pytest.raises(ManifestError, match=text):
        _manifest(**changes).signed(key).check(trusted, limit=LIMIT)


def test_metric_that_is_not_finite_cannot_be_signed(keys):
    with pytest.raises(ManifestError, match='not finite'):
        _manifest(metrics={'loss': float('nan')}).signed(keys[0])


def test_keys_are_never_overwritten_and_stay_private(tmp_path):
    private, public = new_keys(tmp_path)
    before = private.read_bytes()
    with pytest.raises(SignatureError, match='is there already'):
        new_keys(tmp_path)
    assert private.read_bytes() == before
    assert private.stat().st_mode & 0o777 == 0o600
    private.chmod(0o640)
    with pytest.raises(SignatureError, match='chmod 600'):
        SigningKey.load(private)
    public.chmod(0o600)
    with pytest.raises(SignatureError, match='no private key'):
        SigningKey.load(public)
    with pytest.raises(SignatureError, match='no name for a key'):
        new_keys(tmp_path, '../learner')
    with pytest.raises(SignatureError, match=r'holds no \*\.pub'):
        TrustedKeys.load(tmp_path.parent)
