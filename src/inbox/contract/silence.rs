//! Silence: when a source was received last, and since when it is silent.

use super::{later, pay_source};
use crate::{domain::SourceName, inbox::Inbox};

pub async fn keeps_the_latest_time_at_which_a_source_was_received(inbox: &impl Inbox) {
    let pay = SourceName::new("pay").unwrap();
    for at in [later(10), later(30), later(20)] {
        inbox.record_last_received(&pay, at).await.unwrap();
    }
    assert_eq!(inbox.last_received(&pay).await.unwrap(), Some(later(30)));
    assert_eq!(
        inbox
            .last_received(&SourceName::new("hmrc").unwrap())
            .await
            .unwrap(),
        None
    );
}

pub async fn remembers_since_when_a_source_that_was_never_received_is_silent(inbox: &impl Inbox) {
    let (pay, hmrc) = (pay_source(), SourceName::new("hmrc").unwrap());
    let silent_since = async |source, at| inbox.silent_since(source, at).await.unwrap();
    assert_eq!(silent_since(&pay, later(10)).await, later(10));
    assert_eq!(
        silent_since(&pay, later(20)).await,
        later(10),
        "the first question counts"
    );
    assert_eq!(inbox.last_received(&pay).await.unwrap(), None);
    inbox.record_last_received(&pay, later(30)).await.unwrap();
    assert_eq!(silent_since(&pay, later(40)).await, later(30));
    assert_eq!(silent_since(&hmrc, later(40)).await, later(40));
}
