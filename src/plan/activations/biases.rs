//! Biases as int32, in units of the products that they are added to.

use std::collections::HashMap;

use super::{BiasPlan, ValuePlan, draft::Draft, given, layers::Layer, weight_of};
use crate::{
    error::{Error, Result},
    ir::{Model, ValueId},
    numeric::{FloatType, Granularity, QuantParams, ranges},
    plan::{Plan, QuantizedCopy, candidates::layout},
};

/// The largest bias in units of its scale. Products are added to it in 32 bits.
const LARGEST: f64 = (1u32 << 30) as f64;

/// Plans the biases of all integer layers. Where a bias would not fit, because a channel's weights are tiny
/// next to it, the channel's weight scale is raised.
pub(super) fn plan(model: &Model, draft: &Draft, values: &[ValuePlan], plan: &mut Plan) -> Result<Vec<BiasPlan>> {
    let params: HashMap<ValueId, QuantParams> = values.iter().map(|value| (value.value, value.params)).collect();
    let mut biases = Vec::new();
    for layer in draft.layers() {
        let Some(bias_use) = layer.bias else { continue };
        let value = model.input(bias_use.op, bias_use.slot).ok_or_else(|| Error::invalid("a layer lost its bias"))?;
        let tensor = model.constant(value).ok_or_else(|| Error::invalid("a bias is no constant"))?;
        let bias: Vec<f32> = tensor.to_f32()?.iter().copied().collect();
        let input = model.input(layer.input.op, layer.input.slot);
        let input = input.and_then(|input| params.get(&input).copied().or_else(|| given::activation(model, input)));
        let input = input.ok_or_else(|| Error::invalid("a layer's input has no parameters"))?;
        let scales = match &layer.given_scales {
            Some(scales) => scales.clone(),
            None => raise_scales(model, plan, layer, &bias, input.scale)?,
        };
        let axis = (scales.len() > 1).then(|| tensor.shape().len() - 1);
        let products = scales.iter().map(|scale| input.scale * scale).collect();
        let name = model.value(value).name().to_owned();
        biases.push(BiasPlan { use_: bias_use, value, name, scales: products, axis });
    }
    Ok(biases)
}

/// The scales of a layer's weight, raised where its bias would overflow. Where all weights of a channel
/// are zero any scale will do, and it is made fit for the bias.
fn raise_scales(model: &Model, plan: &mut Plan, layer: &Layer, bias: &[f32], input: f32) -> Result<Vec<f32>> {
    let value = weight_of(plan, layer.op)?.value;
    let weight = plan.weights.iter_mut().find(|weight| weight.value == value).expect("found above");
    let copy = weight.copies.iter_mut().find(|copy| copy.layers.contains(&layer.op)).expect("found above");
    let zero = zero_channels(model, value, copy)?;
    let per_channel = matches!(copy.granularity, Granularity::PerChannel { .. });
    let scale = |(channel, params): (usize, &QuantParams)| {
        let largest = match per_channel {
            true => bias.get(channel).or(bias.first()).map_or(0.0, |bias| f64::from(bias.abs())),
            false => bias.iter().fold(0.0, |largest, bias| f64::from(bias.abs()).max(largest)),
        };
        let least = (largest / f64::from(input) / LARGEST) as f32;
        let scale = if zero[channel] && largest > 0.0 { least.max(f32::MIN_POSITIVE) } else { params.scale.max(least) };
        QuantParams { scale, ..*params }
    };
    copy.params = copy.params.iter().enumerate().map(scale).collect();
    Ok(copy.params.iter().map(|params| params.scale).collect())
}

/// Which channels have no weight but zero. Their scale is 1, by the rule for ranges of nothing.
fn zero_channels(model: &Model, value: ValueId, copy: &QuantizedCopy) -> Result<Vec<bool>> {
    let none = || vec![false; copy.params.len()];
    let Some(tensor) = model.constant(value).filter(|_| copy.params.iter().any(|params| params.scale == 1.0)) else {
        return Ok(none());
    };
    let layout = layout(&tensor, copy.granularity)?;
    let ranges = ranges(&tensor.bytes()?, FloatType::F32, &layout);
    Ok(ranges
        .map_or_else(|_| none(), |ranges| ranges.iter().map(|range| range.min == 0.0 && range.max == 0.0).collect()))
}
