use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use http::Request;
use zt_core::{
    clock::Timestamp,
    context::HandlerRun,
    decision::{Code, Denial, Permit},
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{
        AlertEvent, BudgetEvent, BudgetPart, ConfigEvent, Event as Recorded, EventKind, GrantEvent,
        SanctionEvent, SanctionTarget, Verdict,
    },
};

use super::*;
use crate::{
    merkle::leaf_hash,
    record::{Chain, Erased, Gap, Key, Prune, Recovered, RolledUp},
    seal::Pseudonym,
    testing::{admin, decision, denial, outcome, parse, trail, trail_of},
};

const AT: Timestamp = Timestamp::from_secs(1_893_456_000);

/// A record of each kind, and of each way to decide, with the bytes that they have in a log.
fn records() -> Vec<Vec<u8>> {
    let zero = Hash::from_bytes([0; 32]);
    let mut chain = Chain::new("shop/1".into(), 0, zero, None);
    let mut out = Vec::new();
    chain.append_started(&mut out, AT).unwrap();
    let key = Key {
        vkey: "shop/1+00000000+AAAA",
        endorsed: None,
    };
    chain.append_key(&mut out, AT, key).unwrap();
    for event in events() {
        chain.append_event(&mut out, &event).unwrap();
    }
    let recovered = Recovered {
        cause: "torn",
        file: "torn/1",
        bytes: 12,
        records: 1,
        sha256: Some(&zero),
        why: None,
    };
    chain.append_recovered(&mut out, AT, recovered).unwrap();
    let gap = Gap {
        from: AT,
        to: AT,
        reason: "no-space",
        refused: &[("permit", 3)],
        taken: 1,
    };
    chain.append_gap(&mut out, AT, gap).unwrap();
    let erased = Erased {
        action: "done",
        pseudonyms: &[Pseudonym::from_bytes([7; 16])],
        keys: 1,
        author: Some("root"),
        reason: "asked for",
    };
    chain.append_erased(&mut out, AT, erased).unwrap();
    let prune = Prune {
        before: 256,
        root: &zero,
        author: None,
    };
    chain.append_prune(&mut out, AT, prune).unwrap();
    let mut rolled = RolledUp::default();
    rolled.lose(&outcome(HandlerRun::Reached));
    chain.append_rolled_up(&mut out, AT, &rolled).unwrap();
    out.split_inclusive(|byte| *byte == b'\n')
        .map(|line| line[..line.len() - 1].to_vec())
        .collect()
}

fn events() -> Vec<Recorded> {
    let principal = Principal::assertion(PrincipalKind::User, "alice", AuthMethod::Jwt)
        .issuer("https://id.example")
        .tenant("acme")
        .token("jti-1")
        .finish();
    let permit = |principal: &Principal| {
        Permit::assertion("orders.read")
            .policy("orders", "v3")
            .principal(Arc::new(principal.clone()))
            .finish()
    };
    let mut events = Vec::new();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "PURGE"] {
        let request = Request::builder().method(method).uri("/orders/7?secret=1");
        let request = request.header("user-agent", "curl/8");
        let verdict = Verdict::Permit(permit(&principal));
        events.push(decision(&trail_of(request), verdict, true));
    }
    events.extend(Code::ALL.iter().map(|code| denial(*code)));
    let violating = Denial::new(Code::PolicyDenied).detail("not hers");
    events.push(decision(&trail(), Verdict::Deny(violating), false));
    events.push(decision(&trail(), Verdict::Undecided, false));
    for handler in [
        HandlerRun::NotReached,
        HandlerRun::Reached,
        HandlerRun::Panicked,
    ] {
        events.push(outcome(handler));
    }
    events.push(admin("token 7"));
    for action in ["requested", "approved", "break-glass", "revoked"] {
        events.push(Recorded::Grant(GrantEvent {
            at: AT,
            author: Some("root".into()),
            author_issuer: None,
            action,
            id: Some("00ff".into()),
            subject: "alice".into(),
            issuer: Some("https://id.example".into()),
            tenant: Some("acme".into()),
            grant: "orders:refund".into(),
            reason: Some("incident 7".into()),
            expires: Some(AT),
        }));
    }
    for action in ["held", "overrun"] {
        events.push(Recorded::Budget(BudgetEvent {
            at: AT,
            author: None,
            action,
            hold: Some(7),
            root: "acme".into(),
            budgets: vec![BudgetPart {
                limit: "daily".into(),
                subject: "acme".into(),
                window: Some((AT, AT)),
            }]
            .into(),
            currency: Some("EUR".into()),
            nanos: 12_000_000_000,
            percent: Some(80),
            request: None,
            detail: Some("half of it".to_owned()),
        }));
    }
    for target in [
        SanctionTarget::Token("jti-1".into()),
        SanctionTarget::Workload("spiffe://example.org/shop".into()),
        SanctionTarget::Subject {
            issuer: None,
            subject: "mallory".into(),
            before: AT,
        },
    ] {
        for action in ["imposed", "lifted"] {
            events.push(Recorded::Sanction(SanctionEvent {
                at: AT,
                author: "root".into(),
                action,
                target: target.clone(),
                reason: "stolen".to_owned(),
                expires: Some(AT),
            }));
        }
    }
    for action in ["loaded", "refused"] {
        events.push(Recorded::Config(ConfigEvent {
            at: AT,
            part: "policy",
            action,
            version: "v4".into(),
            detail: Some("line 3".to_owned()),
        }));
    }
    for score in [100, 600, 1000] {
        events.push(Recorded::Alert(AlertEvent {
            at: AT,
            detector: "velocity",
            subject: "alice".into(),
            score,
            evidence: "two continents".to_owned(),
        }));
    }
    events
}

