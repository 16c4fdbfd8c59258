//! Messages of the journal's native protocol: fields, one a line; a value with line ends is preceded by its length.

use crate::calendar::Civil;
use crate::log::{Line, LogPlan, Stream, attributes, tag};

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// What a message may say besides its line, so that it stays a datagram.
const FIELDS_MAX: usize = 64 << 10;

/// Makes messages of one container's lines.
#[derive(Debug)]
pub(super) struct Encoder {
    /// The fields that are the same in all messages.
    fields: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(plan: &LogPlan) -> Result<Encoder, String> {
        let subject = &plan.subject;
        let tag = tag::render(subject, &plan.options, tag::DEFAULT)?;
        let mut fields = Vec::new();
        field(&mut fields, "CONTAINER_ID", subject.id.get(..12).unwrap_or(&subject.id).as_bytes());
        field(&mut fields, "CONTAINER_ID_FULL", subject.id.as_bytes());
        field(&mut fields, "CONTAINER_NAME", subject.name.as_bytes());
        field(&mut fields, "CONTAINER_TAG", tag.as_bytes());
        field(&mut fields, "IMAGE_NAME", subject.image_name.as_bytes());
        field(&mut fields, "SYSLOG_IDENTIFIER", tag.as_bytes());
        for (name, value) in attributes::chosen(subject, &plan.options, field_name)? {
            // The rest of a name that starts with a letter is one the journal takes.
            if name.starts_with(|c: char| c.is_ascii_uppercase()) && fields.len() + value.len() < FIELDS_MAX {
                field(&mut fields, &name, value.as_bytes());
            }
        }
        Ok(Encoder { fields })
    }

    pub(super) fn encode(&self, line: &Line<'_>) -> Vec<u8> {
        let mut message = Vec::with_capacity(self.fields.len() + line.text.len() + 128);
        field(&mut message, "MESSAGE", line.text);
        let priority: &[u8] = match line.stream {
            Stream::Stdout => b"6",
            Stream::Stderr => b"3",
        };
        field(&mut message, "PRIORITY", priority);
        field(&mut message, "SYSLOG_TIMESTAMP", Civil::utc(line.at_ns).rfc3339_nano().as_bytes());
        if !line.whole {
            field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        message.extend_from_slice(&self.fields);
        message
    }
}

/// Capital letters, digits and underscores, of which none is the first.
fn field_name(text: &str) -> String {
    let mapped = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    mapped.skip_while(|c| *c == '_').collect()
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Subject;

    #[test]
    fn fields_and_their_names() {
        let plan = LogPlan {
            driver: "journald".to_owned(),
            options: [("labels", "com.example.a,_x"), ("tag", "t")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            subject: Subject {
                id: "0123456789abcdef".repeat(4),
                name: "web".to_owned(),
                image_name: "alpine".to_owned(),
                labels: [("com.example.a", "1\n2"), ("_x", "y")]
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .into(),
                ..Subject::default()
            },
            addresses: vec![],
        };
        let line = Line { stream: Stream::Stderr, at_ns: 0, text: b"hello", whole: false };
        let message = Encoder::new(&plan).unwrap().encode(&line);
        let want = format!(
            "MESSAGE=hello\nPRIORITY=3\nSYSLOG_TIMESTAMP=1970-01-01T00:00:00Z\nCONTAINER_PARTIAL_MESSAGE=true\n\
             CONTAINER_ID=0123456789ab\nCONTAINER_ID_FULL={}\nCONTAINER_NAME=web\nCONTAINER_TAG=t\nIMAGE_NAME=alpine\n\
             SYSLOG_IDENTIFIER=t\nCOM_EXAMPLE_A\n\x03\0\0\0\0\0\0\x001\n2\nX=y\n",
            plan.subject.id
        );
        assert_eq!(String::from_utf8(message).unwrap(), want);
    }
}
