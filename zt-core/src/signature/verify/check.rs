//! The decision: from the signature fields of a request to whose it is.

use std::{cell::RefCell, sync::Arc};

use http::{Uri, request::Parts};

use super::{layer::Inner, policy::SignaturePolicy, refusal::Refusal};
use crate::{
    clock::Timestamp,
    context::SecurityContext,
    digest::CONTENT_DIGEST,
    identity::Principal,
    signature::{
        Algorithm,
        base::{
            Candidate, Component, Fields, Message, Params, RequestMessage, Scratch, Signatures,
        },
        explain,
        key::{KeyEntry, KeyQuestion, KeyRefusal, Purpose, Resolved, Resolving},
        replay::{ReplayKey, Sighting},
    },
};

/// A signature that holds.
#[derive(Debug, Clone)]
pub(super) struct Proved {
    entry: KeyEntry,
    pub(super) principal: Arc<Principal>,
    pub(super) replay: ReplayKey,
    pub(super) created: Timestamp,
    pub(super) until: Timestamp,
    /// Whether the digest of the body is covered.
    pub(super) digest: bool,
}

impl Proved {
    pub(super) fn sighting(&self, now: Timestamp) -> Sighting<'_> {
        Sighting {
            key: self.replay,
            keyid: self.entry.id(),
            created: self.created,
            until: self.until,
            now,
        }
    }
}

/// How far the search for a signature that holds has come.
pub(super) enum Search {
    /// One holds.
    Found(Proved),
    /// None does.
    Refused(Refused),
    /// The key of the candidate `at` is being fetched.
    Asked {
        at: usize,
        refused: Option<Refused>,
        resolving: crate::store::BoxFuture<'static, Resolved>,
    },
}

/// A refusal, and the base that was computed where somebody wants to see it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) explanation: Option<String>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            explanation: None,
        }
    }
}

/// Signatures whose keys are asked for; a stranger decides how many there are.
const MAX_TRIED: usize = 4;

/// Buffers that one request leaves to the next on its thread.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    base: Vec<u8>,
}

/// What a base may leave behind.
const KEPT: usize = 32 * 1024;

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

fn with_buffers<T>(work: impl FnOnce(&mut Scratch, &mut Vec<u8>) -> T) -> T {
    BUFFERS.with(|buffers| match buffers.try_borrow_mut() {
        Ok(mut buffers) => {
            let Buffers { scratch, base } = &mut *buffers;
            let done = work(scratch, base);
            base.clear();
            base.shrink_to(KEPT);
            done
        }
        // A resolver that verifies a request itself.
        Err(_) => work(&mut Scratch::default(), &mut Vec::new()),
    })
}

impl Inner {
    /// Whether a signature of the request is for this verifier.
    pub(super) fn is_for_us(&self, parts: &Parts, cx: &SecurityContext) -> bool {
        let Some(tag) = &self.policy.tag else {
            return true;
        };
        with_buffers(|scratch, _| {
            match Signatures::read(fields(parts, cx), &self.policy.limits, scratch) {
                Ok(Some(signatures)) => signatures
                    .candidates()
                    .any(|one| one.params().tag == Some(&**tag)),
                // Theirs or ours: it cannot be read, and is refused for that.
                Ok(None) | Err(_) => true,
            }
        })
    }

