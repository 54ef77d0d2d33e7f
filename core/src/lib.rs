//! The protocol of Abyssale exports without I/O. It uses no socket, file, thread, clock, environment variable or random
//! source: the caller passes in bytes and the time.
//!
//! | to | use |
//! |---|---|
//! | carry out one export on any runtime | [`Export`], as below |
//! | carry out many exports behind one callback URL | [`Exports`] |
//! | only request an export | [`Endpoint::create_export`], [`ExportAccepted::parse`] |
//! | verify and parse a delivery | [`webhook::CallbackEndpoint`], or [`webhook::Verifier`] alone |
//! | download an archive, and resume it | [`download::Transfer`] |
//! | parse a refusal | [`ApiError`], [`validation`] |
//!
//! The guide below is the README of this crate. `PROTOCOL.md` beside it has the facts about the service, with their sources.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod archive;
mod decimal;
pub mod download;
mod error;
mod export;
mod exports;
mod hex;
pub mod http;
mod id;
mod order;
mod redact;
mod request;
mod response;
mod retry;
mod secret;
mod store;
mod throttling;
mod time;
mod token;
pub mod validation;
pub mod webhook;

// The public interface. The types of the machine, the requests and the answers are here; each of the public modules has its
// own. No type has two paths.
pub use self::{
    error::{ApiError, ErrorId, RawBody},
    export::{
        CallError, CallId, Config, Disposition, Export, Failure, Finished, Input, NotTaken, Notice, Output,
        RestoreError, RetryReason, Sent, Snapshot, UnknownCause, UnknownOutcome,
    },
    exports::{AtCapacity, Change, Exports, JobId, Limits},
    id::{BannerId, DeliveryId, ExportId, InvalidBannerId, InvalidBannerIdReason, InvalidExportId},
    order::{Goal, InvalidOrder, Order},
    request::{Endpoint, InvalidEndpoint},
    response::{ExportAccepted, MAX_ANSWER, ResponseError, SigningSecretState, UnexpectedAnswer},
    retry::RetryPolicy,
    secret::{ApiKey, InvalidSecret, SigningSecret},
    store::{Damage, Store, StoreError, Write},
    throttling::{RateLimit, RetryAfter},
    time::Timestamp,
    token::{InvalidToken, Token, TokenPlacement},
};
