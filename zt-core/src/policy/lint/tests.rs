use std::sync::Arc;

use http::{HeaderMap, Method};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    clock::Timestamp,
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    policy::{
        facts::Facts,
        matcher::naive::naive,
        model::{
            Atom, Clause, Condition, Networks, Origin, PathPattern, PathTemplate, Segment, Text,
        },
    },
};

fn template(text: &str) -> PathTemplate {
    let mut template = PathTemplate {
        segments: Vec::new(),
        rest: None,
    };
    for segment in text.split('/').skip(1) {
        match segment
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            None => template.segments.push(Segment::Literal(segment.into())),
            Some(name) if name.ends_with("..") => template.rest = Some("rest".into()),
            Some(name) => template.segments.push(Segment::Parameter(name.into())),
        }
    }
    template
}

fn path(text: &str) -> Atom {
    Atom::Path(PathPattern::Template(template(text)))
}

fn texts(values: &'static [&'static str]) -> impl Strategy<Value = Text> {
    let parts = vec![
        "",
        "a",
        "b",
        "ab",
        "spiffe://",
        "spiffe://a/",
        "spiffe://a/b",
        "b/x",
    ];
    prop_oneof![
        6 => select(values).prop_map(Text::exact),
        1 => Just(Text::Present),
        1 => select(parts.clone()).prop_map(|text| Text::Prefix(text.into())),
        1 => select(parts).prop_map(|text| Text::Suffix(text.into())),
    ]
}

const NAMES: &[&str] = &["a", "ab", "b", "ba"];
const IDS: &[&str] = &[
    "spiffe://a/b",
    "spiffe://a/b/x",
    "spiffe://b/x",
    "spiffe://ab/b",
];
const DOMAINS: &[&str] = &["a", "b", "ab"];
const METHODS: &[&str] = &["GET", "POST"];
const TEMPLATES: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/b",
    "/{x}",
    "/{x}/",
    "/{x..}",
    "/a/{x}",
    "/a/{x..}",
    "/{x}/b",
    "/a/b",
    "/{x}/{y}",
    "/{x}/{y..}",
    "/a/b/{z..}",
    "/a/{x}/b",
];
const PATHS: &[&str] = &[
    "/", "/a", "/a/", "/b", "/c", "/a/b", "/a/c", "/c/b", "/a/b/", "/a/b/b", "/a/c/b", "/c/d/e/f",
];
const NETWORKS: &[&str] = &["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24"];

fn atoms() -> impl Strategy<Value = Atom> {
    prop_oneof![
        select(vec![
            PrincipalKind::User,
            PrincipalKind::Service,
            PrincipalKind::Anonymous
        ])
        .prop_map(Atom::Kind),
        texts(NAMES).prop_map(Atom::Issuer),
        texts(NAMES).prop_map(Atom::Subject),
        texts(NAMES).prop_map(Atom::Role),
        texts(NAMES).prop_map(Atom::Scope),
        texts(NAMES).prop_map(|text| Atom::Claim(vec!["c".into()], text)),
        texts(&["a.b", "B"]).prop_map(Atom::Host),
        texts(IDS).prop_map(Atom::Workload),
        texts(DOMAINS).prop_map(Atom::TrustDomain),
        texts(METHODS).prop_map(Atom::Method),
        select(TEMPLATES).prop_map(path),
        select(TEMPLATES).prop_map(path),
        select(TEMPLATES).prop_map(path),
        vec(select(NETWORKS), 1..3).prop_map(|networks| {
            Atom::Client(Networks::new(
                networks.iter().map(|text| text.parse().unwrap()).collect(),
            ))
        }),
        any::<bool>().prop_map(Atom::Always),
    ]
}

fn clauses() -> impl Strategy<Value = Clause> {
    // Atoms of one kind stand in a clause as a rule, and sometimes others.
    (
        atoms(),
        vec(atoms(), 0..3),
        proptest::bool::weighted(0.2),
        any::<bool>(),
    )
        .prop_map(|(first, others, negated, mixed)| {
            let alike = |other: &Atom| {
                mixed || std::mem::discriminant(other) == std::mem::discriminant(&first)
            };
            let any = std::iter::once(first.clone()).chain(others.into_iter().filter(alike));
            Clause {
                negated,
                any: any.collect(),
            }
        })
}

