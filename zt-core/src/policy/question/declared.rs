use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{Moment, Question, QuestionError};
use crate::{
    authorize::{
        ActiveGrant, ActiveGrants, AttributeError, AttributeQuestion, AttributeResult,
        AttributeSource, AttributeValue, Attributes,
    },
    clock::Timestamp,
    decision::{Code, Denial},
    identity::Principal,
    policy::{
        PolicyOptions,
        model::{AttributeGroup, FieldKind},
    },
    store::BoxFuture,
};

/// Stands in for sources of grants and attributes: each [`Question`] brings its own.
///
/// For tests and reviews. A request that is not a question holds no grant, and its facts are not
/// known (`store-unavailable`), so a policy that was loaded with this by mistake permits no more for
/// it.
#[derive(Debug, Clone)]
pub struct DeclaredFacts {
    group: Arc<str>,
}

/// What the question at hand declares.
#[derive(Debug, Default)]
pub(super) struct Facts {
    grants: Vec<Arc<str>>,
    attributes: BTreeMap<Arc<str>, Attributes>,
}

tokio::task_local! {
    static FACTS: Arc<Facts>;
}

impl DeclaredFacts {
    /// `options`, with a stand-in for the source of grants, and of each attribute group that the
    /// policy in `text` declares, where `options` has none of its own.
    pub fn stand_in(mut options: PolicyOptions, text: &str) -> PolicyOptions {
        if options.grants.is_none() {
            options.grants = Some(Arc::new(Self { group: "".into() }));
        }
        // A text that is none is refused when it is loaded.
        let declared: toml::Table = text.parse().unwrap_or_default();
        let groups = declared.get("attributes").and_then(toml::Value::as_table);
        for name in groups.into_iter().flat_map(toml::Table::keys) {
            let group: Arc<str> = name.as_str().into();
            let source = options.attributes.entry(Arc::clone(&group));
            source.or_insert_with(|| Arc::new(Self { group }));
        }
        options
    }
}

impl Facts {
    /// The question's facts, as the policy declares them.
    pub(super) fn of(
        question: &Question,
        groups: &[AttributeGroup],
    ) -> Result<Arc<Self>, QuestionError> {
        let mut facts = Self {
            grants: question
                .grants
                .iter()
                .map(|scope| scope.as_str().into())
                .collect(),
            ..Self::default()
        };
        for (name, values) in &question.attributes {
            let Some(group) = groups.iter().find(|group| *group.name == **name) else {
                let message = format!("the policy declares no attributes `{name}`");
                return Err(QuestionError(message));
            };
            let mut attributes = Attributes::new();
            for (name, value) in values {
                let Some(field) = group.fields.iter().find(|field| *field.name == **name) else {
                    let message = format!("`{}` has no attribute `{name}`", group.name);
                    return Err(QuestionError(message));
                };
                let Some(value) = typed(value, field.kind) else {
                    let message = format!("`{}.{name}` is not what is declared", group.name);
                    return Err(QuestionError(message));
                };
                attributes.insert(Arc::clone(&field.name), value);
            }
            facts.attributes.insert(Arc::clone(&group.name), attributes);
        }
        Ok(Arc::new(facts))
    }

    /// While this runs, the stand-ins answer with these facts.
    pub(super) async fn hold<T>(self: Arc<Self>, run: impl Future<Output = T>) -> T {
        FACTS.scope(self, run).await
    }
}

fn typed(value: &Value, kind: FieldKind) -> Option<AttributeValue> {
    let text = || value.as_str();
    Some(match kind {
        FieldKind::Integer => AttributeValue::Integer(value.as_i64()?),
        FieldKind::Boolean => AttributeValue::Boolean(value.as_bool()?),
        FieldKind::Text => AttributeValue::Text(text()?.into()),
        FieldKind::Texts => {
            let texts = value.as_array()?.iter();
            let texts = texts.map(|one| one.as_str().map(Arc::from));
            AttributeValue::Texts(texts.collect::<Option<_>>()?)
        }
        FieldKind::Time => AttributeValue::Time(match value.as_u64() {
            Some(seconds) => Timestamp::from_secs(seconds),
            None => Moment::parse(text()?)?.0,
        }),
        FieldKind::Address => AttributeValue::Address(text()?.parse().ok()?),
    })
}

impl AttributeSource for DeclaredFacts {
    fn attributes(&self, _: AttributeQuestion) -> BoxFuture<'static, AttributeResult> {
        let known = FACTS.try_with(|facts| facts.attributes.get(&self.group).cloned());
        let answer = known.ok().flatten().ok_or_else(|| {
            AttributeError(format!("the question does not declare `{}`", self.group).into())
        });
        Box::pin(std::future::ready(answer))
    }
}

impl ActiveGrants for DeclaredFacts {
    fn active(
        &self,
        who: &Principal,
        scope: &str,
        now: Timestamp,
    ) -> Result<Option<ActiveGrant>, Denial> {
        let held = self.scopes(who, now)?;
        Ok(held.into_iter().find(|grant| *grant.scope == *scope))
    }

    fn scopes(&self, _: &Principal, now: Timestamp) -> Result<Vec<ActiveGrant>, Denial> {
        let grant = |scope: &Arc<str>| ActiveGrant {
            id: "declared".into(),
            scope: Arc::clone(scope),
            until: now + std::time::Duration::from_secs(60),
        };
        FACTS
            .try_with(|facts| facts.grants.iter().map(grant).collect())
            .map_err(|_| Denial::new(Code::StoreUnavailable).detail("no question declares grants"))
    }
}
