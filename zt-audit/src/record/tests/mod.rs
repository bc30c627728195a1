mod folder;
mod sealed;
mod text;

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request};
use proptest::prelude::*;
use serde_json::{Value, json};
use zt_core::{
    clock::Timestamp,
    context::{HandlerRun, RequestId},
    decision::{Code, Denial, Permit},
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{
        AlertEvent, BudgetEvent, BudgetPart, ConfigEvent, Event, GrantEvent, SanctionEvent,
        SanctionTarget, Verdict,
    },
};

use super::*;
use crate::testing::{admin, decision, outcome, parse, trail, trail_of};

/// A log without a vault that has no record yet.
fn chain() -> Chain {
    Chain::new("test/1".into(), 0, ZEROS, None)
}

const ZEROS: Hash = Hash::from_bytes([0; 32]);

fn to_hex(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    super::json::hex(&mut out, bytes);
    out
}

fn line(event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    let hash = chain().append_event(&mut out, event).unwrap();
    let (newline, line) = out.split_last().unwrap();
    assert_eq!((*newline, line.contains(&b'\n')), (b'\n', false));
    assert!(line.len() <= MAX_RECORD);
    assert_eq!(hash, leaf(line));
    out
}

/// RFC 6962 section 2.1, without a line of ours.
fn leaf(line: &[u8]) -> Hash {
    let hash = Sha256::new().chain_update([0]).chain_update(line);
    Hash::from_bytes(hash.finalize().into())
}

fn record(event: &Event) -> Value {
    parse(&line(event)).remove(0)
}

fn permit_of(subject: &str) -> Event {
    let principal = Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt)
        .issuer("https://id.example")
        .tenant("acme")
        .token("jti-1")
        .finish();
    let permit = Permit::assertion("orders.read")
        .policy("orders", "v3")
        .principal(Arc::new(principal))
        .finish();
    decision(&trail(), Verdict::Permit(permit), true)
}

/// What could end a line, or show it in another order than it has.
const DECEITFUL: &str = "\n\r\t\u{0}\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";

#[test]
fn a_subject_cannot_fake_a_line_or_its_direction() {
    for hidden in DECEITFUL.chars() {
        let subject = format!("al{hidden}ice\"\\");
        let line = line(&permit_of(&subject));
        let text = std::str::from_utf8(&line).unwrap();
        let shown = text.strip_suffix('\n').unwrap();
        assert!(!shown.contains(hidden), "{hidden:?} stands as it came");
        assert_eq!(parse(&line)[0]["subject"], subject, "{hidden:?} was lost");
    }
}

#[test]
fn a_user_agent_cannot_fake_a_line_or_its_direction() {
    let mut agent = b"curl\t\xe2\x80\xae\xff".to_vec();
    agent.extend_from_slice("\u{9b}\"}".as_bytes());
    let value = HeaderValue::from_bytes(&agent).unwrap();
    let trail = trail_of(Request::get("/").header("user-agent", value));
    let line = line(&decision(&trail, Verdict::Undecided, false));
    assert!(line.is_ascii());
    let agent = "curl\t\u{202e}\u{fffd}\u{9b}\"}";
    assert_eq!(parse(&line)[0]["user_agent"], agent);
}

#[test]
fn a_path_cannot_fake_a_line_or_its_direction() {
    let uri = http::Uri::try_from("/a/\u{202e}txt.exe\u{2028}".as_bytes()).unwrap();
    let trail = trail_of(Request::get(uri));
    let line = line(&decision(&trail, Verdict::Undecided, false));
    assert!(line.is_ascii());
    assert_eq!(parse(&line)[0]["path"], "/a/\u{202e}txt.exe\u{2028}");
}

