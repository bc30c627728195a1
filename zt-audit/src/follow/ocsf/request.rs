//! Decisions and outcomes.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::{
    API_ACTIVITY, AUTHENTICATION, Event, FAILURE, HIGH, INFORMATIONAL, LOW, MEDIUM, OTHER, SUCCESS,
    fields::{Fields, object},
};

/// `action_id`, `disposition_id` and their words, of the profile `security_control`.
struct Control {
    action: u64,
    disposition: u64,
    word: Option<&'static str>,
}

const fn control(action: u64, disposition: u64) -> Control {
    Control {
        action,
        disposition,
        word: None,
    }
}

pub(super) fn decision(fields: &mut Fields) -> Event {
    let code = fields.text("code").unwrap_or_default();
    let permitted = fields.is("decision", "permit");
    let denied = fields.is("decision", "deny");
    let control = match (permitted, denied) {
        (true, _) if fields.left_flag("observed") => control(3, 17),
        (true, _) => control(1, 1),
        (_, true) => control(2, disposition(&code)),
        // The request ended before anything was decided.
        _ => Control {
            action: OTHER,
            disposition: 16,
            word: Some("undecided"),
        },
    };
    let severity = match &*code {
        _ if !denied => INFORMATIONAL,
        "credential-revoked" | "replayed" | "binding-mismatch" | "quarantined" => MEDIUM,
        "stack-misordered" | "handler-panicked" => HIGH,
        _ => LOW,
    };
    let status = if denied { FAILURE } else { SUCCESS };
    let is_authentication = denied && is_of_credentials(&code);
    let method = fields.text("method").unwrap_or_default();
    // Others have no place, and stay in `unmapped`.
    let known = METHODS.contains(&&*method).then(|| fields.take("method"));
    let path = fields.take("path");
    let route = fields.take_text("route");
    let agent = fields.take("user_agent");
    let request_id = fields.text("request_id");
    let user = caller(fields);
    let endpoint = source(fields);

    let place = route.as_deref().or_else(|| path.as_ref()?.as_str());
    let operation = match place {
        Some(place) => format!("{method} {place}"),
        None => method.clone(),
    };
    let mut observables = Vec::new();
    if let Some(ip) = endpoint.get("ip") {
        observables.push(json!({"name": "src_endpoint.ip", "type_id": 2, "value": ip}));
    }
    if let Some(name) = user.get("name").filter(|name| *name != "anonymous") {
        let of = if is_authentication {
            "user.name"
        } else {
            "actor.user.name"
        };
        observables.push(json!({"name": of, "type_id": 4, "value": name}));
    }
    if let Some(agent) = &agent {
        let name = "http_request.user_agent";
        observables.push(json!({"name": name, "type_id": 16, "value": agent}));
    }
    let http = object([
        ("http_method", known.flatten()),
        ("url", path.map(|path| json!({ "path": path }))),
        ("user_agent", agent),
        ("uid", request_id.clone().map(Value::from)),
    ]);
    let (policy, authorizations) = policies(fields, permitted, denied);
    let mut rest = object([
        ("action_id", Some(control.action.into())),
        ("action", control.word.map(Value::from)),
        ("disposition_id", Some(control.disposition.into())),
        ("policy", policy),
        ("authorizations", authorizations),
        ("http_request", Some(http)),
        (
            "http_response",
            fields.take("status").map(|code| json!({ "code": code })),
        ),
        ("src_endpoint", Some(endpoint)),
        ("status_code", Some(code.into()).filter(|_| denied)),
        ("status_detail", fields.take("detail")),
        ("observables", Some(observables.into())),
    ]);
    let Value::Object(members) = &mut rest else {
        return Event::new(API_ACTIVITY, 0, severity, status, rest);
    };
    let service = json!({"name": fields.origin()});
    let credential = fields.take("token");
    let workload = fields.take("workload");
    let idp = fields.take("issuer").map(|name| json!({ "name": name }));
    if is_authentication {
        members.insert("service".to_owned(), service);
        members.insert("is_remote".to_owned(), true.into());
        if workload.is_some() || idp.is_some() {
            let actor = object([
                ("user", Some(user.clone())),
                ("app_uid", workload),
                ("idp", idp),
            ]);
            members.insert("actor".to_owned(), actor);
        }
        members.insert("user".to_owned(), user);
        return Event::new(AUTHENTICATION, 1, severity, status, rest);
    }
    let session = credential.map(|token| json!({"credential_uid": token}));
    let actor = object([
        ("user", Some(user)),
        ("session", session),
        ("app_uid", workload),
        ("idp", idp),
    ]);
    let api = object([
        ("operation", Some(operation.into())),
        ("service", Some(service)),
        ("request", request_id.map(|id| json!({"uid": id}))),
    ]);
    members.insert("actor".to_owned(), actor);
    members.insert("api".to_owned(), api);
    if let Some(route) = route {
        let resources = json!([{"name": route, "type": "route"}]);
        members.insert("resources".to_owned(), resources);
    }
    let activity = match &*method {
        "POST" => 1,
        "GET" | "HEAD" | "OPTIONS" => 2,
        "PUT" | "PATCH" => 3,
        "DELETE" => 4,
        _ => OTHER,
    };
    Event::new(API_ACTIVITY, activity, severity, status, rest).named(Some(method))
}

