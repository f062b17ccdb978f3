//! Raises a model's opset: operators that changed on the way are rewritten so that they go on doing
//! what they did.
//!
//! The operator set changes an opset at a time, and so does the model: for each step, every operator
//! that has a new version there is looked up in a table (`operators.rs`) that says whether it can
//! stay or which adapter rewrites it. What an adapter inserts is written for that step's opset and
//! goes through the later steps like everything else.

mod attributes;
mod attributes_to_inputs;
mod broadcasting;
mod normalization;
mod operators;
mod resize;
mod scan;
mod softmax;
mod step;

use std::collections::{BTreeMap, HashMap, HashSet};

use self::{
    operators::{Change, NEWEST, OPERATORS, find_of_onnxruntime},
    step::Step,
};
use super::Pass;
use crate::{
    analysis::Facts,
    error::{Error, ErrorKind, Location, Result},
    ir::{Model, OpId, ScopeId},
    operators::is_standard,
    proto::GraphProto,
};

/// Raises the version of the default operator set (the opset) to [`to`](Self::to) where it is lower,
/// in the main graph with its bodies and in each of the model's own functions.
///
/// It never lowers it, and leaves operators of other domains alone. The IR version rises as far as
/// the opset needs; where that is from before version 4, initializers leave the graph inputs. Where a file imports the default operator set under both of its names it imports
/// it once from then on.
///
/// ```
/// use onnx_quant::{Model, passes::{Pass, UpgradeOpset}};
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// assert!(UpgradeOpset { to: 21 }.run(&mut model)?);
/// assert_eq!(model.opset(Model::MAIN), 21);
/// assert_eq!(model.ir_version(), 10);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpgradeOpset {
    /// The opset to be reached, at most [`NEWEST_OPSET`](Self::NEWEST_OPSET).
    pub to: i64,
}

/// What an upgrade did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upgraded {
    /// The main graph's opset before.
    pub from: i64,
    /// The main graph's opset now.
    pub to: i64,
    /// How many operators had to be rewritten, by the type that they had.
    pub rewritten: BTreeMap<String, usize>,
    /// Whether anything changed at all.
    pub changed: bool,
}

impl Pass for UpgradeOpset {
    fn name(&self) -> &'static str {
        "upgrade-opset"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        Ok(self.upgrade(model)?.changed)
    }
}

impl UpgradeOpset {
    /// The newest opset that is known here.
    pub const NEWEST_OPSET: i64 = NEWEST;

    /// Raises the opset, and says what that took.
    ///
    /// # Errors
    /// An operator cannot be carried over: it went away, is none of the operator set, or how to
    /// rewrite it depends on a value, rank or type that is not known. The error names it. The model
    /// is in no state to be used then.
    pub fn upgrade(&self, model: &mut Model) -> Result<Upgraded> {
        if !(1..=NEWEST).contains(&self.to) {
            return Err(Error::config(format!("opset {} is not known; choose one from 1 to {NEWEST}", self.to)));
        }
        let from = model.opset(Model::MAIN);
        let mut upgraded = Upgraded { from, to: from.max(self.to), ..Upgraded::default() };
        let roots: Vec<ScopeId> = model.scopes().filter(|&scope| model.scope(scope).owner().is_none()).collect();
        let raised: Vec<ScopeId> =
            roots.iter().copied().filter(|&root| has_opset(model, root) && model.opset(root) < self.to).collect();
        if !raised.is_empty() {
            for &root in &raised {
                check_known(model, root)?;
            }
            check_training(model, self.to)?;
            let facts = Facts::as_stated(model);
            let overridable = model.ir_version() >= 4;
            // First, as it decides what form new constants have.
            model.raise_ir_version(ir_version(self.to));
            let callers = callers(model);
            let mut enlarging = HashSet::new();
            for root in raised {
                for to in model.opset(root) + 1..=self.to {
                    let mut step =
                        Step { model, facts: &facts, callers: &callers, to, overridable, enlarging: &mut enlarging };
                    step_up(&mut step, root, &mut upgraded.rewritten)?;
                }
                model.set_opset(root, self.to);
            }
            upgraded.changed = true;
        }
        if roots.iter().any(|&root| default_imports(model, root) > 1) {
            model.settle_default_opset();
            upgraded.changed = true;
        }
        Ok(upgraded)
    }

    /// Every version of every operator of the default operator set, ascending, by operator type, and
    /// whether operators of the version before are rewritten for it.
    pub fn known_versions() -> impl Iterator<Item = (&'static str, Vec<(i64, bool)>)> {
        OPERATORS.iter().map(|operator| {
            let changes = operator.changes.iter();
            let changes = changes.map(|(version, change)| (*version, matches!(change, Change::Adapt(_))));
            (operator.op_type, std::iter::once((operator.since, false)).chain(changes).collect())
        })
    }
}

