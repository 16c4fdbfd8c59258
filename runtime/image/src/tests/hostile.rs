//! Images that no honest tool makes. Each is refused with its reason, and leaves nothing in the store or outside it.

use serde_json::json;

use super::image::{CONFIG, INDEX, LAYER, Layout, MANIFEST, Setup, Tar, archive, gzip};
use crate::{Digest, Error, Input, Limits, LoadOptions};

/// Refused as the top layer of an image, with every other layer in place.
fn refused(reason: &str, layer: Tar) {
    let base =
        Tar::new().directory("etc", 0o755).file("etc/passwd", "root").symlink("out", "../../../../tmp").end();
    let (setup, layer) = (Setup::new(), layer.end());
    let found = setup.refusal(&[base, layer.clone()]);
    assert!(found.contains(reason), "{found:?} instead of {reason:?}");
    setup.assert_empty();
    // On its own it must not do more harm.
    let found = setup.refusal(&[layer]);
    assert!(found.starts_with("entry ") || found.contains("tar archive"), "{found:?}");
    setup.assert_empty();
}

#[test]
fn paths_out_of_the_layer() {
    refused(r#"entry "../../escape" has ".." in its path"#, Tar::new().file("../../escape", ""));
    refused("has \"..\"", Tar::new().file("a/../../escape", ""));
    refused("has \"..\"", Tar::new().directory("..", 0o777));
    refused("has an absolute path", Tar::new().file("/etc/passwd", ""));
    refused("has \"..\"", Tar::new().pax("path", b"../escape").file("innocent", ""));
    refused("is a whiteout of no file", Tar::new().file("etc/.wh...", ""));
    refused("is a whiteout of no file", Tar::new().file(".wh..", ""));
    refused("is a whiteout of no file", Tar::new().file(".wh.", ""));
    refused("has \"..\"", Tar::new().file("../.wh.x", ""));
}

#[test]
fn paths_through_links_out_of_the_image() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().to_str().unwrap();
    let up = format!("{}{}", "../".repeat(20), &path[1..]);
    refused("leads nowhere in the image", Tar::new().symlink("x", path).file("x/escape", ""));
    refused("leads out of the image", Tar::new().symlink("x", &up).file("x/escape", ""));
    refused("leads out of the image", Tar::new().symlink("x", "..").file("x/escape", ""));
    refused("too many symbolic links", Tar::new().symlink("x", "y").symlink("y", "x").file("x/escape", ""));
    refused("leads nowhere", Tar::new().symlink("x", path).file("x/.wh.escape", ""));
    refused("leads nowhere", Tar::new().symlink("x", path).directory("x/escape", 0o777));
    refused("as if it were a directory", Tar::new().file("f", "").file("f/escape", ""));
    let found = Setup::new().refusal(&[
        Tar::new().symlink("out", "../../../../tmp").end(),
        Tar::new().file("out/escape", "").end(),
    ]);
    assert!(found.contains("\"out\", which leads out of the image"), "{found}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!std::path::Path::new("/tmp/escape").exists());
}

#[test]
fn a_link_is_replaced_not_written_through() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    std::fs::write(&target, "safe").unwrap();
    let setup = Setup::new();
    let layer = Tar::new()
        .symlink("f", target.to_str().unwrap())
        .file("f", "evil")
        .symlink("d", outside.path().to_str().unwrap())
        .directory("d", 0o777)
        .file("d/escape", "")
        .end();
    let root = setup.unpack(&[layer]).unwrap();
    assert_eq!(std::fs::read(root.join("f")).unwrap(), b"evil");
    assert_eq!(std::fs::read(&target).unwrap(), b"safe");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn hard_links_out_of_the_image() {
    refused("absolute target or \"..\"", Tar::new().hard_link("x", "/etc/shadow"));
    refused("absolute target or \"..\"", Tar::new().hard_link("x", "../../etc/shadow"));
    refused("to what is not in the image", Tar::new().hard_link("x", "etc/shadow"));
    refused("to what is not in the image", Tar::new().hard_link("x", "."));
    refused("leads", Tar::new().symlink("s", "/nowhere").hard_link("x", "s/file"));
    refused("to what is not in the image", Tar::new().file(".wh.gone", "").hard_link("x", "gone"));
    refused("hard link to a directory", Tar::new().directory("d", 0o755).hard_link("x", "d"));
}

#[test]
fn devices_and_overlay_tricks() {
    refused("would reach this machine (b 8:0)", Tar::new().device(b'4', "sda", 8, 0));
    refused("would reach this machine (c 1:1)", Tar::new().device(b'3', "home/mem", 1, 1));
    refused("would reach this machine (c 0:0)", Tar::new().device(b'3', "etc/passwd", 0, 0));
    for name in ["trusted.overlay.redirect", "trusted.overlay.metacopy", "user.overlay.opaque"] {
        let tar = Tar::new().pax(&format!("SCHILY.xattr.{name}"), b"/secret").file("f", "");
        refused("would control overlayfs", tar);
    }
    refused("would replace the image's root", Tar::new().symlink(".", "/etc"));
    refused("would replace the image's root", Tar::new().file("./", "").device(b'3', ".", 1, 3));
    refused("is inside a whiteout", Tar::new().file(".wh.x/y", ""));
    refused("user id out of range", Tar::new().pax("uid", b"4294967295").file("f", ""));
    refused("nested deeper", Tar::new().file(&"d/".repeat(300), ""));
    refused("longer than 255", Tar::new().file(&"n".repeat(256), ""));
    refused("unknown type", Tar::new().entry(b'M', "volume", |_| {}, b""));
    refused("too long", Tar::new().entry(b'L', "l", |header| header.set_size(1 << 33), b""));
}

/// Loads one compressed layer under the given limits.
fn load_limited(setup: &Setup, compressed: &[u8], plain: &[u8], limits: Limits) -> Result<(), Error> {
    let mut layout = Layout::new();
    let config = layout.document(CONFIG, &Layout::config(&[plain.to_vec()], "amd64"));
    let layer = layout.blob(LAYER, compressed);
    let manifest =
        layout.document(MANIFEST, &json!({ "schemaVersion": 2, "config": config, "layers": [layer] }));
    layout.list("bomb", manifest);
    let options = LoadOptions { limits, ..LoadOptions::default() };
    let archive = layout.tar();
    setup.store.load(&setup.conn, Input::Reader(&mut &archive[..]), &options, &mut |_| {}).map(|_| ())
}

#[test]
fn images_that_the_policy_keeps_out() {
    let setup = Setup::new();
    let archive = Layout::new().image("app", &[Tar::new().file("f", "x").end()]).tar();
    let load = |policy: &str| {
        let options = LoadOptions { policy: policy.parse().unwrap(), ..LoadOptions::default() };
        setup.store.load(&setup.conn, Input::Reader(&mut &archive[..]), &options, &mut |_| {})
    };
    let error = load(r#"{"default":[{"type":"reject"}]}"#).unwrap_err().to_string();
    assert_eq!(error, "image app:latest is refused by the policy: it rejects such images");
    setup.assert_empty();
    load(
        r#"{"default":[{"type":"reject"}],
            "transports":{"oci-archive":{"":[{"type":"insecureAcceptAnything"}]}}}"#,
    )
    .unwrap();
}

#[test]
fn bombs() {
    let setup = Setup::new();
    let plain = Tar::new().entry(b'0', "zeros", |_| {}, &[0u8].repeat(6 << 20)).end();
    let compressed = gzip(&plain);
    let limits = || Limits { ratio_floor: 1 << 20, ..Limits::default() };
    load_limited(&setup, &compressed, &plain, Limits { ratio: 2000, ..limits() }).unwrap();

    let setup = Setup::new();
    let message = |limits| load_limited(&setup, &compressed, &plain, limits).unwrap_err().to_string();
    assert!(
        message(Limits { ratio: 20, ..limits() })
            .contains("20 times its compressed size; the image is refused as a bomb")
    );
    assert!(message(Limits { layer: 4 << 20, ..Limits::default() }).contains("more than 4194304 bytes"));
    assert!(message(Limits { archive: 10_000, ..Limits::default() }).contains("more than 10000 bytes"));

    let many = (0..200).fold(Tar::new(), |tar, number| tar.file(&number.to_string(), "")).end();
    let error = load_limited(&setup, &gzip(&many), &many, Limits { entries: 100, ..Limits::default() });
    assert!(error.unwrap_err().to_string().contains("more than the allowed number of entries"));
    // A sparse file claims eight exabytes.
    let map = [b"1\n0\n0\n".as_slice(), &[0; 506]].concat();
    let sparse = Tar::new()
        .pax("GNU.sparse.major", b"1")
        .pax("GNU.sparse.realsize", b"9223372036854775807")
        .entry(b'0', "huge", |_| {}, &map)
        .end();
    let error = load_limited(&setup, &gzip(&sparse), &sparse, Limits::default()).unwrap_err().to_string();
    assert!(error.contains("bytes of files; the image is refused as a bomb"), "{error}");
    setup.assert_empty();
}

#[test]
fn an_archive_that_is_a_bomb_itself() {
    let setup = Setup::new();
    let archive =
        zstd::encode_all(&Tar::new().entry(b'0', "x", |_| {}, &[0u8].repeat(3 << 20)).end()[..], 1).unwrap();
    let limits = Limits { ratio_floor: 1 << 20, ..Limits::default() };
    let options = LoadOptions { limits, ..LoadOptions::default() };
    let error =
        setup.store.load(&setup.conn, Input::Reader(&mut &archive[..]), &options, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("refused as a bomb"), "{error}");
    setup.assert_empty();
}

#[test]
fn content_that_is_not_what_its_digest_says() {
    let setup = Setup::new();
    let layer = Tar::new().file("f", "x").end();
    let files = Layout::new().image("app", std::slice::from_ref(&layer)).all_files();
    for index in 0..files.len() {
        if !files[index].0.starts_with("blobs/") {
            continue;
        }
        let mut changed = files.clone();
        *changed[index].1.last_mut().unwrap() ^= 1;
        let error = setup.load(&archive(&changed)).unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
        let mut missing = files.clone();
        missing.remove(index);
        let error = setup.load(&archive(&missing)).unwrap_err();
        assert!(matches!(error, Error::MissingBlob { .. }), "{error}");
    }
    // The blob is right, but the config promises another content.
    let mut layout = Layout::new();
    let config = layout.document(CONFIG, &Layout::config(&[b"other".to_vec()], "amd64"));
    let blob = layout.blob(LAYER, &layer);
    let manifest =
        layout.document(MANIFEST, &json!({ "schemaVersion": 2, "config": config, "layers": [blob] }));
    layout.list("app", manifest);
    let error = setup.load(&layout.tar()).unwrap_err().to_string();
    assert!(
        error.contains(&format!("digest {}, but the image's config says", Digest::sha256(&layer))),
        "{error}"
    );
    setup.assert_empty();
}

#[test]
fn descriptors_that_lie() {
    let setup = Setup::new();
    let layer = Tar::new().file("f", "x").end();
    let with = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut layout = Layout::new();
        let config = layout.document(CONFIG, &Layout::config(std::slice::from_ref(&layer), "amd64"));
        let blob = layout.blob(LAYER, &layer);
        let mut manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [blob] });
        edit(&mut manifest);
        let manifest = layout.document(MANIFEST, &manifest);
        layout.list("app", manifest);
        setup.load(&layout.tar()).unwrap_err().to_string()
    };
    let check = |reason: &str, edit: &dyn Fn(&mut serde_json::Value)| {
        let found = with(edit);
        assert!(found.contains(reason), "{found:?} instead of {reason:?}");
    };
    check("has 2048 bytes, not 2049", &|m| m["layers"][0]["size"] = 2049.into());
    check("exceeds the limit", &|m| m["config"]["size"] = (1u64 << 40).into());
    check("invalid digest", &|m| m["layers"][0]["digest"] = "sha256:../../../etc/passwd".into());
    check("invalid digest", &|m| m["layers"][0]["digest"] = "md5:d41d8cd98f00b204e9800998ecf8427e".into());
    check("it describes 1 layers, the manifest has 2", &|m| {
        let layer = m["layers"][0].clone();
        m["layers"].as_array_mut().unwrap().push(layer);
    });
    check("it describes 1 layers, the manifest has 0", &|m| m["layers"] = json!([]));
    check("number of layers (501)", &|m| m["layers"] = vec![m["layers"][0].clone(); 501].into());
    check("an index and a manifest at once", &|m| m["manifests"] = json!([]));
    check("it is encrypted", &|m| m["layers"][0]["mediaType"] = format!("{LAYER}+gzip+encrypted").into());
    setup.assert_empty();
}

