//! Finds rows by what a person knows of them: a payment or a box, a notification's id, or the
//! service's own reference.
//!
//! A reference may name a person, so the file has only its digest, with a key that is in the same
//! file: a copy of the index alone says nothing, and erasing a notification erases its digest. The
//! digest is written with the row. Rows from before there were digests get theirs from `serve`,
//! the newest first, a few hundred at a time.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::Sha256;

use super::{
    SqliteInbox,
    columns::{COLUMNS, packed_row},
    connection::SqliteError,
    writer::WritePriority,
};
use pillarbox::{
    domain::{Key, NotificationId, SourceName},
    inbox::{InboxError, Row},
};

/// The payments, the boxes, or the keys, that a prefix finds at most.
const MAX_FOUND: usize = 20;
/// The same as a limit of a query.
const LIMIT: u32 = 20;
/// The rows of one batch of digests.
const BATCH_ROWS: u32 = 250;

/// What was found in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundInFile {
    /// Payments, with their sources.
    pub payments: Vec<(SourceName, String)>,
    /// Rows by their id, by a reference, or as the newest of a box.
    pub keys: Vec<Key>,
    /// Whether rows of before have no digest of their reference yet.
    pub is_incomplete: bool,
}

impl SqliteInbox {
    /// Finds `text` as a payment, a box or an id of `sources`, whole or its beginning, or as a
    /// whole reference. Every look-up is bounded.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn find(
        &self,
        text: &str,
        sources: &[SourceName],
    ) -> Result<FoundInFile, InboxError> {
        let (text, sources) = (text.to_owned(), sources.to_vec());
        self.read(move |db| find(db, &text, &sources)).await
    }

    /// The keys of the notifications of a payment: those in its ledger, and those that wait.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn payment_keys(
        &self,
        source: &SourceName,
        payment: &str,
    ) -> Result<Vec<Key>, InboxError> {
        let (source, payment) = (source.to_string(), payment.to_owned());
        self.read(move |db| payment_keys(db, &source, &payment))
            .await
    }

    /// Gives the rows from before there were digests theirs, until none is left.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub async fn index_references(&self) -> Result<(), InboxError> {
        while self
            .change(WritePriority::Background, |db| index_batch(db))
            .await?
        {}
        Ok(())
    }
}

fn find(db: &Connection, text: &str, sources: &[SourceName]) -> Result<FoundInFile, SqliteError> {
    let mut found = FoundInFile {
        is_incomplete: below(db)? > 1,
        ..FoundInFile::default()
    };
    for source in sources {
        let payments = payments(db, source, text)?.into_iter();
        found
            .payments
            .extend(payments.map(|payment| (source.clone(), payment)));
        found.keys.extend(keys(db, source, text)?);
    }
    found.keys.extend(box_keys(db, text)?);
    found.keys.extend(by_reference(db, text)?);
    Ok(found)
}

/// The payments of `source` that begin with `text`, in the ledger or among the rows that wait.
fn payments(
    db: &Connection,
    source: &SourceName,
    text: &str,
) -> Result<BTreeSet<String>, SqliteError> {
    let in_ledger = "SELECT subject FROM subject WHERE source = ?4
         AND subject >= ?1 AND subject > ?2 AND subject < ?3 ORDER BY subject LIMIT 1";
    let pending = "SELECT subject FROM notification INDEXED BY notification_pending_subject
         WHERE shelf IS NOT NULL AND pk >= ?4 || ':' AND pk < ?4 || ';' AND kind <> 'hmrc'
             AND subject >= ?1 AND subject > ?2 AND subject < ?3 ORDER BY subject LIMIT 1";
    let mut found = skip_through(db, in_ledger, text, source.as_str())?;
    found.append(&mut skip_through(db, pending, text, source.as_str())?);
    Ok(found)
}

