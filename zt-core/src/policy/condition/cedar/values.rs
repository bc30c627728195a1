//! What conditions read of one request, as Cedar's values.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, OnceLock},
};

use cedar_policy::RestrictedExpression;
use cedar_policy_core::{
    ast::{Context, Eid, EntityType, EntityUID, EntityUIDEntry, Value},
    evaluator::RestrictedEvaluator,
    extensions::Extensions,
    pst::SmolStr,
};
use jiff::tz::TimeZone;

use super::{
    json::{Fields, Member, Shape},
    reads::Reads,
    time::{Wall, written},
    vocabulary::{Fact, facts_of, type_of},
};
use crate::{
    authorize::{Access, ActiveGrant, AttributeValue},
    decision::{Code, Denial},
    identity::{AuthMethod, Edition, PeerIdentity, Principal, PrincipalKind},
    policy::facts::Facts,
};

/// Puts what is read into a record; `false` where there is none.
type Fill<S> = fn(&S, &Reads, &mut Record) -> Result<bool, Denial>;

/// Names and what they stand for.
#[derive(Default)]
pub(super) struct Record {
    members: BTreeMap<SmolStr, Value>,
    has_one_twice: bool,
}

impl Record {
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        let before = self.members.insert(SmolStr::new(name), value.into());
        self.has_one_twice |= before.is_some();
    }

    fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn members(self) -> Result<Arc<BTreeMap<SmolStr, Value>>, Denial> {
        match self.has_one_twice {
            false => Ok(Arc::new(self.members)),
            true => Err(unreadable("a name stands there twice")),
        }
    }

    pub(super) fn finish(self) -> Result<Value, Denial> {
        Ok(Value::record_arc(self.members()?, None))
    }
}

/// Everything that a context is made of.
pub(super) struct Sources<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) access: &'a Access<'a>,
    pub(super) zone: &'a TimeZone,
    pub(super) parameters: Vec<(&'a Arc<str>, &'a str)>,
    pub(super) grants: &'a [ActiveGrant],
    pub(super) body: Option<(&'a Shape, &'a Fields)>,
    /// Groups that were fetched, by name.
    pub(super) groups: Vec<(&'a str, &'a BTreeMap<Arc<str>, AttributeValue>)>,
}

