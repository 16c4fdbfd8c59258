//! `rmi` and `prune`: Docker's rules and words, and what stays for whom.

use super::image::{Layout, Setup, Tar, list};
use super::registry::Registry;
use crate::{
    Digest, Error, Image, ImageUser, LabelFilter, PruneOptions, Pruned, RemoveOptions, Removed, Result,
};

const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn layer(name: &str) -> Vec<u8> {
    Tar::new().directory("d/", 0o750).file(&format!("d/{name}"), name).end()
}

impl Setup {
    fn add(&self, name: &str, layers: &[&str]) -> Image {
        let layers: Vec<_> = layers.iter().map(|name| layer(name)).collect();
        self.load(&Layout::new().image(name, &layers).tar()).unwrap();
        self.store.resolve(&self.conn, name).unwrap()
    }

    fn name(&self, image: &Image, name: &str) {
        self.store.tag(&self.conn, image, &name.parse().unwrap()).unwrap();
    }

    fn rmi(&self, name: &str, force: bool, users: &[ImageUser]) -> Result<String> {
        let options = RemoveOptions { force, no_prune: false };
        let removed = self.store.remove(&self.conn, name, options, &|_| Ok(users.to_vec()))?;
        Ok(removed.iter().map(Removed::to_string).collect::<Vec<_>>().join("\n"))
    }

    fn prune(&self, options: &PruneOptions, users: &[ImageUser]) -> Pruned {
        self.store.prune(&self.conn, options, &|_| Ok(users.to_vec())).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let listed = self.store.list(&self.conn).unwrap();
        listed
            .iter()
            .map(|one| one.reference.as_ref().map_or("-".into(), crate::Reference::familiar))
            .collect()
    }
}

fn user(image: &Image, running: bool) -> ImageUser {
    ImageUser { container: CONTAINER.into(), running, image: image.id.clone() }
}

fn text(result: Result<String>) -> String {
    result.unwrap_or_else(|error| error.to_string())
}

#[test]
fn the_last_name_takes_the_image_and_what_only_it_has() {
    let setup = Setup::new();
    let (one, two) = (setup.add("one", &["base", "one"]), setup.add("two", &["base", "two"]));
    setup.name(&one, "other:v1");
    assert_eq!(text(setup.rmi("other:v1", false, &[])), "Untagged: other:v1");
    assert_eq!(
        text(setup.rmi("one", false, &[])),
        format!("Untagged: one:latest\nDeleted: {}\nDeleted: {}", one.id, one.chain_ids[1])
    );
    assert!(!one.layer_dirs[1].exists() && one.layer_dirs[0].exists());
    setup.store.verify(&setup.conn, &two).unwrap();
    assert_eq!(text(setup.rmi("one", false, &[])), "No such image: one:latest");
    assert_eq!(
        text(setup.rmi(two.id.short(), false, &[])),
        format!(
            "Untagged: two:latest\nDeleted: {}\nDeleted: {}\nDeleted: {}",
            two.id, two.chain_ids[1], two.chain_ids[0]
        )
    );
    setup.assert_empty();
}

#[test]
fn several_names_and_an_id() {
    let setup = Setup::new();
    let image = setup.add("one", &["one"]);
    setup.name(&image, "elsewhere/one");
    let id = image.id.short();
    assert_eq!(
        text(setup.rmi(id, false, &[])),
        format!(
            "conflict: unable to delete {id} (must be forced) - image is referenced in multiple repositories"
        )
    );
    assert_eq!(
        text(setup.rmi(id, true, &[])),
        format!(
            "Untagged: elsewhere/one:latest\nUntagged: one:latest\nDeleted: {}\nDeleted: {}",
            image.id, image.chain_ids[0]
        )
    );
    setup.assert_empty();
}

#[test]
fn what_containers_use_stays() {
    let setup = Setup::new();
    let image = setup.add("one", &["one"]);
    let (id, stopped, running) = (image.id.short(), [user(&image, false)], [user(&image, true)]);
    for users in [&stopped, &running] {
        assert_eq!(
            text(setup.rmi("one", false, users)),
            format!(
                "conflict: unable to remove repository reference \"one\" (must force) - container {} is using its \
                 referenced image {id}",
                &CONTAINER[..12]
            )
        );
    }
    let by_id = |how: &str, state: &str| {
        format!(
            "conflict: unable to delete {id} ({how}) - image is being used by {state} container {}",
            &CONTAINER[..12]
        )
    };
    assert_eq!(text(setup.rmi(id, false, &running)), by_id("cannot be forced", "running"));
    assert_eq!(text(setup.rmi(id, true, &running)), by_id("cannot be forced", "running"));
    assert_eq!(text(setup.rmi(id, false, &stopped)), by_id("must be forced", "stopped"));
    assert_eq!(setup.names(), ["one:latest"]);
    // By name and force the name goes, the image stays without one.
    assert_eq!(text(setup.rmi("one", true, &running)), "Untagged: one:latest");
    assert_eq!(setup.names(), ["-"]);
    setup.name(&image, "one");
    setup.name(&image, "two");
    assert_eq!(text(setup.rmi("two", false, &running)), "Untagged: two:latest");
}

