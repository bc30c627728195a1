//! The `[database]` section, read strictly.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Columns, Database, DatabaseRole, Privilege, Privileges, identifier};
use crate::policy::{
    PolicyError,
    model::{Atom, Effect, Origin, Rule, Text},
};

/// Reads the section `table`, which stands at `at`, of a policy with these rules. What is wrong is
/// added to `errors`; `origin` tells where a span is.
pub(crate) fn parse(
    table: &DeTable<'_>,
    at: Range<usize>,
    rules: &[Rule],
    origin: &dyn Fn(Range<usize>) -> Origin,
    errors: &mut Vec<PolicyError>,
) -> Database {
    Reader {
        rules,
        origin,
        errors,
    }
    .section(table, at)
}

struct Reader<'r> {
    rules: &'r [Rule],
    origin: &'r dyn Fn(Range<usize>) -> Origin,
    errors: &'r mut Vec<PolicyError>,
}

type Refused = fn(&str) -> Option<&'static str>;

const SECTION: &[&str] = &["name", "schema", "owners", "closed", "roles"];
const ROLE: &[&str] = &[
    "workload",
    "calls_nobody",
    "login",
    "read_only",
    "tables",
    "sequences",
    "functions",
    "procedures",
];
const NEITHER: &str = "a list of privileges, or a table of privileges with `true` or a list of \
                       columns";