impl Sources<'_> {
    /// Of all that could be in a context, what is read.
    pub(super) fn context(&self, reads: &Reads) -> Result<Context, Denial> {
        let mut context = Record::default();
        if reads.has_any(const { facts_of("principal") }) {
            self.principal(reads, &mut context);
        }
        let records: [(&str, u64, Fill<Self>); 4] = const {
            [
                ("peer", facts_of("peer"), Self::peer),
                ("request", facts_of("request"), Self::request),
                ("client", facts_of("client"), Self::client),
                ("time", facts_of("time"), Self::time),
            ]
        };
        for (name, facts, fill) in records {
            if !reads.has_any(facts) {
                continue;
            }
            let mut record = Record::default();
            if fill(self, reads, &mut record)? {
                context.put(name, record.finish()?);
            }
        }
        if reads.has(Fact::MfaAge) {
            context.put_some("mfa_age", self.mfa_age());
        }
        if reads.has(Fact::Grants) {
            let scopes = self.grants.iter().map(|grant| &*grant.scope);
            context.put("grants", texts(scopes));
        }
        if let Some((shape, fields)) = self.body.filter(|_| reads.has(Fact::Body)) {
            context.put("body", body(shape, fields)?);
        }
        for (name, attributes) in &self.groups {
            let mut record = Record::default();
            for (name, attribute) in *attributes {
                record.put(name, value(attribute)?);
            }
            context.put(name, record.finish()?);
        }
        Ok(Context::Value(context.members()?))
    }

    /// By the names that expressions [are given](super::reads).
    fn principal(&self, reads: &Reads, context: &mut Record) {
        let who = self.facts.named();
        if reads.has(Fact::Roles) {
            let roles = who.map_or_else(nothing, Kept::roles);
            context.put("principal.roles", roles);
        }
        if reads.has(Fact::Scopes) {
            let scopes = who.map_or_else(nothing, Kept::scopes);
            context.put("principal.scopes", scopes);
        }
        if reads.has(Fact::Methods) {
            // Of each request: they are no part of what is kept with a principal.
            let methods = |who: &Principal| texts(who.methods().map(AuthMethod::as_str));
            context.put("principal.methods", who.map_or_else(nothing, methods));
        }
        let Some(who) = who else { return };
        for (fact, name, found) in [
            (Fact::Subject, "principal.subject", Some(who.subject())),
            (Fact::Issuer, "principal.issuer", who.issuer()),
            (Fact::Tenant, "principal.tenant", who.tenant()),
            (Fact::Session, "principal.session", who.session()),
            (Fact::Acr, "principal.acr", who.context_class()),
        ] {
            if reads.has(fact) {
                context.put_some(name, found);
            }
        }
    }

    fn peer(&self, reads: &Reads, record: &mut Record) -> Result<bool, Denial> {
        let Some(peer) = self.facts.peer else {
            return Ok(false);
        };
        let account = self.facts.account();
        for (fact, name, found) in [
            (Fact::SpiffeId, "spiffe_id", self.facts.workload()),
            (Fact::TrustDomain, "trust_domain", self.facts.trust_domain()),
            (
                Fact::Namespace,
                "namespace",
                account.map(|(namespace, _)| namespace),
            ),
            (
                Fact::ServiceAccount,
                "service_account",
                account.map(|(_, account)| account),
            ),
        ] {
            if reads.has(fact) {
                record.put_some(name, found);
            }
        }
        if reads.has(Fact::DnsNames) {
            record.put("dns_names", texts(peer.dns_names()));
        }
        if reads.has(Fact::Forwarded) {
            record.put("forwarded", is_forwarded(peer));
        }
        Ok(true)
    }

    fn request(&self, reads: &Reads, record: &mut Record) -> Result<bool, Denial> {
        if reads.has(Fact::Method) {
            record.put("method", self.facts.method.as_str());
        }
        if reads.has(Fact::Path) {
            record.put("path", self.facts.path);
        }
        if reads.has(Fact::Host) {
            let host = self.facts.host.map(str::to_ascii_lowercase);
            if host.is_none() && self.names_hosts() {
                let why = "a condition asks for the host, and the request does not say one";
                return Err(Denial::new(Code::RequestMalformed).detail(why));
            }
            record.put_some("host", host);
        }
        if reads.has(Fact::Parameters) {
            let mut parameters = Record::default();
            for (name, value) in &self.parameters {
                parameters.put(name, *value);
            }
            record.put("params", parameters.finish()?);
        }
        Ok(true)
    }

    /// A host that nobody can read, or two of them, must not pass for none.
    fn names_hosts(&self) -> bool {
        self.facts.headers.contains_key(http::header::HOST)
            || self.access.original_uri().authority().is_some()
    }

    fn client(&self, reads: &Reads, record: &mut Record) -> Result<bool, Denial> {
        if reads.has(Fact::Address) {
            let address = self.facts.client.map(AttributeValue::Address);
            record.put_some("address", address.as_ref().map(value).transpose()?);
        }
        Ok(true)
    }

    fn time(&self, reads: &Reads, record: &mut Record) -> Result<bool, Denial> {
        let now = self.access.now();
        if reads.has(Fact::Now) {
            record.put("now", value(&AttributeValue::Time(now))?);
        }
        if !reads.has_any(const { facts_of("time") & !Fact::Now.bit() }) {
            return Ok(true);
        }
        let wall =
            Wall::at(now, self.zone).ok_or_else(|| unreadable("no calendar has the time"))?;
        for (fact, name, number) in [
            (Fact::Hour, "hour", wall.hour()),
            (Fact::Minute, "minute", wall.minute()),
            (Fact::MinuteOfDay, "minute_of_day", wall.minute_of_day()),
        ] {
            if reads.has(fact) {
                record.put(name, number);
            }
        }
        if reads.has(Fact::Weekday) {
            record.put("weekday", wall.weekday());
        }
        if reads.has(Fact::Date) {
            record.put("date", wall.date());
        }
        Ok(true)
    }

    /// A proof that is dated later than now tells nothing.
    fn mfa_age(&self) -> Option<i64> {
        let at = self.facts.named()?.authenticated_at()?;
        let now = self.access.now();
        let age = (at <= now).then(|| now.since(at))?;
        i64::try_from(age.as_secs()).ok()
    }
}

fn is_forwarded(peer: &PeerIdentity) -> bool {
    peer.via().is_some() || peer.source() == crate::identity::PeerSource::Forwarded
}

/// What Cedar is told of a principal, made once: it follows from the principal's name and rights alone,
/// whatever policy reads it.
#[derive(Default)]
struct Kept {
    roles: OnceLock<Value>,
    scopes: OnceLock<Value>,
    entity: OnceLock<Result<EntityUIDEntry, HashInIssuer>>,
}

#[derive(Clone, Copy)]
struct HashInIssuer;

impl Kept {
    fn roles(who: &Principal) -> Value {
        Self::read(who, |kept, who| {
            kept.roles.get_or_init(|| texts(who.roles())).clone()
        })
    }

