use std::{fmt, sync::Arc};

use http::request::Parts;
use zt_core::{
    authenticate::{Authenticate, Presented},
    context::SecurityContext,
    decision::{Challenge, Code, Denial},
    gate::{Later, Step},
    identity::Principal,
};

use super::{
    ConfigError, VerifyJwtConfig,
    answers::Answers,
    config::Parameters,
    credential::{self, Credential, Found, Place, Unreadable},
    origin::Origins,
    strip,
};
use crate::{
    refusal::{Refusal, Refused},
    verifier::{Progress, Recalled, Surroundings, Verifier},
};

/// Lets requests pass that present a good token; see the [module](super).
#[derive(Clone)]
pub struct VerifyJwtLayer(Arc<Inner>);

/// The service that [`VerifyJwtLayer`] makes of `S`.
pub type VerifyJwt<S> = <VerifyJwtLayer as tower_layer::Layer<S>>::Service;

zt_core::impl_authenticate_layer!(VerifyJwtLayer);

struct Inner {
    verifier: Verifier,
    places: Box<[Place]>,
    origins: Origins,
    strip: bool,
    answers: Answers,
}

impl VerifyJwtLayer {
    /// Verifies tokens in `Authorization` with `verifier`; its challenges have the realm `api`.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self(Arc::new(Inner {
            verifier,
            places: [Place::Authorization].into(),
            origins: Origins::default(),
            strip: false,
            answers: Answers::new(&Parameters::default()),
        }))
    }

    /// Verifies tokens from where `config` says they are.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used.
    pub fn with_config(verifier: Verifier, config: VerifyJwtConfig) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(Inner {
            verifier,
            places: config.places()?,
            origins: config.pages()?,
            strip: config.strips_token(),
            answers: Answers::new(&config.parameters()?),
        })))
    }

    /// Reads the credential and has it verified; also which place it stands in.
    fn begin(
        &self,
        found: Found<'_>,
        parts: &Parts,
        cx: &SecurityContext,
    ) -> Result<(Progress, usize), Denial> {
        let inner = &*self.0;
        let credential = match found {
            Found::One(credential) => credential,
            Found::Several => {
                return Err(inner.answers.complete(Code::CredentialAmbiguous.into()));
            }
            Found::Absent | Found::Foreign => {
                return Err(Denial::misordered(
                    "a token was verified that was not presented",
                ));
            }
        };
        let unreadable = |unreadable| inner.unreadable(unreadable);
        let token = credential.text().map_err(unreadable)?;
        inner.require_this_site(&credential, parts)?;
        let around = Surroundings {
            peer: cx.peer(),
            now: cx.now(),
            monotonic: cx.monotonic(),
        };
        let progress = match inner.verifier.recall(token, &around) {
            Recalled::Known(result) => Progress::Done(result),
            Recalled::New(place) => inner.verifier.begin_anew(token, place, &around),
        };
        if let Progress::Done(Err(_)) = progress {
            // What no token looks like has a reason of its own.
            credential.check().map_err(unreadable)?;
        }
        Ok((progress, credential.place))
    }

    fn answer(
        &self,
        begun: Result<(Progress, usize), Denial>,
        parts: &mut Parts,
    ) -> Step<Arc<Principal>> {
        match (&begun, &*self.0.places) {
            // One credential in the only place: then that is one field.
            (Ok(_), [only @ (Place::Authorization | Place::Header(_))]) => {
                strip::hide_one(only, &mut parts.headers);
            }
            (_, places) => {
                for place in places {
                    strip::hide(place, &mut parts.headers);
                }
            }
        }
        match begun {
            Ok((progress, place)) => self.go_on(progress, place, parts),
            Err(denial) => denial.into(),
        }
    }

    /// Answers at once, or when the verifier does.
    pub(super) fn go_on(
        &self,
        progress: Progress,
        place: usize,
        parts: &mut Parts,
    ) -> Step<Arc<Principal>> {
        match progress {
            Progress::Done(result) => self.conclude(result, place, parts).into(),
            Progress::Waiting(verified) => {
                let layer = self.clone();
                Step::Later(Later::then(verified, move |result, parts, _| {
                    layer.conclude(result, place, parts)
                }))
            }
        }
    }

    fn conclude(
        &self,
        result: Result<Arc<Principal>, Refused>,
        place: usize,
        parts: &mut Parts,
    ) -> Result<Arc<Principal>, Denial> {
        let inner = &*self.0;
        let principal = result.map_err(|refused| inner.answers.complete(refused.denial()))?;
        if inner.strip
            && let Some(place) = inner.places.get(place)
        {
            strip::strip(place, &mut parts.headers);
        }
        Ok(principal)
    }
}

impl Inner {
    /// A browser sends a cookie whoever made the page that asks for it.
    fn require_this_site(&self, credential: &Credential<'_>, parts: &Parts) -> Result<(), Denial> {
        if !credential.is_ambient() {
            return Ok(());
        }
        self.origins
            .permit(parts)
            .map_err(|why| Denial::new(Refusal::CrossSite.code()).detail(why.why()))
    }

    #[cold]
    fn unreadable(&self, unreadable: Unreadable) -> Denial {
        let denial = match unreadable {
            Unreadable::Empty => {
                Denial::new(Code::CredentialMalformed).detail("the credential is empty")
            }
            Unreadable::NotAToken => Denial::new(Code::CredentialMalformed)
                .detail("the credential has a character that no token has"),
            Unreadable::Joined => {
                Denial::new(Code::CredentialAmbiguous).detail("credentials are joined by a comma")
            }
            Unreadable::Dpop => return self.answers.dpop(),
        };
        self.answers.complete(denial)
    }
}

impl Authenticate for VerifyJwtLayer {
    const NAME: &'static str = "VerifyJwt";

    fn presented(&self, parts: &Parts, cx: &SecurityContext) -> Presented {
        match credential::find(&self.0.places, parts, cx) {
            Found::Absent => Presented::Absent,
            Found::Foreign => Presented::Foreign,
            Found::One(_) | Found::Several => Presented::Mine,
        }
    }

    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        let found = credential::find(&self.0.places, parts, cx);
        let begun = self.begin(found, parts, cx);
        self.answer(begun, parts)
    }

    fn proceed(
        &self,
        parts: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Result<Step<Arc<Principal>>, Presented> {
        let begun = match credential::find(&self.0.places, parts, cx) {
            Found::Absent => return Err(Presented::Absent),
            Found::Foreign => return Err(Presented::Foreign),
            found => self.begin(found, parts, cx),
        };
        Ok(self.answer(begun, parts))
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![self.0.answers.asked.clone()]
    }
}

impl fmt::Debug for VerifyJwtLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyJwtLayer")
            .field("verifier", &self.0.verifier)
            .field("places", &self.0.places)
            .field("origins", &self.0.origins)
            .field("strip_token", &self.0.strip)
            .finish_non_exhaustive()
    }
}
