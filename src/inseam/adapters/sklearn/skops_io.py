"""skops without what it imports to know which types it trusts: the whole of scikit-learn, and PyTorch where it is.

That takes seconds, at each training and each start of a server. The loader's own allow-list names the estimators.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from types import ModuleType

_lock = threading.Lock()


def skops_io() -> ModuleType:
    """`skops.io`, which trusts no estimator of itself unless somebody else imported it before."""
    with _lock:
        if "skops.io" in sys.modules:
            return sys.modules["skops.io"]
        import sklearn.utils

        all_estimators = sklearn.utils.all_estimators
        sklearn.utils.all_estimators = list
        try:
            return import_module("skops.io")
        finally:
            sklearn.utils.all_estimators = all_estimators
