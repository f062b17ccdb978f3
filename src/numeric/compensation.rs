//! Rounding in which each weight makes up for the errors of those before it.
//!
//! What counts is not how far weights `q` are from `w` but how far the layer's results are: the sum over inputs `x` of
//! `((w - q) x)^2 = (w - q) H (w - q)`, with `H` the sum of `x x'`. Rounded one after the other, each weight can take over
//! what the errors of those before it do in its direction (Frantar et al., *GPTQ: Accurate Post-Training Quantization for
//! Generative Pre-trained Transformers*, 2022; in the form that Chee et al., *QuIP: 2-Bit Quantization of Large Language
//! Models With Guarantees*, 2023, give it): with `H = M M'`, `M` upper triangular, weight `i` is rounded from
//! `w_i + sum over j < i of (w_j - q_j) M_ji / M_ii`. Cholesky's method gives `M`; it is short enough to stand here, where a
//! library of linear algebra would be the largest of all that is built.
//!
//! Where layers before are quantized too, their result `y` is what comes in the place of `x`. The weights that then come
//! closest to the float layer's results are `w + inverse(sum of y y') (sum of y (x - y)') w`, by the normal equations.

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use super::{
    layout::Layout,
    rounding::{Rounding, Rule},
    scheme::{QuantParams, Scheme},
};

/// What is added to the diagonal of `H`, as a part of its mean: inputs that hardly occurred must not decide.
const DAMPING: f64 = 0.01;

/// Outputs that are computed together.
const LANES: usize = 32;

/// Inputs whose products are summed in `f32` before they are added to the others.
const ROWS: usize = 256;

/// Sums of products over the inputs of a layer, of as many as were seen.
#[derive(Debug, Clone)]
pub struct Moments {
    size: usize,
    rows: usize,
    /// The sum of `y y'`, by rows.
    products: Vec<f64>,
    /// The sum of `y (x - y)'`, by rows.
    shifts: Vec<f64>,
}

impl Moments {
    /// Of no inputs, each of which would have so many elements.
    pub fn new(size: usize) -> Self {
        Self { size, rows: 0, products: vec![0.0; size * size], shifts: vec![0.0; size * size] }
    }

    /// How many elements each input has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many inputs were seen.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many bytes those of inputs of so many elements take.
    pub fn bytes(size: usize) -> usize {
        size.saturating_mul(size).saturating_mul(2 * size_of::<f64>())
    }

    /// Takes inputs: `float` are rows of a layer's inputs in the float model, `quantized` the same rows as they come in.
    ///
    /// # Panics
    /// The rows are not of the size that is summed, or there are more of the one than of the other.
    pub fn add(&mut self, float: ArrayView2<f32>, quantized: ArrayView2<f32>) {
        assert!(float.dim() == quantized.dim() && float.ncols() == self.size, "rows of another size");
        self.rows += float.nrows();
        let chunks = float.axis_chunks_iter(Axis(0), ROWS).zip(quantized.axis_chunks_iter(Axis(0), ROWS));
        for (float, quantized) in chunks {
            let across = quantized.t();
            for (sums, products) in
                [(&mut self.products, across.dot(&quantized)), (&mut self.shifts, across.dot(&(&float - &quantized)))]
            {
                sums.iter_mut().zip(&products).for_each(|(sum, product)| *sum += f64::from(*product));
            }
        }
    }
}

/// How the weights of a layer, or of one group of a convolution, lie in their tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrix {
    /// How many weights are summed over.
    pub inputs: usize,
    /// How many results share the inputs.
    pub outputs: usize,
    /// Elements from one input's weight to the next.
    pub input_stride: usize,
    /// Elements from one output's weight to the next.
    pub output_stride: usize,
    /// Where the first one is.
    pub start: usize,
}

impl Matrix {
    fn element(&self, input: usize, output: usize) -> usize {
        self.start + input * self.input_stride + output * self.output_stride
    }
}

/// What the inputs of a layer say of how its weights are rounded best.
#[derive(Debug)]
pub struct Compensation<'a> {
    moments: &'a Moments,
    /// `M`, by rows.
    factor: Vec<f64>,
}

