"""What goes wrong, as exceptions."""

from __future__ import annotations

from typing import Optional


class Error(Exception):
    """What could not be done: which file, which operator, what is wrong, and what to do about it.

    Attributes:
        file: The file that it is about, or None.
        operator: The operator: type and name, behind the bodies that it is in; or None.
        code: What it is, by a name that stays when the words of messages change.
        finding: The code of the finding that was denied; None for other errors.
    """

    file: Optional[str] = None
    operator: Optional[str] = None
    code: str = "failed"
    finding: Optional[str] = None


class FileError(Error, OSError):
    """A file cannot be read or written."""


class ModelError(Error):
    """Something is no ONNX model, or breaks a rule of the format."""


class OpsetError(Error):
    """The model's opset cannot hold what was asked for, or cannot be raised."""


class SampleError(Error):
    """Samples are not there, cannot be understood, or do not fit the model."""


class EngineError(Error):
    """What is to run the model is not there, or cannot run it."""


class DeniedError(Error):
    """Something was found that the options `deny` or `strict` do not put up with; `finding` is its code."""


class OutputError(Error):
    """The output cannot have the form that was asked for."""


class OptionError(Error, ValueError):
    """An option has a value that makes no sense, by itself or with the others."""


class UnknownOptionError(OptionError, TypeError):
    """There is no such option; the message names near ones."""


_CLASSES: dict[str, type[Error]] = {
    "read": FileError,
    "write": FileError,
    "not-a-model": ModelError,
    "text": ModelError,
    "elided": ModelError,
    "invalid": ModelError,
    "tensor": ModelError,
    "external-data": ModelError,
    "opset": OpsetError,
    "upgrade": OpsetError,
    "sample": SampleError,
    "sample-run": SampleError,
    "config": OptionError,
    "unmatched-pattern": OptionError,
    "unknown-option": UnknownOptionError,
    "engine": EngineError,
    "denied": DeniedError,
    "output": OutputError,
}


def from_native(
    code: str, message: str, file: Optional[str], operator: Optional[str], finding: Optional[str]
) -> Error:
    """The exception for an error of the native part."""
    error = _CLASSES.get(code, Error)(message)
    error.code, error.file, error.operator, error.finding = code, file, operator, finding
    return error
