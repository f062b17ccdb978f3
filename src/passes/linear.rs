//! Operators that multiply by a constant weight and add a constant bias, and what can be multiplied
//! and added behind them without an operator of its own.
//!
//! `scale * (W x + b) + shift` is `(scale * W) x + (scale * b + shift)`: scale and shift are numbers of
//! each output channel. Everything is computed in binary64 and rounded once, to the weight's type.

use super::constants::{self, fixed, remove_unread};
use crate::{
    error::Result,
    ir::{Model, OpId, Tensor, Use, ValueId},
    numeric::FloatType,
    operators::is_standard,
    plan::float_type,
};

/// What every output channel is multiplied by and what is added then.
#[derive(Debug, Default)]
pub(super) struct Affine {
    pub scale: Option<Vec<f64>>,
    pub shift: Option<Vec<f64>>,
}

/// An operator that can be folded into the one before it.
pub(super) struct Folding {
    pub linear: Linear,
    pub affine: Affine,
    /// The value between the two.
    pub input: ValueId,
    pub output: ValueId,
    /// The constants that it reads.
    pub constants: Vec<ValueId>,
}

/// Folds all operators that `find` finds something to fold in; tells whether there were any.
pub(super) fn fold_all(model: &mut Model, find: impl Fn(&Model, OpId) -> Option<Folding>) -> Result<bool> {
    let mut gone = Vec::new();
    let mut unread = Vec::new();
    // One after the other may stand in any order in the file.
    let mut waiting: Vec<OpId> = model.ops().collect();
    waiting.reverse();
    while let Some(op) = waiting.pop() {
        // It was listed twice, and folded.
        if !model.contains_op(op) {
            continue;
        }
        let Some(Folding { linear, affine, input, output, constants }) = find(model, op) else { continue };
        let Some(replaced) = linear.fold(model, &affine)? else { continue };
        unread.extend(replaced);
        unread.extend(constants);
        model.remove_op(op);
        model.set_output(linear.op, 0, output);
        gone.push(input);
        waiting.extend(model.uses(output).into_iter().map(|use_| use_.op));
    }
    let changed = !gone.is_empty();
    model.remove_values(gone);
    remove_unread(model, unread);
    Ok(changed)
}

/// An operator with a constant weight.
pub(super) struct Linear {
    pub op: OpId,
    /// How many output channels there are.
    pub channels: usize,
    kind: Kind,
    weight: ValueId,
    float: FloatType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Weights `[out, in / group, ..]`.
    Conv,
    /// Weights `[in, out / group, ..]`.
    ConvTranspose { groups: usize },
    /// `alpha * A * B + beta * C` with weights `B`, `[in, out]` or `[out, in]`.
    Gemm { transposed: bool },
    /// Weights `[.., in, out]`; there is no bias.
    MatMul,
}

/// The input that is the weight, and the one that is the bias.
const WEIGHT: usize = 1;
const BIAS: usize = 2;

impl Linear {
    /// The operator that makes a value, if it is linear and the value is there for one reader, in the
    /// same scope, and no one else.
    pub fn behind(model: &Model, value: ValueId, reader: OpId) -> Option<Self> {
        let op = model.producer(value)?;
        let alone = model.only_use(value).is_some() && !model.is_output(value);
        (alone && model.op(op).scope() == model.op(reader).scope()).then(|| Self::new(model, op)).flatten()
    }

