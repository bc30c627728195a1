//! What policies and layers ask: who holds what now.

use std::sync::Arc;

use super::{Grant, Grants};
use crate::{
    authorize::{ActiveGrant, ActiveGrants},
    clock::Timestamp,
    decision::{Code, Denial},
    gate::Standing,
    identity::Principal,
};

impl ActiveGrants for Grants {
    fn active(
        &self,
        who: &Principal,
        scope: &str,
        now: Timestamp,
    ) -> Result<Option<ActiveGrant>, Denial> {
        self.is_answerable()?;
        // One that may no longer be asked for does not hold any longer either.
        if self.scope(scope).is_none() {
            return Ok(None);
        }
        let view = self.read();
        let held = view
            .of(who)
            .filter(|grant| *grant.scope == *scope && grant.is_active(now));
        Ok(held
            .filter_map(|grant| shown(grant))
            .max_by_key(|it| it.until))
    }

    fn scopes(&self, who: &Principal, now: Timestamp) -> Result<Vec<ActiveGrant>, Denial> {
        self.is_answerable()?;
        let view = self.read();
        let held = view
            .of(who)
            .filter(|grant| grant.is_active(now) && self.scope(&grant.scope).is_some());
        let mut last: Vec<ActiveGrant> = Vec::new();
        for grant in held.filter_map(|grant| shown(grant)) {
            match last.iter_mut().find(|it| it.scope == grant.scope) {
                Some(known) if known.until < grant.until => *known = grant,
                Some(_) => {}
                None => last.push(grant),
            }
        }
        last.sort_by(|one, other| one.scope.cmp(&other.scope));
        Ok(last)
    }
}

impl Grants {
    fn is_answerable(&self) -> Result<(), Denial> {
        self.is_fresh()
            .map_err(|error| Denial::new(Code::StoreUnavailable).detail(error.to_string()))
    }

    /// Whether the grant with this id is still there and holds at `now`.
    fn holds(&self, id: &str, now: Timestamp) -> Result<bool, Denial> {
        self.is_answerable()?;
        let view = self.read();
        let grant = view.get(id);
        Ok(grant.is_some_and(|grant| grant.is_active(now) && self.scope(&grant.scope).is_some()))
    }
}

fn shown(grant: &Grant) -> Option<ActiveGrant> {
    Some(ActiveGrant {
        id: Arc::clone(&grant.id),
        scope: Arc::clone(&grant.scope),
        until: grant.until?,
    })
}

/// The grant that an answer stands on.
#[derive(Debug)]
pub(super) struct StandingGrant {
    pub(super) grants: Grants,
    pub(super) grant: ActiveGrant,
}

impl Standing for StandingGrant {
    fn until(&self) -> Option<Timestamp> {
        Some(self.grant.until)
    }

    fn check(&self, now: Timestamp) -> Result<(), Denial> {
        if self.grants.holds(&self.grant.id, now)? {
            return Ok(());
        }
        let detail = format!("the grant `{}` does not hold any more", self.grant.id);
        Err(Denial::new(Code::PolicyDenied).detail(detail))
    }
}
