//! The platform's id and trace of the invocation that makes a delivery.
//!
//! Both are sent with an event but not in its body, which is a pure function of its row: as headers
//! to an endpoint, and as the trace header that SQS and EventBridge document. They are a task-local
//! value of the task that delivers, so a destination that does not use them needs no code for them.
//! Only values from the platform are sent, after they were parsed. On a platform without
//! invocations there are none, and nothing is sent.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

tokio::task_local! {
    static CURRENT: Option<Arc<DeliveryTrace>>;
}

/// The request id and the trace of an invocation that delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryTrace {
    request_id: String,
    parent: Option<TraceParent>,
}

/// A position in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TraceParent {
    /// The time of the trace, 8 hex digits.
    epoch: String,
    /// The rest of the trace's id, 24 hex digits.
    unique: String,
    /// The caller's segment, 16 hex digits.
    parent: String,
    is_sampled: bool,
}

impl DeliveryTrace {
    /// The trace of the invocation `request_id`, with its trace header
    /// `Root=1-…;Parent=…;Sampled=1`. A header in another form is ignored.
    pub fn new(request_id: &str, trace_header: Option<&str>) -> Self {
        Self {
            request_id: request_id.to_owned(),
            parent: trace_header.and_then(TraceParent::parse),
        }
    }

    /// The platform's id of the invocation.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The position in the trace in the W3C format, for the header `traceparent`; `None` if the
    /// platform sent no trace.
    pub fn traceparent(&self) -> Option<String> {
        let at = self.parent.as_ref()?;
        let flags = u8::from(at.is_sampled);
        Some(format!(
            "00-{}{}-{}-{flags:02}",
            at.epoch, at.unique, at.parent
        ))
    }

    /// The position in the trace in the AWS format.
    pub(super) fn aws_header(&self) -> Option<String> {
        let at = self.parent.as_ref()?;
        let root = format!("Root=1-{}-{}", at.epoch, at.unique);
        let sampled = u8::from(at.is_sampled);
        Some(format!("{root};Parent={};Sampled={sampled}", at.parent))
    }

    /// The trace of the calling task; `None` outside a delivery, and on a platform without
    /// invocations.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Clone::clone).ok().flatten()
    }

    /// Runs `work` as part of `trace`.
    pub(crate) async fn scope<T>(trace: Option<Arc<Self>>, work: impl Future<Output = T>) -> T {
        CURRENT.scope(trace, work).await
    }

    /// The headers of a request to an endpoint.
    pub(super) fn current_headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some(trace) = Self::current() else {
            return headers;
        };
        for (name, value) in [
            ("x-request-id", Some(trace.request_id.clone())),
            ("traceparent", trace.traceparent()),
        ] {
            let value = value.and_then(|value| HeaderValue::try_from(value).ok());
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers
    }
}

impl TraceParent {
    fn parse(header: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut fields = header.split(';');
            fields.find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let (epoch, unique) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        Some(Self {
            epoch: hex_digits(epoch, 8)?,
            unique: hex_digits(unique, 24)?,
            parent: hex_digits(field("Parent")?, 16)?,
            is_sampled: field("Sampled") == Some("1"),
        })
    }
}

/// `length` hex digits that are not all zero, in lower case, as the W3C format requires.
fn hex_digits(text: &str, length: usize) -> Option<String> {
    let is_hex = text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_id = is_hex && text.bytes().any(|byte| byte != b'0');
    is_id.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_header_of_the_platform_is_sent_in_both_formats_and_any_other_is_ignored() {
        let root = "Root=1-5759e988-bd862e3fe1be46a994272793";
        let whole = format!("{root};Parent=53995c3f42cd8ad8");
        let w3c = |flags: &str| {
            Some(format!(
                "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-{flags}"
            ))
        };
        for (header, traceparent) in [
            (format!("{whole};Sampled=1"), w3c("01")),
            (format!("{whole};Sampled=0"), w3c("00")),
            (format!("{whole};Sampled=?"), w3c("00")),
            (whole.clone(), w3c("00")),
            (
                format!("Self=1-1-1; {whole};Sampled=1;Lineage=1:a:0"),
                w3c("01"),
            ),
            (
                whole
                    .to_ascii_uppercase()
                    .replace("ROOT", "Root")
                    .replace("PARENT", "Parent"),
                w3c("00"),
            ),
            (root.to_owned(), None),
            (format!("{root};Parent=0000000000000000"), None),
            (format!("{root};Parent=53995c3f42cd8ad"), None),
            (whole.replace("Root=1", "Root=2"), None),
            (whole.replace("5759e988", "5759e98x"), None),
            (format!("{whole}\r\nx-evil: 1"), None),
            (String::new(), None),
        ] {
            let trace = DeliveryTrace::new("r1", Some(&header));
            assert_eq!(trace.traceparent(), traceparent, "{header}");
            assert_eq!(trace.aws_header().is_some(), traceparent.is_some());
        }
        let sampled = DeliveryTrace::new("r1", Some(&format!("{whole};Sampled=1")));
        assert_eq!(sampled.aws_header(), Some(format!("{whole};Sampled=1")));
        assert_eq!(DeliveryTrace::new("r1", None).traceparent(), None);
    }

    #[tokio::test]
    async fn headers_are_sent_only_within_an_invocation() {
        assert_eq!(DeliveryTrace::current_headers(), HeaderMap::new());
        let trace = Some(Arc::new(DeliveryTrace::new("r1", None)));
        let headers = DeliveryTrace::scope(trace, async { DeliveryTrace::current_headers() });
        let headers = headers.await;
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-request-id"], "r1");
        let hostile = Some(Arc::new(DeliveryTrace::new("r1\r\nx: y", None)));
        let headers = DeliveryTrace::scope(hostile, async { DeliveryTrace::current_headers() });
        assert_eq!(headers.await, HeaderMap::new());
    }
}
