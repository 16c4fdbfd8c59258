//! TLS below ureq: its own connector takes authorities per process, this one per host, and says why a handshake failed.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("{0}")]
    Tls(#[source] rustls::Error),
    #[error("{0}")]
    Connection(#[source] std::io::Error),
    #[error("is called {0:?}, which no certificate can be for")]
    Name(String),
}

/// Puts TLS on top of connections that need it.
#[derive(Debug)]
pub(super) struct TlsConnector {
    pub(super) config: Option<Arc<ClientConfig>>,
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        below: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(below) = below else { return Ok(None) };
        let Some(config) = self.config.as_ref().filter(|_| details.needs_tls() && !below.is_tls()) else {
            return Ok(Some(Either::A(below)));
        };
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| failed(HandshakeError::Name(host.to_owned())))?;
        let mut connection = ClientConnection::new(config.clone(), name)
            .map_err(|error| failed(HandshakeError::Tls(error)))?;
        let mut socket = TransportAdapter::new(below.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket).map_err(handshake_error)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        let stream = StreamOwned { conn: connection, sock: socket };
        Ok(Some(Either::B(TlsTransport { buffers, stream })))
    }
}

fn failed(error: HandshakeError) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

fn handshake_error(error: std::io::Error) -> ureq::Error {
    // A time-out comes from below as ureq's own error.
    if error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()).is_some() {
        return error.into();
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => failed(HandshakeError::Tls(tls.clone())),
        None => failed(HandshakeError::Connection(error)),
    }
}

/// A TLS connection.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        // Writing alone would keep an error for the next call.
        self.stream.flush()?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTransport").field("below", &self.stream.sock.inner()).finish_non_exhaustive()
    }
}
