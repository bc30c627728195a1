use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, header::WWW_AUTHENTICATE, request::Parts};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    body::ZtBody,
    clock::Timestamp,
    context::Trail,
    gate::{GateLayer, Later, Link, Settings},
    identity::{AuthMethod, PrincipalKind},
    state::{RouteRule, Routes},
};

/// Takes the header `x-name: good-..` for a proof; `foreign-..` is a credential of another kind.
#[derive(Debug, Clone)]
struct Fake {
    header: &'static str,
    method: AuthMethod,
    scheme: &'static str,
    expires: u64,
    waits: bool,
}

impl Authenticate for Fake {
    const NAME: &'static str = "Fake";

    fn presented(&self, parts: &Parts, _: &SecurityContext) -> Presented {
        match parts.headers.get(self.header).map(|value| value.as_bytes()) {
            None => Presented::Absent,
            Some(value) if value.starts_with(b"foreign") => Presented::Foreign,
            Some(_) => Presented::Mine,
        }
    }

    fn authenticate(&self, parts: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
        let subject = parts.headers[self.header].to_str().unwrap().to_owned();
        let result = if subject.starts_with("good") {
            let principal = Principal::assertion(PrincipalKind::User, subject, self.method)
                .scopes([self.header])
                .expires_at(Timestamp::from_secs(self.expires))
                .finish();
            Ok(Arc::new(principal))
        } else {
            Err(Denial::new(Code::CredentialExpired).detail(self.header))
        };
        if self.waits {
            Step::Later(Later::new(async {
                tokio::task::yield_now().await;
                result
            }))
        } else {
            result.into()
        }
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![Challenge::new(self.scheme)]
    }
}

const SOON: u64 = 4_000_000_000;

fn jwt(waits: bool) -> Fake {
    Fake {
        header: "x-jwt",
        method: AuthMethod::Jwt,
        scheme: "Bearer",
        expires: SOON + 9,
        waits,
    }
}

fn token(waits: bool) -> Fake {
    let method = AuthMethod::ServiceToken;
    Fake {
        header: "x-token",
        method,
        scheme: "ServiceToken",
        expires: SOON,
        waits,
    }
}

fn signature(waits: bool) -> Fake {
    let method = AuthMethod::Signature;
    Fake {
        header: "x-sig",
        method,
        scheme: "Signature",
        expires: SOON + 5,
        waits,
    }
}

/// Every choice of who waits.
const BOTH: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

struct Outcome {
    denial: Option<Denial>,
    challenges: Vec<String>,
    principal: Option<Arc<Principal>>,
}

impl Outcome {
    fn code(&self) -> Option<Code> {
        self.denial.as_ref().map(Denial::code)
    }

    fn who(&self) -> &str {
        self.principal.as_ref().unwrap().subject()
    }

    fn methods(&self) -> Vec<AuthMethod> {
        self.principal.as_ref().unwrap().methods().collect()
    }
}

type Answer = Response<Full<Bytes>>;

async fn handler(request: Request<()>) -> Result<Answer, Infallible> {
    let cx = request.extensions().get::<SecurityContext>().unwrap();
    let mut response = Answer::default();
    response.extensions_mut().insert(Arc::clone(cx.trail()));
    Ok(response)
}

