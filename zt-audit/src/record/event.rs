//! The fields of each kind of event. No header but the user agent, no query string and no
//! credential is among them.

use zt_core::{
    clock::Timestamp,
    context::{AddressSource, HandlerRun, Trail},
    decision::{Denial, Permit},
    state::{
        BudgetEvent, DecisionEvent, Event, OutcomeEvent, SanctionEvent, SanctionTarget, Verdict,
    },
};

use super::{Chain, json::Object};

/// Most bytes of a field; of a longer value the beginning is kept and the SHA-256 of the whole.
const PATH: usize = 2048;
const DETAIL: usize = 1024;
const SPIFFE: usize = 512;
const TEMPLATE: usize = 512;
const NAME: usize = 256;
const METHOD: usize = 32;
/// Most entries of a list.
const MANY: usize = 32;
const FEW: usize = 8;
/// The limits of one reservation.
const PARTS: usize = 16;

impl Chain {
    /// Writes the record of `event`.
    pub(crate) fn append_event(&mut self, out: &mut Vec<u8>, event: &Event) {
        self.append(out, event.kind().as_str(), time_of(event), |record| {
            fields(record, event);
        });
    }
}

/// When it happened; the epoch where the clock could not say.
pub(crate) fn time_of(event: &Event) -> Timestamp {
    match event {
        Event::Decision(event) => event.trail.opened_at(),
        Event::Outcome(event) => match event.trail.opened_at() {
            Timestamp::EPOCH => Timestamp::EPOCH,
            opened => opened + event.elapsed,
        },
        Event::Admin(event) => event.at,
        Event::Grant(event) => event.at,
        Event::Budget(event) => event.at,
        Event::Sanction(event) => event.at,
        Event::Config(event) => event.at,
        Event::Alert(event) => event.at,
        _ => Timestamp::EPOCH,
    }
}

fn fields(record: &mut Object<'_>, event: &Event) {
    match event {
        Event::Decision(event) => decision(record, event),
        Event::Outcome(event) => outcome(record, event),
        Event::Admin(event) => {
            record.maybe("author", event.author.as_deref(), NAME);
            record.text("action", event.action, NAME);
            record.text("object", &event.object, DETAIL);
            record.maybe("detail", event.detail.as_deref(), DETAIL);
        }
        Event::Grant(event) => {
            record.maybe("author", event.author.as_deref(), NAME);
            record.text("action", event.action, NAME);
            record.text("subject", &event.subject, NAME);
            record.text("grant", &event.grant, DETAIL);
            record.time("expires", event.expires);
        }
        Event::Budget(event) => budget(record, event),
        Event::Sanction(event) => sanction(record, event),
        Event::Config(event) => {
            record.text("part", event.part, NAME);
            record.text("action", event.action, NAME);
            record.text("version", &event.version, NAME);
            record.maybe("detail", event.detail.as_deref(), DETAIL);
        }
        Event::Alert(event) => {
            record.text("detector", event.detector, NAME);
            record.text("subject", &event.subject, NAME);
            record.number("score", event.score.into());
            record.text("evidence", &event.evidence, DETAIL);
        }
        _ => {}
    }
}

fn decision(record: &mut Object<'_>, event: &DecisionEvent) {
    let trail = &*event.trail;
    record.request("request_id", trail.request_id());
    record.word("decision", event.verdict.as_str());
    if let Some(acknowledge) = event.acknowledge {
        record.word("ack", acknowledge.as_str());
    }
    record.text("method", trail.method().as_str(), METHOD);
    record.text("path", trail.uri().path(), PATH);
    record.maybe(
        "route",
        trail.route().map(|route| route.template()),
        TEMPLATE,
    );
    let permit = match &event.verdict {
        Verdict::Permit(permit) => Some(permit),
        Verdict::Deny(denial) => {
            refusal(record, denial);
            trail.permit()
        }
        Verdict::Undecided => trail.permit(),
    };
    if let Some(waived) = trail.would_deny() {
        record.word("would_deny", waived.code().as_str());
        record.maybe("would_deny_detail", waived.private_detail(), DETAIL);
    }
    if let Some(permit) = permit {
        rule(record, permit);
    }
    caller(record, trail, permit);
    let timings = trail.timings();
    if !timings.is_empty() {
        let spans = timings.iter().map(|(name, took)| (*name, micros(*took)));
        record.pairs("timings", spans, MANY);
    }
}

fn refusal(record: &mut Object<'_>, denial: &Denial) {
    record.word("code", denial.code().as_str());
    record.number("status", denial.status().as_u16().into());
    record.maybe("detail", denial.private_detail(), DETAIL);
    if !denial.violated_policies().is_empty() {
        let policies = denial.violated_policies().iter().map(|policy| &**policy);
        record.list("violates", policies, FEW, NAME);
    }
}