    /// Looks for a signature that holds, from the candidate `at` on, whose key may be known already.
    pub(super) fn search(
        &self,
        parts: &Parts,
        cx: &SecurityContext,
        mut at: usize,
        mut resolved: Option<Resolved>,
        mut refused: Option<Refused>,
    ) -> Search {
        with_buffers(|scratch, base| {
            let fields = fields(parts, cx);
            let signatures = match Signatures::read(fields, &self.policy.limits, scratch) {
                Ok(Some(signatures)) => signatures,
                Ok(None) => return Search::Refused(Refusal::NotForUs.into()),
                Err(error) => return Search::Refused(Refusal::Unreadable(error).into()),
            };
            let ours = signatures
                .candidates()
                .filter(|one| self.policy.takes(&one.params()));
            for candidate in ours.take(MAX_TRIED).skip(at) {
                let resolved = match resolved.take() {
                    Some(resolved) => resolved,
                    None => match self.ask(&candidate, cx.now()) {
                        Ok(Resolving::Now(resolved)) => resolved,
                        Ok(Resolving::Later(resolving)) => {
                            return Search::Asked {
                                at,
                                refused,
                                resolving,
                            };
                        }
                        Err(refusal) => {
                            keep_better(&mut refused, refusal.into());
                            at += 1;
                            continue;
                        }
                    },
                };
                match self.judge(&candidate, resolved, parts, cx, base) {
                    Ok(proved) => return Search::Found(proved),
                    // Nobody can tell whether this one holds; another one does not change that.
                    Err(
                        found @ Refused {
                            refusal: Refusal::KeysUnavailable(_),
                            ..
                        },
                    ) => {
                        return Search::Refused(found);
                    }
                    Err(found) => keep_better(&mut refused, found),
                }
                at += 1;
            }
            Search::Refused(refused.unwrap_or_else(|| Refusal::NotForUs.into()))
        })
    }

    /// What can be said before the key is known, then the question for the key.
    fn ask(&self, candidate: &Candidate<'_>, now: Timestamp) -> Result<Resolving, Refusal> {
        let params = candidate.params();
        self.policy.check(candidate, &params, now)?;
        Ok(self.keys.resolve(&KeyQuestion {
            keyid: params.keyid,
            tag: params.tag,
            now,
        }))
    }

    fn judge(
        &self,
        candidate: &Candidate<'_>,
        resolved: Resolved,
        parts: &Parts,
        cx: &SecurityContext,
        base: &mut Vec<u8>,
    ) -> Result<Proved, Refused> {
        let entry = match resolved {
            Ok(Some(entry)) => entry,
            Ok(None) => return Err(Refusal::UnknownKey.into()),
            Err(error) => return Err(Refusal::KeysUnavailable(error.to_string()).into()),
        };
        let params = candidate.params();
        let now = cx.now();
        self.write_base(candidate, parts, cx, base)?;
        // The key says which algorithm it is for; a message that says another one is refused
        // (RFC 9421 section 3.2, step 6).
        let signature = candidate.signature();
        let age = entry
            .verify_as(params.alg, Purpose::Requests, now, base, signature)
            .map_err(|refusal| self.refused(refusal, base, &params))?;
        if !self.policy.accepts(entry.algorithm_by(age)) {
            return Err(Refusal::Algorithm.into());
        }
        let (created, until) = self.policy.lifetime(&params, now);
        let replay = match params.nonce {
            Some(nonce) => ReplayKey::of_nonce(entry.id(), nonce),
            None => ReplayKey::of_base(entry.id(), base),
        };
        Ok(Proved {
            principal: Arc::clone(entry.principal_by(age)),
            entry,
            replay,
            created,
            until,
            digest: self.covers_digest(candidate),
        })
    }

    /// RFC 9421 section 3.2, step 7.
    fn write_base(
        &self,
        candidate: &Candidate<'_>,
        parts: &Parts,
        cx: &SecurityContext,
        base: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let fields = fields(parts, cx);
        let uri = first_uri(parts, cx);
        let authority = self.policy.authority.find(uri, fields, cx)?;
        let message = Message::Request(RequestMessage {
            method: cx.trail().method(),
            uri,
            version: parts.version,
            scheme: self.policy.scheme,
            authority: &authority,
            fields,
        });
        base.clear();
        candidate
            .write_base(&message, &self.policy.types, base)
            .map_err(Refusal::Base)
    }

    fn covers_digest(&self, candidate: &Candidate<'_>) -> bool {
        self.digests.iter().any(|form| candidate.covers(form))
    }

    #[cold]
    fn refused(&self, refusal: KeyRefusal, base: &[u8], params: &Params<'_>) -> Refused {
        let refusal = match refusal {
            KeyRefusal::Purpose => Refusal::KeyPurpose,
            KeyRefusal::NotYet | KeyRefusal::Ended => Refusal::KeyEnded,
            KeyRefusal::Algorithm => Refusal::Algorithm,
            KeyRefusal::BadSignature => Refusal::BadSignature,
        };
        Refused {
            refusal,
            explanation: self.explains.then(|| explain(base, params.nonce)),
        }
    }
}

