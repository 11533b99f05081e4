# SPDX-License-Identifier: Apache-2.0
"""A fleet that learns while it is deployed, started, watched and reported by one command."""
