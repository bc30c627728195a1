//! Tables, and what each session begins with.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// What [`migrate`] leaves behind.
const FORMAT: i32 = 1;

/// Refuses a standby, whose answers are old, and writes that would be acknowledged too early.
pub(super) async fn begin_session(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const BEGIN: &str = "SELECT pg_is_in_recovery(), CASE \
        WHEN current_setting('synchronous_commit') = 'off' \
        THEN set_config('synchronous_commit', 'on', false) END";
    let row = sqlx::query(BEGIN)
        .persistent(false)
        .fetch_one(connection)
        .await?;
    match row.try_get::<bool, _>(0)? {
        true => Err(sqlx::Error::Protocol("the server is a standby".into())),
        false => Ok(()),
    }
}

/// `Err` is the format of a later version.
pub(super) async fn migrate(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<Result<(), i32>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // Waiting for another process is no statement that hangs.
    sqlx::raw_sql("SET LOCAL statement_timeout = '25s'")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('zt-audit migrate ' || $1, 0))")
        .bind(schema)
        .execute(&mut *transaction)
        .await?;
    let found = sqlx::query("SELECT to_regclass(quote_ident($1) || '.zt_audit_meta') IS NOT NULL")
        .bind(schema)
        .fetch_one(&mut *transaction)
        .await?;
    if found.try_get(0)? {
        let statement = format!(r#"SELECT format FROM "{schema}".zt_audit_meta"#);
        let format = sqlx::query(AssertSqlSafe(statement))
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await?
            .try_get(0)?;
        transaction.rollback().await?;
        return Ok(if format == FORMAT {
            Ok(())
        } else {
            Err(format)
        });
    }
    // The name was checked: it has nothing in it that could end a quotation.
    let script = SCRIPT.replace("{s}", &format!(r#""{schema}""#));
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Origins are ordered by their bytes, so that each server orders a fleet alike.
const SCRIPT: &str = r#"
CREATE SCHEMA IF NOT EXISTS {s};

CREATE TABLE {s}.zt_audit_meta (format integer NOT NULL);
INSERT INTO {s}.zt_audit_meta VALUES (1);

CREATE TABLE {s}.zt_audit_records (
    origin text COLLATE "C" NOT NULL,
    idx bigint NOT NULL CHECK (idx >= 0),
    ts bigint NOT NULL,
    kind text NOT NULL,
    leaf bytea NOT NULL CHECK (length(leaf) = 32),
    record bytea NOT NULL,
    PRIMARY KEY (origin, idx)
);
CREATE INDEX zt_audit_records_merged ON {s}.zt_audit_records (ts, origin, idx);

CREATE TABLE {s}.zt_audit_checkpoints (
    origin text COLLATE "C" NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    at bigint NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (origin, size, note)
);
CREATE INDEX zt_audit_checkpoints_latest ON {s}.zt_audit_checkpoints (origin, at);

CREATE FUNCTION {s}.zt_audit_append_only() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only ever added', TG_TABLE_NAME USING ERRCODE = '42501';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {s}.zt_audit_records
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.zt_audit_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {s}.zt_audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.zt_audit_append_only();
"#;
