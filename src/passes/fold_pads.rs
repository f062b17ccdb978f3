//! Folds Pad into the operator behind it.

use super::{
    Pass,
    constants::{fixed, remove_unread},
};
use crate::{
    error::Result,
    ir::{Attribute, Model, OpId, Use, ValueId},
    operators::is_standard,
};

/// Folds Pad with constant zeros around spatial axes into the pads of the Conv or AveragePool behind it, where nothing
/// else reads what is padded.
///
/// A Conv multiplies what it pads by zero, which is what it did with the zeros. An AveragePool counts them, so
/// it is one with `count_include_pad` then; one that has pads of its own must be that already. A MaxPool
/// pads with what is smaller than any number, which is something else. Pads that crop stay, and so does a Pad
/// in front of an operator that finds its pads itself (`auto_pad`).
///
/// ```
/// use onnx_quant::{Model, passes::{FoldPads, Pass}};
/// let mut model = Model::load("testdata/kws_dscnn.onnx")?;
/// FoldPads.run(&mut model)?;
/// assert!(!FoldPads.run(&mut model)?);
/// # Ok::<(), onnx_quant::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FoldPads;

impl Pass for FoldPads {
    fn name(&self) -> &'static str {
        "fold-pads"
    }

    fn run(&self, model: &mut Model) -> Result<bool> {
        let mut unread = Vec::new();
        let mut gone = Vec::new();
        for window in model.ops().collect::<Vec<_>>() {
            // One Pad may stand before another.
            while let Some(Padded { pad, input, between, pads }) = padded(model, window) {
                unread.extend(model.inputs(pad).into_iter().skip(1).flatten());
                model.take_attribute(window, "auto_pad");
                model.set_attribute(window, "pads", Attribute::Ints(pads));
                if model.op(window).is("AveragePool") {
                    model.set_attribute(window, "count_include_pad", Attribute::Int(1));
                }
                model.set_input(Use { op: window, slot: 0 }, input);
                model.remove_op(pad);
                gone.push(between);
            }
        }
        let changed = !gone.is_empty();
        model.remove_values(gone);
        remove_unread(model, unread);
        Ok(changed)
    }
}

/// A Pad that can be folded.
struct Padded {
    pad: OpId,
    /// What it pads.
    input: ValueId,
    /// The value that is gone with it.
    between: ValueId,
    /// The pads of both, first those before the axes, then those behind.
    pads: Vec<i64>,
}

fn padded(model: &Model, window: OpId) -> Option<Padded> {
    let op = model.op(window);
    let pools = op.is("AveragePool");
    // Before opset 7 no attribute says what an AveragePool counts.
    let known = op.is("Conv") || pools && model.opset(op.scope()) >= 7;
    if !known || !is_standard(model, window) || op.has_attributes_of_caller() {
        return None;
    }
    let between = model.input(window, 0)?;
    let pad = model.producer(between)?;
    let alone = model.only_use(between).is_some() && !model.is_output(between);
    if !alone || model.op(pad).scope() != op.scope() {
        return None;
    }
    let zeros = zeros_around(model, pad)?;
    let own = match op.text("auto_pad").unwrap_or("NOTSET") {
        "NOTSET" => op.ints("pads").map_or_else(|| vec![0; zeros.len()], <[i64]>::to_vec),
        "VALID" => vec![0; zeros.len()],
        _ => return None,
    };
    if own.len() != zeros.len() || own.iter().any(|&pad| pad < 0) {
        return None;
    }
    let pads: Vec<i64> = own.iter().zip(&zeros).map(|(own, zeros)| own.checked_add(*zeros)).collect::<Option<_>>()?;
    if pools {
        let counted = op.int("count_include_pad").unwrap_or(0) != 0 || own.iter().all(|&pad| pad == 0);
        // Runtimes take no pool that a window may lie outside of.
        let window = op.ints("kernel_shape").filter(|window| 2 * window.len() == pads.len())?;
        let inside = pads.iter().zip(window.iter().cycle()).all(|(pad, window)| pad < window);
        if !counted || !inside || op.int("ceil_mode").unwrap_or(0) != 0 {
            return None;
        }
    }
    Some(Padded { pad, input: model.input(pad, 0)?, between, pads })
}

/// How many zeros a Pad puts before and behind each spatial axis; `None` where it does anything else.
fn zeros_around(model: &Model, id: OpId) -> Option<Vec<i64>> {
    let op = model.op(id);
    let plain = is_standard(model, id)
        && op.is("Pad")
        && op.text("mode").is_none_or(|mode| mode == "constant")
        && !op.has_attributes_of_caller();
    let [Some(_)] = model.outputs(id)[..] else { return None };
    // Inputs since opset 11, attributes before; axes that are named are written out by another pass.
    let (all, zero) = match model.opset(op.scope()) {
        2..11 => (op.ints("pads")?.to_vec(), op.float("value").unwrap_or(0.0) == 0.0),
        11.. => {
            let all = fixed(model, model.input(id, 1)?)?.to_array::<i64>().ok()?.iter().copied().collect();
            let zero = |value| Some(fixed(model, value)?.bytes().ok()?.iter().all(|&byte| byte == 0));
            (all, model.input(id, 2).is_none_or(|value| zero(value).unwrap_or(false)))
        }
        _ => return None,
    };
    if !plain || !zero || model.input(id, 3).is_some() || all.len() % 2 != 0 {
        return None;
    }
    let (before, behind) = all.split_at(all.len() / 2);
    let ((outer, before), (outer_behind, behind)) = (before.split_at_checked(2)?, behind.split_at_checked(2)?);
    let untouched = outer.iter().chain(outer_behind).all(|&pad| pad == 0);
    let zeros = [before, behind].concat();
    (untouched && !zeros.is_empty() && zeros.iter().all(|&pad| pad >= 0)).then_some(zeros)
}
