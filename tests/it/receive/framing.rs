//! Where a request begins and ends: what could be read in two ways is refused, the rest is read in
//! one.

use test_support::{
    client::HttpConnection,
    message::{both, hmrc, pay},
    request::{RawRequest, signature_header},
    server::{NOW, Server},
};

const RECORDED: &str = r#"{"status":"recorded"}"#;

/// A genuine body in one chunk, with `framing` in place of its framing header.
fn framed(framing: &str) -> (RawRequest, Vec<u8>, usize) {
    let body = pay().message("n1", NOW);
    let request = RawRequest::post(&pay(), &body);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let head = request.head(&framing.replace("LENGTH", &body.len().to_string()));
    (request, [head, chunks.into_bytes()].concat(), body.len())
}

const LENGTH_TWICE: &str = "Content-Length: LENGTH\r\nContent-Length: LENGTH\r\n";

/// Heads that frame the body twice, or in an unknown way. `LENGTH` is that of the signed body.
const AMBIGUOUS: [&str; 16] = [
    "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: LENGTH\r\n",
    "transfer-encoding: chunked\r\nX: y\r\ncontent-length: 0\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    LENGTH_TWICE,
    "Content-Length: LENGTH\r\nContent-Length: 1\r\n",
    "Content-Length: 1\r\ncontent-length: LENGTH\r\n",
    "Content-Length: LENGTH, LENGTH\r\n",
    "Content-Length: +LENGTH\r\n",
    "Content-Length: 0xff\r\n",
    "Content-Length: 99999999999999999999999\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding:\x0bchunked\r\n",
];

#[tokio::test]
async fn a_body_that_is_framed_twice_is_refused() {
    let server = Server::start().await;
    for framing in AMBIGUOUS {
        let (_, bytes, _) = framed(framing);
        let mut client = server.client().await;
        assert_eq!(client.send(&bytes).await.status, 400, "{framing}");
        client.is_closed().await;

        // The library reads past empty lines, and takes a lone newline for the end of a line.
        for (what, bytes) in [
            ("behind empty lines", [b"\r\n\r\n", &bytes[..]].concat()),
            ("behind an empty line", [b"\n", &bytes[..]].concat()),
            (
                "with short line ends",
                String::from_utf8(bytes.clone())
                    .unwrap()
                    .replacen("\r\n", "\n", 30)
                    .into_bytes(),
            ),
        ] {
            assert_eq!(server.send(&bytes).await.status, 400, "{what}: {framing}");
        }
    }
    assert!(server.keys().await.is_empty());
}

