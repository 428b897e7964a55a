//! The schema, as a list of migrations. New ones are appended; existing ones never change.

use rusqlite::{Connection, TransactionBehavior};

use super::pair::raise_counter;

/// Migration *n* turns schema *n* into *n + 1*; `user_version` is the schema of a file.
const MIGRATIONS: [&str; 8] = [
    // `id` is the order of arrival. The body is the last column, so that reading the others does
    // not read it. A body over 8 KB is in the table `body`, since every change rewrites the whole
    // row.
    "CREATE TABLE notification (
         id             INTEGER PRIMARY KEY,
         pk             TEXT    NOT NULL UNIQUE,
         v              INTEGER NOT NULL,
         state          TEXT    NOT NULL,
         reason         TEXT,
         attempts       INTEGER NOT NULL,
         lease          INTEGER,
         lease_until    INTEGER,
         budget_from    INTEGER NOT NULL,
         shelf          TEXT,
         due_at         INTEGER,
         expires_at     INTEGER,
         origin         TEXT    NOT NULL,
         event_type     TEXT    NOT NULL,
         subject        TEXT,
         event_at       INTEGER,
         received_at    INTEGER NOT NULL,
         signature      TEXT,
         key_label      TEXT,
         digest         BLOB    NOT NULL,
         content_digest BLOB    NOT NULL,
         last_error     TEXT,
         deflated       INTEGER NOT NULL,
         body           BLOB
     ) STRICT;
     CREATE INDEX notification_shelf ON notification (shelf, due_at) WHERE shelf IS NOT NULL;
     CREATE INDEX notification_expiry ON notification (expires_at) WHERE expires_at IS NOT NULL;
     CREATE TABLE body (
         notification   INTEGER PRIMARY KEY REFERENCES notification (id) ON DELETE CASCADE,
         bytes          BLOB    NOT NULL
     ) STRICT;
     CREATE TABLE subject (
         source         TEXT    NOT NULL,
         subject        TEXT    NOT NULL,
         event          TEXT    NOT NULL,
         owner          TEXT    NOT NULL,
         expires_at     INTEGER NOT NULL,
         PRIMARY KEY (source, subject, event)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX subject_expiry ON subject (expires_at);
     CREATE TABLE source (
         name           TEXT    PRIMARY KEY,
         heard_at       INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;",
    "CREATE TABLE memo (
         name           TEXT    PRIMARY KEY,
         version        INTEGER NOT NULL,
         text           TEXT    NOT NULL
     ) STRICT, WITHOUT ROWID;",
    // Older HMRC rows are recognised by their event type or, if the notification was unreadable, by
    // the length of an HMAC-SHA1 in hex.
    "ALTER TABLE notification ADD COLUMN kind TEXT NOT NULL DEFAULT 'govuk-pay';
     UPDATE notification SET kind = 'hmrc' WHERE event_type = 'notification' OR length(signature) \
      = 40;",
    // Identifies the secret that proved a row. Older rows have none.
    "ALTER TABLE notification ADD COLUMN secret_fingerprint BLOB;",
    // The audit trail, in order of time.
    "CREATE TABLE audit (
         at             INTEGER NOT NULL,
         id             INTEGER NOT NULL,
         actor          TEXT    NOT NULL,
         action         TEXT    NOT NULL,
         target         TEXT    NOT NULL,
         planned        INTEGER,
         done           INTEGER NOT NULL,
         outcome        TEXT    NOT NULL,
         expires_at     INTEGER NOT NULL,
         PRIMARY KEY (at, id)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX audit_expiry ON audit (expires_at);",
    // The index has all that a summary shows, so that a summary reads no rows.
    "DROP INDEX notification_shelf;
     CREATE INDEX notification_shelf ON notification (shelf, due_at, received_at, reason)
         WHERE shelf IS NOT NULL;",
    // What happened to a row after it was recorded. Older rows have none.
    "ALTER TABLE notification ADD COLUMN history BLOB;",
    // For searches. A reference may name a person, so only its keyed digest is stored. `serve` adds
    // it to older rows, whose ids are less than `below`.
    // Finished payments are in the ledger, so no index of random ids grows with every notification.
    "CREATE INDEX notification_pending_subject ON notification (subject) WHERE shelf IS NOT NULL;
     CREATE INDEX notification_box ON notification (subject) WHERE kind = 'hmrc';
     ALTER TABLE notification ADD COLUMN reference BLOB;
     CREATE INDEX notification_reference ON notification (reference) WHERE reference IS NOT NULL;
     CREATE TABLE reference_key (
         id             INTEGER PRIMARY KEY CHECK (id = 1),
         secret         BLOB    NOT NULL,
         below          INTEGER NOT NULL
     ) STRICT;
     INSERT INTO reference_key (id, secret, below)
         SELECT 1, randomblob(32), coalesce(max(id), 0) + 1 FROM notification;",
];

/// Gives an empty file the schema `version`.
#[cfg(test)]
pub(super) fn create_at(db: &Connection, version: u32) -> Result<(), rusqlite::Error> {
    for sql in &MIGRATIONS[..version as usize] {
        db.execute_batch(sql)?;
    }
    db.pragma_update(None, "user_version", version)
}

/// The latest schema that this program knows.
pub(super) const LATEST: u32 = MIGRATIONS.len() as u32;

/// Migrates the file to [`LATEST`]; a later schema is an error.
pub(super) fn migrate(db: &mut Connection) -> Result<(), rusqlite::Error> {
    if version(db)? == LATEST {
        return Ok(());
    }
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&transaction)?; // another process may have migrated it
    let missing = MIGRATIONS
        .get(from as usize..)
        .ok_or_else(|| newer_schema(from))?;
    for sql in missing {
        transaction.execute_batch(sql)?;
    }
    raise_counter(&transaction)?;
    transaction.pragma_update(None, "user_version", LATEST)?;
    transaction.commit()
}

/// Fails unless the file has the schema [`LATEST`]. For readers, which migrate nothing.
pub(super) fn require_latest(db: &Connection) -> Result<(), rusqlite::Error> {
    match version(db)? {
        LATEST => Ok(()),
        older if older < LATEST => Err(schema_error(format!(
            "the file has the older schema {older}: `pillarbox inbox init` updates it, or a copy \
             of it"
        ))),
        newer => Err(newer_schema(newer)),
    }
}

/// Fails if the file is a database of another program, in which no table may be made.
///
/// An inbox gets its tables and its version in one transaction.
pub(super) fn require_own(db: &Connection) -> Result<(), rusqlite::Error> {
    let sql = "SELECT count(*), EXISTS (SELECT 1 FROM pragma_table_info('notification') \
               WHERE name = 'pk') OR EXISTS (SELECT 1 FROM pragma_table_info('body') \
               WHERE name = 'notification') FROM sqlite_schema";
    let (objects, has_own): (u32, bool) =
        db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is_own = match version(db)? {
        0 => objects == 0,
        _ => has_own,
    };
    match is_own {
        true => Ok(()),
        false => Err(schema_error(
            "the file is a database of another program: write the path of an inbox".to_owned(),
        )),
    }
}

/// The schema of the file.
pub(super) fn version(db: &Connection) -> Result<u32, rusqlite::Error> {
    let version: i32 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    Ok(version.cast_unsigned())
}

fn newer_schema(found: u32) -> rusqlite::Error {
    schema_error(format!(
        "the file has schema {found}, and this program knows {LATEST}: run a newer Pillarbox"
    ))
}

fn schema_error(why: String) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_SCHEMA);
    rusqlite::Error::SqliteFailure(code, Some(why))
}
