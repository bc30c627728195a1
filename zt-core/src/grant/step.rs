//! How a step is taken: claimed, recorded, done, announced.

use std::{sync::Arc, time::Duration};

use super::{
    Act, Grant, GrantError, GrantState, Grants,
    party::{Caller, Party, hands, has_known_issuer, overlap},
    record::{Claim, Stored},
    registry::BY_ID,
    text::{invalid, is_id},
};
use crate::{
    clock::Timestamp,
    identity::Principal,
    state::{Event, GrantEvent, RecordError},
    store::{Expect, Swap, Version},
};

/// What can be done to a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Approve,
    Reject,
    Withdraw,
    Lapse,
    Revoke,
    Expire,
    Review,
}

impl Verb {
    /// As it stands in records.
    const fn action(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
            Self::Withdraw => "withdrawn",
            Self::Lapse => "lapsed",
            Self::Revoke => "revoked",
            Self::Expire => "expired",
            Self::Review => "reviewed",
        }
    }

    /// Whether only people do it.
    const fn is_for_people(self) -> bool {
        matches!(self, Self::Approve | Self::Reject | Self::Review)
    }

    fn apply(self, grant: &mut Grant, act: Act) {
        let now = act.at;
        match self {
            Self::Approve => {
                grant.from = Some(now);
                grant.until = Some(now + Duration::from_secs(grant.seconds));
                grant.state = GrantState::Approved;
                grant.decided = Some(act);
            }
            Self::Reject => {
                grant.state = GrantState::Rejected;
                grant.decided = Some(act);
            }
            Self::Withdraw => {
                grant.state = GrantState::Withdrawn;
                grant.decided = Some(act);
            }
            Self::Lapse => {
                grant.state = GrantState::Lapsed;
                grant.decided = Some(act);
            }
            Self::Revoke => {
                grant.state = GrantState::Revoked;
                grant.ended = Some(act);
            }
            Self::Expire => {
                grant.state = GrantState::Expired;
                grant.ended = Some(act);
            }
            Self::Review => grant.reviewed = Some(act),
        }
    }
}

impl Grants {
    /// Takes one step with one grant.
    ///
    /// The step is claimed in the store by compare-and-swap, then recorded, and done once the record
    /// is durable. So of many who try, one records; and nothing is in force without a record. What a
    /// crash leaves behind is a claim, which ends by itself and grants nothing.
    pub(super) async fn step(
        &self,
        id: &str,
        verb: Verb,
        who: Option<&Principal>,
        note: Option<&str>,
    ) -> Result<Grant, GrantError> {
        let caller = who.map(Caller::new).transpose()?;
        if !is_id(id) {
            return Err(GrantError::Unknown);
        }
        if let Some(caller) = &caller
            && verb.is_for_people()
        {
            caller.has_known_issuer(&self.0.config)?;
        }
        let key: Arc<str> = [BY_ID, id].concat().into();
        if let Some(caller) = &caller
            && !self.is_shown(&key, id, caller).await?
        {
            return Err(GrantError::Unknown);
        }
        let _acting = self.0.acting.lock().await;
        let claimed = self.claim(&key, verb, caller.as_ref()).await;
        if let Err(GrantError::Decided { .. } | GrantError::Unknown) = claimed
            && self.read().get(id).is_some()
        {
            // Nobody is told that a grant is revoked, or gone, while it still holds here.
            self.look_again(&key).await?;
        }
        let (mut stored, version, now) = claimed?;
        let by = caller.map(|caller| caller.party);
        let before = stored.clone();
        let act = Act {
            at: now,
            by: by.clone(),
            note: note.map(ToOwned::to_owned),
        };
        stored.claim = None;
        verb.apply(&mut stored.grant, act);

        let said = match verb {
            Verb::Approve => Some(stored.grant.reason.as_str()),
            _ => note,
        };
        let event = event(&stored.grant, verb.action(), now, by.as_ref(), said);
        if let Err(error) = self.record(Event::Grant(event.clone())).await {
            self.give_up(&key, before, version).await;
            return Err(error.into());
        }
        match self.write_at(&key, &stored, Expect::Version(version)).await {
            Ok(Some(grant)) => Ok(grant.as_of(now)),
            Ok(None) => {
                self.undone(event, "others changed the grant first");
                Err(GrantError::Contended)
            }
            Err(error) => {
                // Whether it was written is not known: everybody looks.
                self.look_again(&key).await.ok();
                self.0.replica.tell(&key).await;
                Err(error)
            }
        }
    }

