//! Searches, and how much of the file they read.

use std::time::Duration;

use super::{TempInbox, summary};
use crate::sqlite::*;
use pillarbox::{
    inbox::DiscardRequest,
    senders::{
        SenderKind,
        example::{NOW, entry, hmrc},
    },
};

/// A notification about a payment with a reference.
fn of_reference(id: &str, payment: &str, reference: &str) -> Entry {
    let body = format!(
        "{{\"webhook_message_id\":\"{id}\",\"created_date\":\"{NOW}\",\
         \"resource_id\":\"{payment}\",\"event_type\":\"card_payment_captured\",\
         \"resource\":{{\"amount\":5000,\"reference\":\"{reference}\"}}}}"
    );
    entry(SenderKind::GOVUK_PAY, "pay", body.into())
}

/// The ids of the rows and the payments that are found.
async fn found(inbox: &SqliteInbox, text: &str) -> (Vec<String>, Vec<String>) {
    let sources = ["pay", "hmrc"].map(|name| SourceName::new(name).unwrap());
    let found = inbox.find(text, &sources).await.unwrap();
    let payments = found.payments.into_iter().map(|(_, payment)| payment);
    let ids = found.keys.iter().map(|key| key.encoded_id().to_owned());
    (ids.collect(), payments.collect())
}

#[tokio::test]
async fn a_row_is_found_by_its_payment_its_reference_its_id_or_its_box() {
    let fresh = TempInbox::new();
    for entry in [
        of_reference("m1", "payment-1", "ORDER 7"),
        of_reference("m2", "payment-2", "order 8"),
        hmrc("n1", "{}"),
    ] {
        fresh.record(&entry).await.unwrap();
    }
    for (text, ids, payments) in [
        ("payment-1", &[][..], &["payment-1"][..]),
        ("payment", &[], &["payment-1", "payment-2"]),
        ("order 7", &["m1"], &[]),
        (" Order 8 ", &["m2"], &[]),
        ("order", &[], &[]),
        ("m1", &["m1"], &[]),
        ("n1", &["n1"], &[]),
        ("50dca", &["n1"], &[]),
        ("%", &[], &[]),
        ("payment-1'", &[], &[]),
    ] {
        let (found_ids, found_payments) = found(&fresh, text).await;
        assert_eq!(
            (&found_ids[..], &found_payments[..]),
            (ids_of(ids).as_slice(), ids_of(payments).as_slice()),
            "{text}"
        );
    }
    let pay = SourceName::new("pay").unwrap();
    let keys = fresh.payment_keys(&pay, "payment-1").await.unwrap();
    assert_eq!(keys, [of_reference("m1", "payment-1", "").key]);
}

