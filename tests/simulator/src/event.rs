//! The `NewExport` event of an accepted export: when it comes, how often, and in what company.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::clock::unix_now;
use crate::delivery::{Delivery, Signed};
use crate::journal::ExportRecord;
use crate::shared::Shared;
use crate::trouble::{EventShape, EventTrouble, Gateway};

/// Sets the event of `export` on its way. Returns when the request may be answered: at once, unless the script wants
/// the event first.
pub(crate) async fn announce(shared: &Arc<Shared>, export: ExportRecord) {
    let trouble = shared.script().next_event();
    let Some(callback_url) = export.callback_url.clone() else { return };
    let before_answer = trouble == EventTrouble::BeforeAnswer;
    let (tried, first_try) = oneshot::channel();
    // A task of its own: the event comes even if whoever asked for the export has hung up.
    tokio::spawn(Herald { shared: Arc::clone(shared), export, callback_url }.tell(trouble, tried));
    if before_answer {
        // An error means that the simulator is being stopped.
        let _ = first_try.await;
    }
}

/// Whoever tells the callback about one export.
struct Herald {
    shared: Arc<Shared>,
    export: ExportRecord,
    callback_url: String,
}

impl Herald {
    async fn tell(self, trouble: EventTrouble, tried: oneshot::Sender<()>) {
        sleep(self.shared.config.render_delay).await;
        let shared = &self.shared;
        let true_url = self.export.archive_url.as_str();
        match trouble {
            EventTrouble::Never => return,
            EventTrouble::Late(time) => sleep(time).await,
            EventTrouble::StrangerFirst => {
                self.event(&shared.mint.uuid(), &self.elsewhere()).attempt(shared, 1).await;
            }
            EventTrouble::OtherTypeFirst => {
                self.delivery(&self.export.export_id, &other_event(&shared.mint.uuid()))
                    .attempt(shared, 1)
                    .await;
            }
            EventTrouble::ForgedFirst => {
                let event = self.event(&self.export.export_id, true_url);
                Delivery { signed: Signed::ByAnother, ..event }.attempt(shared, 1).await;
            }
            _ => {}
        }
        let url = match &trouble {
            EventTrouble::ArchiveUrl(url) => url.clone(),
            EventTrouble::ArchiveName(name) => format!("{true_url}&name={name}"),
            EventTrouble::PaddedArchiveUrl => format!(" \t{true_url}\n"),
            _ => true_url.to_owned(),
        };
        let url = url.as_str();
        let mut event = self.event(&self.export.export_id, url);
        match trouble {
            EventTrouble::Shape(shape) => event.body = shaped(&event.body, &self.export.export_id, shape),
            EventTrouble::SignsLate => event.signed = Signed::Late,
            EventTrouble::ClockSkew(seconds) => event.signed = Signed::At(seconds),
            EventTrouble::Gateway(gateway) => event = through(gateway, event),
            _ => {}
        }
        let taken = event.attempt(shared, 1).await;
        // Whoever waits for the first try may have gone.
        let _ = tried.send(());
        let second = match trouble {
            EventTrouble::Twice => Some(self.event(&self.export.export_id, url)),
            EventTrouble::ConflictAfter => Some(self.event(&self.export.export_id, &self.elsewhere())),
            _ => None,
        };
        if let Some(second) = second {
            second.attempt(shared, 1).await;
        }
        let every = trouble == EventTrouble::EveryAttempt;
        if every || !taken {
            event.climb(shared, every).await;
        }
    }

    /// A `NewExport` event: exactly the four documented keys, in the documented order.
    fn event(&self, export_id: &str, archive_url: &str) -> Delivery {
        let (export, url) = (json!(export_id), json!(archive_url));
        let (requested_at, generated_at) = (self.export.requested_at, unix_now());
        let body = format!(
            r#"{{"export_id": {export}, "archive_url": {url}, "requested_at": {requested_at}, "generated_at": {generated_at}}}"#
        );
        self.delivery(export_id, &body)
    }

    fn delivery(&self, export_id: &str, body: &str) -> Delivery {
        Delivery {
            id: self.shared.mint.token(),
            export_id: export_id.to_owned(),
            callback_url: self.callback_url.clone(),
            body: body.to_owned(),
            signed: Signed::Truly,
            repeats_headers: false,
        }
    }

    /// The address of an archive that is not there.
    fn elsewhere(&self) -> String {
        format!(
            "{}/archives/{}.zip?sig={}",
            self.shared.base_url,
            self.shared.mint.uuid(),
            self.shared.mint.token()
        )
    }
}

/// The documented body in another shape.
fn shaped(body: &str, export_id: &str, shape: EventShape) -> String {
    match shape {
        EventShape::Data => format!(r#"{{"event_type": "NEW_EXPORT", "data": {body}}}"#),
        EventShape::Payload => format!(r#"{{"event_type": "NEW_EXPORT", "payload": {body}}}"#),
        EventShape::ByteOrderMark => format!("\u{feff}{body}"),
        EventShape::CapitalId => body.replacen(export_id, &export_id.to_uppercase(), 1),
        EventShape::NoIds => r#"{"event_type": "NEW_EXPORT", "status": "done"}"#.to_owned(),
    }
}

/// The delivery as a gateway hands it on.
fn through(gateway: Gateway, delivery: Delivery) -> Delivery {
    let url = &delivery.callback_url;
    let path = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    let (host, path) = url.split_at(path);
    let callback_url = match gateway {
        Gateway::AddsStage => format!("{host}/prod{path}"),
        Gateway::DropsStage => {
            let rest = path.match_indices('/').nth(1).and_then(|(at, _)| path.get(at..));
            format!("{host}{}", rest.unwrap_or("/"))
        }
        Gateway::DoublesSlashes => format!("{host}{}", path.replace('/', "//")),
        Gateway::AddsQuery => format!("{url}{}source=gateway", if path.contains('?') { '&' } else { '?' }),
        Gateway::RepeatsHeaders => return Delivery { repeats_headers: true, ..delivery },
    };
    Delivery { callback_url, ..delivery }
}

/// An event of another type, such as a receiver may be subscribed to as well.
fn other_event(id: &str) -> String {
    json!({ "event_type": "NEW_BANNER", "id": id, "file": { "type": "png", "url": "https://example.com/a.png" } })
        .to_string()
}
