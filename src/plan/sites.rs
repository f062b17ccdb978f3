//! Where a quantized weight is dequantized: mostly once, in front of everything that reads it, but
//! where a runtime makes more of another place, there.

use std::collections::{BTreeMap, HashSet};

use super::{Site, sharing::Group, trace::Constant};
use crate::{
    ir::{Model, OpId, ScopeId, Use, ValueId},
    numeric::{FloatType, Granularity, QuantizedType},
    operators::is_standard,
    targets::onnxruntime,
};

/// Where one copy of a weight is dequantized.
pub(super) struct Sites {
    pub sites: Vec<Site>,
    /// Whether the copy is stored transposed for them.
    pub transposed: bool,
}

/// Whether Gather picks from tensors of this type (ONNX operator Gather-13, type constraint T): not
/// from those of less than a byte, and not from small floats.
pub(super) fn gather_takes(ty: QuantizedType) -> bool {
    matches!(ty, QuantizedType::Int8 | QuantizedType::UInt8 | QuantizedType::Int16 | QuantizedType::UInt16)
}

/// Whether a constant is a table that nothing but Gathers read, along axes before that of the scales,
/// so that they can pick from integers of type `ty`.
pub(super) fn is_table(model: &Model, constant: &Constant, granularity: Granularity, ty: QuantizedType) -> bool {
    let axis = match granularity {
        Granularity::PerTensor => None,
        Granularity::PerChannel { axis } | Granularity::PerBlock { axis, .. } => Some(axis),
    };
    let picks = |use_: &Use| {
        let op = model.op(use_.op);
        // A negative axis counts from the end; with the rank unknown here only -1 would be plain.
        let picked = usize::try_from(op.int("axis").unwrap_or(0)).ok();
        op.is("Gather")
            && use_.slot == 0
            && matches!(model.inputs(use_.op)[..], [Some(_), Some(_)])
            && matches!(model.outputs(use_.op)[..], [Some(_)])
            && !op.refers_to_caller("axis")
            && picked.is_some_and(|picked| axis.is_none_or(|axis| picked < axis))
            // Measured: onnxruntime 1.32 makes an integer kernel of a MatMul behind a DequantizeLinear of
            // uint8, and then refuses to run it where that has more than one scale.
            && !(ty == QuantizedType::UInt8 && axis.is_some() && is_multiplied(model, use_.op))
    };
    let uses = model.uses(constant.value);
    !uses.is_empty() && uses.iter().all(picks) && !model.is_output(constant.value)
}

/// Whether what an operator makes goes straight into a product.
fn is_multiplied(model: &Model, op: OpId) -> bool {
    let mut makers = vec![op];
    while let Some(op) = makers.pop() {
        for use_ in model.outputs(op).into_iter().flatten().flat_map(|output| model.uses(output)) {
            match model.op(use_.op).op_type() {
                "MatMul" | "Gemm" => return true,
                // Runtimes take these away.
                "Identity" | "Dropout" if use_.slot == 0 => makers.push(use_.op),
                _ => {}
            }
        }
    }
    false
}

/// The constant's direct uses that a copy serves: all that none of the other copies does. (A use that
/// leads to no weight slot is one of the first copy's, which lists it.)
pub(super) fn uses(model: &Model, constant: &Constant, group: &Group, others: &[&Group]) -> Vec<Use> {
    if !group.first {
        let mut own: Vec<Use> = group.weight_uses.iter().map(|weight_use| weight_use.first).collect();
        own.dedup();
        return own;
    }
    let served = others.iter().flat_map(|other| other.weight_uses.iter().map(|weight_use| weight_use.first));
    let served: HashSet<Use> = served.collect();
    model.uses(constant.value).into_iter().filter(|use_| !served.contains(use_)).collect()
}