#[test]
fn a_stopped_container_keeps_its_layers_when_its_image_is_forced_away() {
    let setup = Setup::new();
    let image = setup.add("one", &["one"]);
    let users = [user(&image, false)];
    assert_eq!(text(setup.rmi("one", true, &users)), format!("Untagged: one:latest\nDeleted: {}", image.id));
    assert!(image.layer_dirs[0].join("d/one").exists());
    assert_eq!(setup.prune(&PruneOptions::default(), &users), Pruned::default());
    assert!(image.layer_dirs[0].exists());
    assert!(setup.prune(&PruneOptions::default(), &[]).reclaimed >= 3);
    setup.assert_empty();
}

#[test]
fn digests_go_with_the_last_tag_of_their_repository() {
    let setup = Setup::new();
    let registry = Registry::with(&[layer("one")]);
    let digest = setup.pull(&registry, "host:5000/app").unwrap().digest;
    setup.pull(&registry, "app").unwrap();
    assert_eq!(text(setup.rmi("app", false, &[])), format!("Untagged: app:latest\nUntagged: app@{digest}"));
    let image = setup.store.resolve(&setup.conn, "host:5000/app").unwrap();
    // A tag and a digest of one repository do not hinder removal by id.
    assert_eq!(
        text(setup.rmi(image.id.short(), false, &[])),
        format!(
            "Untagged: host:5000/app:latest\nUntagged: host:5000/app@{digest}\nDeleted: {}\nDeleted: {}",
            image.id, image.chain_ids[0]
        )
    );
    setup.assert_empty();
    setup.pull(&registry, &format!("app@{digest}")).unwrap();
    let removed = text(setup.rmi(&format!("app@{digest}"), false, &[]));
    assert!(removed.starts_with(&format!("Untagged: app@{digest}\nDeleted: ")), "{removed}");
    setup.assert_empty();
}

#[test]
fn manifests_that_share_a_config_are_one_image() {
    let setup = Setup::new();
    let image = setup.add("loaded", &["one"]);
    let registry = Registry::with(&[layer("one")]);
    let pulled = setup.pull(&registry, "pulled").unwrap();
    assert_eq!(pulled.id, image.id);
    assert_ne!(pulled.manifest, image.manifest);
    let removed = text(setup.rmi(image.id.short(), true, &[]));
    assert_eq!(removed.matches("Deleted: ").count(), 2, "{removed}");
    assert_eq!(removed.matches("Untagged: ").count(), 3, "{removed}");
    setup.assert_empty();
}

#[test]
fn prune_takes_what_nobody_would_miss() {
    let setup = Setup::new();
    let dangling = setup.add("app", &["old"]);
    let tagged = setup.add("app", &["new"]);
    let used = setup.add("used", &["used"]);
    let pruned = setup.prune(&PruneOptions::default(), &[user(&used, false)]);
    assert_eq!(
        pruned.removed,
        [Removed::Deleted(dangling.id.clone()), Removed::Deleted(dangling.chain_ids[0].clone())]
    );
    assert!(pruned.reclaimed > 3, "{}", pruned.reclaimed);
    let all = PruneOptions { all: true, ..PruneOptions::default() };
    let pruned = setup.prune(&all, &[user(&used, false)]);
    assert_eq!(
        pruned.removed[..2],
        [Removed::Untagged("app:latest".into()), Removed::Deleted(tagged.id.clone())]
    );
    assert_eq!(setup.names(), ["used:latest"]);
}

#[test]
fn prune_filters() {
    let setup = Setup::new();
    setup.add("app", &["one"]);
    // The image was created at this time.
    let (before, after) = (1_714_979_288, 1_714_979_289);
    let label = |negated| LabelFilter { key: "a".into(), value: None, negated };
    let options = |until, labels: &[LabelFilter]| PruneOptions { all: true, until, labels: labels.to_vec() };
    assert_eq!(setup.prune(&options(Some(before), &[]), &[]).removed, []);
    assert_eq!(setup.prune(&options(None, &[label(false)]), &[]).removed, []);
    assert_eq!(setup.names().len(), 1);
    assert_eq!(setup.prune(&options(Some(after), &[label(true)]), &[]).removed.len(), 3);
}

#[test]
fn a_container_can_only_be_made_of_what_is_there() {
    let setup = Setup::new();
    let image = setup.add("one", &["one"]);
    setup.store.confirm(&setup.conn, &image.manifest).unwrap();
    setup.rmi("one", false, &[]).unwrap();
    assert!(matches!(setup.store.confirm(&setup.conn, &image.manifest), Err(Error::NoSuchImage(_))));
}

#[test]
fn a_refused_removal_changes_nothing() {
    let setup = Setup::new();
    let image = setup.add("one", &["one"]);
    let before = list(&setup.root.path().join("blobs/sha256"));
    let absent = format!("one@{}", Digest::sha256(b"x"));
    assert_eq!(text(setup.rmi(&absent, true, &[])), format!("No such image: {absent}"));
    let failing = |_: &rusqlite::Connection| Err(Error::Cancelled);
    setup.store.remove(&setup.conn, "one", RemoveOptions::default(), &failing).unwrap_err();
    assert_eq!(list(&setup.root.path().join("blobs/sha256")), before);
    setup.store.verify(&setup.conn, &image).unwrap();
}
