//! What quantization cost: a float model and its quantized form, run with the same samples and compared value by value.
//!
//! ```text
//! float model ─────▶ engine ─▶ values ─┬─▶ errors ─▶ comparison ─▶ table, JSON, page
//! quantized model ─▶ engine ─▶ values ─┤
//!   the same, cut ─▶ engine ─▶ values ─┘
//! ```
//!
//! Values of the two models are matched by name (`points`). The third model is the quantized one, cut at every matched
//! value and given the float model's numbers there: what comes out is what the operators since the cut add by
//! themselves (`isolated`). Samples are taken one at a time and leave only sums behind (`measure`).
//!
//! Signal to noise is given in decibels: 6 dB are a bit, 20 dB an error of a tenth.

mod comparison;
mod first;
mod isolated;
mod measure;
mod page;
mod points;
mod run;
mod tally;

pub use comparison::{
    Comparison, Drop, FirstWrong, Histogram, OutputComparison, OutputError, SCHEMA, VERSION, ValueComparison,
};
pub use measure::{Accuracy, ChannelAccuracy, LIMIT_DB};
pub use run::{Comparing, compare};
