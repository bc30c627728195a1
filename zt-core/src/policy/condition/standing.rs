//! What a permit stands on that grants speak for.

use std::sync::Arc;

use crate::{
    authorize::{ActiveGrant, ActiveGrants},
    clock::Timestamp,
    decision::{Code, Denial},
    gate::Standing,
    identity::Principal,
};

/// The grants that were held when a policy permitted. One of the same scope that was given since is as
/// good, but what was permitted ends when it would have.
#[derive(Debug)]
pub(super) struct StandingGrants {
    pub(super) grants: Arc<dyn ActiveGrants>,
    pub(super) who: Arc<Principal>,
    pub(super) held: Vec<ActiveGrant>,
}

impl Standing for StandingGrants {
    fn until(&self) -> Option<Timestamp> {
        self.held.iter().map(|grant| grant.until).min()
    }

    fn check(&self, now: Timestamp) -> Result<(), Denial> {
        for grant in &self.held {
            if self.grants.active(&self.who, &grant.scope, now)?.is_none() {
                let detail = format!("the grant `{}` does not hold any more", grant.id);
                return Err(Denial::new(Code::PolicyDenied).detail(detail));
            }
        }
        Ok(())
    }
}
