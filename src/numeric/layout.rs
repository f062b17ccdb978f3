//! How a row-major tensor is cut into the groups of elements that share one scale.
//!
//! Owns [`Granularity`] and its application to a shape, [`Layout`]. The kernels never look at a
//! granularity: they see a [`Geometry`], in which every granularity has been reduced to one of
//! three loop shapes, and [`Piece`]s, the contiguous stretches of which it consists.
//!
//! Invariants: the groups partition the elements; scales are numbered in the row-major order of the
//! scale tensor; a layout exists only for a shape whose element count fits a `usize`.

/// Which elements of a tensor share a scale and a zero point.
///
/// `axis` counts from the front; a negative axis of the file is resolved by whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// One scale for the whole tensor; the scale is a scalar.
    PerTensor,
    /// One scale for each index along `axis`; the scale is a vector (QuantizeLinear-13).
    PerChannel {
        /// The dimension whose indices are the channels.
        axis: usize,
    },
    /// One scale for each run of `size` indices along `axis`, and for each index of every other
    /// dimension (QuantizeLinear-21). The last block of a line is shorter when `size` does not
    /// divide the dimension.
    PerBlock {
        /// The dimension that is cut into blocks.
        axis: usize,
        /// Indices in a block: the attribute `block_size`, at least 1.
        size: usize,
    },
}

/// Why a granularity does not apply to a shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The tensor has no such dimension.
    #[error("axis {axis} does not exist in a tensor of rank {rank}")]
    NoSuchAxis {
        /// The axis asked for.
        axis: usize,
        /// The number of dimensions there are.
        rank: usize,
    },
    /// A block of no elements.
    #[error("a block must hold at least one element")]
    EmptyBlock,
    /// The product of the dimensions is not representable.
    #[error("a tensor of shape {shape:?} has more elements than can be addressed")]
    TooLarge {
        /// The shape asked for.
        shape: Vec<usize>,
    },
}

/// A shape together with a [`Granularity`] that is valid for it.
///
/// ```
/// use onnx_quant::numeric::{Granularity, Layout};
///
/// // The weight of a MatMul, K = 5 by N = 3, in blocks of 2 along K.
/// let layout = Layout::new(&[5, 3], Granularity::PerBlock { axis: 0, size: 2 })?;
/// assert_eq!(layout.scale_shape(), [3, 3]);
/// assert_eq!(layout.scale_index(4 * 3 + 1), 2 * 3 + 1); // row 4 is in the third block
/// # Ok::<(), onnx_quant::numeric::LayoutError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    shape: Vec<usize>,
    scale_shape: Vec<usize>,
    granularity: Granularity,
    elements: usize,
    geometry: Geometry,
}

/// The loop shapes to which all granularities reduce. `e` is a flat, row-major element index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Geometry {
    /// Runs of `run` elements with one scale; the scales repeat after `channels` runs:
    /// `scale = (e / run) % channels`.
    Cyclic { channels: usize, run: usize },
    /// Lines of `line` elements, each cut into runs of `run`, the last one shorter. Every run has
    /// its own scale.
    Tailed { line: usize, run: usize },
    /// Rows of `width` > 1 elements. `size` neighbouring rows share a vector of `width` scales, and
    /// every `rows`-th row starts a new one even when fewer than `size` rows used the last.
    Stacked { rows: usize, width: usize, size: usize },
}

/// A contiguous stretch of elements whose scales follow one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// One past the last element of the stretch.
    pub(super) end: usize,
    /// The scale of the element that was asked about.
    pub(super) scale: usize,
    /// Whether the following elements have the following scales, or this one too.
    pub(super) consecutive: bool,
}

