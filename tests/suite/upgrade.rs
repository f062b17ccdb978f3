//! Upgrading the opset does not change what a model computes, for every model of `testdata`. Small models for each change
//! of an operator that needs rewriting are in `tests/cases/upgrade`.

use crate::{runtime, testdata};
use std::{collections::BTreeMap, fs, path::PathBuf};

use onnx_quant::{
    Model, SaveOptions,
    passes::{Pass, UpgradeOpset},
};
use runtime::{Comparison, Engine, Inputs, Side};
use testdata::{Fixture, fixtures};

/// What sums in another order may differ by.
const TOLERANCE: f64 = 1e-6;

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("upgrade");
    fs::create_dir_all(&folder).expect("the target directory can be written");
    folder
}

fn every_version_of_every_operator_is_known_and_rewritten_where_it_takes_something_away() {
    let operators = runtime::versions();
    let known: BTreeMap<_, _> = UpgradeOpset::known_versions().collect();
    assert!(operators.keys().eq(known.keys()), "{:?}", operators.keys());
    let mut breaking = Vec::new();
    for (name, versions) in operators {
        let known = &known[name.as_str()];
        assert!(versions.iter().map(|one| one.version).eq(known.iter().map(|one| one.0)), "{name}: {versions:?}");
        for (one, (version, rewritten)) in versions.into_iter().zip(known) {
            breaking.extend(one.breaks.filter(|_| !rewritten).map(|why| format!("{name} {version}: {why}")));
        }
    }
    assert!(breaking.is_empty(), "{}", breaking.join("\n"));
}

