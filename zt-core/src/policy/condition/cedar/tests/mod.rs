use std::time::Duration;

use super::super::tests::*;
use crate::{
    clock::Timestamp,
    decision::Code,
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    policy::PolicyOptions,
};

mod attributes;
mod bodies;
mod expressions;
mod kept;
mod loading;
mod sliced;
mod whole;

/// One allowing rule on `/x/{id}` with this condition.
fn when(when: &str) -> String {
    format!(
        "[[rule]]\nid = \"when\"\neffect = \"allow\"\npath = \"/x/{{id}}\"\nwhen = '''{when}'''\n"
    )
}
