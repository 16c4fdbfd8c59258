//! `top`: a container's processes the way ps prints them, with the options of ps that choose and name columns.
//!
//! ps itself is not run: it may not be there, and in a microVM it is the guest's processes that are asked for. Options that
//! select processes change nothing, since all of the container's are shown. Refuses what would have no effect silently.

mod columns;
mod local;
mod options;

use sandbox_container::Processes;

use crate::error::{Error, Result};
use columns::{Column, Context};

/// Titles, and one row a process.
pub type Table = (Vec<String>, Vec<Vec<String>>);

/// The table for `ps_args` (none: `-ef`, as Docker has it); `user` knows the names of user ids.
///
/// # Errors
/// [`Error::Invalid`] for options that are not supported, naming those that are.
pub fn format(
    processes: &Processes,
    ps_args: &[String],
    user: &dyn Fn(u32) -> Option<String>,
) -> Result<Table> {
    let columns = options::parse(ps_args).map_err(Error::Invalid)?;
    let context = Context { memory_total: processes.memory_total, now: crate::realtime_ns(), user };
    let titles = columns.iter().map(|(_, title)| title.clone()).collect();
    let cell = |process, (column, _): &(Column, String)| column.cell(process, &context);
    let rows =
        processes.list.iter().map(|process| columns.iter().map(|column| cell(process, column)).collect());
    Ok((titles, rows.collect()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sandbox_container::ProcessInfo;

    use super::*;

    fn processes() -> Processes {
        let process = ProcessInfo {
            pid: 4242,
            ppid: 1,
            uid: 33,
            gid: 34,
            pgid: 4242,
            sid: 4242,
            tty: Some("pts/0".into()),
            stat: "Ss+".into(),
            nice: 5,
            threads: 3,
            start_ns: 1_000_000_000_000_000_000,
            elapsed_ns: 93_784_000_000_000,
            cpu_ns: 3_723_000_000_000,
            rss_bytes: 4 << 20,
            vsz_bytes: 8 << 20,
            comm: "sh".into(),
            args: "sh -c sleep 1".into(),
        };
        let other = ProcessInfo { pid: 4243, uid: 1000, ..ProcessInfo::default() };
        Processes { list: vec![process, other], memory_total: 64 << 20, more: false }
    }

    fn table(args: &[&str]) -> Result<Table> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        format(&processes(), &args, &|uid| (uid == 33).then(|| "www-data".to_owned()))
    }

    #[rstest]
    #[case(&[])]
    #[case(&["-ef"])]
    #[case(&["-e", "-f"])]
    #[case(&["-e -f"])]
    fn full_listings(#[case] args: &[&str]) {
        let (titles, rows) = table(args).unwrap();
        assert_eq!(titles, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        let mut row = rows[0].clone();
        assert_eq!(row.remove(4), "2001");
        assert_eq!(row, ["www-data", "4242", "1", "3", "pts/0", "01:02:03", "sh -c sleep 1"]);
        assert_eq!(rows[1][..4], ["1000", "4243", "0", "0"]);
        assert_eq!(rows[1][5], "?");
    }

    #[rstest]
    #[case(&["aux"])]
    #[case(&["-aux"])]
    #[case(&["a", "u", "x"])]
    #[case(&["auxww"])]
    fn user_listings(#[case] args: &[&str]) {
        let (titles, rows) = table(args).unwrap();
        let expected =
            ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"];
        assert_eq!(titles, expected);
        assert_eq!(rows[0][..8], ["www-data", "4242", "3.9", "6.2", "8192", "4096", "pts/0", "Ss+"]);
        assert_eq!(rows[0][9..], ["62:03", "sh -c sleep 1"]);
    }

    #[test]
    fn short_listings() {
        let (titles, rows) = table(&["-e"]).unwrap();
        assert_eq!(
            (titles.as_slice(), rows[0][3].as_str()),
            (["PID", "TTY", "TIME", "CMD"].map(String::from).as_slice(), "sh")
        );
        let (titles, rows) = table(&["ax"]).unwrap();
        assert_eq!(titles, ["PID", "TTY", "STAT", "TIME", "COMMAND"]);
        assert_eq!(rows[0][3..], ["62:03", "sh -c sleep 1"]);
    }

    #[test]
    fn columns_of_ones_own() {
        let (titles, rows) =
            table(&["-eo", "pid,comm=NAME,etime,etimes", "-o", "ni=", "-ostat,nlwp,s"]).unwrap();
        assert_eq!(titles, ["PID", "NAME", "ELAPSED", "ELAPSED", "", "STAT", "NLWP", "S"]);
        assert_eq!(rows[0], ["4242", "sh", "1-02:03:04", "93784", "5", "Ss+", "3", "S"]);
        let (titles, rows) =
            table(&["o", "uid,user,gid,pgid,sid,rss,vsz,pcpu,pmem,c,time,times,args"]).unwrap();
        assert_eq!(
            titles,
            [
                "UID", "USER", "GID", "PGID", "SID", "RSS", "VSZ", "%CPU", "%MEM", "C", "TIME", "TIME",
                "COMMAND"
            ]
        );
        assert_eq!(rows[0][..6], ["33", "www-data", "34", "4242", "4242", "4096"]);
        assert_eq!(rows[0][6..], ["8192", "3.9", "6.2", "3", "01:02:03", "3723", "sh -c sleep 1"]);
    }

    #[rstest]
    #[case(&["-l"], "unknown ps option \"-l\"")]
    #[case(&["--forest"], "unknown ps option \"--forest\"")]
    #[case(&["-o"], "option -o needs a list of columns")]
    #[case(&["-o", "pid,wchan"], "unknown ps column \"wchan\"")]
    #[case(&["-f", "-o", "pid"], "cannot be together")]
    #[case(&["-eo", ","], "unknown ps column \"\"")]
    #[case(&["1234"], "unknown ps option \"1234\"")]
    fn what_is_not_supported_is_told_with_what_is(#[case] args: &[&str], #[case] expected: &str) {
        let error = table(args).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("supported: "), "{error}");
    }
}
