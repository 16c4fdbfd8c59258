//! Mount options as words: which are attributes of the mount, which go to the file system.

use crate::sys::mount::{
    ATTR_ATIME_MASK, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW,
    ATTR_RDONLY, ATTR_RELATIME, ATTR_STRICTATIME, MountAttr,
};

/// Options of one mount, sorted by who they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// `Some(recursive)` with bind or rbind.
    pub(crate) bind: Option<bool>,
    pub(crate) remount: bool,
    /// For the mount itself.
    pub(crate) attr: MountAttr,
    /// For the mount and all below (rro and the like).
    pub(crate) recursive: MountAttr,
    /// MS_* flag and whether it is recursive, in the order given.
    pub(crate) propagation: Vec<(u64, bool)>,
    /// Copy what is below the target into a tmpfs first.
    pub(crate) copy_up: bool,
    /// `Some(recursive)` with idmap or ridmap.
    pub(crate) idmap: Option<bool>,
    /// The rest, for the file system.
    pub(crate) data: Vec<String>,
}

/// (word, attribute bits, set or clear)
const ATTRIBUTES: [(&str, u64, bool); 17] = [
    ("ro", ATTR_RDONLY, true),
    ("rw", ATTR_RDONLY, false),
    ("nosuid", ATTR_NOSUID, true),
    ("suid", ATTR_NOSUID, false),
    ("nodev", ATTR_NODEV, true),
    ("dev", ATTR_NODEV, false),
    ("noexec", ATTR_NOEXEC, true),
    ("exec", ATTR_NOEXEC, false),
    ("nodiratime", ATTR_NODIRATIME, true),
    ("diratime", ATTR_NODIRATIME, false),
    ("nosymfollow", ATTR_NOSYMFOLLOW, true),
    ("symfollow", ATTR_NOSYMFOLLOW, false),
    ("noatime", ATTR_NOATIME, true),
    ("strictatime", ATTR_STRICTATIME, true),
    ("relatime", ATTR_RELATIME, true),
    // Without an access time mode of its own the kernel's default is relatime.
    ("atime", ATTR_RELATIME, true),
    ("norelatime", ATTR_RELATIME, true),
];

const PROPAGATION: [(&str, u64); 4] = [
    ("private", libc::MS_PRIVATE),
    ("shared", libc::MS_SHARED),
    ("slave", libc::MS_SLAVE),
    ("unbindable", libc::MS_UNBINDABLE),
];

/// Words without effect on a mount made here.
const IGNORED: [&str; 8] =
    ["defaults", "nostrictatime", "loud", "async", "nomand", "noiversion", "nolazytime", "copy-symlink"];

impl MountOptions {
    pub(crate) fn parse(words: &[String]) -> Self {
        let mut options = MountOptions::default();
        for word in words {
            options.add(word);
        }
        options
    }

    fn add(&mut self, word: &str) {
        if let Some(propagation) = propagation(word) {
            return self.propagation.push(propagation);
        }
        if apply(&mut self.attr, word) {
            return;
        }
        if let Some(word) = word.strip_prefix('r')
            && apply(&mut self.recursive, word)
        {
            return;
        }
        match word {
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "remount" => self.remount = true,
            "tmpcopyup" => self.copy_up = true,
            "idmap" => self.idmap = Some(false),
            "ridmap" => self.idmap = Some(true),
            word if IGNORED.contains(&word) => {}
            word => self.data.push(word.to_owned()),
        }
    }
}

/// `slave` or `rslave`: the MS_ flag and whether it is recursive.
pub(crate) fn propagation(word: &str) -> Option<(u64, bool)> {
    let find = |word: &str| PROPAGATION.iter().find(|entry| entry.0 == word).map(|entry| entry.1);
    find(word).map(|flag| (flag, false)).or_else(|| find(word.strip_prefix('r')?).map(|flag| (flag, true)))
}

fn apply(attr: &mut MountAttr, word: &str) -> bool {
    let Some(&(_, bits, set)) = ATTRIBUTES.iter().find(|entry| entry.0 == word) else { return false };
    let is_atime = bits & !ATTR_ATIME_MASK == 0;
    if is_atime {
        // A mode, not a flag: the old one has to be cleared along.
        attr.set = attr.set & !ATTR_ATIME_MASK | bits;
        attr.clear |= ATTR_ATIME_MASK;
    } else if set {
        attr.set |= bits;
        attr.clear &= !bits;
    } else {
        attr.clear |= bits;
        attr.set &= !bits;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> MountOptions {
        MountOptions::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_go_where_they_belong() {
        let options = parse("rbind,ro,nosuid,rw,rslave,size=64k,mode=755,rnoexec,rro");
        assert_eq!(options.bind, Some(true));
        assert_eq!((options.attr.set, options.attr.clear), (ATTR_NOSUID, ATTR_RDONLY));
        assert_eq!(options.recursive.set, ATTR_NOEXEC | ATTR_RDONLY);
        assert_eq!(options.propagation, [(libc::MS_SLAVE, true)]);
        assert_eq!(options.data, ["size=64k", "mode=755"]);
        assert_eq!(parse("rbind,bind").bind, Some(true));
    }

    #[test]
    fn access_time_is_one_mode() {
        let options = parse("noatime,strictatime");
        assert_eq!((options.attr.set, options.attr.clear), (ATTR_STRICTATIME, ATTR_ATIME_MASK));
        // "relatime" starts with an r but is no recursive word.
        let options = parse("relatime,newinstance");
        assert_eq!((options.attr.set, options.recursive), (0, MountAttr::default()));
        assert_eq!(options.data, ["newinstance"]);
    }
}
