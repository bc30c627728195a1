//! Proofs that hold only once the body was seen, and where they stand.

use super::*;
use crate::authenticate::{AnyOf, any_of};

#[tokio::test]
async fn nobody_is_named_before_the_body_has_proved_it() {
    for waits in [false, true] {
        let fake = Fake::collects("abc").naming("hook", waits);
        // `refused` asserts that the trail names nobody.
        let setup = Setup::of([&fake]);
        setup.ask(full("abx")).await.refused(Code::SignatureInvalid);
        let setup = Setup::of([&fake]);
        setup
            .ask(full("123456789"))
            .await
            .refused(Code::BodyTooLarge);
        let outcome = Setup::of([&fake]).ask(full("abc")).await;
        assert_eq!(outcome.pieces(), ["abc"]);
        assert_eq!(outcome.trail.principal().unwrap().subject(), "hook");
    }
}

#[tokio::test]
async fn refuses_what_the_body_does_not_prove() {
    for waits in [false, true] {
        for body in ["abc", ""] {
            let fake = Fake {
                refuses: true,
                ..Fake::collects(body).naming("hook", waits)
            };
            let outcome = Setup::of([&fake]).ask(full(body)).await;
            outcome.refused(Code::Replayed);
            assert_eq!(fake.asked().len(), 2);
        }
    }
}

#[tokio::test]
async fn refuses_a_proof_that_has_ended() {
    for waits in [false, true] {
        let fake = Fake {
            ended: true,
            ..Fake::collects("abc").naming("hook", waits)
        };
        let outcome = Setup::of([&fake]).ask(full("abc")).await;
        outcome.refused(Code::CredentialExpired);
    }
}

#[tokio::test]
async fn of_two_proofs_nobody_is_named_unless_both_hold() {
    for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
        let one = Fake::collects("abc").naming("one", first);
        let two = Fake::collects("abc").naming("two", second);
        for body in [full("abc"), pieces([data("a"), data("bc")])] {
            let outcome = Setup::of([&one, &two]).ask(body).await;
            let who = outcome.trail.principal().unwrap();
            assert_eq!(who.subject(), "one");
            let further: Vec<_> = who.further_proofs().map(Principal::subject).collect();
            assert_eq!(further, ["two"]);
        }
        assert_eq!(one.asked(), ["plan, body", "abc", "plan, body", "abc"]);

        let no = Fake {
            refuses: true,
            ..two
        };
        let outcome = Setup::of([&one, &no]).ask(full("abc")).await;
        outcome.refused(Code::Replayed);
        let outcome = Setup::of([&no, &one]).ask(full("abc")).await;
        outcome.refused(Code::Replayed);
    }
}

#[tokio::test]
async fn a_third_proof_is_refused() {
    let fake = Fake::collects("abc");
    let setup = Setup::of([&fake, &fake, &fake]);
    setup.ask(full("abc")).await.refused(Code::StackMisordered);
}

#[tokio::test]
async fn a_chain_that_verifies_no_body_refuses_what_is_owed() {
    for observes in [false, true] {
        let looks = Looks::default();
        let signed = Signed(vec![Fake::with(BodyPlan::HandOn)]);
        let chain = Link::new(Root, looks.clone()).then(Authenticated::new(signed));
        let setup = Setup {
            observes,
            ..Setup::of([])
        };
        let outcome = setup.through(chain, looks, full("abc")).await;
        outcome.refused(Code::StackMisordered);
        let denial = outcome.denial.unwrap();
        assert!(denial.private_detail().unwrap().contains("body"));
    }
}

/// Proves no body.
#[derive(Debug, Clone)]
struct Plain;

impl Authenticate for Plain {
    const NAME: &'static str = "Plain";

    fn presented(&self, parts: &Parts, _: &SecurityContext) -> Presented {
        match parts.headers.contains_key("x-plain") {
            true => Presented::Mine,
            false => Presented::Absent,
        }
    }

    fn authenticate(&self, _: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
        Step::pass(Arc::new(Principal::anonymous()))
    }

    fn challenges(&self) -> Vec<Challenge> {
        Vec::new()
    }
}

/// [`Signed`], unless `x-plain` is there.
#[derive(Debug, Clone)]
struct Unless(Signed);

impl Authenticate for Unless {
    const NAME: &'static str = "Unless";
    const PROVES_BODY: bool = true;

    fn presented(&self, parts: &Parts, cx: &SecurityContext) -> Presented {
        match Plain.presented(parts, cx) {
            Presented::Mine => Presented::Absent,
            _ => Presented::Mine,
        }
    }

    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        self.0.authenticate(parts, cx)
    }

    fn challenges(&self) -> Vec<Challenge> {
        Vec::new()
    }
}

crate::impl_body_authenticate_layer!(Unless);

#[tokio::test]
async fn combinations_stand_alone_with_a_body() {
    let signed = || Unless(Signed(vec![Fake::collects("abc")]));
    type Answer = Result<Response<Full<Bytes>>, Infallible>;
    async fn handler(request: Request<RequestBody<TestBody>>) -> Answer {
        let body = request.into_body().collect().await;
        Ok(Response::new(Full::new(body.unwrap().to_bytes())))
    }
    let any: WithBody<AnyOf<Plain, Unless>> = with_body(any_of(Plain, signed()));
    for (plain, body, expected) in [
        (false, "abc", [200, 200]),
        (false, "abx", [401, 401]),
        (true, "abx", [200, 401]),
    ] {
        let request = || {
            let mut request = Request::new(full(body));
            if plain {
                let headers = request.headers_mut();
                headers.insert("x-plain", "1".parse().unwrap());
            }
            request
        };
        let any = any.layer(service_fn(handler)).oneshot(request());
        let alone = signed().layer(service_fn(handler)).oneshot(request());
        let found = [
            any.await.unwrap().status().as_u16(),
            alone.await.unwrap().status().as_u16(),
        ];
        assert_eq!(found, expected, "{plain} {body}");
    }
}

#[test]
fn a_stack_names_the_step_only_where_there_is_one() {
    use crate::stack::ZeroTrust;

    let stack = |proves: bool| {
        let builder = ZeroTrust::builder().without_audit();
        if proves {
            let stack = builder.authenticate(Signed(Vec::new()));
            stack.any_authenticated().build().unwrap().to_string()
        } else {
            let stack = builder.authenticate(Plain);
            stack.any_authenticated().build().unwrap().to_string()
        }
    };
    assert!(stack(true).contains("\n5 Signed\n5 VerifyBody\n"));
    assert!(stack(false).contains("\n5 Plain\n7 "));
    assert!(!stack(false).contains("VerifyBody"));
}
