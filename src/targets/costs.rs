//! How long kernels take: a table of nanoseconds for what they do, one for each kind of processor.
//!
//! A kernel takes time for being called and for what it does: the products that it sums, the numbers that it
//! makes, those that it gathers. What it does follows from shapes ([`Layer`]); what one of each takes is a
//! [`Rate`], fitted to measurements, and a table of rates is a TOML file ([`Costs`]). The kinds of kernels are
//! those of onnxruntime's CPU provider, which differ by how channels fill the lanes of a processor.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Channels that a kernel computes at once: those of a blocked layout, and those that integer kernels load.
const LANES: usize = 16;
/// Channels have to be a multiple of this for the fast kernels.
const ALIGNED: usize = 4;

/// A processor with AVX-512 and its instructions for 8 bits (VNNI).
static WITH_VNNI: LazyLock<Costs> = LazyLock::new(|| known(include_str!("data/costs/avx512-vnni.toml")));
/// A processor with AVX2 only.
static WITHOUT_VNNI: LazyLock<Costs> = LazyLock::new(|| known(include_str!("data/costs/avx2.toml")));

fn known(text: &str) -> Costs {
    Costs::from_toml(text).expect("the files of this crate are checked by its tests")
}

/// What kernels take on one core of a processor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Costs {
    /// Which processor and which library, for people.
    pub title: String,
    /// Whether the numbers were measured there, or made from those of another processor.
    pub measured: bool,
    /// How many numbers there are in what stays near the core, from one operator to the next.
    pub near: f64,
    /// A QuantizeLinear or a DequantizeLinear.
    pub conversion: Rate,
    /// From the blocked layout of float convolutions to that of the file, or back.
    pub reorder: Rate,
    /// From the layout of integer convolutions, channels last, to that of the file, or back.
    pub transpose: Rate,
    /// Layers as float kernels: each [kind](Kind::FLOAT) that there is.
    pub float: BTreeMap<Kind, Rate>,
    /// Layers as integer kernels: each [kind](Kind::INTEGER) that there is.
    pub integer: BTreeMap<Kind, Rate>,
    /// Operators without weights, by type. What is not listed takes what [`other`](Self::other) says.
    #[serde(default)]
    pub operators: BTreeMap<String, Rates>,
    /// Operators that compute numbers and are not listed.
    pub other: Rate,
}

/// What an operator takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rates {
    /// As float kernel.
    pub float: Rate,
    /// As integer kernel, where there is one.
    #[serde(default)]
    pub integer: Option<Rate>,
    /// As part of the float convolution before it.
    #[serde(default)]
    pub fused: Option<Rate>,
    /// As integer kernel where no integer kernel makes what it reads, if that takes longer: channels are not last there.
    #[serde(default)]
    pub integer_alone: Option<Rate>,
}

/// Nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rate {
    /// For being called.
    pub call: f64,
    /// A product that is summed.
    pub product: f64,
    /// A number that is made.
    pub output: f64,
    /// What each number beyond those that are [near](Costs::near) takes besides.
    pub far: f64,
    /// A number that is gathered for a window, or read from a row.
    pub gather: f64,
    /// A place of a window, whose numbers have to be found there for all channels.
    pub place: f64,
    /// A position: what all channels share.
    pub position: f64,
    /// A window at an edge, of one channel.
    pub edge: f64,
    /// An element of the weight.
    pub weight: f64,
}

/// How much of everything a kernel does in one run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Amounts {
    /// Products that are summed.
    pub products: f64,
    /// Numbers that are made.
    pub outputs: f64,
    /// Numbers that are gathered.
    pub gathers: f64,
    /// Places of windows.
    pub places: f64,
    /// Positions.
    pub positions: f64,
    /// Windows at edges.
    pub edges: f64,
    /// Elements of the weight.
    pub weights: f64,
}

impl Rate {
    /// Nanoseconds.
    pub fn of(&self, amounts: &Amounts) -> f64 {
        self.call
            + self.product * amounts.products
            + self.output * amounts.outputs
            + self.gather * amounts.gathers
            + self.place * amounts.places
            + self.position * amounts.positions
            + self.edge * amounts.edges
            + self.weight * amounts.weights
    }
}

/// An operator with a weight, as large as it is in one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layer {
    /// Whether it is a convolution, not a product of matrices.
    pub convolves: bool,
    /// Positions of its output, or rows.
    pub positions: f64,
    /// Elements of a window in one channel; 1 for products.
    pub taps: usize,
    /// Channels that go in, of one group.
    pub inputs: usize,
    /// Channels that come out, of one group.
    pub outputs: usize,
    /// Groups of channels that have nothing to do with each other.
    pub groups: usize,
}

/// The kind of kernel that a layer becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A convolution whose channels suit the fast kernel.
    Convolution,
    /// A float convolution of so few channels that they are read in the layout of the file.
    NarrowConvolution,
    /// A convolution whose channels fill no lanes.
    UnevenConvolution,
    /// A convolution of several groups of channels, with integers.
    GroupedConvolution,
    /// A convolution of each channel on its own whose channels suit the fast kernel.
    Depthwise,
    /// Another of each channel on its own.
    UnevenDepthwise,
    /// A product of matrices.
    Product,
}

