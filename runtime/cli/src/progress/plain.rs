//! Progress off a terminal: each new state of a layer is a line, amounts are not shown.

use std::collections::HashMap;

use super::Message;

#[derive(Debug, Default)]
pub(super) struct Plain {
    /// The last state of each layer.
    states: HashMap<String, String>,
}

impl Plain {
    /// What is written for a message.
    pub(super) fn message(&mut self, message: Message) -> String {
        match message {
            Message::Line(text) => {
                self.states.clear();
                text + "\n"
            }
            Message::Step { amount: None, .. } => String::new(),
            Message::Step { amount: Some(amount), .. } if amount.current > 0 || amount.total > 0 => {
                String::new()
            }
            Message::Step { id, status, .. } => {
                if self.states.get(&id) == Some(&status) {
                    return String::new();
                }
                let line = format!("{id}: {status}\n");
                self.states.insert(id, status);
                line
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Amount;

    #[test]
    fn states_once_and_no_amounts() {
        let mut plain = Plain::default();
        let step = |status: &str, current| Message::Step {
            id: "aaa".to_owned(),
            status: status.to_owned(),
            amount: Some(Amount { current, total: current * 2 }),
        };
        let text: String = [
            Message::Line("latest: Pulling from library/alpine".to_owned()),
            step("Pulling fs layer", 0),
            step("Pulling fs layer", 0),
            step("Downloading", 5),
            Message::Step { id: "aaa".to_owned(), status: "Verifying Checksum".to_owned(), amount: None },
            step("Download complete", 0),
            step("Pull complete", 0),
        ]
        .map(|message| plain.message(message))
        .concat();
        assert_eq!(
            text,
            "latest: Pulling from library/alpine\naaa: Pulling fs layer\naaa: Download complete\naaa: Pull complete\n"
        );
    }
}
