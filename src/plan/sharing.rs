//! What shares a scale: one quantized copy of a weight where its operators agree on the axis, one
//! for each axis where they do not.

use std::collections::HashMap;

use super::{
    Otherwise,
    trace::{Constant, WeightUse},
};
use crate::{config, numeric::Granularity};

/// The opset from which on a scale per channel exists.
pub(super) const PER_CHANNEL_OPSET: i64 = 13;

/// Uses of a constant that share a quantized copy.
pub(super) struct Group<'a> {
    pub granularity: Granularity,
    pub weight_uses: Vec<&'a WeightUse>,
    pub otherwise: Option<Otherwise>,
    /// Whether it also serves the uses that no group is for.
    pub first: bool,
}

/// The copies of a weight of this shape, as far as `opset` has them.
pub(super) fn groups<'a>(
    constant: &'a Constant,
    asked: config::Granularity,
    shape: &[usize],
    opset: i64,
) -> Vec<Group<'a>> {
    let all: Vec<&WeightUse> = constant.weight_uses.iter().collect();
    let one = |granularity, otherwise| vec![Group { granularity, weight_uses: all.clone(), otherwise, first: true }];
    let axis_of = |use_: &WeightUse| match asked {
        config::Granularity::PerTensor => None,
        config::Granularity::PerChannel => use_.axes.channels,
        // A vector that is one block has one scale, which onnxruntime takes for that of a tensor.
        config::Granularity::Block { size, .. } if matches!(shape, &[length] if length <= size) => None,
        config::Granularity::Block { axis: None, .. } => use_.axes.reduced,
        config::Granularity::Block { axis, .. } => axis.filter(|axis| *axis < shape.len()),
    };
    let along = |axis| match asked {
        config::Granularity::PerTensor => Granularity::PerTensor,
        config::Granularity::PerChannel => Granularity::PerChannel { axis },
        config::Granularity::Block { size, .. } => Granularity::PerBlock { axis, size },
    };
    if asked == config::Granularity::PerTensor {
        return one(Granularity::PerTensor, None);
    }
    if asked == config::Granularity::PerChannel && opset < PER_CHANNEL_OPSET {
        return one(Granularity::PerTensor, Some(Otherwise::OldOpset));
    }
    // An operator that is content with any axis does not decide while there is one that is not.
    let deciding = all.iter().filter(|use_| !use_.axes.any).chain(&all);
    let Some(first) = deciding.into_iter().find_map(|use_| axis_of(use_)) else {
        return one(Granularity::PerTensor, Some(Otherwise::NoAxis));
    };
    let mut groups = vec![Group { granularity: along(first), weight_uses: vec![], otherwise: None, first: true }];
    let mut group_of = HashMap::new();
    for use_ in all {
        // Uses behind one direct use of the constant cannot be told apart: the first decides.
        let position = match axis_of(use_) {
            Some(axis) if !use_.axes.any => {
                let known = group_of.get(&use_.first).copied();
                known.or_else(|| groups.iter().position(|group| group.granularity == along(axis)))
            }
            _ => Some(0),
        };
        group_of.entry(use_.first).or_insert(position.unwrap_or(groups.len()));
        match (position, axis_of(use_)) {
            (Some(position), _) => groups[position].weight_uses.push(use_),
            (None, axis) => groups.push(Group {
                granularity: axis.map_or(Granularity::PerTensor, along),
                weight_uses: vec![use_],
                otherwise: None,
                first: false,
            }),
        }
    }
    groups
}
