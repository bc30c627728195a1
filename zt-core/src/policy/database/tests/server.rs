//! The SQL, in a real PostgreSQL.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};

use super::*;
use crate::testing::PostgresServer;

const TABLES: &str = "
CREATE TABLE orders (id serial PRIMARY KEY, total bigint NOT NULL DEFAULT 0);
CREATE TABLE customers (id int PRIMARY KEY, name text, card text);
CREATE TABLE baskets (id int PRIMARY KEY);
CREATE TABLE secrets (id int PRIMARY KEY);
CREATE VIEW everything AS SELECT * FROM secrets;
CREATE SEQUENCE numbers;
CREATE SCHEMA back;
CREATE TABLE back.office (id int PRIMARY KEY);
INSERT INTO orders (total) VALUES (1);
INSERT INTO customers VALUES (1, 'ada', '4111');
INSERT INTO baskets VALUES (1), (2), (3);
INSERT INTO secrets VALUES (1);
CREATE FUNCTION price_of(o int) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER
  AS 'SELECT count(*) FROM secrets';
CREATE PROCEDURE close_day() LANGUAGE sql AS 'SELECT 1';
CREATE ROLE shop_migrations;
CREATE ROLE clerks;
GRANT SELECT ON secrets TO clerks;
";

/// A server with a shop in it.
async fn shop() -> Option<PostgresServer> {
    let server = PostgresServer::start()?;
    run(&server, "postgres", "postgres", "CREATE DATABASE shop")
        .await
        .unwrap();
    run(&server, "postgres", "postgres", "CREATE DATABASE billing")
        .await
        .unwrap();
    run(&server, "postgres", "shop", TABLES).await.unwrap();
    Some(server)
}

async fn connect(
    server: &PostgresServer,
    role: &str,
    database: &str,
) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = server.url().parse().unwrap();
    let options = options.username(role).database(database);
    PgConnection::connect_with(&options).await
}

async fn run(
    server: &PostgresServer,
    role: &str,
    database: &str,
    sql: &str,
) -> Result<(), sqlx::Error> {
    let mut connection = connect(server, role, database).await?;
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await;
    connection.close().await?;
    done.map(|_| ())
}

async fn apply(server: &PostgresServer, section: &str) -> Result<(), String> {
    let sql = sql(section, SqlDialect::Postgres);
    run(server, "postgres", "shop", &sql)
        .await
        .map_err(|error| error.to_string())
}

