//! What a file states of a tensor without its elements: element type and dimensions.

use std::fmt;

use super::{DataType, Interface, Model, ValueId, type_name};
use crate::proto::{ValueInfoProto, tensor_shape_proto::dimension, type_proto};

/// The type of a value that is a tensor, as far as the file states it.
///
/// ```
/// use onnx_quant::Model;
/// let model = Model::load("testdata/ppocr_cls.onnx")?;
/// let input = &model.scope(Model::MAIN).inputs()[0];
/// let ty = input.tensor_type().expect("it is a tensor");
/// assert_eq!(ty.to_string(), "float[?,3,?,?]");
/// assert!(ty.admits(&[1, 3, 48, 192]) && !ty.admits(&[3, 48, 192]));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TensorType {
    /// The type of the elements; `None` if it is not stated or not known to this version.
    pub dtype: Option<DataType>,
    /// The dimensions; `None` if not even their number is stated.
    pub dims: Option<Vec<Dim>>,
}

/// One dimension of a [`TensorType`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always of this size.
    Fixed(usize),
    /// Of a size that has a name.
    Symbol(String),
    /// Of any size.
    Unstated,
}

impl Dim {
    /// The size, if it is always the same.
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::Fixed(size) => Some(*size),
            Self::Symbol(_) | Self::Unstated => None,
        }
    }
}

impl TensorType {
    /// The type that is stated for a value; `None` if the value is no tensor. Where nothing is stated,
    /// nothing is known.
    pub(crate) fn stated(info: &ValueInfoProto) -> Option<Self> {
        let Some(value) = info.r#type.as_ref().and_then(|ty| ty.value.as_ref()) else { return Some(Self::default()) };
        let type_proto::Value::TensorType(tensor) = value else { return None };
        let dtype = DataType::try_from(tensor.elem_type()).ok().filter(|&dtype| dtype != DataType::Undefined);
        let dim = |value: &Option<dimension::Value>| match value {
            // Some exporters write -1 for a size that they do not know.
            Some(dimension::Value::DimValue(size)) => usize::try_from(*size).map_or(Dim::Unstated, Dim::Fixed),
            Some(dimension::Value::DimParam(symbol)) if !symbol.is_empty() => Dim::Symbol(symbol.clone()),
            _ => Dim::Unstated,
        };
        let dims = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(|it| dim(&it.value)).collect());
        Some(Self { dtype, dims })
    }

    /// The number of dimensions.
    pub fn rank(&self) -> Option<usize> {
        self.dims.as_ref().map(Vec::len)
    }

    /// Whether a tensor of this shape can have this type: sizes that are not fixed may be any.
    pub fn admits(&self, shape: &[usize]) -> bool {
        self.dims.as_ref().is_none_or(|dims| {
            dims.len() == shape.len()
                && dims.iter().zip(shape).all(|(dim, size)| dim.size().is_none_or(|fixed| fixed == *size))
        })
    }
}

impl fmt::Display for TensorType {
    /// As in the ONNX textual syntax, `float[1,N,?]`; `float[...]` if the rank is not stated.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dtype.map_or("tensor", type_name))?;
        match self.dims.as_deref() {
            None => f.write_str("[...]"),
            Some([]) => Ok(()),
            Some(dims) => {
                for (index, dim) in dims.iter().enumerate() {
                    write!(f, "{}{dim}", if index == 0 { '[' } else { ',' })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Symbol(symbol) => f.write_str(symbol),
            Self::Unstated => f.write_str("?"),
        }
    }
}

impl Interface {
    /// The type that the file states; `None` if the value is no tensor (a sequence, an optional, a
    /// map). Functions state nothing.
    pub fn tensor_type(&self) -> Option<TensorType> {
        self.info.as_ref().map_or_else(|| Some(TensorType::default()), TensorType::stated)
    }
}

impl Model {
    /// Whether an input has a value where the caller gives none: an initializer, dense or sparse.
    pub fn has_default(&self, input: ValueId) -> bool {
        let value = self.value(input);
        value.initializer().is_some() || self.scope(value.scope()).sparse_names().any(|name| name == value.name())
    }
}
