//! Unchanged rows.

use futures_util::future::join_all;
use pillarbox_cli::sqlite::SqliteInbox;
use rusqlite::Connection;

use pillarbox::domain::{Clock, SystemClock};
use test_support::process::{BOTH_SOURCES, PAY_SECRET, ProgramFolder};

use super::{
    OTHER_SECRET,
    maker::{EvidenceMaker, RowLife},
    tampering::broken,
    verify_stored,
};

#[expect(
    clippy::disallowed_methods,
    reason = "a person who runs the tests says how many"
)]
fn honest_rows() -> usize {
    let rows = std::env::var("PILLARBOX_HONEST_ROWS").ok();
    rows.and_then(|rows| rows.parse().ok()).unwrap_or(600)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_honest_row_is_called_broken_and_a_rotated_secret_is_no_tampering() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let inbox = SqliteInbox::create(&folder.path().join("pillarbox.db")).unwrap();
    let now = SystemClock.now();
    let makers = [PAY_SECRET, OTHER_SECRET].map(|pay_secret| EvidenceMaker {
        inbox: &inbox,
        pay_secret,
        now,
    });
    let numbers: Vec<usize> = (0..honest_rows()).collect();
    for chunk in numbers.chunks(500) {
        let lives = chunk.iter().map(|number| {
            let life = RowLife::ALL[number % RowLife::ALL.len()];
            makers[number / RowLife::ALL.len() % 2].row(life, *number)
        });
        join_all(lives).await;
    }
    drop(inbox);
    let ran = verify_stored(&folder, None);
    assert_eq!((ran.code, broken(&ran)), (0, vec![]), "{}", ran.stdout);
    assert!(ran.stdout.contains(", 0 broken"), "{}", ran.stdout);
    let rotated = "signed with a secret that is not configured";
    let lines = ran.stderr.lines().filter(|line| line.contains(rotated));
    let count = lines.count();
    assert!(count > honest_rows() / 5, "{count}");
    assert!(
        ran.stdout.contains(&format!("{count} {rotated}")),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_without_a_fingerprint_is_proved_by_its_signature_and_its_secret_s_name() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let file = folder.path().join("pillarbox.db");
    let inbox = SqliteInbox::create(&file).unwrap();
    let now = SystemClock.now();
    for (number, pay_secret) in [PAY_SECRET, OTHER_SECRET].into_iter().enumerate() {
        let maker = EvidenceMaker {
            inbox: &inbox,
            pay_secret,
            now,
        };
        maker.row(RowLife::Delivered, number).await;
    }
    drop(inbox);
    let db = Connection::open(&file).unwrap();
    db.execute("UPDATE notification SET secret_fingerprint = NULL", [])
        .unwrap();
    drop(db);
    let ran = verify_stored(&folder, None);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(broken(&ran), ["pay:m1"], "{ran:?}");
    assert!(
        ran.stderr.contains("holds another secret now"),
        "{}",
        ran.stderr
    );
}
