//! Segmentation: callers, methods, hosts and paths, without conditions. What is timed is one decision,
//! of a request whose context is open already.

use std::{
    collections::HashMap, fmt::Write as _, hint::black_box, io::Write, sync::Arc, time::Duration,
};

use http::{Method, Request, header, request::Parts};
use zt_benches::{Bar, BenchError, Group, Kind, Limit, Options, Outcome, Report, thread_time};
use zt_core::{
    authorize::{Access, Policy, Verdict},
    clock::Timestamp,
    context::SecurityContext,
    gate::{Settings, Step},
    identity::{PeerIdentity, PeerSource},
    policy::{CompiledPolicy, PolicyOptions},
};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
const ALLOWED: [&str; 4] = [
    "allow, 10 rules",
    "allow, 100 rules",
    "allow, 1,000 rules",
    "allow, 10,000 rules",
];
const DENIED: [&str; 4] = [
    "no rule, 10 rules",
    "no rule, 100 rules",
    "no rule, 1,000 rules",
    "no rule, 10,000 rules",
];
const SCANNED: [&str; 4] = [
    "scan, allow, 10 rules",
    "scan, allow, 100 rules",
    "scan, allow, 1,000 rules",
    "scan, allow, 10,000 rules",
];
const NEW: &str = "allow, 10,000 rules, a new caller";
const EXPLICIT: &str = "denied by a rule, 10,000 rules";
const FLOOR: &str = "a path in a map of 10,000";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    for shape in [Shape::Services, Shape::OnePath, Shape::Callers] {
        one(shape, options, report)?;
    }
    Ok(())
}

/// What the rules are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// 20 workloads; each rule has a path of its own, with a parameter.
    Services,
    /// 20 workloads; all rules have the same path, and hosts of their own.
    OnePath,
    /// As many workloads as rules, on one path.
    Callers,
}

impl Shape {
    const fn title(self) -> &'static str {
        match self {
            Self::Services => "segmentation: 20 workloads, a path a rule",
            Self::OnePath => "segmentation: 20 workloads, one path, a host for 20 rules",
            Self::Callers => "segmentation: one path, a workload a rule",
        }
    }

    fn workload(self, rule: usize) -> String {
        let number = match self {
            Self::Callers => rule,
            _ => rule % 20,
        };
        format!("spiffe://shop.example/w{number}")
    }

    fn path(self, rule: usize) -> String {
        match self {
            Self::Services => format!("/service{rule}/orders/{{id}}/items"),
            _ => "/orders/{id}".to_owned(),
        }
    }

    fn host(self, rule: usize) -> Option<String> {
        (self == Self::OnePath).then(|| format!("h{}.shop.example", rule / 20))
    }

    /// The policy's text: a denying rule, a rule for everybody, and segmentation.
    fn text(self, rules: usize) -> String {
        let mut text = String::from(
            "policy = \"bench\"\nversion = \"1\"\n\
             [[rule]]\nid = \"strangers\"\neffect = \"deny\"\n\
             caller = { trust_domain = \"elsewhere.example\" }\n\
             [[rule]]\nid = \"health\"\neffect = \"allow\"\nmethods = [\"GET\"]\npath = \"/health\"\n",
        );
        for rule in 0..rules - 2 {
            let method = if rule.is_multiple_of(2) {
                "GET"
            } else {
                "POST"
            };
            let (workload, path) = (self.workload(rule), self.path(rule));
            let _ = write!(
                text,
                "[[rule]]\nid = \"r{rule}\"\neffect = \"allow\"\n\
                 caller = {{ workload = \"{workload}\" }}\n\
                 methods = [\"{method}\"]\npath = \"{path}\"\n"
            );
            if let Some(host) = self.host(rule) {
                let _ = writeln!(text, "hosts = [\"{host}\"]");
            }
        }
        text
    }

    fn policy(
        self,
        rules: usize,
    ) -> Result<CompiledPolicy, Box<dyn std::error::Error + Send + Sync>> {
        Ok(CompiledPolicy::from_toml(
            &self.text(rules),
            &PolicyOptions::new(),
        )?)
    }

    /// A request that the rule allows.
    fn asked(self, rule: usize) -> Result<Asked, http::Error> {
        let path = self.path(rule).replace("{id}", "4711");
        let host = self.host(rule).unwrap_or_else(|| "shop.example".to_owned());
        let method = method(rule);
        Asked::new(method, &path, &host, peer(self.workload(rule)))
    }
}

