//! Sliced and rewritten policies against Cedar itself on all of them, with entities.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request as CedarRequest,
    RestrictedExpression as Value,
};

use super::*;

const OPERATIONS: &[(&str, &str, &str, &[&str])] = &[
    ("list", "GET", "/orders", &["reading"]),
    ("show", "GET", "/orders/{id}", &["reading", "orders"]),
    ("charge", "POST", "/charge", &["payments"]),
    ("refund", "POST", "/refunds/{id}", &["payments", "orders"]),
];
const ROLES: &[&str] = &["clerk", "owner", "auditor"];

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn policy(&mut self, number: usize) -> String {
        let effect = self.of(&["permit", "permit", "forbid"]);
        let principal = self.of(&[
            "principal",
            "principal",
            "principal is User",
            "principal is Service",
            "principal == User::\"https://id.shop.example#ada\"",
            "principal in Service::\"#robot\"",
        ]);
        let action = self.of(&[
            "action",
            "action == Action::\"list\"",
            "action == Action::\"charge\"",
            "action == Action::\"other\"",
            "action in Action::\"payments\"",
            "action in [Action::\"reading\", Action::\"refund\"]",
            "action in Action::\"orders\"",
        ]);
        let resource = self.of(&[
            "resource",
            "resource",
            "resource == Route::\"/orders/{id}\"",
        ]);
        let mut conditions = String::new();
        for _ in 0..self.below(3) {
            let kind = self.of(&["when", "unless"]);
            let role = self.of(ROLES);
            let other = self.of(ROLES);
            let hour = self.below(24);
            let condition = match self.below(8) {
                0 => format!("principal.roles.contains(\"{role}\")"),
                1 => format!("principal.roles.containsAny([\"{role}\", \"{other}\"])"),
                2 => format!("context.time.hour < {hour}"),
                3 => "principal is User && principal.subject == \"ada\"".to_owned(),
                4 => {
                    "context.request has params.id && context.request.params.id == \"7\"".to_owned()
                }
                5 => {
                    "action in Action::\"orders\" || context.request.method == \"POST\"".to_owned()
                }
                6 => format!(
                    "if principal is Service then context.time.hour == {hour} else principal.roles.contains(\"{role}\")"
                ),
                _ => format!(
                    "context.time.hour * {} > 7",
                    self.of(&["1", "3", "9223372036854775807"])
                ),
            };
            conditions += &format!(" {kind} {{ {condition} }}");
        }
        format!("@id(\"p{number}\") {effect}({principal}, {action}, {resource}){conditions};\n")
    }
}

