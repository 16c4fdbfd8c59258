use super::*;

fn read_all(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = TarReader::new(archive, 1000);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        loop {
            let part = reader.data()?.to_vec();
            if part.is_empty() {
                break;
            }
            reader.consume(part.len());
            data.extend(part);
        }
        found.push((entry, data));
    }
    Ok(found)
}

fn header(kind: u8, name: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::new(kind));
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_size(size);
    header.set_cksum();
    header
}

fn member(kind: u8, name: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, name, data.len() as u64).as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn pax(records: &str) -> Vec<u8> {
    let mut data = String::new();
    for record in records.lines() {
        let rest = record.len() + 2;
        let length = (rest..rest + 9).find(|n| n.to_string().len() + rest == *n).unwrap();
        data.extend([length.to_string().as_str(), " ", record, "\n"]);
    }
    member(b'x', "pax", data.as_bytes())
}

fn malformed(archive: &[u8]) -> &'static str {
    match read_all(archive) {
        Err(TarError::Malformed(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_what_gnu_tar_writes() {
    let directory = tempfile::tempdir().unwrap();
    let long = "d".repeat(120);
    std::fs::create_dir(directory.path().join(&long)).unwrap();
    std::fs::write(directory.path().join(&long).join("f".repeat(200)), b"content").unwrap();
    for format in ["gnu", "pax", "posix"] {
        let output = std::process::Command::new("tar")
            .args(["--format", format, "--sort=name", "-C"])
            .arg(directory.path())
            .args(["-cf", "-", "."])
            .output()
            .unwrap();
        let entries = read_all(&output.stdout).unwrap();
        let names: Vec<_> = entries.iter().map(|(entry, _)| String::from_utf8_lossy(&entry.path)).collect();
        assert_eq!(
            names[..],
            ["./".into(), format!("./{long}/"), format!("./{long}/{}", "f".repeat(200))],
            "{format}"
        );
        assert_eq!(entries[2].1, b"content");
        assert_eq!(entries[1].0.kind, Kind::Directory);
    }
}

#[test]
fn reads_sparse_files_of_every_format() {
    use std::os::unix::fs::FileExt;
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("s")).unwrap();
    // More pieces than one old GNU header has room for, and a hole at the end.
    for piece in 0..40u64 {
        file.write_all_at(&[b'a' + (piece % 26) as u8; 4096], piece * 65_536).unwrap();
    }
    file.set_len(4 << 20).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let output = std::process::Command::new("tar")
            .args(format)
            .args(["--sparse", "--hole-detection=raw", "-C"])
            .arg(directory.path())
            .args(["-cf", "-", "s"])
            .output()
            .unwrap();
        let entries = read_all(&output.stdout).unwrap();
        let (entry, data) = &entries[0];
        assert_eq!((entry.path.as_slice(), entry.size), (&b"s"[..], 4 << 20), "{format:?}");
        let pieces: Vec<_> = entry.sparse.as_ref().unwrap().iter().filter(|piece| piece.length > 0).collect();
        assert_eq!(pieces.len(), 40, "{format:?}");
        assert_eq!((pieces[39].offset, pieces[39].length), (39 * 65_536, 4096));
        assert_eq!((data.len(), data[39 * 4096]), (40 * 4096, b'a' + 13));
    }
}

#[test]
fn extended_headers_override() {
    let archive = [
        pax("path=new/name\nuid=70000\nmtime=5.25\nSCHILY.xattr.user.x=1"),
        member(b'L', "l", b"gnu/name\0"),
        member(b'0', "old", b"abc"),
        member(b'g', "g", b""),
        member(b'0', "next", b""),
    ]
    .concat();
    let entries = read_all(&archive).unwrap();
    let entry = &entries[0].0;
    assert_eq!(
        (entry.path.as_slice(), entry.uid, entry.gid, entry.mtime),
        (&b"new/name"[..], 70_000, 2, (5, 250_000_000))
    );
    assert_eq!(entry.xattrs, [(b"user.x".to_vec(), b"1".to_vec())]);
    assert_eq!((entries[1].0.path.as_slice(), entries[1].0.uid), (&b"next"[..], 1));
}

#[test]
fn only_files_have_data() {
    // As in Go: a link with a size is followed at once by the next header.
    let mut archive = header(b'1', "link", 1024).as_bytes().to_vec();
    archive.extend(member(b'0', "file", b"x"));
    let entries = read_all(&archive).unwrap();
    assert_eq!((entries[0].0.size, entries[1].0.path.as_slice()), (0, &b"file"[..]));
}

#[test]
fn lengths_are_bounded_before_memory_is_taken() {
    assert_eq!(
        malformed(header(b'L', "l", 1 << 40).as_bytes()),
        "a long name or extended header is too long"
    );
    assert_eq!(
        malformed(header(b'x', "x", 2 << 20).as_bytes()),
        "a long name or extended header is too long"
    );
    let archive = [pax(&format!("path={}", "a/".repeat(3000))), member(b'0', "f", b"")].concat();
    assert_eq!(malformed(&archive), "a path is longer than 4095 bytes");
    let archive = [pax(&format!("size={}", u64::MAX)), member(b'0', "f", b"")].concat();
    assert_eq!(malformed(&archive), "a size is out of range");
    let headers = member(b'g', "g", b"").repeat(1001);
    assert!(matches!(read_all(&headers), Err(TarError::TooManyHeaders)));
}

#[test]
fn malformed_archives_are_errors() {
    let whole = [member(b'0', "f", &[1; 1000]), vec![0; 1024]].concat();
    assert_eq!(read_all(&whole).unwrap().len(), 1);
    assert_eq!(malformed(&whole[..700]), "it is truncated");
    assert_eq!(malformed(&whole[..100]), "it is truncated");
    assert_eq!(malformed(&[7; 512]), "a number in a header is malformed");
    assert_eq!(
        malformed(&[vec![0; 512], whole.clone()].concat()),
        "a block of zeros stands between its entries"
    );
    assert_eq!(malformed(&member(b'V', "label", b"")), "it has an entry of unknown type");
    let archive =
        [pax("GNU.sparse.major=1\nGNU.sparse.realsize=10"), member(b'0', "f", b"1\n0\n5\n")].concat();
    assert_eq!(malformed(&archive), "a sparse map is truncated");
}

#[test]
fn no_input_panics() {
    // Every byte of a rich archive, replaced by a few telling values.
    let archive = [
        pax("path=a\nGNU.sparse.major=1\nGNU.sparse.realsize=10"),
        member(b'0', "f", &[b"1\n0\n5\n".as_slice(), &[0; 506], b"hello"].concat()),
        member(b'L', "l", b"name\0"),
        member(b'5', "d/", b""),
    ]
    .concat();
    for at in 0..archive.len() {
        for value in [0, b'0', b'9', 0x80, 0xff] {
            let mut changed = archive.clone();
            changed[at] = value;
            let _ = read_all(&changed);
        }
    }
}
