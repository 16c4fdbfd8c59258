//! Users, groups, capabilities, no_new_privs.

use std::os::fd::AsFd;

use oci_spec::runtime::Capability;
use sandbox_container::{ExitStatus, defaults, resolve_user};

use crate::Test;
use crate::support::{Bundle, edit_process, linux, run, script, spec, strings};

pub(crate) const TESTS: &[Test] = &[
    ("identity::a_user_of_the_image", a_user_of_the_image),
    ("identity::capabilities_follow_the_spec", capabilities_follow_the_spec),
    ("identity::without_new_privileges", without_new_privileges),
];

fn a_user_of_the_image() {
    let bundle = Bundle::new();
    let root = std::fs::File::open(bundle.root()).expect("open");
    let user = resolve_user(root.as_fd(), "www", &strings(&["77"])).expect("in the file");
    let mut spec = spec(&bundle, &[]);
    edit_process(&mut spec, |process| {
        process
            .user_mut()
            .set_uid(user.uid)
            .set_gid(user.gid)
            .set_additional_gids(Some(user.additional_gids));
        process.user_mut().set_umask(Some(0o077));
        process.set_capabilities(Some(defaults::capability_sets(&defaults::capabilities(), user.uid)));
    });
    let text = script(
        &bundle,
        &mut spec,
        "id; umask; echo $HOME; grep -E 'Cap(Eff|Prm|Bnd)' /proc/self/status; cat /proc/1/environ",
    );
    for line in [
        "uid=33(www) gid=33(www) groups=29(audio),77",
        "\n0077\n/var/www\n",
        "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    // A shell script that only the user may not read: the kernel's answer at exec.
    bundle.write("root/private", "#!/bin/sh\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(bundle.root().join("root/private"), mode).expect("chmod");
    edit_process(&mut spec, |process| {
        process.set_args(Some(strings(&["/root/private"])));
    });
    let error = run(&bundle, &spec).expect_err("not for this user");
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        ("exec: \"/root/private\": permission denied", 126)
    );
}

fn capabilities_follow_the_spec() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    let status = "grep -E 'Cap' /proc/self/status";
    edit_process(&mut spec, |process| {
        process.set_capabilities(None);
    });
    let text = script(&bundle, &mut spec, status);
    assert!(text.contains("CapEff:\t0000000000000000\nCapBnd:\t0000000000000000"), "{text}");

    // What we do not have ourselves is left out.
    edit_process(&mut spec, |process| {
        process.set_capabilities(Some(defaults::capability_sets(&defaults::all_capabilities(), 0)));
    });
    let text = script(&bundle, &mut spec, status);
    let own = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    assert_eq!(line(&text, "CapEff"), line(&own, "CapEff"));

    // Ambient ones survive exec of another user.
    edit_process(&mut spec, |process| {
        let one: std::collections::HashSet<_> = [Capability::NetBindService].into_iter().collect();
        let mut sets = defaults::capability_sets(&[Capability::NetBindService], 0);
        sets.set_inheritable(Some(one.clone())).set_ambient(Some(one));
        process.set_capabilities(Some(sets));
        process.user_mut().set_uid(33).set_gid(33);
    });
    let text = script(&bundle, &mut spec, status);
    assert!(
        text.contains("CapEff:\t0000000000000400") && text.contains("CapAmb:\t0000000000000400"),
        "{text}"
    );
}

fn without_new_privileges() {
    let bundle = Bundle::new();
    let mut spec = spec(&bundle, &[]);
    edit_process(&mut spec, |process| {
        process.set_no_new_privileges(Some(true));
        process.user_mut().set_uid(33);
    });
    let text = script(&bundle, &mut spec, "grep -E 'NoNew|Seccomp:' /proc/self/status");
    assert_eq!(text, "NoNewPrivs:\t1\nSeccomp:\t2\n");
    linux(&mut spec, |linux| {
        linux.set_seccomp(None);
    });
    assert_eq!(run(&bundle, &spec).expect("it runs").0, ExitStatus::Code(0));
    assert_eq!(script(&bundle, &mut spec, "grep Seccomp: /proc/self/status"), "Seccomp:\t0\n");
}
