//! Samples that are in memory already.

use super::{Sample, inputs::Inputs};
use crate::{
    error::Result,
    ir::{Model, Tensor},
};

/// Samples from anywhere, checked and converted to what a model takes as [those of files](super) are, one at a time.
///
/// ```
/// use onnx_quant::{Model, calibration::{Sample, samples::InMemory}, ir::{DataType, Tensor}};
/// let model = Model::load("testdata/kws_dscnn.onnx")?;
/// let doubles = Tensor::from_bytes("logmel", DataType::Double, &[1, 62, 40], vec![0; 62 * 40 * 8])?;
/// let given = [Ok(Sample::new("zeros", vec![doubles]))];
/// let fitted = InMemory::new(&model, given.into_iter())?.next().unwrap()?;
/// assert_eq!(fitted.inputs[0].dtype(), DataType::Float);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug)]
pub struct InMemory<I> {
    inputs: Inputs,
    samples: I,
    /// How many were taken.
    taken: usize,
}

impl<I: Iterator<Item = Result<Sample>>> InMemory<I> {
    /// These samples for a model. They are pulled when their turn comes.
    ///
    /// # Errors
    /// The model has inputs that are no numeric tensors, or none at all.
    pub fn new(model: &Model, samples: I) -> Result<Self> {
        Ok(Self { inputs: Inputs::of(model)?, samples, taken: 0 })
    }

    fn fitted(&self, sample: Sample) -> Result<Sample> {
        let fit = |tensor: Tensor| {
            let input = self.inputs.find(tensor.name())?;
            let (dtype, shape) = (tensor.dtype(), tensor.shape());
            input.check(dtype, &shape)?;
            input.tensor(dtype, &shape, tensor.bytes()?.to_vec())
        };
        let tensors = sample.inputs.into_iter().map(fit).collect::<Result<Vec<_>>>();
        let inputs = tensors
            .and_then(|tensors| self.inputs.complete(tensors))
            .map_err(|error| error.of_sample_part(format_args!("sample {} ({}):", self.taken, sample.origin)))?;
        Ok(Sample { inputs, ..sample })
    }
}

impl<I: Iterator<Item = Result<Sample>>> Iterator for InMemory<I> {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        let sample = self.samples.next()?;
        self.taken += 1;
        Some(sample.and_then(|sample| self.fitted(sample)))
    }
}
