//! Tensors: a message without its bytes, and where the bytes are.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};

use super::{
    dtype::{DataType, element_bits},
    element::Element,
    rope::Rope,
};
use crate::{
    error::{Error, Result},
    proto::{TensorProto, tensor_proto::DataLocation},
};

/// A tensor: name, element type, shape, and its elements' bytes or the means to get them.
///
/// The message is kept as a shell: whatever the schema has (doc string, metadata) stays with it.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub(crate) shell: TensorProto,
    pub(crate) data: Contents,
}

/// Where a tensor's bytes are.
#[derive(Clone)]
pub(crate) enum Contents {
    /// In the message: `raw_data`, or one of the typed fields.
    Stored,
    /// In a file beside the model, mapped.
    External(Bytes),
    /// Nowhere yet: they are computed when they are written.
    Computed(Arc<dyn Compute>),
}

/// Bytes that are computed when they are needed, so that a quantized model never lies in memory as
/// a whole.
pub trait Compute: Send + Sync {
    /// How many bytes there are.
    fn byte_len(&self) -> usize;

    /// Computes the bytes `span`, which lies within `0..byte_len()`, into `out` of the same length.
    /// The same span gives the same bytes, from any thread.
    fn compute(&self, span: Range<usize>, out: &mut [u8]);

    /// The half floats that these bytes have as float32, if that is all there is to compute.
    fn half_floats(&self) -> Option<&Tensor> {
        None
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stored => "Stored",
            Self::External(_) => "External",
            Self::Computed(_) => "Computed",
        })
    }
}

impl Tensor {
    /// A tensor of `dtype` and `shape` with its elements' bytes, row-major and little-endian.
    ///
    /// # Errors
    /// The number of bytes is not what type and shape require.
    ///
    /// ```
    /// use onnx_quant::ir::{DataType, Tensor};
    /// let scale = Tensor::from_bytes("scale", DataType::Float, &[], 0.5f32.to_le_bytes().to_vec())?;
    /// assert_eq!(scale.to_array::<f32>()?[[]], 0.5);
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn from_bytes(name: &str, dtype: DataType, shape: &[usize], bytes: Vec<u8>) -> Result<Self> {
        let mut shell = shell(name, dtype, shape);
        shell.raw_data = Some(bytes.into());
        Self::new(shell, None)
    }

    /// A tensor with the elements of an array, of any shape and of each of the [element types](Element).
    ///
    /// ```
    /// use ndarray::{arr2, array};
    /// use onnx_quant::ir::Tensor;
    /// let tensor = Tensor::from_array("x", &arr2(&[[1i64, 2], [3, 4]]));
    /// assert_eq!(tensor.to_array::<i64>()?, array![[1, 2], [3, 4]].into_dyn());
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn from_array<T: Element, S: Data<Elem = T>, D: Dimension>(name: &str, array: &ArrayBase<S, D>) -> Self {
        let mut bytes = Vec::with_capacity(array.len() * size_of::<T>());
        array.iter().for_each(|element| element.push(&mut bytes));
        let mut shell = shell(name, T::DTYPE, array.shape());
        shell.raw_data = Some(bytes.into());
        Self { shell, data: Contents::Stored }
    }

    /// A tensor whose bytes are computed when they are written.
    pub fn computed(name: &str, dtype: DataType, shape: &[usize], data: Arc<dyn Compute>) -> Self {
        Self { shell: shell(name, dtype, shape), data: Contents::Computed(data) }
    }

    /// A tensor that stands for this one, with the same doc string and metadata, whose bytes are
    /// computed when they are written.
    pub fn with_data(&self, name: &str, dtype: DataType, shape: &[usize], data: Arc<dyn Compute>) -> Self {
        let mut shell = without_data(&self.shell);
        shell.dims = shape.iter().map(|&dim| dim as i64).collect();
        shell.name = Some(name.to_owned());
        shell.data_type = Some(dtype as i32);
        Self { shell, data: Contents::Computed(data) }
    }

