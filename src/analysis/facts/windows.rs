//! Sizes of what convolutions and pools make. (ONNX operators Conv and MaxPool: "output shape".)

use super::{Shape, rules::Rule};

impl Rule<'_> {
    /// Batch, channels, and for each spatial axis how often the window fits. Where a size is rounded up (`ceil_mode`)
    /// runtimes differ, and nothing is said of spatial sizes.
    pub(super) fn windowed(&self, channels: Option<usize>) -> Option<Shape> {
        let input = self.shape(0)?;
        let (outer, spatial) = input.split_at_checked(2)?;
        let mut sizes = vec![outer[0], channels];
        let known = self.spatial(spatial).unwrap_or_else(|| vec![None; spatial.len()]);
        sizes.extend(known);
        Some(sizes)
    }

    fn spatial(&self, sizes: &[Option<usize>]) -> Option<Shape> {
        let axes = sizes.len();
        let list = |name: &str, none: usize, length: usize| -> Option<Vec<usize>> {
            match self.op.ints(name) {
                Some(list) => list.iter().map(|&it| usize::try_from(it).ok()).collect(),
                None => Some(vec![none; length]),
            }
        };
        if self.op.int("ceil_mode").unwrap_or(0) != 0 {
            return None;
        }
        let window = match self.op.ints("kernel_shape") {
            Some(_) => list("kernel_shape", 1, axes)?,
            None => self.shape(1)?.get(2..)?.iter().copied().collect::<Option<_>>()?,
        };
        let (strides, dilations) = (list("strides", 1, axes)?, list("dilations", 1, axes)?);
        let (pads, same) = match self.op.text("auto_pad").unwrap_or("NOTSET") {
            "NOTSET" => (list("pads", 0, 2 * axes)?, false),
            "VALID" => (vec![0; 2 * axes], false),
            _ => (vec![0; 2 * axes], true),
        };
        if [window.len(), strides.len(), dilations.len()] != [axes; 3] || pads.len() != 2 * axes {
            return None;
        }
        let size = |axis: usize| {
            let (size, stride) = (sizes[axis]?, strides[axis]);
            if stride == 0 {
                return None;
            }
            if same {
                return Some(size.div_ceil(stride));
            }
            let reach = dilations[axis].checked_mul(window[axis].checked_sub(1)?)?.checked_add(1)?;
            let padded = size.checked_add(pads[axis])?.checked_add(pads[axes + axis])?;
            Some(padded.checked_sub(reach)? / stride + 1)
        };
        Some((0..axes).map(size).collect())
    }
}
