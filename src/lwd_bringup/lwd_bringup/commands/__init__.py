# SPDX-License-Identifier: Apache-2.0
"""The commands of `lwd`, a module for each group; each adds its own to the parser."""
