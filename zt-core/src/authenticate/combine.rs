use std::{
    sync::Arc,
    task::{Poll, ready},
};

use http::request::Parts;

use super::{Authenticate, Presented};
use crate::{
    context::SecurityContext,
    decision::{Challenge, Code, Denial},
    gate::{Later, Step},
    identity::Principal,
};

/// Lets missing credentials pass; see [`Authenticate::optional`].
#[derive(Debug, Clone)]
pub struct Optional<A>(pub(super) A);

impl<A: Authenticate> Authenticate for Optional<A> {
    const NAME: &'static str = A::NAME;
    const PROVES_BODY: bool = A::PROVES_BODY;

    fn presented(&self, parts: &Parts, cx: &SecurityContext) -> Presented {
        self.0.presented(parts, cx)
    }

    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        self.0.authenticate(parts, cx)
    }

    fn proceed(
        &self,
        parts: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Result<Step<Arc<Principal>>, Presented> {
        self.0.proceed(parts, cx)
    }

    fn challenges(&self) -> Vec<Challenge> {
        self.0.challenges()
    }

    fn unproved(&self, presented: Presented) -> Denial {
        self.0.unproved(presented)
    }

    fn is_optional(&self) -> bool {
        true
    }
}

/// Whichever of two authenticators the credential belongs to.
#[derive(Debug, Clone)]
pub struct AnyOf<A, B>(A, B);

/// Runs the one authenticator whose credential was presented; credentials for both are
/// `credential-ambiguous`. Nest it for more than two.
pub const fn any_of<A: Authenticate, B: Authenticate>(a: A, b: B) -> AnyOf<A, B> {
    AnyOf(a, b)
}

impl<A: Authenticate, B: Authenticate> Authenticate for AnyOf<A, B> {
    const NAME: &'static str = "any_of";
    const PROVES_BODY: bool = A::PROVES_BODY || B::PROVES_BODY;

    fn presented(&self, parts: &Parts, cx: &SecurityContext) -> Presented {
        of_both(self.0.presented(parts, cx), self.1.presented(parts, cx))
    }

    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        match (self.0.presented(parts, cx), self.1.presented(parts, cx)) {
            (Presented::Mine, Presented::Mine) => Denial::new(Code::CredentialAmbiguous).into(),
            (Presented::Mine, _) => self.0.authenticate(parts, cx),
            (_, Presented::Mine) => self.1.authenticate(parts, cx),
            (presented, _) => self.unproved(presented).into(),
        }
    }

    fn challenges(&self) -> Vec<Challenge> {
        both(self.0.challenges(), self.1.challenges())
    }

    fn unproved(&self, presented: Presented) -> Denial {
        let each = [self.0.unproved(presented), self.1.unproved(presented)];
        unproved(self, presented, &each)
    }

    fn is_optional(&self) -> bool {
        self.0.is_optional() || self.1.is_optional()
    }
}

/// Both of two authenticators.
#[derive(Debug, Clone)]
pub struct AllOf<A, B>(A, B);

/// Asks for both credentials. The first names the caller, the second adds what it proved. One whose
/// proof needs the body, such as a webhook's, comes after both.
pub const fn all_of<A: Authenticate, B: Authenticate>(a: A, b: B) -> AllOf<A, B> {
    AllOf(a, b)
}

impl<A: Authenticate, B: Authenticate> Authenticate for AllOf<A, B> {
    const NAME: &'static str = "all_of";
    const PROVES_BODY: bool = A::PROVES_BODY || B::PROVES_BODY;

    fn presented(&self, parts: &Parts, cx: &SecurityContext) -> Presented {
        of_both(self.0.presented(parts, cx), self.1.presented(parts, cx))
    }

    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        for presented in [self.0.presented(parts, cx), self.1.presented(parts, cx)] {
            match presented {
                Presented::Mine => {}
                Presented::Absent => return self.unproved(Presented::Absent).into(),
                Presented::Foreign => return self.unproved(Presented::Foreign).into(),
            }
        }
        let mut first = match self.0.authenticate(parts, cx) {
            Step::Now(Err(denial)) => return denial.into(),
            Step::Now(Ok(first)) => return second(&self.1, first, parts, cx),
            Step::Later(later) => Some(later),
        };
        // The first waits; the second starts when it is proved.
        let other = self.1.clone();
        let mut then: Option<Later<Arc<Principal>>> = None;
        Step::Later(Later::poll_fn(move |task, parts, cx| {
            if let Some(later) = first.as_mut() {
                let proved = ready!(later.poll(task, parts, cx))?;
                first = None;
                match second(&other, proved, parts, cx) {
                    Step::Now(result) => return Poll::Ready(result),
                    Step::Later(later) => then = Some(later),
                }
            }
            match then.as_mut() {
                Some(later) => later.poll(task, parts, cx),
                None => Poll::Ready(Err(Denial::misordered(
                    "a proof was polled after it was given",
                ))),
            }
        }))
    }

    fn challenges(&self) -> Vec<Challenge> {
        both(self.0.challenges(), self.1.challenges())
    }

    fn unproved(&self, presented: Presented) -> Denial {
        let each = [self.0.unproved(presented), self.1.unproved(presented)];
        unproved(self, presented, &each)
    }

    fn is_optional(&self) -> bool {
        self.0.is_optional() && self.1.is_optional()
    }
}

fn second<B: Authenticate>(
    other: &B,
    first: Arc<Principal>,
    parts: &mut Parts,
    cx: &mut SecurityContext,
) -> Step<Arc<Principal>> {
    other
        .authenticate(parts, cx)
        .and_then(parts, cx, move |second, _, _| {
            // One that has yet to see the body names nobody; it adds what it proves later.
            if first.is_anonymous() {
                return Ok(second);
            }
            Ok(Arc::new(first.strengthened_by(&second)))
        })
}

/// What a request presents to two authenticators taken together.
const fn of_both(a: Presented, b: Presented) -> Presented {
    match (a, b) {
        (Presented::Mine, _) | (_, Presented::Mine) => Presented::Mine,
        (Presented::Foreign, _) | (_, Presented::Foreign) => Presented::Foreign,
        (Presented::Absent, Presented::Absent) => Presented::Absent,
    }
}

fn refusal<A: Authenticate>(authenticator: &A, code: Code) -> Denial {
    authenticator
        .challenges()
        .into_iter()
        .fold(Denial::new(code), Denial::challenge)
}

/// The challenges of both, and what either asks for in headers of its own.
fn unproved<A: Authenticate>(authenticator: &A, presented: Presented, each: &[Denial]) -> Denial {
    let code = match presented {
        Presented::Absent => Code::CredentialMissing,
        Presented::Foreign | Presented::Mine => Code::CredentialInvalid,
    };
    let headers = each.iter().flat_map(Denial::headers).cloned();
    headers.fold(refusal(authenticator, code), |denial, (name, value)| {
        denial.header(name, value)
    })
}

fn both(mut a: Vec<Challenge>, b: Vec<Challenge>) -> Vec<Challenge> {
    for challenge in b {
        if !a.contains(&challenge) {
            a.push(challenge);
        }
    }
    a
}
