//! What runs a model to observe it.

use crate::{error::Result, ir::Tensor};

/// Something that runs a model, made for one model and the values of it that are to be observed.
pub trait Engine {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Runs the model once and hands over what each observed value held: its index in the list the
    /// engine was made for, and its elements. A value that this run did not compute (in the branch not
    /// taken) is missing.
    ///
    /// # Errors
    /// The engine cannot run the model with these inputs.
    fn run(&mut self, inputs: &[Tensor], observe: &mut dyn FnMut(&[(usize, &[f32])])) -> Result<()>;
}