    /// The same elements in another shape, which must have as many.
    pub(crate) fn reshaped(mut self, shape: &[usize]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), self.element_count(), "a shape for these elements");
        self.shell.dims = shape.iter().map(|&dim| dim as i64).collect();
        self
    }

    /// A tensor that stands for this one, of the same name and type and with the same doc string and
    /// metadata, with other elements.
    ///
    /// # Errors
    /// The number of bytes is not what type and shape require.
    pub(crate) fn with_bytes(&self, shape: &[usize], bytes: impl Into<Bytes>) -> Result<Self> {
        let mut shell = without_data(&self.shell);
        shell.dims = shape.iter().map(|&dim| dim as i64).collect();
        shell.raw_data = Some(bytes.into());
        Self::new(shell, None)
    }

    /// The same under another name.
    #[must_use]
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.shell.name = Some(name.to_owned());
        self
    }

    /// A message from a file, with its mapped external data if it has some; sizes are checked.
    pub(crate) fn new(shell: TensorProto, external: Option<Bytes>) -> Result<Self> {
        let data = external.map_or(Contents::Stored, Contents::External);
        let tensor = Self { shell, data };
        tensor.check_size()?;
        Ok(tensor)
    }

    /// The tensor's name; empty for the tensor of an attribute.
    pub fn name(&self) -> &str {
        self.shell.name()
    }

    /// The element type; [`DataType::Undefined`] for types this version does not know.
    pub fn dtype(&self) -> DataType {
        DataType::try_from(self.shell.data_type()).unwrap_or(DataType::Undefined)
    }

    /// The shape. Checked when the tensor was made: no dimension is negative.
    pub fn shape(&self) -> Vec<usize> {
        self.shell.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect()
    }

    /// How many elements there are.
    pub fn element_count(&self) -> usize {
        self.shape().iter().product()
    }

    /// How many bytes the elements take in `raw_data`.
    pub fn byte_len(&self) -> usize {
        element_bits(self.dtype()).map_or(0, |bits| (self.element_count() * bits).div_ceil(8))
    }

    /// Whether all elements are there, not only a segment of them.
    pub(super) fn is_whole(&self) -> bool {
        self.shell.segment.is_none()
    }

    /// Whether the bytes are in a file of their own.
    pub fn is_external(&self) -> bool {
        self.shell.data_location() == DataLocation::External
    }

    /// Whether the bytes are still to be computed.
    pub(crate) fn is_computed(&self) -> bool {
        matches!(self.data, Contents::Computed(_))
    }

    /// The bytes as they go into a file; `None` where elements have no fixed size.
    pub(crate) fn content(&self) -> Option<Rope> {
        let mut content = Rope::default();
        match &self.data {
            Contents::Computed(data) => content.push_computed(data.clone()),
            _ => content.push_bytes(self.bytes().ok()?),
        }
        Some(content)
    }

    /// The same numbers in as few bytes as they are kept in: the half floats of what was widened from
    /// them, anything else as it is.
    pub(crate) fn narrow(&self) -> &Self {
        match &self.data {
            Contents::Computed(data) => data.half_floats().unwrap_or(self),
            Contents::Stored | Contents::External(_) => self,
        }
    }

    /// A copy of the elements' bytes, row-major and little-endian, wherever they are kept.
    ///
    /// # Errors
    /// The type has no such form (strings), or the data cannot be had.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.bytes().map(Vec::from)
    }

    /// The elements' bytes without a copy of `raw_data` and of external data.
    ///
    /// # Errors
    /// The type has no such form (strings), or the data cannot be had.
    pub(crate) fn bytes(&self) -> Result<Bytes> {
        match &self.data {
            Contents::External(bytes) => Ok(bytes.clone()),
            Contents::Computed(data) => {
                let mut bytes = vec![0; data.byte_len()];
                data.compute(0..bytes.len(), &mut bytes);
                Ok(bytes.into())
            }
            Contents::Stored => self.raw_data().map_or_else(|| self.typed_bytes(), |raw| Ok(raw.clone())),
        }
    }

    /// The elements as an array.
    ///
    /// # Errors
    /// The tensor has elements of another type, or its data cannot be had.
    pub fn to_array<T: Element>(&self) -> Result<ArrayD<T>> {
        if self.dtype() != T::DTYPE {
            return Err(self.error(format!("is {:?}, not {:?}", self.dtype(), T::DTYPE)));
        }
        let elements = self.bytes()?.chunks_exact(size_of::<T>()).map(T::read).collect();
        ArrayD::from_shape_vec(IxDyn(&self.shape()), elements).map_err(|error| self.error(error.to_string()))
    }

    /// Some writers add an empty `raw_data` to a tensor with typed fields.
    fn raw_data(&self) -> Option<&Bytes> {
        self.shell.raw_data.as_ref().filter(|raw| !raw.is_empty())
    }

    /// The typed fields hold one element an entry, but for types under a byte: a packed byte.
    fn typed_bytes(&self) -> Result<Bytes> {
        use DataType::*;
        let shell = &self.shell;
        Ok(match self.dtype() {
            Float | Complex64 => shell.float_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Double | Complex128 => shell.double_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Int64 => shell.int64_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Uint64 => shell.uint64_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Uint32 => shell.uint64_data.iter().flat_map(|x| (*x as u32).to_le_bytes()).collect(),
            Int32 => shell.int32_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Int16 | Uint16 | Float16 | Bfloat16 => {
                shell.int32_data.iter().flat_map(|x| (*x as u16).to_le_bytes()).collect()
            }
            String | Undefined => return Err(self.error("has no elements of a fixed size")),
            Float6e2m3 | Float6e3m2 => pack_six_bits(&shell.int32_data),
            _ => shell.int32_data.iter().map(|x| *x as u8).collect(),
        })
    }

    /// How many bytes there really are, or `None` where that cannot be told from outside.
    fn stored_len(&self) -> Option<usize> {
        use DataType::*;
        let shell = &self.shell;
        match &self.data {
            Contents::External(bytes) => return Some(bytes.len()),
            Contents::Computed(data) => return Some(data.byte_len()),
            Contents::Stored => {}
        }
        if let Some(raw) = self.raw_data() {
            return Some(raw.len());
        }
        Some(match self.dtype() {
            Float | Complex64 => shell.float_data.len() * 4,
            Double | Complex128 => shell.double_data.len() * 8,
            Int64 => shell.int64_data.len() * 8,
            Uint64 => shell.uint64_data.len() * 8,
            Uint32 => shell.uint64_data.len() * 4,
            Int32 => shell.int32_data.len() * 4,
            Int16 | Uint16 | Float16 | Bfloat16 => shell.int32_data.len() * 2,
            Float6e2m3 | Float6e3m2 => (shell.int32_data.len() * 6).div_ceil(8),
            String | Undefined => return None,
            _ => shell.int32_data.len(),
        })
    }

    fn check_size(&self) -> Result<()> {
        // Sizes of zero do not make up for the others: these are multiplied alone somewhere else.
        let mut elements = Some(1usize);
        let mut empty = false;
        for &dim in &self.shell.dims {
            let dim = usize::try_from(dim)
                .map_err(|_| self.error(format!("shape {} has a negative dimension", self.shape_text())))?;
            empty |= dim == 0;
            elements = elements.and_then(|count| count.checked_mul(dim.max(1)));
        }
        let dims = self.shape_text();
        let too_large = || self.error(format!("shape {dims} has more elements than can be addressed"));
        let elements = elements.ok_or_else(too_large)?;
        let Some(bits) = element_bits(self.dtype()) else { return Ok(()) };
        let bits = elements.checked_mul(bits).ok_or_else(too_large)?;
        let needed = if empty { 0 } else { bits.div_ceil(8) };
        match self.stored_len().filter(|_| self.shell.segment.is_none()) {
            Some(stored) if stored != needed => {
                Err(self
                    .error(format!("{:?} of shape {dims} takes {needed} bytes, but there are {stored}", self.dtype())))
            }
            _ => Ok(()),
        }
    }

    /// The shape for messages: a broken file may claim a million dimensions.
    fn shape_text(&self) -> String {
        const SHOWN: usize = 8;
        let dims = &self.shell.dims;
        match dims.get(..SHOWN).filter(|_| dims.len() > SHOWN) {
            Some(first) => format!("{first:?} and {} more", dims.len() - SHOWN),
            None => format!("{dims:?}"),
        }
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        Error::tensor(self.name(), reason)
    }
}

