#[cfg(all(unix, feature = "postgres"))]
mod server;

use toml::de::DeTable;

use super::*;
use crate::policy::model::{Atom, Clause, Effect, Rule, Text};

/// Rules that allow these workloads something.
fn rules(workloads: &[Text]) -> Vec<Rule> {
    let rule = |workload: &Text| Rule {
        id: "r".into(),
        effect: Effect::Allow,
        dry_run: false,
        clauses: vec![Clause::any([Atom::Workload(workload.clone())])],
        grant: None,
        when: None,
        origin: Origin::default(),
    };
    workloads.iter().map(rule).collect()
}

fn read_by(section: &str, rules: &[Rule]) -> Result<Database, Vec<String>> {
    let table = DeTable::parse(section).unwrap();
    let origin = |span: std::ops::Range<usize>| Origin {
        file: "policy.toml".into(),
        line: section
            .bytes()
            .take(span.start)
            .filter(|byte| *byte == b'\n')
            .count()
            + 1,
        column: 0,
    };
    let mut errors = Vec::new();
    let database = parse(table.get_ref(), table.span(), rules, &origin, &mut errors);
    if errors.is_empty() {
        return Ok(database);
    }
    Err(errors.iter().map(ToString::to_string).collect())
}

fn read(section: &str) -> Result<Database, Vec<String>> {
    let shop = Text::Prefix("spiffe://shop.example/".into());
    read_by(section, &rules(&[shop]))
}

fn sql(section: &str, dialect: SqlDialect) -> String {
    read(section).unwrap().sql(dialect, "shop", "7").unwrap()
}

const SHOP: &str = r#"
name = "shop"
closed = ["postgres", "template1"]
owners = ["shop_migrations"]
[roles.order_service]
workload = "spiffe://shop.example/orders"
tables.orders = ["select", "insert"]
tables.customers = { select = ["id", "name"], update = ["name"] }
tables.baskets = { select = true, delete = true }
sequences = ["orders_id_seq"]
functions = ["price_of"]
procedures = ["close_day"]
[roles.order_reports]
workload = "spiffe://shop.example/reports"
read_only = true
login = false
tables.orders = ["select"]
"#;

