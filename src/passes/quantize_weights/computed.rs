//! A weight's integers, computed when they are asked for.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::stored::StoredForm;
use crate::{
    ir::Compute,
    numeric::{FloatType, Granularity, Layout, QuantParams, Scheme, quantize},
    plan::QuantizedCopy,
};

/// The float weight and how it is quantized.
pub(in crate::passes) struct QuantizedWeight {
    values: Bytes,
    float_type: FloatType,
    /// Of the stored form.
    layout: Layout,
    params: Arc<[QuantParams]>,
    scheme: Scheme,
    transposed: bool,
}

impl QuantizedWeight {
    /// As an operator QuantizeLinear quantizes it with these parameters.
    pub fn plain(
        values: Bytes,
        float_type: FloatType,
        scheme: Scheme,
        layout: Layout,
        params: Arc<[QuantParams]>,
    ) -> Self {
        Self { values, float_type, layout, params, scheme, transposed: false }
    }

    pub(super) fn new(values: Bytes, float_type: FloatType, copy: &QuantizedCopy, form: StoredForm) -> Self {
        let StoredForm { layout, params } = form;
        Self { values, float_type, layout, params, scheme: copy.scheme, transposed: copy.transposed }
    }

    fn quantize(&self, elements: Range<usize>, out: &mut [u8]) {
        if self.transposed {
            self.quantize_transposed(elements, out);
        } else {
            quantize(&self.values, self.float_type, &self.layout, &self.params, self.scheme, elements, out);
        }
    }

    /// Elements of a transposed weight: the rows of the stored form that they lie in are gathered
    /// from the columns of the weight, then quantized like a matrix of their own. Of blocks every row
    /// gets its scales itself, so that no more rows are gathered than are asked for.
    fn quantize_transposed(&self, span: Range<usize>, out: &mut [u8]) {
        let &[rows, columns] = self.layout.shape() else { unreachable!("only matrices are stored transposed") };
        let first = span.start / columns / WHOLE_BYTES * WHOLE_BYTES;
        let last = span.end.div_ceil(columns).min(rows);
        let strip = self.strip(rows, columns, first..last);
        let (granularity, params) = match self.layout.granularity() {
            Granularity::PerBlock { axis: 1, size } => {
                let blocks = columns.div_ceil(size);
                (self.layout.granularity(), self.params[first * blocks..last * blocks].into())
            }
            Granularity::PerBlock { axis, size } => {
                let of_row = |row: usize| &self.params[row / size * columns..][..columns];
                (Granularity::PerBlock { axis, size: 1 }, (first..last).flat_map(of_row).copied().collect())
            }
            granularity => (granularity, self.params.clone()),
        };
        let layout =
            Layout::new(&[last - first, columns], granularity).expect("a part of a matrix is no larger than the whole");
        let offset = first * columns;
        let span = span.start - offset..span.end - offset;
        quantize(&strip, self.float_type, &layout, &params, self.scheme, span, out);
    }

    /// Rows of the stored form: parts of columns of the weight.
    fn strip(&self, rows: usize, columns: usize, wanted: Range<usize>) -> Vec<u8> {
        let size = self.float_type.size();
        let mut strip = vec![0; wanted.len() * columns * size];
        for column in 0..columns {
            let part = &self.values[(column * rows + wanted.start) * size..][..wanted.len() * size];
            for (row, element) in part.chunks_exact(size).enumerate() {
                strip[(row * columns + column) * size..][..size].copy_from_slice(element);
            }
        }
        strip
    }
}

/// This many rows take whole bytes, whatever the type and however many columns there are.
const WHOLE_BYTES: usize = 4;

impl Compute for QuantizedWeight {
    fn byte_len(&self) -> usize {
        self.scheme.ty.bytes(self.layout.elements())
    }

    fn compute(&self, span: Range<usize>, out: &mut [u8]) {
        // Only where an element begins a byte can a part begin: with six bits, at every third.
        let (group, group_bytes) = (self.scheme.ty.group(), self.scheme.ty.bytes(self.scheme.ty.group()));
        let first = span.start / group_bytes;
        let last = span.end.div_ceil(group_bytes);
        let elements = first * group..(last * group).min(self.layout.elements());
        let bytes = first * group_bytes..first * group_bytes + self.scheme.ty.bytes(elements.len());
        if bytes == span {
            return self.quantize(elements, out);
        }
        let mut whole = vec![0; bytes.len()];
        self.quantize(elements, &mut whole);
        out.copy_from_slice(&whole[span.start - bytes.start..][..span.len()]);
    }
}
