# SPDX-License-Identifier: Apache-2.0
"""The comparison of methods: a protocol, a graph of cells, their results as a table."""
