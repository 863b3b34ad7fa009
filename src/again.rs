//! Threads that a panic does not end: they work for everybody, and nobody would start another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

/// Between a panic and what follows it, so that work that panics at once takes no processor for itself.
const PAUSE: Duration = Duration::from_millis(100);

/// Does work until it ends by itself; where it panics, begins it again. What the panic left half done is for the work to
/// cope with.
pub(crate) fn after_panics(name: &str, mut work: impl FnMut()) {
    while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        tracing::error!(name, "a thread panicked; it goes on");
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_panics_is_begun_again_until_it_ends() {
        let mut begun = 0;
        after_panics("test", || {
            begun += 1;
            assert!(begun > 2, "scripted");
        });
        assert_eq!(begun, 3);
    }
}
