//! The model's inputs, and whether what a sample gives them fits.

use super::convert;
use crate::{
    error::{Error, Result},
    ir::{DataType, Dim, Model, Tensor, TensorType},
};

/// The inputs of a model's main graph, in order; each is a tensor of numbers.
#[derive(Debug)]
pub(super) struct Inputs(Vec<Input>);

/// One input.
#[derive(Debug, Clone)]
pub(super) struct Input {
    name: String,
    ty: TensorType,
    has_default: bool,
}

/// What one sample of an array of many is.
#[derive(Debug, PartialEq)]
pub(super) struct Slice {
    /// How many samples there are.
    pub count: usize,
    pub shape: Vec<usize>,
}

impl Inputs {
    /// The inputs of a model.
    ///
    /// # Errors
    /// There are none, or one must be given that is no tensor of numbers.
    pub fn of(model: &Model) -> Result<Self> {
        let mut inputs = Vec::new();
        for interface in model.scope(Model::MAIN).inputs() {
            let name = model.value(interface.value).name().to_owned();
            let ty = interface.tensor_type().ok_or_else(|| {
                Error::sample(format!("input '{name}' of the model is no tensor, but samples can only hold tensors"))
            })?;
            if matches!(ty.dtype, Some(DataType::String)) {
                return Err(Error::sample(format!(
                    "input '{name}' of the model is {ty}; samples can only hold numbers"
                )));
            }
            inputs.push(Input { name, ty, has_default: model.has_default(interface.value) });
        }
        if inputs.is_empty() {
            return Err(Error::sample("the model has no inputs that a sample could give"));
        }
        Ok(Self(inputs))
    }

    /// The input of a name.
    pub fn find(&self, name: &str) -> Result<&Input> {
        self.0.iter().find(|input| input.name == name).ok_or_else(|| {
            Error::sample(format!("'{name}' is no input of the model, whose inputs are {}", self.names(|_| true)))
        })
    }

    /// The input that an array without a name is for.
    pub fn only(&self) -> Result<&Input> {
        let mut needed = self.needed();
        match (needed.next(), needed.next()) {
            (Some(input), None) => Ok(input),
            (None, _) if self.0.len() == 1 => Ok(&self.0[0]),
            _ => Err(Error::sample(format!(
                "one array cannot be all inputs of the model, which are {}; give .npz files with arrays of these names",
                self.names(|_| true)
            ))),
        }
    }

    /// The input of a number; those with a default do not count.
    pub fn numbered(&self, number: usize) -> Result<&Input> {
        self.needed().nth(number).ok_or_else(|| {
            let count = self.needed().count();
            Error::sample(format!("there is no input {number}: the model has {count} without a default, from 0 on"))
        })
    }

    /// A sample's tensors in the order of the inputs, if nothing is missing.
    pub fn complete(&self, mut tensors: Vec<Tensor>) -> Result<Vec<Tensor>> {
        self.require(|name| tensors.iter().any(|tensor| tensor.name() == name))?;
        tensors.sort_by_key(|tensor| self.0.iter().position(|input| input.name == tensor.name()));
        Ok(tensors)
    }

    /// Sees to it that all inputs are there that must be given.
    pub fn require(&self, is_given: impl Fn(&str) -> bool) -> Result<()> {
        match self.needed().find(|input| !is_given(&input.name)) {
            None => Ok(()),
            Some(Input { name, ty, .. }) => {
                let given = self.names(|input| is_given(&input.name));
                let given = if given.is_empty() { "nothing".to_owned() } else { format!("only {given}") };
                Err(Error::sample(format!("input '{name}' ({ty}) is missing; the sample has {given}")))
            }
        }
    }

    /// Those without a default.
    pub fn needed(&self) -> impl Iterator<Item = &Input> {
        self.0.iter().filter(|input| !input.has_default)
    }

    /// The names of some, as a list.
    pub fn names(&self, which: impl Fn(&Input) -> bool) -> String {
        let names = self.0.iter().filter(|input| which(input)).map(|input| format!("'{}'", input.name));
        names.collect::<Vec<_>>().join(", ")
    }
}

impl Input {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model states of it.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Whether an array of this type and shape can be the input.
    pub fn check(&self, dtype: DataType, shape: &[usize]) -> Result<()> {
        let converts = self.ty.dtype.is_none_or(|expected| convert::is_harmless(dtype, expected));
        if converts && self.ty.admits(shape) {
            return Ok(());
        }
        Err(self.misfit(&format!("the sample has {}", stated(dtype, shape))))
    }

    /// What one of the samples is that an array holds along its first axis.
    pub fn slice(&self, dtype: DataType, shape: &[usize]) -> Result<Slice> {
        let misfit = || {
            let expected = self.stacked_types().map(|ty| ty.to_string()).collect::<Vec<_>>().join(" or ");
            let given = stated(dtype, shape);
            self.misfit(&format!(
                "one file of many samples needs {expected}, but has {given}; a file of one sample must lie in a folder or be listed"
            ))
        };
        let (&count, one) = shape.split_first().ok_or_else(misfit)?;
        let shape = match self.ty.rank() {
            Some(rank) if rank == shape.len() => [&[1], one].concat(),
            _ => one.to_vec(),
        };
        self.check(dtype, &shape).map_err(|_| misfit())?;
        Ok(Slice { count, shape })
    }

    /// The types of an array of many samples: with an axis for them, or in place of a batch axis.
    fn stacked_types(&self) -> impl Iterator<Item = TensorType> {
        let with = |dims: Option<Vec<Dim>>| TensorType { dtype: self.ty.dtype, dims };
        let samples = |behind: &[Dim]| [&[Dim::Symbol("samples".to_owned())], behind].concat();
        let dims = self.ty.dims.as_deref();
        let batch = dims.and_then(<[Dim]>::split_first).filter(|(first, _)| first.size().is_none_or(|size| size == 1));
        [Some(with(dims.map(samples))), batch.map(|(_, behind)| with(Some(samples(behind))))].into_iter().flatten()
    }

    /// The input's tensor, of elements of a type and shape that were [checked](Self::check), given
    /// row-major and little-endian.
    pub fn tensor(&self, dtype: DataType, shape: &[usize], bytes: Vec<u8>) -> Result<Tensor> {
        let expected = self.ty.dtype.unwrap_or(dtype);
        let bytes = convert::elements(dtype, expected, bytes).map_err(|reason| self.in_input(Error::sample(reason)))?;
        Tensor::from_bytes(&self.name, expected, shape, bytes)
    }

    /// Says which input it was.
    pub fn in_input(&self, error: Error) -> Error {
        error.of_sample_part(format_args!("input '{}'", self.name))
    }

    fn misfit(&self, given: &str) -> Error {
        Error::sample(format!("input '{}' is {} in the model; {given}", self.name, self.ty))
    }
}

/// A type and shape as the textual syntax has them.
fn stated(dtype: DataType, shape: &[usize]) -> String {
    let dims = Some(shape.iter().map(|&size| Dim::Fixed(size)).collect());
    TensorType { dtype: Some(dtype), dims }.to_string()
}
