//! Counts, in this crate's own tests, how much of a graph is looked at: operators, values and scopes that
//! are gone through, edges that are followed, places that are searched. A test of how that grows with a
//! model needs no clock.

/// Counts so many more.
pub(super) fn count(_steps: usize) {
    #[cfg(test)]
    STEPS.with(|steps| steps.set(steps.get() + _steps));
}

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many there were in this thread.
#[cfg(test)]
pub(crate) fn counted() -> usize {
    STEPS.with(std::cell::Cell::get)
}
