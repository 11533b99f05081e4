# SPDX-License-Identifier: Apache-2.0
"""Keys for an object store: from the environment or AWS' files, never from parameters.

The environment variables are AWS's own: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL. Without keys there, the profile AWS_PROFILE of
AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) is read.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from lwd_learner_bridge.errors import StoreError

_KEYS = {
    'aws_access_key_id': 'access_key_id', 'aws_secret_access_key': 'secret_access_key',
    'aws_session_token': 'session_token'}
_SECRET = tuple(_KEYS.values())
_SHORTEST = 4


def s3_config(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what an S3 client needs beside the bucket.

    Raises:
        StoreError: A credentials file is named, and has no such profile or cannot be read.
    """
    config = {
        name: environment[key.upper()] for key, name in _KEYS.items()
        if environment.get(key.upper())}
    if 'access_key_id' not in config:
        config |= _from_file(environment)
    config['region'] = (
        environment.get('AWS_REGION') or environment.get('AWS_DEFAULT_REGION') or 'us-east-1')
    if endpoint := environment.get('AWS_ENDPOINT_URL'):
        config['endpoint'] = endpoint
    return config


def _from_file(environment: Mapping[str, str]) -> dict[str, str]:
    named = environment.get('AWS_SHARED_CREDENTIALS_FILE')
    path = Path(named) if named else Path.home() / '.aws' / 'credentials'
    profile = environment.get('AWS_PROFILE', 'default')
    parser = configparser.ConfigParser(interpolation=None)
    try:
        text = path.read_text(encoding='utf-8')
    except FileNotFoundError as error:
        if named:
            raise StoreError(
                f'AWS_SHARED_CREDENTIALS_FILE is {path}, which does not exist') from error
        # A machine may have a role that needs no keys.
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f'the credentials file {path} cannot be read: {error}') from error
    try:
        parser.read_string(text)
    except configparser.Error as error:
        # The parser's own message would quote the line, which may hold a key.
        raise StoreError(f'the credentials file {path} is no INI file') from error
    if profile not in parser:
        raise StoreError(
            f'the credentials file {path} has no profile {profile!r}; set AWS_PROFILE to one of '
            f'{", ".join(parser.sections()) or "those that you add"}')
    return {name: parser[profile][key] for key, name in _KEYS.items() if key in parser[profile]}


def secrets(config: Mapping[str, str]) -> tuple[str, ...]:
    """Return what must not appear in a message."""
    return tuple(
        config[name] for name in _SECRET if len(config.get(name, '')) >= _SHORTEST)


def redacted(text: str, hidden: tuple[str, ...]) -> str:
    """Return a text without secrets."""
    for secret in hidden:
        text = text.replace(secret, '***')
    return text
