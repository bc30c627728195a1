//! Asks a policy what its text speaks of, in every way that there is, and compares the answers: what
//! decides is an index, what explains and reviews goes through the rules one by one.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use zt_core::policy::{CompiledPolicy, Outcome, Question};

/// What stands between the texts of a file.
const BETWEEN: [char; 8] = ['"', '\'', ' ', '\n', ',', '[', ']', '\t'];
/// How many paths and hosts of a text are asked for.
const MOST: usize = 4;

/// # Panics
///
/// Where two ways of asking answer differently.
pub fn ask_all(policy: &CompiledPolicy, text: &str) {
    let literals: Vec<String> = text.split(BETWEEN).take(1000).map(filled).collect();
    let paths = literals.iter().filter(|text| text.starts_with('/'));
    let is_host = |text: &&String| text.contains('.') && !text.contains(['/', ' ', '=', '\n']);
    let hosts: Vec<&String> = literals.iter().filter(is_host).take(MOST).collect();
    for (place, path) in paths.take(MOST).enumerate() {
        for method in ["GET", "POST"] {
            let mut question = Question::new(format!("{method} {path}"));
            if let Some(host) = hosts.get(place % hosts.len().max(1)) {
                question = question.host(*host);
            }
            ask(policy, &question);
            let service = question.clone().workload("spiffe://shop.example/orders");
            ask(policy, &service.client([203, 0, 113, 7].into()));
            let user = question.user("https://id.shop.example", "shop-ada");
            ask(policy, &user.roles(["clerk", "auditor"]).scopes(["one", "read", "write", "a"]));
        }
    }
}

/// A text with something in the place of what templates leave open.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    for (place, part) in text.split('{').enumerate() {
        match part.split_once('}') {
            Some((_, rest)) if place > 0 => filled.extend(["x", rest]),
            _ => filled.push_str(part),
        }
    }
    filled.replace('*', "y")
}

fn ask(policy: &CompiledPolicy, question: &Question) {
    let Ok(answer) = driven(policy.ask(question)) else { return };
    let explanation = driven(policy.explain(question)).expect("it is a question");
    assert_eq!(explanation.answer, answer);
    assert!(explanation.to_string().lines().count() > explanation.rules.len());
    let what = driven(async { policy.what_can(question) }).expect("it is a question");
    let in_force = || explanation.rules.iter().filter(|rule| !rule.dry_run);
    let matched = |effect| {
        in_force().find(move |rule| rule.effect == effect && rule.outcome == Outcome::Matched)
    };
    if answer.is_permitted() {
        assert!(matched("deny").is_none(), "{explanation}");
        assert!(what.denied_by().is_none(), "{explanation}{what}");
        if what.open {
            return;
        }
        let rule = answer.rule().expect("somebody says so");
        let decided = in_force().find(|it| *it.id == *rule).expect("it is a rule in force");
        assert_eq!((decided.effect, decided.outcome), ("allow", Outcome::Decided));
        assert!(what.allow.iter().any(|it| *it.rule == *rule), "{explanation}{what}");
    } else if answer.rule().is_none() && answer.code() == Some("policy-denied") {
        assert!(matched("allow").is_none(), "{explanation}");
        assert!(matched("deny").is_none(), "{explanation}");
    } else if let Some(rule) = answer.rule() {
        assert!(in_force().any(|it| *it.id == *rule), "{explanation}");
    }
}

/// Nothing is waited for: facts are declared, and the clock stands still.
fn driven<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits for something"),
    }
}