/// Every privilege that somebody has, and every attribute of a role.
async fn state(server: &PostgresServer) -> BTreeMap<String, String> {
    let mut connection = connect(server, "postgres", "shop").await.unwrap();
    let rows = sqlx::query(
        "SELECT 'relation ' || oid::regclass AS what, coalesce(relacl::text, '') AS acl FROM pg_class
           WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
         UNION ALL SELECT 'column ' || attrelid::regclass || attname, attacl::text FROM pg_attribute
           WHERE attacl IS NOT NULL
         UNION ALL SELECT 'routine ' || oid::regprocedure, coalesce(proacl::text, '') FROM pg_proc
           WHERE pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
         UNION ALL SELECT 'schema ' || nspname, coalesce(nspacl::text, '') FROM pg_namespace
           WHERE nspname !~ '^pg_'
         UNION ALL SELECT 'database ' || datname, coalesce(datacl::text, '') FROM pg_database
         UNION ALL SELECT 'default ' || row(d.defaclrole, d.defaclnamespace, d.defaclobjtype),
           d.defaclacl::text FROM pg_default_acl d
         UNION ALL SELECT 'role ' || rolname, row(rolcanlogin, rolinherit, rolsuper, rolcreatedb,
           rolcreaterole, rolreplication, rolbypassrls, shobj_description(oid, 'pg_authid'))::text
           FROM pg_roles
         UNION ALL SELECT 'settings ' || setrole::regrole, setconfig::text FROM pg_db_role_setting
         UNION ALL SELECT 'member ' || member::regrole || roleid::regrole, '' FROM pg_auth_members",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    rows.iter()
        .map(|row| (row.get("what"), row.get("acl")))
        .collect()
}

#[tokio::test]
async fn the_order_service_may_do_what_the_file_says_and_nothing_else() {
    let Some(server) = shop().await else { return };
    apply(&server, SHOP).await.unwrap();
    run(&server, "postgres", "shop", "CREATE TABLE later (id int)")
        .await
        .unwrap();
    let may = [
        "SELECT * FROM orders",
        "INSERT INTO orders (total) VALUES (2)",
        "SELECT id, name FROM customers",
        "UPDATE customers SET name = 'bea'",
        "SELECT * FROM baskets",
        "DELETE FROM baskets WHERE id = 1",
        "SELECT nextval('orders_id_seq')",
        "SELECT price_of(1)",
        "CALL close_day()",
    ];
    let mut tried: Vec<String> = may.iter().map(|&one| one.to_owned()).collect();
    for table in [
        "orders",
        "customers",
        "baskets",
        "secrets",
        "everything",
        "later",
        "back.office",
    ] {
        tried.extend([
            format!("SELECT * FROM {table}"),
            format!("SELECT count(*) FROM {table}"),
            format!("INSERT INTO {table} (id) VALUES (77)"),
            format!("UPDATE {table} SET id = 78 WHERE false"),
            format!("DELETE FROM {table} WHERE false"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
            format!("DROP TABLE {table}"),
            format!("ALTER TABLE {table} ADD COLUMN more int"),
            format!("CREATE INDEX ON {table} (id)"),
            format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
            format!("COPY {table} TO '/dev/null'"),
            format!("CREATE TRIGGER t BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()"),
        ]);
    }
    for role in [
        "postgres",
        "shop_migrations",
        "clerks",
        "order_reports",
        "pg_read_all_data",
    ] {
        tried.push(format!("SET ROLE {role}"));
        tried.push(format!("SET SESSION AUTHORIZATION {role}"));
        tried.push(format!("GRANT {role} TO order_service"));
    }
    tried.extend(
        [
            "SELECT card FROM customers",
            "UPDATE customers SET card = ''",
            "SELECT nextval('numbers')",
            "SELECT setval('orders_id_seq', 1)",
            "SELECT peek()",
            "CREATE TABLE mine (id int)",
            "CREATE TABLE back.mine (id int)",
            "CREATE TEMPORARY TABLE mine (id int)",
            "CREATE SCHEMA mine",
            "CREATE DATABASE mine",
            "CREATE ROLE mine",
            "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DROP DATABASE billing",
            "DROP SCHEMA back CASCADE",
            "ALTER ROLE order_service SUPERUSER",
            "ALTER ROLE order_service CREATEROLE",
            "ALTER ROLE order_service BYPASSRLS",
            "ALTER SYSTEM SET fsync = off",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "SELECT pg_read_file('PG_VERSION')",
            "SELECT * FROM pg_authid",
        ]
        .map(str::to_owned),
    );
    let mut done = Vec::new();
    for statement in &tried {
        let mut connection = connect(&server, "order_service", "shop").await.unwrap();
        // Some run outside of transactions only; the rest leaves nothing behind.
        let alone = statement.contains("DATABASE") || statement.starts_with("ALTER SYSTEM");
        if !alone {
            sqlx::raw_sql("BEGIN")
                .execute(&mut connection)
                .await
                .unwrap();
        }
        let tried = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone()));
        match tried.execute(&mut connection).await {
            Ok(_) => done.push(statement.as_str()),
            Err(sqlx::Error::Database(error)) => {
                // insufficient_privilege; of a view some things cannot be asked (wrong_object_type).
                let code = error.code().unwrap_or_default().into_owned();
                let of_a_view = code == "42809" && statement.contains("everything");
                assert!(code == "42501" || of_a_view, "{statement}: {error}");
            }
            Err(error) => panic!("{statement}: {error}"),
        }
        drop(connection);
    }
    let also = [
        "SELECT * FROM orders",
        "SELECT count(*) FROM orders",
        "INSERT INTO orders (id) VALUES (77)",
        "SELECT count(*) FROM customers",
        "SELECT * FROM baskets",
        "SELECT count(*) FROM baskets",
        "DELETE FROM baskets WHERE false",
        "DELETE FROM baskets",
        // PostgreSQL lets whoever deletes rows lock the table.
        "LOCK TABLE baskets IN ACCESS EXCLUSIVE MODE",
    ];
    let mut expected: Vec<&str> = may.iter().chain(&also).copied().collect();
    expected.sort_unstable();
    done.sort_unstable();
    assert_eq!(done, expected);
    // What it cannot give is a warning, and nothing is given.
    let before = state(&server).await;
    let _ = run(
        &server,
        "order_service",
        "shop",
        "GRANT SELECT ON orders TO PUBLIC",
    )
    .await;
    assert_eq!(state(&server).await, before);
    for database in ["postgres", "template1"] {
        let entered = connect(&server, "order_service", database).await;
        let Err(sqlx::Error::Database(error)) = entered else {
            panic!("it enters {database}")
        };
        assert_eq!(error.code().as_deref(), Some("42501"));
    }
    // Nobody logs in as a role that says it is not for that.
    assert!(connect(&server, "order_reports", "shop").await.is_err());
}

#[tokio::test]
async fn applied_twice_it_changes_nothing() {
    let Some(server) = shop().await else { return };
    apply(&server, SHOP).await.unwrap();
    let once = state(&server).await;
    assert!(once.len() > 20);
    apply(&server, SHOP).await.unwrap();
    assert_eq!(state(&server).await, once);
}

