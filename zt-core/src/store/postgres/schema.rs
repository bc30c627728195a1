//! What each session begins with, and how tables come to be.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// What [`migrate`] leaves behind.
#[derive(Debug)]
pub struct Tables {
    /// Of whom: those who migrate the same wait for each other.
    pub of: &'static str,
    /// The table that has the format.
    pub meta: &'static str,
    /// Which they are.
    pub format: i32,
    /// `{s}` is the schema.
    pub script: &'static str,
}

/// Those of stores and feeds.
pub(super) const TABLES: Tables = Tables {
    of: "zt",
    meta: "meta",
    format: 1,
    script: SCRIPT,
};

/// Refuses a standby, whose answers are old, and writes that would be acknowledged too early.
///
/// # Errors
///
/// Where the server cannot be asked, or is one.
pub async fn begin_session(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
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

/// Makes `tables` in `schema`, a name that was checked, where they are not; one process at a time.
/// `Err` is the format of a later version.
///
/// # Errors
///
/// Where the server does not allow it, or cannot be asked. Nothing was changed then.
pub async fn migrate(
    connection: &mut PgConnection,
    schema: &str,
    tables: &Tables,
) -> Result<Result<(), i32>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // Waiting for another process is no statement that hangs.
    sqlx::raw_sql("SET LOCAL statement_timeout = '25s'")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("{} migrate {schema}", tables.of))
        .execute(&mut *transaction)
        .await?;
    let found = sqlx::query("SELECT to_regclass(quote_ident($1) || '.' || $2) IS NOT NULL")
        .bind(schema)
        .bind(tables.meta)
        .fetch_one(&mut *transaction)
        .await?;
    if found.try_get(0)? {
        let statement = format!(r#"SELECT format FROM "{schema}".{}"#, tables.meta);
        let format = sqlx::query(AssertSqlSafe(statement))
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await?
            .try_get(0)?;
        transaction.rollback().await?;
        return Ok(if format == tables.format {
            Ok(())
        } else {
            Err(format)
        });
    }
    // The name was checked: it has nothing in it that could end a quotation.
    let script = tables.script.replace("{s}", &format!(r#""{schema}""#));
    sqlx::raw_sql(AssertSqlSafe(script))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Entries are counted in as many rows as there may be writers at once, so that none waits for
/// another; a statement counts in one row, the last that it locks, so that no two wait for each
/// other.
const SCRIPT: &str = r"
CREATE SCHEMA IF NOT EXISTS {s};

CREATE TABLE {s}.meta (format integer NOT NULL);
INSERT INTO {s}.meta VALUES (1);

CREATE SEQUENCE {s}.versions AS bigint NO CYCLE CACHE 1;
CREATE TABLE {s}.entries (
    key bytea PRIMARY KEY,
    value bytea NOT NULL,
    version bigint NOT NULL,
    expires bigint
);
CREATE INDEX entries_expires ON {s}.entries (expires) WHERE expires IS NOT NULL;

CREATE TABLE {s}.counts (shard integer PRIMARY KEY, entries bigint NOT NULL)
    WITH (fillfactor = 50);
INSERT INTO {s}.counts SELECT shard, 0 FROM generate_series(0, 63) AS shard;

CREATE FUNCTION {s}.count_entries() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog AS $$
DECLARE
    more bigint;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE {s}.counts SET entries = 0;
        RETURN NULL;
    END IF;
    SELECT count(*) INTO more FROM changed;
    IF TG_OP = 'DELETE' THEN
        more := -more;
    END IF;
    IF more <> 0 THEN
        UPDATE {s}.counts SET entries = entries + more WHERE shard = pg_backend_pid() & 63;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_new AFTER INSERT ON {s}.entries
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.count_entries();
CREATE TRIGGER count_gone AFTER DELETE ON {s}.entries
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.count_entries();
CREATE TRIGGER count_none AFTER TRUNCATE ON {s}.entries
    FOR EACH STATEMENT EXECUTE FUNCTION {s}.count_entries();

CREATE TABLE {s}.topics (
    topic text PRIMARY KEY,
    newest bigint NOT NULL,
    oldest bigint NOT NULL,
    bytes bigint NOT NULL
);
CREATE TABLE {s}.feed (
    topic text NOT NULL,
    place bigint NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (topic, place)
);

CREATE FUNCTION {s}.publish(
    of_topic text, of_payload bytea, most bigint, largest bigint, channel text
) RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    last bigint;
    first bigint;
    total bigint;
    gone bigint;
BEGIN
    INSERT INTO {s}.topics AS t VALUES (of_topic, 1, 1, length(of_payload))
        ON CONFLICT (topic) DO UPDATE
        SET newest = t.newest + 1, bytes = t.bytes + excluded.bytes
        RETURNING newest, oldest, bytes INTO last, first, total;
    -- The row is locked until the commit: from here on there is one publication of the topic.
    WHILE first < last AND (last - first >= most OR total > largest) LOOP
        DELETE FROM {s}.feed WHERE topic = of_topic AND place = first
            RETURNING length(payload) INTO gone;
        total := total - coalesce(gone, 0);
        first := first + 1;
    END LOOP;
    INSERT INTO {s}.feed VALUES (of_topic, last, of_payload);
    UPDATE {s}.topics SET oldest = first, bytes = total
        WHERE topic = of_topic AND (oldest, bytes) <> (first, total);
    PERFORM pg_notify(channel, of_topic);
    RETURN last;
END $$;
";
