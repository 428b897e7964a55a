//! The simulated sender and the real receiver share no code, and must agree.

use std::time::Duration;

use pillarbox::{
    domain::SourceName,
    secrets::Secret,
    senders::{Acceptance, SenderKind, SignatureError, SigningKey, read, verify},
};
use sender_simulator::Sender;
use url::Url;

use test_support::server::{FixedClock, NOW};

const SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

#[test]
fn everything_the_senders_send_is_proven_and_read() {
    let source = SourceName::new("played").unwrap();
    for sender in Sender::ALL {
        let kind = SenderKind::parse(sender.as_str()).unwrap();
        let key = SigningKey::new(kind, "1 env:SECRET", &Secret::new(SECRET.to_owned()));
        for event in sender.events() {
            let body = sender.body(Some(event), &FixedClock).unwrap();
            let request = sender.request(
                &body,
                SECRET,
                &Url::parse("http://localhost:8080/played").unwrap(),
            );
            let header =
                |(name, _): &&(String, String)| name.eq_ignore_ascii_case(kind.signature.header);
            let (_, signature) = request.headers.iter().find(header).unwrap();

            let prove = |bytes: Vec<u8>| {
                verify(
                    kind,
                    std::slice::from_ref(&key),
                    &[signature.as_bytes()],
                    bytes.into(),
                    NOW,
                )
            };
            let verified = prove(request.body.clone()).unwrap();
            let entry = read(&source, verified, NOW, Acceptance(Duration::from_secs(60)));
            assert_eq!(entry.held, None, "{event}");
            assert_eq!(entry.key.as_str(), format!("played:{}", request.id));
            assert_eq!(entry.event_at, Some(NOW));

            let fault = prove([&request.body[..], b" "].concat()).unwrap_err();
            assert_eq!(fault, SignatureError::Wrong, "{event}");
        }
    }
}
