//! Every model of `testdata`, simplified, computes what it did. Small models for each rule are in `tests/cases/simplify`.

use crate::{runtime, testdata};
use std::path::{Path, PathBuf};

use onnx_quant::{
    Model, SaveOptions,
    passes::{
        self, FoldBatchNormalization, FoldConstants, FoldScales, FreezeParameters, FuseMatMulAdd, Pass,
        RemoveIdentities,
    },
};
use runtime::{Comparison, Difference, Engine, Inputs, Side};
use testdata::{Fixture, fixtures};

/// What weights that are rounded once more may differ by, and sums in another order.
const TOLERANCE: f64 = 2e-6;

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("simplified");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Simplifies a model, and checks that doing so once more changes nothing, in any of the passes.
fn simplify(path: &Path) -> Model {
    let mut model = Model::load(path).expect("it loads");
    passes::run(&mut model, &passes::before_activations())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    model.verify().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let once = model.to_bytes();
    let mut again = Model::from_bytes(once.clone()).expect("what was written can be read");
    for pass in passes::before_activations() {
        let changed = pass.run(&mut again).expect("it ran before");
        assert!(!changed, "{}: {} goes on", path.display(), pass.name());
    }
    assert_eq!(again.to_bytes(), once, "{}", path.display());
    model
}

fn comparison(left: PathBuf, right: PathBuf, inputs: Inputs) -> Comparison {
    let side = |model| Side { model, engine: Engine::OnnxruntimePlain };
    Comparison { left: side(left), right: side(right), inputs }
}

fn assert_same(comparisons: &[Comparison], far: impl Fn(&Path, &Difference) -> bool) {
    let answers = runtime::compare(comparisons);
    let wrong = comparisons.iter().zip(answers).filter_map(|(pair, answer)| {
        let name = pair.right.model.display();
        match answer {
            Err(error) => Some(format!("{name}: {error}")),
            Ok(differences) => {
                let found = differences.iter().find(|(_, difference)| far(&pair.right.model, difference))?;
                Some(format!("{name}: {found:?}"))
            }
        }
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every model of `testdata` that runs: bodies, functions, external data, odd names.
fn fixtures_compute_the_same_and_do_not_grow() {
    let mut comparisons = Vec::new();
    for fixture in fixtures().into_iter().filter(|fixture| fixture.onnxruntime.is_none()) {
        let Fixture { name, dims, .. } = &fixture;
        let model = simplify(&fixture.path());
        let float = Model::load(fixture.path()).expect("it loads");
        let bytes = |model: &Model| model.tensors().map(|tensor| tensor.byte_len()).sum::<usize>();
        assert!(bytes(&model) <= bytes(&float) + 1024, "{name}: {} -> {} bytes", bytes(&float), bytes(&model));
        let target = folder().join(format!("{}.onnx", name.replace('/', "_")));
        model.save(&target, &SaveOptions::default()).expect("it can be written");
        comparisons.push(comparison(
            fixture.path(),
            target,
            Inputs { seed: 5, dims: dims.clone(), ..Inputs::default() },
        ));
    }
    assert_same(&comparisons, |_, difference| difference.relative > TOLERANCE);
}

fn rewritten_models_as_text() {
    let text = |name: &str, all: &[&dyn Pass]| {
        let mut model = Model::load(testdata::path(&format!("made/{name}.onnx"))).expect("it loads");
        passes::run(&mut model, all).expect("it can be rewritten");
        model.to_text()
    };
    let texts = [
        text("conv_batchnorm", &[&FoldBatchNormalization]),
        text("behind_shared", &[&RemoveIdentities]),
        text("weight_with_other_readers", &[&FoldConstants]),
        text("conv_batchnorm", &[&FoldScales]),
        text("overridable_defaults", &[&FreezeParameters, &FoldScales]),
        text("external_two_files", &[&FuseMatMulAdd]),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

crate::tests![fixtures_compute_the_same_and_do_not_grow, rewritten_models_as_text];
