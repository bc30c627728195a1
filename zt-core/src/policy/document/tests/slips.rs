//! Requests that try to slip by a denying rule, and files that are not what they look like.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{
    clock::{Clock, SystemClock},
    policy::{Answer, CompiledPolicy, Question},
};

fn load(text: &str) -> CompiledPolicy {
    CompiledPolicy::from_toml(text, &PolicyOptions::new()).unwrap()
}

/// The rule that answers, or nothing where none does.
async fn answer(policy: &CompiledPolicy, question: Question) -> (bool, Option<String>) {
    let answer: Answer = policy.ask(&question).await.unwrap();
    (answer.is_permitted(), answer.rule().map(str::to_owned))
}

const SPELLINGS: &str = r#"
[[rule]]
id = "all"
effect = "allow"
path = "/{rest..}"
[[rule]]
id = "not-that"
effect = "deny"
paths = ["/caf%C3%A9/{id}", "/users/@me", "/things:purge", "/a%7Bb%7D/{rest..}"]
"#;

#[tokio::test]
async fn another_spelling_of_a_path_does_not_slip_by_a_denying_rule() {
    let policy = load(SPELLINGS);
    for path in [
        "/caf%C3%A9/1",
        "/caf%c3%a9/1",
        "/caf%C3%a9/1",
        "/users/@me",
        "/users/%40me",
        "/things:purge",
        "/things%3apurge",
        "/things%3Apurge",
        "/a%7Bb%7D/x",
        "/a%7bb%7D/x/%c3%a9",
        "/a{b}/x",
    ] {
        let question = Question::new(format!("GET {path}"));
        let denied = (false, Some("not-that".to_owned()));
        assert_eq!(answer(&policy, question.clone()).await, denied, "{path}");
        let explained = policy.explain(&question).await.unwrap();
        let rule = explained.rules.first().unwrap();
        assert_eq!((&*rule.id, rule.misses.len()), ("not-that", 0), "{path}");
    }
    for path in ["/caf%C3%A8/1", "/users/%40you", "/users/%2540me", "/things"] {
        let question = Question::new(format!("GET {path}"));
        assert!(answer(&policy, question).await.0, "{path}");
    }
}

#[tokio::test]
async fn an_allowing_rule_allows_the_usual_spelling_alone() {
    let policy = load(
        "[[rule]]\nid = \"me\"\neffect = \"allow\"\npaths = [\"/users/@me\", \"/caf%C3%A9\"]\n",
    );
    for (path, allowed) in [
        ("/users/@me", true),
        ("/users/%40me", false),
        ("/caf%C3%A9", true),
        ("/caf%c3%a9", false),
    ] {
        let question = Question::new(format!("GET {path}"));
        assert_eq!(answer(&policy, question).await.0, allowed, "{path}");
    }
}

#[test]
fn templates_are_written_in_their_usual_spelling() {
    for (path, usual) in [
        ("/caf%c3%a9", "caf%C3%A9"),
        ("/users/%40me", "@me"),
        ("/a/{id}/b%3ac", "b:c"),
        ("/a|b", "a%7Cb"),
    ] {
        let text = format!("[[rule]]\nid = \"a\"\neffect = \"deny\"\npath = \"{path}\"\n");
        let said = errors(&text)[0].to_string();
        assert!(said.contains(&format!("write `{usual}`")), "{said}");
    }
}

#[cfg(feature = "cedar")]
#[tokio::test]
async fn another_spelling_of_an_operation_does_not_slip_by_a_whole_policy() {
    let text = r#"
[operations.purge]
path = "/things:purge"
[cedar]
files = ["shop.cedar"]
"#;
    let main = SourceText {
        file: "policy.toml".into(),
        text: text.into(),
    };
    let cedar = |_: &str| {
        Ok(Arc::from(
            "@id(\"all\") permit(principal, action, resource);\n\
             @id(\"no-purge\") forbid(principal, action == Action::\"purge\", resource);",
        ))
    };
    let options = PolicyOptions::new();
    let policy =
        CompiledPolicy::compile(parse(&main, &cedar, &options).unwrap(), &options).unwrap();
    for (path, allowed) in [
        ("/things", true),
        ("/things%40", true),
        ("/things:purge", false),
        ("/things%3apurge", false),
        ("/things%3Apurge", false),
    ] {
        let question = Question::new(format!("POST {path}"));
        assert_eq!(answer(&policy, question).await.0, allowed, "{path}");
    }
}

