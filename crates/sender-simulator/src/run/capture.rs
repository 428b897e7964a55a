//! Requests and responses as files: recorded in one run, replayed in another.
//!
//! Each exchange is a file `000001-{sender}-{id}.request` and, if there was a response,
//! `000001-{sender}-{id}.answer`. A file contains the first line, the headers and the body, as
//! sent. Of a response it contains at most 64 KiB, without chunk framing. The files contain
//! signatures, which are valid as long as the key.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::ExchangeRecord;
use crate::{ReceiverResponse, Sender, SenderRequest, target::path_and_query};

/// A recorded request.
#[derive(Clone, Debug)]
pub struct CapturedRequest {
    /// The request, with its original host.
    pub request: SenderRequest,
}

/// Recorded requests cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// A file or folder cannot be read.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// A file is not a request.
    #[error("{0} is not a request in the format of --record: remove it from the folder")]
    NotARequest(PathBuf),
    /// The folder has no requests of this sender.
    #[error("{0} contains no .request file of this sender: name a folder that --record wrote")]
    Empty(PathBuf),
}

/// Writes exchanges to a folder.
#[derive(Clone, Debug)]
pub struct ExchangeRecorder(PathBuf);

impl ExchangeRecorder {
    /// Creates the folder if it does not exist. Refuses a folder with requests, so that two runs
    /// are not mixed.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        if requests(folder)?.is_empty() {
            return Ok(Self(folder.to_owned()));
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it contains the requests of an earlier run; name another folder",
        ))
    }

    /// Writes one exchange.
    pub fn record(&self, exchanged: &ExchangeRecord<'_>) -> io::Result<()> {
        let ExchangeRecord {
            number,
            sender,
            request,
            url,
            ..
        } = exchanged;
        let stem = format!("{number:06}-{}-{}", sender.as_str(), file_name(&request.id));
        let path = path_and_query(url);
        fs::write(
            self.0.join(format!("{stem}.request")),
            request_bytes(request, &path),
        )?;
        match exchanged.response {
            Some(response) => fs::write(
                self.0.join(format!("{stem}.answer")),
                response_bytes(response),
            ),
            None => Ok(()),
        }
    }
}

/// Reads the requests of `sender` that an [`ExchangeRecorder`] wrote, in their order and without
/// repeats.
pub fn read_captures(folder: &Path, sender: Sender) -> Result<Vec<CapturedRequest>, CaptureError> {
    let mut paths = requests(folder).map_err(|error| CaptureError::Io {
        path: folder.to_owned(),
        error,
    })?;
    paths.sort();
    let (mut captures, mut known) = (Vec::new(), HashSet::new());
    for path in paths {
        let bytes = fs::read(&path).map_err(|error| CaptureError::Io {
            path: path.clone(),
            error,
        })?;
        let (signer, capture) = parse(&bytes).ok_or(CaptureError::NotARequest(path))?;
        if signer == Some(sender) && known.insert(request_bytes(&capture.request, "")) {
            captures.push(capture);
        }
    }
    if captures.is_empty() {
        Err(CaptureError::Empty(folder.to_owned()))
    } else {
        Ok(captures)
    }
}

fn requests(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    Ok(paths
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "request")
        })
        .collect())
}

fn request_bytes(request: &SenderRequest, path: &str) -> Vec<u8> {
    [
        head(
            &format!("{} {path} HTTP/1.1", request.method),
            &request.headers,
        )
        .as_bytes(),
        &request.body,
    ]
    .concat()
}

fn response_bytes(response: &ReceiverResponse) -> Vec<u8> {
    [
        head(&format!("HTTP/1.1 {}", response.status), &response.headers).as_bytes(),
        &response.body,
    ]
    .concat()
}

fn head(first: &str, headers: &[(String, String)]) -> String {
    let lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("{first}\r\n{}\r\n", lines.concat())
}

/// A request and its sender. `None` for a GET, which is not replayed.
fn parse(bytes: &[u8]) -> Option<(Option<Sender>, CapturedRequest)> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes).ok()? else {
        return None;
    };
    let headers = head.headers.iter().map(|header| {
        Some((
            header.name.to_owned(),
            std::str::from_utf8(header.value).ok()?.to_owned(),
        ))
    });
    let mut headers: Vec<(String, String)> = headers.collect::<Option<_>>()?;
    // A cookie belongs to the run that got it.
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
    let body = bytes[length..].to_vec();
    let is_captured = |wanted: &str| {
        headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    let signer = Sender::ALL
        .into_iter()
        .find(|sender| is_captured(sender.signature_header()));
    let signer = signer.filter(|_| head.method == Some("POST"));
    let id = signer
        .map(|signer| message_id(signer, &body))
        .unwrap_or_default();
    Some((
        signer,
        CapturedRequest {
            request: SenderRequest {
                method: "POST",
                headers,
                body,
                id,
            },
        },
    ))
}

/// The message's id, or an empty text.
fn message_id(sender: Sender, body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    value
        .get(sender.id_field())
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The characters of an id that are allowed in a file name.
fn file_name(id: &str) -> String {
    id.chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .take(64)
        .collect()
}
