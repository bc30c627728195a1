//! One `[[rule]]`.

use std::{ops::Range, rc::Rc, sync::Arc};

use super::{
    caller::{self, Caller},
    closer,
    environment::Environments,
    hint,
    operation::body,
    pattern::{is_name, shared},
    request::{hosts, method_clause, methods, path_clause, paths},
    roles::Names,
    table::{Str, Table, Value},
};
use crate::policy::model::{Atom, BodyFields, Clause, Condition, Effect, Rule};

/// A rule as it was read, in as many parts as the model takes.
pub(super) struct Read<'t> {
    pub(super) id: Str<'t>,
    /// With what is said in the rule itself.
    pub(super) rule: Rule,
    /// What callers have to be besides, in several ways.
    pub(super) ways: Vec<Vec<Clause>>,
    /// Whether it is in force in this environment.
    pub(super) here: bool,
}

/// What rules speak of.
pub(super) struct Context<'c, 't> {
    pub(super) names: &'c Names<'t>,
    pub(super) environments: &'c Environments,
    pub(super) operations: &'c closer::Operations<'c>,
}

pub(super) fn read<'t>(value: &Value<'t>, context: &Context<'_, '_>) -> Option<Read<'t>> {
    let Context {
        names,
        environments,
        operations,
    } = *context;
    let mut table = value.table("rule")?;
    let id = table.text("id");
    if !table.has("id") {
        let hint = "each rule has an id, which permits, denials and records name";
        value
            .source
            .refuse_with(&value.at, "a rule without `id`", hint);
    }
    let id = id.filter(|id| is_name(id, "a rule"));
    let effect = effect(&mut table);
    let dry_run = table.flag("dry_run").unwrap_or_default();
    let caller = table.get("caller");
    // A rule without a sound effect is not loaded, whatever it asks.
    let asked = effect.unwrap_or(Effect::Deny);
    let caller = caller.map(|value| caller::read(&value, names, asked));
    let request = request(&mut table, operations, asked);
    let grant = table.text("grant");
    let environment = table.get("environment");
    let here = environments.is_here(environment.as_ref());
    let when = condition(&mut table, request.as_ref());
    table.finish("a rule");

    let (id, effect, request) = (id?, effect?, request?);
    let caller = match caller {
        Some(caller) => caller?,
        None => Caller {
            clauses: Vec::new(),
            environment: None,
        },
    };
    let callers = environments.callers(caller.environment.as_ref(), effect);
    let rule = Rule {
        id: shared(&id),
        effect,
        dry_run,
        clauses: [caller.clauses, request.clauses].concat(),
        grant: grant.as_ref().map(shared),
        when,
        origin: id.source.origin(id.at.start),
    };
    let of_callers = environments.ways(&callers, effect);
    if let Some(further) = of_callers.len().checked_sub(1).filter(|more| *more > 0)
        && let Err(error) = operations.again(&request.ways, further)
    {
        too_many(&id, &error);
        return None;
    }
    let both = |caller: &Vec<Clause>| {
        let one = |request: &Vec<Clause>| [caller.as_slice(), request].concat();
        request.ways.iter().map(one).collect::<Vec<_>>()
    };
    let ways = of_callers.iter().flat_map(both).collect();
    Some(Read {
        id,
        rule,
        ways,
        here,
    })
}

fn effect(table: &mut Table<'_>) -> Option<Effect> {
    let known = [("allow", Effect::Allow), ("deny", Effect::Deny)];
    let Some(value) = table.get("effect") else {
        let hint = "say `effect = \"allow\"` or `effect = \"deny\"`";
        table
            .source
            .refuse_with(&table.at, "a rule without `effect`", hint);
        return None;
    };
    let written = value.text("effect")?;
    let found = known.iter().find(|(name, _)| *name == written.text);
    if found.is_none() {
        written.refuse_with(
            format!("`{}` is no effect", written.text),
            hint::among(written.text, known.iter().map(|(name, _)| *name)),
        );
    }
    found.map(|(_, effect)| *effect)
}

