//! Which settings go together.

use super::{Config, Granularity, Rule, WeightForm, WeightType, tensor_type::kernel_dtype, weights::BLOCK_SIZES};
use crate::{
    error::{Error, Result},
    targets::Pairs,
};

impl Config {
    /// Whether the settings go together.
    ///
    /// # Errors
    /// Weights are to be floats and asymmetric; blocks are none; or a rule makes weights such.
    pub fn check(&self) -> Result<()> {
        self.check_weights()?;
        self.check_rules(Self::check_weights)
    }

    fn check_rules(&self, check: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let wrong = |rule: &Rule, error: Error| {
            let names: Vec<String> = rule.patterns.iter().map(ToString::to_string).collect();
            Error::config(format!("the rule for '{}': {}", names.join(", "), error))
        };
        self.rules.iter().try_for_each(|rule| check(&self.of_rule(rule)).map_err(|error| wrong(rule, error)))
    }

    fn check_weights(&self) -> Result<()> {
        if let Granularity::Block { size, .. } = self.granularity
            && !BLOCK_SIZES.contains(&size)
        {
            return Err(Error::config(format!("a block of {size} weights is none")));
        }
        if self.asymmetric && !self.weights.is_integer() {
            let message = format!("{} has no zero points: it cannot be asymmetric", self.weights);
            return Err(Error::config(message));
        }
        self.check_for_nbits()
    }

    /// Whether MatMulNBits has weights and blocks like these. (onnxruntime's documentation of contributed operators.)
    fn check_for_nbits(&self) -> Result<()> {
        use WeightType::*;
        if self.weight_form != WeightForm::Matmulnbits {
            let message = "an accuracy level is for --weight-form matmulnbits, which alone can state it";
            return self.accuracy_level.map_or(Ok(()), |_| Err(Error::config(message)));
        }
        if !matches!(self.weights, Int2 | Uint2 | Int4 | Uint4 | Int8 | Uint8) {
            return Err(Error::config(format!("MatMulNBits has weights of 2, 4 and 8 bits, not {}", self.weights)));
        }
        if let Granularity::Block { size, axis } = self.sharing()
            && (axis.is_some() || size < 16 || !size.is_power_of_two())
        {
            let message = "MatMulNBits has blocks along the axis that is summed over, of 16, 32, 64, ... weights";
            return Err(Error::config(message));
        }
        if let Some(level) = self.accuracy_level.filter(|level| *level > 4) {
            return Err(Error::config(format!("the accuracy level {level} is none of 0 to 4")));
        }
        Ok(())
    }

    /// Whether the settings go together where activations are quantized too: integer kernels take weights
    /// of 8 bits with a scale for each channel or tensor.
    ///
    /// # Errors
    /// As [`check`](Self::check); or weights are to have another form.
    pub fn check_for_activations(&self) -> Result<()> {
        self.check()?;
        if self.activations.is_dynamic() {
            let message = "dynamic activations get their scales in each run: they take no samples and no ranges";
            return Err(Error::config(message));
        }
        if self.activations.is_float() {
            return Err(Error::config(
                "activations are to stay float: ranges are of no use, and samples only for weights",
            ));
        }
        self.check_weights_of_kernels()?;
        self.check_rules(Self::check_weights_of_kernels)?;
        self.check_for_target()
    }

    /// Whether the settings go together where activations are quantized with scales that each run finds.
    ///
    /// # Errors
    /// As [`check`](Self::check); weights are to have another form than integer kernels take; or the target has no
    /// such kernels.
    pub fn check_for_dynamic(&self) -> Result<()> {
        self.check()?;
        self.check_weights_of_kernels()?;
        self.check_rules(Self::check_weights_of_kernels)?;
        if self.weight_form == WeightForm::Qdq {
            return Err(Error::config(
                "dynamic activations need weights that are integers: leave out --weight-form qdq",
            ));
        }
        if !self.tensor_types.is_empty() {
            return Err(Error::config("dynamic activations are all of one type: leave out --tensor-type"));
        }
        if !self.target.has_dynamic_kernels() {
            return Err(Error::config(format!(
                "{} has no integer kernels for dynamic activations: use --samples, or quantize the weights alone",
                self.target.name()
            )));
        }
        Ok(())
    }

    /// Whether integer kernels take weights like these, so that activations can be quantized with them. (What rules say
    /// of single weights is not asked.)
    pub fn has_weights_of_kernels(&self) -> bool {
        self.check_weights_of_kernels().is_ok()
    }

    fn check_weights_of_kernels(&self) -> Result<()> {
        if self.weight_form == WeightForm::Matmulnbits {
            let message = "MatMulNBits has float activations: leave out --weight-form matmulnbits";
            return Err(Error::config(message));
        }
        let eight_bits = matches!(self.weights, WeightType::Int8 | WeightType::Uint8);
        let known = eight_bits || self.takes_weights();
        if known && !matches!(self.granularity, Granularity::Block { .. }) {
            return Ok(());
        }
        Err(Error::config(format!(
            "weights that are {}, {}, do not go with quantized activations: kernels that compute in integers take int8 or \
             uint8, per-channel or per-tensor",
            self.weights,
            self.sharing(),
        )))
    }

    /// Whether the target has integer kernels for weights of this type.
    fn takes_weights(&self) -> bool {
        let listed = |dtype| self.target.writes().weights.iter().any(|known| known.0 == dtype);
        kernel_dtype(self.weights).is_some_and(listed)
    }

    /// Whether the target has kernels for weights and activations of this kind at all.
    fn check_for_target(&self) -> Result<()> {
        let (name, writes) = (self.target.name(), self.target.writes());
        if !self.takes_weights() {
            return Err(Error::config(format!("{name} has no integer kernels for {} weights", self.weights)));
        }
        if !self.tensor_types.is_empty() && writes.pairs == Pairs::AsNeeded {
            return Err(Error::config(format!(
                "the kernels of {name} read and make integers of one type: single tensors cannot have another"
            )));
        }
        if self.asymmetric && !writes.weight_zero_points {
            return Err(Error::config(format!("{name} takes no weights with zero points: leave out --asymmetric")));
        }
        if writes.symmetric_activations && !self.activations.symmetric {
            return Err(Error::config(format!("{name} takes symmetric activations only")));
        }
        Ok(())
    }
}
