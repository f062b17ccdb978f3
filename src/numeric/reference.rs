//! The slow, obvious way to compute everything, and strategies for what to compute: for tests only.
//!
//! Follows the text of the operators over coordinates, and shares with the kernels only the public
//! description of a layout, never its geometry.

use super::{FloatType, Granularity, Layout, QuantParams, QuantizedType, ScaleType, Scheme};
use ndarray::{ArrayD, Dimension, IxDyn};
use proptest::prelude::*;

/// The flat scale index of every element, from the element's coordinates.
pub(super) fn scale_indices(layout: &Layout) -> Vec<usize> {
    let scales = ArrayD::from_shape_fn(IxDyn(layout.scale_shape()), |at| {
        let strides = IxDyn(layout.scale_shape());
        let mut index = 0;
        for (&coordinate, &dim) in at.slice().iter().zip(strides.slice()) {
            index = index * dim + coordinate;
        }
        index
    });
    let of = |at: IxDyn| {
        let mut at = at.slice().to_vec();
        match layout.granularity() {
            Granularity::PerTensor => at.clear(),
            Granularity::PerChannel { axis } => at = vec![at[axis]],
            Granularity::PerBlock { axis, size } => at[axis] /= size,
        }
        scales[IxDyn(&at)]
    };
    ArrayD::from_shape_fn(IxDyn(layout.shape()), of).into_iter().collect()
}

/// The bit pattern of `saturate(round_half_even(x / scale) + zero_point)`, or of the number of a float
/// type that is nearest to `x / scale`, of two the one with an even pattern.
pub(super) fn quantize(x: f32, params: QuantParams, scheme: Scheme) -> u32 {
    let ratio = x / params.scale;
    if scheme.ty.is_float() {
        return nearest(ratio, scheme.ty);
    }
    let below = ratio.floor();
    let rounded = match ratio - below {
        fraction if fraction < 0.5 => below,
        fraction if fraction > 0.5 => below + 1.0,
        _ if below % 2.0 == 0.0 => below,
        _ => below + 1.0,
    };
    let (min, max) = scheme.limits();
    // Saturating, as casts to integers are.
    let quantized = (rounded as i64).saturating_add(params.zero_point.into()).clamp(min.into(), max.into());
    quantized as u32 & ((1 << scheme.ty.bits()) - 1)
}

/// Among all numbers of a float type.
fn nearest(x: f32, ty: QuantizedType) -> u32 {
    let x = f64::from(x.clamp(-ty.largest(), ty.largest()));
    let sign = 1 << (ty.bits() - 1);
    let distance = |bits: u32| (f64::from(ty.decode(bits)) - x.abs()).abs();
    let magnitude = (0..sign)
        .filter(|&bits| ty.decode(bits).is_finite())
        .min_by(|&a, &b| distance(a).total_cmp(&distance(b)).then((a % 2).cmp(&(b % 2))))
        .expect("zero is finite");
    let negative = x.is_sign_negative() && !ty.decode(magnitude | sign).is_nan();
    if negative { magnitude | sign } else { magnitude }
}

/// Bit patterns as bytes: bit by bit, from the lowest on.
pub(super) fn packed(codes: &[u32], ty: QuantizedType) -> Vec<u8> {
    let bits = codes.iter().flat_map(|code| (0..ty.bits()).map(move |bit| code >> bit & 1));
    let bits: Vec<u32> = bits.collect();
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | *bit as u8)).collect()
}

/// The real number that a bit pattern stands for.
pub(super) fn dequantize(code: u32, params: QuantParams, ty: QuantizedType) -> f32 {
    (ty.decode(code) - params.zero_point as f32) * params.scale
}

