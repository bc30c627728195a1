//! The SQL for PostgreSQL.
//!
//! What depends on the database as it is stands in blocks of PL/pgSQL, in which names are texts and
//! `format` quotes them; what does not is plain SQL that a reviewer can read line by line.

use std::fmt::{self, Write};

use super::{
    Columns, Database, DatabaseRole, Privileges, comment, granted,
    identifier::{postgres as quoted, postgres_text as text, postgres_texts as texts},
};

pub(super) fn render(database: &Database, policy: &str, version: &str) -> String {
    let mut sql = String::with_capacity(8 * 1024);
    // Into a string nothing fails to be written.
    let _ = write(&mut sql, database, policy, version);
    sql
}

fn write(sql: &mut String, database: &Database, policy: &str, version: &str) -> fmt::Result {
    let mark = mark(database, policy);
    writeln!(
        sql,
        "-- Database roles of the policy \"{}\", version \"{}\", for PostgreSQL 11 or later.\n\
         -- To be applied by a superuser in the database {}. Applied again it changes nothing.\n\
         BEGIN;\n\
         SET LOCAL search_path = pg_catalog, pg_temp;",
        comment(policy),
        comment(version),
        comment(&quoted(&database.name)),
    )?;
    block(
        sql,
        "The roles, if they are missing",
        &make(database, &mark),
    )?;
    block(sql, "What they had is taken", &withdraw(database, &mark))?;
    everybody(sql, database)?;
    let strangers = filled(CREATING_AND_CALLING, |_| text(&database.schema));
    block(sql, "Nor in other schemas, nor by routines", &strangers)?;
    for role in &database.roles {
        role_grants(sql, database, role)?;
    }
    block(
        sql,
        "Nobody may do more than that",
        &verify(database, &mark),
    )?;
    sql.push_str("\nCOMMIT;\n");
    Ok(())
}

/// How a role is known as one of this policy: its comment.
fn mark(database: &Database, policy: &str) -> String {
    let (policy, name) = (comment(policy), &database.name);
    format!("zt: a role of the policy {policy} in the database {name}")
}

/// A block whose end is not in it, whatever names are.
fn block(sql: &mut String, what: &str, body: &str) -> fmt::Result {
    let mut tag = String::from("$zt$");
    let mut next = 0;
    while body.contains(tag.as_str()) {
        next += 1;
        tag = format!("$zt{next}$");
    }
    write!(sql, "\n-- {what}.\nDO {tag}\n{body}{tag};\n")
}

fn names(roles: &[DatabaseRole], which: impl Fn(&DatabaseRole) -> bool) -> String {
    let roles = roles.iter().filter(|role| which(role));
    texts(roles.map(|role| &*role.name))
}

fn make(database: &Database, mark: &str) -> String {
    let value = |key: &str| match key {
        "roles" => names(&database.roles, |_| true),
        "database" => text(&database.name),
        _ => text(mark),
    };
    filled(MAKE, value)
}

fn withdraw(database: &Database, mark: &str) -> String {
    let value = |key: &str| match key {
        "login" => names(&database.roles, |role| role.login),
        "readers" => names(&database.roles, |role| role.read_only),
        "schema" => text(&database.schema),
        _ => text(mark),
    };
    filled(WITHDRAW, value)
}

/// `template` with what stands between two `@` replaced, in one pass: a name that looks like a place
/// to fill is none.
fn filled(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    for (at, part) in template.split('@').enumerate() {
        if at % 2 == 0 {
            filled.push_str(part);
        } else {
            filled.push_str(&value(part));
        }
    }
    filled
}

