# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: `make bench NAME=<name>`, QUICK=1 for under a minute. Each ends with a JSON line."""
