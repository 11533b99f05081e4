# SPDX-License-Identifier: Apache-2.0
"""Parts that scenes are made of, one concept a module."""
