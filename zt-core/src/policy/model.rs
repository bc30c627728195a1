//! What a policy says, whichever language it was written in: the front ends make a [`Document`],
//! and everything behind them reads nothing else.
//!
//! A rule is a conjunction of [clauses](Clause), and a clause a disjunction of [atoms](Atom) that
//! may be negated. Everything that is not said in clauses (a grant, a condition) narrows further.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use http::Method;
use ipnet::IpNet;

use super::facts::Facts;
pub(crate) use super::{
    istio_atom::IstioAtom,
    istio_path::{IstioPaths, IstioTemplate},
};
use crate::identity::PrincipalKind;

/// A whole policy, before it is compiled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    /// What permits and records call it.
    pub name: Arc<str>,
    /// Its version, where the file says one; the digest of its texts otherwise.
    pub version: Arc<str>,
    /// In the order of the file. Denying ones come first in a decision, not here.
    pub rules: Vec<Rule>,
    /// The requests that conditions and database roles name.
    pub operations: Vec<Operation>,
    /// Facts that are fetched, by the name of their source.
    pub attributes: Vec<AttributeGroup>,
    /// Whole Cedar policies that stand beside the rules.
    pub cedar: Vec<SourceText>,
    /// In which zone conditions read the time of day (an IANA name); UTC where nothing is said.
    pub time_zone: Option<Arc<str>>,
    /// Where that is said.
    #[cfg_attr(
        not(feature = "cedar"),
        expect(dead_code, reason = "conditions read clocks")
    )]
    pub time_zone_origin: Origin,
    /// What services may do in the database.
    pub database: Option<super::database::Database>,
    /// How paths are read.
    pub paths: PathReading,
    /// What happens where no rule matches.
    pub otherwise: Otherwise,
    /// What whoever loads it should know.
    pub warnings: Vec<super::PolicyWarning>,
}

/// A text and the name of the file that it came from.
#[derive(Debug, Clone)]
pub(crate) struct SourceText {
    pub file: Arc<str>,
    pub text: Arc<str>,
}

/// Whether a letter only turns those behind it around, so that a text is shown otherwise than it is read
/// (Unicode Standard Annex #9, section 2).
pub(crate) const fn turns_around(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Where something stands, for errors, reviews and explanations. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

/// How paths are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PathReading {
    /// Raw; one that is not canonical is refused.
    #[default]
    Canonical,
    /// [Normalised](IstioPaths::normalise) first; refused where that says nothing.
    #[cfg_attr(
        not(any(feature = "istio", test)),
        expect(dead_code, reason = "only Istio's policies say it")
    )]
    Istio(IstioPaths),
}

/// What happens where no rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Otherwise {
    /// It is denied.
    #[default]
    Deny,
    /// It is allowed: only where there is no allowing rule at all, and only by explicit option.
    Allow,
}

/// What a rule does where it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// One rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// Stands in permits, denials and records. Several rules have the same one where the source
    /// says in one rule what takes several here.
    pub id: Arc<str>,
    pub effect: Effect,
    /// It decides nothing; what it would change is logged.
    pub dry_run: bool,
    /// All have to hold. None at all matches every request.
    pub clauses: Vec<Clause>,
    /// The scope of a grant that the caller has to hold now.
    pub grant: Option<Arc<str>>,
    /// A Cedar expression that has to be true.
    pub when: Option<Condition>,
    pub origin: Origin,
}

impl Rule {
    /// Whether it matches on its clauses alone.
    pub(crate) const fn is_unconditional(&self) -> bool {
        self.when.is_none() && self.grant.is_none()
    }
}

/// Some of these, or none of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Clause {
    /// Holds where no atom does. An absent fact makes an atom false, and so a negated clause true.
    pub negated: bool,
    /// One is enough. None at all never holds (and always does where it is negated).
    pub any: Vec<Atom>,
}

impl Clause {
    pub(crate) fn any(any: impl IntoIterator<Item = Atom>) -> Self {
        Self {
            negated: false,
            any: any.into_iter().collect(),
        }
    }

