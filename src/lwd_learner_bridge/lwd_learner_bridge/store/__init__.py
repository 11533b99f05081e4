# SPDX-License-Identifier: Apache-2.0
"""The object store between robots and the learner: one URL, and what lies where under it."""