fn ids_of(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn a_reference_is_stored_as_a_digest_that_is_erased_with_the_bytes() {
    let fresh = TempInbox::new();
    let reference = "a reference that names a person";
    let entry = of_reference("m1", "payment-1", reference);
    fresh.record(&entry).await.unwrap();
    assert_eq!(found(&fresh, reference).await.0, ["m1"]);
    let discard = DiscardRequest {
        erase: true,
        now: NOW,
        expires_at: NOW.plus(Duration::from_secs(1)),
    };
    fresh.discard(&entry.key, &discard).await.unwrap();
    assert_eq!(found(&fresh, reference).await.0, [""; 0]);
    assert_eq!(fresh.count("notification WHERE reference NOTNULL"), 0);
}

#[tokio::test]
async fn an_imported_row_is_found_by_its_reference() {
    let (from, to) = (TempInbox::new(), TempInbox::new());
    let entry = of_reference("m1", "payment-1", "order 7");
    from.record(&entry).await.unwrap();
    let row = from.get(&entry.key).await.unwrap().unwrap();
    to.import(&row).await.unwrap();
    assert_eq!(found(&to, "order 7").await.0, ["m1"]);
}

#[tokio::test]
async fn digests_are_added_to_older_rows() {
    let fresh = TempInbox::new();
    for nth in 0..600 {
        let id = format!("m{nth}");
        let entry = of_reference(&id, &format!("p{nth}"), &format!("order {nth}"));
        fresh.record(&entry).await.unwrap();
    }
    fresh.tamper("UPDATE notification SET reference = NULL");
    fresh.tamper("UPDATE reference_key SET below = (SELECT max(id) + 1 FROM notification)");
    let sources = [SourceName::new("pay").unwrap()];
    let before = fresh.find("order 7", &sources).await.unwrap();
    assert!(before.keys.is_empty() && before.is_incomplete, "{before:?}");
    fresh.index_references().await.unwrap();
    let after = fresh.find("order 7", &sources).await.unwrap();
    assert_eq!(after.keys, [of_reference("m7", "", "").key]);
    assert!(!after.is_incomplete);
}

/// Fills a file with `PILLARBOX_TEST_ROWS` rows, and prints how long a summary and each search
/// take. `PILLARBOX_TEST_FILE` is where the file is kept, for the commands.
#[expect(
    clippy::disallowed_methods,
    reason = "a measurement whose length is set from outside, by the wall clock"
)]
#[tokio::test]
async fn a_summary_and_a_search_read_a_bounded_part_of_a_file_of_any_length() {
    let rows = std::env::var("PILLARBOX_TEST_ROWS").ok();
    let rows: u32 = rows.map_or(20_000, |rows| rows.parse().unwrap());
    let fresh = TempInbox::new();
    let kept = std::env::var_os("PILLARBOX_TEST_FILE").map(PathBuf::from);
    let inbox = match &kept {
        Some(file) => SqliteInbox::create(file).unwrap(),
        None => SqliteInbox::create(&fresh.file()).unwrap(),
    };
    let fill = inbox.change(Background, move |db| {
        // Of every hundred rows, one is dead, five are open, and two are of a box.
        db.execute_batch(&format!(
            "CREATE TEMP TABLE many AS WITH RECURSIVE n(n) AS
                 (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})
                 SELECT n, lower(hex(randomblob(13))) AS id, lower(hex(randomblob(13))) AS payment \
             FROM n;
             INSERT INTO notification (pk, v, state, attempts, budget_from, shelf, due_at, \
             expires_at, origin, event_type, subject, event_at, received_at, digest, \
             content_digest, deflated, kind, reference, body)
                 SELECT iif(n % 100 > 97, 'hmrc:', 'pay:') || id, 1,
                     CASE WHEN n % 100 = 0 THEN 'dead' WHEN n % 100 < 6 THEN 'recorded' ELSE \
             'delivered' END,
                     1, n, CASE WHEN n % 100 = 0 THEN 'dead:0' WHEN n % 100 < 6 THEN 'open:0' END,
                     iif(n % 100 < 6, n, NULL), iif(n % 100 < 6, NULL, 4000000000000 + n), 'push',
                     'card_payment_captured', iif(n % 100 > 97, '50dca3fc', payment), n, n,
                     zeroblob(32), zeroblob(32), 0, iif(n % 100 > 97, 'hmrc', 'govuk-pay'),
                     iif(n % 100 > 97, NULL, randomblob(12)), randomblob(700) FROM many;
             INSERT INTO subject SELECT 'pay', payment, 'card_payment_captured|' || n, 'pay:' || \
             id, 4000000000000 + n FROM many WHERE n % 100 BETWEEN 6 AND 97;"
        ))?;
        let sql = "SELECT id, payment FROM many WHERE n % 100 = 50 ORDER BY n DESC LIMIT 1";
        Ok(db.query_row(sql, [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?)
    });
    let (id, payment) = fill.await.unwrap();
    inbox
        .record(&of_reference("m1", "payment-1", "order 7"))
        .await
        .unwrap();

    let begun = std::time::Instant::now();
    let read = summary(&inbox, NOW).await;
    println!("{rows} rows: a summary took {:?}", begun.elapsed());
    assert_eq!(read.open.has_more, rows / 100 * 5 > 10_000);
    for (text, ids, payments) in [
        (payment.as_str(), vec![], vec![payment.as_str()]),
        (&payment[..12], vec![], vec![&payment]),
        (&id, vec![id.as_str()], vec![]),
        ("order 7", vec!["m1"], vec![]),
    ] {
        let begun = std::time::Instant::now();
        let (found_ids, found_payments) = found(&inbox, text).await;
        println!("a search took {:?}", begun.elapsed());
        assert_eq!(found_ids, ids_of(&ids));
        assert_eq!(found_payments, ids_of(&payments));
    }
    let begun = std::time::Instant::now();
    let (of_box, _) = found(&inbox, "50dca").await;
    assert_eq!(of_box.len(), 20, "the newest of the box");
    println!("a search of a box took {:?}", begun.elapsed());
}

#[tokio::test]
async fn keys_are_found_by_their_beginning() {
    let fresh = TempInbox::new();
    for id in ["5s1k7c", "5s1k8d", "5s", "6~x"] {
        fresh.record_paid(id).await;
    }
    for (prefix, limit, expected) in [
        ("pay:5s1k", 9, "pay:5s1k7c pay:5s1k8d"),
        ("pay:5s1k7c", 9, "pay:5s1k7c"),
        ("pay:5s", 2, "pay:5s pay:5s1k7c"),
        ("pay:6%7E", 9, "pay:6%7Ex"),
        ("pa", 9, "pay:5s pay:5s1k7c pay:5s1k8d pay:6%7Ex"),
        ("pay:%", 9, ""),
        ("hmrc:5s1k", 9, ""),
    ] {
        let found = fresh.keys_with_prefix(prefix, limit).await.unwrap();
        let found: Vec<_> = found.iter().map(Key::as_str).collect();
        assert_eq!(found.join(" "), expected, "{prefix}");
    }
}