/// The newest rows of the boxes that begin with `text`.
fn box_keys(db: &Connection, text: &str) -> Result<Vec<Key>, SqliteError> {
    let boxes = "SELECT subject FROM notification INDEXED BY notification_box
         WHERE kind = 'hmrc' AND ?4 = '' AND subject >= ?1 AND subject > ?2 AND subject < ?3
         ORDER BY subject LIMIT 1";
    let mut select = db.prepare_cached(
        "SELECT pk FROM notification INDEXED BY notification_box
         WHERE kind = 'hmrc' AND subject = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let mut found = Vec::new();
    for subject in skip_through(db, boxes, text, "")? {
        let keys = select.query_map(params![subject, LIMIT], |row| row.get::<_, String>(0))?;
        for key in keys {
            found.extend(Key::parse(&key?));
        }
    }
    Ok(found)
}

/// The subjects that begin with `text`, from one to the next: a box may have a million rows.
fn skip_through(
    db: &Connection,
    sql: &str,
    text: &str,
    source: &str,
) -> Result<BTreeSet<String>, SqliteError> {
    let mut next = db.prepare_cached(sql)?;
    let (mut found, mut last) = (BTreeSet::new(), String::new());
    while found.len() < MAX_FOUND {
        let params = params![text, last, after_prefix(text), source];
        let subject: Option<String> = next.query_row(params, |row| row.get(0)).optional()?;
        let Some(subject) = subject else { break };
        last.clone_from(&subject);
        found.insert(subject);
    }
    Ok(found)
}

fn payment_keys(db: &Connection, source: &str, payment: &str) -> Result<Vec<Key>, SqliteError> {
    let mut select = db.prepare_cached(
        "SELECT owner FROM subject WHERE source = ?1 AND subject = ?2
         UNION SELECT pk FROM notification INDEXED BY notification_pending_subject
             WHERE shelf IS NOT NULL AND subject = ?2 AND pk >= ?1 || ':' AND pk < ?1 || ';'",
    )?;
    let keys = select.query_map([source, payment], |row| row.get::<_, String>(0))?;
    let keys = keys.map(|key| Ok(Key::parse(&key?)));
    keys.filter_map(Result::transpose).collect()
}

/// The keys of `source` whose id begins with `text`.
fn keys(db: &Connection, source: &SourceName, text: &str) -> Result<Vec<Key>, SqliteError> {
    let Some(key) = NotificationId::new(text).map(|id| Key::new(source, &id)) else {
        return Ok(Vec::new());
    };
    let mut select = db.prepare_cached(
        "SELECT pk FROM notification WHERE pk >= ?1 AND pk < ?2 ORDER BY pk LIMIT ?3",
    )?;
    let params = params![key.as_str(), after_prefix(key.as_str()), LIMIT];
    let keys = select.query_map(params, |row| row.get::<_, String>(0))?;
    let keys = keys.map(|key| Ok(Key::parse(&key?)));
    keys.filter_map(Result::transpose).collect()
}

/// A text after every text that begins with `prefix`.
fn after_prefix(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

fn by_reference(db: &Connection, reference: &str) -> Result<Vec<Key>, SqliteError> {
    let digest = digest(db, reference)?;
    let mut select = db.prepare_cached(
        "SELECT pk FROM notification WHERE reference = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let keys = select.query_map(params![digest, LIMIT], |row| row.get::<_, String>(0))?;
    let keys = keys.map(|key| Ok(Key::parse(&key?)));
    keys.filter_map(Result::transpose).collect()
}

/// The keyed digest of a reference. Pay compares references without regard to case, and so do we.
pub(super) fn digest(db: &Connection, reference: &str) -> Result<Vec<u8>, rusqlite::Error> {
    /// Enough that two references of one file do not share a digest.
    const DIGEST_BYTES: usize = 12;
    let mut select = db.prepare_cached("SELECT secret FROM reference_key")?;
    let secret: Vec<u8> = select.query_row([], |row| row.get(0))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key of any length");
    mac.update(reference.trim().to_lowercase().as_bytes());
    Ok(mac.finalize().into_bytes()[..DIGEST_BYTES].to_vec())
}

/// Gives an imported row, which has its bytes, the digest of its reference.
pub(super) fn set_reference(db: &Connection, row: &Row) -> Result<(), rusqlite::Error> {
    if let Some(reference) = reference(row) {
        let mut update =
            db.prepare_cached("UPDATE notification SET reference = ?2 WHERE pk = ?1")?;
        update.execute(params![row.key.as_str(), digest(db, &reference)?])?;
    }
    Ok(())
}

/// The id below which rows have no digest yet.
fn below(db: &Connection) -> Result<i64, rusqlite::Error> {
    db.query_row("SELECT below FROM reference_key", [], |row| row.get(0))
}

/// Gives the next rows their digests; false if none is left.
fn index_batch(db: &Connection) -> Result<bool, SqliteError> {
    let below = below(db)?;
    if below <= 1 {
        return Ok(false);
    }
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS}, body FROM notification WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
    ))?;
    let mut rows = select.query(params![below, BATCH_ROWS])?;
    let (mut last, mut digests) = (1, Vec::new());
    while let Some(columns) = rows.next()? {
        last = columns.get(0)?;
        // A row that cannot be read is not found by its reference, either.
        let row = packed_row(db, columns)
            .ok()
            .and_then(|row| row.unpack().ok());
        if let Some(reference) = row.as_ref().and_then(reference) {
            digests.push((last, digest(db, &reference)?));
        }
    }
    drop(rows);
    let mut update = db.prepare_cached("UPDATE notification SET reference = ?2 WHERE id = ?1")?;
    for (id, digest) in digests {
        update.execute(params![id, digest])?;
    }
    db.execute("UPDATE reference_key SET below = ?1", [last])?;
    Ok(last > 1)
}

/// The service's own reference in a row.
fn reference(row: &Row) -> Option<String> {
    let facts = (row.kind.envelope.payment)(&row.event_type, row.body.as_deref()?)?;
    facts.reference
}