/// Where the copy of `group` is dequantized.
pub(super) fn sites(
    model: &Model,
    constant: &Constant,
    group: &Group,
    others: &[&Group],
    products: &Products,
    in_layers: bool,
) -> Sites {
    let in_front = |sites| Sites { sites, transposed: false };
    let uses = uses(model, constant, group, others);
    let ty = products.ty;
    if is_table(model, constant, group.granularity, ty) {
        return in_front(uses.iter().map(|use_| Site::BehindGather(use_.op)).collect());
    }
    if in_layers {
        return in_front(by_scope(model, constant, uses));
    }
    let alone = others.is_empty() && !model.is_output(constant.value);
    if alone && products.fuse_transposed(group.granularity) {
        let own = model.value(constant.value).scope();
        let sites: Option<Vec<Site>> = uses.iter().map(|use_| untransposed(model, *use_, own)).collect();
        if let Some(sites) = sites.filter(|sites| !sites.is_empty()) {
            return Sites { sites, transposed: true };
        }
    }
    // MatMulNBits is made where a DequantizeLinear has one reader.
    if uses.len() > 1 && uses.iter().all(|&use_| is_product(model, use_)) {
        return in_front(uses.into_iter().map(|use_| Site::Weight(vec![use_])).collect());
    }
    in_front(vec![Site::Weight(uses)])
}

/// Where a matrix goes that operators of onnxruntime's own read in blocks; the error is an operator that has none of
/// them in its place.
///
/// `MatMulNBits` stands for a product with the matrix as its right factor, whose blocks lie along the first axis, and
/// `GatherBlockQuantized` for a Gather from rows of 4 bits with blocks along the last axis. (onnxruntime's
/// documentation of contributed operators.)
pub(super) fn blocked_sites(
    model: &Model,
    constant: &Constant,
    granularity: Granularity,
    ty: QuantizedType,
    shape: &[usize],
) -> Result<Sites, Option<OpId>> {
    let uses = model.uses(constant.value);
    let other = |fits: &dyn Fn(&Use) -> bool| uses.iter().find(|use_| !fits(use_)).map(|use_| use_.op);
    let &Granularity::PerBlock { axis, .. } = &granularity else { return Err(other(&|_| false)) };
    if shape.len() != 2 || model.is_output(constant.value) {
        return Err(other(&|_| false));
    }
    let own = model.value(constant.value).scope();
    let product = |use_: &Use| {
        use_.slot == 1
            && is_standard(model, use_.op)
            && model.op(use_.op).is("MatMul")
            && model.op(use_.op).scope() == own
    };
    let table = |use_: &Use| {
        let op = model.op(use_.op);
        let rows = op.int("axis").unwrap_or(0) == 0 && !op.refers_to_caller("axis");
        use_.slot == 0 && is_standard(model, use_.op) && op.is("Gather") && rows && ty.bits() == 4
    };
    if uses.first().is_some_and(&table) {
        return match other(&table) {
            None if axis == 1 => {
                Ok(Sites { sites: uses.iter().map(|use_| Site::Table(use_.op)).collect(), transposed: false })
            }
            found => Err(found.or(uses.first().map(|use_| use_.op))),
        };
    }
    match other(&product) {
        None if axis == 0 && !uses.is_empty() => Ok(Sites { sites: vec![Site::Product(uses)], transposed: true }),
        found => Err(found),
    }
}

/// One place in every graph that uses are in.
fn by_scope(model: &Model, constant: &Constant, uses: Vec<Use>) -> Vec<Site> {
    let own = model.value(constant.value).scope();
    let mut by_scope: BTreeMap<ScopeId, Vec<Use>> = BTreeMap::new();
    for use_ in uses {
        by_scope.entry(model.op(use_.op).scope()).or_default().push(use_);
    }
    // Who has the constant as output reads it in its own graph.
    if model.is_output(constant.value) {
        by_scope.entry(own).or_default();
    }
    let site = |(scope, uses)| if scope == own { Site::Weight(uses) } else { Site::Body(uses) };
    by_scope.into_iter().map(site).collect()
}

/// Leaves those uses to a DequantizeLinear in a body whose operator `computes` in integers there; the others
/// read one in the weight's own graph. (Measured: onnxruntime 1.32 does not load a model where a product in a
/// body could become MatMulNBits and its integers are in the graph around.)
pub(super) fn only_layers_in_bodies(sites: &mut Vec<Site>, computes: impl Fn(OpId) -> bool) {
    let mut outside = Vec::new();
    for site in sites.iter_mut() {
        if let Site::Body(uses) = site {
            outside.extend(uses.extract_if(.., |use_| !computes(use_.op)));
        }
    }
    if outside.is_empty() {
        return;
    }
    sites.retain(|site| !matches!(site, Site::Body(uses) if uses.is_empty()));
    let own = sites.iter_mut().find_map(|site| match site {
        Site::Weight(uses) => Some(uses),
        _ => None,
    });
    match own {
        Some(uses) => uses.extend(outside),
        None => sites.insert(0, Site::Weight(outside)),
    }
}

