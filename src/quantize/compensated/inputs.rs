//! What a layer sums over: rows of a product's left factor, and windows of a convolution's input.

use ndarray::Array2;
use rayon::prelude::*;

use crate::ir::Op;

/// The most rows that are taken of one sample: neighbours say much the same, and sums of their products take time.
const MOST_ROWS: usize = 512;

/// How the inputs of a layer are found in the value that it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inputs {
    /// Along the last axis.
    Last,
    /// Under a window that moves over all axes but the first two. (ONNX operator Conv.)
    Windows(Windows),
}

/// The windows of a convolution. All lists have an entry for each spatial axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Windows {
    pub kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    padding: Padding,
    groups: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Padding {
    /// At the beginning and at the end of each axis.
    Stated(Vec<usize>, Vec<usize>),
    /// As many as make the output as large as the input over the stride; where that is odd, one more at the end
    /// (`true`) or at the beginning.
    Same(bool),
}

impl Windows {
    /// Those of a Conv whose weight has these sizes; `None` where its attributes do not fit it.
    pub fn of(op: &Op, weight: &[usize]) -> Option<Self> {
        let kernel = weight.get(2..)?.to_vec();
        let axes = kernel.len();
        let list = |name: &str, none: usize, length: usize| -> Option<Vec<usize>> {
            let given = match op.ints(name) {
                Some(list) => list.iter().map(|&it| usize::try_from(it).ok()).collect::<Option<Vec<_>>>()?,
                None => vec![none; length],
            };
            (given.len() == length).then_some(given)
        };
        let padding = match op.text("auto_pad").unwrap_or("NOTSET") {
            "SAME_UPPER" => Padding::Same(true),
            "SAME_LOWER" => Padding::Same(false),
            "VALID" => Padding::Stated(vec![0; axes], vec![0; axes]),
            _ => {
                let mut begins = list("pads", 0, 2 * axes)?;
                let ends = begins.split_off(axes);
                Padding::Stated(begins, ends)
            }
        };
        let (strides, dilations) = (list("strides", 1, axes)?, list("dilations", 1, axes)?);
        let groups = usize::try_from(op.int("group").unwrap_or(1)).ok()?;
        let fits = !strides.contains(&0) && groups > 0 && weight[0].is_multiple_of(groups);
        fits.then_some(Self { kernel, strides, dilations, padding, groups })
    }

    /// How many groups of channels there are.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Pads at the beginning of an axis, and how often the window fits.
    fn fit(&self, axis: usize, size: usize) -> (usize, usize) {
        let (stride, reach) = (self.strides[axis], self.dilations[axis] * (self.kernel[axis] - 1) + 1);
        match &self.padding {
            Padding::Stated(begins, ends) => {
                let padded = size + begins[axis] + ends[axis];
                (begins[axis], if padded < reach { 0 } else { (padded - reach) / stride + 1 })
            }
            Padding::Same(upper) => {
                let count = size.div_ceil(stride);
                let all = ((count.max(1) - 1) * stride + reach).saturating_sub(size);
                (if *upper { all / 2 } else { all.div_ceil(2) }, count)
            }
        }
    }

    /// Where in a channel each element of each window lies, `None` in the pads: as many windows as [`MOST_ROWS`] allows,
    /// each with its place in the batch.
    fn places(&self, batch: usize, spatial: &[usize]) -> Vec<(usize, Vec<Option<usize>>)> {
        let fits: Vec<(usize, usize)> = (0..spatial.len()).map(|axis| self.fit(axis, spatial[axis])).collect();
        let counts: Vec<usize> = [batch].into_iter().chain(fits.iter().map(|fit| fit.1)).collect();
        let window = |place: usize| {
            let at = coordinates(place, &counts);
            let element = |inside: usize| {
                let offsets = coordinates(inside, &self.kernel);
                (0..spatial.len()).try_fold(0, |flat, axis| {
                    let along = at[axis + 1] * self.strides[axis] + offsets[axis] * self.dilations[axis];
                    let along = along.checked_sub(fits[axis].0).filter(|along| *along < spatial[axis])?;
                    Some(flat * spatial[axis] + along)
                })
            };
            (at[0], (0..self.kernel.iter().product()).map(element).collect())
        };
        evenly(counts.iter().product()).into_iter().map(window).collect()
    }

