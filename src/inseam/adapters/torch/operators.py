"""The closed set of operators that a saved network may consist of: arithmetic on tensors, and nothing else."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

INTEGERS: dict[str, Callable[..., Any]] = {
    "getitem": operator.getitem,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
}
"""What is done with sizes and with operators that give several results."""

_NAMES = (
    # weights against values
    "linear.default addmm.default mm.default bmm.default matmul.default embedding.default einsum.default "
    "conv1d.default convolution.default scaled_dot_product_attention.default "
    # normalisation
    "_native_batch_norm_legit_no_training.default batch_norm.default layer_norm.default native_layer_norm.default "
    "group_norm.default native_group_norm.default rms_norm.default "
    # activations
    "relu.default gelu.default silu.default elu.default selu.default celu.default leaky_relu.default prelu.default "
    "hardtanh.default hardsigmoid.default hardswish.default softplus.default mish.default log_sigmoid.default "
    "sigmoid.default tanh.default softmax.int _softmax.default log_softmax.int _log_softmax.default glu.default "
    # arithmetic
    "add.Tensor add.Scalar sub.Tensor sub.Scalar rsub.Scalar mul.Tensor mul.Scalar div.Tensor div.Scalar "
    "div.Tensor_mode neg.default abs.default sign.default exp.default expm1.default log.default log1p.default "
    "log2.default sqrt.default rsqrt.default square.default reciprocal.default pow.Tensor_Scalar pow.Tensor_Tensor "
    "pow.Scalar sin.default cos.default erf.default floor.default ceil.default round.default trunc.default "
    "clamp.default clamp.Tensor clamp_min.default clamp_max.default maximum.default minimum.default "
    "remainder.Scalar fmod.Scalar nan_to_num.default "
    # comparison and choice
    "gt.Scalar gt.Tensor ge.Scalar ge.Tensor lt.Scalar lt.Tensor le.Scalar le.Tensor eq.Scalar eq.Tensor ne.Scalar "
    "ne.Tensor logical_and.default logical_or.default logical_not.default bitwise_and.Tensor bitwise_or.Tensor "
    "bitwise_not.default where.self where.ScalarOther where.ScalarSelf where.Scalar masked_fill.Scalar isnan.default "
    "isinf.default isfinite.default "
    # reduction
    "sum.default sum.dim_IntList mean.default mean.dim amax.default amin.default max.dim min.dim any.dim all.dim "
    "prod.dim_int cumsum.default var.correction std.correction linalg_vector_norm.default argmax.default "
    # shape
    "view.default reshape.default _unsafe_view.default flatten.using_ints squeeze.dim squeeze.dims unsqueeze.default "
    "transpose.int permute.default t.default expand.default repeat.default cat.default stack.default split.Tensor "
    "split_with_sizes.default chunk.default unbind.int select.int slice.Tensor index.Tensor index_select.default "
    "gather.default narrow.default one_hot.default constant_pad_nd.default clone.default alias.default "
    "contiguous.default sym_size.int "
    # type and constants
    "_to_copy.default to.dtype type_as.default full.default full_like.default zeros.default zeros_like.default "
    "ones.default ones_like.default arange.default arange.start scalar_tensor.default"
)
TENSORS = frozenset(_NAMES.split())
"""Names in `torch.ops.aten`. None of them reads a file, calls Python or writes into its inputs."""

CHECKS = frozenset({"_assert_tensor_metadata.default", "_assert_scalar.default", "_assert_async.msg"})
"""Export adds these to look at its own work; they are left out."""


def operator_named(name: str) -> Callable[..., Any] | None:
    """The operator, or None when it is off the list."""
    import torch

    if name in INTEGERS:
        return INTEGERS[name]
    if name not in TENSORS:
        return None
    packet, _, overload = name.partition(".")
    found: Callable[..., Any] = getattr(getattr(torch.ops.aten, packet), overload)
    return found
