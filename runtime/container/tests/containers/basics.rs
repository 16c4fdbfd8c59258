//! What `run` promises: exit codes, what a container sees, streams.

use sandbox_container::ExitStatus;

use crate::Test;
use crate::support::{Bundle, run, script, spec};

pub(crate) const TESTS: &[Test] =
    &[("basics::exit_codes", exit_codes), ("basics::what_it_sees", what_it_sees)];

fn exit_codes() {
    let bundle = Bundle::new();
    for (args, status) in [
        (&["true"][..], ExitStatus::Code(0)),
        (&["/bin/false"], ExitStatus::Code(1)),
        (&["sh", "-c", "exit 42"], ExitStatus::Code(42)),
    ] {
        assert_eq!(run(&bundle, &spec(&bundle, args)).expect("it runs").0, status, "{args:?}");
    }
}

fn what_it_sees() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    let text = script(
        &bundle,
        &mut spec,
        "id; hostname; ps; mount; grep -E 'Cap|Seccomp|NoNew' /proc/self/status; cat /proc/self/cgroup; ls -l /dev /dev/pts; ls /proc/self/fd; ip addr; env",
    );
    println!("{text}");
}
