"""Models as they come in and go out: paths, bytes, or objects of the onnx package."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional, Union, cast

from ._errors import ModelError

if TYPE_CHECKING:
    from onnx import ModelProto

Model = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, "ModelProto"]


def source(model: Model) -> Union[str, bytes]:
    """A model as the native part takes it."""
    if isinstance(model, (str, os.PathLike)):
        return os.fspath(model)
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model)
    if is_proto(model):
        try:
            return bytes(cast(Any, model).SerializeToString())
        except ValueError as error:
            message = f"the model cannot be made bytes ({error}): save it with external data, and give its path"
            raise ModelError(message) from error
    raise TypeError(f"a model is a path, bytes or an onnx.ModelProto, not {type(model).__name__}")


def is_proto(model: object) -> bool:
    """Whether it is an object of the onnx package, without importing that."""
    return hasattr(model, "SerializeToString") and hasattr(model, "graph")


def like(model: Model, made: Optional[bytes]) -> Any:
    """Bytes of a model as an object of the kind that came in."""
    if made is None or not is_proto(model):
        return made
    proto: Any = cast(Any, type(model))()
    proto.ParseFromString(made)
    return proto
