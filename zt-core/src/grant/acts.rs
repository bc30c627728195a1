//! What callers do: ask, take, and decide.

use std::{sync::Arc, time::Duration};

use super::{
    Act, Grant, GrantError, GrantScope, GrantState, Grants,
    party::{Caller, hands},
    record::Stored,
    registry::BY_ID,
    step::{Verb, event},
    text::{self, invalid, new_id},
};
use crate::{
    clock::Timestamp,
    identity::Principal,
    state::{AlertEvent, Event},
    store::{Expect, Swap},
};

impl Grants {
    /// Asks for a grant of `scope`. It holds when somebody else has approved it, and `duration` (in
    /// whole seconds) from then.
    ///
    /// # Errors
    ///
    /// Where nobody is named, their credential has ended, `scope`, `reason` or `duration` cannot be
    /// used, they have asked for too much already, there is no place, or clock, randomness, recorder
    /// or store cannot answer; there is no request then.
    pub async fn request(
        &self,
        who: &Principal,
        scope: &str,
        reason: &str,
        duration: Duration,
    ) -> Result<Grant, GrantError> {
        let (caller, settings) = self.admit(who, scope, reason)?;
        let seconds = duration.as_secs();
        if !(1..=settings.longest_seconds).contains(&seconds) {
            return invalid(
                "seconds",
                "it is zero, or longer than the scope is granted for",
            );
        }
        let _acting = self.0.acting.lock().await;
        let now = self.0.clock.now()?;
        caller.is_valid(now)?;
        let open = self.count(who, |grant| grant.state_at(now) == GrantState::Requested);
        if open >= self.0.config.max_open_requests {
            return Err(GrantError::TooManyOpen);
        }
        // What waits for an answer never takes the last places: glass can still be broken.
        let most = self.0.config.max_grants;
        self.make_place(who, most - most / KEPT_FOR_GLASS, now)
            .await?;
        let grant = self.new_grant(&caller, scope, reason, seconds, now)?;
        self.create(&caller, grant, "requested", now).await
    }

    /// Takes a grant of `scope` at once and alone, where the scope lets holders of
    /// `grant.break-glass` do so. Everybody is told, and somebody else has to [review](Self::review)
    /// it.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request); where the caller is a program, does not hold the right, or has
    /// taken too much alone that nobody has reviewed yet.
    pub async fn break_glass(
        &self,
        who: &Principal,
        scope: &str,
        reason: &str,
    ) -> Result<Grant, GrantError> {
        let (caller, settings) = self.admit(who, scope, reason)?;
        caller.is_person(&self.0.config)?;
        if !self.0.config.break_glass.is_held_by(who) {
            return Err(GrantError::NotAllowed);
        }
        let Some(seconds) = settings.break_glass_seconds else {
            return invalid("scope", "it cannot be taken without approval");
        };
        let _acting = self.0.acting.lock().await;
        let now = self.0.clock.now()?;
        caller.is_valid(now)?;
        if self.count(who, Grant::is_unreviewed) >= self.0.config.max_unreviewed {
            return Err(GrantError::Unreviewed);
        }
        self.make_place(who, self.0.config.max_grants, now).await?;
        let mut grant = self.new_grant(&caller, scope, reason, seconds, now)?;
        grant.break_glass = true;
        grant.state = GrantState::Approved;
        grant.from = Some(now);
        grant.until = Some(now + Duration::from_secs(seconds));
        grant.decided = Some(Act {
            at: now,
            by: Some(caller.party.clone()),
            note: None,
        });
        let grant = self.create(&caller, grant, "break-glass", now).await?;
        tracing::warn!(
            id = %grant.id, %scope, holder = %grant.holder,
            "the glass was broken: a grant was taken without approval"
        );
        Ok(grant)
    }

    /// Says yes. The grant holds from now on for as long as was asked.
    ///
    /// # Errors
    ///
    /// Where there is no such request, `approver` is a program, does not hold the right, has asked
    /// for it themselves or stands behind whoever has, it was [decided](GrantError::Decided) already,
    /// or clock, recorder or store cannot answer; the grant does not hold then.
    pub async fn approve(&self, id: &str, approver: &Principal) -> Result<Grant, GrantError> {
        self.step(id, Verb::Approve, Some(approver), None).await
    }

    /// Says no.
    ///
    /// # Errors
    ///
    /// As [`approve`](Self::approve).
    pub async fn reject(
        &self,
        id: &str,
        approver: &Principal,
        reason: &str,
    ) -> Result<Grant, GrantError> {
        text::reason("reason", reason)?;
        self.step(id, Verb::Reject, Some(approver), Some(reason))
            .await
    }

    /// Takes back what `who` has asked for, while nobody has answered.
    ///
    /// # Errors
    ///
    /// Where there is no such request of theirs, it was decided already, or clock, recorder or store
    /// cannot answer.
    pub async fn withdraw(&self, id: &str, who: &Principal) -> Result<Grant, GrantError> {
        self.step(id, Verb::Withdraw, Some(who), None).await
    }

