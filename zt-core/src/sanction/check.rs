use crate::{
    context::{SecurityContext, Stage},
    decision::Denial,
    state::Sanctions,
};

/// Whether the caller of this request, and the workload on its connection, may go on.
pub(super) fn decide(
    sanctions: &Sanctions,
    cx: &SecurityContext,
    name: &'static str,
) -> Result<(), Denial> {
    cx.require(Stage::Authenticate, name)?;
    let principal = cx.principal().map(AsRef::as_ref);
    let peer = cx.peer().map(AsRef::as_ref);
    sanctions.check(principal, peer, cx.now())
}