    fn scopes(who: &Principal) -> Value {
        Self::read(who, |kept, who| {
            kept.scopes.get_or_init(|| texts(who.scopes())).clone()
        })
    }

    fn read<R>(who: &Principal, read: impl FnOnce(&Self, &Principal) -> R) -> R {
        static EDITION: LazyLock<Edition> = LazyLock::new(Edition::new);
        who.memo()
            .read(&EDITION, Self::default, |kept| read(kept, who))
    }
}

fn nothing() -> Value {
    static NOTHING: LazyLock<Value> = LazyLock::new(|| texts([]));
    NOTHING.clone()
}

/// The entity types of principals.
#[derive(Debug)]
pub(super) struct Types {
    user: Type,
    service: Type,
    anonymous: Type,
}

#[derive(Debug)]
struct Type {
    kind: EntityType,
    /// Somebody of this type, where nobody asks who.
    somebody: EntityUIDEntry,
}

impl Type {
    fn new(kind: PrincipalKind) -> Result<Self, String> {
        let kind: EntityType = type_of(kind).parse().map_err(|error| format!("{error}"))?;
        Ok(Self {
            somebody: entry(kind.clone(), "anonymous"),
            kind,
        })
    }
}

impl Types {
    /// # Errors
    ///
    /// Never: the names are names.
    pub(super) fn new() -> Result<Self, String> {
        Ok(Self {
            user: Type::new(PrincipalKind::User)?,
            service: Type::new(PrincipalKind::Service)?,
            anonymous: Type::new(PrincipalKind::Anonymous)?,
        })
    }

    /// `User::"ISSUER#SUBJECT"`. A `#` in the issuer would make two callers one.
    pub(super) fn entity(
        &self,
        facts: &Facts<'_>,
        reads: &Reads,
    ) -> Result<EntityUIDEntry, Denial> {
        let Type { kind, somebody } = match facts.kind() {
            PrincipalKind::User => &self.user,
            PrincipalKind::Service => &self.service,
            PrincipalKind::Anonymous => &self.anonymous,
        };
        let Some(who) = facts.named().filter(|_| reads.identity) else {
            return Ok(somebody.clone());
        };
        let entity = Kept::read(who, |kept, who| {
            let entity = kept.entity.get_or_init(|| {
                let issuer = who.issuer().unwrap_or_default();
                match issuer.contains('#') {
                    false => Ok(entry(kind.clone(), &[issuer, "#", who.subject()].concat())),
                    true => Err(HashInIssuer),
                }
            });
            entity.clone()
        });
        entity.map_err(|HashInIssuer| unreadable("the issuer has a `#`"))
    }
}

fn entry(kind: EntityType, id: &str) -> EntityUIDEntry {
    EntityUIDEntry::known(EntityUID::from_components(kind, Eid::new(id), None), None)
}

fn texts<'t>(all: impl IntoIterator<Item = &'t str>) -> Value {
    Value::set(all.into_iter().map(Value::from), None)
}

fn body(shape: &Shape, fields: &Fields) -> Result<Value, Denial> {
    let mut record = Record::default();
    for (name, member) in &shape.members {
        match member {
            Member::Field(field) => {
                let found = fields.get(field.place).and_then(Option::as_ref);
                record.put_some(name, found.map(value).transpose()?);
            }
            Member::Object(inner) => {
                if !inner.is_optional() || inner.has_any(fields) {
                    record.put(name, body(inner, fields)?);
                }
            }
        }
    }
    record.finish()
}

fn value(value: &AttributeValue) -> Result<Value, Denial> {
    Ok(match value {
        AttributeValue::Integer(number) => (*number).into(),
        AttributeValue::Boolean(flag) => (*flag).into(),
        AttributeValue::Text(found) => (&**found).into(),
        AttributeValue::Texts(found) => texts(found.iter().map(|text| &**text)),
        AttributeValue::Time(at) => {
            let at = written(*at).ok_or_else(|| unreadable("no calendar has the time"))?;
            extension(&RestrictedExpression::new_datetime(at))?
        }
        AttributeValue::Address(address) => {
            let address = address.to_canonical().to_string();
            extension(&RestrictedExpression::new_ip(address))?
        }
    })
}

/// Moments and addresses: Cedar reads them from text.
fn extension(expression: &RestrictedExpression) -> Result<Value, Denial> {
    RestrictedEvaluator::new(Extensions::all_available())
        .interpret(expression.as_ref().as_borrowed())
        .map_err(|_| unreadable("it cannot be said in Cedar"))
}

fn unreadable(why: &'static str) -> Denial {
    Denial::new(Code::PolicyDenied).detail(format!("of the facts for conditions: {why}"))
}
