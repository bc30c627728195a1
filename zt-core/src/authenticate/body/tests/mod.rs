//! What is verified of a body, and what becomes of one that is not.

mod attacks;
mod collecting;
mod finishing;
mod observing;
mod streaming;

use std::{
    convert::Infallible,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::{
    authenticate::{Authenticate, Authenticated, Presented},
    clock::{Clock, ClockError, ManualClock, Sleep, Timestamp},
    decision::Challenge,
    digest::DigestAlgorithm,
    gate::{Check, Gate, Link, Replace, Root, Settings},
    identity::{AuthMethod, PrincipalKind},
};

const LIMITS: CollectLimits = CollectLimits {
    bytes: 8,
    deadline: Duration::from_secs(5),
};

/// A proof that wants what it is told to want.
#[derive(Debug, Clone)]
struct Fake {
    plan: Result<BodyPlan, Code>,
    mismatch: Code,
    names: Option<&'static str>,
    ended: bool,
    refuses: bool,
    waits: bool,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn with(plan: BodyPlan) -> Self {
        Self {
            plan: Ok(plan),
            mismatch: Code::SignatureInvalid,
            names: None,
            ended: false,
            refuses: false,
            waits: false,
            asked: Arc::default(),
        }
    }

    fn collects(content: &str) -> Self {
        Self::within(LIMITS, content)
    }

    fn within(limits: CollectLimits, content: &str) -> Self {
        Self::with(BodyPlan::Collect {
            limits,
            digest: Some(digest(content)),
        })
    }

    fn streams(content: &str) -> Self {
        Self::with(BodyPlan::Stream {
            digest: digest(content),
        })
    }

    fn or(self, mismatch: Code) -> Self {
        Self { mismatch, ..self }
    }

    fn naming(self, name: &'static str, waits: bool) -> Self {
        Self {
            names: Some(name),
            waits,
            ..self
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn digest(content: &str) -> ContentDigest {
    ContentDigest::of(DigestAlgorithm::Sha256, content.as_bytes())
}

impl ProveBody for Fake {
    fn plan(&self, _: &Parts, present: bool, _: &SecurityContext) -> Result<BodyPlan, Denial> {
        let asked = if present {
            "plan, body"
        } else {
            "plan, no body"
        };
        self.asked.lock().unwrap().push(asked.to_owned());
        self.plan.clone().map_err(Denial::new)
    }

    fn mismatch(&self) -> Denial {
        self.mismatch.into()
    }

    fn finish(
        &self,
        body: &CollectedBody,
        _: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Step<Option<Arc<Principal>>> {
        let text = String::from_utf8_lossy(body.bytes()).into_owned();
        self.asked.lock().unwrap().push(text);
        let end = cx.now() + Duration::from_secs(if self.ended { 0 } else { 1 });
        let found = self.names.map(|name| {
            let who = Principal::assertion(PrincipalKind::Service, name, AuthMethod::Signature);
            Arc::new(who.expires_at(end).finish())
        });
        let result = match self.refuses {
            true => Err(Code::Replayed.into()),
            false => Ok(found),
        };
        if !self.waits {
            return result.into();
        }
        Step::Later(Later::new(async {
            tokio::task::yield_now().await;
            result
        }))
    }
}

/// Leaves its proofs open; nobody is named before.
#[derive(Debug, Clone)]
struct Signed(Vec<Fake>);

impl Authenticate for Signed {
    const NAME: &'static str = "Signed";
    const PROVES_BODY: bool = true;

    fn presented(&self, _: &Parts, _: &SecurityContext) -> Presented {
        Presented::Mine
    }

    fn authenticate(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        for fake in &self.0 {
            if let Err(denial) = cx.owe_body(Arc::new(fake.clone())) {
                return denial.into();
            }
        }
        Step::pass(Arc::new(Principal::anonymous()))
    }

    fn challenges(&self) -> Vec<Challenge> {
        Vec::new()
    }
}

/// Shows a test the trail of a request that was refused.
#[derive(Debug, Clone, Default)]
struct Looks(Arc<Mutex<Option<Arc<Trail>>>>);

impl Check for Looks {
    type Guard = ();

    const NAME: &'static str = "Looks";
    const STAGE: Stage = Stage::Headers;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        *self.0.lock().unwrap() = Some(Arc::clone(cx.trail()));
        Step::pass(())
    }
}

/// A clock that counts who waits on it.
#[derive(Debug, Clone, Default)]
struct Counting(ManualClock, Arc<AtomicUsize>);

impl Clock for Counting {
    fn now(&self) -> Result<Timestamp, ClockError> {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.sleep(span)
    }
}

type TestBody = UnsyncBoxBody<Bytes, BoxError>;
type Piece = Result<Frame<Bytes>, BoxError>;

fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from(text)))
}

fn trailers() -> Piece {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checked", "1".parse().unwrap());
    Ok(Frame::trailers(trailers))
}

fn reset() -> Piece {
    Err("reset".into())
}

/// A body of these pieces, whose length nobody knows.
fn pieces<I>(pieces: I) -> TestBody
where
    I: IntoIterator<Item = Piece>,
    I::IntoIter: Send + 'static,
{
    StreamBody::new(stream::iter(pieces)).boxed_unsync()
}

/// These pieces, and then none for ever.
fn dripping<I>(pieces: I) -> TestBody
where
    I: IntoIterator<Item = Piece>,
    I::IntoIter: Send + 'static,
{
    StreamBody::new(stream::iter(pieces).chain(stream::pending())).boxed_unsync()
}

/// A body whose length is known.
fn full(text: &'static str) -> TestBody {
    let body = Full::new(Bytes::from(text));
    body.map_err(|never| match never {}).boxed_unsync()
}

/// How much of the body the handler reads. It swallows every error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    All,
    OnePiece,
    Nothing,
}