#[test]
fn refuses_sections_that_are_not_what_they_should_be_and_says_where() {
    let role = |lines: &str| {
        format!(
            "name = \"shop\"\n[roles.orders]\nworkload = \"spiffe://shop.example/orders\"\n{lines}"
        )
    };
    let tables = |lines: &str| role(&format!("tables.t = {lines}"));
    for (section, wrong) in [
        ("[roles.x]\nworkload = 1".to_owned(), ":1: `[database]` needs `name`"),
        ("name = \"shop\"".to_owned(), ":1: `[database]` has no roles"),
        ("name = 1\n[roles]".to_owned(), ":1: the database's name is a text"),
        ("name = \"shop\"\nuser = 1\n[roles]".to_owned(), ":2: [database] has no key `user`"),
        ("name = \"\"\n[roles]".to_owned(), ":1: the database `` is empty"),
        ("name = \"shop\"\nschema = \"pg_catalog\"\n[roles]".to_owned(), ":2: the schema `pg_catalog`"),
        ("name = \"shop\"\nclosed = [\"shop\"]\n[roles]".to_owned(), ":2: `closed` names the section's"),
        ("name = \"shop\"\nclosed = []\n[roles]".to_owned(), ":2: the list is empty"),
        ("name = \"shop\"\nroles = 1".to_owned(), ":2: `roles` is a table"),
        ("name = \"s\\u0000p\"\n[roles]".to_owned(), "`s\\u{0}p` has a control character"),
        (format!("name = \"{}\"\n[roles]", "é".repeat(32)), "is longer than 63 bytes"),
        ("name = \"sh\u{202e}op\"\n[roles]".to_owned(), "has a character that cannot be seen"),
        (role(""), ":2: the role `orders` may do nothing"),
        (role("table.t = [\"select\"]"), ":4: a role has no key `table`"),
        (role("password = \"secret\""), ":4: a role has no key `password`"),
        (role("login = \"yes\"\ntables.t = [\"select\"]"), ":4: `login` is `true` or `false`"),
        (tables("[]"), ":4: it names no privilege"),
        (tables("{}"), ":4: it names no privilege"),
        (tables("\"select\""), ":4: a table's value is a list"),
        (tables("[\"all\"]"), ":4: there is no privilege `all`"),
        (tables("[\"truncate\"]"), ":4: there is no privilege `truncate`"),
        (tables("[\"SELECT\"]"), ":4: there is no privilege `SELECT`"),
        (tables("[\"select\", \"select\"]"), ":4: `select` stands there twice"),
        (tables("[1]"), ":4: it is a text"),
        (tables("{ select = false }"), ":4: it is `true` or a list of columns"),
        (tables("{ select = [] }"), ":4: the list is empty"),
        (tables("{ select = [\"a\", \"a\"] }"), ":4: `a` stands there twice"),
        (tables("{ delete = [\"a\"] }"), ":4: rows are deleted as a whole"),
        (tables("{ select = [\"a\\u0007\"] }"), "has a control character"),
        (role("sequences = \"s\""), ":4: `sequences` is a list of texts"),
        (role("read_only = true\ntables.t = [\"select\", \"insert\"]"), ":5: a role that is read only"),
        (role("read_only = true\nsequences = [\"s\"]"), ":5: a role that is read only has no `sequences`"),
        (
            "name = \"shop\"\nowners = [\"o\"]\n[roles.o]\nworkload = \"spiffe://shop.example/o\"\ntables.t = [\"select\"]".to_owned(),
            ":3: `o` is one of `owners`",
        ),
    ] {
        let errors = read(&section).unwrap_err();
        assert!(
            errors.iter().any(|error| error.contains(wrong)),
            "{section}\n{errors:?} have not {wrong}"
        );
    }
}

#[test]
fn refuses_roles_that_are_the_servers_or_its_administrators() {
    for name in [
        "public",
        "PUBLIC",
        "postgres",
        "pg_read_all_data",
        "PG_monitor",
        "root",
        "mysql.sys",
        "none",
        "current_user",
        "session_user",
        "\\u0000",
        "a\\nb",
        "",
    ] {
        let section = format!(
            "name = \"shop\"\n[roles.\"{name}\"]\nworkload = \"spiffe://shop.example/x\"\ntables.t = [\"select\"]"
        );
        let errors = read(&section).unwrap_err();
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        assert!(errors[0].contains(":2: the role"), "{errors:?}");
    }
}

#[test]
fn refuses_workloads_that_no_rule_allows_anything() {
    let section = |workload: &str, more: &str| {
        format!(
            "name = \"shop\"\n[roles.r]\nworkload = \"{workload}\"\n{more}\ntables.t = [\"select\"]"
        )
    };
    let by = |rules: &[Rule], workload: &str, more: &str| read_by(&section(workload, more), rules);
    let orders = "spiffe://shop.example/orders";
    let exact = rules(&[Text::exact(orders)]);
    assert!(by(&exact, orders, "").is_ok());
    assert!(by(&rules(&[Text::Suffix("/orders".into())]), orders, "").is_ok());
    let refused = |rules: &[Rule], workload: &str, more: &str| {
        by(rules, workload, more).unwrap_err().join("\n")
    };
    for other in [
        "spiffe://shop.example/order",
        "spiffe://other.example/orders",
    ] {
        assert!(refused(&exact, other, "").contains(":3: no rule allows the workload"));
    }
    // `*` is everybody, and so nobody's name; denying, negated and dry rules allow nothing.
    assert!(refused(&rules(&[Text::Present]), orders, "").contains("no rule allows"));
    let mut changed = exact.clone();
    changed[0].effect = Effect::Deny;
    assert!(refused(&changed, orders, "").contains("no rule allows"));
    let mut changed = exact.clone();
    changed[0].dry_run = true;
    assert!(refused(&changed, orders, "").contains("no rule allows"));
    let mut changed = exact.clone();
    changed[0].clauses[0].negated = true;
    assert!(refused(&changed, orders, "").contains("no rule allows"));
    // One that is only called says so, and only one that is.
    assert!(by(&[], orders, "calls_nobody = true").is_ok());
    assert!(
        refused(&exact, orders, "calls_nobody = true").contains("`calls_nobody` says it is none")
    );
    for no_id in [
        "orders",
        "spiffe://shop.example",
        "spiffe:///x",
        "spiffe://a/b c",
        "https://a/b",
    ] {
        assert!(
            refused(&exact, no_id, "").contains("is not the SPIFFE ID"),
            "{no_id}"
        );
    }
    assert!(
        read("name = \"shop\"\n[roles.r]\ntables.t = [\"select\"]").unwrap_err()[0]
            .contains("has no `workload`")
    );
}

