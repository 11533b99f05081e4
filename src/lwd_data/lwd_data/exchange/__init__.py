# SPDX-License-Identifier: Apache-2.0
"""Episodes from and to other formats: AgiBot World, LeRobot v3.0.

A source reads recordings in their own units, a mapping says what they mean, `episode` writes them
as the recorder would. h5py, pyarrow and PyAV are imported only when they are needed.
"""
