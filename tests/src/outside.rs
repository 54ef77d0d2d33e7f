//! Tests that need something of the machine that may not be there: a Python, a curl. Where it is missing they are
//! reported as ignored, with the reason, instead of passing without having looked; libtest cannot do that at run time,
//! libtest-mimic can.

use std::sync::Arc;

use libtest_mimic::Trial;

/// What is needed, or why it is not here.
pub type Need<T> = Result<Arc<T>, String>;

/// Looks for what the trials of `program` need, and says loudly on stderr if it is not here.
#[expect(clippy::print_stderr, reason = "it is what this function is for")]
pub fn look_for<T>(program: &str, find: impl FnOnce() -> Result<T, String>) -> Need<T> {
    find().map(Arc::new).inspect_err(|reason| eprintln!("\nSKIPPED in {program}: {reason}\n"))
}

/// A trial that is ignored, with the reason in its line of the report, where its need is not met.
pub fn trial<T>(need: &Need<T>, name: impl Into<String>, run: impl FnOnce(&T) + Send + 'static) -> Trial
where
    T: Send + Sync + 'static,
{
    match need {
        Ok(found) => {
            let found = Arc::clone(found);
            Trial::test(name, move || {
                run(&found);
                Ok(())
            })
        }
        Err(reason) => {
            let (kind, reason) = (format!("skipped: {reason}"), reason.clone());
            // With `--include-ignored` it runs after all, and then it must not pass.
            Trial::test(name, move || Err(reason.into())).with_kind(kind).with_ignored_flag(true)
        }
    }
}
