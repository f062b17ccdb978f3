//! How a test ends: as the functions of Rust's own harness do, or ignored while it runs, by [`ignore`].

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
};

use libtest_mimic::{Completion, Failed, Trial};

/// What [`ignore`] unwinds with.
struct Ignored(String);

/// Ends a test that cannot run here what it is for.
pub fn ignore(reason: impl Into<String>) -> ! {
    // Without a message on stderr: nothing went wrong.
    panic::resume_unwind(Box::new(Ignored(reason.into())))
}

/// A function as a test: it fails by a panic.
pub fn trial(module: &str, name: &str, test: fn()) -> Trial {
    // The binary's own name says nothing.
    let module = module.split_once("::").map_or(module, |(_, rest)| rest);
    Trial::ignorable_test(format!("{module}::{name}"), move || run(test))
}

/// Runs a test.
pub fn run(test: impl FnOnce()) -> Result<Completion, Failed> {
    match panic::catch_unwind(AssertUnwindSafe(test)) {
        Ok(()) => Ok(Completion::Completed),
        Err(payload) => match payload.downcast::<Ignored>() {
            Ok(ignored) => Ok(Completion::ignored_with(ignored.0)),
            Err(payload) => Err(message(&*payload).into()),
        },
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked without a message").to_owned()
}

/// Lists the tests of a module, for `main`. What is not listed is unused, which the compiler says.
#[macro_export]
macro_rules! tests {
    [$($(#[$condition:meta])* $name:ident),* $(,)?] => {
        #[allow(clippy::vec_init_then_push, reason = "a condition can stand before a statement, not before an element")]
        pub fn tests() -> Vec<libtest_mimic::Trial> {
            let mut tests = Vec::new();
            $($(#[$condition])* tests.push($crate::outcome::trial(module_path!(), stringify!($name), $name));)*
            tests
        }
    };
}
