# SPDX-License-Identifier: Apache-2.0
"""The two sides of `benchmarks.qam_reference`."""