/// Whoever acts for somebody else has an `act`, which is an object (RFC 8693 section 4.1).
#[tokio::test]
async fn a_claim_that_is_no_text_is_there_all_the_same() {
    let policy = load(
        r#"
[[rule]]
id = "all"
effect = "allow"
[[rule]]
id = "in-person"
effect = "deny"
caller = { claims = { act = "*" } }
"#,
    );
    for (claims, allowed) in [
        (json!({}), true),
        (json!({"act": null}), true),
        (json!({"act": {}}), true),
        (json!({"act": {"sub": "mallory"}}), false),
        (json!({"act": [{"sub": "mallory"}]}), false),
        (json!({"act": [["mallory"]]}), false),
        (json!({"act": "mallory"}), false),
        (json!({"act": false}), false),
    ] {
        let question = Question::new("GET /")
            .user("https://id", "ada")
            .claims(claims.clone());
        assert_eq!(answer(&policy, question).await.0, allowed, "{claims}");
    }
}

#[tokio::test]
async fn a_client_of_whom_nobody_knows_where_it_is_does_not_slip_by_a_network() {
    let policy = load(
        r#"
[[rule]]
id = "all"
effect = "allow"
path = "/orders/{rest..}"
[[rule]]
id = "inside"
effect = "allow"
caller = { networks = ["10.0.0.0/8"] }
path = "/inside/{rest..}"
[[rule]]
id = "no-strangers"
effect = "deny"
caller = { networks = ["203.0.113.0/24"] }
path = "/orders/{rest..}"
"#,
    );
    let from = |address: &str| Question::new("GET /orders/7").client(address.parse().unwrap());
    let denied = (false, Some("no-strangers".to_owned()));
    assert_eq!(answer(&policy, from("203.0.113.9")).await, denied);
    assert!(answer(&policy, from("198.51.100.9")).await.0);
    assert_eq!(
        answer(&policy, Question::new("GET /orders/7")).await,
        denied
    );
    // Nobody is let in because of it.
    assert!(!answer(&policy, Question::new("GET /inside/7")).await.0);
}

#[test]
fn what_is_shown_otherwise_than_it_is_read_is_refused() {
    let rule = |id: &str, more: &str| {
        format!("[[rule]]\nid = \"{id}\"\neffect = \"allow\"\npath = \"/a\"\n{more}")
    };
    assert!(read_toml(&rule("a", ""), &PolicyOptions::new()).is_ok());
    for text in [
        rule("a\u{202e}b", ""),
        rule("a", "# \u{202e} \"yned\" = tceffe"),
        rule("a\u{200b}", ""),
        rule("a\u{2060}b", ""),
        rule("\\u202e", ""),
        rule("a", "# comment\reffect = \"deny\""),
        rule("a", "effect = \"deny\""),
        rule("a", "\"effect\" = \"deny\""),
        rule("a", "'effect' = \"deny\""),
        rule("a", "caller.kind = \"user\"\ncaller = { roles = \"x\" }"),
        rule("a", "caller = { kind = \"user\" }\ncaller.subject = \"x\""),
        format!("rule = []\n{}", rule("a", "")),
        format!("{}[rule]\nid = \"b\"\n", rule("a", "")),
        format!("{}[[\"rule\"]]\n", rule("a", "")),
    ] {
        let found = errors(&text);
        assert!(!found.is_empty(), "{text:?}");
    }
}

#[test]
fn marks_and_ends_of_lines_change_nothing() {
    let text = "[[rule]]\nid = \"a\"\neffect = \"deny\"\npath = \"/a\"\n\
                [[rule]]\nid = \"b\"\neffect = \"allow\"\n";
    let plain = read_toml(text, &PolicyOptions::new()).unwrap().rules;
    for other in [text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        let rules = read_toml(&other, &PolicyOptions::new()).unwrap().rules;
        assert_eq!(format!("{plain:?}"), format!("{rules:?}"), "{other:?}");
    }
}

