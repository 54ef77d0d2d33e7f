//! Who takes genuine deliveries.

use abyssale_core::{
    Timestamp,
    webhook::{Delivery, Reply},
};

/// Who takes genuine deliveries. Every `Fn(Timestamp, Delivery) -> Reply` is one.
///
/// [`Reply::Acknowledged`] ends the delivery, so it is given only once the event cannot be lost any
/// more; after anything else the service comes again.
pub trait Handler: Send + Sync + 'static {
    /// Takes a delivery. Called by several threads or tasks at once; must not block for long.
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply;

    /// Takes a delivery whose reply may have to wait until it is saved, and gives the reply then; without waiting for it
    /// here. An `answer` that is dropped stands for [`Reply::Unavailable`].
    fn handle_later(&self, now: Timestamp, delivery: Delivery, answer: Answer) {
        answer(self.handle(now, delivery));
    }
}

/// Takes the reply to a delivery, once.
pub type Answer = Box<dyn FnOnce(Reply) + Send>;

impl<F: Fn(Timestamp, Delivery) -> Reply + Send + Sync + 'static> Handler for F {
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply {
        self(now, delivery)
    }
}