/// As a log with a vault has them: personal fields are gone, a pseudonym stands for them.
fn sealed(record: &Map<String, Value>) -> Map<String, Value> {
    const PERSONAL: [&str; 13] = [
        "path",
        "detail",
        "subject",
        "token",
        "peer_addr",
        "client_addr",
        "user_agent",
        "author",
        "object",
        "grant",
        "root",
        "reason",
        "evidence",
    ];
    let mut record = record.clone();
    let count = record.len();
    record.retain(|name, _| !PERSONAL.contains(&&**name));
    if record.len() < count {
        let part = json!(["00112233445566778899aabbccddeeff", "c2VhbGVk"]);
        record.insert("sealed".to_owned(), json!([part]));
    }
    record
}

/// A decision with each field that one can have.
fn with_everything(mut record: Map<String, Value>) -> Map<String, Value> {
    let more = json!({
        "route": "/orders/{id}", "rule": "orders.read", "policy": "orders", "version": "v3",
        "observed": true, "violates": ["geo", "hours"], "would_deny": "policy-denied",
        "would_deny_rule": "no-strangers", "would_deny_policy": "shop", "would_deny_version": "8", "dry_run": "deny by no-strangers", "permitted": true,
        "issuer": "https://id.example", "principal": "service", "auth": ["jwt"], "tenant": "acme",
        "workload": "spiffe://example.org/shop", "via": "spiffe://example.org/gateway", "subject": "alice", "token": "jti-1",
        "client_addr": "192.0.2.7", "peer_addr": "[2001:db8::1]:443", "user_agent": "curl/8",
        "detail": "not hers", "status": 403, "timings": {"jwt": 12}
    });
    record.extend(more.as_object().unwrap().clone());
    record
}

fn object_of(line: &[u8]) -> Map<String, Value> {
    match parse(line).remove(0) {
        Value::Object(record) => record,
        other => panic!("no record: {other}"),
    }
}

fn all_events() -> Vec<Value> {
    let mut events = Vec::new();
    for line in records() {
        let (record, leaf) = (object_of(&line), leaf_hash(&line));
        events.push(super::event(&record, &leaf));
        events.push(super::event(&sealed(&record), &leaf));
        if record["kind"] == "decision" {
            events.push(super::event(&with_everything(record), &leaf));
        }
    }
    events
}

fn of(event: &Recorded) -> Value {
    let mut out = Vec::new();
    let mut chain = Chain::new("shop/1".into(), 7, Hash::from_bytes([0; 32]), None);
    chain.append_event(&mut out, event).unwrap();
    out.pop();
    super::event(&object_of(&out), &leaf_hash(&out))
}