#[test]
fn postgres_is_given_what_the_file_says() {
    let sql = sql(SHOP, SqlDialect::Postgres);
    for line in [
        "REVOKE ALL ON DATABASE \"shop\" FROM PUBLIC;",
        "REVOKE ALL ON DATABASE \"template1\" FROM PUBLIC;",
        "REVOKE ALL ON SCHEMA \"public\" FROM PUBLIC;",
        "GRANT SELECT, INSERT ON TABLE \"public\".\"orders\" TO \"order_service\";",
        "GRANT SELECT (\"id\", \"name\"), UPDATE (\"name\") ON TABLE \"public\".\"customers\" TO \"order_service\";",
        "GRANT SELECT, DELETE ON TABLE \"public\".\"baskets\" TO \"order_service\";",
        "GRANT USAGE ON SEQUENCE \"public\".\"orders_id_seq\" TO \"order_service\";",
        "GRANT EXECUTE ON FUNCTION \"public\".\"price_of\" TO \"order_service\";",
        "GRANT EXECUTE ON PROCEDURE \"public\".\"close_day\" TO \"order_service\";",
        "GRANT SELECT ON TABLE \"public\".\"orders\" TO \"order_reports\";",
        "ALTER DEFAULT PRIVILEGES FOR ROLE \"shop_migrations\" REVOKE ALL ON ROUTINES FROM PUBLIC, \"order_service\", \"order_reports\";",
    ] {
        assert!(
            sql.lines().any(|one| one == line),
            "{line} is not in\n{sql}"
        );
    }
    let grants = sql.lines().filter(|line| line.starts_with("GRANT"));
    assert_eq!(grants.count(), 11);
    assert!(!sql.contains('@'));
    assert!(!sql.to_ascii_uppercase().contains("PASSWORD"));
}

#[test]
fn mysql_is_given_what_the_file_says() {
    let sql = sql(SHOP, SqlDialect::MySql);
    let statements: Vec<&str> = sql
        .lines()
        .filter(|line| !line.starts_with("--") && !line.is_empty())
        .collect();
    assert_eq!(
        statements,
        [
            "CREATE ROLE IF NOT EXISTS `order_service`@`%`;",
            "REVOKE ALL PRIVILEGES, GRANT OPTION FROM `order_service`@`%`;",
            "GRANT SELECT, DELETE ON `shop`.`baskets` TO `order_service`@`%`;",
            "GRANT SELECT (`id`, `name`), UPDATE (`name`) ON `shop`.`customers` TO `order_service`@`%`;",
            "GRANT SELECT, INSERT ON `shop`.`orders` TO `order_service`@`%`;",
            "GRANT EXECUTE ON FUNCTION `shop`.`price_of` TO `order_service`@`%`;",
            "GRANT EXECUTE ON PROCEDURE `shop`.`close_day` TO `order_service`@`%`;",
            "CREATE ROLE IF NOT EXISTS `order_reports`@`%`;",
            "REVOKE ALL PRIVILEGES, GRANT OPTION FROM `order_reports`@`%`;",
            "GRANT SELECT ON `shop`.`orders` TO `order_reports`@`%`;",
        ]
    );
}

