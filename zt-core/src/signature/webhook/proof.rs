use std::{fmt, sync::Arc};

use http::request::Parts;

use super::{WebhookClaim, layer::Inner};
use crate::{
    authenticate::{BodyPlan, ProveBody},
    body::CollectedBody,
    clock::Timestamp,
    context::SecurityContext,
    decision::{Code, Denial},
    gate::{Later, Step},
    identity::Principal,
    signature::replay::{Recording, ReplayKey, Sighting, Verdict},
};

/// A webhook whose body has yet to be read.
pub(super) struct WebhookProof {
    inner: Arc<Inner>,
    claim: WebhookClaim,
}

impl WebhookProof {
    pub(super) const fn new(inner: Arc<Inner>, claim: WebhookClaim) -> Self {
        Self { inner, claim }
    }

    /// Remembers the webhook, whose signature holds.
    fn record(&self, body: &[u8], now: Timestamp) -> Recording {
        let inner = &*self.inner;
        let (created, until) = match (self.claim.timestamp(), inner.tolerance) {
            (Some(seconds), Some(tolerance)) => {
                let sent = Timestamp::from_secs(seconds);
                // The timestamp is judged when the head is there, the memory asked when the body
                // is: one that comes at the last moment is asked about that much later.
                (sent, sent + tolerance.behind + inner.limits.deadline)
            }
            _ => (now, now + inner.replay_window),
        };
        inner.memory.record(&Sighting {
            key: ReplayKey::of_base(&inner.keyid, &self.claim.fingerprint(body)),
            keyid: &inner.keyid,
            created,
            until,
            now,
        })
    }
}

impl ProveBody for WebhookProof {
    fn plan(&self, _: &Parts, _: bool, _: &SecurityContext) -> Result<BodyPlan, Denial> {
        // Also where there is no body: the signature is then over none.
        Ok(BodyPlan::Collect {
            limits: self.inner.limits,
            digest: None,
        })
    }

    fn mismatch(&self) -> Denial {
        self.inner.invalid("the body is another one")
    }

    fn finish(
        &self,
        body: &CollectedBody,
        _: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Step<Option<Arc<Principal>>> {
        if !self.inner.keys.hold(&self.claim, body.bytes()) {
            return self
                .inner
                .invalid("no signature is of a key that is known")
                .into();
        }
        // Only now: what is not proved must not fill the memory, nor make it refuse the original.
        match self.record(body.bytes(), cx.now()) {
            Recording::Now(verdict) => judge(&self.inner, verdict).into(),
            Recording::Later(verdict) => {
                let inner = Arc::clone(&self.inner);
                Step::Later(Later::new(async move { judge(&inner, verdict.await) }))
            }
        }
    }
}

fn judge(inner: &Inner, verdict: Verdict) -> Result<Option<Arc<Principal>>, Denial> {
    match verdict {
        Verdict::Fresh => Ok(Some(Arc::clone(&inner.principal))),
        Verdict::Replayed => Err(Denial::new(Code::Replayed)
            .challenge(inner.challenge.clone())
            .detail(format!("{}: seen before", inner.keyid))),
        Verdict::Unavailable(why) => {
            Err(Denial::new(Code::ReplayUnavailable).detail(format!("{}: {why}", inner.keyid)))
        }
    }
}

impl fmt::Debug for WebhookProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookProof")
            .field("keyid", &self.inner.keyid)
            .finish_non_exhaustive()
    }
}
