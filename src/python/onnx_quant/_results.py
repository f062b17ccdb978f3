"""Results as plain data that shows itself as a table in a notebook."""

from __future__ import annotations

import html
import json
from typing import Any, Optional


class Result:
    """Plain data: what `to_dict` has under a key is an attribute of that name."""

    summary: str
    """What people read, as the command prints it."""
    findings: list["Finding"]
    """What a user should know besides, warnings last."""

    def __init__(self, text: str, summary: str) -> None:
        self._data: dict[str, Any] = json.loads(text)
        for name, value in self._data.items():
            if name == "summary":
                name = "totals"
            setattr(self, name, value)
        self.findings = [Finding(**finding) for finding in self._data.get("findings", [])]
        self.summary = summary

    def to_dict(self) -> dict[str, Any]:
        """All of it, as the JSON of the command has it."""
        return self._data

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(self._data, indent=2, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        return self.summary

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary.strip().splitlines()[0] if self.summary.strip() else 'empty'}>"

    def _rows(self) -> list[tuple[str, ...]]:
        return []

    def _repr_html_(self) -> str:
        parts = [f"<pre>{html.escape(self.summary)}</pre>"]
        rows = self._rows()
        if rows:
            head, *body = ("".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
                           for tag, row in zip(["th"] + ["td"] * len(rows), rows))
            lines = "".join(f"<tr>{row}</tr>" for row in body)
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>")
        return "".join(parts)


class Finding:
    """One thing that a user should know.

    Attributes:
        code: What it is, by a name that stays, e.g. "dequantized-every-run".
        severity: "note", or "warning" where something may not be as intended.
        subjects: The operators, values, weights or patterns that it is about.
        elements: The elements that each run converts or computes in float for it; 0 where that is not the point.
        message: It in words.
        help: What would mend it; may be empty.
    """

    def __init__(
        self, code: str, severity: str, message: str, subjects: list[str], elements: int = 0, help: str = ""
    ) -> None:
        self.code = code
        self.severity = severity
        self.subjects = subjects
        self.elements = elements
        self.message = message
        self.help = help

    def __repr__(self) -> str:
        return f"{self.severity}[{self.code}]: {self.message}"


class Report(Result):
    """What quantization did, what it did not and why, and what it costs."""

    version: int
    """The version of this form; `onnx_quant`'s own is `tool_version`."""
    tool_version: str
    """The version of onnx-quant that made it."""
    options: str
    """The options that quantize a model like this, as they are typed for the command."""
    opset: dict[str, int]
    """The opset of the default domain, before and after."""
    tensor_bytes: dict[str, int]
    """The bytes of all of the model's tensors, before and after."""
    quantized: list[dict[str, Any]]
    """The weights that were quantized, each with its forms and their signal-to-noise ratio in dB."""
    left_float: list[dict[str, Any]]
    """The weights that stay float, with the reason."""
    other_float: dict[str, int]
    """Float constants that are no weights: how many, and their bytes."""
    trained: Optional[dict[str, Any]] = None
    """Constants that training had quantized; None where there are none."""
    bytes: dict[str, int]
    """The bytes of all quantized weights, as float and as integers."""
    tuned: Optional[dict[str, Any]] = None
    """The ways to quantize that were tried and timed; None without `tune`."""
    activations: Optional[dict[str, Any]] = None
    """What became of layers and the values between them; None where activations are not quantized."""
    model: Any = None
    """The quantized model where no `out` was given: bytes, or an onnx.ModelProto where one came in."""
    engine: Optional[str] = None
    """What ran the model with the samples: "rten", which is built in, or "onnxruntime"; None without samples."""

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("weight", "from", "to", "scales", "SQNR in dB", "operators")]
        for weight in self.quantized:
            for copy in weight["copies"]:
                ratio = copy.get("sqnr_db")
                shape = ", ".join(map(str, weight["shape"]))
                rows.append((
                    weight["name"], f"{weight['float_type']}[{shape}]", copy["dtype"], str(copy["scales"]),
                    "exact" if ratio is None else f"{ratio:.1f}", ", ".join(copy["operators"]),
                ))
        rows.extend(
            (left["name"], "float", "float", "", "", left["reason"]) for left in self.left_float
        )
        return rows


