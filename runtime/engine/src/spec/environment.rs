//! The environment: Docker's defaults, then the user's, then the image's.

use crate::image::Defaults;
use crate::request::Process;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The order is Docker's, and a variable keeps the place where it first stood. `HOME` is missing on purpose.
pub(super) fn environment(process: &Process, image: &Defaults, hostname: &str) -> Vec<String> {
    let mut merged = vec![PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if process.tty {
        merged.push("TERM=xterm".to_owned());
    }
    let of_image = image.env.iter().filter(|theirs| !process.env.iter().any(|ours| key(ours) == key(theirs)));
    for variable in process.env.iter().chain(of_image) {
        let at = merged.iter().position(|known| key(known) == key(variable));
        match (variable.contains('='), at) {
            (true, Some(at)) => merged[at].clone_from(variable),
            (true, None) => merged.push(variable.clone()),
            (false, Some(at)) => drop(merged.remove(at)),
            (false, None) => {}
        }
    }
    merged
}

fn key(variable: &str) -> &str {
    variable.split('=').next().unwrap_or(variable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(false, &[], &[], &[PATH, "HOSTNAME=h"])]
    #[case(true, &[], &[], &[PATH, "HOSTNAME=h", "TERM=xterm"])]
    #[case(false, &["A=1"], &["B=2"], &[PATH, "HOSTNAME=h", "A=1", "B=2"])]
    #[case(false, &["A=1"], &["A=2", "PATH=/p"], &["PATH=/p", "HOSTNAME=h", "A=1"])]
    #[case(false, &["A=1", "A=3"], &[], &[PATH, "HOSTNAME=h", "A=3"])]
    #[case(false, &["A"], &["A=2"], &[PATH, "HOSTNAME=h"])]
    #[case(false, &["HOSTNAME"], &[], &[PATH])]
    #[case(true, &["TERM=dumb"], &[], &[PATH, "HOSTNAME=h", "TERM=dumb"])]
    fn merging(#[case] tty: bool, #[case] user: &[&str], #[case] image: &[&str], #[case] want: &[&str]) {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let process = Process { tty, env: own(user), ..Process::default() };
        let image = Defaults { env: own(image), ..Defaults::default() };
        assert_eq!(environment(&process, &image, "h"), want);
    }
}
