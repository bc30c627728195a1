//! One rule of a policy: `from`, `to` and `when`, as clauses.

use std::sync::Arc;

use http::HeaderName;

use super::{
    IstioOptions, MAX_RULES,
    fields::{Fields, Problems, Word},
    value,
    yaml::Node,
};
use crate::policy::model::{Atom, Clause, Effect, Networks};

/// What values mean depends on where they stand.
pub(super) struct Setting<'a> {
    pub options: &'a IstioOptions,
    /// The policy's.
    pub namespace: &'a str,
    pub effect: Effect,
}

/// What one rule takes at most once each `from` stands with each `to`.
const MAX_ATOMS: usize = 200_000;

/// The alternatives of a rule: one of them has to hold, and each is a conjunction.
pub(super) fn read(node: Node, setting: &Setting<'_>, problems: &mut Problems) -> Vec<Vec<Clause>> {
    let at = node.at;
    let Some(mut fields) = Fields::of("rules", node, problems) else {
        return Vec::new();
    };
    let mut when = Vec::new();
    for condition in fields.list("when", problems).unwrap_or_default() {
        if let Some(condition) = Fields::of("when", condition, problems) {
            when.extend(read_condition(condition, setting, problems));
        }
    }
    let from = alternatives(
        &mut fields,
        ("from", "source"),
        problems,
        |source, problems| read_source(source, setting, problems),
    );
    let to = alternatives(
        &mut fields,
        ("to", "operation"),
        problems,
        |operation, problems| read_operation(operation, setting, problems),
    );
    fields.finish(&["from", "to", "when"], problems);
    let atoms =
        |clauses: &[Clause]| -> usize { clauses.iter().map(|clause| clause.any.len() + 1).sum() };
    let each = |some: &[Vec<Clause>]| some.iter().map(|clauses| atoms(clauses)).sum::<usize>();
    let pairs = from.len().saturating_mul(to.len());
    let size = each(&from)
        .saturating_mul(to.len())
        .saturating_add(each(&to).saturating_mul(from.len()))
        .saturating_add(pairs.saturating_mul(1 + atoms(&when)));
    if pairs > MAX_RULES || size > MAX_ATOMS {
        problems.add(
            at,
            "each of `from` with each of `to` is too much for one rule",
        );
        return Vec::new();
    }
    let mut all = Vec::with_capacity(from.len() * to.len());
    for from in &from {
        for to in &to {
            all.push([&to[..], &from[..], &when[..]].concat());
        }
    }
    all
}

/// The members of `from` or `to`; one that says nothing where there is none.
fn alternatives(
    fields: &mut Fields,
    (key, inner): (&str, &str),
    problems: &mut Problems,
    mut read: impl FnMut(Fields, &mut Problems) -> Vec<Clause>,
) -> Vec<Vec<Clause>> {
    let Some(items) = fields.list(key, problems) else {
        return vec![Vec::new()];
    };
    let mut found = Vec::new();
    for item in items {
        let Some(mut item) = Fields::of(key, item, problems) else {
            continue;
        };
        let at = item.at();
        match item.take(inner) {
            Some(entry) => {
                if let Some(fields) = Fields::of(inner, entry.value, problems) {
                    if fields.is_empty() {
                        problems.add(fields.at(), format!("`{inner}` says nothing"));
                    }
                    found.push(read(fields, problems));
                }
            }
            None => problems.add(at, format!("`{key}` has to have `{inner}`")),
        }
        item.finish(&[inner], problems);
    }
    found
}

fn read_source(mut fields: Fields, setting: &Setting<'_>, problems: &mut Problems) -> Vec<Clause> {
    let options = setting.options;
    let named = ["principals", "notPrincipals", "namespaces", "notNamespaces"];
    if fields.has_any(&named) && fields.has_any(&["serviceAccounts", "notServiceAccounts"]) {
        let message = "`serviceAccounts` stand alone, without `principals` or `namespaces`";
        problems.add(fields.at(), message);
    }
    let mut clauses = Clauses::new(setting, problems);
    clauses.read(&mut fields, "principals", "notPrincipals", |text| {
        value::principal(text, options)
    });
    clauses.read(
        &mut fields,
        "requestPrincipals",
        "notRequestPrincipals",
        |text| value::request_principal(text).map(one),
    );
    clauses.read(&mut fields, "namespaces", "notNamespaces", |text| {
        value::namespace(text).map(one)
    });
    clauses.read(
        &mut fields,
        "serviceAccounts",
        "notServiceAccounts",
        |text| value::service_account(text, setting.namespace).map(one),
    );
    clauses.read(&mut fields, "trustDomains", "notTrustDomains", |text| {
        value::trust_domain(text, options)
    });
    clauses.read_networks(&mut fields, "ipBlocks", "notIpBlocks", CONNECTION);
    clauses.read_networks(&mut fields, "remoteIpBlocks", "notRemoteIpBlocks", CLIENT);
    let Clauses {
        problems, clauses, ..
    } = clauses;
    fields.finish(&SOURCE, problems);
    clauses
}