    fn new(model: &Model, id: OpId) -> Option<Self> {
        let op = model.op(id);
        // What a caller gives may be anything. Before opset 7 a Gemm's bias is broadcast as it says.
        let given = op.has_attributes_of_caller();
        // What follows is folded into its only output.
        let [Some(_)] = model.outputs(id)[..] else { return None };
        if !is_standard(model, id) || given || model.opset(op.scope()) < 7 {
            return None;
        }
        let weight = model.input(id, WEIGHT)?;
        let tensor = fixed(model, weight)?;
        let shape = tensor.shape();
        let (kind, channels) = match (op.op_type(), shape.as_slice()) {
            ("Conv", [out, _, _, ..]) => (Kind::Conv, *out),
            ("ConvTranspose", [inputs, out, _, ..]) => {
                let groups = usize::try_from(op.int("group").unwrap_or(1)).ok().filter(|&groups| groups > 0)?;
                let channels = out.checked_mul(groups).filter(|_| inputs % groups == 0)?;
                (Kind::ConvTranspose { groups }, channels)
            }
            ("Gemm", [rows, columns]) => {
                let transposed = op.int("transB").unwrap_or(0) != 0;
                (Kind::Gemm { transposed }, if transposed { *rows } else { *columns })
            }
            ("MatMul", [.., _, out]) => (Kind::MatMul, *out),
            _ => return None,
        };
        let float = float_type(tensor.dtype()).filter(|_| tensor.element_count() > 0)?;
        Some(Self { op: id, channels, kind, weight, float })
    }

    /// Whether its output has channels on axis 1 and a bias for each.
    pub fn has_bias(&self) -> bool {
        self.kind != Kind::MatMul
    }

    /// Whether something else reads the weight too, so that another one is another copy.
    pub fn shares_weight(&self, model: &Model) -> bool {
        model.is_output(self.weight) || model.only_use(self.weight).is_none()
    }

    /// One number for each channel of a constant that is broadcast against the output; `None` where it
    /// is none for each channel, or makes the output larger.
    pub fn per_channel(&self, model: &Model, constant: &Tensor) -> Option<Vec<f64>> {
        let shape = constant.shape();
        // Of a product the rank is the other factor's, which is not known; one it has at least.
        let (rank, channel_axis) = match self.kind {
            Kind::Conv | Kind::ConvTranspose { .. } => (fixed(model, self.weight)?.shape().len(), 1),
            Kind::Gemm { .. } => (2, 1),
            Kind::MatMul => (1, 0),
        };
        let first = rank.checked_sub(shape.len())?;
        let fits = |(axis, &size): (usize, &usize)| size == 1 || first + axis == channel_axis && size == self.channels;
        if !shape.iter().enumerate().all(fits) {
            return None;
        }
        let values = float_type(constant.dtype())?.widen(&constant.bytes().ok()?);
        match values.as_slice() {
            [value] => Some(vec![*value; self.channels]),
            values => Some(values.to_vec()),
        }
    }

    /// Puts what follows into weight and bias. Returns the constants that may have no reader any more,
    /// or `None`, with nothing changed, where the bias is not constant or something becomes infinite.
    pub fn fold(&self, model: &mut Model, affine: &Affine) -> Result<Option<Vec<ValueId>>> {
        let Some(bias) = self.folded_bias(model, affine) else { return Ok(None) };
        let Some(weight) = self.folded_weight(model, affine) else { return Ok(None) };
        let mut replaced = Vec::new();
        if let Some((shape, bytes)) = weight {
            let tensor = fixed(model, self.weight).map(|tensor| tensor.with_bytes(&shape, bytes)).transpose()?;
            replaced.extend(tensor.and_then(|tensor| self.replace(model, WEIGHT, tensor)));
        }
        if let Some(bytes) = bias {
            let old = model.input(self.op, BIAS);
            let dtype = fixed(model, self.weight).map(|tensor| tensor.dtype());
            let tensor = match old.and_then(|old| fixed(model, old)) {
                Some(old) => old.with_bytes(&[self.channels], bytes)?,
                None => {
                    let name = format!("{}_bias", model.value(self.weight).name());
                    Tensor::from_bytes(&name, dtype.unwrap_or_default(), &[self.channels], bytes)?
                }
            };
            replaced.extend(self.replace(model, BIAS, tensor));
            model.take_attribute(self.op, "beta");
        }
        Ok(Some(replaced))
    }