/// What is said of a request.
struct Request {
    clauses: Vec<Clause>,
    /// What it has to be besides, in several ways.
    ways: Rc<Vec<Vec<Clause>>>,
    /// The operation's fields, where the rule names one.
    body: Option<Arc<BodyFields>>,
}

fn request(
    table: &mut Table<'_>,
    operations: &closer::Operations<'_>,
    effect: Effect,
) -> Option<Request> {
    let named = table.get("operation");
    let methods = table.get("methods").map(|value| methods(&value, "methods"));
    let hosts = table.get("hosts").map(|value| hosts(&value));
    let has_paths = table.has("path") || table.has("paths");
    let paths = paths(table);
    let said = methods.is_some() || hosts.is_some() || has_paths;
    let Some(named) = named else {
        let methods = methods.unwrap_or(Some(Vec::new()))?;
        let hosts = hosts.unwrap_or(Some(Vec::new()))?;
        let paths = match has_paths {
            true => Some(path_clause(paths?)),
            false => None,
        };
        let hosts = (!hosts.is_empty()).then(|| Clause::any(hosts.into_iter().map(Atom::Host)));
        return Some(Request {
            clauses: method_clause(&methods, effect)
                .into_iter()
                .chain(hosts)
                .chain(paths)
                .collect(),
            ways: Rc::new(vec![Vec::new()]),
            body: None,
        });
    };
    if said {
        table.source.refuse_with(
            &named.at,
            "an operation, and methods, hosts or paths beside it",
            "the operation says them; leave one or the other out",
        );
    }
    let name = named.text("operation")?;
    let Some(operation) = operations.get(name.text) else {
        name.refuse_with(
            format!("the operation `{}` is not defined", name.text),
            hint::among(name.text, operations.all.iter().map(|known| &*known.id)),
        );
        return None;
    };
    let hosts = &operation.hosts;
    let hosts = (!hosts.is_empty()).then(|| Clause::any(hosts.iter().cloned().map(Atom::Host)));
    // What is denied for an operation is denied for all that its path matches.
    let ways = match effect {
        Effect::Deny => {
            let methods = method_clause(&operation.methods, effect);
            Rc::new(vec![methods.into_iter().collect()])
        }
        Effect::Allow => operations
            .ways(operation)
            .map_err(|error| too_many(&name, &error))
            .ok()?,
    };
    let path = path_clause([operation.path.clone()]);
    Some(Request {
        clauses: hosts.into_iter().chain([path]).collect(),
        ways,
        body: Some(Arc::clone(&operation.body)),
    })
}

/// Told once, of the first rule that is too much.
fn too_many(place: &Str<'_>, error: &closer::TooMany) {
    if error.is_first {
        place.refuse_with(
            "the operations overlap too much for the rules that speak of them",
            format!(
                "a rule leaves out each operation that is closer, and all rules no more than {}",
                closer::MOST_CLOSER
            ),
        );
    }
}

/// `when`, with what it may read of the body.
fn condition(table: &mut Table<'_>, request: Option<&Request>) -> Option<Condition> {
    let own = ["body", "max_body"].into_iter().find(|key| table.has(key));
    let body_at: Option<Range<usize>> = own.and_then(|key| table.at_of(key));
    let fields = body(table);
    let of_operation = request.and_then(|request| request.body.as_ref());
    let when = table.text("when");
    if let Some(at) = body_at {
        if of_operation.is_some() {
            table.source.refuse_with(
                &at,
                "the operation says what conditions read of the body",
                "leave it out here",
            );
        } else if !table.has("when") {
            table.source.refuse_with(
                &at,
                "`body` without `when`",
                "it names the fields that the condition reads",
            );
        }
    }
    let when = when?;
    Some(Condition {
        text: shared(&when),
        body: of_operation.map_or(fields, Arc::clone),
        origin: table.source.content(&when.at),
    })
}
