//! The work grows with a model and no faster. The models are those of `cargo bench --bench scaling`, which
//! shows the same of the time.

#[path = "../../tests/bench/shapes.rs"]
mod shapes;

use onnx_quant::{
    Config, Model,
    calibration::{Ranges, Statistics, value_keys},
    numeric::Range,
    passes::{Pass, UpgradeOpset},
    quantize, quantize_activations,
};
use shapes::{SHAPES, Shape, Task};

use crate::ir::steps;

/// Small, but so that what grows with the square of it is most of what there is.
const SIZE: usize = 128;

/// How much of the graph is looked at.
fn steps(shape: &Shape, size: usize) -> usize {
    let mut model = Model::from_bytes(shape.bytes(size)).expect("it is a model");
    let range = || Statistics::of_range(Range { min: -1.0, max: 1.0 });
    let ranges = Ranges { values: value_keys(&model).into_values().map(|key| (key, range())).collect() };
    let before = steps::counted();
    // Once more: reading is part of it.
    model = Model::from_bytes(shape.bytes(size)).expect("it is a model");
    match shape.task {
        Task::Quantize => drop(quantize(&mut model, &Config::default()).expect("it can be quantized")),
        Task::Activations => {
            drop(quantize_activations(&mut model, &Config::default(), &ranges).expect("it can be quantized"));
        }
        Task::Upgrade => drop(UpgradeOpset { to: 21 }.run(&mut model).expect("it can be raised")),
        Task::Print => drop(model.to_text()),
    }
    drop(model.to_bytes());
    steps::counted() - before
}

#[test]
fn twice_the_size_is_twice_the_work() {
    // Steps are counted by thread.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut superlinear = Vec::new();
    for shape in SHAPES {
        let size = SIZE.min(shape.size);
        let (once, twice) = alone.install(|| (steps(shape, size), steps(shape, 2 * size)));
        // What does not depend on the size at all makes the ratio smaller.
        if twice as f64 > 2.1 * once as f64 {
            superlinear.push(format!("{} ({:?}): {once} steps, then {twice}", shape.name, shape.task));
        }
    }
    assert!(superlinear.is_empty(), "{}", superlinear.join("\n"));
}
