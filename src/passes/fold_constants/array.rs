//! Arrays of the element types that constants are computed in.

use half::f16;
use ndarray::{ArrayD, IxDyn};

use crate::ir::{DataType, Tensor};

/// An array of one of the types that shapes, masks and weights have, quantized ones too.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Array {
    Bool(ArrayD<bool>),
    I8(ArrayD<i8>),
    U8(ArrayD<u8>),
    I32(ArrayD<i32>),
    I64(ArrayD<i64>),
    F16(ArrayD<f16>),
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
}

/// One expression for the elements of any type.
macro_rules! each {
    ($array:expr, $elements:ident => $result:expr) => {
        match $array {
            Array::Bool($elements) => $result,
            Array::I8($elements) => $result,
            Array::U8($elements) => $result,
            Array::I32($elements) => $result,
            Array::I64($elements) => $result,
            Array::F16($elements) => $result,
            Array::F32($elements) => $result,
            Array::F64($elements) => $result,
        }
    };
}

/// The same, where the result is an array of the same type, or none.
macro_rules! each_same {
    ($array:expr, $elements:ident => $result:expr) => {
        match $array {
            Array::Bool($elements) => Some(Array::Bool($result)),
            Array::I8($elements) => Some(Array::I8($result)),
            Array::U8($elements) => Some(Array::U8($result)),
            Array::I32($elements) => Some(Array::I32($result)),
            Array::I64($elements) => Some(Array::I64($result)),
            Array::F16($elements) => Some(Array::F16($result)),
            Array::F32($elements) => Some(Array::F32($result)),
            Array::F64($elements) => Some(Array::F64($result)),
        }
    };
}

pub(super) use each_same;

impl Array {
    /// The elements of a tensor; `None` for other types.
    pub fn of(tensor: &Tensor) -> Option<Self> {
        fn read<T, const N: usize>(bytes: &[u8], shape: &[usize], element: impl Fn([u8; N]) -> T) -> Option<ArrayD<T>> {
            let elements = bytes.as_chunks().0.iter().map(|&chunk| element(chunk)).collect();
            ArrayD::from_shape_vec(IxDyn(shape), elements).ok()
        }
        let (bytes, shape) = (tensor.bytes().ok()?, tensor.shape());
        Some(match tensor.dtype() {
            DataType::Bool => Self::Bool(read(&bytes, &shape, |[byte]| byte != 0)?),
            DataType::Int8 => Self::I8(read(&bytes, &shape, i8::from_le_bytes)?),
            DataType::Uint8 => Self::U8(read(&bytes, &shape, u8::from_le_bytes)?),
            DataType::Int32 => Self::I32(read(&bytes, &shape, i32::from_le_bytes)?),
            DataType::Int64 => Self::I64(read(&bytes, &shape, i64::from_le_bytes)?),
            DataType::Float16 => Self::F16(read(&bytes, &shape, f16::from_le_bytes)?),
            DataType::Float => Self::F32(read(&bytes, &shape, f32::from_le_bytes)?),
            DataType::Double => Self::F64(read(&bytes, &shape, f64::from_le_bytes)?),
            _ => return None,
        })
    }

    /// A list of integers.
    pub fn list(integers: impl IntoIterator<Item = i64>) -> Self {
        Self::I64(integers.into_iter().collect::<ndarray::Array1<i64>>().into_dyn())
    }

    /// A tensor of these elements.
    pub fn tensor(&self) -> Option<Tensor> {
        let bytes: Vec<u8> = match self {
            Self::Bool(elements) => elements.iter().map(|&element| u8::from(element)).collect(),
            Self::I8(elements) => elements.iter().flat_map(|element| element.to_le_bytes()).collect(),
            Self::U8(elements) => elements.iter().copied().collect(),
            Self::I32(elements) => elements.iter().flat_map(|element| element.to_le_bytes()).collect(),
            Self::I64(elements) => elements.iter().flat_map(|element| element.to_le_bytes()).collect(),
            Self::F16(elements) => elements.iter().flat_map(|element| element.to_le_bytes()).collect(),
            Self::F32(elements) => elements.iter().flat_map(|element| element.to_le_bytes()).collect(),
            Self::F64(elements) => elements.iter().flat_map(|element| element.to_le_bytes()).collect(),
        };
        Tensor::from_bytes("", self.dtype(), &self.shape(), bytes).ok()
    }

