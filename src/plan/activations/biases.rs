//! Biases as int32, in units of the products that they are added to.

use std::collections::{HashMap, HashSet};

use super::{
    BiasPlan, ValuePlan, existing_qdq,
    layers::Layer,
    planner::{REDUCED, is_table},
    region::IntegerRegion,
};
use crate::{
    config::Config,
    error::{Error, Result},
    ir::{Model, OpId, ValueId},
    numeric::{FloatType, Granularity, QuantParams, SCALE_OF_NOTHING, ranges},
    plan::{Plan, QuantizedCopy, candidates::layout},
};

/// The largest bias in units of its scale. Products are added to it in 32 bits.
const LARGEST: f64 = (1u32 << 30) as f64;

/// How much the one scale of a whole weight may be raised for a bias: beyond, too little of the weight is left.
const MOST_RAISED: f32 = 2.0;

/// Plans the biases of all integer layers. Where a bias would not fit, because a channel's weights are tiny
/// next to it, the channel's weight scale is raised; a channel without any weight but zero, whose scale says
/// nothing, gets one that is fit for the bias. All scales are settled before the first bias is planned: layers
/// may share a weight.
pub(super) fn plan(
    model: &Model,
    config: &Config,
    region: &IntegerRegion,
    values: &[ValuePlan],
    plan: &mut Plan,
) -> Result<Vec<BiasPlan>> {
    let floats: HashSet<ValueId> =
        values.iter().filter(|value| value.scheme.ty.is_float()).map(|value| value.value).collect();
    let params: HashMap<ValueId, QuantParams> = values.iter().map(|value| (value.value, value.params)).collect();
    let copies = copies(plan);
    let nothing = if config.activations.reduce_range { SCALE_OF_NOTHING * REDUCED } else { SCALE_OF_NOTHING };
    for (weight, copy) in plan.weights.iter_mut().flat_map(|weight| {
        let value = weight.value;
        weight.copies.iter_mut().map(move |copy| (value, copy))
    }) {
        clear_scales_of_zero_channels(model, weight, copy, nothing)?;
    }
    // Products of small floats are summed up in floats, and so is the bias.
    let of_integers = |layer: &&Layer| {
        let input = model.input(layer.input.op, layer.input.slot);
        !input.is_some_and(|input| floats.contains(&input))
    };
    let biased: Vec<Biased> = region
        .layers()
        .filter(of_integers)
        .filter_map(|layer| biased(model, &params, layer).transpose())
        .collect::<Result<_>>()?;
    for Biased { layer, elements, input, .. } in &biased {
        if config.activations.keep_weight_scales {
            break;
        }
        if let (None, Some(&(weight, copy))) = (&layer.given_scales, copies.get(&layer.op)) {
            raise(&mut plan.weights[weight].copies[copy], elements, *input);
        }
    }
    for copy in plan.weights.iter_mut().flat_map(|weight| &mut weight.copies) {
        if copy.params.iter().any(|params| params.scale == 0.0) {
            let settled = |params: &QuantParams| QuantParams {
                scale: if params.scale == 0.0 { SCALE_OF_NOTHING } else { params.scale },
                ..*params
            };
            copy.params = copy.params.iter().map(settled).collect();
        }
    }
    let planned = biased.into_iter().filter_map(|Biased { layer, value, elements, input, axis }| {
        let scales: Vec<f32> = match (&layer.given_scales, copies.get(&layer.op)) {
            (Some(scales), _) => scales.clone(),
            (None, Some(&(weight, copy))) => {
                plan.weights[weight].copies[copy].params.iter().map(|params| params.scale).collect()
            }
            (None, None) => return None,
        };
        let several = scales.len() > 1;
        let scales: Vec<f32> = scales.into_iter().map(|scale| input * scale).collect();
        // A bias that does not fit stays float.
        let fits = |(index, element): (usize, &f32)| {
            let scale = scales[if several { index } else { 0 }];
            f64::from(element.abs()) <= f64::from(scale) * f64::from(i32::MAX)
        };
        let name = model.value(value).name().to_owned();
        let axis = several.then_some(axis);
        let use_ = layer.bias?;
        elements.iter().enumerate().all(fits).then_some(BiasPlan { use_, value, name, scales, axis })
    });
    Ok(planned.collect())
}