/// Every model of `testdata` that runs, upgraded: bodies, functions, external data, odd names.
fn fixtures_compute_the_same() {
    let folder = folder();
    let mut comparisons = Vec::new();
    let refused = |fixture: &Fixture| fixture.name == "made/not_to_be_raised.onnx";
    for fixture in fixtures().into_iter().filter(|fixture| fixture.onnxruntime.is_none() && !refused(fixture)) {
        for to in [13, 21, UpgradeOpset::NEWEST_OPSET] {
            let mut model = Model::load(fixture.path()).expect("it loads");
            let done = UpgradeOpset { to }.upgrade(&mut model).unwrap_or_else(|error| panic!("{error}"));
            model.verify().unwrap_or_else(|error| panic!("{} at {to}: {error}", fixture.name));
            if !done.changed {
                continue;
            }
            let target = folder.join(format!("{}_{to}.onnx", fixture.name.replace('/', "_")));
            model.save(&target, &SaveOptions::default()).expect("it can be written");
            comparisons.push(Comparison {
                left: Side { model: fixture.path(), engine: Engine::OnnxruntimePlain },
                right: Side { model: target, engine: Engine::OnnxruntimePlain },
                inputs: Inputs { seed: 5, dims: fixture.dims.clone(), ..Inputs::default() },
            });
        }
    }
    let answers = runtime::compare(&comparisons);
    let wrong: Vec<String> = comparisons
        .iter()
        .zip(answers)
        .filter_map(|(pair, answer)| match answer {
            // The newest kernels of quantized operators are not there yet.
            Err(error) if error.contains("NOT_IMPLEMENTED") && error.contains("QuantizeLinear(28)") => None,
            Err(error) if error.contains("NOT_IMPLEMENTED") && error.contains("DequantizeLinear(28)") => None,
            Err(error) => Some(format!("{}: {error}", pair.right.model.display())),
            Ok(differences) => {
                let far = differences.iter().find(|(_, difference)| difference.relative > TOLERANCE)?;
                Some(format!("{}: {far:?}", pair.right.model.display()))
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn made(name: &str) -> Model {
    Model::load(testdata::path(&format!("made/{name}.onnx"))).expect("it loads")
}

fn the_opset_never_goes_down_and_a_second_upgrade_does_nothing() {
    let mut model = Model::load(testdata::path("kws_dscnn.onnx")).expect("it loads");
    let before = model.to_bytes();
    let done = UpgradeOpset { to: 13 }.upgrade(&mut model).expect("there is nothing to do");
    assert_eq!((done.from, done.to, done.changed), (14, 14, false));
    assert_eq!(model.to_bytes(), before);

    let mut model = made("opset10_axis_conversions");
    assert!(UpgradeOpset { to: 21 }.run(&mut model).expect("it can be upgraded"));
    let once = model.to_bytes();
    assert!(!UpgradeOpset { to: 21 }.run(&mut model).expect("there is nothing to do"));
    assert_eq!(model.to_bytes(), once);
    assert!(UpgradeOpset { to: UpgradeOpset::NEWEST_OPSET + 1 }.run(&mut model).is_err());
    assert!(UpgradeOpset { to: 0 }.run(&mut model).is_err());
}

fn the_same_file_comes_out_in_one_upgrade_or_in_two() {
    let upgraded = |targets: &[i64]| {
        let mut model = made("opset10_axis_conversions");
        for &to in targets {
            UpgradeOpset { to }.upgrade(&mut model).expect("it can be upgraded");
        }
        model.to_bytes()
    };
    assert_eq!(upgraded(&[11, 12, 18, 21]), upgraded(&[21]));
}

fn the_ir_version_rises_only_as_far_as_the_opset_needs() {
    for (to, ir_version) in [(11, 6), (13, 7), (15, 8), (19, 9), (21, 10), (23, 11), (24, 12), (25, 13), (28, 14)] {
        let mut model = made("initializers_as_inputs_ir3");
        assert!(model.scope(Model::MAIN).inputs().len() > 1, "before IR version 4 initializers are inputs");
        UpgradeOpset { to }.upgrade(&mut model).expect("it can be upgraded");
        let raised = model.opset(Model::MAIN) == to;
        assert_eq!(model.ir_version(), if raised { ir_version } else { 3 }, "{to}");
        assert_eq!(model.scope(Model::MAIN).inputs().len() == 1, raised, "they leave the inputs where they may");
    }
}

fn two_default_domains_become_one() {
    let mut model = made("two_default_domains");
    let opset = model.opset(Model::MAIN);
    let done = UpgradeOpset { to: 1 }.upgrade(&mut model).expect("nothing is to be rewritten");
    assert!(done.changed);
    assert_eq!(model.opset(Model::MAIN), opset, "the newest of the two counts");
    assert!(!UpgradeOpset { to: 1 }.run(&mut model).expect("there is nothing to do"));
    assert!(model.to_text().contains(&format!("opset_import: [\"\": {opset}]")), "{}", model.to_text());
}

fn rewritten_operators_as_text() {
    let texts = [("opset9", 13), ("opset10_axis_conversions", 21), ("opset12", 18)].map(|(name, to)| {
        let mut model = made(name);
        UpgradeOpset { to }.upgrade(&mut model).expect("it can be upgraded");
        model.to_text()
    });
    insta::assert_snapshot!(texts.join("\n"));
}

fn training_information_is_not_changed_in_meaning() {
    let mut model = made("training_info");
    UpgradeOpset { to: 28 }.upgrade(&mut model).expect("its operators are the same");
    let mut model = made("training_info");
    let node = onnx_quant::proto::NodeProto { op_type: Some("ReduceMean".to_owned()), ..Default::default() };
    let bytes = model.to_bytes();
    let mut proto = <onnx_quant::proto::ModelProto as prost::Message>::decode(&*bytes).expect("it is a model");
    let algorithm = proto.training_info[0].algorithm.as_mut().expect("it has one");
    algorithm.node.push(node);
    model = Model::from_bytes(prost::Message::encode_to_vec(&proto)).expect("it is a model");
    let error = UpgradeOpset { to: 28 }.upgrade(&mut model).expect_err("nothing rewrites it");
    assert!(error.to_string().contains("ReduceMean of the training information"), "{error}");
}

crate::tests![
    every_version_of_every_operator_is_known_and_rewritten_where_it_takes_something_away,
    fixtures_compute_the_same,
    the_opset_never_goes_down_and_a_second_upgrade_does_nothing,
    the_same_file_comes_out_in_one_upgrade_or_in_two,
    the_ir_version_rises_only_as_far_as_the_opset_needs,
    two_default_domains_become_one,
    rewritten_operators_as_text,
    training_information_is_not_changed_in_meaning
];