impl<'a> Compensation<'a> {
    /// `None` where nothing can be said: all inputs were zero, or not finite.
    pub fn new(moments: &'a Moments) -> Option<Self> {
        let size = moments.size;
        let diagonal = || (0..size).map(|at| moments.products[at * size + at]);
        let damping = DAMPING * diagonal().sum::<f64>() / size as f64;
        if !(damping.is_finite() && damping > 0.0) {
            return None;
        }
        let mut factor = vec![0.0; size * size];
        for column in (0..size).rev() {
            let (above, from) = factor.split_at_mut(column * size);
            let own = &mut from[..size];
            let squares: f64 = own[column + 1..].iter().map(|it| it * it).sum();
            let pivot = moments.products[column * size + column] + damping - squares;
            if !(pivot.is_finite() && pivot > 0.0) {
                return None;
            }
            own[column] = pivot.sqrt();
            let own = &own[column..];
            above.par_chunks_mut(size).enumerate().for_each(|(row, rest)| {
                let product: f64 = own[1..].iter().zip(&rest[column + 1..]).map(|(a, b)| a * b).sum();
                rest[column] = (moments.products[row * size + column] - product) / own[0];
            });
        }
        Some(Self { moments, factor })
    }

    /// Moves weights to where they come closest to the float layer's results with the inputs that come in.
    pub fn shift(&self, weights: &mut [f32], matrix: Matrix) {
        let (size, factor) = (self.moments.size, &self.factor);
        self.for_each_tile(weights, matrix, |tile, _| {
            let weights: Vec<[f64; LANES]> = tile.iter().map(|row| row.map(f64::from)).collect();
            let mut moved: Vec<[f64; LANES]> = vec![[0.0; LANES]; size];
            for (row, moved) in moved.iter_mut().enumerate() {
                add(moved, &self.moments.shifts[row * size..][..size], &weights, 1.0);
            }
            for row in (0..size).rev() {
                let (before, behind) = moved.split_at_mut(row + 1);
                let of_row = &factor[row * size..][..size];
                add(&mut before[row], &of_row[row + 1..], behind, -1.0);
                before[row].iter_mut().for_each(|it| *it /= of_row[row]);
            }
            let mut of_column = Vec::with_capacity(size);
            for row in 0..size {
                let (before, from) = moved.split_at_mut(row);
                of_column.clear();
                of_column.extend((0..row).map(|above| factor[above * size + row]));
                add(&mut from[0], &of_column, before, -1.0);
                from[0].iter_mut().for_each(|it| *it /= factor[row * size + row]);
            }
            for (row, moved) in tile.iter_mut().zip(&moved) {
                row.iter_mut().zip(moved).for_each(|(weight, moved)| *weight += *moved as f32);
            }
        });
    }

    /// Rounds weights to numbers that the parameters have integers for, each in place of what is asked of it by the
    /// errors of those before.
    pub fn round(&self, weights: &mut [f32], matrix: Matrix, layout: &Layout, params: &[QuantParams], scheme: Scheme) {
        match Rounding::of(scheme) {
            Rounding::Integer(rule) => self.round_by(rule, weights, matrix, layout, params),
            Rounding::Float(rule) => self.round_by(rule, weights, matrix, layout, params),
        }
    }

    fn round_by<R: Rule>(&self, rule: R, weights: &mut [f32], matrix: Matrix, layout: &Layout, params: &[QuantParams]) {
        let (size, factor) = (self.moments.size, &self.factor);
        self.for_each_tile(weights, matrix, |tile, outputs| {
            let mut errors: Vec<[f32; LANES]> = Vec::with_capacity(size);
            let mut shares = Vec::with_capacity(size);
            for (row, weights) in tile.iter_mut().enumerate() {
                let pivot = factor[row * size + row];
                shares.clear();
                shares.extend((0..row).map(|before| (factor[before * size + row] / pivot) as f32));
                let mut wanted = *weights;
                for (share, error) in shares.iter().zip(&errors) {
                    wanted.iter_mut().zip(error).for_each(|(wanted, error)| *wanted += share * error);
                }
                let mut error = [0.0; LANES];
                for (lane, output) in outputs.clone().enumerate() {
                    let params = params[layout.scale_index(matrix.element(row, output))];
                    let rounded = rule.round_trip(wanted[lane], params.scale, params.zero_point as f32);
                    error[lane] = weights[lane] - rounded;
                    weights[lane] = rounded;
                }
                errors.push(error);
            }
        });
    }

