# SPDX-License-Identifier: Apache-2.0
"""On the robot: closed segments from the spool into the object store."""
