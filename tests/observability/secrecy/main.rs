//! No secret is in anything that anybody is shown: what is logged at the loudest level, libraries included; what `Debug` and
//! `Display` print; errors and what caused them; snapshots and the store; answers to strangers; requests.
//!
//! What a secret is, and where it may be:
//!
//! | secret | where it belongs, and nowhere else |
//! |---|---|
//! | the API key | `x-api-key` of requests to the service |
//! | a signing secret | the answers of the three endpoints that are about it |
//! | the token of a callback address | the address in the request for the export; the target of the requests that come there; the snapshot and the store, since an event that comes after a restart has to find its job |
//! | the query of an archive's address | the request for the archive; the event, which is handed to the user; the snapshot and the store, since the archive has to be found after a restart |
//!
//! What holds a token or an address is as secret as they are, which `SECURITY.md` says. Of what libraries say for themselves one
//! thing is an exception: at TRACE, and only there, ureq logs the whole address of each request, which `SECURITY.md` says, too.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

#[allow(dead_code, reason = "the scenarios need more of it")]
#[path = "../../scenarios/adapter.rs"]
mod adapter;
mod hunt;
mod jobs;
mod receiving;
mod types;
#[allow(dead_code, reason = "the scenarios need more of it")]
#[path = "../../scenarios/world.rs"]
mod world;

/// Visible ASCII, and much of what is written otherwise somewhere.
const KEY: &str = r#"key"Kq7\xZ%41/9+v=LmR2tY&wPdJ8s'B"#;
const WRONG_KEY: &str = r#"wrong"0pT\bN%42/3+c=HjV5yU&eXgQ6k'"#;
const SECRET: &str = r#"whsec_h3J"uV9\kT2/xN8%2BqL+5rF=z'A"#;
/// Of an archive's address that is not the simulator's: what an address may hold.
const QUERY: &str = "sig=8fZk2.QwLr7~Xv-Nm4_Tb9%2FYc6%3D";