impl Kind {
    /// Those with float numbers.
    pub const FLOAT: [Self; 6] = [
        Self::Convolution,
        Self::NarrowConvolution,
        Self::UnevenConvolution,
        Self::Depthwise,
        Self::UnevenDepthwise,
        Self::Product,
    ];
    /// Those with integers.
    pub const INTEGER: [Self; 6] = [
        Self::Convolution,
        Self::UnevenConvolution,
        Self::GroupedConvolution,
        Self::Depthwise,
        Self::UnevenDepthwise,
        Self::Product,
    ];
}

impl Layer {
    /// Whether every channel is convolved on its own.
    pub fn is_depthwise(&self) -> bool {
        self.convolves && self.groups > 1 && self.inputs == 1 && self.outputs == 1
    }

    /// Whether its float kernel makes channels in blocks.
    pub fn is_blocked(&self) -> bool {
        matches!(self.float_kind(), Kind::Convolution | Kind::NarrowConvolution | Kind::Depthwise)
    }

    /// The kernel with float numbers.
    pub fn float_kind(&self) -> Kind {
        let fills_lanes = self.inputs.is_multiple_of(LANES) && self.outputs.is_multiple_of(LANES);
        match self {
            _ if !self.convolves => Kind::Product,
            _ if self.is_depthwise() && self.groups.is_multiple_of(ALIGNED) => Kind::Depthwise,
            _ if self.is_depthwise() => Kind::UnevenDepthwise,
            _ if self.groups > 1 && !fills_lanes => Kind::UnevenConvolution,
            _ if self.inputs < LANES => Kind::NarrowConvolution,
            _ if self.inputs.is_multiple_of(ALIGNED) => Kind::Convolution,
            _ => Kind::UnevenConvolution,
        }
    }

    /// The kernel with integers.
    pub fn integer_kind(&self) -> Kind {
        let aligned = self.inputs.is_multiple_of(ALIGNED) && self.outputs.is_multiple_of(ALIGNED);
        match self {
            _ if !self.convolves => Kind::Product,
            _ if self.is_depthwise() && self.groups.is_multiple_of(LANES) => Kind::Depthwise,
            _ if self.is_depthwise() => Kind::UnevenDepthwise,
            _ if self.groups > 1 => Kind::GroupedConvolution,
            _ if aligned && self.outputs >= LANES => Kind::Convolution,
            _ => Kind::UnevenConvolution,
        }
    }

    /// What its float kernel does: lanes that no channel fills compute all the same.
    pub fn float_amounts(&self) -> Amounts {
        let filled = |channels: usize| channels.next_multiple_of(LANES);
        match self.float_kind() {
            Kind::NarrowConvolution => self.amounts(self.inputs, filled(self.outputs), self.groups),
            Kind::Convolution => self.amounts(filled(self.inputs), filled(self.outputs), self.groups),
            Kind::Depthwise => self.amounts(1, 1, filled(self.groups)),
            _ => self.amounts(self.inputs, self.outputs, self.groups),
        }
    }

    /// What its integer kernel does.
    pub fn integer_amounts(&self) -> Amounts {
        match self.integer_kind() {
            Kind::Convolution | Kind::UnevenConvolution => {
                self.amounts(self.inputs, self.outputs.next_multiple_of(LANES), self.groups)
            }
            _ => self.amounts(self.inputs, self.outputs, self.groups),
        }
    }

    fn amounts(&self, inputs: usize, outputs: usize, groups: usize) -> Amounts {
        let (inputs, outputs, groups, taps) = (inputs as f64, outputs as f64, groups as f64, self.taps as f64);
        let window = inputs * taps;
        // A window of one element is the input itself.
        let places = if self.convolves && self.taps > 1 { self.positions * taps } else { 0.0 };
        let gathers = if self.convolves { places * inputs * groups } else { self.positions * inputs };
        // Channels on their own share the places of their windows; other groups do not.
        let sharing = if self.is_depthwise() { 1.0 } else { groups };
        Amounts {
            products: self.positions * window * outputs * groups,
            outputs: self.positions * outputs * groups,
            gathers,
            places: places * sharing,
            positions: self.positions * sharing,
            edges: self.positions.sqrt() * taps.sqrt() * outputs * groups,
            weights: window * outputs * groups,
        }
    }
}