#[test]
fn a_permit_is_an_api_call_that_a_control_allowed() {
    let event = of(&events()[1]);
    let told = |pointer: &str| event.pointer(pointer).unwrap_or(&Value::Null).clone();
    for (pointer, value) in [
        ("/class_uid", json!(6003)),
        ("/category_uid", json!(6)),
        ("/type_uid", json!(600_301)),
        ("/metadata/version", json!("1.8.0")),
        ("/metadata/profiles", json!(["security_control"])),
        ("/metadata/tenant_uid", json!("acme")),
        ("/action_id", json!(1)),
        ("/disposition_id", json!(1)),
        ("/status_id", json!(1)),
        (
            "/policy",
            json!({"uid": "orders.read", "name": "orders", "version": "v3"}),
        ),
        ("/authorizations/0/decision", json!("permit")),
        ("/actor/user/name", json!("alice")),
        ("/actor/session/credential_uid", json!("jti-1")),
        ("/api/operation", json!("POST /orders/7")),
        ("/http_request/url", json!({"path": "/orders/7"})),
        ("/http_request/user_agent", json!("curl/8")),
        ("/unmapped/origin", json!("shop/1")),
        ("/unmapped/idx", json!(7)),
    ] {
        assert_eq!(told(pointer), value, "{pointer} of {event}");
    }
    assert!(told("/unmapped/leaf").as_str().unwrap().len() == 64);
    let micros = told("/unmapped/ts").as_u64().unwrap();
    assert_eq!(told("/time"), json!(micros / 1000));
    assert!(!event.to_string().contains("secret"), "a query is in it");
}

#[test]
fn a_denial_names_the_policy_that_had_a_say_and_what_it_said() {
    let denial = Denial::new(Code::PolicyDenied);
    let by_rule = denial
        .clone()
        .by_rule("no-strangers")
        .by_policy("shop", "8");
    let silent = denial.by_policy("shop", "8");
    for (denial, policy) in [
        (
            by_rule,
            json!({"uid": "no-strangers", "name": "shop", "version": "8"}),
        ),
        (silent, json!({"name": "shop", "version": "8"})),
    ] {
        let event = of(&decision(&trail(), Verdict::Deny(denial), false));
        let said = json!([{"decision": "deny", "policy": policy}]);
        assert_eq!(
            (&event["policy"], &event["authorizations"]),
            (&policy, &said)
        );
        assert_eq!(event["disposition_id"], 26);
    }

    // What permitted is not what denied.
    let (parts, ()) = Request::new(()).into_parts();
    let mut cx = zt_core::context::SecurityContext::open(&parts, &Arc::default());
    cx.set_permit(Permit::assertion("orders.read").finish())
        .unwrap();
    let verdict = Verdict::Deny(Denial::new(Code::RateLimited));
    let event = of(&decision(cx.trail(), verdict, false));
    let said = json!([{"decision": "permit", "policy": {"uid": "orders.read"}}]);
    assert_eq!(event["authorizations"], said);
    assert_eq!(event["action_id"], 2);
}

#[test]
fn a_refused_credential_is_a_logon_that_failed() {
    for code in Code::ALL {
        let event = of(&denial(*code));
        let word = code.as_str();
        let expected = word.starts_with("credential-")
            || word.starts_with("signature-")
            || ["binding-mismatch", "replayed", "step-up-required"].contains(&word);
        let class = if expected { 3002 } else { 6003 };
        assert_eq!(event["class_uid"], class, "{word}");
        assert_eq!(
            (&event["action_id"], &event["status_id"]),
            (&json!(2), &json!(2))
        );
        assert_eq!(event["status_code"], word);
    }
}

#[test]
fn each_kind_has_its_class() {
    let mut classes = std::collections::BTreeMap::new();
    for event in all_events() {
        let kind = event["metadata"]["event_code"].as_str().unwrap().to_owned();
        let class = event["class_uid"].as_u64().unwrap();
        classes
            .entry(kind)
            .or_insert_with(std::collections::BTreeSet::new)
            .insert(class);
    }
    let told = |kind: EventKind| classes[kind.as_str()].iter().copied().collect::<Vec<_>>();
    assert_eq!(told(EventKind::Decision), [3002, 6003]);
    assert_eq!(told(EventKind::Outcome), [6003]);
    assert_eq!(told(EventKind::Grant), [3003]);
    for kind in [
        EventKind::Admin,
        EventKind::Sanction,
        EventKind::Budget,
        EventKind::Config,
    ] {
        assert_eq!(told(kind), [3004]);
    }
    assert_eq!(told(EventKind::Alert), [2004]);
    for own in [
        "started",
        "key",
        "recovered",
        "gap",
        "erased",
        "prune",
        "rolled-up",
    ] {
        assert_eq!(
            classes[own].iter().copied().collect::<Vec<_>>(),
            [1008],
            "{own}"
        );
    }
    assert_eq!(classes.len(), 15);
}