class Sensitivity(Result):
    """Which operators cost most in accuracy, the most expensive first."""

    version: int
    """The version of this form."""
    samples: int
    """How many samples it was measured on."""
    planned_db: float
    """Signal to noise of the worst output as planned, in dB."""
    layers: int
    """Layers that compute in integers as planned."""
    time: Optional[float] = None
    """A run as planned over a run in float, by estimate."""
    bytes: int
    """Bytes of all weights as planned."""
    steps: list[dict[str, Any]]
    """Operators, and what is foreseen with them and those of all steps before in float."""
    rules: str
    """The ranking as rules for a configuration file: those that it takes for `min_sqnr` hold, the others are comments."""

    def __init__(self, text: str, summary: str, rules: str) -> None:
        super().__init__(text, summary)
        self.rules = rules

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("noise", "foreseen in dB", "time", "bytes", "operators")]
        for step in self.steps:
            time = step.get("time")
            rows.append((
                f"{step['noise']:.1%}", f"{step['foreseen_db']:.1f}", "" if time is None else f"{time:.2f}",
                str(step["bytes"]), ", ".join(f"{one['op_type']} '{one['name']}'" for one in step["operators"]),
            ))
        return rows


class Explanation(Result):
    """What a runtime makes of a model, operator by operator."""

    target: str
    """The runtime."""
    release: Optional[str] = None
    """Its release, where it has releases."""
    planned_with: Optional[str] = None
    """Of a float model: "observed" ranges, or "assumed" ones; None of a quantized one."""
    totals: dict[str, int]
    """The model in a few numbers."""
    operators: list[dict[str, Any]]
    """Every operator: its verdict, the kernel that does its work, and why."""

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("operator", "type", "verdict", "runs as", "why")]
        rows.extend(
            (one["name"], one["op_type"], one["verdict"], one["runs_as"], one["why"])
            for one in self.operators if one["verdict"] != "other"
        )
        return rows


class Comparison(Result):
    """How far a quantized model is off, where, and since when."""

    samples: int
    """How many samples both models were run with."""
    outputs: list[dict[str, Any]]
    """The error of every output."""
    values: list[dict[str, Any]]
    """The error of every value that both models have, in the order of the graph."""
    first_wrong: dict[str, Any]
    """Where it begins."""

    def __init__(self, native: Any) -> None:
        super().__init__(native.json(), native.text())
        self._native = native

    def to_json(self) -> str:
        """All of it as JSON."""
        text: str = self._native.json()
        return text

    def to_html(self, title: str = "Comparison") -> str:
        """All of it as a page for a browser, with plots."""
        page: str = self._native.html(title)
        return page

    def _rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("value", "operator", "SQNR in dB")]
        rows.extend(
            (one["name"], one["operator"], f"{one['written']['sqnr_db']:.1f}") for one in self.values
        )
        return rows


class Inspection(Result):
    """What is in a model: versions, inputs and outputs, operators, constants, and what it takes to run."""

    ir_version: int
    """The version of the format."""
    opsets: dict[str, int]
    """The version of each operator set."""
    inputs: list[dict[str, Any]]
    """The inputs, with their types."""
    outputs: list[dict[str, Any]]
    """The outputs, with their types."""
    operators: dict[str, int]
    """How many operators there are of each type."""


class Simplified(Result):
    """What a model was before it was simplified, and is."""

    operators: dict[str, tuple[int, int]]
    """How many operators of each type there were, and are."""
    bytes: tuple[int, int]
    """The bytes of all constants, before and after."""
    model: Any = None
    """The model where no `out` was given."""


class Upgraded(Result):
    """What changed on the way to a newer opset."""

    from_opset: int
    """The opset that it was."""
    to_opset: int
    """The opset that it is."""
    rewritten: dict[str, int]
    """How many operators had to be rewritten, by type."""
    changed: bool
    """Whether anything changed."""
    model: Any = None
    """The model where no `out` was given."""
