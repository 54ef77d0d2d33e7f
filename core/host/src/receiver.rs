//! The part of a receiver that both transports share: the endpoint, the handler and the counters. A transport adds the waiting.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use abyssale_core::{
    DeliveryId, ExportId, SigningSecret, Timestamp, Token,
    http::{Headers, Request},
    webhook::{Admitted, CallbackEndpoint, DELIVERY_ID_HEADER, Delivery, Event, OtherEvent, Refusal, Reply},
};

use tracing::{Span, debug, field::Empty, field::display, info_span};

use crate::{Callback, Clock, Counters, Error, attempt::Timed, random_token};

/// Takes genuine deliveries. Every `Fn(Timestamp, Delivery) -> Reply` is a handler.
///
/// Return [`Reply::Acknowledged`] only once the event is saved: it ends the delivery. After any other reply the service
/// delivers again.
pub trait Handler: Send + Sync + 'static {
    /// Takes a delivery. Several threads or tasks call this at once. It must not block for long.
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply;

    /// Takes a delivery, and calls `answer` with the reply, perhaps later and from another thread: once the event is saved.
    /// Dropping `answer` means [`Reply::Unavailable`].
    fn handle_later(&self, now: Timestamp, delivery: Delivery, answer: Answer) {
        answer(self.handle(now, delivery));
    }

    /// Called when a delivery to the callback URL was refused. `token` is the one in the URL. The reply says why.
    fn refused(&self, _now: Timestamp, _token: Option<&Token>, _reply: &Reply) {}
}

/// Takes the reply to a delivery.
pub type Answer = Box<dyn FnOnce(Reply) + Send>;

impl<F: Fn(Timestamp, Delivery) -> Reply + Send + Sync + 'static> Handler for F {
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply {
        self(now, delivery)
    }
}

/// Turns requests at a callback URL into deliveries for a handler, and counts the replies.
pub struct Deliveries {
    endpoint: RwLock<CallbackEndpoint>,
    handler: Box<dyn Handler>,
    clock: Clock,
    counters: Arc<Counters>,
    probes: Mutex<Vec<Arrival>>,
}

/// What became of a probe of [`Deliveries::probe`].
struct Arrival {
    export_id: ExportId,
    token: Option<Token>,
    reply: Option<Reply>,
}

impl Deliveries {
    /// Gives each genuine delivery to `handler`.
    pub fn new(endpoint: CallbackEndpoint, handler: impl Handler) -> Self {
        Self {
            endpoint: RwLock::new(endpoint),
            handler: Box::new(handler),
            clock: Clock::new(),
            counters: Arc::default(),
            probes: Mutex::default(),
        }
    }

    /// Decides by a request's head whether to read its body. An `Err` is the answer; it is counted already.
    pub fn admit(&self, method: &str, target: &str, headers: &dyn Headers) -> Result<Admitted, Reply> {
        let (admitted, token) = {
            let endpoint = self.endpoint();
            let admitted = endpoint.admit(method, target, headers);
            let token = if admitted.is_err() { endpoint.token_in(target) } else { None };
            (admitted, token)
        };
        admitted.inspect_err(|reply| {
            self.report_refused(token.as_ref(), reply);
            span(headers).in_scope(|| self.counters.reply(reply));
        })
    }

    /// Verifies and parses an admitted request, and passes its delivery to the handler, which calls `answer`.
    pub fn take(&self, admitted: &Admitted, headers: &dyn Headers, body: &[u8], answer: Answer) -> Taken {
        let timed = Timed::new(span(headers));
        timed.span.in_scope(|| {
            // A binding of its own, so that the lock is released before the handler runs.
            let read = self.endpoint().read(Clock::wall(), admitted, headers, body);
            match read {
                Ok(delivery) if self.is_probe(&delivery) => answer(Reply::Acknowledged),
                Ok(delivery) => {
                    name(&timed.span, &delivery.event);
                    self.handler.handle_later(self.clock.now(), delivery, answer);
                }
                Err(reply) => {
                    self.report_refused(admitted.token(), &reply);
                    answer(reply);
                }
            }
        });
        Taken { counters: Arc::clone(&self.counters), timed }
    }

