//! The index against a scan: random policies, random requests, no difference.

use http::{HeaderMap, Method};

use super::*;
use crate::{
    clock::Timestamp,
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    policy::model::{IstioAtom, Networks},
};

/// How many requests are decided twice; `ZT_POLICY_CASES=1000000` for the whole.
fn cases() -> usize {
    std::env::var("ZT_POLICY_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(40_000)
}

#[derive(Debug, Default)]
struct Counts {
    denied: usize,
    allowed: usize,
    conditional: usize,
    silent: usize,
}

#[test]
fn it_finds_what_a_scan_finds() {
    let mut dice = Dice::new(0x7a74);
    let (principals, peers) = (principals(), peers());
    let headers = headers();
    let mut counts = Counts::default();
    let mut before: Option<(Matcher, Arc<[Rule]>)> = None;
    let mut done = 0;
    while done < cases() {
        // Most are small, so that rules meet; some are larger than a word, and than a handful of names.
        let size = [3, 8, 25, 70, 200][dice.below(5)];
        let rules = (0..=dice.below(size))
            .map(|at| any_rule(&mut dice, at))
            .collect();
        let current = matcher(rules);
        for _ in 0..100 {
            let method = dice.of(&METHODS).parse::<Method>().unwrap();
            let path = any_path(&mut dice);
            let usual = any_path(&mut dice);
            let facts = Facts {
                method: &method,
                path: &path,
                usual: dice.once_in(4).then_some(&usual),
                host: (!dice.once_in(8)).then(|| dice.of(&HOSTS)),
                headers: &headers[dice.below(headers.len())],
                principal: (!dice.once_in(8)).then(|| &principals[dice.below(principals.len())]),
                peer: (!dice.once_in(5)).then(|| &peers[dice.below(peers.len())]),
                client: (!dice.once_in(8)).then(|| dice.of(&ADDRESSES).parse().unwrap()),
                connection: (!dice.once_in(8)).then(|| dice.of(&ADDRESSES).parse().unwrap()),
                claims: None,
            };
            // A policy that was replaced is asked beside the new one, about the same callers.
            for (matcher, rules) in before.iter().chain([&current]) {
                let found = matcher.find(&facts);
                assert_eq!(found, naive(rules, &facts), "{facts:?}\n{rules:#?}");
                done += 1;
                match found {
                    Found { deny: Some(_), .. } => counts.denied += 1,
                    Found { allow: Some(_), .. } => counts.allowed += 1,
                    Found { conditional, .. } if !conditional.is_empty() => counts.conditional += 1,
                    _ => counts.silent += 1,
                }
            }
        }
        before = Some(current);
    }
    println!("{done} cases: {counts:?}");
    for count in [
        counts.denied,
        counts.allowed,
        counts.conditional,
        counts.silent,
    ] {
        assert!(count > done / 20, "{counts:?}");
    }
}

const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "BREW"];
const HOSTS: [&str; 8] = [
    "a.example",
    "A.Example",
    "b.a.example",
    "c.b.a.example",
    "B.a.EXAMPLE",
    "a",
    "example",
    ".example",
];
const ADDRESSES: [&str; 4] = ["10.0.0.1", "10.1.0.1", "192.0.2.1", "::ffff:10.0.0.1"];
const SEGMENTS: [&str; 6] = ["a", "b", "c", "aa", "", "%2F"];
const WORDS: [&str; 5] = ["a", "b", "ab", "ba", "abc"];
const IDS: [&str; 6] = [
    "spiffe://a/b",
    "spiffe://a/ns/b/sa/ab",
    "spiffe://b/ns/a/sa/ab",
    "spiffe://ab/ns/a/b",
    "spiffe://a",
    "urn:a",
];

fn any_path(dice: &mut Dice) -> String {
    match dice.below(40) {
        0 => "*".into(),
        1 => String::new(),
        _ => (0..=dice.below(4)).fold(String::new(), |path, _| path + "/" + dice.of(&SEGMENTS)),
    }
}

fn any_rule(dice: &mut Dice, at: usize) -> Rule {
    let effect = [Effect::Allow, Effect::Deny][usize::from(dice.once_in(3))];
    // Denying rules end the search, so they say more.
    let clauses = dice.below(4) + usize::from(effect == Effect::Deny);
    let mut rule = rule(at, effect, (0..clauses).map(|_| any_clause(dice)).collect());
    if dice.once_in(3) {
        rule.when = Some(Condition {
            text: "true".into(),
            body: Arc::default(),
            origin: Origin::default(),
        });
    }
    if dice.once_in(6) {
        rule.grant = Some("g".into());
    }
    rule
}

fn any_clause(dice: &mut Dice) -> Clause {
    let atoms = [0, 1, 1, 1, 1, 2, 2, 3][dice.below(8)];
    let kind = dice.below(KINDS);
    let any: Vec<Atom> = (0..atoms)
        .map(|_| {
            // Mostly of one kind, so that there is something to look up.
            let kind = if dice.once_in(8) {
                dice.below(KINDS)
            } else {
                kind
            };
            any_atom(dice, kind)
        })
        .collect();
    Clause {
        negated: dice.once_in(5),
        any,
    }
}

const KINDS: usize = 20;

