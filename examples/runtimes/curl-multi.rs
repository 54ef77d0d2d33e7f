//! The core on libcurl's multi interface: curl speaks HTTP, and waits for its own sockets and for the callback address.
//! `cargo run -p abyssale-runtimes --features curl --bin curl-multi`

use std::{error::Error, os::fd::AsRawFd as _, time::Duration};

use abyssale_core::{Input, Output, http::Method};
use abyssale_runtimes::{Attempt, Inbox, Stage};
use curl::easy::{Easy2, Handler, HttpVersion, List, WriteError};
use curl::multi::{Easy2Handle, Multi, WaitFd};

fn main() -> Result<(), Box<dyn Error>> {
    let stage = Stage::set()?;
    let mut inbox = Inbox::new(stage.listener()?)?;
    let mut export = stage.export()?;
    let multi = Multi::new();
    let (mut next, mut under_way): (Option<Attempt>, Option<Easy2Handle<Collector>>) = (None, None);
    loop {
        while let Some(output) = export.poll_output() {
            match output {
                Output::Done(result) => return stage.end(result),
                Output::Notice(notice) => stage.say(&notice),
                // Dropping the handle closes its connection.
                Output::Abort(_) => (next, under_way) = (None, None),
                output => next = stage.attempt(output),
            }
        }
        match next.take() {
            Some(over) if over.is_over() => drop(export.handle(stage.now(), over.over())),
            Some(attempt) => under_way = Some(begin(&multi, attempt)?),
            None => {}
        }
        let mut callback = WaitFd::new();
        callback.set_fd(inbox.listener().as_raw_fd());
        callback.poll_on_read(true);
        multi.wait(&mut [callback], stage.until(export.poll_timeout()).min(Duration::from_millis(50)))?;
        multi.perform()?;
        if let Some(progress) = under_way.as_mut().and_then(|handle| handle.get_mut().progress.take()) {
            let _ = export.handle(stage.now(), progress);
        }
        let mut ended = None;
        multi.messages(|message| ended = under_way.as_ref().and_then(|handle| message.result_for2(handle)));
        if let Some((result, handle)) = ended.and_then(|result| Some((result, under_way.take()?))) {
            let mut easy = multi.remove2(handle)?;
            // Whoever knows when something was sent knows what nobody can have seen.
            let never = matches!(&result, Err(error) if error.is_couldnt_connect() || error.is_couldnt_resolve_host());
            let was_sent = !never && !easy.pretransfer_time()?.is_zero();
            // Over, or to be sent to where a redirect leads.
            next = easy.get_mut().attempt.take().map(|attempt| attempt.ended(was_sent, result));
        }
        inbox.poll(&stage.endpoint, |delivery| export.handle_delivery(stage.now(), delivery));
        let _ = export.handle(stage.now(), Input::Tick);
    }
}

/// As the request is, on a connection of its own, since none is kept: no proxy, no redirect, no second try, no wait for
/// `100 Continue`.
fn begin(multi: &Multi, mut attempt: Attempt) -> Result<Easy2Handle<Collector>, Box<dyn Error>> {
    let (request, patience) = (attempt.request_to_send(), attempt.patience());
    let mut easy = Easy2::new(Collector { attempt: Some(attempt), progress: None });
    easy.url(request.url().as_str())?;
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
        easy.post_fields_copy(request.body())?;
    }
    Ok(multi.add2(easy)?)
}

/// Takes the head and the body as they come.
struct Collector {
    attempt: Option<Attempt>,
    progress: Option<Input>,
}

impl Handler for Collector {
    fn header(&mut self, line: &[u8]) -> bool {
        self.write(line).is_ok_and(|taken| taken == line.len())
    }

    fn write(&mut self, piece: &[u8]) -> Result<usize, WriteError> {
        match self.attempt.as_mut().filter(|attempt| attempt.wants_more() && !piece.is_empty()) {
            Some(attempt) => self.progress = attempt.received(piece).or(self.progress.take()),
            None => return Ok(0),
        }
        Ok(piece.len())
    }
}
