//! Everything that is tested from outside: one binary, so that the engines are linked once.
//!
//! Its tests report a third way besides passing and failing: one that needs a runtime which is not there, or a device
//! that this machine has not, is *ignored*, with the reason. So each module lists its tests with [`tests!`], where
//! `#[test]` would have to say that they passed.

mod activations;
mod architecture;
#[path = "../fuzz/bodies/mod.rs"]
mod bodies;
mod calibrate_command;
mod calibration;
mod cases;
mod command;
mod command_line;
mod compare;
mod compensated;
mod dynamic;
mod engine_corpus;
mod explained;
mod fixtures;
mod fuzzed;
mod in_onnxruntime;
mod inspected;
mod malformed;
mod measured;
#[path = "../fuzz/mutate/mod.rs"]
mod mutate;
mod opset;
mod outcome;
mod parsed;
mod placement;
mod provenance;
mod quantized;
mod rewritten;
mod round_trip;
mod rules;
mod runtime;
mod runtimes;
mod samples;
mod second_run;
mod simplified;
mod simplified_corpus;
mod sizes;
mod speed;
mod targets;
mod testdata;
mod text;
mod tuned;
mod types;
mod upgrade;
mod upgrade_corpus;
mod vocabulary;
mod weights;

use libtest_mimic::{Arguments, Trial};

fn main() {
    // Those that take longest come first, so that no core waits for them in the end.
    let rooms: &[fn() -> Vec<Trial>] = &[
        upgrade_corpus::tests,
        calibration::tests,
        simplified_corpus::tests,
        activations::tests,
        architecture::tests,
        calibrate_command::tests,
        cases::tests,
        command::tests,
        compare::tests,
        compensated::tests,
        dynamic::tests,
        engine_corpus::tests,
        explained::tests,
        fixtures::tests,
        fuzzed::tests,
        in_onnxruntime::tests,
        inspected::tests,
        malformed::tests,
        measured::tests,
        opset::tests,
        parsed::tests,
        placement::tests,
        provenance::tests,
        rewritten::tests,
        round_trip::tests,
        rules::tests,
        runtimes::tests,
        samples::tests,
        second_run::tests,
        simplified::tests,
        sizes::tests,
        speed::tests,
        targets::tests,
        text::tests,
        tuned::tests,
        types::tests,
        upgrade::tests,
        vocabulary::tests,
        weights::tests,
    ];
    let trials = rooms.iter().flat_map(|tests| tests()).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
