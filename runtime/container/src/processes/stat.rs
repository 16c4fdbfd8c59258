//! `/proc/PID/stat` and `/proc/PID/status` (proc_pid_stat(5), proc_pid_status(5)).

/// What ps needs of stat.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) comm: Vec<u8>,
    pub(super) state: char,
    pub(super) ppid: i32,
    pub(super) pgid: i32,
    pub(super) sid: i32,
    tty: u32,
    /// Process group in the foreground of the terminal.
    foreground: i32,
    /// User and system time.
    pub(super) cpu_ticks: u64,
    pub(super) nice: i32,
    pub(super) threads: u32,
    pub(super) start_ticks: u64,
    pub(super) vsz_bytes: u64,
    pub(super) rss_pages: u64,
}

impl Stat {
    /// The name may hold anything, brackets and line breaks too; the numbers begin after the last bracket.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let start = bytes.iter().position(|byte| *byte == b'(')?;
        let end = bytes.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(bytes.get(end + 1..)?).ok()?;
        let mut words = rest.split_whitespace();
        let state = words.next()?.chars().next()?;
        // Field 4 of the manual comes first. Some are signed: -1 for none.
        let fields: Vec<i64> = words.map(|word| word.parse().unwrap_or(i64::MAX)).take(21).collect();
        let at = |field: usize| fields.get(field - 4).copied();
        let natural = |field| at(field).map(|value| u64::try_from(value).unwrap_or(0));
        Some(Self {
            comm: bytes.get(start + 1..end)?.to_vec(),
            state,
            ppid: at(4)? as i32,
            pgid: at(5)? as i32,
            sid: at(6)? as i32,
            tty: at(7)? as u32,
            foreground: at(8)? as i32,
            cpu_ticks: natural(14)?.saturating_add(natural(15)?),
            nice: at(19)? as i32,
            threads: u32::try_from(at(20)?).unwrap_or(0),
            start_ticks: natural(22)?,
            vsz_bytes: natural(23)?,
            rss_pages: natural(24)?,
        })
    }

    /// Name of the controlling terminal, by its device number (Documentation/admin-guide/devices.txt).
    pub(super) fn tty(&self) -> Option<String> {
        let (major, minor) = ((self.tty >> 8) & 0xfff, (self.tty & 0xff) | ((self.tty >> 12) & 0xf_ff00));
        match (major, minor) {
            (0, _) => None,
            (4, 0..64) => Some(format!("tty{minor}")),
            (4, _) => Some(format!("ttyS{}", minor - 64)),
            (5, 1) => Some("console".to_owned()),
            (136..144, _) => Some(format!("pts/{}", minor + (major - 136) * 256)),
            (229, _) => Some(format!("hvc{minor}")),
            _ => Some("?".to_owned()),
        }
    }

    /// ps' STAT.
    pub(super) fn letters(&self, pid: i32, locked: bool) -> String {
        let mut letters = String::from(self.state);
        let nice = match self.nice {
            ..0 => Some('<'),
            0 => None,
            1.. => Some('N'),
        };
        letters.extend(nice);
        let marks = [
            (locked, 'L'),
            (self.sid == pid, 's'),
            (self.threads > 1, 'l'),
            (self.foreground == self.pgid && self.foreground > 0, '+'),
        ];
        letters.extend(marks.iter().filter(|(set, _)| *set).map(|(_, mark)| mark));
        letters
    }
}

/// What ps needs of status.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Effective.
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Some of its memory is.
    pub(super) locked: bool,
}

impl Status {
    /// The name in the first line cannot forge another one: the kernel escapes line breaks here.
    pub(super) fn parse(text: &str) -> Self {
        let value = |key: &str, index: usize| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().nth(index)?.parse().ok()).unwrap_or_default()
        };
        Self { uid: value("Uid", 1), gid: value("Gid", 1), locked: value("VmLck", 0) > 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: &str = "R 2 3 4 34817 3 4194304 100 0 0 0 7 5 0 0 20 -5 1 0 1234 8192000 300 1 2 3";

    #[test]
    fn a_name_cannot_forge_the_numbers() {
        for name in ["sh", "", ") R 9 9 9", "a (b) c", "x\n1 (y) Z 1"] {
            let stat = Stat::parse(format!("1 ({name}) {NUMBERS}\n").as_bytes()).expect(name);
            assert_eq!(stat.comm, name.as_bytes());
            assert_eq!(
                (stat.state, stat.ppid, stat.pgid, stat.sid, stat.nice),
                ('R', 2, 3, 4, -5),
                "{name:?}"
            );
            assert_eq!((stat.cpu_ticks, stat.threads, stat.start_ticks), (12, 1, 1234));
            assert_eq!((stat.vsz_bytes, stat.rss_pages), (8_192_000, 300));
        }
        for broken in ["", "1 sh R 1", "1 (sh)", "1 (sh) R 1 2", ")1 (", "1 (sh) R"] {
            assert_eq!(Stat::parse(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn terminals_have_their_names() {
        let tty = |major: u32, minor: u32| {
            let tty = major << 8 | (minor & 0xff) | (minor & 0xf_ff00) << 12;
            Stat { tty, ..Stat::default() }.tty()
        };
        for (major, minor, name) in [
            (136, 0, "pts/0"),
            (136, 300, "pts/300"),
            (137, 1, "pts/257"),
            (4, 1, "tty1"),
            (4, 64, "ttyS0"),
            (5, 1, "console"),
            (9, 9, "?"),
        ] {
            assert_eq!(tty(major, minor).as_deref(), Some(name));
        }
        assert_eq!(tty(0, 0), None);
    }

    #[test]
    fn states_are_qualified_as_ps_does() {
        let stat = Stat { state: 'S', sid: 5, pgid: 5, foreground: 5, threads: 3, ..Stat::default() };
        assert_eq!(stat.letters(5, true), "SLsl+");
        assert_eq!(stat.letters(6, false), "Sl+");
        let stat = Stat { state: 'D', nice: 5, foreground: -1, threads: 1, ..Stat::default() };
        assert_eq!(stat.letters(7, false), "DN");
        assert_eq!(Stat { state: 'R', nice: -1, ..Stat::default() }.letters(8, false), "R<");
    }

    #[test]
    fn ids_are_the_effective_ones() {
        let text = "Name:\tUid:\\nState:\tR\nUid:\t1\t33\t3\t4\nGid:\t5\t34\t7\t8\nVmLck:\t       4 kB\n";
        assert_eq!(Status::parse(text), Status { uid: 33, gid: 34, locked: true });
        assert_eq!(Status::parse(""), Status::default());
    }
}
