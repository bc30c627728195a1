//! The fields of each kind of event. No header but the user agent, no query string and no
//! credential is among them.

use zt_core::{
    clock::Timestamp,
    context::{AddressSource, HandlerRun, Trail},
    decision::{Denial, Permit},
    identity::{AuthMethod, Principal},
    state::{
        AdminEvent, AlertEvent, BudgetEvent, BudgetPart, ConfigEvent, DecisionEvent, Event,
        GrantEvent, OutcomeEvent, SanctionEvent, SanctionTarget, Verdict,
    },
};

use super::{Chain, Fields, json::Object, own::author};
use crate::{
    merkle::Hash,
    seal::{DataSubject, VaultError},
};

/// Most bytes of a field; of a longer value the beginning is kept and the SHA-256 of the whole.
/// Escapes make six bytes of one at worst, and sealing four of three: the worst of each kind fits.
const PATH: usize = 2048;
const DETAIL: usize = 1024;
const SPIFFE: usize = 512;
const TEMPLATE: usize = 512;
pub(super) const NAME: usize = 256;
const POLICY: usize = 128;
const LIMIT: usize = 64;
const METHOD: usize = 32;
/// Most entries of a list.
const MANY: usize = 32;
const FEW: usize = 8;
/// The limits of one reservation.
const PARTS: usize = 16;

impl Chain {
    /// Writes the record of `event`.
    pub(crate) fn append_event(
        &mut self,
        out: &mut Vec<u8>,
        event: &Event,
    ) -> Result<Hash, VaultError> {
        self.append(out, event.kind().as_str(), time_of(event), |record| {
            fields(record, event)
        })
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

fn fields(record: &mut Fields<'_>, event: &Event) -> Result<(), VaultError> {
    match event {
        Event::Decision(event) => decision(record, event),
        Event::Outcome(event) => {
            outcome(&mut record.clear(), event);
            Ok(())
        }
        Event::Admin(event) => admin(record, event),
        Event::Grant(event) => grant(record, event),
        Event::Budget(event) => budget(record, event),
        Event::Sanction(event) => sanction(record, event),
        Event::Config(event) => {
            config(record, event);
            Ok(())
        }
        Event::Alert(event) => alert(record, event),
        _ => Ok(()),
    }
}

fn decision(record: &mut Fields<'_>, event: &DecisionEvent) -> Result<(), VaultError> {
    let trail = &*event.trail;
    let denial = match &event.verdict {
        Verdict::Deny(denial) => Some(denial),
        _ => None,
    };
    let permit = match &event.verdict {
        Verdict::Permit(permit) => Some(permit),
        _ => trail.permit(),
    };
    let principal = trail
        .principal()
        .or_else(|| permit.and_then(Permit::principal).cloned());
    let principal = principal.as_deref();

    let mut clear = record.clear();
    clear.request("request_id", trail.request_id());
    clear.word("decision", event.verdict.as_str());
    if let Some(acknowledge) = event.acknowledge {
        clear.word("ack", acknowledge.as_str());
    }
    clear.text("method", trail.method().as_str(), METHOD);
    clear.maybe(
        "route",
        trail.route().map(|route| route.template()),
        TEMPLATE,
    );
    if let Some(denial) = denial {
        refusal(&mut clear, denial);
    }
    if let Some(waived) = trail.would_deny() {
        clear.word("would_deny", waived.code().as_str());
        clear.maybe("would_deny_rule", waived.rule(), NAME);
        clear.maybe("would_deny_policy", waived.policy(), NAME);
        clear.maybe("would_deny_version", waived.version(), NAME);
    }
    clear.maybe("dry_run", trail.dry_run(), NAME);
    match denial.filter(|denial| denial.rule().or(denial.policy()).is_some()) {
        Some(denial) => denying(&mut clear, denial),
        None => permitting(&mut clear, permit, denial.is_some()),
    }
    if let Some(principal) = principal {
        proofs(&mut clear, principal);
    }
    origin(&mut clear, trail);

    record.about(caller(principal, trail), |personal| {
        personal.text("path", trail.uri().path(), PATH);
        let detail = denial.and_then(Denial::private_detail);
        personal.maybe("detail", detail, DETAIL);
        let detail = trail.would_deny().and_then(Denial::private_detail);
        personal.maybe("would_deny_detail", detail, DETAIL);
        if let Some(principal) = principal {
            personal.text("subject", principal.subject(), NAME);
            personal.maybe("token", principal.token(), NAME);
        }
        place(personal, trail);
    })
}

/// About whom a decision is: about nobody in particular where nobody was proved.
fn caller<'a>(principal: Option<&'a Principal>, trail: &Trail) -> DataSubject<'a> {
    match principal {
        Some(named) if !named.is_anonymous() => DataSubject::Principal {
            issuer: named.issuer(),
            subject: named.subject(),
        },
        _ => DataSubject::Anonymous(trail.opened_at()),
    }
}

