//! One lifecycle, reported twice: by Pay's webhooks, and by the API.

use std::time::Duration;

use sender_simulator::{
    Clock,
    apis::pay_api::{PaymentLifecycle, SimulatedPayment},
    govuk_pay::{PaymentEvent, PaymentKind},
};
use serde_json::Value;
use test_support::manual_clock::ManualClock;

use super::pay::{DAY, PayApiClient};

use PaymentEvent::{Captured, Expired, Failed, Refunded, Succeeded};

#[test]
fn every_lifecycle_has_its_webhooks_and_none_that_pay_never_sends() {
    let clock = ManualClock::new();
    for (life, expected) in [
        (PaymentLifecycle::Created, &[][..]),
        (PaymentLifecycle::Started, &[]),
        (PaymentLifecycle::Submitted, &[]),
        (PaymentLifecycle::Capturable, &[]),
        (PaymentLifecycle::Succeeded, &[Succeeded]),
        (PaymentLifecycle::Captured, &[Succeeded, Captured]),
        (PaymentLifecycle::Refunded, &[Succeeded, Captured, Refunded]),
        (
            PaymentLifecycle::RefundedTwice,
            &[Succeeded, Captured, Refunded, Refunded],
        ),
        (PaymentLifecycle::RefundFailed, &[Succeeded, Captured]),
        (PaymentLifecycle::Failed, &[Failed]),
        (PaymentLifecycle::Expired, &[Expired]),
        (PaymentLifecycle::CancelledByUser, &[Failed]),
        (PaymentLifecycle::CancelledByService, &[Failed]),
        (PaymentLifecycle::ProviderError, &[Failed]),
        (PaymentLifecycle::CaptureFailed, &[Succeeded]),
    ] {
        let payment = SimulatedPayment::new(life, clock.now(), &*clock);
        let webhooks = payment.webhooks(&*clock);
        assert_eq!(
            webhooks
                .iter()
                .map(|webhook| webhook.event)
                .collect::<Vec<_>>(),
            expected,
            "{life:?}"
        );
        assert!(webhooks.iter().map(|webhook| webhook.at).is_sorted());
        for webhook in webhooks {
            let sent: Value = serde_json::from_str(&webhook.body.wire).unwrap();
            assert_eq!(sent["resource_id"], payment.id());
            assert_eq!(sent["resource"]["reference"], payment.reference());
            assert_eq!(sent["event_type"], webhook.event.as_str());
            assert_eq!(sent["created_date"], webhook.at.to_string());
        }
    }
}

#[tokio::test]
async fn the_api_shows_at_each_webhooks_time_the_state_in_the_webhook() {
    let pay = PayApiClient::start().await;
    for life in PaymentLifecycle::ALL {
        let payment = pay.add(life, Duration::ZERO);
        for webhook in payment.webhooks(&*pay.clock) {
            pay.clock.pass(webhook.at.since(pay.clock.now()));
            let sent: Value = serde_json::from_str(&webhook.body.wire).unwrap();
            let (sent, shown) = (
                &sent["resource"],
                pay.found(&format!("/v1/payments/{}", payment.id())).await,
            );
            assert_eq!(
                sent["settlement_summary"], shown["settlement_summary"],
                "{life:?} {:?}",
                webhook.event
            );
            for field in [
                "amount",
                "email",
                "description",
                "created_date",
                "payment_provider",
                "card_details",
            ] {
                assert_eq!(sent.get(field), shown.get(field), "{life:?} {field}");
            }
            if sent["state"]["status"] == "success" {
                assert_eq!(
                    sent["refund_summary"], shown["refund_summary"],
                    "{life:?} {:?}",
                    webhook.event
                );
                assert_eq!(sent["state"], shown["state"], "{life:?}");
            }
        }
    }
}

#[test]
fn a_webhook_does_not_show_who_cancelled() {
    let clock = ManualClock::new();
    let state = |life: PaymentLifecycle| {
        let webhooks = SimulatedPayment::new(life, clock.now(), &*clock).webhooks(&*clock);
        let sent: Value = serde_json::from_str(&webhooks[0].body.wire).unwrap();
        sent["resource"]["state"].clone()
    };
    assert_eq!(
        state(PaymentLifecycle::CancelledByUser),
        state(PaymentLifecycle::CancelledByService)
    );
    assert_eq!(
        state(PaymentLifecycle::CancelledByUser)["status"],
        "cancelled"
    );
}

#[test]
fn several_payments_begin_one_after_another_under_different_ids() {
    let clock = ManualClock::new();
    let payments =
        SimulatedPayment::several(PaymentLifecycle::Captured, 3, clock.now(), DAY, &*clock);
    let begun: Vec<_> = payments
        .iter()
        .map(|payment| payment.created().since(clock.now()))
        .collect();
    assert_eq!(begun, [Duration::ZERO, DAY, 2 * DAY]);
    assert!(payments[0].id() != payments[1].id() && payments[1].id() != payments[2].id());
    assert!(
        payments
            .iter()
            .all(|payment| payment.lifecycle() == PaymentLifecycle::Captured)
    );
}

#[test]
fn the_success_of_a_telephone_payment_is_never_sent() {
    let clock = ManualClock::new();
    for (life, expected) in [
        (PaymentLifecycle::Succeeded, &[][..]),
        (PaymentLifecycle::Captured, &[Captured]),
        (PaymentLifecycle::Refunded, &[Captured, Refunded]),
        (PaymentLifecycle::Failed, &[Failed]),
    ] {
        let payment = SimulatedPayment::new(life, clock.now(), &*clock);
        let webhooks = payment.with_kind(PaymentKind::Telephone).webhooks(&*clock);
        let events: Vec<PaymentEvent> = webhooks.iter().map(|webhook| webhook.event).collect();
        assert_eq!(events, expected, "{life:?}");
    }
}