fn any_atom(dice: &mut Dice, kind: usize) -> Atom {
    use PrincipalKind::{Anonymous, Service, User};
    match kind {
        0 => Atom::Kind([User, Service, Anonymous][dice.below(3)]),
        1 => Atom::Issuer(any_text(dice, &WORDS)),
        2 => Atom::Subject(any_text(dice, &WORDS)),
        3 => Atom::Tenant(any_text(dice, &WORDS)),
        4 => Atom::Role(any_text(dice, &WORDS)),
        5 => Atom::Scope(any_text(dice, &WORDS)),
        6 => {
            let path = [&["a"][..], &["b"], &["b", "a"], &["n"]][dice.below(4)];
            let path = path.iter().map(|name| Arc::from(*name)).collect();
            Atom::Claim(path, any_text(dice, &["a", "b", "7", "true"]))
        }
        7 | 8 => Atom::Workload(any_text(dice, &IDS)),
        9 => Atom::TrustDomain(any_text(dice, &WORDS)),
        10 => Atom::Client(any_networks(dice)),
        11 if dice.once_in(2) => Atom::Nowhere,
        11 if dice.once_in(3) => Atom::Unconnected,
        11 => Atom::Connection(any_networks(dice)),
        12 => Atom::Method(any_text(dice, &METHODS)),
        13 => Atom::Method(Text::exact(dice.of(&METHODS))),
        14 => Atom::Host(any_text(dice, &HOSTS)),
        15 => Atom::Host(Text::Suffix(
            dice.of(&[".example", ".a.example", ".B.a.example"]).into(),
        )),
        16 => Atom::Path(PathPattern::Text(any_text(
            dice,
            &["/", "/a", "/a/", "/b/a", "a", "*"],
        ))),
        17 => match dice.below(4) {
            0 => Atom::Always(dice.once_in(2)),
            1 => Atom::Istio(IstioAtom::Workload(any_text(
                dice,
                &["a/b", "a/ns/b/sa/ab"],
            ))),
            2 => Atom::Istio(IstioAtom::Token {
                issuer: any_text(dice, &WORDS),
                subject: any_text(dice, &WORDS),
            }),
            _ => Atom::Istio(IstioAtom::Claim(vec!["a".into()], any_text(dice, &WORDS))),
        },
        _ => Atom::Path(PathPattern::Template(any_template(dice))),
    }
}

fn any_text(dice: &mut Dice, of: &[&'static str]) -> Text {
    let text: &str = of[dice.below(of.len())];
    match dice.below(8) {
        0 => Text::Present,
        1 => Text::Prefix(text.get(..dice.below(text.len())).unwrap().into()),
        2 => Text::Suffix(text.get(dice.below(text.len())..).unwrap().into()),
        _ => Text::exact(text),
    }
}

fn any_networks(dice: &mut Dice) -> Networks {
    let networks = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32", "::/0"];
    let some = (0..=dice.below(2)).map(|_| dice.of(&networks).parse().unwrap());
    Networks::new(some.collect())
}

fn any_template(dice: &mut Dice) -> PathTemplate {
    let segments = (0..dice.below(4)).map(|_| match dice.below(3) {
        0 => Segment::Parameter("id".into()),
        _ => Segment::Literal(dice.of(&SEGMENTS).into()),
    });
    PathTemplate {
        segments: segments.collect(),
        rest: dice.once_in(3).then(|| "rest".into()),
    }
}

fn principals() -> Vec<Principal> {
    let mut all = vec![Principal::anonymous()];
    let mut dice = Dice::new(1);
    for number in 0..24 {
        let kind = [PrincipalKind::User, PrincipalKind::Service][number % 2];
        let mut who = Principal::assertion(kind, dice.of(&WORDS), AuthMethod::Jwt);
        if !dice.once_in(4) {
            who = who.issuer(dice.of(&WORDS));
        }
        if dice.once_in(2) {
            who = who.tenant(dice.of(&WORDS));
        }
        who = who.roles((0..dice.below(3)).map(|_| dice.of(&WORDS)));
        who = who.scopes((0..dice.below(3)).map(|_| dice.of(&WORDS)));
        if !dice.once_in(3) {
            let claims = [
                r#"{"a":"a","b":{"a":"b"},"n":7}"#,
                r#"{"a":["a","b"],"b":true,"n":[7,"7"]}"#,
                r#"{"a":"ab","b":{"a":{"a":"a"}}}"#,
                r#"{"a":"#,
            ];
            who = who.claims(dice.of(&claims));
        }
        let who = who.finish();
        // One that has another's facts but for its roles must not have what was remembered of it.
        all.push(who.and_also(AuthMethod::Signature).roles(["ab"]).finish());
        all.push(who);
    }
    all
}

fn peers() -> Vec<PeerIdentity> {
    let named = IDS.iter().map(|id| {
        PeerIdentity::assertion([1; 32], Timestamp::MAX, PeerSource::Tls)
            .spiffe_id(*id)
            .finish()
    });
    let nameless = PeerIdentity::assertion([2; 32], Timestamp::MAX, PeerSource::Tls).finish();
    named.chain([nameless]).collect()
}

fn headers() -> Vec<HeaderMap> {
    let with = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-a", value.parse().unwrap());
        }
        headers
    };
    vec![
        with(&[]),
        with(&["a"]),
        with(&["ab"]),
        with(&["a", "b"]),
        with(&[""]),
    ]
}
