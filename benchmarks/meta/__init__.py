# SPDX-License-Identifier: Apache-2.0
"""Meta-World for `benchmarks.metaworld`: its robot in this project's terms, episodes as bags."""