impl Reader<'_> {
    fn section(&mut self, table: &DeTable<'_>, at: Range<usize>) -> Database {
        self.known(table, SECTION, "[database]");
        let mut database = Database {
            schema: "public".into(),
            origin: (self.origin)(at.clone()),
            ..Database::default()
        };
        match table.get("name") {
            Some(name) => database.name = self.name(name, "database", identifier::refused),
            None => self.wrong(&at, "`[database]` needs `name`", Some("the database's")),
        }
        if let Some(schema) = table.get("schema") {
            database.schema = self.name(schema, "schema", identifier::refused_for_a_schema);
        }
        database.owners = self.names(table, "owners", "role", identifier::refused);
        database.closed = self.names(table, "closed", "database", identifier::refused);
        if let Some(own) = table
            .get("closed")
            .filter(|_| database.closed.contains(&database.name))
        {
            let message = "`closed` names the section's own database";
            self.wrong(&own.span(), message, Some("it is closed anyway"));
        }
        let Some(roles) = table.get("roles") else {
            self.wrong(&at, "`[database]` has no roles", None);
            return database;
        };
        for (name, role) in self.table(roles, "`roles`").into_iter().flatten() {
            if let Some(role) = self.role(name, role) {
                database.roles.push(role);
            }
        }
        // The table is in the order of its keys; a reader of the SQL follows the file.
        database
            .roles
            .sort_by_key(|role| (role.origin.line, role.origin.column));
        for role in &database.roles {
            if database.owners.contains(&role.name) {
                let message = format!("`{}` is one of `owners`, and so no service", role.name);
                self.errors.push(PolicyError::new(&role.origin, message));
            }
        }
        database
    }

    fn role(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<DatabaseRole> {
        let at = name.span();
        let mut role = DatabaseRole {
            name: name.get_ref().as_ref().into(),
            origin: (self.origin)(at.clone()),
            ..DatabaseRole::default()
        };
        if let Some(why) = identifier::refused_for_a_role(&role.name) {
            self.wrong(&at, format!("the role `{}` {why}", shown(&role.name)), None);
        }
        let table = self.table(value, "a role")?;
        self.known(table, ROLE, "a role");
        role.login = self.flag(table, "login", true);
        role.read_only = self.flag(table, "read_only", false);
        let calls_nobody = self.flag(table, "calls_nobody", false);
        match table.get("workload") {
            Some(workload) => role.workload = self.workload(workload, calls_nobody),
            None => {
                let message = format!("the role `{}` has no `workload`", shown(&role.name));
                self.wrong(&at, message, Some("whose role it is: a SPIFFE ID"));
            }
        }
        if let Some(tables) = table.get("tables") {
            for (name, value) in self.table(tables, "`tables`").into_iter().flatten() {
                self.identifier(name.get_ref(), &name.span(), "table", identifier::refused);
                let privileges = self.privileges(value);
                if role.read_only && privileges.keys().any(|one| *one != Privilege::Select) {
                    let message = "a role that is read only may `select` and nothing else";
                    self.wrong(&value.span(), message, None);
                }
                role.tables
                    .insert(name.get_ref().as_ref().into(), privileges);
            }
        }
        role.sequences = self.names(table, "sequences", "sequence", identifier::refused);
        role.functions = self.names(table, "functions", "function", identifier::refused);
        role.procedures = self.names(table, "procedures", "procedure", identifier::refused);
        for key in ["sequences", "procedures"] {
            if let Some(value) = table.get(key).filter(|_| role.read_only) {
                let message = format!("a role that is read only has no `{key}`");
                self.wrong(&value.span(), message, None);
            }
        }
        let nothing = [&role.sequences, &role.functions, &role.procedures];
        if role.tables.is_empty() && nothing.iter().all(|list| list.is_empty()) {
            let message = format!("the role `{}` may do nothing", shown(&role.name));
            self.wrong(&at, message, Some("leave it out, and it loses what it had"));
        }
        Some(role)
    }

    fn workload(&mut self, value: &Spanned<DeValue<'_>>, calls_nobody: bool) -> Arc<str> {
        let at = value.span();
        let id: Arc<str> = self.text(value).into();
        if id.is_empty() {
            return id;
        }
        let path = id
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.split_once('/'))
            .filter(|(domain, path)| !domain.is_empty() && !path.is_empty());
        if path.is_none() || id.chars().any(|letter| !letter.is_ascii_graphic()) {
            let message = format!("`{}` is not the SPIFFE ID of a workload", shown(&id));
            self.wrong(&at, message, Some("`spiffe://trust-domain/path`"));
            return id;
        }
        match (names(self.rules, &id), calls_nobody) {
            (false, false) => self.wrong(
                &at,
                format!("no rule allows the workload `{id}` anything"),
                Some(
                    "a rule whose `caller.workload` it is; a service that is only called says \
                     `calls_nobody = true`",
                ),
            ),
            (true, true) => self.wrong(
                &at,
                format!("a rule names `{id}` as a caller, and `calls_nobody` says it is none"),
                None,
            ),
            _ => {}
        }
        id
    }

    fn privileges(&mut self, value: &Spanned<DeValue<'_>>) -> Privileges {
        let at = value.span();
        let mut privileges = Privileges::new();
        match value.get_ref() {
            DeValue::Array(list) => {
                for one in list {
                    let name = self.text(one).to_owned();
                    self.privilege(&name, &one.span(), Columns::All, &mut privileges);
                }
            }
            DeValue::Table(table) => {
                for (name, columns) in table {
                    let span = columns.span();
                    let columns = match columns.get_ref() {
                        DeValue::Boolean(true) => Columns::All,
                        DeValue::Array(list) => {
                            let mut columns = Vec::new();
                            self.list(list, &span, "column", identifier::refused, &mut columns);
                            Columns::These(columns.into_iter().collect())
                        }
                        _ => {
                            let hint = "leave out what it may not do";
                            self.wrong(&span, "it is `true` or a list of columns", Some(hint));
                            continue;
                        }
                    };
                    if name.get_ref() == "delete" && columns != Columns::All {
                        let message = "rows are deleted as a whole";
                        self.wrong(&span, message, Some("`delete = true`"));
                    }
                    self.privilege(name.get_ref(), &name.span(), columns, &mut privileges);
                }
            }
            _ => {
                self.wrong(&at, format!("a table's value is {NEITHER}"), None);
                return privileges;
            }
        }
        if privileges.is_empty() {
            self.wrong(&at, "it names no privilege", Some("leave the table out"));
        }
        privileges
    }

    fn privilege(
        &mut self,
        name: &str,
        at: &Range<usize>,
        columns: Columns,
        privileges: &mut Privileges,
    ) {
        let known = Privilege::ALL.into_iter().find(|one| one.name() == name);
        match known {
            Some(privilege) => {
                if privileges.insert(privilege, columns).is_some() {
                    self.wrong(at, format!("`{name}` stands there twice"), None);
                }
            }
            None => self.wrong(
                at,
                format!("there is no privilege `{}`", shown(name)),
                Some("`select`, `insert`, `update`, `delete`"),
            ),
        }
    }

    /// A list of names, if it is there; not empty, nothing twice.
    fn names(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        what: &str,
        refused: Refused,
    ) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        if let Some(value) = table.get(key) {
            match value.get_ref() {
                DeValue::Array(list) => {
                    self.list(list, &value.span(), what, refused, &mut names);
                }
                _ => self.wrong(&value.span(), format!("`{key}` is a list of texts"), None),
            }
        }
        names
    }

    fn list(
        &mut self,
        list: &[Spanned<DeValue<'_>>],
        at: &Range<usize>,
        what: &str,
        refused: Refused,
        names: &mut Vec<Arc<str>>,
    ) {
        if list.is_empty() {
            self.wrong(at, "the list is empty", Some("leave it out"));
        }
        let mut seen = BTreeSet::new();
        for one in list {
            let name = self.name(one, what, refused);
            if !seen.insert(Arc::clone(&name)) {
                let message = format!("`{}` stands there twice", shown(&name));
                self.wrong(&one.span(), message, None);
            }
            names.push(name);
        }
    }

    fn name(&mut self, value: &Spanned<DeValue<'_>>, what: &str, refused: Refused) -> Arc<str> {
        let Some(name) = value.get_ref().as_str() else {
            self.wrong(&value.span(), format!("the {what}'s name is a text"), None);
            return "".into();
        };
        self.identifier(name, &value.span(), what, refused);
        name.into()
    }

    fn identifier(&mut self, name: &str, at: &Range<usize>, what: &str, refused: Refused) {
        if let Some(why) = refused(name) {
            self.wrong(at, format!("the {what} `{}` {why}", shown(name)), None);
        }
    }

    fn flag(&mut self, table: &DeTable<'_>, key: &str, default: bool) -> bool {
        let Some(value) = table.get(key) else {
            return default;
        };
        value.get_ref().as_bool().unwrap_or_else(|| {
            let message = format!("`{key}` is `true` or `false`");
            self.wrong(&value.span(), message, None);
            default
        })
    }

    fn text<'v>(&mut self, value: &'v Spanned<DeValue<'_>>) -> &'v str {
        value.get_ref().as_str().unwrap_or_else(|| {
            self.wrong(&value.span(), "it is a text", None);
            ""
        })
    }

    fn table<'v, 'i>(
        &mut self,
        value: &'v Spanned<DeValue<'i>>,
        what: &str,
    ) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong(&value.span(), format!("{what} is a table"), None);
        }
        table
    }

    fn known(&mut self, table: &DeTable<'_>, keys: &[&str], what: &str) {
        for (key, _) in table {
            if !keys.contains(&key.get_ref().as_ref()) {
                let message = format!("{what} has no key `{}`", shown(key.get_ref()));
                let hint = format!("it has `{}`", keys.join("`, `"));
                self.wrong(&key.span(), message, Some(&hint));
            }
        }
    }

    fn wrong(&mut self, at: &Range<usize>, message: impl Into<String>, hint: Option<&str>) {
        let error = PolicyError::new(&(self.origin)(at.clone()), message);
        self.errors.push(match hint {
            Some(hint) => error.hint(hint),
            None => error,
        });
    }
}

/// Whether an allowing rule that is in force says of its caller that it is this workload. `*` says
/// of nobody that it is them.
fn names(rules: &[Rule], id: &str) -> bool {
    rules
        .iter()
        .filter(|rule| rule.effect == Effect::Allow && !rule.dry_run)
        .flat_map(|rule| &rule.clauses)
        .filter(|clause| !clause.negated)
        .flat_map(|clause| &clause.any)
        .any(|atom| matches!(atom, Atom::Workload(text) if *text != Text::Present && text.is(id)))
}

/// For a message on one line.
fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let control = letter.is_control();
            let escaped = control.then(|| letter.escape_default());
            escaped
                .into_iter()
                .flatten()
                .chain((!control).then_some(letter))
        })
        .collect()
}
