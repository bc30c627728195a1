//! The decision: from the signature fields of a request to whose it is.

use std::{cell::RefCell, sync::Arc};

use http::request::Parts;

use super::{layer::Inner, policy::SignaturePolicy, refusal::Refusal};
use crate::{
    clock::Timestamp,
    context::SecurityContext,
    identity::Principal,
    signature::{
        Algorithm,
        base::{
            Candidate, Component, Fields, Message, Params, RequestMessage, Scratch, Signatures,
        },
        explain,
        key::{KeyAge, KeyEntry, KeyQuestion, KeyRefusal, Purpose, Resolved, Resolving},
        replay::{ReplayKey, Sighting},
    },
};

/// A signature that holds.
#[derive(Debug, Clone)]
pub(super) struct Proved {
    entry: KeyEntry,
    age: KeyAge,
    replay: ReplayKey,
    created: Timestamp,
    until: Timestamp,
    /// Whether the digest of the body is covered.
    pub(super) digest: bool,
    /// Further ones of the same request. They name nobody, and are remembered, or the request
    /// could come again with one of them alone.
    others: Vec<Self>,
}

impl Proved {
    pub(super) fn principal(&self) -> &Arc<Principal> {
        self.entry.principal_by(self.age)
    }

    /// What is to be remembered, each once.
    pub(super) fn sighting(&self, at: usize, now: Timestamp) -> Option<Sighting<'_>> {
        let this = std::iter::once(self).chain(&self.others).nth(at)?;
        Some(Sighting {
            key: this.replay,
            keyid: this.entry.id(),
            created: this.created,
            until: this.until,
            now,
        })
    }

    fn add(&mut self, other: Self) {
        if let Some(same) = self.same(&other) {
            // Remembered as long as either could be accepted.
            same.until = same.until.max(other.until);
            same.created = same.created.min(other.created);
        } else {
            self.others.push(other);
        }
    }

    fn same(&mut self, other: &Self) -> Option<&mut Self> {
        if self.replay == other.replay {
            return Some(self);
        }
        let mut others = self.others.iter_mut();
        others.find(|one| one.replay == other.replay)
    }
}

/// What became of the candidates so far.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// How many there were.
    at: usize,
    found: Option<Proved>,
    refused: Option<Refused>,
}

impl Looked {
    fn keep(&mut self, judged: Result<Proved, Refused>) {
        match (judged, &mut self.found) {
            (Ok(proved), None) => self.found = Some(proved),
            (Ok(proved), Some(found)) => found.add(proved),
            (Err(refused), _) => keep_better(&mut self.refused, refused),
        }
        self.at += 1;
    }

    fn end(&mut self) -> Search {
        match (self.found.take(), self.refused.take()) {
            (Some(found), _) => Search::Found(found),
            (None, Some(refused)) => Search::Refused(refused),
            (None, None) => Search::Refused(Refusal::NotForUs.into()),
        }
    }
}

/// How far the search for a signature that holds has come.
pub(super) enum Search {
    /// One holds.
    Found(Proved),
    /// None does.
    Refused(Refused),
    /// The key of the next candidate is being fetched.
    Asked {
        looked: Box<Looked>,
        resolving: crate::store::BoxFuture<'static, Resolved>,
    },
}

impl Search {
    /// Whether there is no signature that is for this verifier.
    pub(super) const fn is_for_others(&self) -> bool {
        matches!(
            self,
            Self::Refused(Refused {
                refusal: Refusal::NotForUs,
                ..
            })
        )
    }
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

/// Signatures that a request may have for one verifier; a stranger decides how many there are.
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