    /// Windows of each group; pads are zeros.
    fn rows(&self, shape: &[usize], elements: &[f32]) -> Option<Vec<Array2<f32>>> {
        let (&[batch, channels], spatial) = (shape.get(..2)?, shape.get(2..)?) else { return None };
        if spatial.len() != self.kernel.len() || channels % self.groups != 0 {
            return None;
        }
        let own = channels / self.groups;
        let (window, plane): (usize, usize) = (self.kernel.iter().product(), spatial.iter().product());
        let places = self.places(batch, spatial);
        let of_group = |group: usize| {
            let mut rows = Array2::zeros((places.len(), own * window));
            for (mut row, (image, places)) in rows.outer_iter_mut().zip(&places) {
                for channel in 0..own {
                    let start = (image * channels + group * own + channel) * plane;
                    for (inside, place) in places.iter().enumerate() {
                        row[channel * window + inside] = place.map_or(0.0, |place| elements[start + place]);
                    }
                }
            }
            rows
        };
        Some((0..self.groups).into_par_iter().map(of_group).collect())
    }
}

impl Inputs {
    /// Rows of the inputs of each group, from what one sample made of the value; `None` where its shape is none of a
    /// layer's.
    pub fn rows(&self, shape: &[usize], elements: &[f32]) -> Option<Vec<Array2<f32>>> {
        match self {
            Self::Windows(windows) => windows.rows(shape, elements),
            Self::Last => {
                let size = *shape.last().filter(|&&size| size > 0)?;
                let rows = evenly(elements.len() / size);
                let taken = rows.iter().flat_map(|row| &elements[row * size..][..size]).copied().collect();
                Some(vec![Array2::from_shape_vec((rows.len(), size), taken).ok()?])
            }
        }
    }
}

/// Up to [`MOST_ROWS`] of so many, at even distances.
fn evenly(count: usize) -> Vec<usize> {
    let taken = count.min(MOST_ROWS);
    (0..taken).map(|index| index * count / taken).collect()
}

/// The coordinates of an element in row-major order.
fn coordinates(mut flat: usize, sizes: &[usize]) -> Vec<usize> {
    let mut coordinates = vec![0; sizes.len()];
    for (coordinate, size) in coordinates.iter_mut().zip(sizes).rev() {
        (*coordinate, flat) = (flat % size, flat / size);
    }
    coordinates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Model;

    fn windows(attributes: &str, weight: &[usize]) -> Windows {
        let text = format!(
            "<ir_version: 8, opset_import: [\"\": 17]> g (float[1,4,5,5] x, float[4,2,3,3] w) => (float[a,b,c,d] y) \
             {{ y = Conv <{attributes}> (x, w) }}"
        );
        let model = Model::from_text(&text).expect("a model");
        let op = model.ops().next().expect("one operator");
        Windows::of(model.op(op), weight).expect("they fit")
    }

    /// A window of all ones sums what it covers: what onnxruntime gives for a 3x4 input of 1 to 12.
    #[test]
    fn windows_lie_where_the_operator_has_them() {
        let elements: Vec<f32> = (1..=12_u8).map(f32::from).collect();
        let sums = |attributes: &str, kernel: &[usize]| -> Vec<f32> {
            let windows = windows(attributes, &[&[1, 1], kernel].concat());
            let rows = windows.rows(&[1, 1, 3, 4], &elements).expect("an image");
            rows[0].outer_iter().map(|row| row.sum()).collect()
        };
        assert_eq!(sums("kernel_shape = [2, 2]", &[2, 2]), [14., 18., 22., 30., 34., 38.]);
        assert_eq!(sums("pads = [1, 0, 0, 1], strides = [2, 2]", &[2, 2]), [3., 7., 30., 38.]);
        assert_eq!(sums("auto_pad = \"SAME_UPPER\", strides = [2, 2]", &[2, 2]), [14., 22., 19., 23.]);
        assert_eq!(sums("auto_pad = \"SAME_LOWER\", strides = [2, 2]", &[3, 3]), [14., 30., 30., 54.]);
        assert_eq!(sums("dilations = [2, 3]", &[2, 2]), [1. + 4. + 9. + 12.]);
    }

    #[test]
    fn groups_have_channels_of_their_own() {
        let windows = windows("group = 2", &[4, 2, 1, 1]);
        let elements: Vec<f32> = (0..16_u8).map(f32::from).collect();
        let rows = windows.rows(&[1, 4, 2, 2], &elements).expect("four channels");
        assert_eq!(rows[1].row(0).to_vec(), [8.0, 12.0]);
        assert_eq!(rows[1].row(3).to_vec(), [11.0, 15.0]);
        assert!(windows.rows(&[1, 3, 2, 2], &elements).is_none(), "three channels are no two groups");
    }

    #[test]
    fn of_many_rows_some_are_taken_from_all_over() {
        let elements: Vec<f32> = (0..2048_u16).map(f32::from).collect();
        let rows = Inputs::Last.rows(&[2, 512, 2], &elements).expect("rows");
        assert_eq!((rows[0].nrows(), rows[0][[0, 0]], rows[0][[511, 1]]), (512, 0.0, 2045.0));
    }
}
