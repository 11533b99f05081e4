# SPDX-License-Identifier: Apache-2.0
"""Between robots and the learner: segments up, policies down."""
