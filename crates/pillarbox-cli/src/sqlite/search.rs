//! Searches for rows by payment, box, notification id or the service's own reference.
//!
//! A reference may name a person, so the file has only a keyed digest of it. The key is in the same
//! file: a copy of the index alone reveals nothing, and erasing a notification erases its digest.
//! The digest is written with the row. `serve` adds the digests of older rows, newest first, a few
//! hundred at a time.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::Sha256;

use super::{
    SqliteInbox,
    columns::{COLUMNS, query_keys, read_packed_row},
    connection::SqliteError,
    writer::WritePriority::Background,
};
use pillarbox::{
    domain::{Key, NotificationId, SourceName},
    inbox::{InboxError, Row},
};

/// The most payments, boxes or keys that a prefix finds.
const MAX_FOUND: u32 = 20;
/// The rows of one batch of digests.
const BATCH_ROWS: u32 = 250;

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundInFile {
    /// Payments with their sources.
    pub payments: Vec<(SourceName, String)>,
    /// Rows found by their id or a reference, and the newest rows of a box.
    pub keys: Vec<Key>,
    /// Whether some older rows have no digest of their reference yet.
    pub is_incomplete: bool,
}

impl SqliteInbox {
    /// Finds payments, boxes and ids of `sources` that begin with `text`, and rows whose reference
    /// is `text`. Every look-up is bounded.
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

    /// The keys of the notifications of a payment, from its ledger and the pending index.
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

    /// Adds the digest of their reference to all older rows.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub async fn index_references(&self) -> Result<(), InboxError> {
        while self.change(Background, |db| index_batch(db)).await? {}
        Ok(())
    }
}

fn find(db: &Connection, text: &str, sources: &[SourceName]) -> Result<FoundInFile, SqliteError> {
    let mut found = FoundInFile {
        is_incomplete: digests_begin_at(db)? > 1,
        ..FoundInFile::default()
    };
    for source in sources {
        for payment in payments(db, source, text)? {
            found.payments.push((source.clone(), payment));
        }
        found.keys.extend(keys_by_id(db, source, text)?);
    }
    found.keys.extend(keys_by_box(db, text)?);
    found.keys.extend(keys_by_reference(db, text)?);
    Ok(found)
}

/// The payments of `source` that begin with `text`, from the ledger and the pending index.
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
    let mut found = distinct_subjects(db, in_ledger, text, source.as_str())?;
    found.append(&mut distinct_subjects(db, pending, text, source.as_str())?);
    Ok(found)
}

/// The newest rows of the boxes that begin with `text`.
fn keys_by_box(db: &Connection, text: &str) -> Result<Vec<Key>, SqliteError> {
    let boxes = "SELECT subject FROM notification INDEXED BY notification_box
         WHERE kind = 'hmrc' AND ?4 = '' AND subject >= ?1 AND subject > ?2 AND subject < ?3
         ORDER BY subject LIMIT 1";
    let mut select = db.prepare_cached(
        "SELECT pk FROM notification INDEXED BY notification_box
         WHERE kind = 'hmrc' AND subject = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let mut found = Vec::new();
    for subject in distinct_subjects(db, boxes, text, "")? {
        found.append(&mut query_keys(&mut select, params![subject, MAX_FOUND])?);
    }
    Ok(found)
}

/// The different subjects that begin with `text`. Each query skips to the next subject, because a
/// box may have a million rows.
fn distinct_subjects(
    db: &Connection,
    sql: &str,
    text: &str,
    source: &str,
) -> Result<BTreeSet<String>, SqliteError> {
    let mut next = db.prepare_cached(sql)?;
    let (mut found, mut last) = (BTreeSet::new(), String::new());
    for _ in 0..MAX_FOUND {
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
    query_keys(&mut select, [source, payment])
}

/// The keys of `source` whose id begins with `text`.
fn keys_by_id(db: &Connection, source: &SourceName, text: &str) -> Result<Vec<Key>, SqliteError> {
    let Some(key) = NotificationId::new(text).map(|id| Key::new(source, &id)) else {
        return Ok(Vec::new());
    };
    let mut select = db.prepare_cached(
        "SELECT pk FROM notification WHERE pk >= ?1 AND pk < ?2 ORDER BY pk LIMIT ?3",
    )?;
    let params = params![key.as_str(), after_prefix(key.as_str()), MAX_FOUND];
    query_keys(&mut select, params)
}

/// A text that sorts after every text that begins with `prefix`.
fn after_prefix(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

fn keys_by_reference(db: &Connection, reference: &str) -> Result<Vec<Key>, SqliteError> {
    let digest = reference_digest(db, reference)?;
    let mut select = db.prepare_cached(
        "SELECT pk FROM notification WHERE reference = ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    query_keys(&mut select, params![digest, MAX_FOUND])
}

/// The keyed digest of a reference. It ignores case, as Pay does when it compares references.
pub(super) fn reference_digest(
    db: &Connection,
    reference: &str,
) -> Result<Vec<u8>, rusqlite::Error> {
    /// Enough for different references in a file to have different digests.
    const DIGEST_BYTES: usize = 12;
    let mut select = db.prepare_cached("SELECT secret FROM reference_key")?;
    let secret: Vec<u8> = select.query_row([], |row| row.get(0))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key of any length");
    mac.update(reference.trim().to_lowercase().as_bytes());
    Ok(mac.finalize().into_bytes()[..DIGEST_BYTES].to_vec())
}

/// Adds the digest of its reference to an imported row.
pub(super) fn set_reference(db: &Connection, row: &Row) -> Result<(), rusqlite::Error> {
    if let Some(reference) = reference(row) {
        let mut update =
            db.prepare_cached("UPDATE notification SET reference = ?2 WHERE pk = ?1")?;
        update.execute(params![row.key.as_str(), reference_digest(db, &reference)?])?;
    }
    Ok(())
}

/// The id from which on rows have their digests.
fn digests_begin_at(db: &Connection) -> Result<i64, rusqlite::Error> {
    db.query_row("SELECT below FROM reference_key", [], |row| row.get(0))
}

/// Adds digests to one batch of older rows. Returns whether more are left.
fn index_batch(db: &Connection) -> Result<bool, SqliteError> {
    let below = digests_begin_at(db)?;
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
        // A row that cannot be read gets no digest.
        let row = read_packed_row(db, columns).ok();
        let row = row.and_then(|row| row.unpack().ok());
        if let Some(reference) = row.as_ref().and_then(reference) {
            digests.push((last, reference_digest(db, &reference)?));
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

/// The service's own reference for the payment of a row.
fn reference(row: &Row) -> Option<String> {
    let facts = (row.kind.envelope.payment)(&row.event_type, row.body.as_deref()?)?;
    facts.reference
}
