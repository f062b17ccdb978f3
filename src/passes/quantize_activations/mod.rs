//! Puts QuantizeLinear and DequantizeLinear on the values between integer kernels, and makes biases
//! int32.

mod biases;

use std::collections::{BTreeMap, HashMap};

use super::Pass;
use crate::{
    error::Result,
    ir::{Model, NewOp, OpId, ScopeId, Tensor, Use, ValueId},
    plan::{ActivationPlan, Readers, ValuePlan, scale_dtype, storage_dtype},
};

/// Carries out a plan's decisions about activations and biases.
///
/// A value that all read quantized keeps its name: the DequantizeLinear makes it now, and what the
/// operator makes has a new one. So graph outputs are still there, and readers need not be touched.
/// QuantizeLinear stands right behind the operator, DequantizeLinear in each graph with readers.
#[derive(Debug)]
pub struct QuantizeActivations<'a> {
    /// The plan, made of the same model.
    pub plan: &'a ActivationPlan,
}

impl Pass for QuantizeActivations<'_> {
    fn name(&self) -> &'static str {
        "quantize-activations"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let mut changed = false;
        let mut pairs =
            Pairs { plans: self.plan.values.iter().map(|plan| (plan.value, plan)).collect(), made: HashMap::new() };
        for plan in &self.plan.values {
            changed |= pairs.insert(model, plan)?;
        }
        for bias in &self.plan.biases {
            changed |= biases::quantize(model, bias)?;
        }
        if changed {
            model.raise_ir_version(4);
            model.settle_default_opset();
        }
        Ok(changed)
    }
}

/// The pairs of QuantizeLinear and DequantizeLinear that are inserted.
struct Pairs<'a> {
    plans: HashMap<ValueId, &'a ValuePlan>,
    /// Scale and zero point, by the value that they are of and the graph that they are in.
    made: HashMap<(ValueId, ScopeId), [ValueId; 2]>,
}

impl Pairs<'_> {
    fn insert(&mut self, model: &mut Model, plan: &ValuePlan) -> Result<bool> {
        let value = plan.value;
        let uses = match &plan.readers {
            Readers::Everyone => model.uses(value),
            Readers::Only(uses) => uses.clone(),
        };
        if is_done(model, plan, &uses) {
            return Ok(false);
        }
        let scope = model.value(value).scope();
        let mut by_scope: BTreeMap<ScopeId, Vec<Use>> = BTreeMap::new();
        for use_ in uses {
            by_scope.entry(model.op(use_.op).scope()).or_default().push(use_);
        }
        if plan.readers == Readers::Everyone && model.is_output(value) {
            by_scope.entry(scope).or_default();
        }
        let producer = model.producer(value);
        let behind = producer.map_or_else(|| model.first_reader(value), |producer| model.op_after(producer));
        // The value itself is made by the DequantizeLinear of its graph, if all there read that.
        let takes_over = plan.readers == Readers::Everyone && by_scope.contains_key(&scope);
        let float = if producer.is_some() && takes_over {
            let float = model.new_value(scope, &format!("{}_float", plan.name));
            model.make_instead(value, float);
            float
        } else {
            value
        };
        let parameters = self.parameters(model, plan, scope, behind)?;
        let quantized = model.new_value(scope, &format!("{}_quantized", plan.name));
        let quantize = conversion("QuantizeLinear", plan, [float, parameters[0], parameters[1]], quantized);
        model.insert_op(scope, behind, quantize);
        let mut moves = HashMap::new();
        let mut outputs = Vec::new();
        for (reading, uses) in by_scope {
            let output = if reading == scope && takes_over {
                value
            } else {
                let output = model.new_value(reading, &format!("{}_dequantized", plan.name));
                moves.extend(uses.into_iter().map(|use_| (use_, output)));
                output
            };
            outputs.push((reading, output));
        }
        model.move_uses(value, &moves);
        for (reading, output) in outputs {
            let inputs = [quantized, parameters[0], parameters[1]];
            let position = if reading == scope { behind } else { model.first_reader(output) };
            model.insert_op(reading, position, conversion("DequantizeLinear", plan, inputs, output));
        }
        Ok(true)
    }

    /// Scale and zero point in a graph.
    fn parameters(
        &mut self,
        model: &mut Model,
        plan: &ValuePlan,
        scope: ScopeId,
        at: Option<OpId>,
    ) -> Result<[ValueId; 2]> {
        // Moved values have those of the value they come from, if that is in the same graph.
        let of = plan.parameters_of;
        if let Some(made) = self.made.get(&(of, scope)) {
            return Ok(*made);
        }
        let name = self.plans.get(&of).map_or(plan.name.as_str(), |of| of.name.as_str());
        let params = plan.params;
        let scale = Tensor::from_bytes(
            &format!("{name}_scale"),
            scale_dtype(plan.scheme.scale),
            &[],
            params.scale.to_le_bytes().to_vec(),
        )?;
        let zero_point = Tensor::from_bytes(
            &format!("{name}_zero_point"),
            storage_dtype(plan.scheme.ty),
            &[],
            plan.scheme.ty.encode(&[params.zero_point]),
        )?;
        let made = [scale, zero_point].map(|tensor| model.new_constant(scope, tensor, None, at));
        self.made.insert((of, scope), made);
        Ok(made)
    }
}

/// Whether a former run was here.
fn is_done(model: &Model, plan: &ValuePlan, uses: &[Use]) -> bool {
    match plan.readers {
        Readers::Everyone => model.producer(plan.value).is_some_and(|op| model.op(op).is("DequantizeLinear")),
        Readers::Only(_) => !uses.iter().any(|use_| model.input(use_.op, use_.slot) == Some(plan.value)),
    }
}

fn conversion(op_type: &'static str, plan: &ValuePlan, inputs: [ValueId; 3], output: ValueId) -> NewOp {
    let name = format!("{}_{op_type}", plan.name);
    NewOp { op_type, name, inputs: inputs.to_vec(), output, attributes: vec![] }
}
