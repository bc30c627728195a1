//! Database roles: what services may do in the database, as least-privilege SQL.
//!
//! # What it protects against
//!
//! A service that was taken over, and reads or changes by its connection to the database what it was
//! never meant to. The policy that says who may call whom says beside it what each of them may do
//! with tables, so that one review sees both; and the database enforces it.
//!
//! # The section
//!
//! ```toml
//! [database]
//! name = "shop"                        # the database that the roles are for
//! schema = "public"                    # PostgreSQL's; `public` where nothing is said
//! owners = ["shop_migrations"]         # who makes new tables, besides whoever applies the SQL
//! closed = ["postgres", "template1"]   # other databases of the server that not everybody enters
//!
//! [database.roles.order_service]
//! workload = "spiffe://shop.example/orders"
//! tables.orders = ["select", "insert"]
//! tables.customers = { select = ["id", "name"], update = ["name"] }
//! tables.baskets = { select = true, delete = true }
//! sequences = ["orders_id_seq"]        # where an insert takes its number from one
//! functions = ["price_of"]
//! procedures = ["close_day"]
//!
//! [database.roles.order_reports]
//! workload = "spiffe://shop.example/orders"
//! read_only = true                     # anything but `select` is a load error
//! login = false                        # for administrators to give to somebody
//! tables.orders = ["select"]
//! ```
//!
//! # A section is loaded when
//!
//! 1. it has no key that is not known, no empty list and nothing twice;
//! 2. each workload is a SPIFFE ID that an allowing rule of the policy names. A service that is only
//!    called, and calls nobody, says so: `calls_nobody = true`;
//! 3. names are at most 63 bytes long and have no control characters and none that cannot be seen.
//!    Quotes may stand in them: they are escaped. Names that the servers keep for themselves are
//!    refused;
//! 4. privileges are `select`, `insert`, `update` and `delete`. Who may truncate, or change a table,
//!    is an owner and no service;
//! 5. a role that is read only has `select`, and perhaps functions, and nothing else.
//!
//! # What the SQL for PostgreSQL does
//!
//! In one transaction, by a superuser, in the database that the section names (11 or later):
//!
//! 1. makes the roles that are missing. A role that was there before and is not one of this policy
//!    (its comment tells) stops it: a file that says `postgres` does not take a superuser apart;
//! 2. takes everything from the policy's roles: privileges on every schema, table, sequence and
//!    routine of the database, memberships in other roles, and every attribute but the login. So what
//!    is no longer in the file is gone. Roles that are gone from the file can no longer log in;
//! 3. takes from `PUBLIC` what PostgreSQL gives to everybody: the database, the schema, its tables and
//!    sequences, its routines that belong to no extension, making things in any schema, and what
//!    future tables and routines of the owners would give;
//! 4. gives what the file says, table by table and column by column;
//! 5. looks whether any of the roles may do more than that (by a role that gives to everybody in
//!    another schema, say, or as an owner), or one that is read only may call a function that acts as
//!    its owner (`SECURITY DEFINER`), and, if so, undoes it all and says what. Databases that
//!    the roles can still enter are a warning: `closed` names them, or `pg_hba.conf` keeps them shut.
//!
//! Applied again it changes nothing. There are no passwords in it: how a role logs in (a certificate
//! mapped in `pg_ident.conf`, `scram-sha-256`) is said in `pg_hba.conf`.
//!
//! # What the SQL for MySQL does
//!
//! For MySQL 8.0 and later: `CREATE ROLE IF NOT EXISTS`, then `REVOKE ALL PRIVILEGES, GRANT OPTION`,
//! then the grants. A role is a locked account there; administrators give it to the account that the
//! service logs in with (`GRANT .. TO`, `SET DEFAULT ROLE`). MySQL has no transaction for this: between
//! the two statements the service has nothing. MySQL gives nothing to everybody, so there is nothing
//! to take away; roles that were given to these roles, and roles that are gone from the file, stay as
//! they are. Sequences are PostgreSQL's alone. The SQL cannot see whether an account of that name was
//! there before: the names that the server itself gives to administrators are refused, and those that
//! you gave are yours to leave out. Nor does it look at functions: one acts as its definer there,
//! unless it says `SQL SECURITY INVOKER`, also for a role that is read only.
//!
//! # Several files
//!
//! The roles of a policy are known by its name and the database's, so a file with this section says its
//! name (`policy = ".."`): the name of the file is not taken for it. Two files with roles in one database
//! need names of their own: of one name, each would take the other's roles apart.
//!
//! # What it does not do
//!
//! No row-level security, no ownership, no passwords. In PostgreSQL everybody may read the catalog,
//! make large objects, use types and languages, and call what extensions brought.

mod identifier;
mod mysql;
mod postgres;
mod read;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(crate) use self::read::parse;
use super::{CompiledPolicy, PolicyError, PolicyErrors, model::Origin};

