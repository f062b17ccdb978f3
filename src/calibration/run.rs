//! The run over the samples: what an engine computes goes into statistics, sample by sample.

use std::ops::ControlFlow;

use rayon::prelude::*;

use super::{Collect, Engine, Observation, Observed, Ranges, Sample, Statistics, value_keys};
use crate::{
    error::{Error, ErrorKind, Result},
    ir::{Model, ValueId},
};

/// The progress of a run that nobody looks at, and nobody ends.
pub fn proceed(_samples: usize) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs a model with every sample and gathers what its watched values held. `progress` hears after each
/// sample how many there were, and may end the run by [`Break`](ControlFlow::Break).
///
/// Memory holds the watched values of one sample at a time. The result is the same at every number of
/// threads, as far as the engine's is.
///
/// # Errors
/// There is no sample; a sample cannot be had, does not fit the model, or the engine fails: then nothing
/// is returned of the samples before it either, as where `progress` ends the run. A value [cannot be watched](super::can_be_watched).
pub fn observe(
    model: &Model,
    watched: &[ValueId],
    samples: impl IntoIterator<Item = Result<Sample>>,
    engine: &dyn Engine,
    collect: Collect,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Ranges> {
    if watched.is_empty() {
        return Ok(Ranges::default());
    }
    let observation = Observation::new(model, watched)?;
    let mut session = engine.load(&observation)?;
    let mut statistics = vec![Statistics::new(collect); watched.len()];
    let mut count = 0;
    for sample in samples {
        let sample = sample?;
        count += 1;
        observation
            .inputs(&sample)
            .and_then(|inputs| session.run(&inputs, &mut |observed| update(&mut statistics, observed)))
            .map_err(|error| error.in_sample(count, &sample.origin))?;
        if progress(count).is_break() {
            return Err(ErrorKind::Cancelled { samples: count }.into());
        }
    }
    if count == 0 {
        return Err(Error::config("there are no calibration samples"));
    }
    let mut keys = value_keys(model);
    let keys = watched.iter().filter_map(|value| keys.remove(value));
    Ok(Ranges { values: keys.zip(statistics).collect() })
}

/// Each value's statistics are one thread's work, so their order of additions is always the same.
fn update(statistics: &mut [Statistics], observed: Observed) {
    let mut values: Vec<Option<&[f32]>> = vec![None; statistics.len()];
    for value in observed {
        values[value.index] = Some(value.elements);
    }
    statistics.par_iter_mut().zip(values).with_max_len(1).for_each(|(statistics, elements)| {
        if let Some(elements) = elements {
            statistics.observe(elements);
        }
    });
}
