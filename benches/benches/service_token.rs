//! `VerifyServiceToken`, and that a wrong secret takes as long as an unknown token.

use std::{io::Write, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use tower::Layer;
use zt_benches::{Bar, Group, Kind, Limit, Options, Outcome, Report, Template};
use zt_core::{
    clock::{Clock, SystemClock},
    gate::{GateLayer, Opened, Settings},
    service_token::{
        MintRequest, MintedToken, ServiceTokenConfig, ServiceTokens, TokenError,
        VerifyServiceTokenLayer,
    },
    store::MemoryStore,
};

use crate::bare::{BARE, Bare, wait};

const GOOD: &str = "VerifyServiceToken";
const UNKNOWN: &str = "VerifyServiceToken, unknown id";
const WRONG: &str = "VerifyServiceToken, wrong secret";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let (tokens, minted) = wait(registry())??;
    // Another registry's token: well formed, its id is not ours.
    let (_, foreign) = wait(registry())??;
    // Rotated twice: the id is known, this secret is not one of its two.
    let stale = wait(tokens.mint(order("stale")?))??;
    for _ in 0..2 {
        wait(tokens.rotate(&stale.id, "ada", Duration::ZERO))??;
    }

    let plain = Template::get("/orders/7");
    let good = with(&plain, &minted)?;
    let unknown = with(&plain, &foreign)?;
    let wrong = with(&plain, &stale)?;
    let ok = (&good, StatusCode::OK);
    let unauthorized = StatusCode::UNAUTHORIZED;
    let refused = &[
        (&plain, unauthorized),
        (&unknown, unauthorized),
        (&wrong, unauthorized),
    ];

    let mut group = Group::new("around a bare service, 1,000 tokens");
    group.service(Kind::Base, BARE, "", Bare, ok, &[])?;
    let text = minted.clear.expose().to_owned();
    group.function(
        Kind::Floor,
        "SHA-256 of the token",
        "no request",
        move || Sha256::digest(text.as_bytes()),
    );
    let opened = GateLayer::new(Opened, Settings::shared_default()).layer(Bare);
    group.service(
        Kind::Zt,
        "gate without checks",
        "hands its context on",
        opened,
        ok,
        &[],
    )?;
    let service = VerifyServiceTokenLayer::new(tokens).layer(Bare);
    group.service(
        Kind::Zt,
        GOOD,
        "bounds on paths and methods",
        service.clone(),
        ok,
        refused,
    )?;
    group.service(
        Kind::Zt,
        UNKNOWN,
        "401",
        service.clone(),
        (&unknown, unauthorized),
        &[],
    )?;
    group.service(
        Kind::Zt,
        WRONG,
        "401",
        service.clone(),
        (&wrong, unauthorized),
        &[],
    )?;
    group.service(
        Kind::Zt,
        "VerifyServiceToken, none",
        "401",
        service,
        (&plain, unauthorized),
        &[],
    )?;

    let measured = group.measure(options)?;
    report.section("service_token")?;
    report.group(&measured)?;
    if options.only.is_some() {
        return Ok(());
    }
    report.bar(Bar::new(
        "a service token over a bare service",
        report.nanos(2_000.0),
        measured.over(GOOD, BARE)?,
    ));
    let ratio = measured.ratio(WRONG, UNKNOWN)?;
    report.bar(Bar::new(
        "a wrong secret and an unknown id, the slower against the quicker",
        Limit::Times(1.05),
        ratio.max(1.0 / ratio),
    ));
    Ok(())
}

/// A registry of 1,000 tokens, and one of them.
pub(crate) async fn registry() -> Result<(ServiceTokens, MintedToken), TokenError> {
    let store = Arc::new(MemoryStore::new(SystemClock));
    let config = ServiceTokenConfig::new("production");
    let tokens = ServiceTokens::open(store, SystemClock, config).await?;
    for _ in 1..1_000 {
        tokens.mint(order("another")?).await?;
    }
    let minted = tokens.mint(order("the one")?).await?;
    Ok((tokens, minted))
}

fn order(name: &str) -> Result<MintRequest, TokenError> {
    let end = SystemClock.now()? + Duration::from_secs(86_400);
    let request = MintRequest::new("billing", name)
        .scopes(["orders:read"])
        .methods(["GET"])
        .paths(["/orders/**"])
        .expires(end);
    Ok(request)
}

/// `template` with the token.
pub(crate) fn with(template: &Template, token: &MintedToken) -> Result<Template, http::Error> {
    let value = HeaderValue::from_str(token.clear.expose())?;
    let name = HeaderName::from_static("x-service-token");
    Ok(template.clone().header(name, value))
}
