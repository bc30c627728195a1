//! Istio's AuthorizationPolicy as a strict second front end.
//!
//! # What it protects against
//!
//! A mesh whose rules hold only where the proxy stands. The same file, read here, holds in the
//! process itself, and can be tested without a cluster. What is read otherwise than the mesh reads
//! it would be worse than nothing; so what is not understood to the letter is refused by name.
//!
//! # A request passes when
//!
//! 1. its path is canonical (`request-malformed` otherwise), or is made so where
//!    [`insecure_normalise_paths`](IstioOptions::insecure_normalise_paths) says so;
//! 2. no rule of a DENY policy for this workload matches (`policy-denied`);
//! 3. a rule of an ALLOW policy for this workload matches (`policy-denied` otherwise).
//!
//! Where no ALLOW policy is for this workload nothing is allowed. Istio allows everything then;
//! [`insecure_allow_without_policy`](IstioOptions::insecure_allow_without_policy) does as Istio. An
//! ALLOW policy without rules matches nothing, an empty rule (`- {}`) everything.
//!
//! A policy is for this workload where it stands in its namespace or in the root namespace, and
//! where the workload has all labels of `selector.matchLabels`. Others are left out, which
//! [`CompiledPolicy::warnings`] tells; so are AUDIT policies, because they decide nothing and zt
//! records every decision. With the annotation `istio.io/dry-run: "true"` a policy decides nothing
//! and is [tried](crate::policy#the-file).
//!
//! # Names of rules
//!
//! `NAMESPACE/NAME[INDEX]`: `foo/httpbin[0]` is what Istio calls `ns[foo]-policy[httpbin]-rule[0]`.
//!
//! # What a rule may say
//!
//! `from.source`: `principals`, `requestPrincipals`, `namespaces`, `serviceAccounts`,
//! `trustDomains`, `ipBlocks`, `remoteIpBlocks`; `to.operation`: `hosts`, `methods`, `paths`,
//! `ports`; each also with `not`. `when.key`: `request.headers[..]`, `source.ip`, `remote.ip`,
//! `source.namespace`, `source.principal`, `source.serviceAccount`, `request.auth.principal`,
//! `request.auth.audiences`, `request.auth.presenter`, `request.auth.claims[..][..]`,
//! `destination.port`, `destination.ip`.
//!
//! A text is exact; `text*` is a beginning, `*text` an end, `*` whatever is there. Several texts are
//! alternatives. Each matches what the Envoy configuration matches that Istio makes of it:
//!
//! * principals, namespaces and service accounts are read from the SPIFFE ID of the peer, request
//!   principals and claims from a token. What is not there matches nothing, so `not` is true of it.
//! * the values of a header that stands there several times are joined with commas.
//! * claims are texts, or lists of texts; numbers match nothing. `scope` and `permission` are lists
//!   with spaces between.
//! * an ID of one of the mesh's trust domains is one of each of them; `cluster.local` is the mesh's.
//!
//! And otherwise, on purpose:
//!
//! * hosts are compared without their port, so `hosts: ["a"]` is also `a:8080`, as `a` and `a:*` are
//!   to Istio, and `notHosts: ["a"]` excludes it. Here alone an ALLOW rule may allow more than the mesh
//!   does: the port in a `Host` header is the client's word;
//! * hosts are compared without a dot at their end, so that `a.*` is also `a` where a match denies;
//! * where the server puts no address on requests
//!   ([`PeerAddr`](crate::context::PeerAddr)) it is not known, and to Envoy all are: it is then neither
//!   among `ipBlocks` nor outside of `notIpBlocks` of an ALLOW rule, and both of a DENY rule. So are
//!   `remoteIpBlocks`, `source.ip` and `remote.ip`;
//! * templates match any character where a match denies; in Envoy `{*}` is not `a=b`;
//! * GET is HEAD as well where a match denies, because routers answer HEAD as GET;
//! * a DENY rule is compared with the usual spelling of a path too, so `/a@b` denies `/a%40b`, and so
//!   are `notPaths` of an ALLOW rule;
//! * a method with small letters is refused, unless a rule names it so.
//!
//! # What is refused
//!
//! With file, line and column, and all of it at once: keys that are not known here; `targetRefs`;
//! `connection.sni`, `experimental.*`; the action CUSTOM; ports and addresses where
//! [`IstioOptions`] does not tell the own ones; stars in the middle; lists that are empty; texts
//! without quotes that are numbers or truth values to YAML; what no request can ever be (a path that
//! is not canonical, a host with a port); two policies with one name; policies that are nothing but
//! dry run. Of YAML: keys that stand twice, anchors, aliases, tags, merge keys.
//!
//! # What it does not do
//!
//! PeerAuthentication and RequestAuthentication are not read: `zt-mtls` and `zt-jwt` prove who asks.

