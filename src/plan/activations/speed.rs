//! How long a run of the model takes before and after, estimated from how many numbers pass in it.

/// What a run of the model takes in onnxruntime, on two kinds of processors.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Speed {
    /// With instructions that sum products of 8 bits: the table of costs that the plan was made by.
    pub with_vnni: Times,
    /// With AVX2 only; not measured.
    pub without_vnni: Times,
}

/// Nanoseconds on one core in one run of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Times {
    /// The model as it was.
    pub float: f64,
    /// Its kernels as planned, whether they compute with integers or with floats.
    pub integer: f64,
    /// Of `integer`, those of integers that convolve each channel on its own.
    pub integer_depthwise: f64,
    /// QuantizeLinear and DequantizeLinear that stay, and changes of layout.
    pub conversions: f64,
}

impl Times {
    /// What a run takes as planned, of what it took before.
    pub fn ratio(&self) -> f64 {
        (self.integer + self.conversions) / self.float
    }
}
