//! A sample's elements as the model takes them: of its type, within range, finite.

use half::{bf16, f16};

use crate::ir::{DataType, is_float, type_name};

/// Whether elements of one type may be given where another is expected: numbers stay what they are,
/// but for rounding.
pub(super) fn is_harmless(from: DataType, to: DataType) -> bool {
    use DataType::{Int32, Int64};
    from == to || is_float(from) && is_float(to) || matches!((from, to), (Int32, Int64) | (Int64, Int32))
}

/// The elements in the expected type, little-endian as they came.
///
/// # Errors
/// What is wrong with them, and with which: not finite, or out of range.
pub(super) fn elements(from: DataType, to: DataType, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if is_float(from) {
        refuse_infinite(from, &bytes, "which is not finite")?;
        if from == to {
            return Ok(bytes);
        }
        let bytes = converted(from, to, &bytes);
        refuse_infinite(to, &bytes, &format!("once it is converted to {}, whose range it exceeds", type_name(to)))?;
        return Ok(bytes);
    }
    Ok(match (from, to) {
        (DataType::Int32, DataType::Int64) => {
            bytes.as_chunks().0.iter().flat_map(|it| i64::from(i32::from_le_bytes(*it)).to_le_bytes()).collect()
        }
        (DataType::Int64, DataType::Int32) => {
            let mut narrow = Vec::with_capacity(bytes.len() / 2);
            for (index, element) in bytes.as_chunks().0.iter().enumerate() {
                let wide = i64::from_le_bytes(*element);
                let element = i32::try_from(wide).map_err(|_| {
                    format!("has {wide} at index {index}, but is int32 in the model, whose range that exceeds")
                })?;
                narrow.extend(element.to_le_bytes());
            }
            narrow
        }
        // What is not 0 is true; that it is 1 is what runtimes rely on.
        (_, DataType::Bool) => bytes.into_iter().map(|byte| u8::from(byte != 0)).collect(),
        _ => bytes,
    })
}

/// Every float of 64 bits and less is exact in 64, so it is rounded once.
fn converted(from: DataType, to: DataType, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut write: Box<dyn FnMut(f64)> = match to {
        DataType::Float16 => Box::new(|x| out.extend(f16::from_f64(x).to_le_bytes())),
        DataType::Bfloat16 => Box::new(|x| out.extend(bf16::from_f64(x).to_le_bytes())),
        DataType::Float => Box::new(|x| out.extend((x as f32).to_le_bytes())),
        _ => Box::new(|x| out.extend(x.to_le_bytes())),
    };
    for_each(from, bytes, |_, x| {
        write(x);
        true
    });
    drop(write);
    out
}

fn refuse_infinite(dtype: DataType, bytes: &[u8], reason: &str) -> Result<(), String> {
    let mut found = None;
    for_each(dtype, bytes, |index, x| {
        if !x.is_finite() {
            found = Some((index, x));
        }
        x.is_finite()
    });
    found.map_or(Ok(()), |(index, x)| Err(format!("has {x} at index {index} (row-major), {reason}")))
}

/// Hands over elements and their indices until it is told not to go on.
fn for_each(dtype: DataType, bytes: &[u8], mut see: impl FnMut(usize, f64) -> bool) {
    fn run<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64, see: &mut impl FnMut(usize, f64) -> bool) {
        bytes.as_chunks::<N>().0.iter().enumerate().all(|(index, element)| see(index, read(*element)));
    }
    match dtype {
        DataType::Float16 => run(bytes, |it| f16::from_le_bytes(it).to_f64(), &mut see),
        DataType::Bfloat16 => run(bytes, |it| bf16::from_le_bytes(it).to_f64(), &mut see),
        DataType::Float => run(bytes, |it| f64::from(f32::from_le_bytes(it)), &mut see),
        DataType::Double => run(bytes, f64::from_le_bytes, &mut see),
        _ => {}
    }
}