    /// Whether there is such a grant and `caller` may know of it. Asked before the turn is waited for: whoever
    /// makes up ids, or reads them somewhere, costs nobody else theirs, however slow the store is. What
    /// was there may be gone when the turn comes; who may know of it does not change.
    async fn is_shown(&self, key: &str, id: &str, caller: &Caller<'_>) -> Result<bool, GrantError> {
        let known = self.read().get(id).cloned();
        if let Some(grant) = known {
            return Ok(self.may_see(caller.who, &grant));
        }
        // Other instances' grants may not have been heard of here.
        let found = self.0.store.get(key).await?;
        let stored = found.and_then(|found| Stored::decode(&found.value));
        Ok(stored.is_some_and(|stored| self.may_see(caller.who, &stored.grant)))
    }

    /// Takes over what stands in the store, whoever wrote it.
    pub(super) async fn look_again(&self, key: &str) -> Result<(), GrantError> {
        let _changing = self.0.replica.changing().await;
        self.reload(key).await
    }

    /// Takes the right to do `verb`, where it may be done.
    async fn claim(
        &self,
        key: &str,
        verb: Verb,
        caller: Option<&Caller<'_>>,
    ) -> Result<(Stored, Version, Timestamp), GrantError> {
        let mut waits = 0;
        let mut tries = 0;
        loop {
            let now = self.0.clock.now()?;
            let found = self.0.store.get(key).await?.ok_or(GrantError::Unknown)?;
            let mut stored = Stored::decode(&found.value)
                .filter(|stored| key.strip_prefix(BY_ID) == Some(&*stored.grant.id))
                .ok_or(GrantError::Unknown)?;
            self.judge(verb, &stored, caller, now)?;
            if stored
                .claim
                .as_ref()
                .is_some_and(|claim| is_held(claim, now))
            {
                waits += 1;
                if waits > WAITS {
                    return Err(GrantError::Underway);
                }
                self.0.clock.sleep(WAIT).await;
                continue;
            }
            stored.claim = Some(Claim {
                at: now,
                action: verb.action().to_owned(),
            });
            let kept = stored.kept_until(self.0.config.retention());
            let expect = Expect::Version(found.version);
            let swap = self.0.store.put_if(key, stored.encode()?, kept, expect);
            if let Swap::Done(version) = swap.await? {
                return Ok((stored, version, now));
            }
            tries += 1;
            if tries > TRIES {
                return Err(GrantError::Contended);
            }
        }
    }

    /// Whether `caller` may do this at `now`. What callers may not know of is told first, then who
    /// may not do it, then that it is too late.
    fn judge(
        &self,
        verb: Verb,
        stored: &Stored,
        caller: Option<&Caller<'_>>,
        now: Timestamp,
    ) -> Result<(), GrantError> {
        let grant = &stored.grant;
        let config = &self.0.config;
        if let Some(caller) = caller {
            caller.is_valid(now)?;
            if !self.may_see(caller.who, grant) {
                return Err(GrantError::Unknown);
            }
            let is_holder = grant.holder.is(caller.who);
            let scope = self.scope(&grant.scope);
            let allowed = match verb {
                Verb::Approve | Verb::Reject => {
                    scope.is_some_and(|scope| scope.approve.is_held_by(caller.who))
                }
                Verb::Withdraw => is_holder,
                Verb::Revoke => is_holder || config.revoke.is_held_by(caller.who),
                Verb::Review => config.review.is_held_by(caller.who),
                // Time alone does these.
                Verb::Lapse | Verb::Expire => false,
            };
            // Whoever asked learns that it takes somebody else, not that a right is missing.
            if verb.is_for_people() {
                let behind = hands(caller.who, &config.insecure_shared_actors)?;
                if overlap(&stored.hands, &behind) {
                    tracing::warn!(
                        id = %grant.id, who = %caller.party, ?verb,
                        "somebody tried to decide about their own grant"
                    );
                    return Err(GrantError::SamePerson);
                }
                caller.is_person(config)?;
            }
            if !allowed {
                return Err(GrantError::NotAllowed);
            }
        }
        let state = grant.state_at(now);
        let fits = match verb {
            Verb::Approve | Verb::Reject | Verb::Withdraw => state == GrantState::Requested,
            Verb::Revoke => state == GrantState::Approved,
            Verb::Lapse => grant.state == GrantState::Requested && state == GrantState::Lapsed,
            Verb::Expire => grant.state == GrantState::Approved && state == GrantState::Expired,
            Verb::Review if !grant.break_glass => {
                return invalid("id", "it was not taken without approval");
            }
            Verb::Review if grant.reviewed.is_some() => return Err(GrantError::Reviewed),
            Verb::Review => true,
        };
        if !fits {
            return Err(GrantError::Decided { state });
        }
        // What was asked for may have been bounded since.
        if verb == Verb::Approve
            && self
                .scope(&grant.scope)
                .is_none_or(|scope| grant.seconds > scope.longest_seconds)
        {
            return invalid("seconds", "it is longer than the scope is granted for now");
        }
        Ok(())
    }