    /// Does something with the weights of some outputs at a time, one row for each input.
    fn for_each_tile(
        &self,
        weights: &mut [f32],
        matrix: Matrix,
        work: impl Fn(&mut [[f32; LANES]], std::ops::Range<usize>) + Sync,
    ) {
        let read: &[f32] = weights;
        let tiles: Vec<Vec<[f32; LANES]>> = (0..matrix.outputs.div_ceil(LANES))
            .into_par_iter()
            .map(|tile| {
                let outputs = tile * LANES..matrix.outputs.min((tile + 1) * LANES);
                let mut rows = vec![[0.0; LANES]; matrix.inputs];
                for (input, row) in rows.iter_mut().enumerate() {
                    let own = row.iter_mut().zip(outputs.clone());
                    own.for_each(|(weight, output)| *weight = read[matrix.element(input, output)]);
                }
                work(&mut rows, outputs);
                rows
            })
            .collect();
        for (tile, rows) in tiles.iter().enumerate() {
            for (input, row) in rows.iter().enumerate() {
                for (weight, output) in row.iter().zip(tile * LANES..matrix.outputs) {
                    weights[matrix.element(input, output)] = *weight;
                }
            }
        }
    }
}

/// Adds `sign` times the rows, each times its factor.
fn add(to: &mut [f64; LANES], factors: &[f64], rows: &[[f64; LANES]], sign: f64) {
    for (factor, row) in factors.iter().zip(rows) {
        to.iter_mut().zip(row).for_each(|(to, row)| *to += sign * factor * row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{
        FloatType, Granularity, QuantizedType, ScaleMethod, ScaleType, parameters,
        reference::{on_threads, to_bytes},
    };
    use ndarray::{Array2, arr2};

    const INT4: Scheme = Scheme { ty: QuantizedType::Int4, symmetric: true, scale: ScaleType::Float(FloatType::F32) };

    /// Numbers between -1 and 1 that are the same on every run.
    fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            let mixed = ((row * columns + column + seed) as u32).wrapping_mul(2_654_435_761) >> 8;
            mixed as f32 / 8_388_608.0 - 1.0
        })
    }

    /// Inputs that resemble each other: few causes, and a little of their own.
    fn inputs(count: usize, size: usize) -> Array2<f32> {
        numbers(count, 3, 7).dot(&numbers(3, size, 1000)) + numbers(count, size, 5000) * 0.2
    }

    /// A matrix as MatMul has it.
    fn matrix(inputs: usize, outputs: usize) -> Matrix {
        Matrix { inputs, outputs, input_stride: outputs, output_stride: 1, start: 0 }
    }

    fn squares(of: &Array2<f32>) -> f64 {
        of.iter().map(|it| f64::from(*it).powi(2)).sum()
    }

    #[test]
    fn results_are_closer_than_with_each_weight_rounded_by_itself() -> Result<(), Box<dyn std::error::Error>> {
        let (x, w) = (inputs(400, 40), numbers(40, 37, 0));
        let layout = Layout::new(&[40, 37], Granularity::PerBlock { axis: 0, size: 16 })?;
        let params =
            parameters(&to_bytes(w.as_slice().ok_or("rows")?), FloatType::F32, &layout, INT4, ScaleMethod::Mse)?;
        let mut moments = Moments::new(40);
        moments.add(x.view(), x.view());
        let error = |moments: &Moments| -> Result<(f64, Array2<f32>), Box<dyn std::error::Error>> {
            let mut q = w.clone();
            let compensation = Compensation::new(moments).ok_or("it has inputs")?;
            compensation.round(q.as_slice_mut().ok_or("rows")?, matrix(40, 37), &layout, &params, INT4);
            Ok((squares(&x.dot(&(&w - &q))), q))
        };
        // Inputs that have nothing to do with each other: each weight is rounded by itself.
        let mut apart = Moments::new(40);
        apart.add(Array2::eye(40).view(), Array2::eye(40).view());
        let ((together, q), (alone, nearest)) = (error(&moments)?, error(&apart)?);
        assert!(together < 0.3 * alone, "{together} {alone}");
        for ((at, q), nearest) in q.indexed_iter().zip(&nearest) {
            let params = params[layout.scale_index(at.0 * 37 + at.1)];
            assert!((q / params.scale - (q / params.scale).round()).abs() < 1e-4, "{q} is no step of {params:?}");
            let steps = (w[at] / params.scale).round_ties_even().clamp(-8.0, 7.0);
            assert!((nearest - steps * params.scale).abs() < 1e-5, "{nearest} is not the nearest to {}", w[at]);
        }
        Ok(())
    }

    #[test]
    fn two_weights_as_by_hand() -> Result<(), Box<dyn std::error::Error>> {
        // Both inputs are nearly the same, so the second weight takes over nearly all of the first one's error.
        let x = arr2(&[[1.0, 1.0], [1.0, 0.9], [0.9, 1.0]]);
        let mut moments = Moments::new(2);
        moments.add(x.view(), x.view());
        let layout = Layout::new(&[2, 1], Granularity::PerTensor)?;
        let params = [QuantParams { scale: 1.0, zero_point: 0 }];
        let mut weights = [0.4, 0.3];
        let compensation = Compensation::new(&moments).ok_or("it has inputs")?;
        compensation.round(&mut weights, matrix(2, 1), &layout, &params, INT4);
        assert_eq!(weights, [0.0, 1.0]);
        Ok(())
    }

    #[test]
    fn shifted_weights_solve_the_normal_equations() -> Result<(), Box<dyn std::error::Error>> {
        let (x, w) = (inputs(300, 12), numbers(5, 12, 0));
        let y = &x + &(numbers(300, 12, 77) * 0.1);
        let mut moments = Moments::new(12);
        moments.add(x.view(), y.view());
        // As Gemm has it with transB: outputs first, and something before that is not touched.
        let mut shifted = vec![9.0; 2];
        shifted.extend(&w);
        let stored = Matrix { inputs: 12, outputs: 5, input_stride: 1, output_stride: 12, start: 2 };
        Compensation::new(&moments).ok_or("it has inputs")?.shift(&mut shifted, stored);
        assert_eq!(shifted[..2], [9.0; 2]);
        let shifted = Array2::from_shape_vec((5, 12), shifted.split_off(2))?;
        let expected = x.dot(&w.t());
        let (before, after) = (squares(&(&expected - &y.dot(&w.t()))), squares(&(&expected - &y.dot(&shifted.t()))));
        assert!(after < 0.8 * before, "{after} {before}");
        // No step in any direction is better, but for the damping.
        let gradient = y.t().dot(&(&expected - &y.dot(&shifted.t())));
        let unshifted = y.t().dot(&(&expected - &y.dot(&w.t())));
        assert!(squares(&gradient) < 0.01 * squares(&unshifted), "{gradient}");
        Ok(())
    }

    #[test]
    fn the_same_at_every_number_of_threads() -> Result<(), Box<dyn std::error::Error>> {
        let (x, w) = (inputs(300, 50), numbers(50, 90, 0));
        let layout = Layout::new(&[50, 90], Granularity::PerChannel { axis: 1 })?;
        let params =
            parameters(&to_bytes(w.as_slice().ok_or("rows")?), FloatType::F32, &layout, INT4, ScaleMethod::MinMax)?;
        let run = || {
            let mut moments = Moments::new(50);
            moments.add(x.view(), (&x * 0.9).view());
            let mut weights = w.iter().copied().collect::<Vec<f32>>();
            let compensation = Compensation::new(&moments).expect("it has inputs");
            compensation.shift(&mut weights, matrix(50, 90));
            compensation.round(&mut weights, matrix(50, 90), &layout, &params, INT4);
            weights
        };
        assert!(on_threads(1, run) == on_threads(3, run));
        Ok(())
    }

    #[test]
    fn of_inputs_that_say_nothing_there_is_nothing_to_learn() {
        let mut zeros = Moments::new(3);
        zeros.add(Array2::zeros((4, 3)).view(), Array2::zeros((4, 3)).view());
        assert!(Compensation::new(&zeros).is_none());
        let mut infinite = Moments::new(3);
        infinite.add(Array2::ones((4, 3)).view(), Array2::from_elem((4, 3), f32::INFINITY).view());
        assert!(Compensation::new(&infinite).is_none());
    }
}