/// The end of a request. Who asked for what stands in its decision.
pub(super) fn outcome(fields: &mut Fields) -> Event {
    let code = fields.take_text("code");
    let status = fields.take("status");
    let panicked = fields.is("handler", "panicked");
    let failed = code.is_some()
        || panicked
        || status
            .as_ref()
            .and_then(Value::as_u64)
            .is_some_and(|status| status >= 500);
    let origin = fields.origin();
    let request_id = fields.text("request_id");
    let elapsed = fields.number("elapsed").map(|micros| micros / 1000);
    let response = status.map(|code| {
        object([
            ("code", Some(code)),
            ("body_length", fields.take("bytes")),
            ("latency", elapsed.map(Value::from)),
        ])
    });
    let api = object([
        ("operation", Some("outcome".into())),
        ("service", Some(json!({ "name": origin }))),
        ("request", request_id.map(|id| json!({"uid": id}))),
    ]);
    let rest = object([
        ("actor", Some(json!({"app_name": origin}))),
        ("api", Some(api)),
        ("src_endpoint", Some(json!({"name": "unknown"}))),
        ("http_response", response),
        ("duration", elapsed.map(Value::from)),
        ("action_id", Some(3.into())),
        ("disposition_id", Some(if failed { 27 } else { 17 }.into())),
        ("status_code", code.map(Value::from)),
    ]);
    let (severity, status) = match (panicked, failed) {
        (true, _) => (HIGH, FAILURE),
        (_, true) => (LOW, FAILURE),
        _ => (INFORMATIONAL, SUCCESS),
    };
    Event::new(API_ACTIVITY, OTHER, severity, status, rest).named(Some("outcome".to_owned()))
}

/// The values of `http_method`.
const METHODS: [&str; 9] = [
    "OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH",
];

/// What a control did with a request that it refused.
fn disposition(code: &str) -> u64 {
    match code {
        "quarantined" => 3,
        "credential-revoked" => 24,
        "step-up-required" => 23,
        "scope-insufficient" | "policy-denied" => 26,
        "request-malformed" | "request-invalid" | "body-too-large" | "uri-too-long"
        | "headers-too-large" | "misdirected" => 25,
        "stack-misordered" | "handler-panicked" | "request-timeout" => 27,
        code if code.ends_with("-unavailable") => 27,
        _ => 2,
    }
}

/// Whether a code is about who the caller is.
fn is_of_credentials(code: &str) -> bool {
    code.starts_with("credential-")
        || code.starts_with("signature-")
        || ["binding-mismatch", "replayed", "step-up-required"].contains(&code)
}

fn caller(fields: &mut Fields) -> Value {
    let type_id = match fields.text("principal").as_deref() {
        Some("user") => 1,
        Some("service") => 4,
        _ => 0,
    };
    let mut user = fields.user("subject");
    if let Value::Object(user) = &mut user {
        user.insert("type_id".to_owned(), type_id.into());
    }
    user
}

/// Where a request came from: the address of the client where it is known, the connection's else.
pub(super) fn source(fields: &mut Fields) -> Value {
    let address = |text: String| {
        let socket = text.parse::<SocketAddr>().ok();
        let ip = socket
            .map(|socket| socket.ip())
            .or_else(|| text.parse::<IpAddr>().ok());
        Some((ip?, socket.map(|socket| socket.port())))
    };
    let peer = fields.take_text("peer_addr").and_then(address);
    let client = fields.take_text("client_addr").and_then(address);
    let between = match (client, peer) {
        (Some((client, _)), Some((peer, _))) if client != peer => Some(json!([peer.to_string()])),
        _ => None,
    };
    match client.or(peer) {
        Some((ip, port)) => object([
            ("ip", Some(ip.to_string().into())),
            ("port", port.map(Value::from)),
            ("intermediate_ips", between),
        ]),
        None => match fields.pseudonym() {
            Some(pseudonym) => json!({"uid": pseudonym}),
            None => json!({"name": "unknown"}),
        },
    }
}

/// The policy that decided, and each that had a say.
fn policies(fields: &mut Fields, permitted: bool, denied: bool) -> (Option<Value>, Option<Value>) {
    // A rule that permitted, where something else denied later.
    let overruled = fields.left_flag("permitted");
    let rule = fields.take("rule");
    let policy = object([
        ("uid", rule),
        ("name", fields.take("policy")),
        ("version", fields.take("version")),
    ]);
    let policy = policy
        .as_object()
        .is_some_and(|policy| policy.contains_key("uid") || policy.contains_key("name"))
        .then_some(policy);
    let decided = |word: &str, policy: Value| json!({"decision": word, "policy": policy});
    let mut authorizations = Vec::new();
    let word = match (permitted || overruled, denied) {
        (true, _) => Some("permit"),
        (false, true) => Some("deny"),
        _ => None,
    };
    if let Some((word, policy)) = word.zip(policy.clone()) {
        authorizations.push(decided(word, policy));
    }
    let violated = fields.take("violates");
    let violated = violated.as_ref().and_then(Value::as_array);
    for name in violated.into_iter().flatten() {
        authorizations.push(decided("deny", json!({ "uid": name })));
    }
    let authorizations = (!authorizations.is_empty()).then(|| authorizations.into());
    (policy, authorizations)
}
