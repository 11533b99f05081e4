# SPDX-License-Identifier: Apache-2.0
"""Parts of a payload from a URL in an object store: file, http, s3, gs, az."""

from __future__ import annotations

from collections.abc import Callable

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from lwd_actor.errors import FetchError
from lwd_actor.reception.assembly import Assembly

_BATCH = 16


def fetch(assembly: Assembly, *, go_on: Callable[[], bool]) -> None:
    """Fetch the parts that an assembly lacks; credentials come from the environment.

    Args:
        assembly: Its manifest names the URL.
        go_on: Asked between parts; stops where it says no.

    Raises:
        FetchError: The store does not answer, has no such object, or holds something else.
        DiskError: The disk refuses.
    """
    manifest = assembly.manifest
    place, _, name = manifest.url.rpartition('/')
    try:
        store = from_url(place)
        missing = assembly.missing()
        for at in range(0, len(missing), _BATCH):
            indices = missing[at:at + _BATCH]
            starts = [index * manifest.part_bytes for index in indices]
            lengths = [manifest.size_of(index) for index in indices]
            found = obstore.get_ranges(store, name, starts=starts, lengths=lengths)
            for index, data in zip(indices, found):
                if not go_on():
                    return
                if not assembly.take(index, memoryview(data)):
                    raise FetchError(
                        f'part {index} of {manifest.url} is not as signed; the object was changed '
                        'or damaged: publish the policy again')
    except (BaseError, OSError, ValueError) as error:
        raise FetchError(
            f'{manifest.url} cannot be fetched: {str(error).partition(chr(10))[0]}') from error