async fn through<C: crate::gate::Chain<()>>(chain: C, headers: &[(&'static str, &str)]) -> Outcome {
    let layer = GateLayer::new(chain, Settings::shared_default());
    let service: crate::gate::Gate<_, _> = layer.layer(service_fn(handler));
    let request = headers
        .iter()
        .fold(Request::get("/"), |request, (name, value)| {
            request.header(*name, *value)
        });
    let response: Response<ZtBody<Full<Bytes>>> =
        service.oneshot(request.body(()).unwrap()).await.unwrap();
    let trail = response.extensions().get::<Arc<Trail>>();
    let denial = response.extensions().get::<Denial>().cloned();
    assert_eq!(denial.is_some(), trail.is_none());
    Outcome {
        denial,
        challenges: response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect(),
        principal: trail.and_then(|trail| trail.principal()),
    }
}

async fn ask(authenticator: impl Authenticate, headers: &[(&'static str, &str)]) -> Outcome {
    through(Link::first(Authenticated::new(authenticator)), headers).await
}

// One

#[tokio::test]
async fn refuses_what_is_missing_foreign_or_no_good() {
    for waits in [false, true] {
        let missing = ask(jwt(waits), &[]).await;
        assert_eq!(missing.code(), Some(Code::CredentialMissing));
        assert_eq!(missing.challenges, ["Bearer"]);
        let foreign = ask(jwt(waits), &[("x-jwt", "foreign")]).await;
        assert_eq!(foreign.code(), Some(Code::CredentialInvalid));
        assert_eq!(foreign.challenges, ["Bearer"]);
        let expired = ask(jwt(waits), &[("x-jwt", "bad")]).await;
        assert_eq!(expired.code(), Some(Code::CredentialExpired));
        let good = ask(jwt(waits), &[("x-jwt", "good-ada")]).await;
        assert_eq!((good.code(), good.who()), (None, "good-ada"));
    }
}

#[tokio::test]
async fn refuses_a_proof_that_has_ended() {
    for waits in [false, true] {
        let ended = Fake {
            expires: 1_700_000_000,
            ..jwt(waits)
        };
        let ended = ask(ended, &[("x-jwt", "good-ada")]).await;
        assert_eq!(ended.code(), Some(Code::CredentialExpired));
        assert!(ended.principal.is_none());
        // The caller is told what to bring instead.
        let denial = ended.denial.unwrap();
        assert_eq!(denial.challenges(), jwt(waits).challenges());
    }
}

// Optional

#[tokio::test]
async fn optional_lets_pass_what_is_missing_and_nothing_that_is_refused() {
    for waits in [false, true] {
        let missing = ask(jwt(waits).optional(), &[]).await;
        assert!(missing.principal.unwrap().is_anonymous());
        let foreign = ask(jwt(waits).optional(), &[("x-jwt", "foreign")]).await;
        assert_eq!(foreign.code(), Some(Code::CredentialInvalid));
        let expired = ask(jwt(waits).optional(), &[("x-jwt", "bad")]).await;
        assert_eq!(expired.code(), Some(Code::CredentialExpired));
        let good = ask(jwt(waits).optional(), &[("x-jwt", "good-ada")]).await;
        assert_eq!(good.who(), "good-ada");
    }
}

#[tokio::test]
async fn combinations_are_layers_by_themselves() {
    use tower::{Layer, ServiceExt, service_fn};

    type Hello = std::future::Ready<Result<http::Response<String>, std::convert::Infallible>>;

    fn hello(_: http::Request<String>) -> Hello {
        std::future::ready(Ok(http::Response::new(String::new())))
    }

    let (optional, any, all) = (
        jwt(false).optional(),
        any_of(jwt(false), token(true)),
        all_of(jwt(true), token(false)),
    );
    for (headers, expected) in [
        (&[][..], [200, 401, 401]),
        (&["x-jwt"], [200, 200, 401]),
        (&["x-jwt", "x-token"], [200, 400, 200]),
    ] {
        macro_rules! status {
            ($layer:expr) => {{
                let service = $layer.layer(service_fn(hello));
                let mut request = http::Request::new(String::new());
                for name in headers {
                    let name = http::HeaderName::from_static(name);
                    request.headers_mut().insert(name, "good".parse().unwrap());
                }
                service.oneshot(request).await.unwrap().status().as_u16()
            }};
        }
        assert_eq!(
            [status!(optional), status!(any), status!(all)],
            expected,
            "{headers:?}"
        );
    }
}

// Any of

#[tokio::test]
async fn any_of_refuses_two_credentials_even_where_one_is_good() {
    for (a, b) in BOTH {
        for (first, second) in [
            ("good", "good"),
            ("good", "bad"),
            ("bad", "good"),
            ("bad", "bad"),
        ] {
            let both = [("x-jwt", first), ("x-token", second)];
            let outcome = ask(any_of(jwt(a), token(b)), &both).await;
            assert_eq!(outcome.code(), Some(Code::CredentialAmbiguous), "{both:?}");
        }
    }
}

#[tokio::test]
async fn any_of_never_falls_through_from_a_credential_that_was_refused() {
    for (a, b) in BOTH {
        let policy = || any_of(jwt(a), token(b));
        let refused = ask(policy(), &[("x-jwt", "bad")]).await;
        assert_eq!(refused.code(), Some(Code::CredentialExpired));
        assert_eq!(refused.denial.unwrap().private_detail(), Some("x-jwt"));
        let refused = ask(policy(), &[("x-token", "bad"), ("x-jwt", "foreign")]).await;
        assert_eq!(refused.denial.unwrap().private_detail(), Some("x-token"));
        // Nor does an optional one make a refused credential a missing one.
        let optional = any_of(jwt(a).optional(), token(b).optional());
        let refused = ask(optional, &[("x-token", "bad")]).await;
        assert_eq!(refused.code(), Some(Code::CredentialExpired));
    }
}

#[tokio::test]
async fn any_of_asks_for_either_where_nothing_of_theirs_is_there() {
    for (a, b) in BOTH {
        let policy = || any_of(jwt(a), token(b));
        let missing = ask(policy(), &[]).await;
        assert_eq!(missing.code(), Some(Code::CredentialMissing));
        assert_eq!(missing.challenges, ["Bearer", "ServiceToken"]);
        for foreign in [
            &[("x-jwt", "foreign")][..],
            &[("x-token", "foreign")],
            &[("x-jwt", "foreign"), ("x-token", "foreign")],
        ] {
            let outcome = ask(policy(), foreign).await;
            assert_eq!(outcome.code(), Some(Code::CredentialInvalid), "{foreign:?}");
            assert_eq!(outcome.challenges, ["Bearer", "ServiceToken"]);
        }
    }
    // The same challenge is not told twice.
    let missing = ask(any_of(jwt(false), jwt(true)), &[]).await;
    assert_eq!(missing.challenges, ["Bearer"]);
}

#[tokio::test]
async fn any_of_runs_the_one_whose_credential_it_is() {
    for (a, b) in BOTH {
        for headers in [
            &[("x-jwt", "good-ada")][..],
            &[("x-jwt", "good-ada"), ("x-token", "foreign")],
        ] {
            let outcome = ask(any_of(jwt(a), token(b)), headers).await;
            assert_eq!(
                (outcome.who(), outcome.methods()),
                ("good-ada", vec![AuthMethod::Jwt])
            );
        }
        let outcome = ask(any_of(jwt(a), token(b)), &[("x-token", "good-bot")]).await;
        assert_eq!(
            (outcome.who(), outcome.methods()),
            ("good-bot", vec![AuthMethod::ServiceToken])
        );
        let nested = any_of(any_of(jwt(a), token(b)), signature(a));
        let outcome = ask(nested.clone(), &[("x-token", "good-bot")]).await;
        assert_eq!(outcome.who(), "good-bot");
        let outcome = ask(nested, &[("x-sig", "good-k"), ("x-token", "good-bot")]).await;
        assert_eq!(outcome.code(), Some(Code::CredentialAmbiguous));
    }
}

#[tokio::test]
async fn any_of_is_optional_where_one_is() {
    for policy in [
        any_of(jwt(false).optional(), token(false).optional()),
        any_of(jwt(true).optional(), token(true).optional()),
    ] {
        assert!(ask(policy, &[]).await.principal.unwrap().is_anonymous());
    }
    let one = any_of(jwt(false), token(false).optional());
    assert!(
        ask(one.clone(), &[])
            .await
            .principal
            .unwrap()
            .is_anonymous()
    );
    let foreign = ask(one, &[("x-jwt", "foreign")]).await;
    assert_eq!(foreign.code(), Some(Code::CredentialInvalid));
}

// All of

#[tokio::test]
async fn all_of_refuses_where_one_is_missing_foreign_or_no_good() {
    for (a, b) in BOTH {
        let policy = || all_of(jwt(a), signature(b));
        for (headers, expected) in [
            (&[][..], Code::CredentialMissing),
            (&[("x-jwt", "good")], Code::CredentialMissing),
            (&[("x-sig", "good")], Code::CredentialMissing),
            (&[("x-jwt", "foreign")], Code::CredentialInvalid),
            (
                &[("x-jwt", "good"), ("x-sig", "foreign")],
                Code::CredentialInvalid,
            ),
            (
                &[("x-jwt", "foreign"), ("x-sig", "good")],
                Code::CredentialInvalid,
            ),
            (
                &[("x-jwt", "bad"), ("x-sig", "good")],
                Code::CredentialExpired,
            ),
            (
                &[("x-jwt", "good"), ("x-sig", "bad")],
                Code::CredentialExpired,
            ),
        ] {
            let outcome = ask(policy(), headers).await;
            assert_eq!(outcome.code(), Some(expected), "{headers:?} {a} {b}");
        }
        let missing = ask(policy(), &[("x-jwt", "good")]).await;
        assert_eq!(missing.challenges, ["Bearer", "Signature"]);
        let first = ask(policy(), &[("x-jwt", "bad"), ("x-sig", "bad")]).await;
        assert_eq!(first.denial.unwrap().private_detail(), Some("x-jwt"));
    }
}

#[tokio::test]
async fn all_of_names_the_first_and_ends_with_the_earliest() {
    for (a, b) in BOTH {
        let headers = [
            ("x-jwt", "good-ada"),
            ("x-sig", "good-key"),
            ("x-token", "good-bot"),
        ];
        let outcome = ask(all_of(jwt(a), signature(b)), &headers[..2]).await;
        assert_eq!(outcome.who(), "good-ada");
        assert_eq!(outcome.methods(), [AuthMethod::Jwt, AuthMethod::Signature]);
        let principal = outcome.principal.unwrap();
        assert_eq!(principal.expires_at(), Some(Timestamp::from_secs(SOON + 5)));
        // The second adds proof, not rights.
        assert_eq!(principal.scopes().collect::<Vec<_>>(), ["x-jwt"]);

        let nested = all_of(all_of(jwt(a), signature(b)), token(a));
        let outcome = ask(nested, &headers).await;
        assert_eq!((outcome.who(), outcome.methods().len()), ("good-ada", 3));
        let end = outcome.principal.unwrap().expires_at();
        assert_eq!(end, Some(Timestamp::from_secs(SOON)));
    }
}

#[tokio::test]
async fn all_of_and_any_of_nest() {
    for (a, b) in BOTH {
        let policy = || all_of(any_of(jwt(a), token(b)), signature(b));
        let outcome = ask(policy(), &[("x-token", "good-bot"), ("x-sig", "good-key")]).await;
        assert_eq!(
            outcome.methods(),
            [AuthMethod::ServiceToken, AuthMethod::Signature]
        );
        let both = [("x-jwt", "good"), ("x-token", "good"), ("x-sig", "good")];
        assert_eq!(
            ask(policy(), &both).await.code(),
            Some(Code::CredentialAmbiguous)
        );
        assert_eq!(
            ask(policy(), &[("x-token", "good")]).await.code(),
            Some(Code::CredentialMissing)
        );
    }
}

#[tokio::test]
async fn all_of_passes_nobody_by_halves() {
    // Nothing at all may be there where both are optional; half of it may not.
    let optional = || all_of(jwt(false).optional(), signature(true).optional());
    assert!(ask(optional(), &[]).await.principal.unwrap().is_anonymous());
    for half in [("x-jwt", "good"), ("x-sig", "good")] {
        assert_eq!(
            ask(optional(), &[half]).await.code(),
            Some(Code::CredentialMissing)
        );
    }
    let one = all_of(jwt(false), signature(false).optional());
    assert_eq!(ask(one, &[]).await.code(), Some(Code::CredentialMissing));
}

// Several layers

#[tokio::test]
async fn a_later_authenticator_adds_to_the_first_and_never_renames() {
    for (a, b) in BOTH {
        let chain = || {
            Link::first(Authenticated::new(jwt(a).optional()))
                .then(Authenticated::new(signature(b).optional()))
        };
        let outcome = through(chain(), &[("x-jwt", "good-ada"), ("x-sig", "good-key")]).await;
        assert_eq!(outcome.who(), "good-ada");
        assert_eq!(outcome.methods(), [AuthMethod::Jwt, AuthMethod::Signature]);
        let outcome = through(chain(), &[("x-jwt", "good-ada")]).await;
        assert_eq!(
            (outcome.who(), outcome.methods()),
            ("good-ada", vec![AuthMethod::Jwt])
        );
        // Whom the first did not name, the second does.
        let outcome = through(chain(), &[("x-sig", "good-key")]).await;
        assert_eq!(
            (outcome.who(), outcome.methods()),
            ("good-key", vec![AuthMethod::Signature])
        );
    }
}

#[tokio::test]
async fn nobody_is_asked_or_named_on_a_public_route() {
    #[derive(Clone)]
    struct Public;
    impl Check for Public {
        type Guard = ();
        const NAME: &'static str = "Public";
        const STAGE: Stage = Stage::Validate;
        fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
            let routes = Routes::builder()
                .route(RouteRule::any("/").public())
                .build()
                .unwrap();
            cx.set_route(routes.resolve(&http::Method::GET, "/").unwrap());
            Step::pass(())
        }
    }
    for headers in [&[][..], &[("x-jwt", "bad")], &[("x-jwt", "good-ada")]] {
        let chain = Link::first(Public).then(Authenticated::new(any_of(jwt(true), token(false))));
        let outcome = through(chain, headers).await;
        assert!(
            outcome.code().is_none() && outcome.principal.is_none(),
            "{headers:?}"
        );
    }
}