    /// Looks for signatures that hold, behind those that were looked at; the key of the next one
    /// may be known already.
    pub(super) fn search(
        &self,
        parts: &Parts,
        cx: &SecurityContext,
        mut looked: Looked,
        mut resolved: Option<Resolved>,
    ) -> Search {
        // What was found is large, so it stays where it is.
        let looked = &mut looked;
        with_buffers(|scratch, base| {
            let fields = fields(parts, cx);
            let signatures = match Signatures::read(fields, &self.policy.limits, scratch) {
                Ok(Some(signatures)) => signatures,
                Ok(None) => return Search::Refused(Refusal::NotForUs.into()),
                Err(error) => return Search::Refused(Refusal::Unreadable(error).into()),
            };
            let ours = || signatures.candidates().filter(|one| self.policy.takes(one));
            // One that is not tried is not remembered, and could come again alone.
            if ours().nth(MAX_TRIED).is_some() {
                return Search::Refused(Refusal::TooMany.into());
            }
            for candidate in ours().skip(looked.at) {
                let params = candidate.params();
                let resolved = match resolved.take() {
                    Some(resolved) => resolved,
                    None => match self.ask(&candidate, &params, fields, cx.now()) {
                        Ok(Resolving::Now(resolved)) => resolved,
                        Ok(Resolving::Later(resolving)) => {
                            let looked = Box::new(std::mem::take(looked));
                            return Search::Asked { looked, resolving };
                        }
                        // It could become good, and is not remembered: alone it would then pass
                        // again.
                        Err(refusal) if refusal.may_pass() => {
                            return Search::Refused(refusal.into());
                        }
                        Err(refusal) => {
                            looked.keep(Err(refusal.into()));
                            continue;
                        }
                    },
                };
                match self.judge(&candidate, &params, resolved, parts, cx, base) {
                    // Nobody can tell whether this one holds; another one does not change that.
                    Err(
                        refused @ Refused {
                            refusal: Refusal::KeysUnavailable(_),
                            ..
                        },
                    ) => return Search::Refused(refused),
                    judged => looked.keep(judged),
                }
            }
            looked.end()
        })
    }

    /// What can be said before the key is known, then the question for the key.
    fn ask(
        &self,
        candidate: &Candidate<'_>,
        params: &Params<'_>,
        fields: Fields<'_>,
        now: Timestamp,
    ) -> Result<Resolving, Refusal> {
        self.policy.check(candidate, params, fields, now)?;
        Ok(self.keys.resolve(&KeyQuestion {
            keyid: params.keyid,
            tag: params.tag,
            now,
        }))
    }

    fn judge(
        &self,
        candidate: &Candidate<'_>,
        params: &Params<'_>,
        resolved: Resolved,
        parts: &Parts,
        cx: &SecurityContext,
        base: &mut Vec<u8>,
    ) -> Result<Proved, Refused> {
        let entry = resolved.map_err(|error| Refusal::KeysUnavailable(error.to_string()))?;
        let now = cx.now();
        // Whether the key is known or not: what a stranger is told depends on the request alone.
        self.write_base(candidate, parts, cx, base)?;
        let entry = entry.filter(|entry| Some(entry.id()) == params.keyid);
        let entry = entry.ok_or(Refusal::UnknownKey)?;
        // The key says which algorithm it is for; a message that says another one is refused
        // (RFC 9421 section 3.2, step 6).
        let signature = candidate.signature();
        let age = entry
            .verify_as(params.alg, Purpose::Requests, now, base, signature)
            .map_err(|refusal| self.refused(refusal, base, params))?;
        if !self.policy.accepts(entry.algorithm_by(age)) {
            return Err(Refusal::Algorithm.into());
        }
        let (created, until) = self.policy.lifetime(params, now);
        let replay = match params.nonce {
            Some(nonce) => ReplayKey::of_nonce(entry.id(), nonce),
            None => ReplayKey::of_base(entry.id(), base),
        };
        Ok(Proved {
            entry,
            age,
            replay,
            created,
            until,
            digest: self.covers_digest(candidate),
            others: Vec::new(),
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
        let uri = cx.first_uri(parts);
        let authority = self.policy.authority.find(uri, fields, cx)?;
        let message = Message::Request(RequestMessage {
            // The one that is handled, whatever a layer in between made of the one that came.
            method: &parts.method,
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
    let plain = Component::CONTENT_DIGEST;
    vec![plain.clone(), plain.clone().sf(), plain.bs()]
}

impl SignaturePolicy {
    fn takes(&self, candidate: &Candidate<'_>) -> bool {
        let tag = self.tag.as_deref();
        tag.is_none() || candidate.params().tag == tag
    }

    fn check(
        &self,
        candidate: &Candidate<'_>,
        params: &Params<'_>,
        fields: Fields<'_>,
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
        if let Some(missing) = self.components.iter().find(|one| !candidate.covers(one)) {
            return Err(Refusal::NotCovered(missing.to_string()));
        }
        let mut present = self.if_present.iter();
        let uncovered = present.find(|(name, component)| {
            !candidate.covers(component) && fields.lines(name).next().is_some()
        });
        match uncovered {
            Some((_, missing)) => Err(Refusal::NotCoveredHere(missing.to_string())),
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