/// Products with a weight, as far as the weight decides what becomes of them.
pub(super) struct Products<'a> {
    pub ty: QuantizedType,
    /// What is made of the integers.
    pub float: FloatType,
    pub shape: &'a [usize],
    pub in_body: bool,
}

impl Products<'_> {
    /// Whether they must not fuse with a matrix as it is.
    pub fn apart(&self) -> bool {
        matches!(self.shape, &[_, columns] if !self.right(columns))
    }

    /// Whether they fuse with a matrix once it is stored transposed.
    fn fuse_transposed(&self, granularity: Granularity) -> bool {
        let &[columns, _] = self.shape else { return false };
        let transposed = match granularity {
            Granularity::PerTensor => granularity,
            Granularity::PerChannel { axis } => Granularity::PerChannel { axis: 1 - axis },
            Granularity::PerBlock { axis, size } => Granularity::PerBlock { axis: 1 - axis, size },
        };
        onnxruntime::fuses_matmul(self.ty, transposed) && self.right(columns)
    }

    fn right(&self, columns: usize) -> bool {
        onnxruntime::computes_fused_matmul(self.ty, self.float, columns, self.in_body)
    }
}

/// Whether an operator takes a weight as the right factor of a product.
pub(super) fn is_product(model: &Model, use_: Use) -> bool {
    use_.slot == 1 && (model.op(use_.op).is("MatMul") || model.op(use_.op).is("Gemm"))
}

/// The site of a use that reads a matrix transposed, and that can read it the other way instead. Where a
/// Transpose is in another graph than the weight, `own`, a product that fuses there would not find the integers.
fn untransposed(model: &Model, use_: Use, own: ScopeId) -> Option<Site> {
    let op = model.op(use_.op);
    let plain = |name| op.float(name).is_none_or(|factor| factor == 1.0) && !op.refers_to_caller(name);
    if op.is("Gemm") && use_.slot == 1 && op.int("transB") == Some(1) && plain("alpha") && plain("beta") {
        return Some(Site::Gemm(use_));
    }
    (use_.slot == 0 && op.scope() == own && transpose_for_products(model, use_.op)).then_some(Site::Transpose(use_.op))
}

/// Whether a Transpose reads a value as it is, in a function that it is handed to, too.
pub(super) fn is_transposed(model: &Model, value: ValueId) -> bool {
    let (mut seen, mut ahead) = (HashSet::new(), vec![value]);
    while let Some(value) = ahead.pop() {
        let uses = if seen.insert(value) { model.uses(value) } else { Vec::new() };
        for use_ in uses {
            if let Some(function) = model.called_function(use_.op) {
                ahead.extend(model.scope(function).inputs().get(use_.slot).map(|input| input.value));
            } else if is_standard(model, use_.op) && use_.slot == 0 {
                match model.op(use_.op).op_type() {
                    "Transpose" => return true,
                    "Identity" => ahead.extend(model.outputs(use_.op).into_iter().flatten()),
                    _ => {}
                }
            }
        }
    }
    false
}

/// Whether an operator transposes a matrix for nothing but products' right factors.
fn transpose_for_products(model: &Model, id: OpId) -> bool {
    let op = model.op(id);
    let swaps = is_standard(model, id)
        && op.op_type() == "Transpose"
        && !op.refers_to_caller("perm")
        && op.ints("perm").is_none_or(|perm| perm == [1, 0]);
    // One output and no other: the Transpose goes.
    let [Some(output)] = model.outputs(id)[..] else { return false };
    let product = |use_: &Use| {
        let op = model.op(use_.op);
        use_.slot == 1
            && (op.is("MatMul")
                || op.is("Gemm") && op.int("transB").unwrap_or(0) == 0 && !op.refers_to_caller("transB"))
    };
    let uses = model.uses(output);
    swaps && !uses.is_empty() && uses.iter().all(product) && !model.is_output(output)
}
