//! Facts that somebody else keeps: fetched all at once, under one deadline, and kept by nobody.

use std::{
    collections::BTreeMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{Either, join_all, select},
};

use crate::{
    authorize::{AttributeQuestion, AttributeSource, AttributeValue, Attributes},
    clock::Clock,
    decision::{Code, Denial},
    policy::model::{AttributeGroup, FieldKind},
};

/// A declared group and where it comes from.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) declared: AttributeGroup,
    pub(super) source: Arc<dyn AttributeSource>,
}

/// What was fetched, by the places of groups.
pub(super) type Fetched = BTreeMap<usize, Attributes>;

/// Asks the sources of `groups` at the same time.
///
/// # Errors
///
/// - `store-unavailable` where one fails, panics, or is not there in time;
/// - `policy-denied` where one leaves out what was declared, or says something of another kind.
pub(super) fn fetch(
    groups: Vec<(usize, Arc<Group>)>,
    question: &AttributeQuestion,
    deadline: Duration,
    clock: &Arc<dyn Clock>,
) -> impl Future<Output = Result<Fetched, Denial>> + Send + 'static {
    let asked = groups.into_iter().map(|(place, group)| {
        let question = question.clone();
        // The call may panic as well as its future; either way others go on.
        let answer = catch_unwind(AssertUnwindSafe(|| group.source.attributes(question)));
        async move {
            let answer = match answer {
                Ok(answer) => AssertUnwindSafe(answer).catch_unwind().await,
                Err(panic) => Err(panic),
            };
            let name = &group.declared.name;
            let attributes = match answer {
                Ok(Ok(attributes)) => attributes,
                Ok(Err(error)) => return Err(unavailable(name, &format!("failed: {error}"))),
                Err(_) => return Err(unavailable(name, "panicked")),
            };
            Ok((place, declared(&group.declared, attributes)?))
        }
        .boxed()
    });
    let all = join_all(asked.collect::<Vec<_>>());
    let late = clock.sleep(deadline);
    async move {
        match select(all, late).await {
            Either::Left((answers, _)) => answers.into_iter().collect(),
            Either::Right(_) => Err(Denial::new(Code::StoreUnavailable)
                .detail("a source of attributes did not answer in time")),
        }
    }
}

/// What was declared of what a source says, and nothing else.
fn declared(group: &AttributeGroup, mut attributes: Attributes) -> Result<Attributes, Denial> {
    let denied = |name: &str, why: &str| {
        Denial::new(Code::PolicyDenied)
            .detail(format!("the source of `{}` {why} `{name}`", group.name))
    };
    let mut kept = Attributes::new();
    for field in &group.fields {
        match attributes.remove(&field.name) {
            Some(value) if kind(&value) == field.kind => {
                kept.insert(Arc::clone(&field.name), value);
            }
            Some(_) => return Err(denied(&field.name, "says something of another kind for")),
            None if field.optional => {}
            None => return Err(denied(&field.name, "leaves out")),
        }
    }
    Ok(kept)
}

const fn kind(value: &AttributeValue) -> FieldKind {
    match value {
        AttributeValue::Integer(_) => FieldKind::Integer,
        AttributeValue::Boolean(_) => FieldKind::Boolean,
        AttributeValue::Text(_) => FieldKind::Text,
        AttributeValue::Texts(_) => FieldKind::Texts,
        AttributeValue::Time(_) => FieldKind::Time,
        AttributeValue::Address(_) => FieldKind::Address,
    }
}

fn unavailable(name: &str, why: &str) -> Denial {
    Denial::new(Code::StoreUnavailable)
        .detail(format!("the source of the attributes `{name}` {why}"))
}
