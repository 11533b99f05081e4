# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the maker's SDK, as far as the driver uses it."""
