# SPDX-License-Identifier: Apache-2.0
"""Which nodes of LWD run where, and the lwd command."""
