# SPDX-License-Identifier: Apache-2.0
"""The episode format, and replay over it: the bag is the buffer. No nodes."""

FORMAT_VERSION = 1
"""Of what is in `custom_data` and which topics an episode has; readers refuse newer ones."""
