//! `Authorize`: what a decision costs, without and with a policy's own work.

use std::{collections::HashMap, io::Write, sync::Arc};

use http::{Method, StatusCode};
use tower::Layer;
use zt_benches::{Group, Kind, Options, Outcome, Report, Template};
use zt_core::{
    authorize::{
        Access, AnyAuthenticated, AuthorizeLayer, RequireScopes, RequireScopesLayer, Verdict,
    },
    gate::{GateLayer, Link, Settings},
};

use crate::{
    bare::{BARE, Bare},
    limit::Named,
};

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let request = Template::get("/orders");
    let posted = request.clone().method(Method::POST);
    let ok = (&request, StatusCode::OK);
    let denied = (&posted, StatusCode::FORBIDDEN);
    let settings = Settings::shared_default;

    let mut group = Group::new("around a bare service, behind a check that names the caller");
    group.service(Kind::Base, BARE, "", Bare, ok, &[])?;
    let named = Link::first(Named::new());
    let service = GateLayer::new(named.clone(), settings()).layer(Bare);
    group.service(
        Kind::Zt,
        "a named caller",
        "nothing is decided",
        service,
        ok,
        &[],
    )?;
    let chain = named.clone().then(AuthorizeLayer::new(AnyAuthenticated));
    let service = GateLayer::new(chain, settings()).layer(Bare);
    group.service(Kind::Zt, "Authorize, anybody named", "", service, ok, &[])?;
    let chain = named.clone().then(AuthorizeLayer::new(table()));
    let service = GateLayer::new(chain, settings()).layer(Bare);
    group.service(
        Kind::Zt,
        "Authorize, a table of 100 rules",
        "caller × method × path",
        service.clone(),
        ok,
        &[denied],
    )?;
    group.service(
        Kind::Zt,
        "Authorize, denied",
        "problem+json",
        service,
        denied,
        &[],
    )?;
    let scopes = RequireScopesLayer::new(RequireScopes::all_of(["orders:read"])?);
    let service = GateLayer::new(named.then(scopes), settings()).layer(Bare);
    group.service(Kind::Zt, "RequireScopes", "1 scope", service, ok, &[])?;
    report.section("authorize")?;
    report.group(&group.measure(options)?)?;
    Ok(())
}

/// A policy as teams write it first: who may do what, in a map.
pub(crate) fn table() -> impl Fn(&Access<'_>) -> Verdict + Send + Sync + 'static {
    let mut rules: HashMap<String, Arc<str>> = (1..100)
        .map(|number| (format!("billing GET /things{number}"), "another".into()))
        .collect();
    rules.insert("billing GET /orders".to_owned(), "orders.read".into());
    rules.insert("billing GET /orders/7".to_owned(), "orders.read".into());
    move |access| {
        let Some(who) = access.named() else {
            return Verdict::NotApplicable;
        };
        let key = [who.subject(), access.method().as_str(), access.path()].join(" ");
        match rules.get(&key) {
            Some(rule) => Verdict::permit(Arc::clone(rule)),
            None => Verdict::NotApplicable,
        }
    }
}