/// What a few lines multiply to is counted, and not only how many lines there are.
#[test]
fn files_that_are_made_to_take_long_do_not() {
    let list = |count: usize, one: &dyn Fn(usize) -> String| {
        (0..count).map(one).collect::<Vec<_>>().join(", ")
    };
    let paths = list(3_000, &|at| format!("\"/p/{at}\""));
    let roles: String = (0..3_000)
        .map(|at| format!("[roles.r{at}]\nall = [\"read\"]\n"))
        .collect();
    let multiplied =
        format!("[resources.all]\npaths = [{paths}]\nactions = {{ read = [\"GET\"] }}\n{roles}");
    let wide: String = (0..1_500)
        .map(|rule| {
            let subjects = list(90, &|at| format!("\"a-{rule}-{at}-*\""));
            format!(
                "[[rule]]\nid = \"{rule}\"\neffect = \"allow\"\n\
                 caller = {{ subject = [{subjects}] }}\n"
            )
        })
        .collect();
    let operations: String = (0..3_000)
        .map(|at| format!("[operations.o{at}]\nmethod = \"M{at}\"\npath = \"/{{x}}\"\n"))
        .collect();
    let one = "[[rule]]\nid = \"a\"\neffect = \"allow\"\noperation = \"o0\"\n";
    let clock = SystemClock;
    for (what, text, refused) in [
        ("roles", multiplied, true),
        ("rules with many texts", wide, false),
        ("operations", format!("{operations}{one}"), false),
    ] {
        let begin = clock.monotonic();
        let read = read_toml(&text, &PolicyOptions::new());
        let took = clock.monotonic() - begin;
        assert!(took < Duration::from_secs(120), "{what} took {took:?}");
        match read {
            Ok(document) => assert!(!refused && !document.rules.is_empty(), "{what}"),
            Err(errors) => {
                assert!(
                    refused && errors.to_string().contains("may too much"),
                    "{errors}"
                );
            }
        }
    }
}

#[test]
fn two_files_without_a_name_cannot_take_each_others_database_roles_apart() {
    let section = "[database]\nname = \"shop\"\n[database.roles.orders]\n\
                   workload = \"spiffe://shop.example/orders\"\ntables.t = [\"select\"]\n";
    let rule = "[[rule]]\nid = \"a\"\neffect = \"allow\"\npath = \"/a\"\n\
                caller = { workload = \"spiffe://shop.example/orders\" }\n";
    let load = |text: &str| CompiledPolicy::from_toml(text, &PolicyOptions::new());
    let errors = load(&format!("{rule}{section}")).unwrap_err().to_string();
    assert!(
        errors.starts_with("policy.toml:6:") && errors.contains("without a name"),
        "{errors}"
    );
    assert!(errors.contains("say `policy = \"NAME\"`"), "{errors}");
    assert!(load(&format!("policy = \"shop\"\n{rule}{section}")).is_ok());
}

#[tokio::test]
async fn another_spelling_of_a_closer_operation_does_not_slip_by_its_rule() {
    let text = r#"
[operations.user]
method = "GET"
path = "/users/{id}"
[operations.me]
method = "GET"
path = "/users/@me"
[operations.purge]
method = "GET"
path = "/users/all:purge"
[[rule]]
id = "user"
effect = "allow"
operation = "user"
[[rule]]
id = "own"
effect = "allow"
operation = "me"
caller = { kind = "user" }
"#;
    let policy = load(text);
    for path in [
        "/users/@me",
        "/users/%40me",
        "/users/all:purge",
        "/users/all%3apurge",
    ] {
        let question = Question::new(format!("GET {path}"));
        assert_eq!(
            answer(&policy, question.clone()).await,
            (false, None),
            "{path}"
        );
        let explained = policy.explain(&question).await.unwrap();
        let rule = explained.rules.iter().find(|rule| &*rule.id == "user");
        assert!(rule.is_none_or(|rule| !rule.misses.is_empty()), "{path}");
        let review = policy.who_can(&format!("GET {path}")).unwrap();
        assert!(
            review.allow.iter().all(|rule| &*rule.rule != "user"),
            "{path}"
        );
    }
    for path in ["/users/7", "/users/%40you", "/users/caf%c3%a9"] {
        let allowed = (true, Some("user".to_owned()));
        assert_eq!(
            answer(&policy, Question::new(format!("GET {path}"))).await,
            allowed
        );
        assert_eq!(
            policy.who_can(&format!("GET {path}")).unwrap().allow.len(),
            1
        );
    }
}

#[cfg(feature = "cedar")]
#[tokio::test]
async fn a_condition_opens_no_closer_operation_in_another_spelling() {
    let policy = load(
        r#"
[operations.user]
path = "/users/{id}"
[operations.me]
path = "/users/@me"
[[rule]]
id = "user"
effect = "allow"
operation = "user"
when = "context.request.method == \"GET\""
[[rule]]
id = "me"
effect = "allow"
operation = "me"
caller = { kind = "user" }
"#,
    );
    for (path, allowed) in [
        ("/users/7", true),
        ("/users/%40you", true),
        ("/users/@me", false),
        ("/users/%40me", false),
    ] {
        let question = Question::new(format!("GET {path}"));
        assert_eq!(answer(&policy, question).await.0, allowed, "{path}");
    }
}
