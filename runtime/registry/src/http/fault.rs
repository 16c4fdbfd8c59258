//! Failures below HTTP's answers, in words, with what may be done about them.

use sandbox_image::RemoteErrorKind::{Refused, Transient};
use ureq::Timeout;

use super::transport::HandshakeError;
use crate::failure::Failure;
use crate::text::printable;
use crate::url::Origin;

/// What `error`, met while talking to `origin`, means.
pub(crate) fn failure(error: ureq::Error, origin: &Origin) -> Failure {
    let host = origin.authority();
    match error {
        ureq::Error::Other(inner) => match inner.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(inner) => match inner.downcast::<HandshakeError>() {
                Ok(handshake) => handshake_failure(&handshake, origin),
                Err(inner) => Failure::refused(format!("{host}: {}", printable(&inner.to_string(), 300))),
            },
        },
        ureq::Error::Io(error) => match error.downcast::<Failure>() {
            Ok(failure) => failure,
            Err(error) => io_failure(&error, origin),
        },
        ureq::Error::Timeout(timeout) => timed_out(timeout, &host),
        ureq::Error::LargeResponseHeader(..) => Failure::refused(format!(
            "{host} sends an endless answer header: more than {} KiB",
            super::HEADER_SIZE >> 10
        )),
        ureq::Error::Protocol(error) => Failure::refused(format!(
            "{host} does not answer in HTTP: {}",
            printable(&error.to_string(), 200)
        )),
        ureq::Error::ConnectProxyFailed(reason) => {
            Failure::unreachable(format!("{host}: the proxy refuses: {}", printable(&reason, 200)))
        }
        error => Failure::refused(format!("{host}: {}", printable(&error.to_string(), 200))),
    }
}

fn io_failure(error: &std::io::Error, origin: &Origin) -> Failure {
    use std::io::ErrorKind;
    let host = origin.authority();
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            Failure::unreachable(format!("{host} refuses the connection; is a registry running there?"))
        }
        ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => Failure::unreachable(format!("{host} is unreachable: {error}")),
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => Failure::transient(format!("{host} broke the connection: {error}")),
        _ => Failure::transient(format!("{host}: {error}")),
    }
}

fn timed_out(timeout: Timeout, host: &str) -> Failure {
    match timeout {
        Timeout::Resolve => {
            Failure::unreachable(format!("looking for {host} takes too long; see /etc/resolv.conf"))
        }
        Timeout::Connect => Failure::unreachable(format!("{host} does not take the connection in time")),
        Timeout::PerRead => Failure::transient(format!("{host} has stopped sending")),
        Timeout::PerWrite => Failure::transient(format!("{host} has stopped taking data")),
        Timeout::RecvBody | Timeout::RecvResponse => {
            Failure::transient(format!("{host} does not complete its answer in time"))
        }
        _ => Failure::transient(format!("{host} does not answer in time")),
    }
}

fn handshake_failure(error: &HandshakeError, origin: &Origin) -> Failure {
    let host = origin.authority();
    let clear_text = || {
        format!(
            "; if it speaks plain HTTP, list {host} under insecure in the section [registries] of the configuration"
        )
    };
    let (kind, what, advice) = match error {
        HandshakeError::Name(_) => (Refused, "", String::new()),
        HandshakeError::Connection(_) => (Transient, "breaks off the TLS handshake: ", clear_text()),
        HandshakeError::Tls(rustls::Error::InvalidCertificate(cause)) => {
            let advice = match cause {
                rustls::CertificateError::UnknownIssuer => format!(
                    "; if it is yours, put its authority's certificate into /etc/sandbox/certs.d/{host}/ca.crt"
                ),
                _ => String::new(),
            };
            (Refused, "has a certificate that is not valid: ", advice)
        }
        // Not TLS at all.
        HandshakeError::Tls(rustls::Error::InvalidMessage(_)) => {
            (Refused, "does not speak TLS: ", clear_text())
        }
        HandshakeError::Tls(_) => (Refused, "does not agree on TLS: ", String::new()),
    };
    let text = printable(&error.to_string(), 300);
    Failure { unreachable: true, ..Failure::new(kind, format!("{host} {what}{text}{advice}")) }
}

/// The same for what reading a body gives.
pub(crate) fn body_failure(error: std::io::Error, origin: &Origin) -> Failure {
    match error.downcast::<ureq::Error>() {
        Ok(error) => failure(error, origin),
        Err(error) => io_failure(&error, origin),
    }
}