/// Takes all operators of a graph or function, with its bodies, up to the step's opset.
fn step_up(step: &mut Step<'_>, root: ScopeId, rewritten: &mut BTreeMap<String, usize>) -> Result<()> {
    let ops = step.model.ops_within(root);
    for op in ops {
        let Some(adapter) = adapter(step.model, op, step.to) else { continue };
        let location = step.model.location(op);
        let op_type = step.model.op(op).op_type().to_owned();
        let changed = adapter(step, op).map_err(|error| located(error, location))?;
        if changed {
            *rewritten.entry(op_type).or_default() += 1;
        }
    }
    Ok(())
}

/// The operators that call each function.
fn callers(model: &Model) -> HashMap<ScopeId, Vec<OpId>> {
    let mut callers: HashMap<ScopeId, Vec<OpId>> = HashMap::new();
    for op in model.ops() {
        if let Some(function) = model.called_function(op) {
            callers.entry(function).or_default().push(op);
        }
    }
    callers
}

/// What rewrites an operator for an opset in which it changed.
fn adapter(model: &Model, op: OpId, to: i64) -> Option<operators::Adapter> {
    let shell = model.op(op);
    if !shell.domain().is_empty() {
        return None;
    }
    let own = find_of_onnxruntime(shell.op_type(), to - 1);
    let change = match own.and_then(|own| own.until) {
        Some((last, change)) if last + 1 == to => Some(change),
        _ => operators::change(shell.op_type(), to),
    };
    match change? {
        Change::Adapt(adapter) if model.called_function(op).is_none() => Some(adapter),
        Change::Adapt(_) | Change::Same => None,
    }
}

/// Checks that the operators of a graph or function are ones whose changes are known, and that there is
/// such an opset.
fn check_known(model: &Model, root: ScopeId) -> Result<()> {
    let opset = model.opset(root);
    for op in model.ops_within(root) {
        let shell = model.op(op);
        if !shell.domain().is_empty()
            || find_of_onnxruntime(shell.op_type(), opset).is_some()
            || model.called_function(op).is_some()
        {
            continue;
        }
        let reason = match operators::find(shell.op_type()) {
            Some(_) if !is_standard(model, op) => {
                "it carries a graph as an attribute, and no operator of its type has a use for one".to_owned()
            }
            Some(operator) if operator.since <= opset => continue,
            Some(operator) => format!(
                "opset {opset}, which the model declares, does not have it; it is there since opset {}",
                operator.since
            ),
            None => format!(
                "the default operator set has no such operator (opsets 1 to {NEWEST}); if it is one of your own, give it a domain"
            ),
        };
        return Err(located(ErrorKind::Upgrade { to: opset + 1, reason }.into(), model.location(op)));
    }
    if opset < 1 {
        let reason = format!("opset {opset} is imported, but the first is 1");
        return Err(ErrorKind::Upgrade { to: 1, reason }.into());
    }
    Ok(())
}

/// Checks that nothing changed for the graphs of the training information: the IR does not hold
/// them, so nothing rewrites them, but their opset is the model's.
fn check_training(model: &Model, to: i64) -> Result<()> {
    let from = model.opset(Model::MAIN);
    let graphs = model.shell.training_info.iter().flat_map(|info| [&info.initialization, &info.algorithm]);
    let mut waiting: Vec<&GraphProto> = graphs.flatten().collect();
    while let Some(graph) = waiting.pop() {
        for node in &graph.node {
            waiting.extend(node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)));
            let operator = operators::find(node.op_type()).filter(|_| matches!(node.domain(), "" | "ai.onnx"));
            let changes = operator.map_or([].as_slice(), |operator| operator.changes);
            let adapted = changes
                .iter()
                .find(|(version, change)| (from + 1..=to).contains(version) && matches!(change, Change::Adapt(_)));
            if let Some((version, _)) = adapted {
                let reason = format!(
                    "{} of the training information changed, which is not rewritten; remove the training information first",
                    node.op_type()
                );
                return Err(ErrorKind::Upgrade { to: *version, reason }.into());
            }
        }
    }
    Ok(())
}

fn located(error: Error, location: Location) -> Error {
    let error = error.at(location.path, location.operator);
    match location.file {
        Some(file) => error.in_file(file),
        None => error,
    }
}

/// Whether a graph or function has an opset: functions may do without the default operator set.
fn has_opset(model: &Model, root: ScopeId) -> bool {
    root == Model::MAIN || default_imports(model, root) > 0
}

fn default_imports(model: &Model, root: ScopeId) -> usize {
    model.opset_imports(root).iter().filter(|import| matches!(import.domain(), "" | "ai.onnx")).count()
}

/// The lowest IR version that may hold an opset.
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=8 => 3,
        9 => 4,
        10 => 5,
        11 => 6,
        12..=14 => 7,
        15..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        23 => 11,
        24 => 12,
        25..=27 => 13,
        28.. => 14,
    }
}
