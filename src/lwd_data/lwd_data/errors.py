# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_data."""


class DataError(Exception):
    """Base of the errors of this package."""


class WriteError(DataError):
    """An episode cannot be written."""


class ReadError(DataError):
    """An episode cannot be read; the message names the file and what is wrong with it."""


class SchemaError(DataError):
    """A message type whose definition is not to be found."""


class IndexFileError(DataError):
    """A segment that cannot be indexed; the message names the file, the field and the value."""


class CatalogueError(DataError):
    """What the catalogue refuses, or a snapshot whose files are missing or changed."""


class SampleError(DataError):
    """A sampler that cannot be set up from its snapshot and settings."""


class ExchangeError(DataError):
    """Foreign data that cannot be imported, or episodes that cannot be exported.

    The message names the file, the field, the value and the remedy.
    """


class EmptyError(SampleError):
    """A snapshot that has nothing to draw; a later one may."""
