//! A span and the time since it began: with the feature, and without it nothing.

pub(super) use self::kind::Open;
pub use self::kind::Span;
#[cfg(feature = "tracing")]
pub(super) use self::kind::millis;

#[cfg(feature = "tracing")]
mod kind {
    use std::{
        fmt::Display,
        future::Future,
        sync::OnceLock,
        time::{Duration, Instant},
    };

    use tracing::{Id, Instrument as _, field::display};

    /// A span. Nothing without the feature `tracing`.
    #[derive(Clone, Debug)]
    pub struct Span(tracing::Span);

    #[derive(Debug)]
    pub(in crate::trace) struct Open {
        pub(in crate::trace) span: Span,
        begun: Instant,
        named: OnceLock<()>,
        given_up: fn(&Self),
        is_over: bool,
    }

    impl Span {
        /// Does something within it.
        pub fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
            self.0.in_scope(work)
        }

        /// The same future, within it whenever it is polled and when it is dropped.
        pub fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
            future.instrument(self.0.clone())
        }
    }

    impl Open {
        pub(in crate::trace) fn new(span: tracing::Span, given_up: fn(&Self)) -> Self {
            Self { span: Span(span), begun: Instant::now(), named: OnceLock::new(), given_up, is_over: false }
        }

        pub(in crate::trace) fn id(&self) -> Option<Id> {
            self.span.0.id()
        }

        pub(in crate::trace) fn millis(&self) -> u64 {
            millis(self.begun.elapsed())
        }

        /// Adds a field that was not known at the beginning.
        pub(in crate::trace) fn name<T: Display>(
            &self,
            field: &'static str,
            value: impl FnOnce() -> Option<T>,
        ) {
            if !self.span.0.is_disabled()
                && let Some(value) = value()
            {
                self.span.0.record(field, display(value));
            }
        }

        /// The same, for the one field that is learnt of more than once.
        pub(in crate::trace) fn name_once<T: Display>(&self, field: &'static str, value: T) {
            if self.named.set(()).is_ok() {
                self.span.0.record(field, display(value));
            }
        }

        pub(in crate::trace) fn over(mut self) -> Self {
            self.is_over = true;
            self
        }
    }

    impl Default for Open {
        fn default() -> Self {
            Self::new(tracing::Span::none(), |_| {})
        }
    }

    impl Drop for Open {
        fn drop(&mut self) {
            if !self.is_over {
                (self.given_up)(self);
            }
        }
    }

    pub(in crate::trace) fn millis(time: Duration) -> u64 {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(not(feature = "tracing"))]
mod kind {
    use std::{fmt::Display, future::Future};

    /// A span. Nothing without the feature `tracing`.
    #[derive(Clone, Debug, Default)]
    pub struct Span;

    #[derive(Debug, Default)]
    pub(in crate::trace) struct Open {
        pub(in crate::trace) span: Span,
    }

    impl Span {
        /// Does something within it.
        pub fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
            work()
        }

        /// The same future, within it whenever it is polled and when it is dropped.
        pub fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
            future
        }
    }

    impl Open {
        pub(in crate::trace) fn name<T: Display>(&self, _: &'static str, _: impl FnOnce() -> Option<T>) {}

        pub(in crate::trace) fn name_once<T: Display>(&self, _: &'static str, _: T) {}

        pub(in crate::trace) fn over(self) -> Self {
            self
        }
    }

    /// That it costs nothing, as far as the compiler can tell.
    const _: () = assert!(size_of::<(Open, crate::trace::Pace)>() == 0);
}
