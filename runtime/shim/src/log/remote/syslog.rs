//! Messages of syslog, in the three formats of Docker.

use std::path::PathBuf;

use crate::calendar::Civil;
use crate::log::options::Options;
use crate::log::{Line, LogPlan, Stream, tag};

const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];
const DAEMON: u8 = 3;
const PORT: u16 = 514;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `syslog-address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log) enum Address {
    /// Wherever the daemon of this machine listens.
    Local,
    Stream(PathBuf),
    Datagram(PathBuf),
    Udp(String, u16),
    Tcp(String, u16),
}

/// `syslog-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Without the option: what a local daemon is given.
    Unix,
    Rfc3164,
    Rfc5424,
    Rfc5424Micro,
}

/// The options of the driver.
#[derive(Debug, Clone)]
pub(in crate::log) struct SyslogOptions {
    pub(in crate::log) address: Address,
    facility: u8,
    format: Format,
}

impl SyslogOptions {
    pub(in crate::log) fn parse(options: &Options) -> Result<SyslogOptions, String> {
        let text = |name: &str| options.get(name).map_or("", String::as_str);
        let format = match text("syslog-format") {
            "" => Format::Unix,
            "rfc3164" => Format::Rfc3164,
            "rfc5424" => Format::Rfc5424,
            "rfc5424micro" => Format::Rfc5424Micro,
            _ => return Err("invalid syslog format".to_owned()),
        };
        let address = Address::parse(text("syslog-address"))?;
        Ok(SyslogOptions { address, facility: facility(text("syslog-facility"))?, format })
    }
}

fn facility(text: &str) -> Result<u8, String> {
    if text.is_empty() {
        return Ok(DAEMON);
    }
    let known = FACILITIES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    known
        .or_else(|| text.parse().ok().filter(|number| *number <= 23))
        .ok_or_else(|| "invalid syslog facility".to_owned())
}

impl Address {
    fn parse(text: &str) -> Result<Address, String> {
        if text.is_empty() {
            return Ok(Address::Local);
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        if matches!(scheme, "unix" | "unixgram") {
            let path = PathBuf::from(rest);
            if let Err(error) = rustix::fs::stat(&path) {
                let error = std::io::Error::from(error).to_string();
                let words = error.split(" (os error").next().unwrap_or(&error).to_lowercase();
                return Err(format!("stat {}: {words}", path.display()));
            }
            return Ok(if scheme == "unix" { Address::Stream(path) } else { Address::Datagram(path) });
        }
        if !matches!(scheme, "udp" | "tcp") {
            return Err(format!("unsupported scheme: '{scheme}'"));
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            // The colons of an address in brackets are its own.
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().map_err(|_| format!("address {authority}: invalid port {port:?}"))?;
                (host, port)
            }
            _ => (authority, PORT),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(format!("address {authority}: too many colons in address"));
        }
        let host = match bare.unwrap_or(host) {
            "" => "localhost".to_owned(),
            host => host.to_owned(),
        };
        Ok(if scheme == "udp" { Address::Udp(host, port) } else { Address::Tcp(host, port) })
    }

    pub(in crate::log) fn network(&self) -> Option<(String, u16)> {
        match self {
            Address::Udp(host, port) | Address::Tcp(host, port) => Some((host.clone(), *port)),
            Address::Local | Address::Stream(_) | Address::Datagram(_) => None,
        }
    }
}

/// Makes messages of one container's lines.
#[derive(Debug)]
pub(super) struct Encoder {
    facility: u8,
    format: Format,
    tag: String,
    host: String,
    pid: u32,
}

impl Encoder {
    pub(super) fn new(plan: &LogPlan, options: &SyslogOptions) -> Result<Encoder, String> {
        Ok(Encoder {
            facility: options.facility,
            format: options.format,
            tag: tag::render(&plan.subject, &plan.options, tag::DEFAULT)?,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            pid: std::process::id(),
        })
    }

    pub(super) fn encode(&self, line: &Line<'_>) -> Vec<u8> {
        let severity = match line.stream {
            Stream::Stdout => 6,
            Stream::Stderr => 3,
        };
        let priority = self.facility << 3 | severity;
        let (tag, host, pid, time) = (&self.tag, &self.host, self.pid, Civil::local(line.at_ns));
        let head = match self.format {
            Format::Unix => format!("<{priority}>{} {tag}[{pid}]: ", stamp(&time)),
            Format::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: ", stamp(&time)),
            Format::Rfc5424 => {
                format!("<{priority}>1 {}{} {host} {tag} {pid} {tag} - ", time.seconds(), time.offset())
            }
            Format::Rfc5424Micro => {
                let micros = time.nanosecond / 1000;
                format!(
                    "<{priority}>1 {}.{micros:06}{} {host} {tag} {pid} {tag} - ",
                    time.seconds(),
                    time.offset()
                )
            }
        };
        let mut message = head.into_bytes();
        message.extend_from_slice(line.text);
        message.push(b'\n');
        message
    }
}

/// `Jan  2 15:04:05`
fn stamp(time: &Civil) -> String {
    let month =
        usize::try_from(time.month - 1).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
    format!("{month} {:2} {:02}:{:02}:{:02}", time.day, time.hour, time.minute, time.second)
}