#[tokio::test]
async fn what_is_no_longer_in_the_file_is_taken() {
    let Some(server) = shop().await else { return };
    apply(&server, SHOP).await.unwrap();
    run(
        &server,
        "postgres",
        "shop",
        "GRANT clerks TO order_service; GRANT ALL ON back.office TO order_service; \
         GRANT CREATE ON SCHEMA back TO order_service; ALTER ROLE order_service CREATEDB INHERIT",
    )
    .await
    .unwrap();
    let can = |statement: &'static str| run(&server, "order_service", "shop", statement);
    assert!(can("DELETE FROM baskets WHERE false").await.is_ok());
    assert!(can("SET ROLE clerks").await.is_ok());
    let less = SHOP
        .replace("{ select = true, delete = true }", "[\"select\"]")
        .replace("[\"id\", \"name\"]", "[\"id\"]");
    apply(&server, &less).await.unwrap();
    assert!(can("SELECT id FROM customers").await.is_ok());
    for gone in [
        "DELETE FROM baskets WHERE false",
        "SELECT name FROM customers",
        "SET ROLE clerks",
        "CREATE TABLE back.x (id int)",
        "CREATE DATABASE x",
    ] {
        assert!(can(gone).await.is_err(), "{gone}");
    }
    // A role that is gone from the file does not log in any more, and has nothing.
    let other = less.replace("order_service", "orders_two");
    apply(&server, &other).await.unwrap();
    assert!(connect(&server, "order_service", "shop").await.is_err());
    run(
        &server,
        "postgres",
        "shop",
        "ALTER ROLE order_service LOGIN",
    )
    .await
    .unwrap();
    assert!(connect(&server, "order_service", "shop").await.is_err());
    assert!(
        run(&server, "orders_two", "shop", "SELECT id FROM customers")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn it_stops_and_changes_nothing_where_a_role_would_have_more() {
    for (before, said) in [
        ("CREATE ROLE order_service SUPERUSER", "was there before"),
        (
            "GRANT SELECT ON back.office TO PUBLIC; GRANT USAGE ON SCHEMA back TO PUBLIC",
            "SELECT on back.office",
        ),
        (
            "CREATE FUNCTION back.spy() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            "EXECUTE on back.spy()",
        ),
        (
            "CREATE SEQUENCE back.more; GRANT USAGE ON SEQUENCE back.more TO PUBLIC",
            "USAGE on back.more",
        ),
        ("DROP TABLE baskets", "\"public.baskets\" does not exist"),
    ] {
        let Some(server) = shop().await else { return };
        run(&server, "postgres", "shop", before).await.unwrap();
        let was = state(&server).await;
        let error = apply(&server, SHOP).await.unwrap_err();
        assert!(error.contains(said), "{before}: {error}");
        assert_eq!(state(&server).await, was, "{before}");
    }
    let Some(server) = shop().await else { return };
    let error = run(
        &server,
        "postgres",
        "billing",
        &sql(SHOP, SqlDialect::Postgres),
    )
    .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("this is the database billing, not shop")
    );
    apply(&server, SHOP).await.unwrap();
    // An owner may do anything with what it owns.
    run(
        &server,
        "postgres",
        "shop",
        "ALTER TABLE secrets OWNER TO order_service",
    )
    .await
    .unwrap();
    let error = apply(&server, SHOP).await.unwrap_err();
    assert!(error.contains("owns something"), "{error}");
}

#[tokio::test]
async fn hostile_names_are_names_to_a_real_server() {
    let Some(server) = shop().await else { return };
    for name in [
        r#"a"; DROP TABLE secrets; --"#,
        "b'; DROP TABLE secrets; --",
        r"c\'; DROP TABLE secrets; --",
        "$zt$; DROP TABLE secrets; --",
        "@mark@",
        "@roles@ %I %s",
        "日本",
    ] {
        let ident = identifier::postgres(name);
        run(
            &server,
            "postgres",
            "shop",
            &format!("CREATE TABLE {ident} ({ident} int, other int)"),
        )
        .await
        .unwrap();
        let key = toml_text(name);
        let section = format!(
            "name = \"shop\"\nclosed = [\"postgres\", \"template1\", \"billing\"]\n[roles.{key}]\nworkload = \"spiffe://shop.example/x\"\ntables.{key} = {{ select = [{key}] }}"
        );
        let sql = read(&section)
            .unwrap()
            .sql(SqlDialect::Postgres, name, name)
            .unwrap();
        run(&server, "postgres", "shop", &sql).await.unwrap();
        run(
            &server,
            name,
            "shop",
            &format!("SELECT {ident} FROM {ident}"),
        )
        .await
        .unwrap();
        assert!(
            run(&server, name, "shop", &format!("SELECT other FROM {ident}"))
                .await
                .is_err()
        );
    }
    run(&server, "postgres", "shop", "SELECT * FROM secrets")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_role_that_is_read_only_has_nobody_write_for_it() {
    let Some(server) = shop().await else { return };
    let make = |security: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION wipe() RETURNS void LANGUAGE sql SECURITY {security} \
             AS 'DELETE FROM public.orders'"
        )
    };
    let section = r#"
name = "shop"
closed = ["postgres", "template1"]
[roles.order_reports]
workload = "spiffe://shop.example/orders"
read_only = true
functions = ["wipe"]
tables.orders = ["select"]
"#;
    let definer = make("DEFINER");
    run(&server, "postgres", "shop", &definer).await.unwrap();
    let error = apply(&server, section).await.unwrap_err();
    assert!(error.contains("EXECUTE as its owner on"), "{error}");
    assert!(error.contains("wipe()"), "{error}");
    let invoker = make("INVOKER");
    run(&server, "postgres", "shop", &invoker).await.unwrap();
    apply(&server, section).await.unwrap();
}