/// Whose SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SqlDialect {
    /// PostgreSQL, 11 or later.
    Postgres,
    /// MySQL, 8.0 or later.
    MySql,
}

/// The `[database]` section of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Database {
    name: Arc<str>,
    schema: Arc<str>,
    owners: Vec<Arc<str>>,
    closed: Vec<Arc<str>>,
    roles: Vec<DatabaseRole>,
    origin: Origin,
}

/// What one role may do. Names are as they were written, not yet quoted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct DatabaseRole {
    name: Arc<str>,
    workload: Arc<str>,
    login: bool,
    read_only: bool,
    tables: BTreeMap<Arc<str>, Privileges>,
    sequences: Vec<Arc<str>>,
    functions: Vec<Arc<str>>,
    procedures: Vec<Arc<str>>,
    origin: Origin,
}

type Privileges = BTreeMap<Privilege, Columns>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
}

impl Privilege {
    const ALL: [Self; 4] = [Self::Select, Self::Insert, Self::Update, Self::Delete];

    const fn name(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    const fn sql(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Columns {
    All,
    These(BTreeSet<Arc<str>>),
}

impl CompiledPolicy {
    /// The SQL that gives the services the least that the policy's `[database]` section says, and
    /// takes everything else from them. The text has no secret in it. Applied again it changes
    /// nothing, and what is no longer in the file is taken.
    ///
    /// ```toml
    /// [database]
    /// name = "shop"                        # the database that the roles are for
    /// schema = "public"                    # PostgreSQL's; `public` where nothing is said
    /// owners = ["shop_migrations"]         # who makes new tables, besides whoever applies the SQL
    /// closed = ["postgres", "template1"]   # other databases of the server that not everybody enters
    ///
    /// [database.roles.order_service]
    /// workload = "spiffe://shop.example/orders"    # one that a rule allows something
    /// tables.orders = ["select", "insert"]
    /// tables.customers = { select = ["id", "name"], update = ["name"] }
    /// sequences = ["orders_id_seq"]        # `functions`, `procedures`
    ///
    /// [database.roles.ledger]
    /// workload = "spiffe://shop.example/ledger"
    /// calls_nobody = true                  # it is only called, and no rule names it
    /// read_only = true                     # anything but `select` is a load error
    /// login = false                        # for administrators to give to somebody
    /// tables.orders = ["select"]
    /// ```
    ///
    /// For PostgreSQL (11 or later, by a superuser) it is one transaction, that ends by looking
    /// whether any of the roles may do more than that, and undoes it all if so. It takes from
    /// `PUBLIC` what everybody has in the database and its schema. For MySQL (8.0 or later) it is
    /// roles and grants; administrators give the roles to accounts. How a role logs in is said
    /// elsewhere: in `pg_hba.conf`, with `CREATE USER`.
    ///
    /// # Errors
    ///
    /// Where the policy has no such section, or a name is too long for the dialect.
    pub fn database_sql(&self, dialect: SqlDialect) -> Result<String, PolicyErrors> {
        let document = self.document();
        let Some(database) = &document.database else {
            let origin = Origin {
                file: Arc::from(self.name()),
                ..Origin::default()
            };
            return Err(PolicyError::new(&origin, "the policy has no section `[database]`").into());
        };
        database.sql(dialect, self.name(), self.version())
    }
}

impl Database {
    fn sql(
        &self,
        dialect: SqlDialect,
        policy: &str,
        version: &str,
    ) -> Result<String, PolicyErrors> {
        match dialect {
            SqlDialect::Postgres => Ok(postgres::render(self, policy, version)),
            SqlDialect::MySql => {
                mysql::check(self)?;
                Ok(mysql::render(self, policy, version))
            }
        }
    }
}

/// `SELECT ("id", "name"), INSERT`: what stands between `GRANT` and `ON`, as both dialects say it.
fn granted(privileges: &Privileges, quoted: fn(&str) -> String) -> String {
    let one = |(privilege, columns): (&Privilege, &Columns)| match columns {
        Columns::All => privilege.sql().to_owned(),
        Columns::These(columns) => {
            let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            format!("{} ({})", privilege.sql(), columns.join(", "))
        }
    };
    let all: Vec<String> = privileges.iter().map(one).collect();
    all.join(", ")
}

/// A text for a comment: one line that reads as it is written, whatever it is.
fn comment(text: &str) -> String {
    text.chars()
        .map(
            |letter| match letter.is_control() || identifier::deceives(letter) {
                true => ' ',
                false => letter,
            },
        )
        .collect()
}

impl Columns {
    /// Columns by name; none where it is all of them.
    fn named(&self) -> impl Iterator<Item = &Arc<str>> {
        match self {
            Self::All => None,
            Self::These(columns) => Some(columns),
        }
        .into_iter()
        .flatten()
    }
}