#[test]
fn mysql_refuses_names_that_it_cannot_have() {
    for (name, table) in [
        ("a".repeat(33), "t"),
        ("a".to_owned(), "t "),
        ("a".to_owned(), "t😀"),
    ] {
        let section = format!(
            "name = \"shop\"\n[roles.{name}]\nworkload = \"spiffe://shop.example/x\"\ntables.\"{table}\" = [\"select\"]"
        );
        let database = read(&section).unwrap();
        assert!(database.sql(SqlDialect::Postgres, "shop", "7").is_ok());
        let errors = database.sql(SqlDialect::MySql, "shop", "7").unwrap_err();
        assert_eq!(errors.iter().next().unwrap().line(), 2, "{errors}");
    }
}

/// A statement's text without what stands in quotes: what is left is ours alone.
fn without_quoted(sql: &str, quotes: &[char]) -> String {
    let mut out = String::new();
    let mut inside = None;
    for letter in sql.chars() {
        match inside {
            // Two of them are one that is quoted; the next turn opens again, which is the same.
            Some(quote) if letter == quote => inside = None,
            Some(_) => {}
            None if quotes.contains(&letter) => inside = Some(letter),
            None => out.push(letter),
        }
    }
    assert_eq!(inside, None, "a quote is open");
    out
}

#[test]
fn no_name_gets_out_of_its_quotes() {
    let hostile = [
        r#"a"; DROP TABLE x; --"#,
        "a'; DROP TABLE x; --",
        "a`; DROP TABLE x; --",
        "$zt$; DROP TABLE x; --",
        "@mark@ DROP",
        "a*/ DROP",
        "%I DROP",
    ];
    for name in hostile {
        let key = toml_text(name);
        let section = format!(
            "name = {key}\nclosed = [{other}]\n[roles.{key}]\nworkload = \"spiffe://shop.example/x\"\n\
             tables.{key} = {{ select = [{key}] }}\nsequences = [{key}]\nfunctions = [{key}]\nprocedures = [{key}]",
            other = toml_text(&format!("{name}2")),
        );
        let database = read(&section).unwrap();
        let mysql = database.sql(SqlDialect::MySql, name, name).unwrap();
        let code: Vec<&str> = mysql
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect();
        let left = without_quoted(&code.join("\n"), &['`']);
        assert!(!left.contains("DROP"), "{name}: {left}");
        let postgres = database.sql(SqlDialect::Postgres, name, name).unwrap();
        let code: Vec<&str> = postgres
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect();
        let left = without_quoted(&code.join("\n"), &['"', '\'']);
        let left = left
            .replace("ON COMMIT DROP", "")
            .replace("DROP TABLE zt_role", "");
        assert!(!left.contains("DROP"), "{name}: {left}");
    }
}

#[test]
fn texts_with_backslashes_mean_the_same_under_every_setting() {
    assert_eq!(identifier::postgres_text("a'b"), "'a''b'");
    assert_eq!(identifier::postgres_text(r"a\'b"), r"E'a\\''b'");
    assert_eq!(identifier::postgres(r#"a"b"#), r#""a""b""#);
    assert_eq!(identifier::mysql("a`b"), "`a``b`");
}

#[test]
fn a_policy_without_the_section_has_no_sql() {
    let document = crate::policy::model::Document {
        name: "shop".into(),
        ..Default::default()
    };
    let policy = CompiledPolicy::compile(document, &crate::policy::PolicyOptions::new()).unwrap();
    let errors = policy.database_sql(SqlDialect::Postgres).unwrap_err();
    assert!(errors.to_string().contains("no section `[database]`"));
}

fn toml_text(text: &str) -> String {
    format!("{text:?}")
}
