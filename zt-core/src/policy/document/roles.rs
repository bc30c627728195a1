//! Resources, and roles that may act on them.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    sync::Arc,
};

use http::Method;
use toml::de::DeValue;

use super::{
    hint,
    pattern::{is_name, shared},
    request::{method_clause, methods, path_clause, paths},
    table::{Str, Table, Value},
};
use crate::policy::model::{Atom, Clause, Effect, PathTemplate, Text};

/// Paths and methods that all roles may have, each counted for each role.
const MOST_PARTS: usize = 1_000_000;

/// What roles speak of.
struct Resource {
    name: Arc<str>,
    paths: Vec<PathTemplate>,
    actions: Vec<(Arc<str>, Vec<Method>)>,
}

/// A role that may do something.
pub(super) struct Permission<'t> {
    /// `role clerk: orders.read`
    pub(super) id: String,
    pub(super) clauses: Vec<Clause>,
    /// The action's name in the role's list.
    pub(super) written: Str<'t>,
}

/// The names that rules may use.
#[derive(Default)]
pub(super) struct Names<'t> {
    roles: Vec<Str<'t>>,
    /// Roles that some permission or rule speaks of.
    used: RefCell<BTreeSet<&'t str>>,
}

pub(super) fn read<'t>(
    resources: Option<Table<'t>>,
    roles: Option<Table<'t>>,
) -> (Names<'t>, Vec<Permission<'t>>) {
    let resources = resources.map_or_else(Vec::new, |table| read_resources(&table));
    let mut names = Names::default();
    let mut permissions = Vec::new();
    let left = Cell::new(MOST_PARTS);
    for (role, value) in roles.map_or_else(Vec::new, |table| table.entries()) {
        is_name(&role, "a role");
        if role.text.contains('*') {
            role.refuse("a role's name has no star");
        }
        let Some(inner) = value.table(role.text) else {
            continue;
        };
        for (resource, actions) in inner.entries() {
            names.used.get_mut().insert(role.text);
            permissions.extend(permitted(&role, &resource, &actions, &resources, &left));
        }
        names.roles.push(role);
    }
    (names, permissions)
}

fn read_resources(table: &Table<'_>) -> Vec<Resource> {
    let one = |(name, value): (Str<'_>, Value<'_>)| {
        is_name(&name, "a resource");
        let mut inner = value.table(name.text)?;
        if !inner.has("path") && !inner.has("paths") {
            value.source.refuse_with(
                &value.at,
                format!("the resource `{}` has no paths", name.text),
                "say `paths = [..]`",
            );
        }
        let paths = paths(&mut inner);
        let actions = inner.table("actions");
        if actions
            .as_ref()
            .map_or(!inner.has("actions"), Table::is_empty)
        {
            value.source.refuse_with(
                &value.at,
                format!("the resource `{}` has no actions", name.text),
                "say `actions = { read = [\"GET\", \"HEAD\"] }`",
            );
        }
        inner.finish(&format!("the resource `{}`", name.text));
        let action = |(action, value): (Str<'_>, Value<'_>)| {
            is_name(&action, "an action");
            Some((shared(&action), methods(&value, action.text)?))
        };
        let entries = actions.map_or_else(Vec::new, |actions| actions.entries());
        Some(Resource {
            name: shared(&name),
            paths: paths.unwrap_or_default(),
            actions: entries.into_iter().filter_map(action).collect(),
        })
    };
    table.entries().into_iter().filter_map(one).collect()
}

fn permitted<'t>(
    role: &Str<'t>,
    resource: &Str<'t>,
    actions: &Value<'t>,
    resources: &[Resource],
    left: &Cell<usize>,
) -> Vec<Permission<'t>> {
    let Some(found) = resources.iter().find(|known| *known.name == *resource.text) else {
        resource.refuse_with(
            format!("the resource `{}` is not defined", resource.text),
            hint::among(resource.text, resources.iter().map(|known| &*known.name)),
        );
        return Vec::new();
    };
    if !matches!(actions.value, DeValue::Array(_)) {
        return actions
            .is_no(resource.text, "a list of actions")
            .unwrap_or_default();
    }
    let one = |action: Str<'t>| {
        let known = found.actions.iter();
        let Some((_, methods)) = known.clone().find(|(name, _)| **name == *action.text) else {
            action.refuse_with(
                format!(
                    "the action `{}` of `{}` is not defined",
                    action.text, resource.text
                ),
                hint::among(action.text, known.map(|(name, _)| &**name)),
            );
            return None;
        };
        let before = left.get();
        let parts = found.paths.len() + methods.len();
        left.set(before.saturating_sub(parts));
        if parts > before {
            action.refuse_with(
                "the roles may too much for one policy",
                format!("more than {MOST_PARTS} paths and methods, of all roles together"),
            );
            return None;
        }
        let holder = Clause::any([Atom::Role(Text::exact(role.text))]);
        let clauses = std::iter::once(holder)
            .chain(method_clause(methods, Effect::Allow))
            .chain([path_clause(found.paths.iter().cloned())]);
        Some(Permission {
            id: format!("role {}: {}.{}", role.text, resource.text, action.text),
            clauses: clauses.collect(),
            written: action,
        })
    };
    let texts = actions.texts(resource.text).unwrap_or_default();
    texts.into_iter().filter_map(one).collect()
}

impl Names<'_> {
    /// Whether a rule may speak of such a role; it is used from now on.
    pub(super) fn has_role(&self, written: &Str<'_>, text: &Text) -> bool {
        let mut used = self.used.borrow_mut();
        let before = self.roles.iter().filter(|role| text.is(role.text));
        let mut any = false;
        for role in before {
            any = true;
            used.insert(role.text);
        }
        if !any {
            written.refuse_with(
                match text {
                    Text::Exact(name) => format!("the role `{name}` is not defined"),
                    _ => format!("no role is `{}`", written.text),
                },
                match self.roles.is_empty() {
                    true => "declare it: `[roles.NAME]`".to_owned(),
                    false => hint::among(written.text, self.roles.iter().map(|role| role.text)),
                },
            );
        }
        any
    }

    /// Refuses roles that nothing speaks of.
    pub(super) fn finish(&self) {
        let used = self.used.borrow();
        for role in &self.roles {
            if !used.contains(role.text) {
                role.refuse_with(
                    format!(
                        "the role `{}` may do nothing, and no rule uses it",
                        role.text
                    ),
                    "give it a resource and actions, or leave it out",
                );
            }
        }
    }
}