#[test]
fn queries_and_headers_are_not_recorded() {
    let request = Request::get("/orders?token=hunter2")
        .header("authorization", "Bearer hunter2")
        .header("cookie", "hunter2")
        .header("x-forwarded-user", "hunter2");
    let line = line(&decision(&trail_of(request), Verdict::Undecided, false));
    let text = String::from_utf8(line).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains(r#""path":"/orders""#));
}

#[test]
fn a_workload_that_a_proxy_named_is_not_taken_for_one_that_was_there() {
    use zt_core::identity::{PeerIdentity, PeerSource};

    let peer = |name: &str, source| {
        let id = format!("spiffe://shop.example/{name}");
        PeerIdentity::assertion([7; 32], Timestamp::MAX, source).spiffe_id(id)
    };
    let gateway = Arc::new(peer("gateway", PeerSource::Tls).finish());
    let forwarded = peer("batch", PeerSource::Forwarded).via(Arc::clone(&gateway));
    let recorded = |peer: Arc<PeerIdentity>| {
        let trail = trail_of(Request::get("/").extension(peer));
        record(&decision(&trail, Verdict::Undecided, false))
    };
    let found = recorded(Arc::new(forwarded.finish()));
    assert_eq!(found["workload"], "spiffe://shop.example/batch");
    assert_eq!(found["via"], "spiffe://shop.example/gateway");
    let found = recorded(gateway);
    assert_eq!(found["workload"], "spiffe://shop.example/gateway");
    assert!(found.get("via").is_none());
}

#[test]
fn a_long_value_is_cut_and_hashed() {
    let path = format!("/{}", "é".repeat(2000));
    let uri = http::Uri::try_from(path.as_bytes()).unwrap();
    let record = record(&decision(
        &trail_of(Request::get(uri)),
        Verdict::Undecided,
        false,
    ));
    // The 2048th byte would be half of a character.
    assert_eq!(record["path"].as_str().unwrap().len(), 2047);
    let digest = to_hex(&Sha256::digest(path.as_bytes()));
    assert_eq!(record["path_sha256"].as_str().unwrap().as_bytes(), digest);
    assert!(record.get("user_agent_sha256").is_none());
}

/// Room for what [`largest_decision`] cannot set: a template, a workload and its proxy, a waived denial and its rule, what a dry run found, timings.
const NOT_SET: usize = (512 + 512 + 512 + 1024 + 256 + 256) * 6 + 32 * 64 + 512;
/// Of that, the detail of the waived denial is sealed, which makes four bytes of three.
const NOT_SET_SEALED: usize = NOT_SET + 1024 * 6 / 3;

fn largest_decision() -> Event {
    let worst = |len: usize| "\u{7f}".repeat(len);
    let principal = Principal::assertion(PrincipalKind::Service, worst(9999), AuthMethod::Jwt)
        .issuer(worst(9999))
        .tenant(worst(9999))
        .token(worst(9999))
        .finish();
    let principal = [
        AuthMethod::Anonymous,
        AuthMethod::ServiceToken,
        AuthMethod::ClientCertificate,
        AuthMethod::Signature,
    ]
    .into_iter()
    .fold(principal, |who, method| who.and_also(method).finish());
    let permit = Permit::assertion(worst(9999))
        .policy(worst(9999), worst(9999))
        .principal(Arc::new(principal))
        .finish();
    let denial = (0..20).fold(
        Denial::new(Code::PolicyDenied).detail(worst(9999)),
        |denial, _| denial.violates(worst(9999)),
    );
    let agent = HeaderValue::from_bytes(&[0xff; 9999]).unwrap();
    let uri = format!("/{}", "\u{80}".repeat(9999));
    let uri = http::Uri::try_from(uri.as_bytes()).unwrap();
    let (mut parts, ()) = Request::get(uri)
        .header("user-agent", agent)
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .body(())
        .unwrap()
        .into_parts();
    parts.extensions.insert(zt_core::context::PeerAddr(
        "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
            .parse()
            .unwrap(),
    ));
    let settings = Arc::new(zt_core::gate::Settings::default());
    let mut cx = zt_core::context::SecurityContext::open(&parts, &settings);
    cx.set_permit(permit).unwrap();
    decision(cx.trail(), Verdict::Deny(denial), false)
}

#[test]
fn the_largest_record_is_within_its_bound() {
    let line = line(&largest_decision());
    let record = parse(&line).remove(0);
    assert!(record.get("fields_sha256").is_none());
    assert_eq!(record["rule"].as_str().unwrap().len(), 256);
    assert!(line.len() > 30_000, "{} is not the worst", line.len());
    assert!(line.len() + NOT_SET <= MAX_RECORD, "{}", line.len());
}

#[test]
fn fields_that_are_too_large_leave_their_hash() {
    let mut out = Vec::new();
    let mut chain = chain();
    chain
        .append(&mut out, "admin", Timestamp::EPOCH, |record| {
            let mut clear = record.clear();
            clear.text("object", &"x".repeat(70_000), 70_000);
            Ok(())
        })
        .unwrap();
    chain.append_event(&mut out, &admin("next")).unwrap();
    assert_eq!(chain.next(), 2);
    let first = &parse(&out)[0];
    assert_eq!(first["fields_sha256"].as_str().unwrap().len(), 64);
    assert!(first.get("object").is_none());
}

#[test]
fn a_permit_says_who_what_and_why() {
    let record = record(&permit_of("alice"));
    for (field, value) in [
        ("v", json!(2)),
        ("idx", json!(0)),
        ("kind", json!("decision")),
        ("origin", json!("test/1")),
        ("prev", json!("0".repeat(64))),
        ("decision", json!("permit")),
        ("ack", json!("sync")),
        ("method", json!("GET")),
        ("path", json!("/orders/7")),
        ("rule", json!("orders.read")),
        ("policy", json!("orders")),
        ("version", json!("v3")),
        ("subject", json!("alice")),
        ("issuer", json!("https://id.example")),
        ("principal", json!("user")),
        ("auth", json!(["jwt"])),
        ("tenant", json!("acme")),
        ("token", json!("jti-1")),
        ("client_source", json!("unknown")),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
    assert_eq!(record["request_id"].as_str().unwrap().len(), 32);
    assert!(record["ts"].as_u64().unwrap() > 1_700_000_000_000_000);
}

#[test]
fn a_denial_says_its_private_detail() {
    let denial = Denial::new(Code::PolicyDenied)
        .detail("rule 7")
        .violates("no-export");
    let record = record(&decision(&trail(), Verdict::Deny(denial), false));
    assert_eq!(record["decision"], "deny");
    assert_eq!(record["code"], "policy-denied");
    assert_eq!(record["status"], 403);
    assert_eq!(record["detail"], "rule 7");
    assert_eq!(record["violates"], json!(["no-export"]));
}

#[test]
fn a_denial_names_what_denied() {
    let by_rule = Denial::new(Code::PolicyDenied)
        .by_rule("no-strangers")
        .by_policy("shop", "8");
    let silent = Denial::new(Code::PolicyDenied).by_policy("shop", "8");
    let plain = Denial::new(Code::RateLimited);
    let none = json!(null);
    for (permitted, denial, fields) in [
        (
            false,
            &by_rule,
            [
                json!("no-strangers"),
                json!("shop"),
                json!("8"),
                none.clone(),
            ],
        ),
        // Nothing in the policy permitted.
        (
            false,
            &silent,
            [none.clone(), json!("shop"), json!("8"), none.clone()],
        ),
        (
            false,
            &plain,
            [none.clone(), none.clone(), none.clone(), none.clone()],
        ),
        // Permitted at first, and then denied by something that has no rules.
        (
            true,
            &plain,
            [
                json!("orders.read"),
                json!("orders"),
                json!("v3"),
                json!(true),
            ],
        ),
        // Permitted, and then denied by a rule that narrows.
        (
            true,
            &by_rule,
            [
                json!("no-strangers"),
                json!("shop"),
                json!("8"),
                none.clone(),
            ],
        ),
    ] {
        let (parts, ()) = Request::new(()).into_parts();
        let settings = Arc::default();
        let mut cx = zt_core::context::SecurityContext::open(&parts, &settings);
        if permitted {
            let permit = Permit::assertion("orders.read").policy("orders", "v3");
            cx.set_permit(permit.finish()).unwrap();
        }
        let record = record(&decision(cx.trail(), Verdict::Deny(denial.clone()), false));
        let found = ["rule", "policy", "version", "permitted"].map(|name| &record[name]);
        assert_eq!(found, fields.each_ref());
    }
}

#[test]
fn an_outcome_says_how_it_ended() {
    let event = outcome(HandlerRun::Panicked);
    let record = record(&event);
    for (field, value) in [
        ("kind", json!("outcome")),
        ("end", json!("complete")),
        ("handler", json!("panicked")),
        ("status", json!(200)),
        ("bytes", json!(12)),
        ("elapsed", json!(3000)),
    ] {
        assert_eq!(record[field], value, "{field}");
    }
    assert_eq!(record["ts"], time_of(&event).as_micros());
}

#[test]
fn every_other_kind_has_its_fields() {
    let at = Timestamp::from_secs(1_893_456_000);
    let grant = Event::Grant(GrantEvent {
        at,
        author: None,
        author_issuer: Some("https://id.example".into()),
        action: "approved",
        id: Some("00ff".into()),
        subject: "alice".into(),
        issuer: Some("https://id.example".into()),
        tenant: Some("acme".into()),
        grant: "prod".into(),
        reason: Some("incident 7".into()),
        expires: Some(Timestamp::MAX),
    });
    let part = |limit: &str, window| BudgetPart {
        limit: limit.into(),
        subject: "key-1".into(),
        window,
    };
    let budget = Event::Budget(BudgetEvent {
        at,
        author: Some("root".into()),
        action: "held",
        hold: Some(10),
        root: "team".into(),
        budgets: [
            part("key-day", Some((at, Timestamp::MAX))),
            part("key-minute", None),
        ]
        .into(),
        currency: Some("EUR".into()),
        nanos: u64::MAX,
        percent: Some(80),
        request: Some(RequestId::from_u128(7)),
        detail: Some("by hand".into()),
    });
    let sanction = Event::Sanction(SanctionEvent {
        at,
        author: "root".into(),
        action: "imposed",
        target: SanctionTarget::Subject {
            issuer: Some("id".into()),
            subject: "mallory".into(),
            before: at,
        },
        reason: "stolen".into(),
        expires: None,
    });
    let config = Event::Config(ConfigEvent {
        at,
        part: "policy",
        action: "refused",
        version: "9".into(),
        detail: Some("line 3".into()),
    });
    let alert = Event::Alert(AlertEvent {
        at,
        detector: "travel",
        subject: "alice".into(),
        score: 900,
        evidence: "two continents".into(),
    });
    for (event, expected) in [
        (
            admin("token-1"),
            json!({"kind": "admin", "author": "root", "action": "service-token.mint",
                   "object": "token-1"}),
        ),
        (
            grant,
            json!({"kind": "grant", "action": "approved", "id": "00ff", "subject": "alice",
                   "issuer": "https://id.example", "author_issuer": "https://id.example",
                   "tenant": "acme", "grant": "prod", "reason": "incident 7",
                   "expires": 9_007_199_254_740_991_u64}),
        ),
        (
            budget,
            json!({"kind": "budget", "author": "root", "action": "held",
                   "hold": "0000000000000000000000000000000a", "root": "team",
                   "budgets": [
                       {"limit": "key-day", "subject": "key-1", "start": at.as_micros(),
                        "end": 9_007_199_254_740_991_u64},
                       {"limit": "key-minute", "subject": "key-1"},
                   ],
                   "currency": "EUR", "nanos": "18446744073709551615", "percent": 80,
                   "request_id": "00000000000000000000000000000007", "detail": "by hand"}),
        ),
        (
            sanction,
            json!({"kind": "sanction", "author": "root", "action": "imposed",
                   "target": "subject", "name": "mallory", "issuer": "id",
                   "before": at.as_micros(), "reason": "stolen"}),
        ),
        (
            config,
            json!({"kind": "config", "part": "policy", "action": "refused", "version": "9",
                   "detail": "line 3"}),
        ),
        (
            alert,
            json!({"kind": "alert", "detector": "travel", "subject": "alice", "score": 900,
                   "evidence": "two continents"}),
        ),
    ] {
        let mut found = record(&event);
        let members = found.as_object_mut().unwrap();
        assert_eq!(members["ts"], at.as_micros());
        for common in ["v", "idx", "ts", "origin", "prev"] {
            members.remove(common);
        }
        assert_eq!(found, expected);
    }
}

/// Three bytes for each byte of a name, as many limits as one step can take.
fn largest_budget() -> Event {
    let worst: Arc<str> = "\u{85}".repeat(128).into();
    let part = BudgetPart {
        limit: "n".repeat(64).into(),
        subject: worst.clone(),
        window: Some((Timestamp::MAX, Timestamp::MAX)),
    };
    Event::Budget(BudgetEvent {
        at: Timestamp::MAX,
        author: Some(worst.clone()),
        action: "clear-override",
        hold: Some(u128::MAX),
        root: worst.clone(),
        budgets: vec![part; 16].into(),
        currency: Some("XTS".into()),
        nanos: u64::MAX,
        percent: Some(u32::MAX),
        request: Some(RequestId::from_u128(u128::MAX)),
        detail: Some("\u{85}".repeat(1024)),
    })
}

#[test]
fn the_largest_budget_event_is_kept_whole() {
    let worst = "\u{85}".repeat(128);
    let record = record(&largest_budget());
    let budgets = record["budgets"].as_array().unwrap();
    assert_eq!(budgets.len(), 16);
    assert_eq!(budgets[15]["subject"], *worst);
    assert_eq!(record["root"], *worst);
}

#[test]
fn each_record_is_bound_to_the_bytes_of_the_one_before() {
    let mut out = Vec::new();
    let mut chain = chain();
    for object in ["a", "b", "c"] {
        chain.append_event(&mut out, &admin(object)).unwrap();
    }
    let text = String::from_utf8(out.clone()).unwrap();
    let mut prev = ZEROS;
    for (index, (line, record)) in text.lines().zip(parse(&out)).enumerate() {
        assert_eq!(record["idx"], index);
        assert_eq!(record["prev"].as_str().unwrap(), prev.to_string());
        prev = leaf(line.as_bytes());
    }
}

#[test]
fn spans_are_whole_microseconds() {
    let Event::Outcome(mut event) = outcome(HandlerRun::Reached) else {
        panic!("an outcome")
    };
    event.elapsed = Duration::from_nanos(1999);
    assert_eq!(record(&Event::Outcome(event))["elapsed"], 1);
}

proptest! {
    #[test]
    fn any_text_is_read_back_as_it_was(text in "\\PC{0,40}|.{0,40}") {
        prop_assume!(text.len() <= 256);
        let line = line(&permit_of(&text));
        prop_assert_eq!(&parse(&line)[0]["subject"], &text);
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}
