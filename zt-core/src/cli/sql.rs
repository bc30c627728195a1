//! `zt-policy render-sql`.

use serde_json::json;

use super::{
    Command, Surroundings,
    arguments::{Arguments, Spec},
    failure::Failure,
    load,
};
use crate::policy::SqlDialect;

pub(super) const COMMAND: Command = Command {
    name: "render-sql",
    about: "write the SQL that gives services the least they need in the database",
    help: "usage: zt-policy render-sql FILE --dialect postgres|mysql [OPTIONS]

Writes the SQL of the policy's section `[database]` to standard output. It has no passwords in it;
read it before you apply it. Applied again it changes nothing.

options:
      --dialect NAME       postgres, mysql
      --json               one JSON object

examples:
  zt-policy render-sql policy.toml --dialect postgres | psql -v ON_ERROR_STOP=1 -d shop
",
    spec: Spec {
        positionals: &["FILE"],
        more: false,
        flags: &["--json"],
        options: &["--dialect", "--environment"],
    },
    run,
};

fn run(arguments: &Arguments, around: &mut Surroundings<'_>) -> Result<u8, Failure> {
    let dialect = match arguments.text("--dialect")? {
        Some("postgres") => SqlDialect::Postgres,
        Some("mysql") => SqlDialect::MySql,
        Some(other) => {
            return Err(arguments.usage(format!("there is no dialect `{other}`")));
        }
        None => return Err(arguments.usage("it needs `--dialect postgres` or `--dialect mysql`")),
    };
    let (policy, _) = load::policy(arguments, around)?;
    let sql = policy
        .database_sql(dialect)
        .map_err(|errors| Failure::refused(&errors))?;
    if arguments.flag("--json") {
        around.say(true, "", &json!({ "sql": sql }))?;
    } else {
        // As it is: escaped it would be another SQL.
        write!(around.out, "{sql}").map_err(Failure::output)?;
    }
    Ok(0)
}