    /// The new bias, if there is to be one.
    #[expect(clippy::option_option, reason = "no bias, or none that can be had")]
    fn folded_bias(&self, model: &Model, Affine { scale, shift }: &Affine) -> Option<Option<Vec<u8>>> {
        let old = match model.input(self.op, BIAS).filter(|_| self.has_bias()) {
            Some(bias) => Some(self.bias(model, bias)?),
            None => None,
        };
        if old.is_none() && shift.is_none() {
            return Some(None);
        }
        if !self.has_bias() {
            return None;
        }
        let mut bias = old.unwrap_or_else(|| vec![0.0; self.channels]);
        for (channel, bias) in bias.iter_mut().enumerate() {
            *bias = *bias * scale.as_ref().map_or(1.0, |scale| scale[channel])
                + shift.as_ref().map_or(0.0, |shift| shift[channel]);
        }
        self.float.narrow(&bias).map(Some)
    }

    /// What is added to each channel.
    fn bias(&self, model: &Model, value: ValueId) -> Option<Vec<f64>> {
        let tensor = fixed(model, value)?;
        let float = float_type(tensor.dtype()).filter(|&float| float == self.float)?;
        let values = float.widen(&tensor.bytes().ok()?);
        match self.kind {
            Kind::Gemm { .. } => {
                let beta = f64::from(model.op(self.op).float("beta").unwrap_or(1.0));
                let row = matches!(tensor.shape().as_slice(), [] | [_] | [1, _]);
                let values: Vec<f64> = values.into_iter().map(|value| value * beta).collect();
                match values.as_slice() {
                    _ if !row => None,
                    [value] => Some(vec![*value; self.channels]),
                    _ => Some(values).filter(|values| values.len() == self.channels),
                }
            }
            _ => Some(values).filter(|values| values.len() == self.channels),
        }
    }

    /// Shape and bytes of the new weight, if there is to be one.
    #[expect(clippy::option_option, reason = "no change, or none that is finite")]
    fn folded_weight(&self, model: &Model, affine: &Affine) -> Option<Option<(Vec<usize>, Vec<u8>)>> {
        let Some(scale) = &affine.scale else { return Some(None) };
        let tensor = fixed(model, self.weight)?;
        let shape = tensor.shape();
        let mut values = self.float.widen(&tensor.bytes().ok()?);
        let axis = match self.kind {
            Kind::Conv => 0,
            Kind::ConvTranspose { .. } => 1,
            Kind::Gemm { transposed } => usize::from(!transposed),
            Kind::MatMul => shape.len() - 1,
        };
        let inner: usize = shape[axis + 1..].iter().product();
        for (row, values) in values.chunks_exact_mut(inner).enumerate() {
            let channel = match self.kind {
                // Each group of inputs has its own outputs.
                Kind::ConvTranspose { groups } => {
                    let group = row / shape[1] / (shape[0] / groups);
                    group * shape[1] + row % shape[1]
                }
                _ => row % shape[axis],
            };
            values.iter_mut().for_each(|value| *value *= scale[channel]);
        }
        Some(Some((shape, self.float.narrow(&values)?)))
    }

    /// Makes the operator read another constant in one slot: the old one changed, where nothing else
    /// reads it, or a new one. Returns the old one if it is not read here any more.
    fn replace(&self, model: &mut Model, slot: usize, tensor: Tensor) -> Option<ValueId> {
        let use_ = Use { op: self.op, slot };
        let old = model.input(self.op, slot);
        if let Some(old) = old
            && !model.is_input(old)
            && !model.is_output(old)
            && model.only_use(old) == Some(use_)
        {
            model.set_constant(old, tensor);
            return None;
        }
        let name = model.value(old.unwrap_or(self.weight)).name();
        let name = if old.is_some() { name.to_owned() } else { format!("{name}_bias") };
        let new = constants::add(model, self.op, tensor.named(&name));
        model.set_input(use_, new);
        old
    }
}