fn rule() -> impl Strategy<Value = Rule> {
    let conditional = proptest::bool::weighted(0.3);
    let dry_run = proptest::bool::weighted(0.1);
    (vec(clauses(), 0..4), any::<bool>(), conditional, dry_run).prop_map(
        |(clauses, allow, conditional, dry_run)| Rule {
            id: "".into(),
            effect: if allow { Effect::Allow } else { Effect::Deny },
            dry_run,
            clauses,
            grant: None,
            when: conditional.then(|| Condition {
                text: "true".into(),
                body: Arc::default(),
                origin: Origin::default(),
            }),
            origin: Origin::default(),
        },
    )
}

/// With ids; some follow one another with one id.
fn rules(most: usize) -> impl Strategy<Value = Vec<Rule>> {
    vec((rule(), proptest::bool::weighted(0.2)), 1..most).prop_map(|rules| {
        let mut id = 0;
        let numbered = rules.into_iter().map(|(rule, same)| {
            id += usize::from(!same);
            Rule {
                id: id.to_string().into(),
                ..rule
            }
        });
        numbered.collect()
    })
}

#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    path: &'static str,
    host: Option<&'static str>,
    header: Option<&'static str>,
    client: Option<&'static str>,
    peer: Option<&'static str>,
    principal: Option<Principal>,
}

fn requests() -> impl Strategy<Value = Asked> {
    let maybe = |values: &'static [&'static str]| proptest::option::of(select(values));
    let names = || proptest::sample::subsequence(NAMES, 0..3);
    let kinds = vec![
        PrincipalKind::User,
        PrincipalKind::Service,
        PrincipalKind::Anonymous,
    ];
    let who = (
        select(kinds),
        maybe(NAMES),
        select(NAMES),
        names(),
        names(),
        names(),
    );
    let principal = who.prop_map(|(kind, issuer, subject, roles, scopes, claims)| {
        let mut who = Principal::assertion(kind, subject, AuthMethod::Jwt)
            .roles(roles)
            .scopes(scopes)
            .claims(serde_json::json!({ "c": claims }).to_string());
        if let Some(issuer) = issuer {
            who = who.issuer(issuer);
        }
        who.finish()
    });
    (
        select(METHODS),
        select(PATHS),
        maybe(&["a.b", "b", "c"]),
        maybe(NAMES),
        maybe(&["10.1.2.3", "10.9.9.9", "192.0.2.1", "8.8.8.8", "::1"]),
        maybe(IDS),
        proptest::option::of(principal),
    )
        .prop_map(
            |(method, path, host, header, client, peer, principal)| Asked {
                method,
                path,
                host,
                header,
                client,
                peer,
                principal,
            },
        )
}

