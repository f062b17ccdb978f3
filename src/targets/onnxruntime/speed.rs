//! How long layers and conversions take, roughly: enough to tell where integers gain nothing.
//!
//! A layer takes time for its multiply-accumulates and some for being there at all; a conversion takes
//! time for its elements. The constants of [`WITH_VNNI`] were measured with onnxruntime 1.32 on one core
//! of an AVX-512 processor with VNNI (AMD Zen 4), with chains of equal layers of which the time for two
//! was taken off: dense convolutions of 7x7 to 56x56 with 8 to 128 channels, depthwise ones with 8 to
//! 200, products of 1 to 128 rows, and chains of QuantizeLinear, DequantizeLinear and HardSigmoid.
//! Those of [`WITHOUT_VNNI`] were not measured: they are made from the others so that they agree with
//! how whole models fare on AVX2 processors (dense networks take 0.65 to 0.8 of their time as floats
//! there, depthwise ones 1.3 to 2.0).
//!
//! Single layers are off by up to a factor of two, above all those of few channels, where small kernels
//! and large ones differ. What can be relied on is which of two sums of many layers is much the larger:
//! of nineteen models with VNNI, all that are clearly faster or slower as integers were told right but
//! one of 0.05 ms; how the kinds of layers are divided was chosen with eight of them in view.

/// The speed of one core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Processor {
    /// Layers with at least [`WIDE`] channels on both sides.
    wide: Rates,
    /// Layers with fewer on one side.
    narrow: Rates,
    /// Layers with fewer on both.
    narrow_throughout: Rates,
    /// A convolution of each channel on its own, the channels a multiple of [`WIDE`].
    depthwise: Rates,
    /// The same with channels left over.
    depthwise_uneven: Rates,
    /// Nanoseconds an element, of a QuantizeLinear or a DequantizeLinear that stays. The layout of
    /// values changes there too, because integer convolutions have channels last.
    conversion: f64,
    /// Nanoseconds an element, of an activation function that is part of a float convolution and of no
    /// integer one.
    activation: f64,
}

/// Multiply-accumulates a nanosecond.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rates {
    float: f64,
    integer: f64,
}

/// Nanoseconds that any layer takes, as float and as integer.
const LAYER: (f64, f64) = (400.0, 700.0);
/// Nanoseconds that any QuantizeLinear or DequantizeLinear takes.
const CONVERSION: f64 = 400.0;
/// Channels that a processor computes at once.
const WIDE: usize = 16;

/// A processor with instructions that sum products of 8 bits.
pub const WITH_VNNI: Processor = Processor {
    wide: Rates { float: 54.0, integer: 180.0 },
    narrow: Rates { float: 20.0, integer: 45.0 },
    narrow_throughout: Rates { float: 20.0, integer: 22.0 },
    depthwise: Rates { float: 35.0, integer: 20.0 },
    depthwise_uneven: Rates { float: 25.0, integer: 9.0 },
    conversion: 0.12,
    activation: 0.35,
};

/// A processor with AVX2 only.
pub const WITHOUT_VNNI: Processor = Processor {
    wide: Rates { float: 27.0, integer: 45.0 },
    narrow: Rates { float: 12.0, integer: 16.0 },
    narrow_throughout: Rates { float: 12.0, integer: 12.0 },
    depthwise: Rates { float: 20.0, integer: 9.0 },
    depthwise_uneven: Rates { float: 15.0, integer: 5.0 },
    conversion: 0.2,
    activation: 0.5,
};

/// What a layer has to do in one run of the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Products that are summed.
    pub multiply_accumulates: f64,
    /// Channels that go in, of one group.
    pub inputs: usize,
    /// Channels that come out, of one group.
    pub outputs: usize,
    /// Groups of channels that have nothing to do with each other.
    pub groups: usize,
}

impl Work {
    /// Whether every channel is convolved on its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.inputs == 1
    }
}

impl Processor {
    /// Nanoseconds of a layer with float numbers.
    ///
    /// ```
    /// use onnx_quant::targets::onnxruntime::speed::{WITH_VNNI, Work};
    /// let dense = Work { multiply_accumulates: 1e8, inputs: 64, outputs: 64, groups: 1 };
    /// assert!(WITH_VNNI.integer_layer(&dense) < 0.4 * WITH_VNNI.float_layer(&dense));
    /// let depthwise = Work { multiply_accumulates: 1e6, inputs: 1, outputs: 1, groups: 64 };
    /// assert!(WITH_VNNI.integer_layer(&depthwise) > 1.5 * WITH_VNNI.float_layer(&depthwise));
    /// ```
    pub fn float_layer(&self, work: &Work) -> f64 {
        LAYER.0 + work.multiply_accumulates / self.rates(work).float
    }

    /// Nanoseconds of a layer with integers.
    pub fn integer_layer(&self, work: &Work) -> f64 {
        LAYER.1 + work.multiply_accumulates / self.rates(work).integer
    }

    /// Nanoseconds of a QuantizeLinear or DequantizeLinear that stays.
    pub fn conversion(&self, elements: f64) -> f64 {
        CONVERSION + elements * self.conversion
    }

    /// Nanoseconds of an activation function that was part of a float convolution.
    pub fn activation(&self, elements: f64) -> f64 {
        elements * self.activation
    }

    fn rates(&self, work: &Work) -> Rates {
        match work.is_depthwise() {
            true if work.groups.is_multiple_of(WIDE) => self.depthwise,
            true => self.depthwise_uneven,
            false if work.inputs.max(work.outputs) < WIDE => self.narrow_throughout,
            false if work.inputs.min(work.outputs) < WIDE => self.narrow,
            false => self.wide,
        }
    }
}

/// Activation functions that a float convolution of the CPU provider computes itself. (Measured; Relu and
/// Clip need no time behind an integer one.)
pub fn is_part_of_float_convolution(op_type: &str) -> bool {
    matches!(op_type, "HardSigmoid" | "HardSwish" | "LeakyRelu" | "Sigmoid" | "Tanh")
}