mod fields;
pub(super) mod options;
mod policy;
mod rule;
mod value;
mod yaml;

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use sha2::{Digest, Sha256};

use self::{
    fields::Problems,
    options::IstioOptions,
    policy::{Action, Policy},
    yaml::Place,
};
use super::{
    CompiledPolicy, IstioPaths, PolicyError, PolicyErrors, PolicyOptions, PolicyWarning,
    model::{Clause, Document, Effect, Origin, Otherwise, PathReading, Rule, Side, SourceText},
};

impl CompiledPolicy {
    /// The policies of Istio in `texts`, each with the name of its file, for the workload that
    /// `istio` describes.
    ///
    /// ```
    /// use zt_core::policy::{CompiledPolicy, IstioOptions, PolicyOptions};
    ///
    /// let text = r#"
    /// apiVersion: security.istio.io/v1
    /// kind: AuthorizationPolicy
    /// metadata: { name: orders, namespace: shop }
    /// spec:
    ///   selector: { matchLabels: { app: orders } }
    ///   rules:
    ///   - from:
    ///     - source: { principals: ["cluster.local/ns/shop/sa/gateway"] }
    ///     to:
    ///     - operation: { methods: ["GET"], paths: ["/orders", "/orders/{*}"] }
    /// "#;
    /// let workload = IstioOptions::new("shop").label("app", "orders");
    /// let policy = CompiledPolicy::from_istio([("orders.yaml", text)], &workload, &PolicyOptions::new())?;
    /// assert_eq!(policy.warnings().count(), 0);
    ///
    /// let typo = text.replace("methods:", "method:");
    /// let errors =
    ///     CompiledPolicy::from_istio([("orders.yaml", typo)], &workload, &PolicyOptions::new()).unwrap_err();
    /// assert!(errors.to_string().starts_with("orders.yaml:11:20: `operation` has no key `method`"));
    /// # Ok::<_, zt_core::policy::PolicyErrors>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them, with lines.
    pub fn from_istio<F: Into<Arc<str>>, T: Into<Arc<str>>>(
        texts: impl IntoIterator<Item = (F, T)>,
        istio: &IstioOptions,
        options: &PolicyOptions,
    ) -> Result<Self, PolicyErrors> {
        let texts = texts.into_iter().map(|(file, text)| SourceText {
            file: file.into(),
            text: text.into(),
        });
        let document = document(&texts.collect::<Vec<_>>(), istio)?;
        for warning in &document.warnings {
            tracing::warn!(policy = %document.name, %warning, "a policy says less than it seems to");
        }
        Self::compile(document, options)
    }
}

/// The most rules, after each alternative has become one.
const MAX_RULES: usize = 10_000;

pub(super) fn document(
    texts: &[SourceText],
    options: &IstioOptions,
) -> Result<Document, PolicyErrors> {
    let mut errors = Vec::new();
    let mut policies: Vec<(Arc<str>, Policy)> = Vec::new();
    let mut names: BTreeMap<String, (Arc<str>, Place)> = BTreeMap::new();
    for text in texts {
        let mut problems = Problems::new(Arc::clone(&text.file));
        match yaml::read(&text.file, &text.text) {
            Ok(nodes) => {
                for node in nodes {
                    let Some(policy) = policy::read(node, options, &mut problems) else {
                        continue;
                    };
                    let here = (Arc::clone(&text.file), policy.at);
                    if let Some((file, at)) = names.insert(policy.name.clone(), here) {
                        let message = format!("the policy `{}` stands twice", policy.name);
                        let hint = format!("also in {file}:{}", at.line);
                        problems.add_with_hint(policy.at, message, hint);
                    }
                    policies.push((Arc::clone(&text.file), policy));
                }
            }
            Err(error) => problems.errors.push(error),
        }
        errors.append(&mut problems.errors);
    }
    let mut document = Document {
        name: Arc::clone(&options.name),
        version: version(texts).into(),
        paths: match options.paths {
            IstioPaths::Canonical => PathReading::Canonical,
            paths => PathReading::Istio(paths),
        },
        ..Document::default()
    };
    for (file, policy) in policies {
        add(&mut document, &file, policy);
    }
    let whole = texts
        .first()
        .map(|text| Place::default().origin(&text.file))
        .unwrap_or_default();
    conclude(&mut document, &whole, options, &mut errors);
    PolicyErrors::check(errors)?;
    Ok(document)
}