    /// Ends a grant before its time: by whoever holds it, or `grant.revoke`. In force in this process
    /// when the call returns; there is no way back.
    ///
    /// # Errors
    ///
    /// Where there is no such grant, it does not hold, `who` may not, or clock, recorder or store
    /// cannot answer; it holds as before then. [`GrantError::Unannounced`] where it is revoked but
    /// the feed cannot answer.
    pub async fn revoke(
        &self,
        id: &str,
        who: &Principal,
        reason: &str,
    ) -> Result<Grant, GrantError> {
        text::reason("reason", reason)?;
        let grant = self.step(id, Verb::Revoke, Some(who), Some(reason)).await?;
        let announced = self.0.replica.announce_pending().await;
        announced.map_err(GrantError::Unannounced)?;
        Ok(grant)
    }

    /// Notes that somebody else has looked at what was taken without approval.
    ///
    /// # Errors
    ///
    /// Where there is no such grant, it was approved, it was reviewed, `reviewer` is a program, does
    /// not hold `grant.review` or is who took it, or clock, recorder or store cannot answer.
    pub async fn review(
        &self,
        id: &str,
        reviewer: &Principal,
        note: &str,
    ) -> Result<Grant, GrantError> {
        text::reason("note", note)?;
        self.step(id, Verb::Review, Some(reviewer), Some(note))
            .await
    }

    /// What has to be right before anything is made.
    fn admit<'a>(
        &self,
        who: &'a Principal,
        scope: &str,
        reason: &str,
    ) -> Result<(Caller<'a>, &GrantScope), GrantError> {
        let caller = Caller::new(who)?;
        caller.has_known_issuer(&self.0.config)?;
        text::reason("reason", reason)?;
        let Some(settings) = self.scope(scope) else {
            return invalid("scope", "it is not among those that may be asked for");
        };
        self.is_fresh()?;
        Ok((caller, settings))
    }

    fn new_grant(
        &self,
        caller: &Caller<'_>,
        scope: &str,
        reason: &str,
        seconds: u64,
        now: Timestamp,
    ) -> Result<Grant, GrantError> {
        Ok(Grant {
            id: new_id(&*self.0.entropy)?,
            holder: caller.party.clone(),
            scope: scope.into(),
            reason: reason.to_owned(),
            seconds,
            requested_at: now,
            lapses_at: now + Duration::from_secs(self.0.config.request_life_seconds),
            state: GrantState::Requested,
            break_glass: false,
            from: None,
            until: None,
            decided: None,
            ended: None,
            reviewed: None,
        })
    }

    /// Records that there is a new grant, and once that is durable makes it.
    async fn create(
        &self,
        caller: &Caller<'_>,
        grant: Grant,
        action: &'static str,
        now: Timestamp,
    ) -> Result<Grant, GrantError> {
        let behind = hands(caller.who, &self.0.config.insecure_shared_actors)?;
        let event = event(
            &grant,
            action,
            now,
            Some(&caller.party),
            Some(&grant.reason),
        );
        self.record(Event::Grant(event.clone())).await?;
        if grant.break_glass {
            let alert = Event::Alert(AlertEvent {
                at: now,
                detector: "break-glass",
                subject: Arc::clone(&grant.holder.subject),
                score: 1000,
                evidence: format!(
                    "took `{}` for {} s without approval: {}",
                    grant.scope, grant.seconds, grant.reason
                ),
            });
            // Loud or not at all.
            if let Err(error) = self.record(alert).await {
                self.undone(event, "nobody could be told");
                return Err(error.into());
            }
        }
        let key: Arc<str> = [BY_ID, &*grant.id].concat().into();
        let stored = Stored::new(grant, behind);
        match self.write_at(&key, &stored, Expect::Absent).await {
            Ok(Some(grant)) => Ok(grant.as_of(now)),
            Ok(None) => {
                self.undone(event, "its id was taken");
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

    fn count(&self, who: &Principal, counts: impl Fn(&Grant) -> bool) -> usize {
        let view = self.read();
        view.of_any_tenant(who)
            .filter(|grant| counts(grant))
            .count()
    }

    /// Makes place for one more, where there is none, by forgetting what is over: first of whoever
    /// asks, then the oldest. What holds, waits, was revoked inside its time or has to be reviewed is
    /// never forgotten.
    async fn make_place(
        &self,
        who: &Principal,
        most: usize,
        now: Timestamp,
    ) -> Result<(), GrantError> {
        self.write().drop_gone(now);
        if self.len() < most {
            return Ok(());
        }
        let mut over: Vec<Arc<Grant>> = {
            let view = self.read();
            view.all().filter(|it| it.is_over(now)).cloned().collect()
        };
        over.sort_by_key(|grant| (!grant.holder.is(who), grant.requested_at));
        for grant in over.into_iter().take(FORGET) {
            if self.len() < most {
                break;
            }
            let key: Arc<str> = [BY_ID, &*grant.id].concat().into();
            {
                let _changing = self.0.replica.changing().await;
                let found = self.0.store.get(&key).await?;
                let is_over = |stored: &Stored| stored.grant.is_over(now) && stored.claim.is_none();
                if let Some(found) = found
                    && Stored::decode(&found.value).is_some_and(|stored| is_over(&stored))
                    && self.0.store.remove(&key, found.version).await? == Swap::Conflict
                {
                    continue;
                }
                self.reload(&key).await?;
            }
            self.0.replica.tell(&key).await;
        }
        match self.len() < most {
            true => Ok(()),
            false => Err(GrantError::Full),
        }
    }
}

/// One place of so many is kept for broken glass: whoever can ask under many names fills the rest.
const KEPT_FOR_GLASS: usize = 100;
/// How many are forgotten at a time.
const FORGET: usize = 8;