/// A layer with a bias.
struct Biased<'a> {
    layer: &'a Layer,
    value: ValueId,
    elements: Vec<f32>,
    /// The axis of the elements.
    axis: usize,
    /// The scale of the layer's input.
    input: f32,
}

fn biased<'a>(model: &Model, params: &HashMap<ValueId, QuantParams>, layer: &'a Layer) -> Result<Option<Biased<'a>>> {
    let Some(use_) = layer.bias else { return Ok(None) };
    let located = |error: Error| {
        let location = model.location(layer.op);
        error.at(location.path, location.operator)
    };
    let lost = |what: &str| located(Error::invalid(format!("has no {what}")));
    let value = model.input(use_.op, use_.slot).ok_or_else(|| lost("bias"))?;
    let tensor = model.constant(value).ok_or_else(|| lost("constant bias"))?;
    let elements = tensor.to_array::<f32>().map_err(located)?.iter().copied().collect();
    let input = model.input(layer.input.op, layer.input.slot);
    let given = |input| existing_qdq::activation(model, input).map(|(params, _)| params);
    let input = input.and_then(|input| params.get(&input).copied().or_else(|| given(input)));
    let input = input.ok_or_else(|| lost("quantized input"))?.scale;
    Ok(Some(Biased { layer, value, elements, axis: tensor.shape().len() - 1, input }))
}

/// Which copy of which weight each layer takes.
fn copies(plan: &Plan) -> HashMap<OpId, (usize, usize)> {
    let weights = plan.weights.iter().enumerate();
    let copies = weights
        .flat_map(|(weight, plan)| plan.copies.iter().enumerate().map(move |(copy, plan)| ((weight, copy), plan)));
    copies.flat_map(|(place, copy)| copy.layers.iter().map(move |&op| (op, place))).collect()
}

fn raise(copy: &mut QuantizedCopy, bias: &[f32], input: f32) {
    let fit = |element: f32| (f64::from(element.abs()) / f64::from(input) / LARGEST) as f32;
    let raised = |(channel, params): (usize, &QuantParams)| {
        let (least, most) = match copy.granularity {
            Granularity::PerChannel { .. } => (bias.get(channel).map_or(0.0, |&element| fit(element)), f32::MAX),
            _ => (bias.iter().copied().map(fit).fold(0.0, f32::max), params.scale * MOST_RAISED),
        };
        let least = if least > 0.0 { least.max(f32::MIN_POSITIVE) } else { 0.0 };
        let scale = if least > most { params.scale } else { params.scale.max(least) };
        QuantParams { scale, ..*params }
    };
    copy.params = copy.params.iter().enumerate().map(raised).collect();
}

/// Sets the scales to 0 of channels that have no weight but zero: they are `nothing` by the rule for ranges of
/// nothing, and any other will do as well.
fn clear_scales_of_zero_channels(model: &Model, value: ValueId, copy: &mut QuantizedCopy, nothing: f32) -> Result<()> {
    let per_channel = matches!(copy.granularity, Granularity::PerChannel { .. });
    if is_table(copy) || !per_channel || !copy.params.iter().any(|params| params.scale == nothing) {
        return Ok(());
    }
    let Some(tensor) = model.constant(value) else { return Ok(()) };
    let Ok(ranges) = ranges(&tensor.bytes()?, FloatType::F32, &layout(&tensor, copy.granularity)?) else {
        return Ok(());
    };
    let forget = |(params, range): (&QuantParams, &crate::numeric::Range)| match range.min == 0.0 && range.max == 0.0 {
        true => QuantParams { scale: 0.0, ..*params },
        false => *params,
    };
    copy.params = copy.params.iter().zip(&ranges).map(forget).collect();
    Ok(())
}
