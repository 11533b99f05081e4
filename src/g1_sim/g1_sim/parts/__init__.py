# SPDX-License-Identifier: Apache-2.0
"""Parts that scenes are built of, one concept a module."""