    pub(crate) fn none(any: impl IntoIterator<Item = Atom>) -> Self {
        Self {
            negated: true,
            ..Self::any(any)
        }
    }

    pub(crate) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.any.iter().any(|atom| atom.holds(facts)) != self.negated
    }

    /// Whether it holds for a rule of such an effect: paths that an allowing rule leaves out it leaves out
    /// in each spelling, since a reader that decodes takes them for the same.
    pub(crate) fn holds_for(&self, effect: Effect, facts: &Facts<'_>) -> bool {
        let in_usual = |path| {
            let usual = None;
            self.holds(&Facts {
                path,
                usual,
                ..*facts
            })
        };
        let leaves_out = effect == Effect::Allow && self.leaves_out_paths();
        self.holds(facts) && (!leaves_out || facts.usual.is_none_or(in_usual))
    }

    pub(crate) fn leaves_out_paths(&self) -> bool {
        self.negated && self.any.iter().any(|atom| matches!(atom, Atom::Path(_)))
    }
}

/// One thing that is asked of the caller or of the request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Atom {
    // Of the principal. An anonymous one has a kind and nothing else.
    /// What kind of caller it is; nobody at all is anonymous too.
    Kind(PrincipalKind),
    Issuer(Text),
    Subject(Text),
    Tenant(Text),
    /// It has such a role.
    Role(Text),
    /// It has such a scope.
    Scope(Text),
    /// The claim at the path is such a text, or a list that has one. Numbers and booleans are
    /// compared as they are written. Whatever else is there is [`Text::Present`] only.
    Claim(Vec<Arc<str>>, Text),

    // Of the peer.
    /// Its SPIFFE ID.
    Workload(Text),
    /// The trust domain of its SPIFFE ID.
    TrustDomain(Text),

    // Of the request.
    /// The client: the peer's address, or what a trusted proxy forwarded.
    Client(Networks),
    /// Nobody knows where the client is.
    Nowhere,
    /// The other end of the connection.
    #[cfg_attr(
        not(any(feature = "istio", test)),
        expect(dead_code, reason = "only Istio's policies say it")
    )]
    Connection(Networks),
    /// Nobody knows where the other end of the connection is.
    #[cfg_attr(
        not(any(feature = "istio", test)),
        expect(dead_code, reason = "only Istio's policies say it")
    )]
    Unconnected,
    Method(Text),
    /// The host that the request is for, without its port, in lower case.
    Host(Text),
    Path(PathPattern),
    /// What only Istio asks; its side is its own.
    #[cfg_attr(
        not(any(feature = "istio", test)),
        expect(dead_code, reason = "only Istio's policies say it")
    )]
    Istio(IstioAtom),
    /// Decided when the policy was loaded.
    Always(bool),
}

/// Which facts an atom reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    Principal,
    Peer,
    Request,
}

impl Atom {
    pub(crate) const fn side(&self) -> Side {
        match self {
            Self::Kind(_)
            | Self::Issuer(_)
            | Self::Subject(_)
            | Self::Tenant(_)
            | Self::Role(_)
            | Self::Scope(_)
            | Self::Claim(..) => Side::Principal,
            Self::Workload(_) | Self::TrustDomain(_) => Side::Peer,
            Self::Client(_)
            | Self::Nowhere
            | Self::Connection(_)
            | Self::Unconnected
            | Self::Method(_)
            | Self::Host(_)
            | Self::Path(_)
            | Self::Always(_) => Side::Request,
            Self::Istio(atom) => atom.side(),
        }
    }

