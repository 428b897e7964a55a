//! HMRC's API on loopback with one box of notifications.

use std::{sync::Arc, time::Duration};

use sender_simulator::{
    Clock,
    apis::{
        PpnsApi,
        ppns::{BoxNotification, BoxNotificationStatus, PpnsApplication},
    },
    hmrc::HmrcMessage,
};

pub const BOX: &str = "50dca3fc-c37c-4f03-b719-63571333624c";
pub const CLIENT: &str = "a-client-id-of-the-application";
pub const SECRET: &str = "a-client-secret-of-the-application";

/// Starts HMRC's API with one box of our application, and with this clock.
pub async fn ppns(clock: Arc<dyn Clock>) -> PpnsApi {
    let ppns = PpnsApi::start(0, clock).await.unwrap();
    ppns.with(|boxes| {
        boxes.register(PpnsApplication::new(CLIENT, SECRET));
        boxes.open(BOX, CLIENT);
    });
    ppns
}

/// Puts failed notifications into the box, which HMRC no longer pushes. One was created each
/// minute, the last one seven hours ago.
pub fn fill(ppns: &PpnsApi, clock: &dyn Clock, count: u64) {
    for number in 0..count {
        let new = BoxNotification::new(
            BOX,
            HmrcMessage::json(format!(r#"{{"number":{number}}}"#)),
            clock,
        );
        let created = clock
            .now()
            .minus(Duration::from_secs(60 * (420 + count - number)));
        ppns.with(|boxes| {
            boxes.add(
                new.with_status(BoxNotificationStatus::Failed)
                    .created(created),
            )
        });
    }
}

/// The number of unacknowledged notifications at HMRC.
pub fn left(ppns: &PpnsApi) -> usize {
    let counts = ppns.with(|boxes| boxes.count_by_status());
    counts.pending + counts.failed
}
