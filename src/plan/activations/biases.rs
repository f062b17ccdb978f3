//! Biases as int32, in units of the products that they are added to.

use std::{collections::HashMap, sync::Arc};

use super::{BiasPlan, ValuePlan, draft::Draft, layers::Layer, weight_of};
use crate::{
    error::{Error, Result},
    ir::{Model, Tensor, ValueId},
    numeric::{Granularity, QuantParams},
    plan::Plan,
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
        let bias = floats(&tensor)?;
        let input = model.input(layer.input.op, layer.input.slot).and_then(|input| params.get(&input));
        let input = *input.ok_or_else(|| Error::invalid("a layer's input has no parameters"))?;
        let scales = raise_scales(plan, layer, &bias, input.scale)?;
        let axis = (scales.len() > 1).then(|| tensor.shape().len() - 1);
        let products = scales.iter().map(|scale| input.scale * scale).collect();
        let name = model.value(value).name().to_owned();
        biases.push(BiasPlan { use_: bias_use, value, name, scales: products, axis });
    }
    Ok(biases)
}

/// The scales of a layer's weight, raised where its bias would overflow.
fn raise_scales(plan: &mut Plan, layer: &Layer, bias: &[f32], input: f32) -> Result<Vec<f32>> {
    let value = weight_of(plan, layer.op)?.value;
    let weight = plan.weights.iter_mut().find(|weight| weight.value == value).expect("found above");
    let copy = weight.copies.iter_mut().find(|copy| copy.layers.contains(&layer.op)).expect("found above");
    let per_channel = matches!(copy.granularity, Granularity::PerChannel { .. });
    let lowest = |channel: usize| {
        let largest = match per_channel {
            true => bias.get(channel).or(bias.first()).map_or(0.0, |bias| f64::from(bias.abs())),
            false => bias.iter().fold(0.0, |largest, bias| f64::from(bias.abs()).max(largest)),
        };
        (largest / f64::from(input) / LARGEST) as f32
    };
    let raised: Vec<QuantParams> = copy
        .params
        .iter()
        .enumerate()
        .map(|(channel, params)| QuantParams { scale: params.scale.max(lowest(channel)), ..*params })
        .collect();
    if raised[..] != copy.params[..] {
        copy.params = Arc::from(raised);
    }
    Ok(copy.params.iter().map(|params| params.scale).collect())
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_f32()?.iter().copied().collect())
}
