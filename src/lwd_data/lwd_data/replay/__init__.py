# SPDX-License-Identifier: Apache-2.0
"""The bag is the buffer: index, catalogue, snapshots and the sampler over recorded episodes."""
