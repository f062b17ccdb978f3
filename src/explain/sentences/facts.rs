//! What a user should know, in words.

use std::{collections::BTreeMap, fmt};

use crate::findings::{Fact, Finding, SlowOperators};

/// How many names a sentence lists.
const NAMED: usize = 3;

impl From<Fact> for Finding {
    fn from(fact: Fact) -> Self {
        Self {
            code: fact.code(),
            severity: fact.severity(),
            subjects: fact.subjects(),
            elements: fact.elements(),
            message: fact.to_string(),
            help: help(&fact).to_owned(),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnmatchedPattern { pattern } => {
                write!(f, "pattern '{pattern}' matches no weight and no operator that takes one: it changes nothing")
            }
            Self::UnknownRanges { all, unknown } => write!(
                f,
                "there are ranges of {all} values, and {} of these are not in the model: {}",
                unknown.len(),
                listed(unknown)
            ),
            Self::FewRanges { wanted, without } => write!(
                f,
                "{} of the {} that would be quantized have no range, and what needs them stays float: {}",
                without.len(),
                counted(*wanted, "value"),
                listed(without)
            ),
            Self::RandomSamples => f.write_str(
                "the ranges are of RANDOM NUMBERS: the result shows what can be quantized, and must not be used for \
                 anything else; what it computes is wrong",
            ),
            Self::SkippedSamples { skipped } => write!(
                f,
                "{} passed over that cannot be read: {}",
                counted_were(skipped.len(), "file"),
                first_of(skipped.iter().cloned())
            ),
            Self::EngineReplaced { engine, reason } => {
                write!(f, "{engine} ran the model, as the built-in engine does not: {reason}")
            }
            Self::UnknownFields { fields } => {
                write!(f, "fields that this version does not know are not in the output: {}", fields.join(", "))
            }
            Self::OpsetWithoutKernels { target, release, opset, newest } => write!(
                f,
                "{target} {release} has no QuantizeLinear and DequantizeLinear of opset {opset}, only up to opset \
                 {newest}: it does not load the model, or only where these fuse with others"
            ),
            Self::TypeWithoutKernel { target, release, dtype } => {
                write!(f, "{target} {release} cannot run {dtype} weights in this form on the CPU")
            }
            Self::Int8ProductNotLoaded { target, operator } => write!(
                f,
                "{target} may not load {operator}, which multiplies int8 activations, because a vector is added to its \
                 result: it makes a Gemm of both, between two Reshapes that it trips over"
            ),
            Self::NoIntegerKernels { target, activations } => write!(
                f,
                "{target} has no integer kernels for {activations} activations: it computes in float, and slower than \
                 without"
            ),
            Self::Int8OfSeveralReaders { target } => write!(
                f,
                "{target} leaves convolutions float whose result several operators read, where activations are int8"
            ),
            Self::ZeroHalves { target, operators } => write!(
                f,
                "{target} computes zeros for {} of half floats at its extended level of optimization (1.27 and newer): {}",
                counted(operators.len(), "product"),
                first_of(operators.iter().cloned())
            ),
            Self::NothingInIntegers => f.write_str("no layer computes in integers"),
            Self::LeftFloat { target, layers, integer: 0 } => write!(
                f,
                "integers gain no time in {target} (estimated), so that {} left float that could compute in them",
                match layers.len() {
                    1 => "a layer is".to_owned(),
                    several => format!("{several} layers are"),
                }
            ),
            Self::LeftFloat { target, layers, integer } => write!(
                f,
                "integers gain no time in {target} (estimated) in {} of {}: {}",
                layers.len(),
                counted(layers.len() + integer, "layer"),
                first_of(layers.iter().cloned())
            ),
            Self::NoFaster { target, without_vnni, float, saved, conversions, depthwise } => {
                let place = if *without_vnni { " on processors without VNNI" } else { "" };
                let change = match *saved {
                    saved if saved > 0.0 => format!("save about {} us", microseconds(saved)),
                    lost => format!("take about {} us more", microseconds(-lost)),
                };
                let (float, conversions) = (microseconds(*float), microseconds(*conversions));
                let cause = if *depthwise { "; depthwise convolutions gain least" } else { "" };
                write!(
                    f,
                    "likely no faster than float in {target}{place}: its integer layers {change} of {float}, the \
                     conversions around them take {conversions} (estimated, on one core){cause}"
                )
            }
            Self::DequantizedEveryRun { target, operators, elements } => {
                let dequantize = match operators.values().map(|slow| slow.count).sum() {
                    1 => "dequantizes its weight",
                    _ => "dequantize their weights",
                };
                write!(
                    f,
                    "{} {dequantize} on every run ({elements} elements), which is slower than float in {target}; the \
                     gain is the size of the file",
                    of_types(operators)
                )
            }
            Self::OpsetRaised { from, to, rewritten, were_inputs } => {
                write!(f, "the opset was raised from {from} to {to}")?;
                let rewritten: Vec<String> = rewritten.iter().map(|(ty, count)| format!("{count} {ty}")).collect();
                if !rewritten.is_empty() {
                    write!(f, ", rewriting {}", rewritten.join(", "))?;
                }
                f.write_str(if *were_inputs { "; initializers are no graph inputs any more" } else { "" })
            }
            Self::OpsetNotRaised { reason } => {
                write!(f, "the opset is too old for the best form and could not be raised: {reason}")
            }
            Self::DynamicShapes { target, inputs } => {
                write!(f, "{target} must know all sizes when it loads the model: open are those of {}", listed(inputs))
            }
            Self::NeedsRelease { target, release, opset } => {
                write!(f, "opset {opset} needs {target} {release} or newer")
            }
            Self::SeveralOpsets { versions } => {
                let newest = versions.last().copied().unwrap_or_default();
                write!(f, "the default operators are imported in versions {versions:?}: version {newest} counts now")
            }
            Self::OldIrVersion { version } => write!(
                f,
                "IR version {version} wants every initializer to be a graph input: they are none any more, and the \
                 file has IR version 4 now"
            ),
            Self::NoLongerInputs { names } => {
                write!(f, "no graph inputs any more, so callers can no longer override them: {}", names.join(", "))
            }
            Self::Widened => f.write_str("what is not quantized computes in float32 instead of half floats"),
            Self::PairsRepeated { target, release, operators } => write!(
                f,
                "QuantizeLinear and DequantizeLinear are repeated behind {} that int8 activations are moved by: \
                 {target} {release} does not load the model without",
                counted(*operators, "operator")
            ),
            Self::AlreadyQuantized { operators } => write!(
                f,
                "{} {} integers already: what is quantized stays as it is, only float weights are looked at",
                counted(*operators, "operator"),
                if *operators == 1 { "reads" } else { "read" }
            ),
            Self::OutputDequantized { weight } => {
                write!(f, "'{weight}' is a graph output: callers get its dequantized values")
            }
            Self::StoredTwice { weight, axes } => {
                let axis = |axis: &Option<usize>| axis.map_or("one scale".to_owned(), |axis| format!("axis {axis}"));
                let scales: Vec<String> = axes.iter().map(axis).collect();
                let (count, scales) = (axes.len(), scales.join(", "));
                write!(f, "'{weight}' is stored {count} times, its operators need different scales: {scales}")
            }
            Self::Inaccurate { bound_db, outputs } => {
                let named: Vec<String> = outputs.iter().map(|(name, db)| format!("'{name}' ({db:.1} dB)")).collect();
                let below = if named.len() == 1 { "is" } else { "are" };
                write!(f, "{} {below} less than {bound_db} dB above the error", first_of(named.into_iter()))
            }
            Self::Measured { samples, before_db, after_db, ranges, float, layers } => {
                let held_back = counted(*samples, "sample");
                write!(
                    f,
                    "measured on {held_back} held back, the worst output has {after_db:.1} dB of signal to noise"
                )?;
                if *ranges == 0 && float.is_empty() {
                    return Ok(());
                }
                let kept = match float.len() {
                    0 => String::new(),
                    kept => format!("{kept} of {} in float", counted(*layers, "layer")),
                };
                let other =
                    if *ranges > 0 { format!("other ranges for {}", counted(*ranges, "value")) } else { String::new() };
                let both = if kept.is_empty() || other.is_empty() { "" } else { " and " };
                write!(f, ", {before_db:.1} dB without {other}{both}{kept}")
            }
            Self::Compensated { weights, of, samples, held_back, before_db, after_db } => {
                let samples = counted(*samples, "sample");
                let held_back = if *held_back { " held back" } else { "" };
                if *weights == 0 {
                    return write!(
                        f,
                        "each weight is rounded by itself: measured on {samples}{held_back}, the worst output has {before_db:.1} dB \
                         of signal to noise, {after_db:.1} dB with errors that are to cancel out"
                    );
                }
                write!(
                    f,
                    "{weights} of {} are rounded so that their errors cancel out: measured on {samples}{held_back}, the worst \
                     output has {after_db:.1} dB of signal to noise, {before_db:.1} dB with each weight rounded by itself",
                    counted(*of, "weight")
                )
            }
            Self::Tuned { way, time, tried } => {
                write!(
                    f,
                    "of {tried} ways that were timed the best was taken: {way}, {time:.2} of the float model's time"
                )
            }
            Self::NothingFaster { tried, bound_db } => {
                write!(
                    f,
                    "the model stays float: of {tried} ways to quantize it none is faster with {bound_db} dB of signal to noise"
                )
            }
            Self::FloatActivations { weights } => {
                write!(f, "activations stay float: no integer kernel takes weights that are {weights}")
            }
            Self::NotMeasured { reason } => {
                write!(f, "the quantized model was not run before it was written: {reason}")
            }
            Self::NotCompared { output, reason } => write!(f, "output '{output}' is not compared: {reason}"),
            Self::NotIsolated { reason } => {
                write!(f, "what each operator adds by itself is not measured: {reason}")
            }
        }
    }
}