fn peer(workload: String) -> PeerIdentity {
    PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls)
        .spiffe_id(workload)
        .finish()
}

/// One request.
#[derive(Debug)]
struct Asked {
    parts: Parts,
    cx: SecurityContext,
}

impl Asked {
    fn new(
        method: Method,
        path: &str,
        host: &str,
        peer: PeerIdentity,
    ) -> Result<Self, http::Error> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .extension(Arc::new(peer));
        let (parts, ()) = request.body(())?.into_parts();
        let cx = SecurityContext::open(&parts, &Settings::shared_default());
        Ok(Self { parts, cx })
    }

    /// The same from somebody nobody has seen before.
    fn anew(&self) -> Self {
        let mut parts = self.parts.clone();
        if let Some(peer) = self.cx.peer() {
            parts.extensions.insert(Arc::new(PeerIdentity::clone(peer)));
        }
        let cx = SecurityContext::open(&parts, &Settings::shared_default());
        Self { parts, cx }
    }

    fn access(&self) -> Access<'_> {
        Access::new(&self.parts, &self.cx)
    }
}

/// What came of a decision.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Permit,
    Deny,
    Silent,
    Other,
}

fn decide(policy: &CompiledPolicy, asked: &Asked) -> Answer {
    match policy.decide(&asked.access()) {
        Step::Now(Ok(Verdict::Permit(_))) => Answer::Permit,
        Step::Now(Ok(Verdict::Deny(_))) => Answer::Deny,
        Step::Now(Ok(Verdict::NotApplicable)) => Answer::Silent,
        _ => Answer::Other,
    }
}