/// What PostgreSQL gives to everybody.
fn everybody(sql: &mut String, database: &Database) -> fmt::Result {
    let (name, schema) = (quoted(&database.name), quoted(&database.schema));
    sql.push_str("\n-- What everybody has is taken.\n");
    writeln!(sql, "REVOKE ALL ON DATABASE {name} FROM PUBLIC;")?;
    for other in &database.closed {
        writeln!(sql, "REVOKE ALL ON DATABASE {} FROM PUBLIC;", quoted(other))?;
    }
    writeln!(sql, "REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;")?;
    for things in ["TABLES", "SEQUENCES"] {
        let from = format!("ALL {things} IN SCHEMA {schema} FROM PUBLIC");
        writeln!(sql, "REVOKE ALL ON {from};")?;
    }
    let roles: Vec<String> = database
        .roles
        .iter()
        .map(|role| quoted(&role.name))
        .collect();
    let mut all = vec!["PUBLIC".to_owned()];
    all.extend(roles);
    let all = all.join(", ");
    let owners = database
        .owners
        .iter()
        .map(|owner| format!("FOR ROLE {} ", quoted(owner)));
    for owner in std::iter::once(String::new()).chain(owners) {
        for things in ["TABLES", "SEQUENCES", "ROUTINES"] {
            // Of a schema only what was given in it can be taken, of all schemas the rest.
            for within in [String::new(), format!("IN SCHEMA {schema} ")] {
                writeln!(
                    sql,
                    "ALTER DEFAULT PRIVILEGES {owner}{within}REVOKE ALL ON {things} FROM {all};"
                )?;
            }
        }
    }
    Ok(())
}

fn role_grants(sql: &mut String, database: &Database, role: &DatabaseRole) -> fmt::Result {
    let (name, schema) = (quoted(&role.name), quoted(&database.schema));
    let of = |object: &str| format!("{schema}.{}", quoted(object));
    writeln!(sql, "\n-- {}", comment(&role.workload))?;
    let on = quoted(&database.name);
    writeln!(sql, "GRANT CONNECT ON DATABASE {on} TO {name};")?;
    writeln!(sql, "GRANT USAGE ON SCHEMA {schema} TO {name};")?;
    for (table, privileges) in &role.tables {
        let granted = granted(privileges, quoted);
        writeln!(sql, "GRANT {granted} ON TABLE {} TO {name};", of(table))?;
    }
    for (what, objects) in [
        ("USAGE ON SEQUENCE", &role.sequences),
        ("EXECUTE ON FUNCTION", &role.functions),
        ("EXECUTE ON PROCEDURE", &role.procedures),
    ] {
        for object in objects {
            writeln!(sql, "GRANT {what} {} TO {name};", of(object))?;
        }
    }
    Ok(())
}

fn verify(database: &Database, mark: &str) -> String {
    let mut given: [Vec<&str>; 4] = Default::default();
    let mut objects: [Vec<&str>; 3] = Default::default();
    for role in &database.roles {
        for (table, privileges) in &role.tables {
            rows(&mut given, &role.name, table, privileges);
        }
        for (names, privilege) in [
            (&role.sequences, "USAGE"),
            (&role.functions, "EXECUTE"),
            (&role.procedures, "EXECUTE"),
        ] {
            for object in names {
                for (column, value) in objects.iter_mut().zip([&*role.name, object, privilege]) {
                    column.push(value);
                }
            }
        }
    }
    let lists = |columns: &[Vec<&str>]| {
        let lists: Vec<String> = columns
            .iter()
            .map(|column| texts(column.iter().copied()))
            .collect();
        lists.join(",\n      ")
    };
    filled(VERIFY, |key| match key {
        "tables" => lists(&given),
        "objects" => lists(&objects),
        "readers" => names(&database.roles, |role| role.read_only),
        "schema" => text(&database.schema),
        _ => text(mark),
    })
}

/// Role, table, privilege and column (empty: all of them), one a row.
fn rows<'d>(
    given: &mut [Vec<&'d str>; 4],
    role: &'d str,
    table: &'d str,
    privileges: &'d Privileges,
) {
    for (privilege, columns) in privileges {
        let all = matches!(columns, Columns::All).then_some("");
        for column in columns.named().map(|column| &**column).chain(all) {
            for (list, value) in given.iter_mut().zip([role, table, privilege.sql(), column]) {
                list.push(value);
            }
        }
    }
}

const MAKE: &str = "\
DECLARE
  mark constant text := @mark@;
  wanted text;