/// What would mend it.
fn help(fact: &Fact) -> &'static str {
    match fact {
        Fact::UnmatchedPattern { .. } => {
            "where weights alone are quantized, patterns choose among weights and operators that take one"
        }
        Fact::FewRanges { .. } => "ranges of `onnx-quant calibrate` with the same options have all of them",
        Fact::RandomSamples => "give samples of what the model will get to see, with --samples or --images",
        Fact::SkippedSamples { .. } => "--strict fails instead",
        Fact::EngineReplaced { .. } => "--engine rten refuses such models, --engine onnxruntime always asks the other",
        Fact::Int8ProductNotLoaded { .. } | Fact::Int8OfSeveralReaders { .. } => {
            "with --activations uint8 it does not happen"
        }
        Fact::NoIntegerKernels { .. } => "--activations uint8 computes in integers",
        Fact::DequantizedEveryRun { .. } => {
            "with --samples activations are quantized too; --exclude leaves a weight float"
        }
        Fact::ZeroHalves { .. } => "with all optimizations, its default, they are right; so they are without any",
        Fact::DynamicShapes { .. } => "fix the sizes of the inputs before quantizing",
        Fact::NoLongerInputs { .. } => "--keep-overridable leaves them alone",
        Fact::Inaccurate { .. } => {
            "where it begins, the table of values tells: quantize again with --exclude for these operators, other \
             samples, or another --calibration"
        }
        _ => "",
    }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn counted_were(number: usize, what: &str) -> String {
    format!("{} {}", counted(number, what), if number == 1 { "was" } else { "were" })
}

