use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use super::*;
use crate::{
    authorize::{
        AttributeError, AttributeQuestion, AttributeResult, AttributeSource, AttributeValue,
    },
    clock::ManualClock,
    gate::Step,
    store::BoxFuture,
};

const TOML: &str = r#"
[operations.open]
path = "/x/{id}"

[attributes.device]
managed = "boolean"
patched = "time"
owner = "text?"

[attributes.place]
country = "text"

[[rule]]
id = "managed"
effect = "allow"
operation = "open"
when = 'context.device.managed && context.device.patched > datetime("2026-11-01")'

[[rule]]
id = "owner"
effect = "allow"
path = "/owners/{id}"
when = 'context.device has owner && principal has subject && context.device.owner == principal.subject'

[[rule]]
id = "here"
effect = "allow"
path = "/here"
when = 'context.place.country == "AT" && context.device.managed'
"#;

/// Answers in some way, and counts how often it is asked.
#[derive(Debug, Clone)]
struct Says {
    how: How,
    asked: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
enum How {
    Attributes(Vec<(&'static str, AttributeValue)>),
    Fails,
    Never,
    Panics,
    PanicsLater,
}

impl Says {
    fn new(how: How) -> Self {
        Self {
            how,
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl AttributeSource for Says {
    fn attributes(&self, question: AttributeQuestion) -> BoxFuture<'static, AttributeResult> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(question.now, NOW);
        if &*question.path == "/x/7" {
            assert_eq!(question.operation.as_deref(), Some("open"));
            let parameters = question
                .parameters
                .iter()
                .map(|(name, value)| (&**name, &**value));
            assert_eq!(parameters.collect::<Vec<_>>(), [("id", "7")]);
        }
        let how = self.how.clone();
        assert!(!matches!(how, How::Panics), "at once");
        Box::pin(async move {
            match how {
                How::Attributes(all) => Ok(all
                    .into_iter()
                    .map(|(name, value)| (Arc::from(name), value))
                    .collect::<BTreeMap<_, _>>()),
                How::Fails => Err(AttributeError("down".into())),
                How::Never => std::future::pending().await,
                How::Panics | How::PanicsLater => panic!("later"),
            }
        })
    }
}

fn posture(managed: bool) -> How {
    How::Attributes(vec![
        ("managed", AttributeValue::Boolean(managed)),
        ("patched", AttributeValue::Time(NOW)),
        ("owner", AttributeValue::Text("ada".into())),
        ("undeclared", AttributeValue::Integer(7)),
    ])
}

fn country(name: &str) -> How {
    How::Attributes(vec![("country", AttributeValue::Text(name.into()))])
}

fn with(device: &Says, place: &Says) -> crate::policy::CompiledPolicy {
    let options = PolicyOptions::new()
        .clock(ManualClock::at(NOW))
        .attributes("device", device.clone())
        .attributes("place", place.clone());
    load(TOML, "", &options).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn what_a_source_says_decides() {
    let place = Says::new(country("AT"));
    for (how, answer) in [
        (posture(true), Ok("managed".to_owned())),
        (posture(false), Err(Code::PolicyDenied)),
    ] {
        let device = Says::new(how);
        let policy = with(&device, &place);
        assert_eq!(request("GET", "/x/7").answer(&policy), answer);
        assert_eq!((device.asked(), place.asked()), (1, 0));
    }
    let (device, place) = (Says::new(posture(true)), Says::new(country("AT")));
    let policy = with(&device, &place);
    assert_eq!(
        request("GET", "/here").answer(&policy).as_deref(),
        Ok("here")
    );
    assert_eq!((device.asked(), place.asked()), (1, 1));
    assert_eq!(
        request("GET", "/owners/7").answer(&policy).as_deref(),
        Ok("owner")
    );
    // Where no condition that matters reads them, nobody is asked.
    assert_eq!(
        request("GET", "/elsewhere").answer(&policy),
        Err(Code::PolicyDenied)
    );
    assert_eq!((device.asked(), place.asked()), (2, 1));
}

#[test]
fn refuses_what_a_source_leaves_out_lies_about_or_cannot_tell() {
    use AttributeValue::{Boolean, Integer, Text, Time};
    let managed = || ("managed", Boolean(true));
    let patched = || ("patched", Time(NOW));
    for (how, code) in [
        (How::Attributes(vec![]), Code::PolicyDenied),
        (How::Attributes(vec![managed()]), Code::PolicyDenied),
        (
            How::Attributes(vec![patched(), ("managed", Integer(1))]),
            Code::PolicyDenied,
        ),
        (
            How::Attributes(vec![patched(), ("managed", Text("true".into()))]),
            Code::PolicyDenied,
        ),
        (
            How::Attributes(vec![managed(), ("patched", Integer(7))]),
            Code::PolicyDenied,
        ),
        (
            How::Attributes(vec![managed(), patched(), ("owner", Integer(7))]),
            Code::PolicyDenied,
        ),
        (
            How::Attributes(vec![managed(), ("patched", Time(Timestamp::MAX))]),
            Code::PolicyDenied,
        ),
        (How::Fails, Code::StoreUnavailable),
        (How::Panics, Code::StoreUnavailable),
        (How::PanicsLater, Code::StoreUnavailable),
    ] {
        let device = Says::new(how.clone());
        let policy = with(&device, &Says::new(country("AT")));
        assert_eq!(request("GET", "/x/7").answer(&policy), Err(code), "{how:?}");
        // One that fails is enough, whatever the other says.
        let policy = with(&device, &Says::new(country("AT")));
        assert!(request("GET", "/here").answer(&policy).is_err(), "{how:?}");
    }
}

#[test]
fn sources_are_asked_at_once_and_waited_for_no_longer_than_the_deadline() {
    let clock = ManualClock::at(NOW);
    let (device, place) = (Says::new(How::Never), Says::new(country("AT")));
    let options = PolicyOptions::new()
        .clock(clock.clone())
        .attribute_deadline(Duration::from_secs(2))
        .attributes("device", device.clone())
        .attributes("place", place.clone());
    let policy = load(TOML, "", &options).unwrap();
    let mut asked = request("GET", "/here").made();
    let Step::Later(mut later) = asked.begin(&policy) else {
        panic!("answered at once");
    };
    assert!(asked.poll(&mut later).is_pending());
    assert_eq!((device.asked(), place.asked()), (1, 1));
    clock.advance(Duration::from_millis(1999));
    assert!(asked.poll(&mut later).is_pending());
    clock.advance(Duration::from_millis(1));
    match asked.poll(&mut later) {
        Poll::Ready(Err(denial)) => assert_eq!(denial.code(), Code::StoreUnavailable),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_is_not_named_as_a_part_of_every_context() {
    for name in ["peer", "body", "grants", "time", "principal", "mfa_age"] {
        let toml = format!(
            "[attributes.{name}]\na = \"text\"\n[[rule]]\nid = \"a\"\neffect = \"allow\"\npath = \"/a\"\n"
        );
        let options = PolicyOptions::new().attributes(name, Says::new(How::Fails));
        wrong(&toml, "", &options);
    }
}

#[test]
fn whoever_gets_a_grant_while_attributes_are_fetched_may_ask_again() {
    const TWO: &str = r#"
[attributes.device]
managed = "boolean"
[attributes.place]
country = "text"

[[rule]]
id = "granted"
effect = "allow"
path = "/x"
grant = "x"
when = 'context.device.managed'

[[rule]]
id = "here"
effect = "allow"
path = "/x"
when = 'context.place.country == "AT"'
"#;
    let grant = Switch::new(false);
    let options = PolicyOptions::new()
        .clock(ManualClock::at(NOW))
        .grants(grant.clone())
        .attributes("device", Says::new(posture(true)))
        .attributes("place", Says::new(country("AT")));
    let policy = load(TWO, "", &options).unwrap();
    let mut asked = request("GET", "/x").made();
    let Step::Later(mut later) = asked.begin(&policy) else {
        panic!("answered at once");
    };
    grant.turn(true);
    match asked.poll(&mut later) {
        Poll::Ready(Err(denial)) => assert_eq!(denial.code(), Code::StoreUnavailable),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        request("GET", "/x").answer(&policy).as_deref(),
        Ok("granted")
    );
}