    /// Counts the reply to a request that was admitted but did not arrive whole.
    pub fn not_taken(&self, reply: Reply) -> Reply {
        self.counters.reply(&reply);
        reply
    }

    /// Builds a delivery to `callback` that shows whether the callback URL leads here. Ask [`Self::arrived`] about it.
    pub(crate) fn probe(&self, callback: &Callback) -> Result<(ExportId, Request), Error> {
        let (url, token) = callback.another()?;
        let Ok(export_id) = random_token()?.as_str().parse::<ExportId>() else {
            unreachable!("a token is a valid export id")
        };
        let request = self.endpoint().probe(url, &export_id, Clock::wall());
        self.probes().push(Arrival { export_id: export_id.clone(), token, reply: None });
        Ok((export_id, request))
    }

    /// Returns what a probe was answered if it arrived here, and forgets it.
    pub(crate) fn arrived(&self, export_id: &ExportId) -> Option<Reply> {
        let mut probes = self.probes();
        let at = probes.iter().position(|probe| probe.export_id == *export_id)?;
        probes.swap_remove(at).reply
    }

    /// Returns whether a genuine delivery is a probe of ours, which nobody else can know.
    fn is_probe(&self, delivery: &Delivery) -> bool {
        let Event::NewExport(event) = &delivery.event else { return false };
        let mut probes = self.probes();
        let probe = probes.iter_mut().find(|probe| probe.export_id == event.export_id);
        probe.map(|probe| probe.reply = Some(Reply::Acknowledged)).is_some()
    }

    fn probes(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report_refused(&self, token: Option<&Token>, reply: &Reply) {
        if let Some(probe) =
            self.probes().iter_mut().find(|probe| token.is_some() && probe.token.as_ref() == token)
        {
            probe.reply = Some(reply.clone());
            return;
        }
        // A stranger may send anything to a URL without a token.
        let may_be_delivery = token.is_some() || *reply != Reply::Unauthorized(Refusal::Missing);
        if reply.refuses_delivery() && may_be_delivery {
            self.handler.refused(self.clock.now(), token, reply);
        }
    }

    /// Replaces the signing secrets.
    pub fn set_signing_secrets(&self, secrets: impl IntoIterator<Item = SigningSecret>) {
        self.endpoint.write().unwrap_or_else(PoisonError::into_inner).set_secrets(secrets);
    }

    /// Returns the counters.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    fn endpoint(&self) -> RwLockReadGuard<'_, CallbackEndpoint> {
        self.endpoint.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("endpoint", &*self.endpoint()).finish_non_exhaustive()
    }
}

/// A request whose delivery was passed to the handler and is not answered yet.
#[derive(Debug)]
pub struct Taken {
    counters: Arc<Counters>,
    timed: Timed,
}

impl Taken {
    /// Counts the reply, and returns it.
    pub fn answered(self, reply: Reply) -> Reply {
        self.timed.span.in_scope(|| {
            self.counters.reply(&reply);
            if reply == Reply::Acknowledged {
                debug!(target: DELIVERY, duration_ms = self.timed.millis(), "delivery acknowledged");
            }
        });
        reply
    }
}

/// Opens the span of a delivery. The signature does not cover the delivery id.
fn span(headers: &dyn Headers) -> Span {
    let span = info_span!(target: DELIVERY, "delivery",
        delivery_id = Empty, export_id = Empty, event_type = Empty);
    if !span.is_disabled()
        && let Some(id) = headers.only(DELIVERY_ID_HEADER).and_then(DeliveryId::from_header)
    {
        span.record("delivery_id", display(id));
    }
    span
}

/// Records the event of a genuine delivery in its span.
fn name(span: &Span, event: &Event) {
    match event {
        Event::NewExport(event) => span.record("export_id", display(&event.export_id)),
        Event::Other(OtherEvent { event_type: Some(event_type), .. }) => {
            span.record("event_type", display(event_type))
        }
        _ => span,
    };
}

const DELIVERY: &str = "abyssale::delivery";
