//! The tables, as a list of steps that is only ever added to.

use rusqlite::{Connection, TransactionBehavior};

/// Step *n* turns schema *n* into *n + 1*; `user_version` says which steps a file has had.
const STEPS: [&str; 2] = [
    // `id` is the order of arrival. Small columns stand before the body, so that reading them never
    // reads it. A body over 8 KB has a table of its own: a row is rewritten at every change.
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
];

/// The schema this program knows.
pub(super) const LATEST: u32 = STEPS.len() as u32;

/// Brings the file up to [`LATEST`], or refuses it if it is past that.
pub(super) fn migrate(db: &mut Connection) -> Result<(), rusqlite::Error> {
    if version(db)? == LATEST {
        return Ok(());
    }
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&step)?; // another process may have been faster
    let missing = STEPS.get(from as usize..).ok_or_else(|| newer(from))?;
    for sql in missing {
        step.execute_batch(sql)?;
    }
    step.pragma_update(None, "user_version", LATEST)?;
    step.commit()
}

/// How many steps the file has had.
pub(super) fn version(db: &Connection) -> Result<u32, rusqlite::Error> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn newer(found: u32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_SCHEMA),
        Some(format!(
            "the file has schema {found}, and this program knows {LATEST}: run a newer Pillarbox"
        )),
    )
}
