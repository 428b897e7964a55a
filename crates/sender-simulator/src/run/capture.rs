//! Requests and answers as files: kept of one run, posted again in another.
//!
//! Each exchange is `000001-{id}.request` and, if there was one, `000001-{id}.answer`: the first line,
//! the headers and the bytes as they went over the wire (of an answer the first 64 KiB, freed from
//! chunks). The files hold signatures, which stay valid for as long as the key does.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::Exchanged;
use crate::{Answer, Request, Sender};

/// A request that somebody kept.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The request, addressed to where it went then.
    pub request: Request,
}

/// A capture that can't be used; says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The system can't read it.
    #[error("{path} can't be read: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no request.
    #[error("{0} is not a request as --record keeps them: take it out of the folder")]
    NotARequest(PathBuf),
    /// There is none.
    #[error("{0} holds no .request file: name a folder that --record has filled")]
    Nothing(PathBuf),
}

/// A folder that exchanges are kept in.
#[derive(Clone, Debug)]
pub struct Recorder(PathBuf);

impl Recorder {
    /// Makes the folder if there is none. One that holds requests already is refused: two runs would
    /// mix.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        if requests(folder)?.is_empty() {
            return Ok(Self(folder.to_owned()));
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it holds the requests of an earlier run; name another folder",
        ))
    }

    /// Keeps one exchange.
    pub fn keep(&self, exchanged: &Exchanged<'_>) -> io::Result<()> {
        let Exchanged {
            number,
            sender,
            request,
            url,
            ..
        } = exchanged;
        let stem = format!("{number:06}-{}-{}", sender.as_str(), file_name(&request.id));
        let path = url.query().map_or_else(
            || url.path().to_owned(),
            |query| format!("{}?{query}", url.path()),
        );
        fs::write(
            self.0.join(format!("{stem}.request")),
            request_bytes(request, &path),
        )?;
        match exchanged.answer {
            Some(answer) => fs::write(self.0.join(format!("{stem}.answer")), answer_bytes(answer)),
            None => Ok(()),
        }
    }
}

/// Reads what a [`Recorder`] kept of `sender`'s posts, in the order they went out; each id once.
pub fn read(folder: &Path, sender: Sender) -> Result<Vec<Capture>, CaptureError> {
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
        if signer == Some(sender) && known.insert(bytes) {
            captures.push(capture);
        }
    }
    if captures.is_empty() {
        Err(CaptureError::Nothing(folder.to_owned()))
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

fn request_bytes(request: &Request, path: &str) -> Vec<u8> {
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

fn answer_bytes(answer: &Answer) -> Vec<u8> {
    [
        head(&format!("HTTP/1.1 {}", answer.status), &answer.headers).as_bytes(),
        &answer.body,
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

/// A POST and who signed it; a GET carries nothing worth posting again.
fn parse(bytes: &[u8]) -> Option<(Option<Sender>, Capture)> {
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
    let headers: Vec<(String, String)> = headers.collect::<Option<_>>()?;
    let body = bytes[length..].to_vec();
    let has = |wanted: &str| {
        headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    let signer = match head.method? {
        "POST" if has("pay-signature") => Some(Sender::GovukPay),
        "POST" if has("x-hub-signature") => Some(Sender::Hmrc),
        _ => None,
    };
    let id = id(&body);
    Some((
        signer,
        Capture {
            request: Request {
                method: "POST",
                headers,
                body,
                id,
            },
        },
    ))
}

/// The message's own id; a body without one is posted all the same.
fn id(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = value
        .get("notificationId")
        .or_else(|| value.get("webhook_message_id"));
    id.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What of an id can stand in a file's name.
fn file_name(id: &str) -> String {
    id.chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .take(64)
        .collect()
}
