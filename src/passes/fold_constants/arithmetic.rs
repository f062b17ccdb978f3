//! Operators that compute each element of its own, and reductions of integers.
//!
//! What IEEE 754 defines (addition to division, square roots, comparisons) is what every runtime
//! computes, to the bit. Powers and exponentials are computed in binary64 and rounded once; runtimes
//! differ in them by a unit in the last place.

use ndarray::{ArrayD, Axis, IxDyn, Zip};

use super::{
    array::Array,
    evaluate::Evaluation,
    rearrange::{axes, broadcast_shape},
};

impl Evaluation<'_> {
    /// A number of each pair of elements.
    pub(super) fn binary(&self) -> Option<Array> {
        let (left, right) = (self.input(0)?, self.input(1)?);
        self.allow_broadcast(&[left, right])?;
        if self.op.op_type() == "Pow" && left.dtype() != right.dtype() {
            // The result is of the base's type.
            return power(
                left,
                &right.cast(left.dtype()).filter(|cast| cast.cast(right.dtype()).as_ref() == Some(right))?,
            );
        }
        pair(self.op.op_type(), left, right, self.op.int("fmod").unwrap_or(0) != 0)
    }

    /// The same, of any number of inputs.
    pub(super) fn variadic(&self) -> Option<Array> {
        let inputs: Vec<&Array> = self.inputs.iter().map(Option::as_ref).collect::<Option<_>>()?;
        self.allow_broadcast(&inputs)?;
        let (first, others) = inputs.split_first()?;
        others.iter().try_fold((*first).clone(), |folded, other| pair(self.op.op_type(), &folded, other, false))
    }

    pub(super) fn compare(&self) -> Option<Array> {
        let (left, right) = (self.input(0)?, self.input(1)?);
        self.allow_broadcast(&[left, right])?;
        macro_rules! compared {
            ($left:expr, $right:expr) => {
                zip(
                    $left,
                    $right,
                    match self.op.op_type() {
                        "Equal" => |a, b| a == b,
                        "Less" => |a, b| a < b,
                        "LessOrEqual" => |a, b| a <= b,
                        "Greater" => |a, b| a > b,
                        "GreaterOrEqual" => |a, b| a >= b,
                        _ => return None,
                    },
                )
            };
        }
        let logic: fn(bool, bool) -> bool = match self.op.op_type() {
            "And" => |a, b| a && b,
            "Or" => |a, b| a || b,
            "Xor" => |a, b| a != b,
            "Equal" => |a, b| a == b,
            _ => |_, _| false,
        };
        let logical = matches!(self.op.op_type(), "And" | "Or" | "Xor");
        Some(Array::Bool(match (left, right) {
            (Array::Bool(a), Array::Bool(b)) if logical || self.op.op_type() == "Equal" => zip(a, b, logic)?,
            (Array::I32(a), Array::I32(b)) => compared!(a, b)?,
            (Array::I64(a), Array::I64(b)) => compared!(a, b)?,
            (Array::F16(a), Array::F16(b)) => compared!(a, b)?,
            (Array::F32(a), Array::F32(b)) => compared!(a, b)?,
            (Array::F64(a), Array::F64(b)) => compared!(a, b)?,
            _ => return None,
        }))
    }

    pub(super) fn unary(&self) -> Option<Array> {
        macro_rules! float {
            ($elements:expr, $type:ty) => {
                $elements.mapv(match self.op.op_type() {
                    "Neg" => |x: $type| -x,
                    "Abs" => |x: $type| x.abs(),
                    "Sqrt" => |x: $type| x.sqrt(),
                    "Reciprocal" => |x: $type| 1.0 / x,
                    "Exp" => |x: $type| f64::from(x).exp() as $type,
                    "Floor" => |x: $type| x.floor(),
                    "Ceil" => |x: $type| x.ceil(),
                    _ => return None,
                })
            };
        }
        macro_rules! integer {
            ($elements:expr, $type:ty) => {
                $elements.mapv(match self.op.op_type() {
                    "Neg" => |x: $type| x.wrapping_neg(),
                    "Abs" => |x: $type| x.wrapping_abs(),
                    _ => return None,
                })
            };
        }
        Some(match self.input(0)? {
            Array::Bool(elements) if self.op.op_type() == "Not" => Array::Bool(elements.mapv(|x| !x)),
            Array::I32(elements) => Array::I32(integer!(elements, i32)),
            Array::I64(elements) => Array::I64(integer!(elements, i64)),
            Array::F32(elements) => Array::F32(float!(elements, f32)),
            Array::F64(elements) => Array::F64(float!(elements, f64)),
            _ => return None,
        })
    }

    /// Bounds are inputs since opset 11.
    pub(super) fn clip(&self) -> Option<Array> {
        if self.op.attribute("min").or(self.op.attribute("max")).is_some() {
            return None;
        }
        let mut data = self.input(0)?.clone();
        for (slot, op_type) in [(1, "Max"), (2, "Min")] {
            match self.inputs.get(slot) {
                Some(Some(bound)) if bound.rank() == 0 => data = pair(op_type, &data, bound, false)?,
                Some(Some(_)) => return None,
                _ => {}
            }
        }
        Some(data)
    }

    pub(super) fn choose(&self) -> Option<Array> {
        let (Array::Bool(condition), left, right) = (self.input(0)?, self.input(1)?, self.input(2)?) else {
            return None;
        };
        self.allow_broadcast(&[left, right, self.input(0)?])?;
        macro_rules! chosen {
            ($kind:ident, $left:expr, $right:expr) => {{
                let shape = IxDyn(&broadcast_shape(&[condition.shape(), $left.shape(), $right.shape()])?);
                let (condition, left) = (condition.broadcast(shape.clone())?, $left.broadcast(shape.clone())?);
                let pairs = Zip::from(condition).and(left).and($right.broadcast(shape)?);
                Array::$kind(pairs.map_collect(|&condition, &left, &right| if condition { left } else { right }))
            }};
        }
        Some(match (left, right) {
            (Array::Bool(a), Array::Bool(b)) => chosen!(Bool, a, b),
            (Array::I32(a), Array::I32(b)) => chosen!(I32, a, b),
            (Array::I64(a), Array::I64(b)) => chosen!(I64, a, b),
            (Array::F16(a), Array::F16(b)) => chosen!(F16, a, b),
            (Array::F32(a), Array::F32(b)) => chosen!(F32, a, b),
            (Array::F64(a), Array::F64(b)) => chosen!(F64, a, b),
            _ => return None,
        })
    }

    /// Of integers; sums of floats would differ with how a runtime adds them up.
    pub(super) fn reduce(&self) -> Option<Array> {
        let data = self.input(0)?;
        let along = self.integers("axes", 1).filter(|along| !along.is_empty());
        let mut along = match along {
            Some(along) => axes(&along, data.rank())?,
            None if self.op.int("noop_with_empty_axes").unwrap_or(0) != 0 => return Some(data.clone()),
            None => (0..data.rank()).collect(),
        };
        along.sort_unstable();
        // Along an axis without elements the result is larger.
        let shape = data.shape().into_iter().enumerate();
        let shape = shape.map(|(axis, size)| if along.contains(&axis) { 1 } else { size }).collect::<Vec<_>>();
        self.allow(&shape, data)?;
        let keep = self.op.int("keepdims").unwrap_or(1) != 0;
        macro_rules! reduced {
            ($elements:expr) => {{
                let mut elements = $elements.clone();
                for &axis in along.iter().rev() {
                    let lanes = Axis(axis);
                    elements = match self.op.op_type() {
                        "ReduceProd" => elements.fold_axis(lanes, 1, |a, b| a.wrapping_mul(*b)),
                        "ReduceSum" => elements.fold_axis(lanes, 0, |a, b| a.wrapping_add(*b)),
                        // Of nothing there is no largest.
                        _ if elements.shape()[axis] == 0 => return None,
                        "ReduceMax" => elements.map_axis(lanes, |lane| lane.iter().copied().max().unwrap_or_default()),
                        "ReduceMin" => elements.map_axis(lanes, |lane| lane.iter().copied().min().unwrap_or_default()),
                        _ => return None,
                    };
                    if keep {
                        elements = elements.insert_axis(lanes);
                    }
                }
                elements
            }};
        }
        Some(match data {
            Array::I32(elements) => Array::I32(reduced!(elements)),
            Array::I64(elements) => Array::I64(reduced!(elements)),
            _ => return None,
        })
    }

    fn allow_broadcast(&self, inputs: &[&Array]) -> Option<()> {
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|input| input.shape()).collect();
        let shape = broadcast_shape(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        self.allow(&shape, inputs.first()?)
    }
}