impl Costs {
    /// Those of a processor with AVX-512 and VNNI, which were measured.
    pub fn with_vnni() -> &'static Self {
        &WITH_VNNI
    }

    /// Those of a processor with AVX2 only, which were not measured.
    pub fn without_vnni() -> &'static Self {
        &WITHOUT_VNNI
    }

    /// Reads a table.
    ///
    /// # Errors
    /// The text is no TOML, not of the form of a table, or has a number that no time can be.
    pub fn from_toml(text: &str) -> Result<Self> {
        let costs: Self =
            toml::from_str(text).map_err(|error| Error::config(format!("not a table of costs: {error}")))?;
        let rates =
            costs.operators.values().flat_map(|it| [Some(it.float), it.fused, it.integer, it.integer_alone]).flatten();
        let lacks = |known: &BTreeMap<Kind, Rate>, kinds: &[Kind]| kinds.iter().any(|kind| !known.contains_key(kind));
        if lacks(&costs.float, &Kind::FLOAT) || lacks(&costs.integer, &Kind::INTEGER) {
            return Err(Error::config("not a table of costs: it lacks a kind of layers"));
        }
        let kinds = costs.float.values().chain(costs.integer.values()).copied();
        let mut all = rates.chain(kinds).chain([costs.conversion, costs.reorder, costs.transpose, costs.other]);
        let is_time = |time: f64| time.is_finite() && time >= 0.0;
        let valid = all.all(|Rate { call, product, output, far, gather, place, position, edge, weight }| {
            [call, product, output, far, gather, place, position, edge, weight].into_iter().all(is_time)
        });
        if !valid {
            return Err(Error::config("not a table of costs: a time is negative or not a number"));
        }
        Ok(costs)
    }

    /// Reads a table from a file.
    ///
    /// # Errors
    /// The file cannot be read, or as for [`from_toml`](Self::from_toml).
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| Error::from(ErrorKind::Read(error)).in_file(path))?;
        Self::from_toml(&text).map_err(|error| error.in_file(path))
    }

    /// Nanoseconds of a layer with float numbers.
    ///
    /// ```
    /// use onnx_quant::targets::costs::{Costs, Layer};
    /// let costs = Costs::with_vnni();
    /// let dense = Layer { convolves: true, positions: 784.0, taps: 9, inputs: 64, outputs: 64, groups: 1 };
    /// assert!(costs.integer_layer(&dense) < 0.4 * costs.float_layer(&dense));
    /// let depthwise = Layer { inputs: 1, outputs: 1, groups: 64, ..dense };
    /// assert!(costs.integer_layer(&depthwise) > 1.4 * costs.float_layer(&depthwise));
    /// ```
    pub fn float_layer(&self, layer: &Layer) -> f64 {
        self.float[&layer.float_kind()].of(&layer.float_amounts())
    }

    /// Nanoseconds of a layer with integers.
    pub fn integer_layer(&self, layer: &Layer) -> f64 {
        self.integer[&layer.integer_kind()].of(&layer.integer_amounts())
    }

    /// Nanoseconds of a QuantizeLinear or DequantizeLinear of so many numbers.
    pub fn conversion(&self, elements: f64) -> f64 {
        self.making(&self.conversion, elements)
    }

    /// Nanoseconds of a change to blocks of channels, or back.
    pub fn reorder(&self, elements: f64) -> f64 {
        self.making(&self.reorder, elements)
    }

    /// Nanoseconds of a change to channels last, or back.
    pub fn transpose(&self, elements: f64) -> f64 {
        self.making(&self.transpose, elements)
    }

    fn making(&self, rate: &Rate, outputs: f64) -> f64 {
        rate.of(&Amounts { outputs, ..Amounts::default() }) + rate.far * (outputs - self.near).max(0.0)
    }

    /// Nanoseconds of an operator without weights that makes or reads so many numbers, as float.
    pub fn float_operator(&self, op_type: &str, elements: f64) -> f64 {
        self.making(&self.rates(op_type).map_or(self.other, |rates| rates.float), elements)
    }

    /// The same with integers; where no integer kernel is listed, it takes as long as with float numbers.
    pub fn integer_operator(&self, op_type: &str, elements: f64) -> f64 {
        let listed = self.rates(op_type).and_then(|rates| rates.integer);
        listed.map_or_else(|| self.float_operator(op_type, elements), |rate| self.making(&rate, elements))
    }

    /// How much longer an operator takes with integers that no integer kernel makes.
    pub fn alone(&self, op_type: &str, elements: f64) -> f64 {
        let listed = self.rates(op_type).and_then(|rates| rates.integer_alone);
        listed.map_or(0.0, |rate| self.making(&rate, elements) - self.integer_operator(op_type, elements)).max(0.0)
    }

    /// How much longer a float operator takes by itself than as part of the convolution before it.
    pub fn apart(&self, op_type: &str, elements: f64) -> f64 {
        let listed = self.rates(op_type).and_then(|rates| rates.fused);
        listed.map_or(0.0, |rate| self.float_operator(op_type, elements) - self.making(&rate, elements)).max(0.0)
    }

    /// By the type with what makes its kernel another one behind it, or by the type alone.
    fn rates(&self, op_type: &str) -> Option<&Rates> {
        let alone = || self.operators.get(op_type.split(' ').next()?);
        self.operators.get(op_type).or_else(alone)
    }
}
