//! What conditions read of one request, as Cedar's values.

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy::{Context, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use jiff::tz::TimeZone;

use super::{
    json::{Fields, Member, Shape},
    reads::Reads,
    time::{Wall, written},
    vocabulary::{Fact, VOCABULARY},
};
use crate::{
    authorize::{Access, ActiveGrant, AttributeValue},
    decision::{Code, Denial},
    identity::{AuthMethod, PeerIdentity, Principal, PrincipalKind},
    policy::facts::Facts,
};

type Expression = RestrictedExpression;
/// Puts what is read into a record; `false` where there is none.
type Fill<S> = fn(&S, &Reads, &mut Record) -> Result<bool, Denial>;

/// Names in a record, in no order.
#[derive(Default)]
pub(super) struct Record(Vec<(String, Expression)>);

impl Record {
    pub(super) fn put(&mut self, name: &str, value: Expression) {
        self.0.push((name.to_owned(), value));
    }

    fn put_some(&mut self, name: &str, value: Option<Expression>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    pub(super) fn finish(self) -> Result<Expression, Denial> {
        Expression::new_record(self.0).map_err(|_| unreadable("a name stands there twice"))
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
        let records: [(&str, Fill<Self>); 5] = [
            ("principal", Self::principal),
            ("peer", Self::peer),
            ("request", Self::request),
            ("client", Self::client),
            ("time", Self::time),
        ];
        for (name, fill) in records {
            let mut record = Record::default();
            let read = VOCABULARY
                .iter()
                .any(|entry| entry.record == name && reads.has(entry.fact));
            if read && fill(self, reads, &mut record)? {
                context.put(name, record.finish()?);
            }
        }
        if reads.has(Fact::MfaAge) {
            context.put_some("mfa_age", self.mfa_age().map(Expression::new_long));
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
        Context::from_pairs(context.0).map_err(|_| unreadable("it cannot be said in Cedar"))
    }

    fn principal(&self, reads: &Reads, record: &mut Record) -> Result<bool, Denial> {
        let who = self.facts.named();
        let none = || texts([]);
        if reads.has(Fact::Roles) {
            record.put("roles", who.map_or_else(none, |who| texts(who.roles())));
        }
        if reads.has(Fact::Scopes) {
            record.put("scopes", who.map_or_else(none, |who| texts(who.scopes())));
        }
        if reads.has(Fact::Methods) {
            let methods = |who: &Principal| texts(who.methods().map(AuthMethod::as_str));
            record.put("methods", who.map_or_else(none, methods));
        }
        let Some(who) = who else { return Ok(true) };
        for (fact, name, found) in [
            (Fact::Subject, "subject", Some(who.subject())),
            (Fact::Issuer, "issuer", who.issuer()),
            (Fact::Tenant, "tenant", who.tenant()),
            (Fact::Session, "session", who.session()),
            (Fact::Acr, "acr", who.context_class()),
        ] {
            if reads.has(fact) {
                record.put_some(name, found.map(text));
            }
        }
        Ok(true)
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
                record.put_some(name, found.map(text));
            }
        }
        if reads.has(Fact::DnsNames) {
            record.put("dns_names", texts(peer.dns_names()));
        }
        if reads.has(Fact::Forwarded) {
            record.put("forwarded", Expression::new_bool(is_forwarded(peer)));
        }
        Ok(true)
    }

    fn request(&self, reads: &Reads, record: &mut Record) -> Result<bool, Denial> {
        if reads.has(Fact::Method) {
            record.put("method", text(self.facts.method.as_str()));
        }
        if reads.has(Fact::Path) {
            record.put("path", text(self.facts.path));
        }
        if reads.has(Fact::Host) {
            let host = self.facts.host.map(str::to_ascii_lowercase);
            if host.is_none() && self.names_hosts() {
                let why = "a condition asks for the host, and the request does not say one";
                return Err(Denial::new(Code::RequestMalformed).detail(why));
            }
            record.put_some("host", host.map(Expression::new_string));
        }
        if reads.has(Fact::Parameters) {
            let mut parameters = Record::default();
            for (name, value) in &self.parameters {
                parameters.put(name, text(value));
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
        if !reads.has_any(&[
            Fact::Hour,
            Fact::Minute,
            Fact::MinuteOfDay,
            Fact::Weekday,
            Fact::Date,
        ]) {
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
                record.put(name, Expression::new_long(number));
            }
        }
        if reads.has(Fact::Weekday) {
            record.put("weekday", text(wall.weekday()));
        }
        if reads.has(Fact::Date) {
            record.put("date", Expression::new_string(wall.date()));
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

/// The entity types of principals.
#[derive(Debug)]
pub(super) struct Types {
    user: EntityTypeName,
    service: EntityTypeName,
    anonymous: EntityTypeName,
}

impl Types {
    /// # Errors
    ///
    /// Never: the names are names.
    pub(super) fn new() -> Result<Self, String> {
        let of = |name: &str| {
            name.parse::<EntityTypeName>()
                .map_err(|error| error.to_string())
        };
        Ok(Self {
            user: of("User")?,
            service: of("Service")?,
            anonymous: of("Anonymous")?,
        })
    }

    /// `User::"ISSUER#SUBJECT"`. A `#` in the issuer would make two callers one.
    pub(super) fn entity(&self, facts: &Facts<'_>, reads: &Reads) -> Result<EntityUid, Denial> {
        let kind = match facts.kind() {
            PrincipalKind::User => &self.user,
            PrincipalKind::Service => &self.service,
            PrincipalKind::Anonymous => &self.anonymous,
        };
        let id = match facts.named() {
            Some(who) if reads.identity => {
                let issuer = who.issuer().unwrap_or_default();
                if issuer.contains('#') {
                    return Err(unreadable("the issuer has a `#`"));
                }
                EntityId::new([issuer, "#", who.subject()].concat())
            }
            _ => EntityId::new("anonymous"),
        };
        Ok(EntityUid::from_type_name_and_id(kind.clone(), id))
    }
}

fn text(text: &str) -> Expression {
    Expression::new_string(text.to_owned())
}

fn texts<'t>(all: impl IntoIterator<Item = &'t str>) -> Expression {
    Expression::new_set(all.into_iter().map(text))
}

fn body(shape: &Shape, fields: &Fields) -> Result<Expression, Denial> {
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

fn value(value: &AttributeValue) -> Result<Expression, Denial> {
    Ok(match value {
        AttributeValue::Integer(number) => Expression::new_long(*number),
        AttributeValue::Boolean(flag) => Expression::new_bool(*flag),
        AttributeValue::Text(found) => text(found),
        AttributeValue::Texts(found) => texts(found.iter().map(|text| &**text)),
        AttributeValue::Time(at) => Expression::new_datetime(
            written(*at).ok_or_else(|| unreadable("no calendar has the time"))?,
        ),
        AttributeValue::Address(address) => Expression::new_ip(address.to_canonical().to_string()),
    })
}

fn unreadable(why: &'static str) -> Denial {
    Denial::new(Code::PolicyDenied).detail(format!("of the facts for conditions: {why}"))
}
