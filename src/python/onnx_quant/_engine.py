"""onnxruntime's library, where its Python package is installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Optional

_VARIABLE = "ORT_DYLIB_PATH"
_NAMES = ("libonnxruntime.so*", "libonnxruntime*.dylib", "onnxruntime.dll")


def find_onnxruntime() -> Optional[str]:
    """The library of the installed onnxruntime, which is not imported; None where there is none.

    The environment variable ORT_DYLIB_PATH comes first.
    """
    named = os.environ.get(_VARIABLE)
    if named:
        return named
    try:
        package = importlib.util.find_spec("onnxruntime")
    except (ImportError, ValueError):
        return None
    for folder in (package.submodule_search_locations or []) if package else []:
        for name in _NAMES:
            for library in sorted(Path(folder, "capi").glob(name)):
                return str(library)
    return None
