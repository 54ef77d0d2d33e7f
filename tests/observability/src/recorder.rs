//! A subscriber that keeps all that is said: spans, events, and what libraries say through `log`.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record as Fields},
    subscriber::Interest,
};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::{LookupSpan, Registry},
};

/// A span that was made or an event that was said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// `span` and its name, or the event's message.
    pub what: String,
    /// How loud.
    pub level: Level,
    /// By whom.
    pub target: String,
    /// Names and values, those of a span that were recorded later included; without the message.
    pub fields: Vec<(String, String)>,
    /// The spans around it, from the outermost, each with its number and name; a span's own is not among them.
    pub spans: Vec<(u64, String)>,
    /// A span's own number.
    pub id: Option<u64>,
}

impl Record {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The names of the spans around it.
    pub fn path(&self) -> Vec<&str> {
        self.spans.iter().map(|(_, name)| name.as_str()).collect()
    }
}

/// All that was said in this process since the recorder was installed.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    records: Mutex<Vec<Record>>,
    quiet: AtomicBool,
}

impl Recorder {
    /// The recorder of this process, for every thread, at the loudest level.
    pub fn installed() -> &'static Self {
        static INSTALLED: OnceLock<Recorder> = OnceLock::new();
        INSTALLED.get_or_init(|| {
            let recorder = Self::default();
            tracing::subscriber::set_global_default(Registry::default().with(recorder.clone())).unwrap();
            tracing_log::LogTracer::init().unwrap();
            recorder
        })
    }

    /// Hears what this says in this thread, and nobody else does.
    pub fn hear<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(Registry::default().with(self.clone()), work)
    }

    /// How much has been said, to ask later what was [said since](Self::since).
    pub fn mark(&self) -> usize {
        self.records().len()
    }

    /// What has been said since then.
    pub fn since(&self, mark: usize) -> Vec<Record> {
        self.records().get(mark..).unwrap_or_default().to_vec()
    }

    /// Whether libraries may say what is below DEBUG through `log`, as they may unless this was called.
    pub fn quiet_libraries(&self, quiet: bool) {
        self.0.quiet.store(quiet, Ordering::SeqCst);
    }

    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.0.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a span's record is.
struct Place(usize);

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Recorder {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // What is said may change.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let ours = metadata.target().starts_with("abyssale");
        ours || *metadata.level() <= Level::DEBUG || !self.0.quiet.load(Ordering::SeqCst)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Gathered::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        let above = span.parent().map(|parent| parent.scope().from_root().collect::<Vec<_>>());
        let metadata = attributes.metadata();
        let record = Record {
            what: format!("span {}", metadata.name()),
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            fields: fields.fields,
            spans: above
                .unwrap_or_default()
                .iter()
                .map(|span| (span.id().into_u64(), span.name().to_owned()))
                .collect(),
            id: Some(id.into_u64()),
        };
        let mut records = self.records();
        span.extensions_mut().insert(Place(records.len()));
        records.push(record);
    }

    fn on_record(&self, id: &Id, values: &Fields<'_>, context: Context<'_, S>) {
        let mut fields = Gathered::default();
        values.record(&mut fields);
        let span = context.span(id).unwrap();
        let extensions = span.extensions();
        let Place(place) = extensions.get::<Place>().unwrap();
        self.records().get_mut(*place).unwrap().fields.append(&mut fields.fields);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Gathered::default();
        event.record(&mut fields);
        // What came through `log` tells its true target beside.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let scope = context.event_scope(event).map(|scope| scope.from_root().collect::<Vec<_>>());
        let record = Record {
            what: fields.message,
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            fields: fields.fields,
            spans: scope
                .unwrap_or_default()
                .iter()
                .map(|span| (span.id().into_u64(), span.name().to_owned()))
                .collect(),
            id: None,
        };
        self.records().push(record);
    }
}

/// The fields of one record.
#[derive(Default)]
struct Gathered {
    message: String,
    fields: Vec<(String, String)>,
}

impl Visit for Gathered {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.message = value;
        } else {
            self.fields.push((field.name().to_owned(), value));
        }
    }
}
