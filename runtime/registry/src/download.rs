//! Content from an URL that a person named: `import https://…`. No credentials go there.

use std::io::Read;

use sandbox_image::RemoteError;

use crate::client::Client;
use crate::failure::{Failure, Result};
use crate::http::body::BlobReader;
use crate::http::{Patience, Request};
use crate::text::printable;
use crate::url::Url;

/// Bytes that a root file system may have, as far as patience is concerned.
const LARGEST: u64 = 128 << 30;

impl Client {
    /// What `url` leads to, as it comes. Its length is the reader's to bound.
    pub fn download(&self, url: &str) -> std::result::Result<Box<dyn Read + Send>, RemoteError> {
        let action = || format!("download {}", printable(url, 1000));
        self.fetch(url).map_err(|failure| failure.while_trying(action()).into())
    }

    fn fetch(&self, url: &str) -> Result<Box<dyn Read + Send>> {
        let url = Url::parse(url).map_err(|error| Failure::refused(error.to_string()))?;
        let request = Request { patience: Patience::Stream { size: LARGEST }, ..Request::get(url) };
        let answer = self.http.ask(&request, None, None)?;
        if answer.status != 200 {
            return Err(answer.into_failure());
        }
        Ok(match answer.length() {
            Some(length) => {
                Box::new(BlobReader::new(answer.url.origin, answer.body, length, self.http.idle()))
            }
            None => Box::new(answer.body.into_reader()),
        })
    }
}
