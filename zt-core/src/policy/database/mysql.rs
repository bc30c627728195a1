//! The SQL for MySQL.

use std::fmt::Write;

use super::{Database, DatabaseRole, comment, granted, identifier::mysql as quoted};
use crate::policy::{PolicyError, PolicyErrors, model::Origin};

/// MySQL's bounds, where they are narrower than those of the section.
pub(super) fn check(database: &Database) -> Result<(), PolicyErrors> {
    let mut errors = Vec::new();
    let mut name = |name: &str, what: &str, origin: &Origin| {
        // "Schema Object Names": the basic multilingual plane, and no space at the end.
        if name.ends_with(' ') || name.chars().any(|letter| u32::from(letter) > 0xFFFF) {
            let message = format!("the {what} `{name}` cannot be a name in MySQL");
            errors.push(PolicyError::new(origin, message));
        }
    };
    name(&database.name, "database", &database.origin);
    for role in &database.roles {
        name(&role.name, "role", &role.origin);
        for (table, privileges) in &role.tables {
            name(table, "table", &role.origin);
            for column in privileges.values().flat_map(super::Columns::named) {
                name(column, "column", &role.origin);
            }
        }
        for routine in role.functions.iter().chain(&role.procedures) {
            name(routine, "routine", &role.origin);
        }
    }
    // "Account Names": at most 32 characters.
    for role in &database.roles {
        if role.name.chars().count() > 32 {
            let message = format!("the role `{}` is longer than 32 characters", role.name);
            errors.push(PolicyError::new(&role.origin, message).hint("MySQL allows no more"));
        }
    }
    PolicyErrors::check(errors)
}

pub(super) fn render(database: &Database, policy: &str, version: &str) -> String {
    let mut sql = format!(
        "-- Database roles of the policy `{}`, version `{}`, for MySQL 8.0 or later.\n\
         -- To be applied by an administrator. Between REVOKE and GRANT a role has nothing.\n",
        comment(policy),
        comment(version),
    );
    for role in &database.roles {
        // Into a string nothing fails to be written.
        let _ = write_role(&mut sql, database, role);
    }
    sql
}

fn write_role(sql: &mut String, database: &Database, role: &DatabaseRole) -> std::fmt::Result {
    let account = format!("{}@`%`", quoted(&role.name));
    let of = |name: &str| format!("{}.{}", quoted(&database.name), quoted(name));
    writeln!(sql, "\n-- {}", comment(&role.workload))?;
    writeln!(sql, "CREATE ROLE IF NOT EXISTS {account};")?;
    writeln!(sql, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account};")?;
    for (table, privileges) in &role.tables {
        let granted = granted(privileges, quoted);
        writeln!(sql, "GRANT {granted} ON {} TO {account};", of(table))?;
    }
    for (kind, routines) in [
        ("FUNCTION", &role.functions),
        ("PROCEDURE", &role.procedures),
    ] {
        for routine in routines {
            let routine = of(routine);
            writeln!(sql, "GRANT EXECUTE ON {kind} {routine} TO {account};")?;
        }
    }
    Ok(())
}
