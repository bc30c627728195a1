use proptest::prelude::*;

use super::*;
use crate::policy::{
    DeclaredFacts, PolicyOptions,
    model::{Document, Networks, Origin, PathTemplate, Segment, Text},
};

const WORKLOADS: [&str; 3] = [
    "spiffe://shop.example/orders",
    "spiffe://shop.example/admin",
    "spiffe://other.example/orders",
];
const PATHS: [&str; 5] = ["/charge", "/refunds/7", "/files/", "/files/a/b", "/"];
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
const HOSTS: [&str; 2] = ["pay.example", "shop.example"];

fn template(at: usize) -> PathTemplate {
    let literal = |text: &str| Segment::Literal(text.into());
    let parameter = Segment::Parameter("id".into());
    let rest = Some("rest".into());
    let (segments, rest) = match at {
        0 => (vec![literal("charge")], None),
        1 => (vec![literal("refunds"), parameter], None),
        2 => (vec![literal("files")], rest),
        3 => (vec![], rest),
        _ => (vec![parameter], None),
    };
    PathTemplate { segments, rest }
}

fn atom() -> impl Strategy<Value = Atom> {
    prop_oneof![
        (0..3usize).prop_map(|at| Atom::Workload(Text::exact(WORKLOADS[at]))),
        Just(Atom::Workload(Text::Prefix(
            "spiffe://shop.example/".into()
        ))),
        Just(Atom::Kind(crate::identity::PrincipalKind::User)),
        (0..2usize).prop_map(|at| Atom::Role(Text::exact(["clerk", "owner"][at]))),
        Just(Atom::Claim(vec!["a".into()], Text::exact("1"))),
        (0..3usize).prop_map(|at| Atom::Method(Text::exact(METHODS[at]))),
        (0..2usize).prop_map(|at| Atom::Host(Text::exact(HOSTS[at]))),
        (0..5usize).prop_map(|at| Atom::Path(PathPattern::Template(template(at)))),
        Just(Atom::Client(Networks::new(vec![
            "10.0.0.0/8".parse().unwrap()
        ]))),
        any::<bool>().prop_map(Atom::Always),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let clause = (
        proptest::collection::vec(atom(), 1..3),
        proptest::bool::weighted(0.2),
    );
    let clause = clause.prop_map(|(any, negated)| Clause { negated, any });
    (
        proptest::collection::vec(clause, 0..4),
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(clauses, denies, granted)| Rule {
            id: "".into(),
            effect: if denies { Effect::Deny } else { Effect::Allow },
            dry_run: false,
            clauses,
            grant: granted.then(|| "g".into()),
            when: None,
            origin: Origin::default(),
        })
}

fn policy(mut rules: Vec<Rule>) -> CompiledPolicy {
    for (at, rule) in rules.iter_mut().enumerate() {
        rule.id = format!("r{at}").into();
    }
    let document = Document {
        name: "shop".into(),
        rules,
        ..Document::default()
    };
    let options = DeclaredFacts::stand_in(PolicyOptions::new(), "");
    CompiledPolicy::compile(document, &options).unwrap()
}

prop_compose! {
    fn question()(
        method in 0..3usize, path in 0..5usize, host in 0..2usize, workload in 0..4usize,
        named in any::<bool>(), clerk in any::<bool>(), claims in any::<bool>(),
        header in any::<bool>(), inside in any::<bool>(), granted in any::<bool>(),
    ) -> (String, Question) {
        let request = format!("{} https://{}{}", METHODS[method], HOSTS[host], PATHS[path]);
        let mut question = Question::new(request.as_str());
        if let Some(workload) = WORKLOADS.get(workload) {
            question = question.workload(*workload);
        }
        if named {
            question = question.user("https://id.example", "ada");
            question = question.roles(if clerk { ["clerk"] } else { ["owner"] });
            if claims {
                question = question.claims(serde_json::json!({"a": 1}));
            }
        }
        if header {
            question = question.header("x-a", "1");
        }
        if granted {
            question = question.grants(["g"]);
        }
        let client = if inside { "10.1.2.3" } else { "192.0.2.1" };
        (request, question.client(client.parse().unwrap()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    // What permits is listed, and nothing that a denying rule says no to is left out.
    #[test]
    fn whatever_decides_is_listed(
        rules in proptest::collection::vec(rule(), 1..6),
        (request, question) in question(),
    ) {
        let policy = policy(rules);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(policy.ask(&question)).unwrap();
        let Some(decided) = answer.rule() else { return Ok(()) };
        let who = policy.who_can(&request).unwrap();
        let what = policy.what_can(&question).unwrap();
        let (who, what) = match answer.is_permitted() {
            true => (who.allow, what.allow),
            false => (who.deny, what.deny),
        };
        prop_assert!(who.iter().any(|rule| *rule.rule == *decided), "{decided}: {who:?}");
        let listed = what.iter().find(|rule| *rule.rule == *decided);
        prop_assert!(listed.is_some(), "{decided}: {what:?}");
        let listed = listed.unwrap();
        let (method, rest) = request.split_once(" https://").unwrap();
        let (_, path) = rest.split_at(rest.find('/').unwrap());
        prop_assert!(listed.methods.is_empty() || listed.methods.iter().any(|one| one == method));
        let templates: Vec<PathTemplate> = (0..5).map(template).collect();
        let is = |text: &String| {
            templates.iter().any(|one| one.to_string() == *text && one.matches(path))
        };
        prop_assert!(listed.paths.is_empty() || listed.paths.iter().any(is), "{path}: {listed:?}");
    }

    // Where a rule denies all of it, nobody is permitted.
    #[test]
    fn what_is_denied_to_all_is_permitted_to_nobody(
        rules in proptest::collection::vec(rule(), 1..6),
        (request, question) in question(),
    ) {
        let policy = policy(rules);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let permitted = runtime.block_on(policy.ask(&question)).unwrap().is_permitted();
        let who = policy.who_can(&request).unwrap();
        prop_assert!(!permitted || who.denied_by().is_none());
        prop_assert!(!permitted || policy.what_can(&question).unwrap().denied_by().is_none());
        prop_assert!(!permitted || !who.allow.is_empty());
    }
}

const SHOP: &str = r#"
policy = "shop"
[[rule]]
id = "orders-charge"
effect = "allow"
caller = { workload = "spiffe://shop.example/orders" }
methods = ["POST"]
path = "/charge"
[[rule]]
id = "refunds"
effect = "allow"
caller = { kind = "user", roles = "auditor" }
methods = ["POST"]
hosts = ["pay.shop.example"]
path = "/refunds/{id}"
grant = "refunds.write"
[[rule]]
id = "no-strangers"
effect = "deny"
caller = { networks = ["203.0.113.0/24"] }
path = "/{rest..}"
[[rule]]
id = "closed"
effect = "deny"
path = "/closed"
[roles.auditor]
"#;

fn shop() -> CompiledPolicy {
    let options = DeclaredFacts::stand_in(PolicyOptions::new(), SHOP);
    CompiledPolicy::from_toml(SHOP, &options).unwrap()
}

#[test]
fn a_review_of_a_request_says_who_and_under_which_conditions() {
    let who = |request: &str| shop().who_can(request).unwrap();
    let shown = who("POST /refunds/7").to_string();
    for line in [
        "POST /refunds/7",
        "permitted by",
        "  `refunds` (policy.toml:10)",
        "    hosts: pay.shop.example",
        "    where role is `auditor`",
        "    where caller.kind is `user`",
        "    where the grant `refunds.write` is held",
        "unless denied by",
        "    where the client's address is `203.0.113.0/24` or unknown",
    ] {
        assert!(shown.lines().any(|one| one == line), "{line}\n{shown}");
    }
    assert!(!shown.contains("orders-charge"), "{shown}");
    assert!(who("POST https://shop.example/refunds/7").allow.is_empty());
    assert_eq!(
        who("POST https://pay.shop.example/refunds/7").allow[0].hosts,
        Vec::<String>::new()
    );
    assert_eq!(&*who("GET /closed").denied_by().unwrap().rule, "closed");
    assert!(
        who("GET /closed")
            .to_string()
            .contains("is denied to all by the rule `closed`")
    );
    assert!(
        who("GET /nowhere")
            .to_string()
            .contains("is permitted by nothing")
    );
    let refused = who("POST /charge/../refunds/7");
    assert!(refused.refused.is_some() && refused.allow.is_empty());
    for none in ["", "POST", "POST nowhere at all", "P\u{7f} /x"] {
        assert!(shop().who_can(none).is_err(), "{none}");
    }
}

#[test]
fn a_review_of_a_caller_says_what_and_by_which_rules() {
    let orders = Question::new("GET /").workload(WORKLOADS[0]);
    let review = shop().what_can(&orders).unwrap();
    assert_eq!(review.about, "service `spiffe://shop.example/orders`");
    let [rule] = &review.allow[..] else {
        panic!("{review}")
    };
    assert_eq!(
        (&*rule.rule, &rule.paths[..], &rule.methods[..]),
        (
            "orders-charge",
            &["/charge".to_owned()][..],
            &["POST".to_owned()][..]
        )
    );
    assert!(rule.needs.is_empty());
    assert_eq!(review.deny.len(), 2);
    // From an address that is known, it is known whether a rule is about it.
    let inside = orders.client("10.0.0.1".parse().unwrap());
    assert_eq!(shop().what_can(&inside).unwrap().deny.len(), 1);
    let auditor = Question::new("GET /")
        .user("https://id", "ada")
        .roles(["auditor"]);
    let review = shop().what_can(&auditor).unwrap();
    assert_eq!(review.allow[0].grant.as_deref(), Some("refunds.write"));
    let json = serde_json::to_value(&review).unwrap();
    assert_eq!(json["allow"][0]["paths"][0], "/refunds/{id}");
    let nobody = shop().what_can(&Question::new("GET /")).unwrap();
    assert!(nobody.allow.is_empty() && nobody.about == "anybody");
}

#[test]
fn another_spelling_of_a_path_is_denied_to_whom_it_is_denied_when_it_is_asked() {
    let text = format!(
        "{SHOP}\n[[rule]]\nid = \"all\"\neffect = \"allow\"\nmethods = [\"GET\"]\npath = \"/{{rest..}}\"\n\
         [[rule]]\nid = \"me\"\neffect = \"deny\"\ncaller = {{ kind = \"service\" }}\npath = \"/users/@me\"\n\
         [[rule]]\nid = \"a:b\"\neffect = \"deny\"\npath = \"/a:b\"\n\
         [[rule]]\nid = \"mine\"\neffect = \"allow\"\nmethods = [\"PUT\"]\npath = \"/users/@me\"\n"
    );
    let options = DeclaredFacts::stand_in(PolicyOptions::new(), &text);
    let policy = CompiledPolicy::from_toml(&text, &options).unwrap();
    let who = |request: &str| policy.who_can(request).unwrap();
    for request in ["GET /a:b", "GET /a%3Ab", "GET /a%3ab"] {
        let review = who(request);
        assert_eq!(&*review.denied_by().unwrap().rule, "a:b", "{review}");
        assert_eq!(review.about, request);
    }
    for request in ["GET /users/%40me", "GET /users/@me"] {
        let review = who(request);
        let me = review.deny.iter().find(|rule| &*rule.rule == "me").unwrap();
        assert_eq!(me.needs, ["caller.kind is `service`"]);
    }
    // Nobody is allowed another spelling.
    assert!(who("PUT /users/%40me").allow.is_empty());
    assert_eq!(&*who("PUT /users/@me").allow[0].rule, "mine");
    assert!(who("GET /users/%2540me").denied_by().is_none());
}
