//! Which release has QuantizeLinear and DequantizeLinear of which opset.

/// The newest opset whose QuantizeLinear and DequantizeLinear 1.32 has kernels for. It loads float models of
/// opset 28.
pub const NEWEST_OPSET: i64 = 27;

/// The newest opset that the oldest release tried has, 1.17.
pub const OLDEST_OPSET: i64 = 20;

/// The first release that is known to run QuantizeLinear and DequantizeLinear of an opset; `None` where 1.32
/// does not. Older ones load no model of that opset at all. (Tried were 1.17.3, 1.18.1, 1.19.2, and one of
/// every release from 1.22 on.)
pub fn first_version(opset: i64) -> Option<&'static str> {
    Some(match opset {
        ..=OLDEST_OPSET => "1.17",
        21 => "1.18",
        22 => "1.22",
        23..=25 => "1.24",
        26 => "1.25",
        NEWEST_OPSET => "1.32",
        _ => return None,
    })
}
