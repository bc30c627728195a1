//! What an expression reads, so that no request pays for more, and the form in which it is run.
//!
//! Expressions are run with what a principal is in the context (`principal.roles` as
//! `context.principal.roles`), because an entity for each request costs more than all the rest.

use cedar_policy::{Expression, Policy};
use serde_json::{Map, Value, json};

use super::vocabulary::{Fact, VOCABULARY};

/// Facts and groups of attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reads {
    facts: u64,
    /// Who the principal is, beyond what it has.
    pub(super) identity: bool,
    /// What the request is: `action` or `resource`.
    pub(super) operation: bool,
    /// Places in the policy's list of groups.
    pub(super) groups: Vec<usize>,
}

impl Reads {
    pub(super) const fn has(&self, fact: Fact) -> bool {
        self.facts & (1 << fact as u64) != 0
    }

    pub(super) fn has_any(&self, facts: &[Fact]) -> bool {
        facts.iter().any(|fact| self.has(*fact))
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.facts |= other.facts;
        self.identity |= other.identity;
        self.operation |= other.operation;
        self.groups.extend(&other.groups);
        self.groups.sort_unstable();
        self.groups.dedup();
    }
}

/// An expression that can be run.
pub(super) struct Runnable {
    pub(super) expression: Expression,
    pub(super) reads: Reads,
}

impl Runnable {
    /// The scope of the policy, but for its action, and its conditions.
    ///
    /// # Errors
    ///
    /// Why such a policy is not run.
    pub(super) fn of(policy: &Policy, groups: &[&str]) -> Result<Self, String> {
        let policy = policy.to_json().map_err(|error| error.to_string())?;
        let scope = ["principal", "resource"]
            .into_iter()
            .filter_map(|name| in_scope(name, policy.get(name)?));
        let conditions = policy.get("conditions").and_then(Value::as_array);
        let conditions = conditions.into_iter().flatten().filter_map(|condition| {
            let body = condition.get("body")?.clone();
            Some(match condition.get("kind")?.as_str()? {
                "when" => body,
                _ => json!({"!": {"arg": body}}),
            })
        });
        let mut expression = scope
            .chain(conditions)
            .reduce(|left, right| json!({"&&": {"left": left, "right": right}}))
            .unwrap_or_else(|| json!({"Value": true}));
        let mut walk = Walk {
            groups,
            reads: Reads::default(),
        };
        walk.expression(&mut expression)?;
        Ok(Self {
            expression: written(expression)?,
            reads: walk.reads,
        })
    }
}

/// What a scope says of the principal or the resource, as an expression.
fn in_scope(name: &str, scope: &Value) -> Option<Value> {
    let var = || json!({"Var": name});
    let entity = |entity: &Value| json!({"Value": {"__entity": entity.clone()}});
    match scope.get("op")?.as_str()? {
        "All" => None,
        "is" => {
            let mut is = json!({"left": var(), "entity_type": scope.get("entity_type")?});
            if let Some(inside) = scope.get("in").and_then(|inside| inside.get("entity"))
                && let Value::Object(is) = &mut is
            {
                is.insert("in".to_owned(), entity(inside));
            }
            Some(json!({"is": is}))
        }
        op => Some(json!({op: {"left": var(), "right": entity(scope.get("entity")?)}})),
    }
}

/// Through Cedar's own printer and parser.
fn written(expression: Value) -> Result<Expression, String> {
    let all = json!({"op": "All"});
    let policy = json!({
        "effect": "permit",
        "principal": all,
        "action": all,
        "resource": all,
        "conditions": [{"kind": "when", "body": expression}],
    });
    let policy = Policy::from_json(None, policy).map_err(|error| error.to_string())?;
    let text = policy.to_cedar().unwrap_or_default();
    let inner = text
        .find('{')
        .zip(text.rfind('}'))
        .and_then(|(from, to)| text.get(from + 1..to));
    inner
        .ok_or("it cannot be written")?
        .parse::<Expression>()
        .map_err(|error| error.to_string())
}

struct Walk<'g> {
    groups: &'g [&'g str],
    reads: Reads,
}

impl Walk<'_> {
    fn expression(&mut self, expression: &mut Value) -> Result<(), String> {
        let Some((op, args)) = expression
            .as_object_mut()
            .and_then(|members| members.iter_mut().next())
        else {
            return Ok(());
        };
        match op.as_str() {
            "Value" => {}
            "Var" => match args.as_str() {
                Some("context") => return Err("say which part of `context` is meant".to_owned()),
                Some("principal") => self.reads.identity = true,
                _ => self.reads.operation = true,
            },
            "." | "has" => return self.attribute(expression),
            "Record" => {
                for member in args.as_object_mut().into_iter().flat_map(Map::values_mut) {
                    self.expression(member)?;
                }
            }
            "like" | "is" => {
                for name in ["left", "in"] {
                    if let Some(inner) = args.get_mut(name) {
                        self.expression(inner)?;
                    }
                }
            }
            _ => match args {
                Value::Array(items) => {
                    for item in items {
                        self.expression(item)?;
                    }
                }
                Value::Object(members) => {
                    for member in members.values_mut() {
                        self.expression(member)?;
                    }
                }
                _ => {}
            },
        }
        Ok(())
    }

    /// `root.a.b`, or `root.a has b`.
    fn attribute(&mut self, expression: &mut Value) -> Result<(), String> {
        let mut path = Vec::new();
        let is_principal = root(expression, &mut path)?;
        if is_principal {
            path.push("principal".to_owned());
        }
        path.reverse();
        self.note(&path);
        Ok(())
    }

    /// All facts at or below a path are read, and the one that it goes into.
    fn note(&mut self, path: &[String]) {
        let Some((first, inner)) = path.split_first() else {
            return;
        };
        for entry in VOCABULARY {
            let read = if entry.record.is_empty() {
                entry.name == first
            } else {
                entry.record == first && inner.first().is_none_or(|name| name == entry.name)
            };
            if read {
                self.reads.facts |= 1 << entry.fact as u64;
            }
        }
        if let Some(place) = self.groups.iter().position(|group| group == first) {
            self.reads.add(&Reads {
                groups: vec![place],
                ..Reads::default()
            });
        }
    }
}

/// Gathers the names from the last to the first. A principal at the root is replaced.
fn root(expression: &mut Value, path: &mut Vec<String>) -> Result<bool, String> {
    match expression.get("Var").and_then(Value::as_str) {
        Some("context") => return Ok(false),
        Some("principal") => {
            *expression = json!({".": {"left": {"Var": "context"}, "attr": "principal"}});
            return Ok(true);
        }
        _ => {}
    }
    let args = expression.as_object_mut().and_then(|members| {
        let (op, args) = members.iter_mut().next()?;
        matches!(op.as_str(), "." | "has").then_some(args)
    });
    let Some(args) = args else {
        return Err("attributes are read of `principal` and `context` alone".to_owned());
    };
    match args.get("attr") {
        Some(Value::String(name)) => path.push(name.clone()),
        Some(Value::Array(names)) => {
            path.extend(
                names
                    .iter()
                    .rev()
                    .filter_map(Value::as_str)
                    .map(str::to_owned),
            );
        }
        _ => {}
    }
    root(args.get_mut("left").ok_or("an attribute of nothing")?, path)
}