#[test]
fn indexes_without_end_and_names_that_are_none() {
    let setup = Setup::new();
    let mut layout = Layout::new();
    let mut descriptor = layout.manifest(&[], "amd64");
    for _ in 0..6 {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor] });
        descriptor = layout.document(INDEX, &index);
    }
    layout.list("app", descriptor);
    assert!(setup.load(&layout.tar()).unwrap_err().to_string().contains("nesting of indexes"));

    let mut layout = Layout::new();
    let mut config = Layout::config(&[], "amd64");
    config["os"] = "windows".into();
    let config = layout.document(CONFIG, &config);
    let manifest = layout.document(MANIFEST, &json!({ "schemaVersion": 2, "config": config, "layers": [] }));
    layout.list("app", manifest);
    let error = setup.load(&layout.tar()).unwrap_err().to_string();
    assert!(error.ends_with("in the archive; it has windows/amd64"), "{error}");

    let named = Layout::new().image("../../etc", &[]).tar();
    assert!(matches!(setup.load(&named), Err(Error::InvalidReference { .. })));
    setup.assert_empty();
}

#[test]
fn what_is_no_image() {
    let setup = Setup::new();
    let message = |archive: &[u8]| setup.load(archive).unwrap_err().to_string();
    assert!(message(b"").contains("neither an OCI image layout (index.json) nor a docker archive"));
    assert!(message(b"hello").contains("not a valid tar archive"));
    assert!(message(&[0x1f, 0x8b, 1, 2, 3]).contains("it is truncated"));
    assert!(message(&Tar::new().file("etc/passwd", "x").end()).contains("neither"));
    assert!(message(&Tar::new().file("index.json", "{").end()).contains("invalid index.json"));
    assert!(message(&Tar::new().file("manifest.json", r#"[{"Config":"x"}]"#).end()).contains("is missing"));
    let huge = Tar::new().entry(b'0', "index.json", |_| {}, &b" ".repeat(5 << 20)).end();
    assert!(message(&huge).contains("the size of index.json exceeds the limit"));
    let truncated = Layout::new().image("app", &[Tar::new().file("f", &"x".repeat(9000)).end()]).tar();
    for length in (0..truncated.len()).step_by(777) {
        assert!(setup.load(&truncated[..length]).is_err(), "{length}");
    }
    setup.assert_empty();
}

/// Numbers that look random and are the same in every run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Corrects the checksums of everything that looks like a header.
fn seal(tar: &mut [u8]) {
    for block in tar.as_chunks_mut::<512>().0 {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

#[test]
fn mutated_layers_neither_panic_nor_escape() {
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().join("canary");
    std::fs::write(&canary, "alive").unwrap();
    let before = std::fs::metadata(&canary).unwrap();
    let path = outside.path().to_str().unwrap();
    let base = Tar::new().directory("d", 0o755).file("d/f", "x").symlink("l", path).symlink("m", "d").end();
    let layer = Tar::new()
        .symlink("out", path)
        .directory("d", 0o755)
        .file("d/new", "new")
        .hard_link("hard", "d/f")
        .file("m/.wh.f", "")
        .pax("path", b"d/pax")
        .file("p", "pax")
        .device(b'3', "null", 1, 3)
        .symlink("d/canary", canary.to_str().unwrap())
        .file("d/canary", "replaced")
        .end();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..100 {
        let mut mutated = layer.clone();
        for _ in 0..=random.below(4) {
            let block = random.below(mutated.len() / 512) * 512;
            // Name, numbers, type and link target are where meaning is.
            let at =
                block + [random.below(12), 100 + random.below(58), 157 + random.below(8)][random.below(3)];
            let interesting = b"/.\0" as &[u8];
            mutated[at] = match random.below(3) {
                0 => interesting[random.below(3)],
                1 => b'0' + random.below(8) as u8,
                _ => random.below(256) as u8,
            };
        }
        seal(&mut mutated);
        let setup = Setup::new();
        match setup.unpack(&[base.clone(), mutated]) {
            Ok(_) => good += 1,
            Err(Error::Layer { .. }) => {
                bad += 1;
                setup.assert_empty();
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(good > 10 && bad > 10, "{good} accepted, {bad} refused: the mutations test nothing");
    let after = std::fs::metadata(&canary).unwrap();
    let facts = |metadata: &std::fs::Metadata| {
        use std::os::unix::fs::MetadataExt;
        (metadata.mode(), metadata.uid(), metadata.mtime(), metadata.ctime(), metadata.nlink())
    };
    assert_eq!(facts(&before), facts(&after));
    assert_eq!(std::fs::read(&canary).unwrap(), b"alive");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}