#[test]
fn slices_decide_as_cedar_decides_on_all_policies_wherever_nothing_fails() {
    let operations: String = OPERATIONS
        .iter()
        .map(|(id, method, path, groups)| {
            format!(
                "[operations.{id}]\nmethod = \"{method}\"\npath = \"{path}\"\ngroups = {groups:?}\n"
            )
        })
        .collect();
    let toml = format!(
        "{operations}[cedar]\nfiles = [\"all.cedar\"]\n[[rule]]\nid = \"r\"\neffect = \"allow\"\npath = \"/never\"\n"
    );
    let (mut compared, mut permitted, mut failed) = (0, 0, 0);
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut texts = Vec::new();
        while texts.len() < 12 {
            let text = random.policy(texts.len());
            // Some can never apply, which is an error when they are loaded.
            if load(&toml, &text, &PolicyOptions::new()).is_ok() {
                texts.push(text);
            }
        }
        let all = texts.concat();
        let policy = load(&toml, &all, &PolicyOptions::new()).unwrap();
        let set: PolicySet = all.parse().unwrap();
        for _ in 0..80 {
            let operation = random.below(OPERATIONS.len() + 1);
            let (id, method, path) = match OPERATIONS.get(operation) {
                Some((id, method, path, _)) => {
                    (*id, *method, path.replace("{id}", random.of(&["7", "8"])))
                }
                None => ("other", "DELETE", "/orders".to_owned()),
            };
            let roles: Vec<&'static str> = ROLES
                .iter()
                .copied()
                .filter(|_| random.below(2) == 0)
                .collect();
            let hour = random.below(24);
            let now = Timestamp::from_secs(NOW.as_secs() + (hour as u64) * 3600);
            let hour = (10 + hour) % 24;
            let kind = random.below(3);
            let (who, uid, subject) = match kind {
                0 => (
                    Some(ada().roles(roles.iter().copied()).finish()),
                    "User::\"https://id.shop.example#ada\"",
                    Some("ada"),
                ),
                1 => (
                    Some(
                        Principal::assertion(
                            PrincipalKind::Service,
                            "robot",
                            AuthMethod::Signature,
                        )
                        .roles(roles.iter().copied())
                        .finish(),
                    ),
                    "Service::\"#robot\"",
                    Some("robot"),
                ),
                _ => (None, "Anonymous::\"anonymous\"", None),
            };
            let asked = request(method, &path).by(who.clone()).at(now);
            let ours = asked.ask(&policy);

            let roles = if who.is_some() { roles } else { Vec::new() };
            let response = cedar(
                &set, operation, id, &path, method, uid, subject, &roles, hour,
            );
            let errors = response.diagnostics().errors().count();
            if errors == 0 {
                let theirs = response.decision() == Decision::Allow;
                assert_eq!(
                    ours.is_ok(),
                    theirs,
                    "seed {seed}: {method} {path} {uid} {roles:?} {hour}\n{all}"
                );
                if let Ok(rule) = &ours {
                    let number = |id: &str| {
                        texts
                            .iter()
                            .position(|text| text.contains(&format!("@id(\"{id}\")")))
                    };
                    let reasons: HashSet<String> = response
                        .diagnostics()
                        .reason()
                        .map(ToString::to_string)
                        .collect();
                    // The ids that Cedar gives count from zero.
                    assert!(
                        reasons.contains(&format!("policy{}", number(rule).unwrap())),
                        "{rule} {reasons:?}"
                    );
                }
                compared += 1;
                permitted += usize::from(theirs);
            } else {
                assert!(ours.is_err(), "seed {seed}: fails and is permitted\n{all}");
                failed += 1;
            }
        }
    }
    assert!(
        compared > 600 && permitted > 30 && failed > 20,
        "{compared} {permitted} {failed}"
    );
}

#[expect(clippy::too_many_arguments, reason = "everything that a request is")]
fn cedar(
    set: &PolicySet,
    operation: usize,
    id: &str,
    path: &str,
    method: &str,
    uid: &str,
    subject: Option<&str>,
    roles: &[&str],
    hour: usize,
) -> cedar_policy::Response {
    let text = |text: &str| Value::new_string(text.to_owned());
    let uid: EntityUid = uid.parse().unwrap();
    let named = |kind: &str, id: &str| -> EntityUid { format!("{kind}::{id:?}").parse().unwrap() };
    let mut attributes = HashMap::from([(
        "roles".to_owned(),
        Value::new_set(roles.iter().map(|role| text(role))),
    )]);
    attributes.extend(subject.map(|subject| ("subject".to_owned(), text(subject))));
    let mut entities = vec![Entity::new(uid.clone(), attributes, HashSet::new()).unwrap()];
    for (id, _, _, groups) in OPERATIONS {
        let groups = groups.iter().map(|group| named("Action", group)).collect();
        entities.push(Entity::new_no_attrs(named("Action", id), groups));
    }
    let entities = Entities::from_entities(entities, None).unwrap();
    let template = OPERATIONS
        .get(operation)
        .map_or("other", |(_, _, path, _)| path);
    let mut parameters = Vec::new();
    if template.contains("{id}") {
        parameters.push(("id".to_owned(), text(path.rsplit('/').next().unwrap())));
    }
    let context = Context::from_pairs([
        (
            "request".to_owned(),
            Value::new_record([
                ("method".to_owned(), text(method)),
                ("path".to_owned(), text(path)),
                ("params".to_owned(), Value::new_record(parameters).unwrap()),
            ])
            .unwrap(),
        ),
        (
            "time".to_owned(),
            Value::new_record([(
                "hour".to_owned(),
                Value::new_long(i64::try_from(hour).unwrap()),
            )])
            .unwrap(),
        ),
    ])
    .unwrap();
    let request = CedarRequest::new(
        uid,
        named("Action", id),
        named("Route", template),
        context,
        None,
    );
    Authorizer::new().is_authorized(&request.unwrap(), set, &entities)
}