/// The second request is refused, although its beginning comes with the first.
async fn refuses_second(
    server: &Server,
    first: &[u8],
    (beginning, rest): (&[u8], &[u8]),
    what: &str,
) {
    let mut client = server.client().await;
    let answer = client.send([first, beginning].concat()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(client.send(rest).await.status, 400, "{what}");
}

#[tokio::test]
async fn a_body_that_is_framed_twice_is_refused_behind_another_request_too() {
    let server = Server::start().await;
    let first = RawRequest::new("GET", "/hmrc?challenge=abc").bytes();
    // The same length twice is unambiguous, and is refused only if it is seen.
    for framing in AMBIGUOUS
        .into_iter()
        .filter(|framing| *framing != LENGTH_TWICE)
    {
        let (request, second, _) = framed(framing);
        let head = request.head(framing).len();
        // The first bytes of the second request arrive with the first request.
        for along in (0..head + 8).step_by(5).chain([second.len()]) {
            let what = format!("{along} bytes of {framing}");
            refuses_second(&server, &first, second.split_at(along), &what).await;
        }
    }
    let disguise = "X: GET / HTTP/1.1\r\nContent-Length: 1\r\nY: GET / \
     HTTP/1.1\r\nTransfer-Encoding: chunked\r\n";
    let (_, second, _) = framed(disguise);
    let text = String::from_utf8(second.clone()).unwrap();
    for (along, _) in text.match_indices("GET /") {
        let what = "a head that begins inside a header";
        refuses_second(&server, &first, second.split_at(along), what).await;
    }
    assert!(server.keys().await.is_empty());
}

#[tokio::test]
async fn the_same_bytes_get_the_same_verdict_however_they_are_framed() {
    let server = Server::start().await;
    for source in both() {
        let forms: [fn(&RawRequest, &str) -> Vec<u8>; 7] = [
            |request, _| request.bytes(),
            |request, _| request.chunked(1),
            |request, _| request.chunked(7),
            |request, _| request.chunked(1 << 20),
            |request, path| {
                request
                    .clone()
                    .line(&format!("POST {path} HTTP/1.0"))
                    .bytes()
            },
            |request, _| [b"\r\n\r\n", &request.bytes()[..]].concat(),
            |request, _| {
                // Extensions and trailers are the framing's own, and none of our business.
                let chunked = String::from_utf8(request.chunked(100)).unwrap();
                let (head, body) = chunked.split_once("\r\n\r\n").unwrap();
                let body = body.replacen("64\r\n", "64;name=\"value\"\r\n", 1);
                format!(
                    "{head}\r\n\r\n{}X-Trailer: yes\r\n\r\n",
                    body.strip_suffix("\r\n").unwrap()
                )
                .into_bytes()
            },
        ];
        for (index, form) in forms.iter().enumerate() {
            let (id, path) = (format!("n{index}"), source.path());
            let body = source.message(&id, NOW);
            let genuine = RawRequest::post(&source, &body);
            let forged = RawRequest::unsigned(&source, &body)
                .header(signature_header(source.sender), source.sign("another body"));
            assert_eq!(
                server.send(&form(&forged, &path)).await.status,
                401,
                "form {index}"
            );
            assert_eq!(
                server.send(&form(&genuine, &path)).await.body,
                RECORDED,
                "form {index}"
            );
            server
                .has(&source, &body, "recorded", &format!("{}:{id}", source.name))
                .await;
        }
    }
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let server = Server::start().await;
    for source in both() {
        for (id, chunked) in [("n1", false), ("n2", true)] {
            let body = source.message(id, NOW);
            let request = RawRequest::post(&source, &body);
            let mut client = server.client().await;
            for byte in if chunked {
                request.chunked(50)
            } else {
                request.bytes()
            } {
                client.write([byte]).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(client.answer().await.unwrap().body, RECORDED);
            server
                .has(&source, &body, "recorded", &format!("{}:{id}", source.name))
                .await;
        }
    }
}

#[tokio::test]
async fn a_chunked_body_of_another_form_is_refused() {
    let server = Server::start().await;
    let body = pay().message("n1", NOW);
    let head = RawRequest::post(&pay(), &body).head("Transfer-Encoding: chunked\r\n");
    let size = format!("{:x}", body.len());
    for chunks in [
        format!("-{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("+{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("0x{size}\r\n{body}\r\n0\r\n\r\n"),
        format!("\r\n{body}\r\n0\r\n\r\n"),
        format!("fffffffffffffffff\r\n{body}\r\n0\r\n\r\n"),
        format!("{size}\r\n{body}0\r\n\r\n"),
        format!("{size}\r\n{body}xx0\r\n\r\n"),
        format!("{size}\r\n{body}\r\nz\r\n\r\n"),
    ] {
        assert_eq!(
            server
                .send(&[&head, chunks.as_bytes()].concat())
                .await
                .status,
            400,
            "{}",
            &chunks[..20]
        );
    }
    let old = RawRequest::post(&pay(), &body).line("POST /pay HTTP/1.0");
    assert_eq!(
        server.send(&old.chunked(100)).await.status,
        400,
        "HTTP/1.0 knows no chunks"
    );
    let both = old.head(&format!(
        "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
        body.len()
    ));
    assert_eq!(
        server.send(&[&both, body.as_bytes()].concat()).await.status,
        400
    );

    // A signature behind the body is none.
    let unsigned = RawRequest::unsigned(&pay(), &body)
        .header("Trailer", "Pay-Signature")
        .chunked(100);
    let trailer = format!("Pay-Signature: {}\r\n\r\n", pay().sign(&body)).into_bytes();
    let signed_behind = [&unsigned[..unsigned.len() - 2], &trailer].concat();
    assert_eq!(server.send(&signed_behind).await.status, 401);
    assert!(server.keys().await.is_empty());
}

#[tokio::test]
async fn what_breaks_off_is_not_taken_for_whole_even_if_that_part_was_signed() {
    let server = Server::start().await;
    let body = pay().message("n1", NOW);
    let request = RawRequest::post(&pay(), &body);
    let chunked = request.chunked(body.len());
    for (what, bytes) in [
        (
            "a body shorter than its length",
            [
                request.head("Content-Length: 5000\r\n"),
                body.clone().into(),
            ]
            .concat(),
        ),
        (
            "chunks without the last one",
            chunked[..chunked.len() - 5].to_vec(),
        ),
        (
            "the last chunk without its end",
            chunked[..chunked.len() - 1].to_vec(),
        ),
        (
            "half a body",
            request.bytes()[..request.bytes().len() - 100].to_vec(),
        ),
    ] {
        let mut client = server.client().await;
        client.write(&bytes).await;
        client.finish().await;
        let answer = client.answer().await;
        assert!(answer.is_none_or(|answer| answer.status == 400), "{what}");
        // Also if the client has disconnected.
        let mut client = server.client().await;
        client.write(&bytes).await;
        drop(client);
    }
    let mut client = server.client().await;
    client.write(&request.bytes()[..100]).await;
    client.finish().await;
    let answer = client.answer().await;
    assert!(
        answer.is_none_or(|answer| answer.status == 400),
        "half a head"
    );
    assert!(server.keys().await.is_empty());
    assert_eq!(
        server.send(&request.bytes()).await.body,
        RECORDED,
        "the sender's next attempt"
    );
}

#[tokio::test]
async fn a_head_of_another_form_is_refused() {
    let server = Server::start().await;
    let body = pay().message("n1", NOW);
    let request = RawRequest::post(&pay(), &body);
    let length = format!("Content-Length: {}\r\n", body.len());
    for header in [
        "X: a\x00b",
        "X: a\x01b",
        "X: a\x0bb",
        "X: a\x1b[31mb",
        "X: a\x7fb",
        "X: a\rb",
        "X : a",
        " X: a",
        "X: a\r\n folded",
        "X: a\r\n\tfolded",
        "no colon",
        ": no name",
        "X\x00: a",
        "X y: a",
        "Xé: a",
    ] {
        let head = request.head(&format!("{header}\r\n{length}"));
        assert_eq!(
            server.send(&[&head, body.as_bytes()].concat()).await.status,
            400,
            "{header:?}"
        );
    }
    for line in [
        "POST /pay",
        "POST /pay HTTP/1.2",
        "POST /pay HTTP/2.0",
        "POST /pay http/1.1",
        "POST  /pay HTTP/1.1",
        "POST /p ay HTTP/1.1",
        "POST /pay\x00 HTTP/1.1",
        "P\x01OST /pay HTTP/1.1",
        " POST /pay HTTP/1.1",
        "\x16\x03\x01\x02\x00\x01\x00\x01",
        "hello",
    ] {
        assert_eq!(
            server
                .send(&request.clone().line(line).bytes())
                .await
                .status,
            400,
            "{line:?}"
        );
    }
    assert!(server.keys().await.is_empty());
}

#[tokio::test]
async fn a_head_may_be_ten_kilobytes_long_and_no_longer() {
    let server = Server::start().await;
    let body = pay().message("n1", NOW);
    let request = RawRequest::post(&pay(), &body);
    let length = format!("Content-Length: {}\r\n", body.len());
    let padded = |total: usize| {
        let room = total - request.head(&length).len() - "X: \r\n".len();
        let head = request.head(&format!("X: {}\r\n{length}", "a".repeat(room)));
        assert_eq!(head.len(), total);
        [head, body.clone().into_bytes()].concat()
    };
    let many = |count: usize| {
        let headers: String = (0..count).map(|n| format!("x-{n}: a\r\n")).collect();
        [
            request.head(&format!("{headers}{length}")),
            body.clone().into_bytes(),
        ]
        .concat()
    };
    for (what, bytes) in [
        ("a byte over", padded(10_241)),
        ("a lot over", padded(60_000)),
        ("a megabyte", padded(1_000_000)),
        (
            "a long target",
            request
                .clone()
                .line(&format!("POST /pay?{} HTTP/1.1", "a".repeat(70_000)))
                .bytes(),
        ),
        (
            "behind empty lines",
            [b"\r\n\r\n", &padded(10_500)[..]].concat(),
        ),
        ("200 headers", many(200)),
        ("1,000 headers", many(1_000)),
    ] {
        let mut client = server.client().await;
        assert_eq!(client.send(bytes).await.status, 431, "{what}");
        client.is_closed().await;
    }
    assert!(server.keys().await.is_empty());
    assert_eq!(server.send(&padded(10_240)).await.body, RECORDED);
    assert_eq!(server.send(&many(90)).await.status, 200);
}

#[tokio::test]
async fn one_connection_carries_request_after_request() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for round in 0..3 {
        for source in both() {
            let body = source.message(&format!("n{round}"), NOW);
            assert_eq!(
                client
                    .send(RawRequest::post(&source, &body).bytes())
                    .await
                    .body,
                RECORDED
            );
            assert_eq!(
                client
                    .send(RawRequest::post(&source, &body).chunked(40))
                    .await
                    .status,
                200
            );
            assert_eq!(
                client
                    .send(RawRequest::unsigned(&source, &body).bytes())
                    .await
                    .status,
                401
            );
            assert_eq!(
                client
                    .send(
                        RawRequest::unsigned(&source, &body)
                            .line("POST /no HTTP/1.1")
                            .bytes()
                    )
                    .await
                    .status,
                404
            );
            assert_eq!(
                client
                    .send(RawRequest::new("GET", &source.path()).bytes())
                    .await
                    .status,
                400
            );
            assert_eq!(
                client
                    .send(RawRequest::new("HEAD", &source.path()).bytes())
                    .await
                    .status,
                405
            );
            let challenge = RawRequest::new("GET", "/hmrc?challenge=abc")
                .body("with a body, which says nothing")
                .bytes();
            assert_eq!(client.send(challenge).await.body, r#"{"challenge":"abc"}"#);
        }
    }
    // Pipelined requests are answered in order.
    let posts: Vec<Vec<u8>> = (0..20)
        .map(|n| RawRequest::post(&hmrc(), hmrc().message(&format!("p{n}"), NOW)).bytes())
        .collect();
    client.write(posts.concat()).await;
    client
        .write(RawRequest::new("GET", "/hmrc?challenge=last").bytes())
        .await;
    for _ in &posts {
        assert_eq!(client.answer().await.unwrap().body, RECORDED);
    }
    assert_eq!(
        client.answer().await.unwrap().body,
        r#"{"challenge":"last"}"#
    );
    assert_eq!(server.keys().await.len(), 6 + 20);

    let closing = RawRequest::new("GET", "/hmrc?challenge=abc")
        .header("Connection", "close")
        .bytes();
    assert_eq!(client.send(closing).await.status, 200);
    client.is_closed().await;
}

#[tokio::test]
async fn bytes_that_are_not_http_get_at_most_a_refusal() {
    let server = Server::start().await;
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"[..],
        b"\x00",
        b"\xff\xff\xff\xff\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"\n",
        b"",
        b"GET",
    ] {
        let mut client = HttpConnection::connect(server.address).await;
        client.write(bytes).await;
        client.finish().await;
        assert!(
            client
                .answer()
                .await
                .is_none_or(|answer| answer.status == 400),
            "{bytes:?}"
        );
    }
}