/// The rules of a policy, and what is to be said about it.
fn add(document: &mut Document, file: &Arc<str>, policy: Policy) {
    let origin = policy.at.origin(file);
    let effect = match policy.action {
        Action::LeftOut(why) => {
            let message = format!("the policy `{}` is left out: {why}", policy.name);
            document.warnings.push(PolicyWarning::new(&origin, message));
            return;
        }
        Action::Decides(effect) => effect,
    };
    let mut rule = |id: String, clauses: Vec<Clause>, origin: Origin| {
        document.rules.push(Rule {
            id: id.into(),
            effect,
            dry_run: policy.dry_run,
            clauses,
            grant: None,
            when: None,
            origin,
        });
    };
    if policy.rules.is_empty() {
        // It is an ALLOW policy all the same, so it does not count as there being none.
        rule(policy.name, vec![Clause::any([])], origin);
        return;
    }
    let mut warnings = Vec::new();
    for (index, text) in policy.rules.into_iter().enumerate() {
        let id = format!("{}[{index}]", policy.name);
        let origin = text.at.origin(file);
        let mut said = None;
        for clauses in text.alternatives {
            said = said.or_else(|| caution(effect, &clauses));
            rule(id.clone(), clauses, origin.clone());
        }
        if let Some(said) = said {
            let message = format!("the rule `{id}` {said}");
            warnings.push(PolicyWarning::new(&origin, message));
        }
    }
    document.warnings.append(&mut warnings);
}

/// What a rule does where a fact is absent, where that is easily overlooked.
fn caution(effect: Effect, clauses: &[Clause]) -> Option<&'static str> {
    let asks = |side: Side, negated: bool| {
        clauses.iter().any(|clause| {
            clause.negated == negated && clause.any.iter().any(|atom| atom.side() == side)
        })
    };
    match effect {
        Effect::Deny if asks(Side::Principal, false) => {
            Some("denies nobody who has no token, or a token without that claim")
        }
        Effect::Deny if asks(Side::Peer, false) => {
            Some("denies nobody who has no identity as a workload")
        }
        Effect::Allow if asks(Side::Principal, true) && !asks(Side::Principal, false) => {
            Some("allows callers without a token, or with a token without that claim")
        }
        Effect::Allow if asks(Side::Peer, true) && !asks(Side::Peer, false) => {
            Some("allows callers without an identity as a workload")
        }
        _ => None,
    }
}

/// What is true of all of them together.
fn conclude(
    document: &mut Document,
    whole: &Origin,
    options: &IstioOptions,
    errors: &mut Vec<PolicyError>,
) {
    if document.rules.len() > MAX_RULES {
        errors.push(PolicyError::new(
            whole,
            format!("there are more than {MAX_RULES} rules"),
        ));
    }
    let in_force = |effect: Effect| {
        let mut rules = document.rules.iter();
        rules.any(|rule| rule.effect == effect && !rule.dry_run)
    };
    let (allows, denies) = (in_force(Effect::Allow), in_force(Effect::Deny));
    let mut warn = |message: &str| {
        let warning = PolicyWarning::new(whole, message);
        document.warnings.push(warning);
    };
    match (allows, options.allow_without_policy) {
        (true, _) => {}
        (false, true) => {
            document.otherwise = Otherwise::Allow;
            warn("no ALLOW policy is for this workload: everything is allowed that is not denied");
        }
        (false, false) if !denies && !document.rules.is_empty() => {
            let error = PolicyError::new(whole, "all policies for this workload are dry runs");
            errors.push(error.hint("without one in force everything is denied"));
        }
        (false, false) => {
            warn("no ALLOW policy is for this workload: everything is denied");
        }
    }
    if options.paths != IstioPaths::Canonical {
        warn("paths are normalised before rules read them; what is behind has to do the same");
    }
}

/// The beginning of a digest of the texts.
fn version(texts: &[SourceText]) -> String {
    let mut digest = Sha256::new();
    for SourceText { text, .. } in texts {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    let mut version = String::new();
    for byte in digest.finalize().iter().take(8) {
        let _ = write!(version, "{byte:02x}");
    }
    version
}

#[cfg(test)]
mod tests;