fn refusal(clear: &mut Object<'_>, denial: &Denial) {
    clear.word("code", denial.code().as_str());
    clear.number("status", denial.status().as_u16().into());
    if !denial.violated_policies().is_empty() {
        let policies = denial.violated_policies().iter().map(|policy| &**policy);
        clear.list("violates", policies, FEW, POLICY);
    }
}

/// What denied: a rule, or a policy in which nothing permitted.
fn denying(clear: &mut Object<'_>, denial: &Denial) {
    clear.maybe("rule", denial.rule(), NAME);
    clear.maybe("policy", denial.policy(), NAME);
    clear.maybe("version", denial.version(), NAME);
}

/// What permitted; also where something that came later denied.
fn permitting(clear: &mut Object<'_>, permit: Option<&Permit>, overruled: bool) {
    let Some(permit) = permit else { return };
    if overruled {
        clear.flag("permitted", true);
    }
    clear.text("rule", permit.rule(), NAME);
    clear.maybe("policy", permit.policy(), NAME);
    clear.maybe("version", permit.version(), NAME);
    if permit.is_observed_only() {
        clear.flag("observed", true);
    }
}

/// How who asked was proved.
fn proofs(clear: &mut Object<'_>, principal: &Principal) {
    clear.maybe("issuer", principal.issuer(), NAME);
    clear.word("principal", principal.kind().as_str());
    let methods = principal.methods().map(AuthMethod::as_str);
    clear.list("auth", methods, FEW, METHOD);
    clear.maybe("tenant", principal.tenant(), NAME);
}

/// From where, as far as that is nobody's own.
fn origin(clear: &mut Object<'_>, trail: &Trail) {
    let workload = trail.peer().and_then(|peer| peer.spiffe_id());
    clear.maybe("workload", workload, SPIFFE);
    // Whose word that is, where the workload did not hold the connection itself.
    let proxy = trail.peer().and_then(|peer| peer.via());
    clear.maybe("via", proxy.and_then(|proxy| proxy.spiffe_id()), SPIFFE);
    clear.word(
        "client_source",
        match trail.client().source() {
            AddressSource::Peer => "peer",
            AddressSource::Forwarded => "forwarded",
            _ => "unknown",
        },
    );
    if let Some(parent) = trail.traceparent() {
        clear.ascii("traceparent", parent);
    }
    let timings = trail.timings();
    if !timings.is_empty() {
        let spans = timings.iter().map(|(name, took)| (*name, micros(*took)));
        clear.pairs("timings", spans, MANY);
    }
}

/// From where, as it is personal.
fn place(personal: &mut Object<'_>, trail: &Trail) {
    let client = trail.client();
    if let Some(peer) = client.peer() {
        personal.ascii("peer_addr", peer);
    }
    if let Some(address) = client.client() {
        personal.ascii("client_addr", address);
    }
    if let Some(agent) = trail.user_agent() {
        personal.bytes("user_agent", agent.as_bytes(), NAME);
    }
}

fn outcome(clear: &mut Object<'_>, event: &OutcomeEvent) {
    clear.request("request_id", event.trail.request_id());
    clear.word("end", event.end.as_str());
    clear.word(
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
        clear.word("code", denial.code().as_str());
    }
    if let Some(status) = event.status {
        clear.number("status", status.as_u16().into());
    }
    if let Some(status) = event.grpc_status {
        clear.number("grpc_status", status.into());
    }
    clear.number("bytes", event.bytes);
    clear.number("elapsed", micros(event.elapsed));
}

fn admin(record: &mut Fields<'_>, event: &AdminEvent) -> Result<(), VaultError> {
    record.clear().text("action", event.action, NAME);
    record.about(author(event.author.as_deref()), |personal| {
        personal.maybe("author", event.author.as_deref(), NAME);
        personal.text("object", &event.object, DETAIL);
        personal.maybe("detail", event.detail.as_deref(), DETAIL);
    })
}

fn grant(record: &mut Fields<'_>, event: &GrantEvent) -> Result<(), VaultError> {
    let mut clear = record.clear();
    clear.text("action", event.action, NAME);
    clear.maybe("id", event.id.as_deref(), LIMIT);
    clear.time("expires", event.expires);
    clear.maybe("issuer", event.issuer.as_deref(), NAME);
    clear.maybe("author_issuer", event.author_issuer.as_deref(), NAME);
    clear.maybe("tenant", event.tenant.as_deref(), NAME);
    record.about(DataSubject::Named(&event.subject), |personal| {
        personal.text("subject", &event.subject, NAME);
        personal.text("grant", &event.grant, DETAIL);
        personal.maybe("reason", event.reason.as_deref(), DETAIL);
    })?;
    written_by(record, event.author.as_deref())
}

