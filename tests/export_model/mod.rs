//! The export machine, driven by a model of its surroundings that knows the contract and not the code.
//!
//! [`alphabet`] is everything that can happen, [`world`] carries it out as a careful driver would
//! (saving, acting, crashing), [`ledger`] keeps the books and says what the machine may do, and
//! [`afterwards`] asks of any moment whether the job would still end, and survive a restart.

pub(crate) mod afterwards;
pub(crate) mod alphabet;
pub(crate) mod ledger;
pub(crate) mod settings;
pub(crate) mod world;

/// Fine, or the rule that was broken.
pub(crate) type Checked<T = ()> = Result<T, String>;

/// Fails with the rule that is broken: the search reports it with the sequence that led there.
macro_rules! rule {
    ($holds:expr, $($rule:tt)+) => {
        if !$holds {
            return Err(format!($($rule)+));
        }
    };
}
pub(crate) use rule;
