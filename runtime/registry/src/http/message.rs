//! Requests and answers.

use std::io::Read;
use std::time::Instant;

use ureq::Body;
use ureq::http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::reach::Reach;
use crate::url::Url;

/// Content that can be sent again from its beginning.
pub(crate) type Opener<'a> = &'a dyn Fn() -> std::io::Result<Box<dyn Read + Send>>;

/// What is sent with a request.
pub(crate) enum Payload<'a> {
    None,
    Bytes(&'a [u8]),
    Content { size: u64, open: Opener<'a> },
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is small, and complete in the time that one has for an answer.
    Document,
    /// Its body is a blob of so many bytes: it may take as long as it flows.
    Stream { size: u64 },
    /// It comes when a blob that was sent has been looked at.
    Commit,
}

/// What is asked.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) payload: Payload<'a>,
    pub(crate) patience: Patience,
    pub(crate) follows: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            payload: Payload::None,
            patience: Patience::Document,
            follows: true,
        }
    }

    pub(crate) fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn payload(mut self, payload: Payload<'a>) -> Self {
        self.payload = payload;
        self
    }
}

/// What came back, its body yet to be read.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Who answered, after redirects.
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// A blob was asked for.
    pub(super) streams: bool,
    /// When a document must be complete.
    pub(super) until: Instant,
    /// How near those are who took part in the answer.
    pub(crate) reach: Reach,
}

impl Answer {
    /// A header's value, if it is there and is text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}
