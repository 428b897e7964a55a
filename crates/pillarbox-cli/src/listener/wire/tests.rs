use super::*;

const FLUSH: Duration = Duration::from_secs(10);

fn seen(parts: &[&[u8]], headers: usize) -> Option<BodyFraming> {
    let watch = ConnectionWatch::new(FLUSH);
    for part in parts {
        watch.saw(part).unwrap();
    }
    watch.begin(headers)
}

#[test]
fn a_framing_is_ambiguous_when_it_is_said_twice_however_the_bytes_arrive() {
    for (head, framing) in [
        (
            "POST /pay HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
            BodyFraming::Plain,
        ),
        (
            "POST /pay HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            BodyFraming::Plain,
        ),
        ("GET /hmrc HTTP/1.1\r\nHost: x\r\n\r\n", BodyFraming::Plain),
        (
            "POST /pay HTTP/1.1\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n{}",
            BodyFraming::Ambiguous,
        ),
        (
            "POST /pay HTTP/1.1\r\ntransfer-encoding: chunked\r\nContent-Length: 2\r\n\r\n",
            BodyFraming::Ambiguous,
        ),
        (
            "POST /pay HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            BodyFraming::Ambiguous,
        ),
        (
            "\r\n\r\nPOST /pay HTTP/1.1\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n{}",
            BodyFraming::Ambiguous,
        ),
        (
            "POST /pay HTTP/1.1\nContent-Length: 2\ncontent-length: 2\n\n{}",
            BodyFraming::Ambiguous,
        ),
    ] {
        assert_eq!(seen(&[head.as_bytes()], 1), Some(framing), "{head}");
        let bytes: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
        assert_eq!(seen(&bytes, 1), Some(framing), "byte by byte: {head}");
    }
}

#[test]
fn half_a_head_is_not_taken_for_a_head() {
    for half in [
        "oding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(seen(&[half.as_bytes()], 3), None, "{half}");
    }
}

#[test]
fn a_head_may_be_ten_kilobytes_long_and_no_longer() {
    let head = |length: usize| {
        let start = "GET /hmrc HTTP/1.1\r\nx: ";
        format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4)).into_bytes()
    };
    let watch = ConnectionWatch::new(FLUSH);
    assert!(watch.saw(&head(LONGEST_HEAD)).is_ok());
    let watch = ConnectionWatch::new(FLUSH);
    assert!(watch.saw(&head(LONGEST_HEAD + 1)).is_err() && watch.is_too_long());
    let watch = ConnectionWatch::new(FLUSH);
    let endless = vec![b'a'; 1000];
    assert!(
        (0..20).any(|_| watch.saw(&endless).is_err()),
        "a head without an end is cut off"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_kept_longer_than_its_sender_keeps_it() {
    let at = |seconds| Instant::now() + Duration::from_secs(seconds);
    let watch = ConnectionWatch::new(FLUSH);
    let verdict = |seconds| watch.verdict(at(seconds));
    assert!(
        matches!(verdict(6), ConnectionVerdict::Close),
        "it never sent anything"
    );
    watch.saw(b"POST").unwrap();
    assert!(matches!(verdict(4), ConnectionVerdict::Keep));
    assert!(matches!(
        verdict(6),
        ConnectionVerdict::Refuse(Refusal::Slow)
    ));
    watch.begin(0);
    watch.received();
    assert!(
        matches!(verdict(600), ConnectionVerdict::Keep),
        "it is being answered"
    );
    watch.end(false);
    watch.flushed();
    assert!(matches!(verdict(70), ConnectionVerdict::Keep));
    assert!(matches!(verdict(76), ConnectionVerdict::Close));
}

#[tokio::test(start_paused = true)]
async fn an_answer_stays_unread_for_ten_seconds_whatever_else_happens() {
    let watch = ConnectionWatch::new(FLUSH);
    for _ in 0..9 {
        watch.saw(b"GET").unwrap();
        watch.begin(0);
        watch.end(true);
        assert!(matches!(
            watch.verdict(Instant::now()),
            ConnectionVerdict::Keep
        ));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    watch.saw(b"GET").unwrap();
    watch.begin(0);
    assert!(matches!(
        watch.verdict(Instant::now()),
        ConnectionVerdict::Reset
    ));
}

#[tokio::test(start_paused = true)]
async fn what_has_shown_least_makes_room_first() {
    let in_body = |watch: &ConnectionWatch| {
        watch.saw(b"POST").unwrap();
        watch.begin(0);
    };
    let watch = || ConnectionWatch::new(FLUSH);
    let ended = |watch: &ConnectionWatch, proven| {
        in_body(watch);
        watch.end(proven);
    };
    let (silent, unread, first_head, idle, head, body, proven, busy) = (
        watch(),
        watch(),
        watch(),
        watch(),
        watch(),
        watch(),
        watch(),
        watch(),
    );
    ended(&unread, true);
    first_head.saw(b"POST").unwrap();
    for (watch, is_proven) in [(&idle, false), (&head, false), (&proven, true)] {
        ended(watch, is_proven);
        watch.flushed();
    }
    head.saw(b"POST").unwrap();
    in_body(&body);
    in_body(&busy);
    busy.received();
    let now = Instant::now() + SLOW_READER;
    let order = [&silent, &unread, &first_head, &idle, &head, &body, &proven];
    let order = order.map(|watch| watch.eviction_rank(now).unwrap().0);
    assert!(
        order.is_sorted() && order[0] == EvictionRank::Silent,
        "{order:?}"
    );
    assert_eq!(
        busy.eviction_rank(now),
        None,
        "a request that is being stored is not cut off"
    );
}