/// `'a', 'b', 'c', and 2 more`.
fn listed(names: &[String]) -> String {
    first_of(names.iter().map(|name| format!("'{name}'")))
}

/// The same of what is not to be quoted.
fn first_of(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().checked_sub(NAMED).filter(|&more| more > 0).map(|more| format!("and {more} more"));
    all.take(NAMED).chain(more).collect::<Vec<_>>().join(", ")
}

/// `5 Conv ('a', 'b', 'c' and 2 more), 1 LSTM`.
fn of_types(operators: &BTreeMap<String, SlowOperators>) -> String {
    let of_type = |(op_type, SlowOperators { names, count }): (&String, &SlowOperators)| {
        let named: Vec<String> = names.iter().take(NAMED).map(|name| format!("'{name}'")).collect();
        match (named.len(), count - named.len()) {
            (0, _) => format!("{count} {op_type}"),
            (_, 0) => format!("{count} {op_type} ({})", named.join(", ")),
            (_, more) => format!("{count} {op_type} ({} and {more} more)", named.join(", ")),
        }
    };
    operators.iter().map(of_type).collect::<Vec<_>>().join(", ")
}

fn microseconds(nanoseconds: f64) -> String {
    match nanoseconds / 1000.0 {
        few if few < 10.0 => format!("{few:.1}"),
        many => format!("{many:.0}"),
    }
}