const SOURCE: [&str; 7] = [
    "principals",
    "requestPrincipals",
    "namespaces",
    "serviceAccounts",
    "trustDomains",
    "ipBlocks",
    "remoteIpBlocks (and each with `not`)",
];

fn read_operation(
    mut fields: Fields,
    setting: &Setting<'_>,
    problems: &mut Problems,
) -> Vec<Clause> {
    let options = setting.options;
    let mut clauses = Clauses::new(setting, problems);
    let denies = setting.effect == Effect::Deny;
    for (key, negated) in [("hosts", false), ("notHosts", true)] {
        let words = fields.texts(key, clauses.problems);
        clauses.push(words, negated, |text| value::hosts(text, denies != negated));
    }
    for (key, negated) in [("methods", false), ("notMethods", true)] {
        let words = fields.texts(key, clauses.problems);
        clauses.push(words, negated, |text| {
            value::methods(text, denies != negated)
        });
    }
    for (key, negated) in [("paths", false), ("notPaths", true)] {
        // Where a match denies, a template that matches more is the safe side.
        let narrow = denies == negated;
        let words = fields.texts(key, clauses.problems);
        clauses.push(words, negated, |text| {
            value::path(text, options.paths, narrow).map(one)
        });
    }
    clauses.read(&mut fields, "ports", "notPorts", |text| {
        port(text, "ports", options).map(one)
    });
    let Clauses {
        problems, clauses, ..
    } = clauses;
    fields.finish(
        &["hosts", "methods", "paths", "ports (and each with `not`)"],
        problems,
    );
    clauses
}

fn read_condition(
    mut fields: Fields,
    setting: &Setting<'_>,
    problems: &mut Problems,
) -> Vec<Clause> {
    let at = fields.at();
    let Some(key) = fields.text("key", problems) else {
        problems.add(at, "`when` has to have a `key`");
        return Vec::new();
    };
    let options = setting.options;
    let mut clauses = Clauses::new(setting, problems);
    let mut each = |read: &dyn Fn(&str) -> Result<Vec<Atom>, String>| {
        clauses.read(&mut fields, "values", "notValues", read);
    };
    match Key::of(&key.text) {
        Ok(Key::Header(name)) => each(&|text| value::header(&name, text).map(one)),
        Ok(Key::Claim(path)) => each(&|text| value::claim(&path, text).map(one)),
        Ok(Key::RequestPrincipal) => each(&|text| value::request_principal(text).map(one)),
        Ok(Key::Principal) => each(&|text| value::principal(text, options)),
        Ok(Key::Namespace) => each(&|text| value::namespace(text).map(one)),
        Ok(Key::ServiceAccount) => {
            each(&|text| value::service_account(text, setting.namespace).map(one));
        }
        Ok(Key::DestinationPort) => {
            each(&|text| port(text, "destination.port", options).map(one));
        }
        Ok(Key::DestinationAddress) => each(&|text| {
            let network = value::network(text)?;
            let own = options.address.ok_or(
                "`destination.ip` is not known here: say at which address the workload listens",
            )?;
            let holds = Networks::new(vec![network]).have(own);
            Ok(one(Atom::Always(holds)))
        }),
        Ok(Key::Connection) => {
            clauses.read_networks(&mut fields, "values", "notValues", CONNECTION);
        }
        Ok(Key::Client) => {
            clauses.read_networks(&mut fields, "values", "notValues", CLIENT);
        }
        Err(message) => {
            clauses.problems.add(key.at, message);
            return Vec::new();
        }
    }
    let Clauses {
        problems,
        clauses,
        any,
        ..
    } = clauses;
    if !any {
        problems.add(at, "a condition needs `values` or `notValues`");
    }
    fields.finish(&["key", "values", "notValues"], problems);
    clauses
}

fn one(atom: Atom) -> Vec<Atom> {
    vec![atom]
}

fn port(text: &str, key: &str, options: &IstioOptions) -> Result<Atom, String> {
    let port = value::port(text)?;
    let own = options
        .port
        .ok_or_else(|| format!("`{key}` cannot be read: say at which port the workload listens"))?;
    Ok(Atom::Always(port == own))
}

/// The other end of the connection, and that it is not known.
const CONNECTION: (fn(Networks) -> Atom, Atom) = (Atom::Connection, Atom::Unconnected);

/// The client, and that it is not known.
const CLIENT: (fn(Networks) -> Atom, Atom) = (Atom::Client, Atom::Nowhere);

/// Clauses in the making.
struct Clauses<'a> {
    effect: Effect,
    problems: &'a mut Problems,
    clauses: Vec<Clause>,
    /// Whether anything was said.
    any: bool,
}

