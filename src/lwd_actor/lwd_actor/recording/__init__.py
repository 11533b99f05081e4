# SPDX-License-Identifier: Apache-2.0
"""What the recorder keeps of a robot's messages, and how it gets to disk; no graph needed."""
