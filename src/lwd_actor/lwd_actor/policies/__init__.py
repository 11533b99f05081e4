# SPDX-License-Identifier: Apache-2.0
"""Where chunks of actions come from: a policy file, or a server."""