impl Layout {
    /// Applies `granularity` to a tensor of `shape`. Dimensions of size zero are legal.
    ///
    /// # Errors
    /// When the axis does not exist, a block is empty, or the elements cannot be counted.
    pub fn new(shape: &[usize], granularity: Granularity) -> Result<Self, LayoutError> {
        // Leaving out zeros bounds every product of some of the dimensions, not only of all.
        shape
            .iter()
            .filter(|&&dim| dim != 0)
            .try_fold(1usize, |product, &dim| product.checked_mul(dim))
            .ok_or_else(|| LayoutError::TooLarge { shape: shape.to_vec() })?;
        let dimension = |axis: usize| {
            let rank = shape.len();
            let dim = shape.get(axis).copied();
            dim.ok_or(LayoutError::NoSuchAxis { axis, rank })
        };
        let elements = shape.iter().product();

        let (scale_shape, geometry) = match granularity {
            Granularity::PerTensor => (Vec::new(), Geometry::uniform(elements)),
            Granularity::PerChannel { axis } => {
                let channels = dimension(axis)?;
                let run = shape[axis + 1..].iter().product();
                (vec![channels], Geometry::Cyclic { channels, run })
            }
            Granularity::PerBlock { axis, size } => {
                let rows = dimension(axis)?;
                if size == 0 {
                    return Err(LayoutError::EmptyBlock);
                }
                let mut scale_shape = shape.to_vec();
                scale_shape[axis] = rows.div_ceil(size);
                let width = shape[axis + 1..].iter().product();
                let scales = scale_shape.iter().product();
                (scale_shape, Geometry::blocked(elements, scales, rows, width, size))
            }
        };
        let scales: usize = scale_shape.iter().product();
        let geometry = match scales {
            1 => Geometry::uniform(elements),
            _ => geometry,
        };
        Ok(Self { shape: shape.to_vec(), scale_shape, granularity, elements, geometry })
    }

    /// The shape of the tensor.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The granularity the layout was made of.
    pub fn granularity(&self) -> Granularity {
        self.granularity
    }

    /// The number of elements of the tensor.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The shape ONNX requires of the tensors of scales and zero points: rank 0 per tensor, `[C]`
    /// per channel, and per block the tensor's shape with `ceil(D / size)` in place of `D`.
    pub fn scale_shape(&self) -> &[usize] {
        &self.scale_shape
    }

    /// The number of scales: the product of [`scale_shape`](Self::scale_shape).
    pub fn scales(&self) -> usize {
        self.scale_shape.iter().product()
    }

    /// The flat index of the scale that the element with flat index `element` uses.
    ///
    /// # Panics
    /// When the tensor has no such element.
    pub fn scale_index(&self, element: usize) -> usize {
        assert!(element < self.elements, "element {element} of {}", self.elements);
        self.geometry.piece_at(element).scale
    }

    pub(super) fn geometry(&self) -> Geometry {
        self.geometry
    }
}

impl Geometry {
    fn uniform(elements: usize) -> Self {
        Self::Cyclic { channels: 1, run: elements }
    }

    /// Blocks of `size` along a dimension of `rows`, with `width` elements behind each index.
    fn blocked(elements: usize, scales: usize, rows: usize, width: usize, size: usize) -> Self {
        if elements == 0 {
            Self::uniform(0)
        } else if size == 1 {
            Self::Cyclic { channels: elements, run: 1 }
        } else if width == 1 && (size >= rows || rows.is_multiple_of(size)) {
            Self::Cyclic { channels: scales, run: size.min(rows) }
        } else if width == 1 {
            Self::Tailed { line: rows, run: size }
        } else if scales == width {
            // A single block in all: the same vector of scales for every row.
            Self::Cyclic { channels: width, run: 1 }
        } else {
            let size = size.min(rows);
            Self::Stacked { rows, width, size }
        }
    }