#[test]
fn a_sealed_record_names_pseudonyms_and_passes_nothing_sealed_on() {
    let line = records().remove(2);
    let event = super::event(&sealed(&object_of(&line)), &leaf_hash(&line));
    let pseudonym = "00112233445566778899aabbccddeeff";
    assert_eq!(event["actor"]["user"]["uid"], pseudonym);
    assert_eq!(event["src_endpoint"]["uid"], pseudonym);
    assert_eq!(event["unmapped"]["pseudonyms"], json!([pseudonym]));
    let text = event.to_string();
    assert!(
        !text.contains("c2VhbGVk") && !text.contains("alice"),
        "{text}"
    );
}

#[test]
fn addresses_are_parsed_and_what_is_none_is_left_out() {
    let source = |peer: &str, client: &str| {
        let record = json!({"peer_addr": peer, "client_addr": client});
        let mut fields = Fields::new(record.as_object().unwrap());
        request::source(&mut fields)
    };
    assert_eq!(
        source("[2001:db8::1]:443", "192.0.2.7"),
        json!({"ip": "192.0.2.7", "intermediate_ips": ["2001:db8::1"]})
    );
    assert_eq!(
        source("192.0.2.7:99", ""),
        json!({"ip": "192.0.2.7", "port": 99})
    );
    assert_eq!(source("not an address", ""), json!({"name": "unknown"}));
}

/// Every event against the published schema, by a program that is not ours.
#[test]
fn the_published_schema_takes_every_event_and_not_one_without_its_actor() {
    let Some(packages) = packages() else { return };
    let events = all_events();
    let refused: Vec<_> = events
        .iter()
        .zip(validate(&packages, &events))
        .filter(|(_, errors)| *errors != json!([]))
        .map(|(event, errors)| format!("{errors}: {event}"))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    let mut without = of(&events_with_actor());
    without.as_object_mut().unwrap().remove("actor");
    let errors = validate(&packages, &[without]);
    assert_eq!(errors, [json!(["'actor' is a required property"])]);
    println!("{} events are valid by OCSF {VERSION}", events.len());
}

fn events_with_actor() -> Recorded {
    events().remove(0)
}

fn validate(packages: &Path, events: &[Value]) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/follow/ocsf/validate.py");
    let mut child = Command::new("python3")
        .arg(script)
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the validator failed");
    let answers = parse(&output.stdout);
    assert_eq!(answers.len(), events.len());
    answers
}

/// Where PyPI's `ocsf-json-schema` is; it is installed where there is pip. `ZT_INTEROP_PACKAGES` names
/// a folder that it is kept in from run to run, and must then be there.
fn packages() -> Option<PathBuf> {
    const KEPT: &str = "ZT_INTEROP_PACKAGES";
    let kept = std::env::var_os(KEPT).map(PathBuf::from);
    let folder = match &kept {
        Some(kept) => kept.join("ocsf"),
        None => std::env::temp_dir().join(format!("zt-ocsf-{}", std::process::id())),
    };
    let there = folder.join("ocsf_json_schema-1.2.0.dist-info/METADATA");
    if !there.is_file() {
        let installed = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--only-binary", ":all:"])
            .args(["--timeout", "20", "--retries", "1"])
            .args(["ocsf-json-schema==1.2.0", "jsonschema==4.26.0", "--target"])
            .arg(&folder)
            .output();
        let why = match installed {
            Ok(output) if output.status.success() && there.is_file() => return Some(folder),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        assert!(kept.is_none(), "{why}");
        println!(
            "skipped: PyPI's ocsf-json-schema cannot be had: {}",
            why.trim()
        );
        return None;
    }
    Some(folder)
}
