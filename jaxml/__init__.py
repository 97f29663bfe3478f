# SPDX-License-Identifier: Apache-2.0
"""Deep generative models in JAX: pure functions, composed."""

__version__ = "0.1.0"
__all__ = ["__version__"]