BEGIN
  IF current_database() <> @database@ THEN
    RAISE EXCEPTION 'this is the database %, not %', current_database(), @database@;
  END IF;
  FOREACH wanted IN ARRAY @roles@ LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      EXECUTE format('CREATE ROLE %I', wanted);
      EXECUTE format('COMMENT ON ROLE %I IS %L', wanted, mark);
    ELSIF (SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = wanted)
          IS DISTINCT FROM mark THEN
      RAISE EXCEPTION 'the role % was there before and is not one of this policy', wanted
        USING HINT = format('to hand it over: COMMENT ON ROLE %I IS %L', wanted, mark);
    END IF;
  END LOOP;
END
";

const WITHDRAW: &str = "\
DECLARE
  own record;
  space name;
  other record;
BEGIN
  FOR own IN SELECT oid, rolname FROM pg_roles
            WHERE shobj_description(oid, 'pg_authid') = @mark@ LOOP
    IF EXISTS (SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass
               AND refobjid = own.oid AND deptype = 'o') THEN
      RAISE EXCEPTION 'the role % owns something, and so may do anything with it', own.rolname
        USING HINT = 'REASSIGN OWNED BY it to an owner';
    END IF;
    FOR space IN SELECT nspname FROM pg_namespace
                 WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
      EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I CASCADE', space, own.rolname);
      EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %I CASCADE', space, own.rolname);
      EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA %I FROM %I CASCADE', space, own.rolname);
      EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I CASCADE', space, own.rolname);
    END LOOP;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I CASCADE', current_database(), own.rolname);
    FOR other IN SELECT r.rolname, g.rolname AS grantor FROM pg_auth_members m
                 JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles g ON g.oid = m.grantor
                 WHERE m.member = own.oid LOOP
      -- From version 16 on, each grantor's membership is one of its own.
      EXECUTE format('REVOKE %I FROM %I', other.rolname, own.rolname)
        || CASE WHEN current_setting('server_version_num')::int >= 160000
                THEN format(' GRANTED BY %I', other.grantor) ELSE '' END || ' CASCADE';
    END LOOP;
    EXECUTE format('ALTER ROLE %I WITH %s NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE'
                   ' NOREPLICATION NOBYPASSRLS', own.rolname,
                   CASE WHEN own.rolname = ANY (@login@) THEN 'LOGIN' ELSE 'NOLOGIN' END);
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %I, pg_temp', own.rolname,
                   current_database(), @schema@);
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET default_transaction_read_only = %s',
                   own.rolname, current_database(), own.rolname = ANY (@readers@));
  END LOOP;
END
";

const CREATING_AND_CALLING: &str = "\
DECLARE
  space name;
  routine regprocedure;
BEGIN
  FOR space IN SELECT nspname FROM pg_namespace
               WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', space);
  END LOOP;
  FOR routine IN SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                 WHERE n.nspname = @schema@ AND NOT EXISTS (
                   SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                   AND d.objid = p.oid AND d.deptype = 'e') LOOP
    EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
  END LOOP;
END
";

const VERIFY: &str = "\
DECLARE
  more record;
