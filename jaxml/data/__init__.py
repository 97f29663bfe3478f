# SPDX-License-Identifier: Apache-2.0
from jaxml.data.error import DataError
from jaxml.data.permutation import permute, permute_inverse

__all__ = ["DataError", "permute", "permute_inverse"]
