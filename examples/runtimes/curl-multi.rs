//! The core on libcurl's multi interface: curl speaks HTTP, and waits for its own sockets and for the callback address.
//! `cargo run -p abyssale-runtimes --features curl --bin curl-multi`

use std::{error::Error, io::Write as _, os::fd::AsRawFd as _, time::Duration};

use abyssale_core::{Input, Output, http::Method};
use abyssale_runtimes::{Attempt, Happened, Inbox, Message, Stage};
use curl::{
    easy::{Easy2, Handler, HttpVersion, List, WriteError},
    multi::{Easy2Handle, Multi, WaitFd},
};

fn main() -> Result<(), Box<dyn Error>> {
    let stage = Stage::set()?;
    let mut inbox = Inbox::new(stage.listener()?)?;
    let mut export = stage.export()?;
    let multi = Multi::new();
    let mut under_way: Option<Easy2Handle<Collector>> = None;
    loop {
        while let Some(output) = export.poll_output() {
            match output {
                Output::Done(result) => return stage.end(result),
                Output::Notice(notice) => stage.say(&notice),
                Output::Abort(_) => under_way = None, // dropping the handle closes its connection
                output => match stage.attempt(output) {
                    // It has nowhere to put what would come.
                    Some(attempt) if attempt.is_over() => attempt.over().tell(&mut export, stage.now()),
                    attempt => under_way = attempt.map(|attempt| begin(&multi, attempt)).transpose()?,
                },
            }
        }
        multi.perform()?;
        if let Some(handle) = &mut under_way {
            for happened in handle.get_mut().told.drain(..) {
                happened.tell(&mut export, stage.now());
            }
        }
        let mut ended = None;
        multi.messages(|message| ended = under_way.as_ref().and_then(|handle| message.result_for2(handle)));
        if let Some((result, handle)) = ended.and_then(|result| Some((result, under_way.take()?))) {
            let mut easy = multi.remove2(handle)?;
            let no_connection =
                |error: &curl::Error| error.is_couldnt_connect() || error.is_couldnt_resolve_host();
            let was_sent = !easy.pretransfer_time()?.is_zero() && !result.as_ref().is_err_and(no_connection);
            match easy.get_mut().finish(result, was_sent) {
                Some(over) if over.is_over() => over.over().tell(&mut export, stage.now()),
                // Where a redirect leads.
                again => under_way = again.map(|attempt| begin(&multi, attempt)).transpose()?,
            }
        }
        for (delivery, stream) in inbox.poll(&stage.hook) {
            let told = Message::Delivery(delivery, stream).tell(&mut export, stage.now());
            told.map(|(mut stream, answer)| stream.write_all(&answer));
        }
        let _ = export.handle(stage.now(), Input::Tick);
        let mut callback = WaitFd::new();
        callback.set_fd(inbox.listener().as_raw_fd());
        callback.poll_on_read(true);
        multi.wait(&mut [callback], stage.until(export.poll_timeout()).min(Duration::from_millis(50)))?;
    }
}

/// As the request is, on a connection of its own: no proxy, no redirect, no second try, no wait for `100 Continue`.
fn begin(multi: &Multi, mut attempt: Attempt) -> Result<Easy2Handle<Collector>, Box<dyn Error>> {
    let (request, patience) = (attempt.request(), attempt.patience());
    attempt.expect();
    let mut easy = Easy2::new(Collector { attempt: Some(attempt), told: Vec::new() });
    easy.url(request.url().as_str())?;
    easy.fresh_connect(true)?;
    easy.forbid_reuse(true)?;
    easy.proxy("")?;
    easy.path_as_is(true)?;
    easy.http_version(HttpVersion::V11)?;
    easy.http_transfer_decoding(false)?;
    let mut fields = List::new();
    fields.append("expect:")?;
    request.headers().try_for_each(|(name, value)| fields.append(&format!("{name}: {value}")))?;
    easy.http_headers(fields)?;
    // The job gives up by itself when its time is over; here only a connection that does not come about is told apart.
    easy.connect_timeout(patience / 2)?;
    if request.method() == Method::Post {
        easy.post(true)?;
        easy.post_fields_copy(request.body())?;
    }
    Ok(multi.add2(easy)?)
}

/// Takes the head and the body as they come.
struct Collector {
    attempt: Option<Attempt>,
    told: Vec<Happened>,
}

impl Collector {
    fn take(&mut self, bytes: &[u8]) -> bool {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.wants_more()) else {
            return false;
        };
        self.told.extend((!bytes.is_empty()).then(|| attempt.received(bytes)).flatten());
        true
    }

    /// Curl is done with it. Whoever knows when something was sent knows what nobody can have seen.
    fn finish(&mut self, result: Result<(), curl::Error>, was_sent: bool) -> Option<Attempt> {
        let mut attempt = self.attempt.take()?;
        if was_sent {
            attempt.begin();
        }
        match result {
            _ if !attempt.wants_more() => {}
            Ok(()) => self.told.extend(attempt.received(&[])),
            Err(error) => attempt.broke(&error),
        }
        Some(attempt)
    }
}

impl Handler for Collector {
    fn header(&mut self, line: &[u8]) -> bool {
        self.take(line)
    }

    fn write(&mut self, piece: &[u8]) -> Result<usize, WriteError> {
        Ok(if self.take(piece) { piece.len() } else { 0 })
    }
}
