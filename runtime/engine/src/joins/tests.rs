use super::*;
use crate::installation::Installation;
use crate::isolation::Isolation;
use crate::parse::volume;
use crate::parse::volumes_from;
use crate::paths::Paths;
use crate::state::containers::{self, tests::sample};
use std::path::Path;

struct Place {
    _dir: tempfile::TempDir,
    engine: Engine,
}

/// An engine with the containers `web` (process), which has `ipc` and a few mounts, and `guest` (vm).
fn place(ipc: Ipc) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(&dir.path().join("root"), &dir.path().join("run")).unwrap();
    let engine = Engine::open(paths, Installation::at(vec![])).unwrap();
    let mut request = Request::default();
    request.namespaces.ipc = ipc;
    for text in ["/srv:/bind:ro", "named:/named", "/anonymous"] {
        request.mounts.push(volume::parse(text, Path::new("/")).unwrap());
    }
    request.mounts.push(crate::parse::tmpfs::parse("/tmp").unwrap());
    let (mounts, _) = crate::volumes::resolve(&request, vec![], &[], &engine.paths).unwrap();
    let recipe = Recipe { request, mounts, ..Recipe::default() };
    for (id, name, isolation) in [("a", "web", Isolation::Process), ("b", "guest", Isolation::Vm)] {
        let id = id.repeat(64);
        // Ended: so the engine has nothing to reclaim.
        let state = crate::state::containers::State::Exited;
        let container = Container { isolation, state, ..sample(&id, name) };
        containers::insert(&engine.connection, &container).unwrap();
        std::fs::create_dir_all(engine.paths.container(&id)).unwrap();
        recipe.write(&engine.paths.container(&id)).unwrap();
    }
    Place { _dir: dir, engine }
}

fn joining(pid: &str, ipc: &str) -> Request {
    let mut request = Request::default();
    request.namespaces.pid = crate::parse::namespace::pid(pid).unwrap();
    request.namespaces.ipc = crate::parse::namespace::ipc(ipc).unwrap();
    request
}

#[test]
fn lenders_are_found_by_name() {
    let Place { engine, _dir } = place(Ipc::Shareable);
    assert!(engine.joins(&joining("host", "private")).unwrap().is_empty());
    let joins = engine.joins(&joining("container:web", "container:aaaa")).unwrap();
    assert_eq!(joins.iter().map(|join| join.kind).collect::<Vec<_>>(), [Joined::Pid, Joined::Ipc]);
    assert!(joins.iter().all(|join| join.id == "a".repeat(64)));
    assert_eq!(joins[0].container_dir, engine.paths.container(&joins[0].id));
}

#[test]
fn lenders_that_do_not_lend() {
    let Place { engine, _dir } = place(Ipc::Private);
    let refused = |pid: &str, ipc: &str| engine.joins(&joining(pid, ipc)).unwrap_err().to_string();
    assert_eq!(refused("container:nobody", ""), "No such container: nobody");
    assert_eq!(
        refused("container:guest", ""),
        "--pid container:guest: the container is in a VM of its own; its namespaces are not on this host"
    );
    assert_eq!(
        refused("", "container:web"),
        format!(
            "can't join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
            "a".repeat(64)
        )
    );
}

#[test]
fn volumes_of_others() {
    let Place { engine, _dir } = place(Ipc::Private);
    let of = |flags: &[&str]| {
        let volumes_from = flags.iter().map(|flag| volumes_from::parse(flag).unwrap()).collect();
        engine.inherited(&Request { volumes_from, ..Request::default() })
    };
    let got = of(&["web"]).unwrap();
    let targets: Vec<_> = got
        .iter()
        .map(|inherited| &inherited.resolved.mount)
        .map(|mount| (mount.target.as_str(), mount.read_only))
        .collect();
    assert_eq!(targets, [("/bind", true), ("/named", false), ("/anonymous", false)]);
    let Source::Volume { name: Some(name) } = &got[2].resolved.mount.source else { panic!("{:?}", got[2]) };
    assert!(crate::id::is_full(name), "it has its name now");
    assert_eq!(got[2].resolved.host_path.as_deref(), Some(engine.paths.volume(name).join("_data").as_path()));
    assert!(of(&["web:ro"]).unwrap().iter().all(|inherited| inherited.resolved.mount.read_only));
    assert_eq!(of(&["web", "guest"]).unwrap().len(), 3, "the later one counts");
    assert_eq!(of(&["nobody"]).unwrap_err().to_string(), "No such container: nobody");

    let own = volume::parse("/x:/named", Path::new("/")).unwrap();
    let request = Request { mounts: vec![own], ..Request::default() };
    let image = ["/anonymous".to_owned(), "/more".to_owned()];
    let (all, uses) = crate::volumes::resolve(&request, got, &image, &engine.paths).unwrap();
    let targets: Vec<_> = all.iter().map(|resolved| resolved.mount.target.as_str()).collect();
    assert_eq!(targets, ["/named", "/bind", "/anonymous", "/more"]);
    assert_eq!(all[0].host_path.as_deref(), Some(Path::new("/x")), "one's own goes before another's");
    assert_eq!(uses.len(), 2);
    crate::volumes::record(&engine.connection, &"b".repeat(64), &uses, 1).unwrap();
    containers::removing(&engine.connection, &"a".repeat(64)).unwrap();
    let late = crate::volumes::record(&engine.connection, &"b".repeat(64), &uses, 1);
    assert!(matches!(late, Err(Error::NoSuchContainer(_))), "it takes its volumes along: {late:?}");
}