fn zip<T: Copy, R>(left: &ArrayD<T>, right: &ArrayD<T>, of: fn(T, T) -> R) -> Option<ArrayD<R>> {
    let shape = IxDyn(&broadcast_shape(&[left.shape(), right.shape()])?);
    Some(Zip::from(left.broadcast(shape.clone())?).and(right.broadcast(shape)?).map_collect(|&a, &b| of(a, b)))
}

/// A number of each pair of elements; `None` where an integer is divided by zero.
fn pair(op_type: &str, left: &Array, right: &Array, truncated: bool) -> Option<Array> {
    macro_rules! float {
        ($left:expr, $right:expr) => {
            zip(
                $left,
                $right,
                match op_type {
                    "Add" | "Sum" => |a, b| a + b,
                    "Sub" => |a, b| a - b,
                    "Mul" => |a, b| a * b,
                    "Div" => |a, b| a / b,
                    // What is no number stays none.
                    "Min" => |a, b| if a.is_nan() || a < b { a } else { b },
                    "Max" => |a, b| if a.is_nan() || a > b { a } else { b },
                    "Mod" if truncated => |a, b| a % b,
                    _ => return None,
                },
            )
        };
    }
    macro_rules! integer {
        ($left:expr, $right:expr) => {{
            if matches!(op_type, "Div" | "Mod") && $right.iter().any(|&divisor| divisor == 0) {
                return None;
            }
            zip(
                $left,
                $right,
                match op_type {
                    "Add" | "Sum" => |a, b| a.wrapping_add(b),
                    "Sub" => |a, b| a.wrapping_sub(b),
                    "Mul" => |a, b| a.wrapping_mul(b),
                    "Div" => |a, b| a.wrapping_div(b),
                    "Min" => |a, b| a.min(b),
                    "Max" => |a, b| a.max(b),
                    "Mod" if truncated => |a, b| a.wrapping_rem(b),
                    // Of the divisor's sign.
                    "Mod" => |a, b| {
                        let rest = a.wrapping_rem(b);
                        if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
                    },
                    _ => return None,
                },
            )
        }};
    }
    if op_type == "Pow" {
        return power(left, right);
    }
    Some(match (left, right) {
        (Array::I8(a), Array::I8(b)) if op_type == "Min" => Array::I8(zip(a, b, i8::min)?),
        (Array::I8(a), Array::I8(b)) if op_type == "Max" => Array::I8(zip(a, b, i8::max)?),
        (Array::U8(a), Array::U8(b)) if op_type == "Min" => Array::U8(zip(a, b, u8::min)?),
        (Array::U8(a), Array::U8(b)) if op_type == "Max" => Array::U8(zip(a, b, u8::max)?),
        (Array::I32(a), Array::I32(b)) => Array::I32(integer!(a, b)?),
        (Array::I64(a), Array::I64(b)) => Array::I64(integer!(a, b)?),
        (Array::F32(a), Array::F32(b)) => Array::F32(float!(a, b)?),
        (Array::F64(a), Array::F64(b)) => Array::F64(float!(a, b)?),
        _ => return None,
    })
}

/// Powers, of floats.
fn power(base: &Array, exponent: &Array) -> Option<Array> {
    Some(match (base, exponent) {
        (Array::F32(a), Array::F32(b)) => Array::F32(zip(a, b, |a, b| f64::from(a).powf(f64::from(b)) as f32)?),
        (Array::F64(a), Array::F64(b)) => Array::F64(zip(a, b, |a, b| a.powf(b))?),
        _ => return None,
    })
}