fn rule(record: &mut Object<'_>, permit: &Permit) {
    record.text("rule", permit.rule(), NAME);
    record.maybe("policy", permit.policy(), NAME);
    record.maybe("version", permit.version(), NAME);
    if permit.is_observed_only() {
        record.flag("observed", true);
    }
}

/// Who asked, and from where.
fn caller(record: &mut Object<'_>, trail: &Trail, permit: Option<&Permit>) {
    let principal = trail
        .principal()
        .or_else(|| permit.and_then(Permit::principal).cloned());
    if let Some(principal) = principal {
        record.text("subject", principal.subject(), NAME);
        record.maybe("issuer", principal.issuer(), NAME);
        record.word("principal", principal.kind().as_str());
        let methods = principal
            .methods()
            .map(zt_core::identity::AuthMethod::as_str);
        record.list("auth", methods, FEW, METHOD);
        record.maybe("tenant", principal.tenant(), NAME);
        record.maybe("token", principal.token(), NAME);
    }
    let workload = trail.peer().and_then(|peer| peer.spiffe_id());
    record.maybe("workload", workload, SPIFFE);
    let client = trail.client();
    if let Some(peer) = client.peer() {
        record.ascii("peer_addr", peer);
    }
    if let Some(address) = client.client() {
        record.ascii("client_addr", address);
    }
    record.word(
        "client_source",
        match client.source() {
            AddressSource::Peer => "peer",
            AddressSource::Forwarded => "forwarded",
            _ => "unknown",
        },
    );
    if let Some(agent) = trail.user_agent() {
        record.bytes("user_agent", agent.as_bytes(), NAME);
    }
    if let Some(parent) = trail.traceparent() {
        record.ascii("traceparent", parent);
    }
}

fn outcome(record: &mut Object<'_>, event: &OutcomeEvent) {
    record.request("request_id", event.trail.request_id());
    record.word("end", event.end.as_str());
    record.word(
        "handler",
        match event.handler {
            HandlerRun::NotReached => "not-reached",
            HandlerRun::Reached => "reached",
            HandlerRun::Panicked => "panicked",
            _ => "unknown",
        },
    );
    // Also a denial that came after the permit: a handler that panicked, a body past its limit; and
    // one that came after the answer's head, of a body that turned out to be another.
    let trail = &event.trail;
    if let Some(denial) = trail.denial().or_else(|| trail.body_refused()) {
        record.word("code", denial.code().as_str());
    }
    if let Some(status) = event.status {
        record.number("status", status.as_u16().into());
    }
    if let Some(status) = event.grpc_status {
        record.number("grpc_status", status.into());
    }
    record.number("bytes", event.bytes);
    record.number("elapsed", micros(event.elapsed));
}

fn budget(record: &mut Object<'_>, event: &BudgetEvent) {
    record.maybe("author", event.author.as_deref(), NAME);
    record.text("action", event.action, NAME);
    if let Some(hold) = event.hold {
        record.ascii("hold", format_args!("{hold:032x}"));
    }
    record.text("root", &event.root, NAME);
    record.objects(
        "budgets",
        event.budgets.iter().take(PARTS),
        |part, found| {
            part.text("limit", &found.limit, NAME);
            part.text("subject", &found.subject, NAME);
            if let Some((start, end)) = found.window {
                part.time("start", Some(start));
                part.time("end", Some(end));
            }
        },
    );
    record.maybe("currency", event.currency.as_deref(), NAME);
    // A string: nano-units may need more than the 53 bits that JSON readers keep.
    record.ascii("nanos", event.nanos);
    if let Some(percent) = event.percent {
        record.number("percent", percent.into());
    }
    if let Some(request) = event.request {
        record.request("request_id", request);
    }
    record.maybe("detail", event.detail.as_deref(), DETAIL);
}

fn sanction(record: &mut Object<'_>, event: &SanctionEvent) {
    record.text("author", &event.author, NAME);
    record.text("action", event.action, NAME);
    let (target, name) = match &event.target {
        SanctionTarget::Token(name) => ("token", Some(name)),
        SanctionTarget::Session(name) => ("session", Some(name)),
        SanctionTarget::Subject { subject, .. } => ("subject", Some(subject)),
        SanctionTarget::Key(name) => ("key", Some(name)),
        SanctionTarget::Workload(name) => ("workload", Some(name)),
        _ => ("unknown", None),
    };
    record.word("target", target);
    record.maybe("name", name.map(|name| &**name), SPIFFE);
    if let SanctionTarget::Subject { issuer, before, .. } = &event.target {
        record.maybe("issuer", issuer.as_deref(), NAME);
        record.time("before", Some(*before));
    }
    record.text("reason", &event.reason, DETAIL);
    record.time("expires", event.expires);
}

fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
