//! What is answered.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::{
    context::{RequestId, SecurityContext},
    decision::{Challenge, Code, Denial},
    extract::Refused,
    grant::GrantError,
};

/// Why a request is not done.
pub(super) enum Problem {
    /// As the stack tells its own.
    Denied(Refused),
    /// As only grants have it.
    Own(Own),
}

pub(super) struct Own {
    status: StatusCode,
    code: &'static str,
    detail: String,
    state: Option<&'static str>,
    field: Option<&'static str>,
    request: RequestId,
}

impl Problem {
    pub(super) fn denied(denial: Denial, cx: &SecurityContext) -> Self {
        Self::Denied(Refused::by_handler(denial, cx))
    }

    pub(super) fn of(error: GrantError, cx: &SecurityContext) -> Self {
        let code = match &error {
            GrantError::Nobody => Code::CredentialMissing,
            GrantError::CredentialEnded => Code::CredentialExpired,
            GrantError::Store(_)
            | GrantError::Feed(_)
            | GrantError::Unannounced(_)
            | GrantError::Stale
            | GrantError::Config(_)
            | GrantError::Entropy(_) => Code::StoreUnavailable,
            GrantError::Record(_) => Code::AuditUnavailable,
            GrantError::Clock(_) => Code::ClockUnavailable,
            GrantError::NotPerson | GrantError::ForeignIssuer | GrantError::ActorsUnreadable => {
                Code::PolicyDenied
            }
            _ => return Self::Own(Own::of(&error, cx)),
        };
        let denial = Denial::new(code).detail(error.to_string());
        let denial = match code.status() {
            StatusCode::UNAUTHORIZED => denial.challenge(Challenge::new("Bearer")),
            _ => denial,
        };
        Self::denied(denial, cx)
    }
}

impl Own {
    fn of(error: &GrantError, cx: &SecurityContext) -> Self {
        let (status, code) = match error {
            GrantError::Unknown => (StatusCode::NOT_FOUND, "grant-unknown"),
            GrantError::Decided { .. } => (StatusCode::CONFLICT, "grant-decided"),
            GrantError::Reviewed => (StatusCode::CONFLICT, "grant-reviewed"),
            GrantError::Underway => (StatusCode::CONFLICT, "grant-underway"),
            GrantError::SamePerson => (StatusCode::FORBIDDEN, "grant-same-person"),
            GrantError::NotAllowed => (StatusCode::FORBIDDEN, "grant-not-allowed"),
            GrantError::TooManyOpen | GrantError::Unreviewed => {
                (StatusCode::TOO_MANY_REQUESTS, "grant-too-many")
            }
            GrantError::Full => (StatusCode::SERVICE_UNAVAILABLE, "grant-full"),
            GrantError::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "request-invalid"),
            _ => (StatusCode::CONFLICT, "grant-contended"),
        };
        Self {
            status,
            code,
            // Of our own making: no error of these holds what came with the request.
            detail: error.to_string(),
            state: match error {
                GrantError::Decided { state } => Some(state.as_str()),
                _ => None,
            },
            field: match error {
                GrantError::Invalid { field, .. } => Some(field),
                _ => None,
            },
            request: cx.request_id(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let own = match self {
            Self::Denied(refused) => return refused.into_response(),
            Self::Own(own) => own,
        };
        // RFC 9457 section 3.1.
        let mut problem = json!({
            "type": "about:blank",
            "title": own.status.canonical_reason().unwrap_or("Refused"),
            "status": own.status.as_u16(),
            "detail": own.detail,
            "code": own.code,
            "request_id": own.request.to_string(),
        });
        for (name, value) in [("state", own.state), ("field", own.field)] {
            if let (Some(members), Some(value)) = (problem.as_object_mut(), value) {
                members.insert(name.to_owned(), value.into());
            }
        }
        let mut response = told(own.status, "application/problem+json", problem.to_string());
        let wait = match own.status {
            StatusCode::SERVICE_UNAVAILABLE => Some("60"),
            // Until somebody answers: nobody knows when.
            StatusCode::TOO_MANY_REQUESTS => Some("300"),
            _ => None,
        };
        if let Some(wait) = wait {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(wait));
        }
        response
    }
}

/// `value` as JSON, for whoever asked alone.
pub(super) fn shown(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => told(status, "application/json", text),
        // A grant can always be written.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn told(status: StatusCode, kind: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
