use super::{
    BodyFraming::{Ambiguous, Plain},
    ConnectionVerdict::{Close, Keep, Refuse, Reset},
    *,
};

const FLUSH: Duration = Duration::from_secs(10);

fn framing_of(parts: &[&[u8]], headers: usize) -> Option<BodyFraming> {
    let watch = ConnectionWatch::new(FLUSH);
    for part in parts {
        watch.on_read(part).unwrap();
    }
    watch.begin(headers)
}

#[test]
fn a_framing_declared_twice_is_ambiguous_however_the_bytes_arrive() {
    let post = "POST /pay HTTP/1.1\r\n";
    let (length, chunked) = ("Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n");
    let lower = "content-length: 2\r\n";
    for (head, framing) in [
        (format!("{post}{length}\r\n{{}}"), Plain),
        (format!("{post}{chunked}\r\n0\r\n\r\n"), Plain),
        ("GET /hmrc HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Plain),
        (format!("{post}{length}{lower}\r\n{{}}"), Ambiguous),
        (
            format!("{post}transfer-encoding: chunked\r\n{length}\r\n"),
            Ambiguous,
        ),
        (format!("{post}{length}{chunked}\r\n"), Ambiguous),
        (format!("\r\n\r\n{post}{length}{lower}\r\n{{}}"), Ambiguous),
        (
            format!("{post}{length}{lower}\r\n{{}}").replace('\r', ""),
            Ambiguous,
        ),
    ] {
        assert_eq!(framing_of(&[head.as_bytes()], 1), Some(framing), "{head}");
        let bytes: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
        assert_eq!(framing_of(&bytes, 1), Some(framing), "byte by byte: {head}");
    }
}

#[test]
fn half_a_head_has_no_framing() {
    for half in [
        "oding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(framing_of(&[half.as_bytes()], 3), None, "{half}");
    }
}

#[test]
fn a_head_may_be_ten_kilobytes_long_and_no_longer() {
    let head = |length: usize| {
        let start = "GET /hmrc HTTP/1.1\r\nx: ";
        format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4)).into_bytes()
    };
    let watch = ConnectionWatch::new(FLUSH);
    assert!(watch.on_read(&head(LONGEST_HEAD)).is_ok());
    let watch = ConnectionWatch::new(FLUSH);
    assert!(watch.on_read(&head(LONGEST_HEAD + 1)).is_err() && watch.is_too_long());
    let watch = ConnectionWatch::new(FLUSH);
    let endless = vec![b'a'; 1000];
    assert!(
        (0..20).any(|_| watch.on_read(&endless).is_err()),
        "a head without an end is cut off"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_kept_longer_than_its_sender_keeps_it() {
    let at = |seconds| Instant::now() + Duration::from_secs(seconds);
    let watch = ConnectionWatch::new(FLUSH);
    let verdict = |seconds| watch.verdict(at(seconds));
    assert!(matches!(verdict(6), Close), "it never sent anything");
    watch.on_read(b"POST").unwrap();
    assert!(matches!(verdict(4), Keep));
    assert!(matches!(verdict(6), Refuse(Refusal::Slow)));
    watch.begin(0);
    watch.received();
    assert!(matches!(verdict(600), Keep), "it is being answered");
    watch.end(false);
    watch.on_flush();
    assert!(matches!(verdict(70), Keep));
    assert!(matches!(verdict(76), Close));
}

#[tokio::test(start_paused = true)]
async fn an_answer_stays_unread_for_ten_seconds_whatever_else_happens() {
    let watch = ConnectionWatch::new(FLUSH);
    for _ in 0..9 {
        watch.on_read(b"GET").unwrap();
        watch.begin(0);
        watch.end(true);
        assert!(matches!(watch.verdict(Instant::now()), Keep));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    watch.on_read(b"GET").unwrap();
    watch.begin(0);
    assert!(matches!(watch.verdict(Instant::now()), Reset));
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_has_shown_least_is_evicted_first() {
    let in_body = |watch: &ConnectionWatch| {
        watch.on_read(b"POST").unwrap();
        watch.begin(0);
    };
    let watch = || ConnectionWatch::new(FLUSH);
    let ended = |watch: &ConnectionWatch, proven| {
        in_body(watch);
        watch.end(proven);
    };
    let [silent, unread, first_head, idle] = std::array::from_fn(|_| watch());
    let [head, body, proven, busy] = std::array::from_fn(|_| watch());
    ended(&unread, true);
    first_head.on_read(b"POST").unwrap();
    for (watch, is_proven) in [(&idle, false), (&head, false), (&proven, true)] {
        ended(watch, is_proven);
        watch.on_flush();
    }
    head.on_read(b"POST").unwrap();
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
