//! Silence: when a source last sent a notification, and how long it has sent nothing.

use super::{later, pay_source};
use crate::{domain::SourceName, inbox::Inbox};

pub async fn keeps_the_time_of_the_latest_notification_of_a_source(inbox: &impl Inbox) {
    let pay = SourceName::new("pay").unwrap();
    for at in [later(10), later(30), later(20)] {
        inbox.record_last_received(&pay, at).await.unwrap();
    }
    let hmrc = SourceName::new("hmrc").unwrap();
    assert_eq!(inbox.last_received(&pay).await.unwrap(), Some(later(30)));
    assert_eq!(inbox.last_received(&hmrc).await.unwrap(), None);
}

pub async fn counts_the_silence_of_a_source_without_notifications_from_the_first_query(
    inbox: &impl Inbox,
) {
    let (pay, hmrc) = (pay_source(), SourceName::new("hmrc").unwrap());
    let silent_since = async |source, at| inbox.silent_since(source, at).await.unwrap();
    assert_eq!(silent_since(&pay, later(10)).await, later(10));
    assert_eq!(
        silent_since(&pay, later(20)).await,
        later(10),
        "the first query counts"
    );
    assert_eq!(inbox.last_received(&pay).await.unwrap(), None);
    inbox.record_last_received(&pay, later(30)).await.unwrap();
    assert_eq!(silent_since(&pay, later(40)).await, later(30));
    assert_eq!(silent_since(&hmrc, later(40)).await, later(40));
}
