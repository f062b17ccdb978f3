//! A model is run with samples that match its inputs, and quantized with what was seen.

use std::{collections::HashMap, ops::ControlFlow};

use onnx_quant::{
    Config, Error, Model, Result, calibrate,
    calibration::{
        Ranges, RtenEngine, Sample,
        range_files::{self, RangeFormat},
    },
    ir::{DataType, Dim, Tensor, TensorType, element_bits},
    plan::activation_scheme,
    proto::{GraphProto, ModelProto, TensorProto, tensor_proto::DataType as Stored},
};
use prost::Message;

use super::{assert_readable, loaded, quantize};
use crate::mutate::{Random, structure::visit_graphs};

/// The most elements that the inputs of a sample may have.
const LARGEST_SAMPLE: usize = 4096;

pub fn run(bytes: &[u8], random: &mut Random) {
    if !is_quickly_run(bytes) {
        return;
    }
    let Some(model) = loaded(bytes) else { return };
    let config = quantize::activations(Config::default().with_allow_growth(true), random);
    let Some(samples) = (0..2).map(|number| sample(&model, number, random)).collect::<Option<Vec<_>>>() else { return };
    let Ok(ranges) = observed(&model, &config, &samples) else { return };
    let again = observed(&model, &config, &samples).expect("it was calibrated before");
    let drawn = |op_type: &str| op_type.starts_with("Random") || matches!(op_type, "Bernoulli" | "Multinomial");
    let draws = model.ops().any(|op| drawn(model.op(op).op_type()));
    assert!(draws || again == ranges, "the same samples have other ranges: {ranges:?}, {again:?}");

    let text = range_files::to_text(&ranges, RangeFormat::Json, config.activations.method, activation_scheme(&config));
    text.expect("what was observed can be written");
    let _ = quantize::both(&model, &config, &ranges);
}

fn observed(model: &Model, config: &Config, samples: &[Sample]) -> Result<Ranges, Error> {
    let mut heard = 0;
    let given = samples.iter().map(|sample| Ok(sample.clone()));
    let ranges = calibrate(model, config, given, &RtenEngine, &mut |done| {
        heard = done;
        ControlFlow::Continue(())
    })
    .inspect_err(assert_readable)?;
    assert!(ranges.values.is_empty() || heard == samples.len(), "progress tells of {heard} samples");
    Ok(ranges)
}

/// What gives every input of a model small numbers; `None` if an input is too large or no tensor of numbers.
fn sample(model: &Model, number: usize, random: &mut Random) -> Option<Sample> {
    let mut sizes = HashMap::new();
    let mut elements = 0;
    let mut inputs = Vec::new();
    for interface in model.scope(Model::MAIN).inputs() {
        if model.has_default(interface.value) {
            continue;
        }
        let ty = interface.tensor_type()?;
        let dtype = ty.dtype.unwrap_or(DataType::Float);
        let shape = shape(&ty, &mut sizes, random);
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
        // Empty, but too large all the same.
        if shape.iter().any(|&size| size > LARGEST_SAMPLE) {
            return None;
        }
        elements += count;
        if elements > LARGEST_SAMPLE || element_bits(dtype).is_none() {
            return None;
        }
        let bytes: Option<Vec<Vec<u8>>> = (0..count).map(|_| element(dtype, random)).collect();
        let name = model.value(interface.value).name();
        inputs
            .push(Tensor::from_bytes(name, dtype, &shape, bytes?.concat()).expect("as many bytes as the shape takes"));
    }
    Some(Sample::new(format!("sample {number}"), inputs))
}

fn shape(ty: &TensorType, sizes: &mut HashMap<String, usize>, random: &mut Random) -> Vec<usize> {
    let Some(dims) = &ty.dims else { return vec![2; random.below(4)] };
    let open = |random: &mut Random| 1 + random.below(3);
    let sizes = dims.iter().map(|dim| match dim {
        Dim::Symbol(name) => *sizes.entry(name.clone()).or_insert_with(|| open(random)),
        dim => dim.size().unwrap_or_else(|| open(random)),
    });
    sizes.collect()
}

fn element(dtype: DataType, random: &mut Random) -> Option<Vec<u8>> {
    let small = random.below(4) as u8;
    let number = random.below(2000) as f32 / 500.0 - 2.0;
    Some(match dtype {
        DataType::Float => number.to_le_bytes().to_vec(),
        DataType::Double => f64::from(number).to_le_bytes().to_vec(),
        // Of either sign, from a half to one.
        DataType::Float16 => ((random.next() as u16 & 0x83ff) | 0x3800).to_le_bytes().to_vec(),
        DataType::Bfloat16 => ((random.next() as u16 & 0x807f) | 0x3f00).to_le_bytes().to_vec(),
        DataType::Bool => vec![small % 2],
        DataType::Int8 | DataType::Uint8 => vec![small],
        DataType::Int16 | DataType::Uint16 => vec![small, 0],
        DataType::Int32 | DataType::Uint32 => u32::from(small).to_le_bytes().to_vec(),
        DataType::Int64 | DataType::Uint64 => u64::from(small).to_le_bytes().to_vec(),
        _ => return None,
    })
}

/// Whether nothing in a model asks an engine for much memory or for many runs of a body.
fn is_quickly_run(bytes: &[u8]) -> bool {
    const MOST_NODES: usize = 16;
    const LARGEST: i64 = 16;
    const MOST_ELEMENTS: i64 = 4096;
    let Ok(mut model) = ModelProto::decode(bytes) else { return false };
    let functions: usize = model.functions.iter().map(|function| function.node.len()).sum();
    if functions > 0 {
        return false;
    }
    let small = |number: &i64| (-LARGEST..=LARGEST).contains(number);
    let modest = |tensor: &TensorProto| {
        let integers = [Stored::Int32 as i32, Stored::Int64 as i32].contains(&tensor.data_type());
        let elements = tensor.dims.iter().fold(1i64, |product, &dim| product.saturating_mul(dim.max(0)));
        let stored = tensor.int64_data.iter().all(small)
            && tensor.int32_data.iter().all(|&number| small(&number.into()))
            && (tensor.data_type() != Stored::Int64 as i32
                || tensor.raw_data().as_chunks().0.iter().all(|chunk| small(&i64::from_le_bytes(*chunk))))
            && (tensor.data_type() != Stored::Int32 as i32
                || tensor.raw_data().as_chunks().0.iter().all(|chunk| small(&i32::from_le_bytes(*chunk).into())));
        elements <= MOST_ELEMENTS && (!integers || stored)
    };
    let quick = |graph: &GraphProto| {
        graph.initializer.iter().all(modest)
            && graph.node.iter().all(|node| {
                let repeats = ["Loop", "Scan", "SequenceMap"].contains(&node.op_type());
                !repeats
                    && node.attribute.iter().all(|attribute| {
                        small(&attribute.i()) && attribute.ints.iter().all(small) && attribute.t.iter().all(modest)
                    })
            })
    };
    let (mut nodes, mut all_quick) = (0, true);
    visit_graphs(&mut model, &mut |graph| {
        nodes += graph.node.len();
        all_quick &= quick(graph);
    });
    nodes <= MOST_NODES && all_quick
}