BEGIN
  CREATE TEMPORARY TABLE zt_role ON COMMIT DROP AS
    SELECT oid, rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = @mark@;
  CREATE TEMPORARY TABLE zt_relation ON COMMIT DROP AS
    SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema';
  FOR more IN
    WITH given AS (SELECT * FROM unnest(
      @tables@
    ) AS given (role, relation, privilege, col)),
    object AS (SELECT * FROM unnest(
      @objects@
    ) AS object (role, name, privilege)),
    routine AS (SELECT p.oid, n.nspname, p.proname, p.prosecdef FROM pg_proc p
      JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
        AND d.objid = p.oid AND d.deptype = 'e'))
    SELECT r.rolname, p.privilege, format('%I.%I (%I)', c.nspname, c.relname, a.attname) AS what
      FROM zt_role r CROSS JOIN zt_relation c
      CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS p (privilege)
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND has_column_privilege(r.oid, c.oid, a.attnum, p.privilege)
      AND NOT EXISTS (SELECT FROM given g WHERE g.role = r.rolname AND c.nspname = @schema@
        AND g.relation = c.relname AND g.privilege = p.privilege AND g.col IN ('', a.attname))
    UNION ALL
    SELECT r.rolname, p.privilege, format('%I.%I', c.nspname, c.relname)
      FROM zt_role r CROSS JOIN zt_relation c
      CROSS JOIN unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER']) AS p (privilege)
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND has_table_privilege(r.oid, c.oid, p.privilege)
      AND NOT EXISTS (SELECT FROM given g WHERE g.role = r.rolname AND c.nspname = @schema@
        AND g.relation = c.relname AND g.privilege = p.privilege)
    UNION ALL
    SELECT r.rolname, p.privilege, format('%I.%I', c.nspname, c.relname)
      FROM zt_role r CROSS JOIN zt_relation c
      CROSS JOIN unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS p (privilege)
      WHERE c.relkind = 'S' AND has_sequence_privilege(r.oid, c.oid, p.privilege)
      AND NOT EXISTS (SELECT FROM object o WHERE o.role = r.rolname AND c.nspname = @schema@
        AND o.name = c.relname AND o.privilege = p.privilege)
    UNION ALL
    SELECT r.rolname, 'CREATE', format('the schema %I', n.nspname)
      FROM zt_role r CROSS JOIN pg_namespace n
      WHERE n.nspname !~ '^pg_(toast_)?temp_' AND has_schema_privilege(r.oid, n.oid, 'CREATE')
    UNION ALL
    -- In other schemas everybody may call routines; those that act as their owner are too much.
    SELECT r.rolname, 'EXECUTE', f.oid::regprocedure::text FROM zt_role r CROSS JOIN routine f
      WHERE (f.nspname = @schema@ OR f.prosecdef)
      AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
      AND NOT EXISTS (SELECT FROM object o WHERE o.role = r.rolname AND f.nspname = @schema@
        AND o.name = f.proname AND o.privilege = 'EXECUTE')
    UNION ALL
    -- Whoever only reads cannot have others write for them.
    SELECT r.rolname, 'EXECUTE as its owner', f.oid::regprocedure::text
      FROM zt_role r CROSS JOIN routine f
      WHERE f.prosecdef AND r.rolname = ANY (@readers@)
      AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
    UNION ALL
    SELECT r.rolname, p.privilege, 'this database' FROM zt_role r
      CROSS JOIN unnest(ARRAY['CREATE', 'TEMPORARY']) AS p (privilege)
      WHERE has_database_privilege(r.oid, current_database(), p.privilege)
    UNION ALL
    SELECT r.rolname, 'membership', format('the role %I', g.rolname) FROM zt_role r
      JOIN pg_auth_members m ON m.member = r.oid JOIN pg_roles g ON g.oid = m.roleid
    UNION ALL
    SELECT r.rolname, a.privilege_type, format('what %I will make', o.rolname) FROM zt_role r
      CROSS JOIN pg_default_acl d JOIN pg_roles o ON o.oid = d.defaclrole
      CROSS JOIN aclexplode(d.defaclacl) AS a WHERE a.grantee = r.oid
  LOOP
    RAISE EXCEPTION 'the role % has more than the policy says: % on %', more.rolname,
      more.privilege, more.what USING HINT = 'take it away, from the role or from PUBLIC';
  END LOOP;
  FOR more IN SELECT r.rolname, d.datname FROM zt_role r CROSS JOIN pg_database d
              WHERE d.datallowconn AND d.datname <> current_database()
              AND r.rolname IN (SELECT rolname FROM pg_roles WHERE rolcanlogin)
              AND has_database_privilege(r.oid, d.oid, 'CONNECT') LOOP
    RAISE WARNING 'the role % can also enter the database %', more.rolname, more.datname
      USING HINT = 'name it in `closed`, or keep it shut in pg_hba.conf';
  END LOOP;
  DROP TABLE zt_role, zt_relation;
END
";
