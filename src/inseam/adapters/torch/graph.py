"""A network as data: steps in order, each an operator's name with arguments, written as JSON beside its weights."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from inseam.adapters.torch.operators import CHECKS, operator_named
from inseam.kernel.errors import UnsafeArtifactError

Step = tuple[str, Callable[..., Any], list[Any], dict[str, Any]]
_DTYPES = {
    str(one).removeprefix("torch."): one
    for one in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.bool)
}
_LAYOUT_ONLY = ("device", "layout", "pin_memory", "implicit")


def trace(subject: str, module: torch.nn.Module, example: torch.Tensor) -> tuple[str, dict[str, torch.Tensor]]:
    """The module's computation as JSON text, and its weights by name; the number of rows is left open.

    `UnsafeArtifactError` when the module cannot be traced whole, or uses an operator off the list.
    """
    rows = torch.export.Dim("rows", min=1, max=1 << 31)
    was_training = module.training
    module.eval()
    try:
        with warnings.catch_warnings(), _silent(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(module, (example,), dynamic_shapes=({0: rows},)).run_decompositions({})
    except Exception as error:
        raise UnsafeArtifactError(
            subject,
            f"it cannot be traced into plain operators: {str(error).splitlines()[0]}",
            expected="a forward that takes one float32 matrix of any number of rows and does not branch on values",
            mend="replace `if` on tensors by torch.where, and fixed batch sizes by x.shape[0]",
        ) from error
    finally:
        module.train(was_training)
    return _described(subject, program)


@contextmanager
def _silent() -> Iterator[None]:
    """Without what the tracer logs of its troubles: the one that matters is raised, and told."""
    log = logging.getLogger("torch")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


def _described(subject: str, program: Any) -> tuple[str, dict[str, torch.Tensor]]:
    held = {**program.state_dict, **program.constants}
    weights = {
        spec.arg.name: held[spec.target].detach().cpu().contiguous().clone()
        for spec in program.graph_signature.input_specs
        if spec.target is not None
    }
    steps, unknown = [], set()
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        name = _operator_name(node.target)
        if name in CHECKS:
            continue
        if operator_named(name) is None:
            unknown.add(name)
            continue
        kwargs = {key: _written(value) for key, value in node.kwargs.items() if key not in _LAYOUT_ONLY}
        steps.append({"to": node.name, "op": name, "args": [_written(value) for value in node.args], "kwargs": kwargs})
    if unknown:
        raise UnsafeArtifactError(
            subject,
            f"it uses operators that are not on the loader's list: {', '.join(sorted(unknown))}",
            expected="arithmetic, normalisation, activations, attention and reshaping of tensors",
            mend="express that part by such operators, or fit another kind of model",
        )
    source = next(spec.arg.name for spec in program.graph_signature.input_specs if spec.target is None)
    (result,) = (spec.arg.name for spec in program.graph_signature.output_specs)
    used = json.dumps(steps)
    kept = {name: tensor for name, tensor in weights.items() if f'"{name}"' in used}
    text = json.dumps({"input": source, "output": result, "steps": steps}, indent=1)
    return text, kept


class Network:
    """A loaded graph. Threads may share it: each call has its own values."""

    def __init__(self, text: str, weights: Mapping[str, torch.Tensor]) -> None:
        graph = json.loads(text)
        self._source, self._result = str(graph["input"]), str(graph["output"])
        self._weights = dict(weights)
        self._steps = [_step(step) for step in graph["steps"]]

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        values: dict[str, Any] = {**self._weights, self._source: rows}
        for name, operator, args, kwargs in self._steps:
            given = [_filled(value, values) for value in args]
            values[name] = operator(*given, **{key: _filled(value, values) for key, value in kwargs.items()})
        result: torch.Tensor = values[self._result]
        return result


class _Value(str):
    """The name of an earlier step's result, told apart from a plain text."""

    __slots__ = ()


def _step(written: Mapping[str, Any]) -> Step:
    operator = operator_named(written["op"])
    if operator is None:
        raise UnsafeArtifactError("PyTorch network", f"the operator {written['op']!r} is not on the loader's list")
    kwargs = {key: _read(value) for key, value in written["kwargs"].items()}
    return written["to"], operator, [_read(value) for value in written["args"]], kwargs


def _operator_name(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        return str(target).removeprefix("aten.")
    return str(getattr(target, "__name__", target))


def _written(value: Any) -> Any:
    if isinstance(value, torch.fx.Node):
        return {"value": value.name}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.memory_format):
        return {"memory_format": "contiguous"}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UnsafeArtifactError("PyTorch network", f"an argument of type {type(value).__name__} cannot be written")


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    if kind == "value":
        return _Value(text)
    if kind == "dtype":
        return _DTYPES[text]
    return torch.contiguous_format if kind == "memory_format" else float(text)


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if type(value) is _Value:
        return values[value]
    return [_filled(item, values) for item in value] if type(value) is list else value
