//! onnxruntime 1.32, CPU provider.

mod integer;

pub use integer::{fails_between_integers, misplaces_axes, propagates};

use crate::numeric::{FloatType, Granularity, QuantizedType};

/// Whether a MatMul, or a Gemm with `alpha` and `beta` 1, nothing transposed and a vector as bias, becomes one
/// MatMulNBits kernel with the DequantizeLinear of its right factor: a matrix `[in, out]` whose
/// DequantizeLinear nothing else reads, as nothing else reads the integers and the scales (not even another
/// DequantizeLinear), and where no DequantizeLinear makes the left factor. Integers of 2, 4 and 8 bits; one
/// scale, or scales along axis 1, or blocks along axis 0 whose size is a power of two of 16 and more. A MatMul in
/// front of the addition of a constant `[1, out]` becomes a Gemm first, whose bias is no vector.
pub fn fuses_matmul(ty: QuantizedType, granularity: Granularity) -> bool {
    let has_kernel = matches!(ty.bits(), 2 | 4 | 8) && !ty.is_float();
    has_kernel
        && match granularity {
            Granularity::PerTensor | Granularity::PerChannel { axis: 1 } => true,
            Granularity::PerBlock { axis: 0, size } => size >= 16 && size.is_power_of_two(),
            Granularity::PerChannel { .. } | Granularity::PerBlock { .. } => false,
        }
}

/// Whether a product computes the same once it is MatMulNBits as it does as written; `columns` are those of
/// its right factor, `float` is the type of what it computes with, `in_body` says whether it is inside of an
/// If, Loop or Scan.
///
/// - With 2 bits only where the columns are a multiple of 4: otherwise the integers are unpacked from the
///   wrong places. (Seen in 1.32; 1.22 does not fuse 2 bits.)
/// - With float16 inside of bodies it is zero, whatever the bits; in the main graph it is zero, too, with
///   `ORT_ENABLE_EXTENDED`, but right with all optimizations. (Seen in 1.32, and in the main graph since
///   1.27; 1.19 and 1.22 do not fuse float16.)
///
/// What must not fuse has a DequantizeLinear whose `axis` is counted from the end: that stays by itself
/// (1.19, 1.22 and 1.32), unless a Transpose stands behind it, even one that moves nothing: then the integers are stored
/// transposed, and the axis is counted from the front, so that scales have to lie along the summed axis. (1.32; blocks
/// are not stored transposed.)
pub fn computes_fused_matmul(ty: QuantizedType, float: FloatType, columns: usize, in_body: bool) -> bool {
    (ty.bits() != 2 || columns.is_multiple_of(4)) && !(float == FloatType::F16 && in_body)
}

/// Whether the integer kernel of a product takes a scale for each column of a weight of this rank. The model is
/// loaded all the same, and fails when it is run. (1.32, MatMulIntegerToFloat; up to 1.31 QLinearMatMul, too.)
/// The left factor is integers too where what [`propagates`] a DequantizeLinear stands between.
pub fn multiplies_per_channel(rank: usize) -> bool {
    rank == 2
}

/// Whether an operator of the CPU provider takes and makes blocks of channels where the convolution before it makes
/// such: it is part of the convolution then, or has a kernel for that layout. (1.32, NCHWc transformer and fused
/// activations.)
pub fn keeps_blocks(op_type: &str) -> bool {
    matches!(
        op_type,
        "Add"
            | "AveragePool"
            | "BatchNormalization"
            | "Clip"
            | "Concat"
            | "GlobalAveragePool"
            | "GlobalMaxPool"
            | "HardSigmoid"
            | "HardSwish"
            | "LeakyRelu"
            | "MaxPool"
            | "Mul"
            | "Relu"
            | "Resize"
            | "Sigmoid"
            | "Sum"
            | "Tanh"
    )
}

/// Whether an operator computes the same with channels last: the Transposes around integer convolutions travel through
/// it, and meet others where they are taken away. (1.32, transpose optimizer.)
pub fn takes_any_layout(op_type: &str) -> bool {
    matches!(
        op_type,
        "Abs"
            | "Add"
            | "Clip"
            | "Concat"
            | "Div"
            | "Elu"
            | "Erf"
            | "Exp"
            | "GlobalAveragePool"
            | "HardSigmoid"
            | "HardSwish"
            | "LeakyRelu"
            | "MaxPool"
            | "Mul"
            | "Pow"
            | "Relu"
            | "Sigmoid"
            | "Softplus"
            | "Split"
            | "Sqrt"
            | "Sub"
            | "Sum"
            | "Tanh"
    )
}
