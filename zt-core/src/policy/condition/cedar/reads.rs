//! What an expression reads, so that no request pays for more, and the form in which it is run.
//!
//! Expressions are run with what a principal is in the context (`principal.roles` as
//! `context["principal.roles"]`, a name that nothing else in a context has), because an entity for each
//! request costs more than all the rest, and each step of a path costs something for each expression.

use cedar_policy::Policy;
use cedar_policy_core::ast::Expr;
use serde_json::{Map, Value, json};

use super::vocabulary::{self, Fact, VOCABULARY};
use crate::identity::PrincipalKind;

/// Before the name of what is read of the principal, in the context.
const OF_PRINCIPAL: &str = "principal.";

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
        self.has_any(fact.bit())
    }

    /// Whether any of these is read; facts are bits.
    pub(super) const fn has_any(&self, facts: u64) -> bool {
        self.facts & facts != 0
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
    /// Of whom it is asked alone: the scope says `principal is ..`.
    pub(super) kind: Option<PrincipalKind>,
    pub(super) expression: Expr,
    pub(super) reads: Reads,
}

impl Runnable {
    /// The scope of the policy, but for its action and the type of the principal, and its conditions.
    ///
    /// # Errors
    ///
    /// Why such a policy is not run.
    pub(super) fn of(policy: &Policy, groups: &[&str]) -> Result<Self, String> {
        let policy = policy.to_json().map_err(|error| error.to_string())?;
        let kind = policy.get("principal").and_then(kind_of);
        let scope = ["principal", "resource"]
            .into_iter()
            .filter(|name| kind.is_none() || *name != "principal")
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
            kind,
            expression: written(expression)?,
            reads: walk.reads,
        })
    }
}

/// Where a scope says the type of the principal and nothing else.
fn kind_of(scope: &Value) -> Option<PrincipalKind> {
    if scope.get("op")? != "is" || scope.get("in").is_some() {
        return None;
    }
    let name = scope.get("entity_type")?.as_str()?;
    vocabulary::KINDS
        .into_iter()
        .find(|kind| vocabulary::type_of(*kind) == name)
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

/// As the condition of a policy. It says nothing of places in a text, which Cedar would copy for each value.
fn written(expression: Value) -> Result<Expr, String> {
    let all = json!({"op": "All"});
    let policy = json!({
        "effect": "permit",
        "principal": all,
        "action": all,
        "resource": all,
        "conditions": [{"kind": "when", "body": expression}],
    });
    let policy = Policy::from_json(None, policy).map_err(|error| error.to_string())?;
    let condition = policy.as_ref().non_scope_constraints();
    Ok(condition.ok_or("it cannot be said in Cedar")?.clone())
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
                self.reads.facts |= entry.fact.bit();
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

/// Gathers the names from the last to the first. A principal at the root is replaced, and the first name
/// with it.
fn root(expression: &mut Value, path: &mut Vec<String>) -> Result<bool, String> {
    if expression.get("Var").and_then(Value::as_str) == Some("context") {
        return Ok(false);
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
    let left = args.get_mut("left").ok_or("an attribute of nothing")?;
    if left.get("Var").and_then(Value::as_str) != Some("principal") {
        return root(left, path);
    }
    *left = json!({"Var": "context"});
    let first = match args.get_mut("attr") {
        Some(Value::Array(names)) => names.first_mut(),
        name => name,
    };
    match first {
        Some(Value::String(name)) => name.insert_str(0, OF_PRINCIPAL),
        _ => return Err("an attribute without a name".to_owned()),
    }
    Ok(true)
}
