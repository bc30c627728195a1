use std::sync::Arc;

use serde::Serialize;

use super::{Grant, GrantError, GrantState, Grants, party::Caller};
use crate::{clock::Timestamp, identity::Principal};

/// Which grants are listed: those of which everything that is set holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantFilter {
    /// Of whoever has this subject.
    pub subject: Option<String>,
    /// Of this scope.
    pub scope: Option<String>,
    /// Which are this.
    pub state: Option<GrantState>,
    /// Taken without approval, and not reviewed.
    pub unreviewed: bool,
    /// Asked for after this one: the last of the page before.
    pub after: Option<String>,
    /// How many at most; 50, and never more than 100.
    pub limit: Option<usize>,
}

/// Some grants, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GrantPage {
    /// The grants.
    pub grants: Vec<Grant>,
    /// The last one, where there may be more after it.
    pub next: Option<Arc<str>>,
}

impl Grants {
    /// The grants that `filter` lets through.
    ///
    /// # Errors
    ///
    /// Where the clock cannot answer or the view is too old.
    pub fn list(&self, filter: &GrantFilter) -> Result<GrantPage, GrantError> {
        self.page(filter, |_| true)
    }

    /// Those that `who` may know of: their own, and others' where they may decide about them or hold
    /// `grant.list`.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list); where nobody is named or their credential has ended.
    pub fn list_for(&self, who: &Principal, filter: &GrantFilter) -> Result<GrantPage, GrantError> {
        Caller::new(who)?.is_valid(self.0.clock.now()?)?;
        self.page(filter, |grant| self.may_see(who, grant))
    }

    /// The grant with this id.
    ///
    /// # Errors
    ///
    /// [`GrantError::Unknown`] where there is none; where the clock cannot answer or the view is too
    /// old.
    pub fn get(&self, id: &str) -> Result<Grant, GrantError> {
        self.is_fresh()?;
        let now = self.0.clock.now()?;
        let grant = self.read().get(id).cloned();
        grant
            .map(|grant| grant.as_of(now))
            .ok_or(GrantError::Unknown)
    }

    /// The grant with this id, where `who` may know of it.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); [`GrantError::Unknown`] where they may not.
    pub fn get_for(&self, who: &Principal, id: &str) -> Result<Grant, GrantError> {
        Caller::new(who)?.is_valid(self.0.clock.now()?)?;
        let grant = self.get(id)?;
        match self.may_see(who, &grant) {
            true => Ok(grant),
            false => Err(GrantError::Unknown),
        }
    }

    fn page(
        &self,
        filter: &GrantFilter,
        may_see: impl Fn(&Grant) -> bool,
    ) -> Result<GrantPage, GrantError> {
        self.is_fresh()?;
        let now = self.0.clock.now()?;
        let limit = filter.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
        let mut found: Vec<Arc<Grant>> = {
            let view = self.read();
            let after = match &filter.after {
                None => None,
                // Forgotten meanwhile: there is no telling where to go on.
                Some(id) => {
                    let after = view.get(id).filter(|after| may_see(after));
                    Some(place(after.ok_or(GrantError::Unknown)?))
                }
            };
            view.all()
                .filter(|grant| after.as_ref().is_none_or(|after| place(grant) > *after))
                .filter(|grant| filter.lets_through(grant, now) && may_see(grant))
                .cloned()
                .collect()
        };
        found.sort_by_key(|grant| place(grant));
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().map(|grant| Arc::clone(&grant.id));
        Ok(GrantPage {
            grants: found.iter().map(|grant| grant.as_of(now)).collect(),
            next: last.filter(|_| more),
        })
    }
}

impl GrantFilter {
    fn lets_through(&self, grant: &Grant, now: Timestamp) -> bool {
        let same = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        same(&self.subject, &grant.holder.subject)
            && same(&self.scope, &grant.scope)
            && self.state.is_none_or(|state| state == grant.state_at(now))
            && (!self.unreviewed || grant.is_unreviewed())
    }
}

/// The order of lists.
fn place(grant: &Grant) -> (Timestamp, Arc<str>) {
    (grant.requested_at, Arc::clone(&grant.id))
}

const PAGE: usize = 50;
const MAX_PAGE: usize = 100;