impl Asked {
    fn with<R>(&self, read: impl FnOnce(&Facts<'_>) -> R) -> R {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        if let Some(value) = self.header {
            headers.insert(http::header::ACCEPT, value.parse().unwrap());
        }
        let peer = self.peer.map(|id| {
            PeerIdentity::assertion([0; 32], Timestamp::from_secs(1), PeerSource::Tls)
                .spiffe_id(id)
                .finish()
        });
        let client = self.client.map(|address| address.parse().unwrap());
        read(&Facts {
            method: &method,
            path: self.path,
            usual: None,
            host: self.host,
            headers: &headers,
            principal: self.principal.as_ref(),
            peer: peer.as_ref(),
            client,
            connection: client,
            claims: None,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_called_shadowed_never_decides(
        rules in rules(8),
        requests in vec(requests(), 40),
    ) {
        let shadows = shadowed(&rules, |_, _| false);
        for (request, with_trials) in requests.iter().flat_map(|one| [(one, false), (one, true)]) {
            // As the engine takes them: without trials, or with them as if they were in force.
            let (places, engine): (Vec<usize>, Vec<Rule>) = rules
                .iter()
                .cloned()
                .enumerate()
                .filter(|(_, rule)| with_trials || !rule.dry_run)
                .unzip();
            let found = request.with(|facts| naive(&engine, facts));
            let deciding = found.deny.iter().chain(&found.allow).chain(&found.conditional);
            for place in deciding {
                let place = places[*place as usize];
                let decided = &rules[place].id;
                let wrong = shadows.iter().find(|shadow| rules[shadow.rule].id == *decided);
                prop_assert!(wrong.is_none(), "{wrong:?} for {request:?} of {rules:#?}");
            }
        }
    }

    #[test]
    fn what_is_called_a_contradiction_never_holds(
        clauses in vec(clauses(), 1..5),
        requests in vec(requests(), 60),
    ) {
        let why = contradiction(&clauses);
        for request in why.iter().flat_map(|_| &requests) {
            let holds = request.with(|facts| clauses.iter().all(|clause| clause.holds(facts)));
            prop_assert!(!holds, "{why:?} for {request:?} of {clauses:#?}");
        }
    }

    #[test]
    fn the_index_finds_what_comparing_all_pairs_finds(rules in rules(30)) {
        let mut expected = Vec::new();
        let mut at = 0;
        for parts in rules.chunk_by(|a, b| a.id == b.id) {
            let own = at..at + parts.len();
            at = own.end;
            let shadow = |place: usize| {
                let mut others = (0..rules.len()).filter(|by| !own.contains(by));
                let rule = &rules[place];
                others.any(|by| {
                    comes_first(by, &rules[by], place, rule) && relation::covers(&rules[by], rule)
                })
            };
            // A rule that can never match may be passed over: others say so of it.
            let plain = |place: usize| contradiction(&rules[place].clauses).is_none();
            if own.clone().all(plain) {
                expected.push((own.start, own.clone().all(shadow)));
            }
        }
        let found = shadowed(&rules, |_, _| false);
        for (place, is) in expected {
            prop_assert_eq!(found.iter().any(|shadow| shadow.rule == place), is, "{}", place);
        }
    }

    #[test]
    fn templates_overlap_where_a_path_is_of_both(
        one in select(TEMPLATES), two in select(TEMPLATES), path in select(PATHS),
    ) {
        let (one, two) = (template(one), template(two));
        if one.matches(path) && two.matches(path) {
            prop_assert!(relation::overlap(&one, &two));
        }
    }
}

fn allow(id: &str, clauses: Vec<Clause>) -> Rule {
    Rule {
        id: id.into(),
        effect: Effect::Allow,
        dry_run: false,
        clauses,
        grant: None,
        when: None,
        origin: Origin::default(),
    }
}

#[test]
fn permissions_of_roles_do_not_shadow_one_another() {
    let rules = ["a", "b"].map(|id| allow(id, vec![Clause::any([path("/a")])]));
    let shadow = Shadow { rule: 1, by: 0 };
    assert_eq!(shadowed(&rules, |_, _| false), [shadow]);
    assert_eq!(shadowed(&rules, |_, _| true), []);
}

/// Rules as a large policy has them: each with a caller, methods and a path of its own.
#[test]
fn ten_thousand_rules_are_compared_with_few_others() {
    let rule = |at: usize| {
        let id = format!("spiffe://shop.example/service-{}", at % 500);
        let clauses = vec![
            Clause::any([Atom::Workload(Text::exact(id))]),
            Clause::any([Atom::Method(Text::exact(METHODS[at % 2]))]),
            Clause::any([path(&format!("/area-{}/{{id}}/thing-{at}", at % 100))]),
        ];
        allow(&at.to_string(), clauses)
    };
    let mut rules: Vec<Rule> = (0..10_000).map(rule).collect();
    rules.push(Rule {
        clauses: vec![Clause::any([path("/area-7/{rest..}")])],
        effect: Effect::Deny,
        ..allow("no area 7", Vec::new())
    });
    let index = Index::new(&rules);
    let compared: usize = rules
        .iter()
        .map(|rule| index.candidates(rule).count())
        .sum();
    assert!(compared < 40_000, "{compared}");
    assert_eq!(shadowed(&rules, |_, _| false).len(), 100);
}