    /// Whether `who` may know that there is this grant. The rights of people whose issuer is not one that
    /// knows people are worth nothing here.
    pub(super) fn may_see(&self, who: &Principal, grant: &Grant) -> bool {
        let config = &self.0.config;
        let approve = self.scope(&grant.scope).map(|scope| &scope.approve);
        let rights = [&config.list, &config.revoke, &config.review];
        !who.is_anonymous()
            && (grant.holder.is(who)
                || has_known_issuer(who, config)
                    && grant.holder.is_in_reach_of(who)
                    && rights
                        .into_iter()
                        .chain(approve)
                        .any(|right| right.is_held_by(who)))
    }

    /// Puts the grant as it was, so that others need not wait until the claim ends.
    async fn give_up(&self, key: &Arc<str>, mut before: Stored, version: Version) {
        before.claim = None;
        match self.write_at(key, &before, Expect::Version(version)).await {
            Ok(Some(_)) => {}
            other => tracing::warn!(%key, ?other, "a step with a grant is given up only in time"),
        }
    }

    /// Writes `stored`, takes it into the view and tells others; `None` where something else stands
    /// there.
    pub(super) async fn write_at(
        &self,
        key: &Arc<str>,
        stored: &Stored,
        expect: Expect,
    ) -> Result<Option<Arc<Grant>>, GrantError> {
        let kept = stored.kept_until(self.0.config.retention());
        let value = stored.encode()?;
        let grant = {
            let _changing = self.0.replica.changing().await;
            match self.0.store.put_if(key, value, kept, expect).await? {
                Swap::Done(_) => self.take_in(stored, kept),
                Swap::Conflict => return Ok(None),
            }
        };
        self.0.replica.tell(key).await;
        Ok(Some(grant))
    }

    /// Records `event`; what it tells of is done when this returns.
    pub(super) async fn record(&self, event: Event) -> Result<(), RecordError> {
        let Some(recorder) = &self.0.recorder else {
            return Ok(());
        };
        tokio::select! {
            biased;
            recorded = recorder.record(event) => recorded,
            () = self.0.clock.sleep(PATIENCE) => {
                Err(RecordError::Unavailable("it took too long".into()))
            }
        }
    }

    /// Records that what was recorded did not happen.
    pub(super) fn undone(&self, mut event: GrantEvent, why: &str) {
        if let Some(recorder) = &self.0.recorder {
            event.reason = Some(format!("{}: {why}", event.action));
            event.action = "undone";
            recorder.record(Event::Grant(event)).detach();
        }
    }
}

pub(super) fn event(
    grant: &Grant,
    action: &'static str,
    at: Timestamp,
    by: Option<&Party>,
    said: Option<&str>,
) -> GrantEvent {
    GrantEvent {
        at,
        author: by.map(|by| Arc::clone(&by.subject)),
        author_issuer: by.and_then(|by| by.issuer.clone()),
        action,
        id: Some(Arc::clone(&grant.id)),
        subject: Arc::clone(&grant.holder.subject),
        issuer: grant.holder.issuer.clone(),
        tenant: grant.holder.tenant.clone(),
        grant: Arc::clone(&grant.scope),
        reason: said.map(ToOwned::to_owned),
        expires: Some(grant.until.unwrap_or(grant.lapses_at)),
    }
}

/// A clock that is behind the claimant's sees a claim from the future: it holds as well, and no
/// longer.
fn is_held(claim: &Claim, now: Timestamp) -> bool {
    now.since(claim.at) < CLAIM && claim.at.since(now) < CLAIM
}

/// How long a claim holds; longer than recording takes.
const CLAIM: Duration = Duration::from_secs(10);
/// How long recording may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often, and for how long, a claim of another instance is waited for.
const WAITS: usize = 40;
const WAIT: Duration = Duration::from_millis(25);
/// How often a claim is tried where others change the same grant.
const TRIES: usize = 16;