pub(super) fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Layouts of all granularities over small and long, empty and narrow shapes.
pub(super) fn arb_layout() -> impl Strategy<Value = Layout> {
    let dim = prop_oneof![8 => 1usize..5, 2 => 5usize..20, 1 => Just(0usize)];
    let long = prop_oneof![3 => 1usize..80, 1 => 80usize..600];
    let shape = (prop::collection::vec(dim, 0..3), long, 0usize..3).prop_map(|(mut shape, long, place)| {
        shape.insert(place.min(shape.len()), long);
        shape
    });
    let shape = prop_oneof![12 => shape, 1 => Just(Vec::new()), 1 => Just(vec![2, 5000])];
    (shape, any::<prop::sample::Index>(), 0u8..3, 1usize..40).prop_map(|(shape, axis, kind, size)| {
        let granularity = match kind {
            _ if shape.is_empty() => Granularity::PerTensor,
            0 => Granularity::PerTensor,
            1 => Granularity::PerChannel { axis: axis.index(shape.len()) },
            _ => Granularity::PerBlock { axis: axis.index(shape.len()), size },
        };
        Layout::new(&shape, granularity).expect("the axis exists")
    })
}

/// Finite values for a tensor: all alike, of one magnitude, or of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values {
    seed: u64,
    kind: u8,
}

impl Values {
    /// One value for each element of `layout`.
    pub(super) fn of(self, layout: &Layout) -> Vec<f32> {
        // SplitMix64, as values from a strategy would be slow, and long to print.
        let mut state = self.seed;
        let mut random = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as u32
        };
        let value = |_| match self.kind {
            0 => Some(f32::from_bits(random())).filter(|value| value.is_finite()).unwrap_or(0.0),
            1 => (random() % 509) as f32 * 0.5 - 127.0,  // ties for scale 1
            2 => f32::from_bits(random() % 0x0100_0000), // around the smallest normal
            3 => -3.5,
            _ => (random() as i32 as f32) / 2f32.powi(31),
        };
        (0..layout.elements()).map(value).collect()
    }
}

pub(super) fn arb_values() -> impl Strategy<Value = Values> {
    (any::<u64>(), 0u8..5).prop_map(|(seed, kind)| Values { seed, kind })
}

/// The types, symmetries and types of scales there are.
pub(super) fn arb_scheme() -> impl Strategy<Value = Scheme> {
    let ty = prop::sample::select(&QuantizedType::ALL[..]);
    let scale = prop_oneof![
        4 => Just(ScaleType::Float(FloatType::F32)),
        1 => Just(ScaleType::Float(FloatType::F16)),
        1 => Just(ScaleType::Float(FloatType::BF16)),
        1 => Just(ScaleType::PowerOfTwo),
    ];
    (ty, any::<bool>(), scale).prop_map(|(ty, symmetric, scale)| Scheme { ty, symmetric, scale })
}

/// Runs `f` on a pool of `threads` threads.
pub(super) fn on_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started").install(f)
}

/// `values`, stored as `ty`, and what they are after that.
pub(super) fn store(values: &[f32], ty: FloatType) -> (Vec<u8>, Vec<f32>) {
    match ty {
        FloatType::F32 => (to_bytes(values), values.to_vec()),
        FloatType::F64 => {
            let bytes = values.iter().flat_map(|&v| f64::from(v).to_le_bytes());
            (bytes.collect(), values.to_vec())
        }
        FloatType::BF16 => values
            .iter()
            .map(|value| (value.to_bits() >> 16) as u16)
            .map(|bits| (bits.to_le_bytes(), f32::from_bits(u32::from(bits) << 16)))
            .fold(Default::default(), push),
        // Multiples of 1/16 below 64 are binary16 values: eleven bits, of which the first is implied.
        FloatType::F16 => values
            .iter()
            .map(|value| (value.to_bits() % 1024) as u16)
            .map(|n| ((0x5400 | n).to_le_bytes(), 64.0 + f32::from(n) / 16.0))
            .fold(Default::default(), push),
    }
}

fn push(mut to: (Vec<u8>, Vec<f32>), (bytes, value): ([u8; 2], f32)) -> (Vec<u8>, Vec<f32>) {
    to.0.extend(bytes);
    to.1.push(value);
    to
}
