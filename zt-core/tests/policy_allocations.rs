//! A decision that allows, or denies because no rule matches, takes nothing from the allocator once the
//! caller is known.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::sync::Arc;

use alloc_tracker::{Allocator, Session};
use http::{Method, Request, header};
use zt_core::{
    authorize::{Access, Policy, Verdict},
    clock::Timestamp,
    context::{PeerAddr, SecurityContext},
    gate::{Settings, Step},
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    policy::{CompiledPolicy, PolicyOptions},
};

#[global_allocator]
static ALLOCATOR: Allocator<std::alloc::System> = Allocator::system();

const POLICY: &str = r#"
policy = "shop"
version = "1"

[roles.clerk]

[[rule]]
id = "no-strangers"
effect = "deny"
caller = { networks = ["203.0.113.0/24"] }

[[rule]]
id = "orders"
effect = "allow"
caller = { workload = "spiffe://shop.example/orders", roles = "clerk", claims = { department = "sales" } }
methods = ["GET"]
hosts = ["shop.example", "*.shop.example"]
path = "/orders/{id}/items"

[[rule]]
id = "files"
effect = "allow"
caller = { subject = "ada" }
path = "/files/{rest..}"
"#;

fn allocations(
    policy: &CompiledPolicy,
    method: Method,
    path: &str,
    host: &str,
) -> (u64, &'static str) {
    let peer = PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls)
        .spiffe_id("spiffe://shop.example/orders")
        .finish();
    let who = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
        .roles(["clerk"])
        .claims(r#"{"department":"sales"}"#)
        .finish();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .extension(PeerAddr(([192, 0, 2, 7], 4711).into()))
        .extension(Arc::new(peer));
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let mut cx = SecurityContext::open(&parts, &Settings::shared_default());
    cx.set_principal(Arc::new(who));
    let access = Access::new(&parts, &cx);
    let decide = || match policy.decide(&access) {
        Step::Now(Ok(Verdict::Permit(_))) => "permit",
        Step::Now(Ok(Verdict::NotApplicable)) => "silent",
        other => panic!("{other:?}"),
    };
    // The first decision asks about the caller, and remembers.
    let answer = decide();
    let session = Session::new().no_stdout().no_file();
    let operation = session.operation("decisions");
    {
        let _span = operation.measure_thread().iterations(100);
        for _ in 0..100 {
            assert_eq!(decide(), answer);
        }
    }
    let report = session.to_report();
    let (_, counted) = report.operations().next().unwrap();
    (counted.total_allocations_count(), answer)
}

#[test]
fn a_decision_about_a_known_caller_allocates_nothing() {
    let policy = CompiledPolicy::from_toml(POLICY, &PolicyOptions::new()).unwrap();
    for (method, path, host, answer) in [
        (Method::GET, "/orders/7/items", "shop.example", "permit"),
        (
            Method::GET,
            "/orders/7/items",
            "eu.shop.example:8443",
            "permit",
        ),
        (Method::GET, "/files/a/b/c", "shop.example", "permit"),
        (Method::POST, "/orders/7/items", "shop.example", "silent"),
        (Method::GET, "/orders/7/items", "other.example", "silent"),
        (Method::GET, "/nowhere", "shop.example", "silent"),
    ] {
        let found = allocations(&policy, method.clone(), path, host);
        assert_eq!(found, (0, answer), "{method} {host}{path}");
    }
}
