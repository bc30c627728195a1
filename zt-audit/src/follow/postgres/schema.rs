//! The tables.

use zt_core::store::postgres::shared::Tables;

pub(super) const TABLES: Tables = Tables {
    of: "zt-audit",
    meta: "zt_audit_meta",
    format: 1,
    script: SCRIPT,
};

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
