//! Whether a response is to be believed.

use std::{sync::Arc, time::Duration};

use http::{Response, response};
use http_body::Body;

use super::{Invalid, NotVerified, VerifiedResponse, asked::Asked, verify::VerifySettings};
use crate::{
    body::{BoxError, CollectLimits, CollectedBody},
    clock::Timestamp,
    digest::ContentDigest,
    signature::{
        base::{
            Candidate, Component, Fields, Message, Params, ResponseMessage, Scratch, Signatures,
        },
        key::{KeyQuestion, Purpose, Resolving},
        sign::{BodyError, LIMITS, content},
    },
};

/// The signature first, and only then the body.
pub(super) async fn verify<R>(
    settings: Arc<VerifySettings>,
    asked: Asked,
    response: Response<R>,
) -> Result<Response<CollectedBody>, NotVerified>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    let (verified, digest) = settings.head(&asked, &parts).await?;
    let body = settings.content(body, digest).await?;
    parts.extensions.insert(verified);
    Ok(Response::from_parts(parts, body))
}

/// What the head proves: who signed, and the digest that is covered.
type Proved = (VerifiedResponse, Option<ContentDigest>);

impl VerifySettings {
    async fn head(&self, asked: &Asked, parts: &response::Parts) -> Result<Proved, NotVerified> {
        let now = self.clock.now()?;
        let mut scratch = Scratch::default();
        let signatures = Signatures::read(Fields::new(&parts.headers), &LIMITS, &mut scratch)?
            .ok_or(NotVerified::Missing)?;
        let mut first = None;
        for candidate in signatures.candidates() {
            // RFC 9421 section 3.2: which of several is meant is for the application to say.
            let tag = self.policy.tag.as_deref();
            if tag.is_some() && candidate.params().tag != tag {
                continue;
            }
            match self.candidate(asked, parts, &candidate, now).await {
                Ok(proved) => return Ok(proved),
                Err(why) => _ = first.get_or_insert(why),
            }
        }
        Err(first.unwrap_or(NotVerified::Missing))
    }

    async fn candidate(
        &self,
        asked: &Asked,
        parts: &response::Parts,
        candidate: &Candidate<'_>,
        now: Timestamp,
    ) -> Result<Proved, NotVerified> {
        let params = candidate.params();
        self.coverage(asked, parts, candidate)?;
        let created = self.age(&params, now)?;
        let keyid = params.keyid.ok_or(Invalid::NoKeyId)?;
        let question = KeyQuestion {
            keyid: Some(keyid),
            tag: params.tag,
            now,
        };
        let entry = match self.keys.resolve(&question) {
            Resolving::Now(entry) => entry?,
            Resolving::Later(entry) => entry.await?,
        };
        let entry = entry.ok_or(Invalid::KeyUnknown)?;
        let mut base = Vec::with_capacity(768);
        let message = Message::Response(ResponseMessage {
            status: parts.status,
            fields: Fields::new(&parts.headers),
            request: Some(asked.message()),
        });
        candidate
            .write_base(&message, &self.types, &mut base)
            .map_err(Invalid::Base)?;
        let age = entry
            .verify_as(
                params.alg,
                Purpose::Responses,
                now,
                &base,
                candidate.signature(),
            )
            .map_err(Invalid::Key)?;

        let digest = if candidate.covers(&Component::CONTENT_DIGEST) {
            ContentDigest::from_headers(&parts.headers).map_err(Invalid::Digest)?
        } else {
            None
        };
        let verified = VerifiedResponse {
            principal: Arc::clone(entry.principal_by(age)),
            created,
            covered: candidate.components().map(Into::into).collect(),
        };
        Ok((verified, digest))
    }

    fn coverage(
        &self,
        asked: &Asked,
        parts: &response::Parts,
        candidate: &Candidate<'_>,
    ) -> Result<(), Invalid> {
        let policy = &self.policy;
        let present = policy
            .if_present
            .iter()
            .filter(|(name, _)| parts.headers.contains_key(name))
            .map(|(_, component)| component);
        let all = policy
            .required
            .iter()
            .chain(asked.signature().filter(|_| !policy.unbound));
        for component in all.chain(present) {
            if !candidate.covers(component) {
                return Err(Invalid::Uncovered(component.to_string().into()));
            }
        }
        Ok(())
    }

    /// When the signature was made, where that is recent enough.
    fn age(&self, params: &Params<'_>, now: Timestamp) -> Result<Timestamp, Invalid> {
        let secs = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let created = params.created.ok_or(Invalid::NoCreated)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if created > now.saturating_add(secs(self.policy.skew)) {
            return Err(Invalid::FromTheFuture);
        }
        if created < now.saturating_sub(secs(self.policy.max_age)) {
            return Err(Invalid::TooOld);
        }
        // RFC 9421 section 2.3: after this time it is not good any more.
        if params.expires.is_some_and(|expires| expires <= now) {
            return Err(Invalid::Expired);
        }
        Ok(Timestamp::from_secs(u64::try_from(created).unwrap_or(0)))
    }

    async fn content<R>(
        &self,
        body: R,
        digest: Option<ContentDigest>,
    ) -> Result<CollectedBody, NotVerified>
    where
        R: Body,
        R::Error: Into<BoxError>,
    {
        // What nothing is known of has to be nothing.
        let bytes = if digest.is_some() {
            self.limits.bytes
        } else {
            0
        };
        let limits = CollectLimits {
            bytes,
            ..self.limits
        };
        let clock = Arc::clone(&self.clock);
        let content = match content(CollectedBody::read(body, limits, clock).await) {
            Err(BodyError::TooLarge) if digest.is_none() => {
                return Err(Invalid::BodyUncovered.into());
            }
            content => content?,
        };
        if digest.is_some_and(|digest| !digest.matches(&content)) {
            return Err(Invalid::DigestMismatch.into());
        }
        Ok(CollectedBody::new(content, None))
    }
}
