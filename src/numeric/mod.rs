//! Quantization arithmetic, without graph or file.
//!
//! Knows bytes, shapes and numbers, and nothing else of this crate. A tensor comes as its
//! little-endian bytes, a [`FloatType`] and a [`Layout`], the shape with the [`Granularity`] of its
//! scales. From there:
//!
//! ```text
//! parameters ──▶ quantize   ──▶ dequantize
//!            └─▶ distortion
//! ```
//!
//! [`parameters`] finds scales and zero points, from the [`ranges`] of the groups or by a search for the
//! least squared error; a [`Scheme`] says of what type the quantized values are and of what their
//! scales.
//!
//! Everything here gives the same bits on every processor and at every thread count: work is cut
//! where the tensor says, not where the threads are, and partial results are combined in order.
//!
//! ```
//! use onnx_quant::numeric::{
//!     FloatType, Granularity, Layout, QuantizedType, ScaleMethod, ScaleType, Scheme, dequantize, parameters, quantize,
//! };
//!
//! let weight: Vec<u8> = [1.0f32, -2.0, 0.5, 8.0].iter().flat_map(|v| v.to_le_bytes()).collect();
//! let layout = Layout::new(&[2, 2], Granularity::PerChannel { axis: 0 })?;
//! let scheme = Scheme { ty: QuantizedType::Int8, symmetric: true, scale: ScaleType::default() };
//!
//! let params = parameters(&weight, FloatType::F32, &layout, scheme, ScaleMethod::MinMax)?;
//! let mut quantized = [0; 4];
//! quantize(&weight, FloatType::F32, &layout, &params, scheme, 0..4, &mut quantized);
//! assert_eq!(quantized.map(|q| q as i8), [64, -127, 8, 127]);
//! assert_eq!(dequantize(&quantized, &layout, &params, scheme.ty)[[1, 1]], 8.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod candidates;
mod compensation;
mod dequantize;
mod distortion;
mod float;
mod layout;
mod packing;
mod parameters;
mod quantize;
mod range;
#[cfg(test)]
mod reference;
mod rounding;
mod scale;
mod scheme;
mod search;
mod small_float;
mod squares;
mod strips;
mod tiles;
mod types;

pub use compensation::{Compensation, Matrix, Moments};
pub use dequantize::dequantize;
pub use distortion::{Distortion, distortion};
pub use float::FloatType;
pub use layout::{Granularity, Layout, LayoutError};
pub use parameters::{ScaleMethod, parameters};
pub use quantize::quantize;
pub use range::{NonFinite, Range, ranges};
pub use scale::{ScaleType, decode_e8m0, encode_e8m0};
pub use scheme::{QuantParams, SCALE_OF_NOTHING, Scheme};
pub use types::QuantizedType;
