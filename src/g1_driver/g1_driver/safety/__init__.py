# SPDX-License-Identifier: Apache-2.0
"""The safety filter: nothing reaches the motors but through it."""