impl<'a> Clauses<'a> {
    fn new(setting: &Setting<'_>, problems: &'a mut Problems) -> Self {
        Self {
            effect: setting.effect,
            problems,
            clauses: Vec::new(),
            any: false,
        }
    }

    /// The lists `positive` and `negative`: one of the former, and none of the latter.
    fn read(
        &mut self,
        fields: &mut Fields,
        positive: &str,
        negative: &str,
        read: impl Fn(&str) -> Result<Vec<Atom>, String>,
    ) {
        for (key, negated) in [(positive, false), (negative, true)] {
            let words = fields.texts(key, self.problems);
            self.push(words, negated, &read);
        }
    }

    fn push(
        &mut self,
        words: Vec<Word>,
        negated: bool,
        read: impl Fn(&str) -> Result<Vec<Atom>, String>,
    ) {
        if words.is_empty() {
            return;
        }
        self.any = true;
        let mut any = Vec::new();
        for word in words {
            match read(&word.text) {
                Ok(atoms) => any.extend(atoms),
                Err(message) => self.problems.add(word.at, message),
            }
        }
        self.clauses.push(Clause { negated, any });
    }

    /// As [`read`](Self::read), of addresses: a list of them is one atom.
    fn read_networks(
        &mut self,
        fields: &mut Fields,
        positive: &str,
        negative: &str,
        (atom, unknown): (fn(Networks) -> Atom, Atom),
    ) {
        for (key, negated) in [(positive, false), (negative, true)] {
            let words = fields.texts(key, self.problems);
            if words.is_empty() {
                continue;
            }
            self.any = true;
            let mut networks = Vec::new();
            for Word { text, at } in words {
                match value::network(&text) {
                    Ok(network) => networks.push(network),
                    Err(message) => self.problems.add(at, message),
                }
            }
            // Envoy knows all addresses. One that is not known here may be any: it is among those that are
            // denied, and not among those that are not, and it is none of those that are allowed, nor
            // outside of those that are excluded.
            let listed = atom(Networks::new(networks));
            self.clauses.push(match (negated, self.effect) {
                (false, Effect::Deny) => Clause::any([listed, unknown.clone()]),
                (false, Effect::Allow) => Clause::any([listed]),
                (true, Effect::Deny) => Clause::none([listed]),
                (true, Effect::Allow) => Clause::none([listed, unknown.clone()]),
            });
        }
    }
}

/// What a condition asks for.
enum Key {
    Header(HeaderName),
    Claim(Vec<Arc<str>>),
    RequestPrincipal,
    Principal,
    Namespace,
    ServiceAccount,
    Connection,
    Client,
    DestinationPort,
    DestinationAddress,
}

impl Key {
    fn of(key: &str) -> Result<Self, String> {
        if let Some(name) = key.strip_prefix("request.headers") {
            return header(name).ok_or_else(|| {
                format!(
                    "`{key}`: a header is `request.headers[NAME]`, and none of `:method` or `host`"
                )
            });
        }
        if let Some(path) = key.strip_prefix("request.auth.claims") {
            return brackets(path)
                .map(Self::Claim)
                .ok_or_else(|| format!("`{key}`: a claim is `request.auth.claims[NAME][MEMBER]`"));
        }
        Ok(match key {
            "request.auth.principal" => Self::RequestPrincipal,
            "request.auth.audiences" => Self::Claim(vec!["aud".into()]),
            "request.auth.presenter" => Self::Claim(vec!["azp".into()]),
            "source.principal" => Self::Principal,
            "source.namespace" => Self::Namespace,
            "source.serviceAccount" => Self::ServiceAccount,
            "source.ip" => Self::Connection,
            "remote.ip" => Self::Client,
            "destination.port" => Self::DestinationPort,
            "destination.ip" => Self::DestinationAddress,
            "connection.sni" => {
                return Err("`connection.sni` is not known here: use `hosts`".into());
            }
            _ if key.starts_with("experimental.") => {
                return Err(format!(
                    "`{key}` is experimental and asks the proxy; it is not read"
                ));
            }
            _ => return Err(format!("`{key}` is not a key that can be asked for")),
        })
    }
}

fn header(name: &str) -> Option<Key> {
    let name = name.strip_prefix('[')?.strip_suffix(']')?;
    let name = HeaderName::try_from(name).ok()?;
    // Envoy has it as `:authority`, and not among the headers.
    (name != http::header::HOST).then_some(Key::Header(name))
}

/// `[a][b]`
fn brackets(text: &str) -> Option<Vec<Arc<str>>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let plain = |name: &str| !name.is_empty() && !name.contains(['[', ']']);
    inner
        .split("][")
        .map(|name| plain(name).then(|| Arc::from(name)))
        .collect()
}
