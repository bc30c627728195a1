//! The workflow over HTTP, for the feature `axum`.

mod answer;
mod ask;

use std::{future::Future, time::Duration};

use axum::{
    Router,
    extract::{OriginalUri, Path, Request, State},
    response::Response,
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use self::{
    answer::{Problem, shown},
    ask::{body, filter},
};
use super::{Grant, GrantError, Grants};
use crate::{context::SecurityContext, decision::Permit, identity::Principal};

/// The workflow of grants, to be nested into the application's router, inside its stack.
///
/// | route | who may | answers |
/// |---|---|---|
/// | `POST /grants` `{"scope", "reason", "seconds"}` | anybody who is named | 201, `Location` |
/// | `POST /grants/break-glass` `{"scope", "reason"}` | people with `grant.break-glass` | 201, `Location` |
/// | `GET /grants?subject=&scope=&state=&unreviewed=true&after=&limit=` | anybody who is named: what they may see | 200 |
/// | `GET /grants/{id}` | whoever may see it | 200 |
/// | `POST /grants/{id}/approve` | people with the scope's right, who did not ask | 200 |
/// | `POST /grants/{id}/reject` `{"reason"}` | the same | 200 |
/// | `POST /grants/{id}/withdraw` | whoever asked | 200 |
/// | `POST /grants/{id}/revoke` `{"reason"}` | whoever holds it, or `grant.revoke` | 200 |
/// | `POST /grants/{id}/review` `{"note"}` | people with `grant.review`, who did not take it | 200 |
///
/// Each handler takes a [`Permit`]: without authorization around it the router answers
/// `stack-misordered`. A policy says who may come near; give the routes rules of their own
/// (`zt:grant.request`, `zt:grant.approve`, ..). What stands in the table is asked of the principal
/// here, whatever the policy permits, and a stack that only observes permits nothing of it.
///
/// Every POST needs `Content-Type: application/json`, which no form of another site can send; what
/// has nothing to say sends no body, or `{}`. Unknown members, members that are there twice and
/// bodies over 4 KiB are refused.
///
/// Refusals are `application/problem+json` with a `code`: those of the stack, and 404
/// `grant-unknown` (there is none, or none that this caller may know of), 409 `grant-decided` (with
/// the `state`), `grant-reviewed`, `grant-underway` or `grant-contended`, 403 `grant-same-person` or
/// `grant-not-allowed`, 429 `grant-too-many`, 503 `grant-full`, 422 `request-invalid` with the
/// `field`.
pub fn router(grants: Grants) -> Router {
    Router::new()
        .route("/grants", get(list).post(request))
        .route("/grants/break-glass", post(break_glass))
        .route("/grants/{id}", get(one))
        .route("/grants/{id}/approve", post(approve))
        .route("/grants/{id}/reject", post(reject))
        .route("/grants/{id}/withdraw", post(withdraw))
        .route("/grants/{id}/revoke", post(revoke))
        .route("/grants/{id}/review", post(review))
        .with_state(grants)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    scope: String,
    reason: String,
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    scope: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Because {
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    note: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

type Answer = Result<Response, Problem>;

async fn request(
    State(grants): State<Grants>,
    _: Permit,
    who: Principal,
    cx: SecurityContext,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Answer {
    let wanted: Wanted = body(request, &cx).await?;
    let made = act(async move {
        let duration = Duration::from_secs(wanted.seconds);
        grants
            .request(&who, &wanted.scope, &wanted.reason, duration)
            .await
    });
    let grant = made.await.map_err(|error| Problem::of(error, &cx))?;
    Ok(created(&grant, uri.path()))
}

async fn break_glass(
    State(grants): State<Grants>,
    _: Permit,
    who: Principal,
    cx: SecurityContext,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Answer {
    let taken: Taken = body(request, &cx).await?;
    let made = act(async move { grants.break_glass(&who, &taken.scope, &taken.reason).await });
    let grant = made.await.map_err(|error| Problem::of(error, &cx))?;
    let near = uri.path().trim_end_matches("/break-glass");
    Ok(created(&grant, near))
}

async fn list(
    State(grants): State<Grants>,
    _: Permit,
    who: Principal,
    cx: SecurityContext,
    OriginalUri(uri): OriginalUri,
) -> Answer {
    let filter =
        filter(uri.query().unwrap_or_default()).map_err(|error| Problem::of(error, &cx))?;
    match grants.list_for(&who, &filter) {
        Ok(page) => Ok(shown(StatusCode::OK, &page)),
        Err(error) => Err(Problem::of(error, &cx)),
    }
}

async fn one(
    State(grants): State<Grants>,
    _: Permit,
    who: Principal,
    cx: SecurityContext,
    Path(id): Path<String>,
) -> Answer {
    match grants.get_for(&who, &id) {
        Ok(grant) => Ok(shown(StatusCode::OK, &grant)),
        Err(error) => Err(Problem::of(error, &cx)),
    }
}

async fn approve(
    State(grants): State<Grants>,
    _: Permit,
    who: Principal,
    cx: SecurityContext,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let Nothing {} = body(request, &cx).await?;
    done(act(async move { grants.approve(&id, &who).await }), &cx).await
}

async fn reject(
    State(grants): State<Grants>,
    _: Permit,
    who: Principal,
    cx: SecurityContext,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let Because { reason } = body(request, &cx).await?;
    done(
        act(async move { grants.reject(&id, &who, &reason).await }),
        &cx,
    )
    .await
}

async fn withdraw(
    State(grants): State<Grants>,
    _: Permit,
    who: Principal,
    cx: SecurityContext,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let Nothing {} = body(request, &cx).await?;
    done(act(async move { grants.withdraw(&id, &who).await }), &cx).await
}

async fn revoke(
    State(grants): State<Grants>,
    _: Permit,
    who: Principal,
    cx: SecurityContext,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let Because { reason } = body(request, &cx).await?;
    let revoked = act(async move {
        match grants.revoke(&id, &who, &reason).await {
            // It is revoked; others hear of it as soon as the feed answers.
            Err(GrantError::Unannounced(error)) => {
                tracing::warn!(%error, id, "a grant is revoked, and others have not been told yet");
                grants.get(&id)
            }
            other => other,
        }
    });
    done(revoked, &cx).await
}

async fn review(
    State(grants): State<Grants>,
    _: Permit,
    who: Principal,
    cx: SecurityContext,
    Path(id): Path<String>,
    request: Request,
) -> Answer {
    let Noted { note } = body(request, &cx).await?;
    done(
        act(async move { grants.review(&id, &who, &note).await }),
        &cx,
    )
    .await
}

/// Takes a step to its end, even where the client goes away meanwhile: what is recorded is then done.
async fn act(
    step: impl Future<Output = Result<Grant, GrantError>> + Send + 'static,
) -> Result<Grant, GrantError> {
    match tokio::spawn(step).await {
        Ok(done) => done,
        Err(_) => Err(GrantError::Contended),
    }
}

async fn done(
    step: impl Future<Output = Result<Grant, GrantError>>,
    cx: &SecurityContext,
) -> Answer {
    match step.await {
        Ok(grant) => Ok(shown(StatusCode::OK, &grant)),
        Err(error) => Err(Problem::of(error, cx)),
    }
}

/// RFC 9110 section 10.2.2: where the new grant is, below the path that the client asked for.
fn created(grant: &Grant, near: &str) -> Response {
    let mut response = shown(StatusCode::CREATED, grant);
    let place = format!("{}/{}", near.trim_end_matches('/'), grant.id);
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}