    pub(crate) fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Kind(kind) => facts.kind() == *kind,
            Self::Issuer(text) => text.is_some(facts.named().and_then(|who| who.issuer())),
            Self::Subject(text) => text.is_some(facts.named().map(|who| who.subject())),
            Self::Tenant(text) => text.is_some(facts.named().and_then(|who| who.tenant())),
            Self::Role(text) => facts
                .named()
                .is_some_and(|who| who.roles().any(|role| text.is(role))),
            Self::Scope(text) => facts
                .named()
                .is_some_and(|who| who.scopes().any(|scope| text.is(scope))),
            Self::Claim(path, text) => facts.claim(path, text),
            Self::Workload(text) => text.is_some(facts.workload()),
            Self::TrustDomain(text) => text.is_some(facts.trust_domain()),
            Self::Client(networks) => facts.client.is_some_and(|address| networks.have(address)),
            Self::Nowhere => facts.client.is_none(),
            Self::Connection(networks) => facts
                .connection
                .is_some_and(|address| networks.have(address)),
            Self::Unconnected => facts.connection.is_none(),
            Self::Method(text) => text.is(facts.method.as_str()),
            Self::Host(text) => text.is_some_ignoring_case(facts.host),
            Self::Path(pattern) => pattern.matches(facts.path),
            Self::Istio(atom) => atom.holds(facts),
            Self::Always(holds) => *holds,
        }
    }
}

/// What a text has to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Text {
    /// There, and not empty.
    Present,
    Exact(Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
}

impl Text {
    pub(crate) fn exact(text: impl Into<Arc<str>>) -> Self {
        Self::Exact(text.into())
    }

    pub(crate) fn is(&self, value: &str) -> bool {
        match self {
            Self::Present => !value.is_empty(),
            Self::Exact(text) => value == &**text,
            Self::Prefix(text) => value.starts_with(&**text),
            Self::Suffix(text) => value.ends_with(&**text),
        }
    }

    fn is_some(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| self.is(value))
    }

    pub(crate) fn is_some_ignoring_case(&self, value: Option<&str>) -> bool {
        let Some(value) = value else { return false };
        let part = |range: Option<&str>, text: &str| {
            range.is_some_and(|part| part.eq_ignore_ascii_case(text))
        };
        match self {
            Self::Present => !value.is_empty(),
            Self::Exact(text) => value.eq_ignore_ascii_case(text),
            Self::Prefix(text) => part(value.get(..text.len()), text),
            Self::Suffix(text) => part(
                value
                    .len()
                    .checked_sub(text.len())
                    .and_then(|from| value.get(from..)),
                text,
            ),
        }
    }
}

/// As policies write it: `text`, `text*`, `*text`, `*`.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("*"),
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
        }
    }
}

/// What a path has to be. It is compared raw, segment by segment, as routers do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PathPattern {
    /// `/orders/{id}/items`, `/files/{rest..}`.
    Template(PathTemplate),
    /// The whole path as a text: what Istio says with `*`. Compared one by one, so it costs by the
    /// number of rules.
    #[cfg_attr(
        not(any(feature = "istio", test)),
        expect(dead_code, reason = "only Istio's policies say it")
    )]
    Text(Text),
    /// Istio's `{*}` and `{**}` with literals between.
    #[cfg_attr(
        not(any(feature = "istio", test)),
        expect(dead_code, reason = "only Istio's policies say it")
    )]
    Istio(IstioTemplate),
}

impl PathPattern {
    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Template(template) => template.matches(path),
            Self::Text(text) => text.is(path),
            Self::Istio(template) => template.matches(path),
        }
    }
}

/// Segments between slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PathTemplate {
    pub segments: Vec<Segment>,
    /// `{name..}` at the end: whatever follows the last slash, slashes and nothing at all included.
    pub rest: Option<Arc<str>>,
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// To the letter. The last one may be empty: `/orders/` ends with a slash.
    Literal(Arc<str>),
    /// `{name}`: one segment, not empty.
    Parameter(Arc<str>),
}

impl PathTemplate {
    pub(crate) fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let mut left = Some(path);
        for segment in &self.segments {
            let Some(rest) = left else { return false };
            let (found, rest) = match rest.split_once('/') {
                Some((found, rest)) => (found, Some(rest)),
                None => (rest, None),
            };
            let is = match segment {
                Segment::Literal(text) => found == &**text,
                Segment::Parameter(_) => !found.is_empty(),
            };
            if !is {
                return false;
            }
            left = rest;
        }
        left.is_some() == self.rest.is_some()
    }
}