fn budget(record: &mut Fields<'_>, event: &BudgetEvent) -> Result<(), VaultError> {
    let seals = record.seals();
    let parts = || event.budgets.iter().take(PARTS);
    let subject = |part: &mut Object<'_>, found: &BudgetPart| {
        part.text("subject", &found.subject, NAME);
    };
    // Each name in its own place, and nothing in those of others.
    let only = |whose: &str, personal: &mut Object<'_>| {
        personal.objects("budgets", parts(), |part, found| {
            if *found.subject == *whose {
                subject(part, found);
            }
        });
    };
    let mut clear = record.clear();
    clear.text("action", event.action, NAME);
    if let Some(hold) = event.hold {
        clear.ascii("hold", format_args!("{hold:032x}"));
    }
    clear.objects("budgets", parts(), |part, found| {
        part.text("limit", &found.limit, LIMIT);
        if !seals {
            subject(part, found);
        }
        if let Some((start, end)) = found.window {
            part.time("start", Some(start));
            part.time("end", Some(end));
        }
    });
    clear.maybe("currency", event.currency.as_deref(), METHOD);
    // A string: nano-units may need more than the 53 bits that JSON readers keep.
    clear.ascii("nanos", event.nanos);
    if let Some(percent) = event.percent {
        clear.number("percent", percent.into());
    }
    if let Some(request) = event.request {
        clear.request("request_id", request);
    }
    record.about(DataSubject::Named(&event.root), |personal| {
        personal.text("root", &event.root, NAME);
        if seals && parts().any(|part| part.subject == event.root) {
            only(&event.root, personal);
        }
        personal.maybe("detail", event.detail.as_deref(), DETAIL);
    })?;
    if seals {
        // A tenant's members are persons of their own: each is forgotten alone.
        for (place, part) in parts().enumerate() {
            let known = parts().take(place).any(|one| one.subject == part.subject);
            if part.subject != event.root && !known {
                record.about(DataSubject::Named(&part.subject), |personal| {
                    only(&part.subject, personal);
                })?;
            }
        }
    }
    written_by(record, event.author.as_deref())
}

fn sanction(record: &mut Fields<'_>, event: &SanctionEvent) -> Result<(), VaultError> {
    let mut clear = record.clear();
    clear.text("action", event.action, NAME);
    clear.word("target", event.target.kind());
    let name: &str = match &event.target {
        SanctionTarget::Token(name) | SanctionTarget::Session(name) => name,
        SanctionTarget::Key(name) | SanctionTarget::Workload(name) => {
            clear.text("name", name, SPIFFE);
            name
        }
        SanctionTarget::Subject {
            subject, before, ..
        } => {
            clear.time("before", Some(*before));
            subject
        }
        _ => "",
    };
    clear.time("expires", event.expires);
    let (personal_name, issuer) = match &event.target {
        SanctionTarget::Key(_) | SanctionTarget::Workload(_) => (None, None),
        SanctionTarget::Subject { issuer, .. } => (Some(name), issuer.as_deref()),
        _ => (Some(name), None),
    };
    let whom = DataSubject::Principal {
        issuer,
        subject: name,
    };
    record.about(whom, |personal| {
        personal.maybe("name", personal_name, SPIFFE);
        personal.maybe("issuer", issuer, NAME);
        personal.text("reason", &event.reason, DETAIL);
    })?;
    written_by(record, Some(&event.author))
}

fn config(record: &mut Fields<'_>, event: &ConfigEvent) {
    let mut clear = record.clear();
    clear.text("part", event.part, NAME);
    clear.text("action", event.action, NAME);
    clear.text("version", &event.version, NAME);
    clear.maybe("detail", event.detail.as_deref(), DETAIL);
}

fn alert(record: &mut Fields<'_>, event: &AlertEvent) -> Result<(), VaultError> {
    let mut clear = record.clear();
    clear.text("detector", event.detector, NAME);
    clear.number("score", event.score.into());
    record.about(DataSubject::Named(&event.subject), |personal| {
        personal.text("subject", &event.subject, NAME);
        personal.text("evidence", &event.evidence, DETAIL);
    })
}

/// Who did it, apart from whom it was done to: the one may be forgotten and the other not.
fn written_by(record: &mut Fields<'_>, author: Option<&str>) -> Result<(), VaultError> {
    match author {
        None => Ok(()),
        Some(name) => record.about(DataSubject::Named(name), |personal| {
            personal.text("author", name, NAME);
        }),
    }
}

fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