/// Six-bit elements packed one after the other from the low bits up, as in `raw_data`.
fn pack_six_bits(elements: &[i32]) -> Bytes {
    let mut bytes = vec![0u8; (elements.len() * 6).div_ceil(8)];
    for (index, element) in elements.iter().enumerate() {
        let shifted = ((*element as u16) & 0x3f) << (index * 6 % 8);
        bytes[index * 6 / 8] |= shifted as u8;
        if shifted > 0xff {
            bytes[index * 6 / 8 + 1] |= (shifted >> 8) as u8;
        }
    }
    bytes.into()
}

fn shell(name: &str, dtype: DataType, shape: &[usize]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(dtype as i32),
        dims: shape.iter().map(|&dim| dim as i64).collect(),
        ..TensorProto::default()
    }
}

/// A tensor's message without its elements and without a word of where they are.
pub(super) fn without_data(shell: &TensorProto) -> TensorProto {
    TensorProto {
        raw_data: None,
        float_data: Vec::new(),
        int32_data: Vec::new(),
        int64_data: Vec::new(),
        double_data: Vec::new(),
        uint64_data: Vec::new(),
        external_data: Vec::new(),
        data_location: None,
        ..shell.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_cannot_be_addressed_is_refused() {
        for dtype in [DataType::Float, DataType::String] {
            let shell = TensorProto { dims: vec![1 << 40, 1 << 40], ..shell("w", dtype, &[]) };
            let error = Tensor::new(shell, None).expect_err("it has 2^80 elements");
            assert!(error.to_string().contains("more elements than can be addressed"), "{error}");
        }
    }
}