    /// The stretch from `element` on, which must exist.
    pub(super) fn piece_at(self, element: usize) -> Piece {
        match self {
            Self::Cyclic { channels, run: 1 } => {
                Piece { end: (element / channels + 1) * channels, scale: element % channels, consecutive: true }
            }
            Self::Cyclic { channels, run } => {
                Piece { end: (element / run + 1) * run, scale: element / run % channels, consecutive: false }
            }
            Self::Tailed { line, run } => {
                let (lines, at) = (element / line, element % line);
                let block = at / run;
                Piece {
                    end: lines * line + line.min((block + 1) * run),
                    scale: lines * line.div_ceil(run) + block,
                    consecutive: false,
                }
            }
            Self::Stacked { rows, width, size } => {
                let (row, column) = (element / width, element % width);
                let block = row / rows * rows.div_ceil(size) + row % rows / size;
                Piece { end: (row + 1) * width, scale: block * width + column, consecutive: true }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::reference::{self, arb_layout};
    use proptest::prelude::*;

    #[test]
    fn scale_shapes_are_those_of_the_operator() -> Result<(), LayoutError> {
        let shape = [6, 5, 3];
        let of = |granularity| Layout::new(&shape, granularity);
        assert!(of(Granularity::PerTensor)?.scale_shape().is_empty());
        assert_eq!(of(Granularity::PerTensor)?.scales(), 1);
        assert_eq!(of(Granularity::PerChannel { axis: 1 })?.scale_shape(), [5]);
        let blocks = of(Granularity::PerBlock { axis: 1, size: 2 })?;
        assert_eq!(blocks.scale_shape(), [6, 3, 3]);
        assert_eq!(blocks.scales(), 54);
        Ok(())
    }

    #[test]
    fn zero_sized_tensors_have_scales_but_no_elements() -> Result<(), LayoutError> {
        let channels = Layout::new(&[3, 0], Granularity::PerChannel { axis: 0 })?;
        assert_eq!((channels.elements(), channels.scales()), (0, 3));
        let none = Layout::new(&[0, 4], Granularity::PerBlock { axis: 0, size: 2 })?;
        assert_eq!((none.elements(), none.scales()), (0, 0));
        Ok(())
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let new = Layout::new;
        assert_eq!(
            new(&[2, 3], Granularity::PerChannel { axis: 2 }),
            Err(LayoutError::NoSuchAxis { axis: 2, rank: 2 })
        );
        assert_eq!(
            new(&[], Granularity::PerBlock { axis: 0, size: 1 }),
            Err(LayoutError::NoSuchAxis { axis: 0, rank: 0 })
        );
        assert_eq!(new(&[4], Granularity::PerBlock { axis: 0, size: 0 }), Err(LayoutError::EmptyBlock));
        let shape = [usize::MAX, 2, 0];
        assert_eq!(new(&shape, Granularity::PerTensor), Err(LayoutError::TooLarge { shape: shape.to_vec() }));
    }

    #[test]
    fn a_block_larger_than_any_dimension_is_one_block() -> Result<(), LayoutError> {
        let size = usize::MAX;
        for axis in 0..2 {
            let layout = Layout::new(&[2, 3], Granularity::PerBlock { axis, size })?;
            let indices: Vec<_> = (0..6).map(|e| layout.scale_index(e)).collect();
            let expected = [[0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1]][axis];
            assert_eq!(indices, expected);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_element_uses_the_scale_of_its_coordinates(layout in arb_layout()) {
            let expected = reference::scale_indices(&layout);
            let actual: Vec<_> = (0..layout.elements()).map(|e| layout.scale_index(e)).collect();
            prop_assert_eq!(actual, expected);
        }

        #[test]
        fn pieces_cover_the_tensor_and_keep_their_rule(layout in arb_layout()) {
            let mut at = 0;
            while at < layout.elements() {
                let piece = layout.geometry().piece_at(at);
                prop_assert!(piece.end > at && piece.end <= layout.elements());
                for element in at..piece.end {
                    let offset = if piece.consecutive { element - at } else { 0 };
                    prop_assert_eq!(layout.scale_index(element), piece.scale + offset);
                }
                at = piece.end;
            }
        }
    }
}
