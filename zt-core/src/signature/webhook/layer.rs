use std::{fmt, sync::Arc, time::Duration};

use http::request::Parts;

use super::{
    ClaimError, WebhookBuilder, WebhookClaim, WebhookFormat, keys::Keys, proof::WebhookProof,
};
use crate::{
    authenticate::{Authenticate, Presented},
    body::CollectLimits,
    clock::Timestamp,
    context::SecurityContext,
    decision::{Challenge, Code, Denial},
    gate::Step,
    identity::Principal,
    secret::Secret,
    signature::replay::ReplayMemory,
};

/// Lets webhooks pass whose signature holds; see the [module](super).
#[derive(Clone)]
pub struct VerifyWebhookLayer(pub(super) Arc<Inner>);

/// The service that [`VerifyWebhookLayer`] makes of `S`.
pub type VerifyWebhook<S> = <VerifyWebhookLayer as tower_layer::Layer<S>>::Service;

crate::impl_body_authenticate_layer!(VerifyWebhookLayer);

pub(super) struct Inner {
    pub(super) format: WebhookFormat,
    pub(super) keys: Keys,
    /// Whose room in the memory webhooks take, and the principal's key.
    pub(super) keyid: Arc<str>,
    pub(super) principal: Arc<Principal>,
    pub(super) anonymous: Arc<Principal>,
    pub(super) memory: Arc<dyn ReplayMemory>,
    /// `None` where there is no timestamp.
    pub(super) tolerance: Option<Tolerance>,
    /// Where there is no timestamp.
    pub(super) replay_window: Duration,
    pub(super) limits: CollectLimits,
    pub(super) challenge: Challenge,
}

/// How far a timestamp may be from now.
#[derive(Clone, Copy)]
pub(super) struct Tolerance {
    pub(super) behind: Duration,
    pub(super) ahead: Duration,
}

impl VerifyWebhookLayer {
    /// Webhooks after Standard Webhooks, signed with `secret` and sent by `subject`. The secret is
    /// as the sender shows it: `whsec_` and base64, or, with the feature `asymmetric`, the public
    /// key `whpk_` and base64.
    pub fn standard(
        secret: &Secret,
        subject: &str,
        memory: Arc<dyn ReplayMemory>,
    ) -> WebhookBuilder {
        WebhookBuilder::new(WebhookFormat::Standard, secret, subject, memory)
    }

    /// GitHub's webhooks, signed with `secret` as it was typed in and sent by `subject`.
    pub fn github(secret: &Secret, subject: &str, memory: Arc<dyn ReplayMemory>) -> WebhookBuilder {
        WebhookBuilder::new(WebhookFormat::GitHub, secret, subject, memory)
    }

    /// Stripe's webhooks, signed with `secret` (the whole of `whsec_..` as Stripe shows it) and
    /// sent by `subject`.
    pub fn stripe(secret: &Secret, subject: &str, memory: Arc<dyn ReplayMemory>) -> WebhookBuilder {
        WebhookBuilder::new(WebhookFormat::Stripe, secret, subject, memory)
    }

    /// What can be judged by the head, before a byte of body is read.
    fn read(&self, parts: &Parts, cx: &SecurityContext) -> Result<WebhookProof, Denial> {
        let inner = &*self.0;
        let claim = WebhookClaim::read(inner.format, &parts.headers)
            .map_err(|error| inner.unreadable(error))?;
        if !inner.keys.can_judge(&claim) {
            return Err(inner.invalid("no signature of a kind that there is a key for"));
        }
        let sent = claim.timestamp().map(Timestamp::from_secs);
        if let (Some(sent), Some(tolerance)) = (sent, inner.tolerance) {
            let now = cx.now();
            if now.since(sent) > tolerance.behind {
                return Err(inner.invalid("the timestamp is too old"));
            }
            if sent.since(now) > tolerance.ahead {
                return Err(inner.invalid("the timestamp is in the future"));
            }
        }
        Ok(WebhookProof::new(Arc::clone(&self.0), claim))
    }
}

impl Inner {
    /// The signature does not hold; why is for the audit record alone.
    #[cold]
    pub(super) fn invalid(&self, why: &'static str) -> Denial {
        Denial::new(Code::SignatureInvalid)
            .challenge(self.challenge.clone())
            .detail(format!("{}: {why}", self.keyid))
    }

    #[cold]
    fn unreadable(&self, error: ClaimError) -> Denial {
        let code = match error {
            ClaimError::Several(_) => Code::CredentialAmbiguous,
            ClaimError::Absent(_) | ClaimError::Malformed { .. } => Code::CredentialMalformed,
        };
        Denial::new(code).detail(format!("{}: {error}", self.keyid))
    }
}

impl Authenticate for VerifyWebhookLayer {
    const NAME: &'static str = "VerifyWebhook";
    const PROVES_BODY: bool = true;

    fn presented(&self, parts: &Parts, _: &SecurityContext) -> Presented {
        let format = self.0.format;
        if parts.headers.contains_key(format.signature_header()) {
            return Presented::Mine;
        }
        match format.retired_header() {
            Some(retired) if parts.headers.contains_key(retired) => Presented::Foreign,
            _ => Presented::Absent,
        }
    }

    /// Nobody is named before the body was read and the signature over it holds.
    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        let proof = self.read(parts, cx);
        // Who has the signature and the body can send them again: kept out of `Debug` and out of
        // HPACK's tables (RFC 7541 section 7.1.3) from here on.
        if let Some(value) = parts.headers.get_mut(self.0.format.signature_header()) {
            value.set_sensitive(true);
        }
        proof
            .and_then(|proof| cx.owe_body(Arc::new(proof)))
            .map(|()| Arc::clone(&self.0.anonymous))
            .into()
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![self.0.challenge.clone()]
    }
}

impl fmt::Debug for VerifyWebhookLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyWebhookLayer")
            .field("keyid", &self.0.keyid)
            .field("keys", &self.0.keys.len())
            .finish_non_exhaustive()
    }
}
