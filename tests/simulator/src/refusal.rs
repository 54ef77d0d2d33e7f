//! Every way the API says no, in the dialect it speaks.

use hyper::{Response, StatusCode};
use serde_json::json;

use crate::config::Dialect;
use crate::rate::Allowance;
use crate::reply::{Body, json as json_answer};
use crate::trouble::store_error;
use crate::validate::Problem;
use crate::{envelope, legacy};

/// A request that is refused, and why.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The key is missing or unknown.
    Unauthorized,
    /// More requests in this second than the ceiling allows.
    TooManyRequests(Allowance),
    /// The content type is not JSON.
    NotJsonType(String),
    /// The body is not JSON, for this reason.
    NotJson(String),
    /// The body is not what it has to be.
    Invalid(Vec<Problem>),
    /// An id is no UUID.
    NotAnId,
    /// These banners do not exist.
    UnknownBanners(Vec<String>),
    /// A rotation within the overlap of the one before.
    PreviousSecretStillActive,
    /// No such path.
    NoSuchEndpoint,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body is longer than anyone needs.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
}

impl Refusal {
    pub(crate) fn response(&self, dialect: Dialect) -> Response<Body> {
        let body = match dialect {
            Dialect::Current => self.current(),
            Dialect::Legacy => self.legacy(),
        };
        let mut response = json_answer(self.status(), &body);
        if let Self::TooManyRequests(allowance) = self {
            response.headers_mut().extend(allowance.headers());
        }
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotJsonType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotJson(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotAnId | Self::UnknownBanners(_) | Self::NoSuchEndpoint => StatusCode::NOT_FOUND,
            Self::PreviousSecretStillActive => StatusCode::CONFLICT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    fn current(&self) -> String {
        let envelope = |id, message: &str| envelope::body(id, message, &[]).to_string();
        match self {
            Self::Unauthorized => envelope("unauthorized", "The API key is missing, unknown or revoked."),
            // The ceiling is the gateway's, which knows nothing of the envelope.
            Self::TooManyRequests(_) => GATEWAY_TOO_MANY.to_owned(),
            Self::NotJsonType(found) => {
                envelope("unsupported_media_type", &format!("Expected application/json, got {found}."))
            }
            Self::NotJson(reason) => envelope("invalid_json", &format!("The body is not JSON: {reason}.")),
            Self::Invalid(problems) => envelope::invalid(problems).to_string(),
            Self::NotAnId | Self::NoSuchEndpoint => {
                envelope("endpoint_not_found", "There is nothing at this address.")
            }
            Self::UnknownBanners(ids) => {
                envelope("visual_not_found", &format!("No such visual: {}.", ids.join(", ")))
            }
            Self::PreviousSecretStillActive => envelope(
                "previous_secret_still_active",
                "The previous secret is still honoured. Wait, revoke it, or pass force=true.",
            ),
            Self::MethodNotAllowed => {
                envelope("method_not_allowed", "This address does not take this method.")
            }
            Self::TooLarge => envelope("payload_too_large", "The body is too large."),
            Self::TooSlow => envelope("request_timeout", "The body did not come in time."),
        }
    }

    fn legacy(&self) -> String {
        let titled =
            |description: &str| json!({ "title": self.status().to_string(), "description": description });
        match self {
            Self::Unauthorized => r#"{"message": "Unauthorized"}"#.to_owned(),
            Self::TooManyRequests(_) => GATEWAY_TOO_MANY.to_owned(),
            Self::NotJsonType(found) => titled(&format!("{found} is an unsupported media type.")).to_string(),
            Self::NotJson(reason) => json!({
                "title": "Invalid JSON",
                "description": format!("Could not parse JSON body - {reason}"),
            })
            .to_string(),
            Self::Invalid(problems) => legacy::body(problems),
            Self::UnknownBanners(ids) => legacy::not_found(ids),
            Self::PreviousSecretStillActive => r#"{"message": "previous_secret_still_active"}"#.to_owned(),
            Self::NotAnId
            | Self::NoSuchEndpoint
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::TooSlow => json!({ "title": self.status().to_string() }).to_string(),
        }
    }
}

/// An error of the object store that holds the archives: it answers in XML and knows neither dialect.
pub(crate) fn storage(status: StatusCode, code: &str) -> Response<Body> {
    crate::reply::typed(status, "application/xml", store_error(code))
}

const GATEWAY_TOO_MANY: &str = r#"{"message": "Too Many Requests"}"#;
