//! `import`: a root file system becomes an image.

use super::image::{Setup, Tar, gzip};
use crate::{Error, ImportOptions, Imported};

impl Setup {
    fn import(&self, tar: &[u8], options: &ImportOptions) -> Result<Imported, Error> {
        self.store.import(&self.conn, &mut &*tar, options, &mut |_| {})
    }
}

#[test]
fn a_tar_becomes_an_image_of_one_layer() {
    let tar = Tar::new().directory("etc", 0o755).file("etc/hostname", "box").end();
    for (name, bytes) in
        [("plain", tar.clone()), ("gzip", gzip(&tar)), ("zstd", zstd::encode_all(&tar[..], 1).unwrap())]
    {
        let setup = Setup::new();
        let changes = ["CMD [\"sh\"]", "ENV A=b"].map(|change| change.parse().unwrap()).to_vec();
        let options = ImportOptions {
            name: Some("box:v1".parse().unwrap()),
            changes,
            message: "Imported from -".into(),
            platform: Some("linux/arm64/v9".parse().unwrap()),
            ..ImportOptions::default()
        };
        let imported = setup.import(&bytes, &options).unwrap();
        let image = setup.store.resolve(&setup.conn, "box:v1").unwrap();
        assert_eq!(image.id, imported.id);
        assert_eq!(std::fs::read(image.layer_dirs[0].join("etc/hostname")).unwrap(), b"box", "{name}");
        let config = image.config.config().as_ref().unwrap();
        assert_eq!(config.cmd().as_ref().unwrap(), &["sh"]);
        assert_eq!(config.env().as_ref().unwrap(), &["A=b"]);
        assert_eq!(image.config.architecture().to_string(), "arm64");
        assert_eq!(image.config.variant().as_deref(), Some("v9"));
        let steps = setup.store.history(&setup.conn, &image).unwrap();
        assert_eq!((steps[0].comment.as_str(), steps[0].size), ("Imported from -", 3));
        assert!(steps[0].created.unwrap() > 1_700_000_000);
        setup.store.verify(&setup.conn, &image).unwrap();
        assert!(setup.store.check(&setup.conn, false).unwrap().is_empty());
    }
}

#[test]
fn a_nameless_image_and_a_name_that_moves() {
    let setup = Setup::new();
    let imported = setup.import(&Tar::new().file("a", "").end(), &ImportOptions::default()).unwrap();
    let image = setup.store.resolve(&setup.conn, imported.id.short()).unwrap();
    assert!(image.names.is_empty());
    let named = ImportOptions { name: Some("box".parse().unwrap()), ..ImportOptions::default() };
    setup.import(&Tar::new().file("b", "").end(), &named).unwrap();
    let before = setup.store.resolve(&setup.conn, "box").unwrap();
    let again = setup.import(&Tar::new().file("c", "").end(), &named).unwrap();
    assert_eq!(again.replaced, Some(before.manifest));
}

#[test]
fn what_is_no_root_file_system() {
    let setup = Setup::new();
    let message = |tar: &[u8]| setup.import(tar, &ImportOptions::default()).unwrap_err().to_string();
    assert!(message(b"hello").contains("not a valid tar archive"), "{}", message(b"hello"));
    assert!(message(&Tar::new().file("../x", "").end()).contains("has \"..\" in its path"));
    let xz = [&[0xfd, b'7', b'z', b'X', b'Z', 0][..], &[0; 100]].concat();
    assert!(message(&xz).contains("xz compression is not supported"), "{}", message(&xz));
    setup.assert_empty();
}