struct Setup {
    proofs: Vec<Fake>,
    reads: Reads,
    observes: bool,
    clock: Counting,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    /// The pieces, `#` for trailers and `!` for an error.
    pieces: Vec<String>,
    /// Where the first piece lies.
    at: Option<usize>,
    collected: bool,
}

struct Outcome {
    denial: Option<Denial>,
    /// What the handler saw, where it was reached.
    seen: Option<Seen>,
    trail: Arc<Trail>,
}

impl Setup {
    fn of<const N: usize>(proofs: [&Fake; N]) -> Self {
        Self {
            proofs: proofs.into_iter().cloned().collect(),
            reads: Reads::All,
            observes: false,
            clock: Counting::default(),
        }
    }

    fn reading(self, reads: Reads) -> Self {
        Self { reads, ..self }
    }

    fn observing(self) -> Self {
        Self {
            observes: true,
            ..self
        }
    }

    fn settings(&self) -> Arc<Settings> {
        let settings = Settings::default().with_clock(self.clock.clone());
        Arc::new(if self.observes {
            settings.insecure_observe_only(Timestamp::MAX)
        } else {
            settings
        })
    }

    async fn ask(&self, body: TestBody) -> Outcome {
        let looks = Looks::default();
        let chain = Link::new(Root, looks.clone())
            .then(Authenticated::new(Signed(self.proofs.clone())))
            .then_body(VerifyBody::<Authenticated<Signed>>::new());
        self.through(chain, looks, body).await
    }

    async fn through<C>(&self, chain: C, looks: Looks, body: TestBody) -> Outcome
    where
        C: crate::gate::Chain<RequestBody<TestBody>>,
    {
        let (seen, reads) = (Arc::new(Mutex::new(None)), self.reads);
        let notes = Arc::clone(&seen);
        let handler = service_fn(move |request: Request<RequestBody<TestBody>>| {
            let notes = Arc::clone(&notes);
            async move {
                let read = read(request.into_body(), reads).await;
                *notes.lock().unwrap() = Some(read);
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        });
        let gate: Gate<_, _, Replace> = Gate::with_settings(handler, chain, self.settings());
        let response = gate.oneshot(Request::new(body)).await.unwrap();
        let trail = looks.0.lock().unwrap().take().unwrap();
        let seen = seen.lock().unwrap().take();
        let denial = response.extensions().get::<Denial>().cloned();
        Outcome {
            denial,
            seen,
            trail,
        }
    }
}

async fn read(body: RequestBody<TestBody>, reads: Reads) -> Seen {
    let mut seen = Seen {
        collected: body.as_collected().is_some(),
        ..Seen::default()
    };
    let mut body = std::pin::pin!(body);
    let most = match reads {
        Reads::All => usize::MAX,
        Reads::OnePiece => 1,
        Reads::Nothing => 0,
    };
    while seen.pieces.len() < most {
        let Some(frame) = body.frame().await else {
            break;
        };
        seen.pieces.push(match frame {
            Ok(frame) if frame.is_trailers() => "#".to_owned(),
            Ok(frame) => {
                let data = frame.into_data().unwrap();
                seen.at.get_or_insert(data.as_ptr() as usize);
                String::from_utf8(data.to_vec()).unwrap()
            }
            Err(error) => format!("!{error}"),
        });
    }
    seen
}

impl Outcome {
    fn code(&self) -> Option<Code> {
        self.denial.as_ref().map(Denial::code)
    }

    /// Refused before the handler was called, and nobody named.
    #[track_caller]
    fn refused(&self, code: Code) {
        assert_eq!(self.code(), Some(code));
        assert!(self.seen.is_none(), "the handler was called");
        let who = self.trail.principal();
        assert!(who.is_none_or(|who| who.is_anonymous()));
    }

    #[track_caller]
    fn pieces(&self) -> Vec<&str> {
        assert_eq!(self.code(), None);
        self.seen().pieces.iter().map(String::as_str).collect()
    }

    #[track_caller]
    fn seen(&self) -> &Seen {
        self.seen.as_ref().expect("the handler was not called")
    }

    fn would_deny(&self) -> Option<Code> {
        self.trail.would_deny().map(Denial::code)
    }
}
