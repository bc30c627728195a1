//! Schemas, made from what is known.

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};
use cedar_policy_core::ast::EntityUIDEntry;
use serde_json::{Map, Value, json};

use super::{
    body::Body,
    load, operations,
    vocabulary::{self, KINDS, type_of},
};
use crate::{
    identity::PrincipalKind,
    policy::model::{Atom, AttributeGroup, Clause, Document, PathPattern, PathTemplate, Side},
};

/// What the condition of a rule is validated against, beyond what all are.
pub(super) struct Setting<'a> {
    pub(super) body: Option<usize>,
    pub(super) kinds: Vec<&'static str>,
    pub(super) templates: Vec<&'a PathTemplate>,
}

impl Setting<'_> {
    pub(super) fn is_same(&self, other: &Setting<'_>) -> bool {
        self.body == other.body
            && self.kinds == other.kinds
            && load::parameters(&self.templates) == load::parameters(&other.templates)
    }
}

/// For the conditions of rules: the rule has said its request, so there is one action.
pub(super) fn of_rules(
    groups: &[AttributeGroup],
    setting: &Setting<'_>,
    body: Option<&Body>,
) -> Result<Schema, String> {
    let context = vocabulary::context(
        groups,
        load::parameters(&setting.templates),
        body.map(Body::kind),
    );
    let action = json!({"appliesTo": applies_to(&setting.kinds, context)});
    made(
        json!({"request": action})
            .as_object()
            .cloned()
            .unwrap_or_default(),
    )
}

/// For whole policies: an action for each operation, one for what is none, and the groups.
pub(super) fn of_operations(
    document: &Document,
    bodies: &[Option<usize>],
    all: &[Body],
    other: &str,
) -> Result<Schema, String> {
    let mut actions = Map::new();
    let mut add = |name: &str, groups: Value, context: Value| {
        let action =
            json!({"memberOf": groups, "appliesTo": applies_to(&KINDS.map(type_of), context)});
        match actions.insert(name.to_owned(), action) {
            Some(_) => Err(format!(
                "the operation `{name}` is there twice, or has a name that is taken"
            )),
            None => Ok(()),
        }
    };
    let context = |parameters: Vec<(&str, bool)>, body| {
        vocabulary::context(&document.attributes, parameters, body)
    };
    add(other, json!([]), context(Vec::new(), None))?;
    for (operation, body) in document.operations.iter().zip(bodies) {
        let names = operations::names(&operation.path).map(|name| (&**name, false));
        let body = body.and_then(|place| all.get(place)).map(Body::kind);
        let groups = operation.groups.iter().map(|group| json!({"id": **group}));
        add(
            &operation.id,
            groups.collect(),
            context(names.collect(), body),
        )?;
    }
    for group in document
        .operations
        .iter()
        .flat_map(|operation| &operation.groups)
    {
        let own = document
            .operations
            .iter()
            .any(|operation| operation.id == *group);
        if own || **group == *other {
            return Err(format!("`{group}` is an operation and a group of them"));
        }
        actions.insert(group.to_string(), json!({}));
    }
    made(actions)
}

fn applies_to(kinds: &[&str], context: Value) -> Value {
    json!({"principalTypes": kinds, "resourceTypes": ["Route"], "context": context})
}

fn made(actions: Map<String, Value>) -> Result<Schema, String> {
    let schema = json!({"": {
        "entityTypes": {
            "User": {"shape": vocabulary::principal(true)},
            "Service": {"shape": vocabulary::principal(true)},
            "Anonymous": {"shape": vocabulary::principal(false)},
            "Route": {},
        },
        "actions": actions,
    }});
    Schema::from_json_value(schema).map_err(|error| error.to_string())
}

/// What kinds of principals a rule can be about: what it says of the caller is known to hold when
/// its condition is asked, and an anonymous one has nothing that could be asked for.
pub(super) fn kinds(clauses: &[Clause]) -> Vec<&'static str> {
    let mut left = KINDS.map(type_of).to_vec();
    for clause in clauses.iter().filter(|clause| !clause.negated) {
        let kinds: Option<Vec<_>> = clause
            .any
            .iter()
            .map(|atom| match atom {
                Atom::Kind(kind) => Some(type_of(*kind)),
                _ => None,
            })
            .collect();
        let named = |atom: &Atom| match atom {
            Atom::Kind(kind) => *kind != PrincipalKind::Anonymous,
            atom => atom.side() == Side::Principal,
        };
        match kinds {
            Some(kinds) => left.retain(|kind| kinds.contains(kind)),
            None if clause.any.iter().all(named) => left.retain(|kind| *kind != "Anonymous"),
            None => {}
        }
    }
    if left.is_empty() {
        KINDS.map(type_of).to_vec()
    } else {
        left
    }
}

/// The templates of the first clause that has nothing else.
pub(super) fn templates(clauses: &[Clause]) -> Vec<&PathTemplate> {
    let of = |clause: &'_ Clause| -> Option<usize> {
        let all = clause
            .any
            .iter()
            .all(|atom| matches!(atom, Atom::Path(PathPattern::Template(_))));
        (all && !clause.negated).then_some(clause.any.len())
    };
    let first = clauses
        .iter()
        .find(|clause| of(clause).is_some_and(|count| count > 0));
    let atoms = first.into_iter().flat_map(|clause| &clause.any);
    atoms
        .filter_map(|atom| match atom {
            Atom::Path(PathPattern::Template(template)) => Some(template),
            _ => None,
        })
        .collect()
}

fn entity(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind: EntityTypeName = kind.parse().map_err(|error| format!("{error}"))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// The same, as requests have it.
pub(super) fn entry(kind: &str, id: &str) -> Result<EntityUIDEntry, String> {
    Ok(EntityUIDEntry::known(entity(kind, id)?.into(), None))
}
