//! Small rewrites of a model, each of which can be run on its own.
//!
//! A pass carries out what a [plan](crate::plan) decided, or a rule that needs no decision. It does
//! nothing the second time, leaves alone what it is not about, and keeps the model's invariants
//! ([`Model::verify`]).

mod constants;
mod fold_batch_normalization;
mod fold_constants;
mod fold_pads;
mod fold_scales;
mod fold_trained_pairs;
mod freeze_parameters;
mod fuse_matmul_add;
mod linear;
mod quantize_activations;
mod quantize_dynamically;
mod quantize_weights;
mod remove_identities;
mod repeat_pairs;
mod settle_weights;
mod split_gemm;
mod upgrade;
mod widen_halves;
mod write_out_axes;

pub use fold_batch_normalization::FoldBatchNormalization;
pub use fold_constants::FoldConstants;
pub use fold_pads::FoldPads;
pub use fold_scales::FoldScales;
pub use fold_trained_pairs::FoldTrainedPairs;
pub use freeze_parameters::FreezeParameters;
pub use fuse_matmul_add::FuseMatMulAdd;
pub use quantize_activations::QuantizeActivations;
pub use quantize_dynamically::QuantizeDynamically;
pub use quantize_weights::QuantizeWeights;
pub use remove_identities::RemoveIdentities;
pub use repeat_pairs::RepeatPairs;
pub use settle_weights::SettleWeights;
pub use split_gemm::SplitGemm;
pub use upgrade::{UpgradeOpset, Upgraded};
pub use widen_halves::WidenHalves;
pub use write_out_axes::WriteOutAxes;

use crate::{error::Result, ir::Model};

/// The passes that simplify a model before its activations are quantized, in order. Without the first of
/// them, [`FreezeParameters`], callers can go on overriding what they could.
///
/// ```
/// use onnx_quant::{Model, passes};
/// let mut model = Model::load("testdata/ppocr_cls.onnx")?;
/// passes::run(&mut model, &passes::before_activations())?;
/// assert!(!model.ops().any(|op| model.op(op).is("BatchNormalization")));
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub fn before_activations() -> [&'static dyn Pass; 9] {
    [
        // What callers may override is no constant to the others.
        &FreezeParameters,
        // Before the others: an Identity or Dropout hides from all others what is behind what.
        &RemoveIdentities,
        // Weights and parameters must be constants before anything is folded into them.
        &FoldConstants,
        // Exporters add a bias, or a scale, before the normalization as often as behind it.
        &FoldScales,
        // Behind the scales of products, before what only a bias can take.
        &FuseMatMulAdd,
        &FoldBatchNormalization,
        &FoldScales,
        // Behind what makes constants of axes.
        &WriteOutAxes,
        // Behind what makes constants of pads, and has them for all axes.
        &FoldPads,
    ]
}

/// A rewrite of a model.
///
/// ```
/// use onnx_quant::{Config, Model, passes::{Pass, QuantizeWeights, run}, plan::plan};
///
/// /// A pass of one's own: it runs between or after those of this crate.
/// struct NameTheGraph;
///
/// impl Pass for NameTheGraph {
///     fn name(&self) -> &'static str {
///         "name-the-graph"
///     }
///     fn run(&self, model: &mut Model) -> onnx_quant::Result<bool> {
///         let changed = model.metadata("stage") != Some("quantized");
///         model.set_metadata("stage", "quantized");
///         Ok(changed)
///     }
/// }
///
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// let plan = plan(&model, &Config::default())?;
/// run(&mut model, &[&QuantizeWeights { plan: &plan }, &NameTheGraph])?;
/// # Ok::<(), onnx_quant::Error>(())
/// ```
pub trait Pass {
    /// The pass's name, for messages.
    fn name(&self) -> &'static str;

    /// Rewrites the model; tells whether anything changed.
    ///
    /// # Errors
    /// The model cannot be rewritten; it is in no state to be used then.
    fn run(&self, model: &mut Model) -> Result<bool>;
}

/// Runs passes in order. In debug builds the model's invariants are checked after each.
///
/// # Errors
/// A pass fails, or (in debug builds) leaves a broken model behind.
pub fn run(model: &mut Model, passes: &[&dyn Pass]) -> Result<()> {
    for pass in passes {
        pass.run(model)?;
        if cfg!(debug_assertions) {
            model.verify()?;
        }
    }
    Ok(())
}