/// As it was written.
impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match &self.rest {
            Some(name) => write!(f, "/{{{name}..}}"),
            None => Ok(()),
        }
    }
}

/// Networks, merged and in order: looked up in the logarithm of their number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Networks {
    /// As they were written.
    pub written: Vec<IpNet>,
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    v6: Vec<(Ipv6Addr, Ipv6Addr)>,
}

impl Networks {
    pub(crate) fn new(written: Vec<IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in &written {
            match network {
                IpNet::V4(network) => v4.push((network.network(), network.broadcast())),
                IpNet::V6(network) => v6.push((network.network(), network.broadcast())),
            }
        }
        Self {
            written,
            v4: merged(v4),
            v6: merged(v6),
        }
    }

    /// An IPv4 address in IPv6 form is the IPv4 address.
    pub(crate) fn have(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => within(&self.v4, address),
            IpAddr::V6(address) => within(&self.v6, address),
        }
    }
}

/// Ranges in order; what lies in another one is left out.
fn merged<A: Ord + Copy>(mut ranges: Vec<(A, A)>) -> Vec<(A, A)> {
    ranges.sort_unstable();
    let mut merged: Vec<(A, A)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            // Networks lie in one another or apart.
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn within<A: Ord + Copy>(ranges: &[(A, A)], address: A) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after
        .checked_sub(1)
        .and_then(|at| ranges.get(at))
        .is_some_and(|(_, last)| address <= *last)
}

/// A named request: what conditions call an action.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub id: Arc<str>,
    /// None: every method.
    pub methods: Vec<Method>,
    /// None: every host.
    pub hosts: Vec<Text>,
    pub path: PathTemplate,
    /// What conditions may read of the body.
    pub body: Arc<BodyFields>,
    /// Actions that it is in.
    #[cfg_attr(
        not(any(feature = "cedar", test)),
        expect(dead_code, reason = "conditions read it")
    )]
    pub groups: Vec<Arc<str>>,
    #[cfg_attr(
        not(any(feature = "cedar", test)),
        expect(dead_code, reason = "conditions read it")
    )]
    pub origin: Origin,
}

/// A condition as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub text: Arc<str>,
    /// What it may read of the body: the operation's, or the rule's own.
    pub body: Arc<BodyFields>,
    pub origin: Origin,
}

/// What conditions may read of a body of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BodyFields {
    pub fields: Vec<BodyField>,
    /// The most bytes of a body that is looked at; `None` is the policy's default.
    pub max_bytes: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyField {
    /// Members from the outside in: `order.amount` is `["order", "amount"]`.
    pub path: Vec<Arc<str>>,
    pub kind: FieldKind,
    /// A body without it is refused unless it is optional.
    pub optional: bool,
}

/// What a declared field or a fetched attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FieldKind {
    /// A whole number that fits 64 bits with its sign; `1e3`, `1.0` and `"1"` are none.
    Integer,
    Boolean,
    Text,
    /// A list of texts; order and repetition say nothing.
    Texts,
    /// Seconds since 1970 in a fetched attribute, RFC 3339 in a body.
    Time,
    /// An address.
    Address,
}

/// Facts that one source gives.
#[derive(Debug, Clone)]
pub(crate) struct AttributeGroup {
    /// How conditions call it: `device` is `context.device`.
    pub name: Arc<str>,
    pub fields: Vec<AttributeField>,
    #[cfg_attr(
        not(any(feature = "cedar", test)),
        expect(dead_code, reason = "conditions read it")
    )]
    pub origin: Origin,
}

#[derive(Debug, Clone)]
pub(crate) struct AttributeField {
    pub name: Arc<str>,
    pub kind: FieldKind,
    #[cfg_attr(
        not(any(feature = "cedar", test)),
        expect(dead_code, reason = "conditions read it")
    )]
    pub optional: bool,
}