fn one(shape: Shape, options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let mut group = Group::new(shape.title());
    let map: HashMap<String, usize> = (0..10_000)
        .map(|rule| {
            (
                shape.path(rule).replace("{id}", "4711") + rule.to_string().as_str(),
                rule,
            )
        })
        .collect();
    let key = shape.path(7_777).replace("{id}", "4711") + "7777";
    group.function(Kind::Base, FLOOR, "one look-up", move || {
        map.get(black_box(&key)).copied()
    });
    for (at, rules) in SIZES.into_iter().enumerate() {
        let policy = shape.policy(rules)?;
        // Not the first, nor the last.
        let rule = rules / 2;
        let good = shape.asked(rule)?;
        let named = |names: [&'static str; 4]| names.get(at).copied().unwrap_or_default();
        add(
            &mut group,
            Kind::Zt,
            named(ALLOWED),
            "caller known",
            &policy,
            good,
            &Answer::Permit,
        )?;
        // The next rule's workload asks for what this rule allows.
        let mut stranger = shape.asked(rule)?;
        let other = Arc::new(peer(shape.workload(rule + 1)));
        stranger.parts.extensions.insert(other);
        stranger.cx = SecurityContext::open(&stranger.parts, &Settings::shared_default());
        add(
            &mut group,
            Kind::Zt,
            named(DENIED),
            "another's path",
            &policy,
            stranger,
            &Answer::Silent,
        )?;
        scan(&mut group, named(SCANNED), shape, rules)?;
    }
    let policy = shape.policy(10_000)?;
    let foreign = peer("spiffe://elsewhere.example/w1".to_owned());
    let foreign = Asked::new(Method::GET, "/health", "shop.example", foreign)?;
    add(
        &mut group,
        Kind::Zt,
        EXPLICIT,
        "trust domain",
        &policy,
        foreign,
        &Answer::Deny,
    )?;
    let good = shape.asked(5_000)?;
    group.part(Kind::Zt, NEW, "caller side asked anew", move || {
        const EACH: u32 = 64;
        let fresh: Vec<Asked> = (0..EACH).map(|_| good.anew()).collect();
        let before = thread_time();
        for asked in &fresh {
            black_box(decide(&policy, asked));
        }
        thread_time().checked_sub(before).unwrap_or(Duration::ZERO) / EACH
    });
    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_some() {
        return Ok(());
    }
    let [smallest, .., largest] = ALLOWED;
    let of = shape.title();
    report.bar(Bar::new(
        format!("{of}: a decision among 10,000 rules, over the look-up"),
        report.nanos(250.0),
        measured.over(largest, FLOOR)?,
    ));
    report.bar(Bar::new(
        format!("{of}: among 10,000 rules against 10"),
        Limit::Times(1.5),
        measured.ratio(largest, smallest)?,
    ));
    let [none, .., nowhere] = DENIED;
    report.bar(Bar::new(
        format!("{of}: no rule among 10,000 against 10"),
        Limit::Times(1.5),
        measured.ratio(nowhere, none)?,
    ));
    report.bar(Bar::new(
        format!("{of}: allocations of a decision that allows"),
        Limit::Allocations(0.0),
        measured.allocations_over(largest, FLOOR)?,
    ));
    Ok(())
}

fn add(
    group: &mut Group,
    kind: Kind,
    name: &'static str,
    note: &'static str,
    policy: &CompiledPolicy,
    asked: Asked,
    expected: &Answer,
) -> Result<(), BenchError> {
    claim(name, expected, &decide(policy, &asked))?;
    let policy = policy.clone();
    group.function(kind, name, note, move || decide(&policy, black_box(&asked)));
    Ok(())
}

fn claim(name: &str, expected: &Answer, found: &Answer) -> Result<(), BenchError> {
    if expected == found {
        return Ok(());
    }
    Err(BenchError::Claim {
        candidate: name.to_owned(),
        expected: format!("{expected:?}"),
        found: format!("{found:?}"),
    })
}

/// What most services have: a list of rules, looked through from the front.
fn scan(group: &mut Group, name: &'static str, shape: Shape, rules: usize) -> Outcome {
    struct Listed {
        workload: String,
        method: Method,
        host: Option<String>,
        segments: Vec<Option<String>>,
    }
    let listed: Vec<Listed> = (0..rules - 2)
        .map(|rule| Listed {
            workload: shape.workload(rule),
            method: method(rule),
            host: shape.host(rule),
            segments: shape
                .path(rule)
                .split('/')
                .map(|segment| (!segment.starts_with('{')).then(|| segment.to_owned()))
                .collect(),
        })
        .collect();
    let asked = shape.asked(rules / 2)?;
    let find = move || {
        let access = asked.access();
        let host = access.host();
        listed.iter().position(|rule| {
            let mut segments = access.path().split('/');
            access.peer().and_then(|peer| peer.spiffe_id()) == Some(&*rule.workload)
                && *access.method() == rule.method
                && (rule.host.is_none() || rule.host.as_deref() == host)
                && rule
                    .segments
                    .iter()
                    .all(|own| match (own, segments.next()) {
                        (Some(own), Some(segment)) => own == segment,
                        (None, Some(segment)) => !segment.is_empty(),
                        (_, None) => false,
                    })
                && segments.next().is_none()
        })
    };
    let answer = if find() == Some(rules / 2) {
        Answer::Permit
    } else {
        Answer::Other
    };
    claim(name, &Answer::Permit, &answer)?;
    group.function(Kind::Peer, name, "a list, from the front", find);
    Ok(())
}

/// Of each second rule.
const fn method(rule: usize) -> Method {
    if rule.is_multiple_of(2) {
        Method::GET
    } else {
        Method::POST
    }
}