/// Forms of the component that bind the whole of `Content-Digest`; `;key` binds one member.
pub(super) fn digest_forms() -> Vec<Component> {
    let plain = Component::field(CONTENT_DIGEST.as_str());
    plain
        .map(|plain| vec![plain.clone(), plain.clone().sf(), plain.bs()])
        .unwrap_or_default()
}

impl SignaturePolicy {
    fn takes(&self, params: &Params<'_>) -> bool {
        self.tag.is_none() || params.tag == self.tag.as_deref()
    }

    fn check(
        &self,
        candidate: &Candidate<'_>,
        params: &Params<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if candidate.is_empty() {
            return Err(Refusal::NothingCovered);
        }
        if params.keyid.is_none() {
            return Err(Refusal::Lacks("keyid"));
        }
        if self.nonce && params.nonce.is_none_or(str::is_empty) {
            return Err(Refusal::Lacks("nonce"));
        }
        if self.created && params.created.is_none() {
            return Err(Refusal::Lacks("created"));
        }
        if self.expires && params.expires.is_none() {
            return Err(Refusal::Lacks("expires"));
        }
        self.check_time(params, now)?;
        match self.components.iter().find(|one| !candidate.covers(one)) {
            Some(missing) => Err(Refusal::NotCovered(missing.to_string())),
            None => Ok(()),
        }
    }

    /// RFC 9421 section 2.3: `created` and `expires` are whole seconds.
    fn check_time(&self, params: &Params<'_>, now: Timestamp) -> Result<(), Refusal> {
        if let Some(created) = params.created {
            let created = moment(created).ok_or(Refusal::TooOld)?;
            if created > now && created.since(now) > self.future_skew {
                return Err(Refusal::FromTheFuture);
            }
            if now.since(created) > self.max_age {
                return Err(Refusal::TooOld);
            }
        }
        if let Some(expires) = params.expires {
            let expires = moment(expires).ok_or(Refusal::Expired)?;
            if now >= expires {
                return Err(Refusal::Expired);
            }
        }
        Ok(())
    }

    fn accepts(&self, algorithm: Algorithm) -> bool {
        let accepted = self.algorithms.as_ref();
        accepted.is_none_or(|accepted| accepted.contains(&algorithm))
    }

    /// When the message was made, and until when it could be accepted again.
    fn lifetime(&self, params: &Params<'_>, now: Timestamp) -> (Timestamp, Timestamp) {
        let created = params.created.and_then(moment);
        let expires = params.expires.and_then(moment);
        // The memory keeps what it sees a moment longer than that.
        let age = created
            .unwrap_or(now)
            .checked_add(self.max_age)
            .unwrap_or(Timestamp::MAX);
        let until = match (created, expires) {
            (Some(_), Some(expires)) => age.min(expires),
            (Some(_), None) => age,
            // Without `created` it is good until `expires`, or for ever.
            (None, Some(expires)) => expires,
            (None, None) => age,
        };
        (created.unwrap_or(now), until)
    }
}

fn moment(seconds: i64) -> Option<Timestamp> {
    // Later than any clock: no overflow where seconds become microseconds.
    const LAST: i64 = 1 << 40;
    u64::try_from(seconds.min(LAST))
        .ok()
        .map(Timestamp::from_secs)
}

fn keep_better(kept: &mut Option<Refused>, found: Refused) {
    if kept
        .as_ref()
        .is_none_or(|kept| kept.refusal.rank() < found.refusal.rank())
    {
        *kept = Some(found);
    }
}

/// The fields as they came: `ValidateRequest` strips some for the handler only.
pub(super) fn fields<'a>(parts: &'a Parts, cx: &'a SecurityContext) -> Fields<'a> {
    Fields::new(&parts.headers).with_stripped(cx.trail().claimed().as_slice())
}

/// The target as the client sent it: a router that nests takes prefixes away.
fn first_uri<'a>(parts: &'a Parts, cx: &'a SecurityContext) -> &'a Uri {
    let seen = cx.trail().uri();
    #[cfg(feature = "axum")]
    if *seen == parts.uri
        && let Some(axum::extract::OriginalUri(original)) = parts.extensions.get()
    {
        // The context was opened inside the router, which has kept what it saw first.
        return original;
    }
    seen
}