    pub fn dtype(&self) -> DataType {
        match self {
            Self::Bool(_) => DataType::Bool,
            Self::I8(_) => DataType::Int8,
            Self::U8(_) => DataType::Uint8,
            Self::I32(_) => DataType::Int32,
            Self::I64(_) => DataType::Int64,
            Self::F16(_) => DataType::Float16,
            Self::F32(_) => DataType::Float,
            Self::F64(_) => DataType::Double,
        }
    }

    pub fn shape(&self) -> Vec<usize> {
        each!(self, elements => elements.shape().to_vec())
    }

    pub fn rank(&self) -> usize {
        each!(self, elements => elements.ndim())
    }

    /// The bytes of an element.
    pub fn element_size(&self) -> usize {
        match self {
            Self::Bool(_) | Self::I8(_) | Self::U8(_) => 1,
            Self::F16(_) => 2,
            Self::I32(_) | Self::F32(_) => 4,
            Self::I64(_) | Self::F64(_) => 8,
        }
    }

    /// The elements of a list of integers, or of one.
    pub fn integers(&self) -> Option<Vec<i64>> {
        match self {
            Self::I64(elements) => Some(elements.iter().copied().collect()),
            Self::I32(elements) => Some(elements.iter().map(|&element| element.into()).collect()),
            _ => None,
        }
    }

    /// The array converted as Cast does; `None` for other types, and for what ONNX leaves open: floats
    /// beyond the range of an integer type.
    pub fn cast(&self, to: DataType) -> Option<Self> {
        if self.dtype() == to {
            return Some(self.clone());
        }
        // As integers or floats of 64 bits every value of these types is what it is.
        let integers = match self {
            Self::Bool(elements) => Some(elements.mapv(i64::from)),
            Self::I32(elements) => Some(elements.mapv(i64::from)),
            Self::I64(elements) => Some(elements.clone()),
            _ => None,
        };
        if let Some(integers) = integers {
            return Some(match to {
                DataType::Bool => Self::Bool(integers.mapv(|integer| integer != 0)),
                DataType::Int32 => Self::I32(integers.mapv(|integer| integer as i32)),
                DataType::Int64 => Self::I64(integers),
                // By way of binary32, as runtimes do.
                DataType::Float16 => Self::F16(integers.mapv(|integer| f16::from_f32(integer as f32))),
                DataType::Float => Self::F32(integers.mapv(|integer| integer as f32)),
                DataType::Double => Self::F64(integers.mapv(|integer| integer as f64)),
                _ => return None,
            });
        }
        let floats = match self {
            Self::F16(elements) => elements.mapv(f16::to_f64),
            Self::F32(elements) => elements.mapv(f64::from),
            Self::F64(elements) => elements.clone(),
            _ => return None,
        };
        // The next integer beyond the largest is a power of two, which every float type has exactly.
        let within = |limit: f64| floats.iter().all(|float| float.trunc() >= -limit && float.trunc() < limit);
        Some(match to {
            DataType::Bool => Self::Bool(floats.mapv(|float| float != 0.0)),
            DataType::Int32 if within(-f64::from(i32::MIN)) => Self::I32(floats.mapv(|float| float as i32)),
            DataType::Int64 if within(-(i64::MIN as f64)) => Self::I64(floats.mapv(|float| float as i64)),
            DataType::Float16 => Self::F16(floats.mapv(|float| f16::from_f32(float as f32))),
            DataType::Float => Self::F32(floats.mapv(|float| float as f32)),
            DataType::Double => Self::F64(floats),
            _ => return None,
        })
    }
}
