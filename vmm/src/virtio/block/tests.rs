use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::{Block, BlockError};
use crate::config::BlockConfig;
use crate::virtio::device::VirtioDevice;
use crate::virtio::test_utils::{
    Buf, MockDriver, assert_interrupts_are_suppressed, publish_hostile_chains, readable, writable,
};

const SECTORS: u64 = 256;
const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;
const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPPORTED: u8 = 2;

struct Rig {
    file: NamedTempFile,
    block: Block,
    driver: MockDriver,
}

fn config(path: &Path, read_only: bool) -> BlockConfig {
    BlockConfig { path: path.to_owned(), read_only, serial: "disk-0".to_owned() }
}

/// A disk on which sector n is full of byte n.
fn rig(read_only: bool) -> Rig {
    let mut file = NamedTempFile::new().unwrap();
    for sector in 0..SECTORS {
        file.write_all(&[sector as u8; 512]).unwrap();
    }
    // Half a sector more, which is not part of the disk.
    file.write_all(&[77; 256]).unwrap();
    let opened = OpenOptions::new().read(true).write(!read_only).open(file.path()).unwrap();
    let mut block = Block::new(&config(file.path(), read_only), opened).unwrap();
    let driver = MockDriver::start(&mut block);
    Rig { file, block, driver }
}

impl Rig {
    /// A request with these data buffers; returns its status and the number of bytes that the device wrote.
    fn request(&mut self, kind: u32, sector: u64, data: &[Buf]) -> (u8, u32) {
        let header = [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat();
        let header = self.driver.alloc_bytes(&header);
        let status = self.driver.alloc_bytes(&[99]);
        let mut chain = vec![readable(header, 16)];
        chain.extend(data);
        chain.push(writable(status, 1));
        let written = self.driver.request(0, &chain);
        (self.driver.bytes(status, 1)[0], written)
    }

    fn ranges(&mut self, kind: u32, ranges: &[(u64, u32, u32)]) -> u8 {
        let bytes: Vec<u8> = ranges
            .iter()
            .flat_map(|(sector, count, flags)| {
                [&sector.to_le_bytes()[..], &count.to_le_bytes(), &flags.to_le_bytes()].concat()
            })
            .collect();
        let address = self.driver.alloc_bytes(&bytes);
        self.request(kind, 0, &[readable(address, bytes.len() as u32)]).0
    }

    fn content(&self) -> Vec<u8> {
        std::fs::read(self.file.path()).unwrap()
    }
}

#[test]
fn reads_sectors_into_several_buffers() {
    let mut rig = rig(false);
    let (a, b) = (rig.driver.alloc(700), rig.driver.alloc(324));
    assert_eq!(rig.request(IN, 3, &[writable(a, 700), writable(b, 324)]), (OK, 1025));
    assert_eq!(rig.driver.bytes(a, 700), [vec![3; 512], vec![4; 188]].concat());
    assert_eq!(rig.driver.bytes(b, 324), [4; 324]);
}

#[test]
fn writes_sectors_from_several_buffers_and_flushes() {
    let mut rig = rig(false);
    let data = rig.driver.alloc_bytes(&[200; 1024]);
    assert_eq!(rig.request(OUT, 10, &[readable(data, 100), readable(data, 924)]), (OK, 1));
    assert_eq!(rig.request(FLUSH, 0, &[]), (OK, 1));
    let content = rig.content();
    assert_eq!(content[9 * 512..10 * 512], [9; 512]);
    assert_eq!(content[10 * 512..12 * 512], [200; 1024]);
    assert_eq!(content[12 * 512..13 * 512], [12; 512]);
}

#[test]
fn header_and_status_may_share_buffers_with_data() {
    let mut rig = rig(false);
    let mut request = [&OUT.to_le_bytes()[..], &[0; 4], &5_u64.to_le_bytes()].concat();
    request.extend([111; 512]);
    let address = rig.driver.alloc_bytes(&request);
    let status = rig.driver.alloc_bytes(&[99]);
    assert_eq!(rig.driver.request(0, &[readable(address, 528), writable(status, 1)]), 1);
    assert_eq!(rig.content()[5 * 512..6 * 512], [111; 512]);
    let header = rig.driver.alloc_bytes(&[&IN.to_le_bytes()[..], &[0; 4], &5_u64.to_le_bytes()].concat());
    let answer = rig.driver.alloc_bytes(&[99; 513]);
    assert_eq!(rig.driver.request(0, &[readable(header, 16), writable(answer, 513)]), 513);
    assert_eq!(rig.driver.bytes(answer, 513), [vec![111; 512], vec![OK]].concat());
}

#[test]
fn the_disk_ends_at_its_last_whole_sector() {
    let mut rig = rig(false);
    let buffer = rig.driver.alloc(4096);
    assert_eq!(rig.request(IN, SECTORS - 1, &[writable(buffer, 512)]), (OK, 513));
    for (sector, len) in
        [(SECTORS, 512), (SECTORS - 1, 1024), (u64::MAX, 512), (u64::MAX / 512, 512), (1 << 55, 512)]
    {
        assert_eq!(rig.request(IN, sector, &[writable(buffer, len)]), (IOERR, 1), "read {sector}");
        assert_eq!(rig.request(OUT, sector, &[readable(buffer, len)]), (IOERR, 1), "write {sector}");
    }
    assert_eq!(rig.content().len() as u64, SECTORS * 512 + 256, "the file has not grown");
    assert_eq!(rig.content()[SECTORS as usize * 512..], [77; 256]);
}

#[test]
fn parts_of_sectors_are_refused() {
    let mut rig = rig(false);
    let buffer = rig.driver.alloc(512);
    assert_eq!(rig.request(IN, 0, &[writable(buffer, 511)]), (IOERR, 1));
    assert_eq!(rig.request(OUT, 0, &[readable(buffer, 1)]), (IOERR, 1));
    assert_eq!(rig.content()[..512], [0; 512]);
}

#[test]
fn a_read_only_disk_is_not_written_whatever_the_driver_says() {
    let mut rig = rig(true);
    assert_eq!(rig.block.features() & (1 << 5), 1 << 5);
    assert_eq!(rig.block.features() & (1 << 13 | 1 << 14), 0);
    let before = rig.content();
    let data = rig.driver.alloc_bytes(&[200; 512]);
    assert_eq!(rig.request(OUT, 0, &[readable(data, 512)]), (IOERR, 1));
    assert_eq!(rig.ranges(DISCARD, &[(0, 8, 0)]), IOERR);
    assert_eq!(rig.ranges(WRITE_ZEROES, &[(0, 8, 1)]), IOERR);
    assert_eq!(rig.request(FLUSH, 0, &[]), (OK, 1));
    assert_eq!(rig.request(IN, 7, &[writable(data, 512)]), (OK, 513));
    assert!(rig.content() == before);
    // Even where the file itself could be written.
    let opened = OpenOptions::new().read(true).write(true).open(rig.file.path()).unwrap();
    rig.block = Block::new(&config(rig.file.path(), true), opened).unwrap();
    rig.driver = MockDriver::start(&mut rig.block);
    let data = rig.driver.alloc_bytes(&[200; 512]);
    assert_eq!(rig.request(OUT, 0, &[readable(data, 512)]), (IOERR, 1));
    assert!(rig.content() == before);
}

#[test]
fn the_id_is_the_serial() {
    let mut rig = rig(false);
    let buffer = rig.driver.alloc_bytes(&[9; 24]);
    assert_eq!(rig.request(GET_ID, 0, &[writable(buffer, 20)]), (OK, 21));
    assert_eq!(rig.driver.bytes(buffer, 24), [&b"disk-0"[..], &[0; 14], &[9; 4]].concat());
    assert_eq!(rig.request(GET_ID, 0, &[writable(buffer, 3)]), (OK, 4));
}

#[test]
fn discarded_and_zeroed_ranges_read_as_zeroes() {
    let mut rig = rig(false);
    let blocks = rig.file.as_file().metadata().unwrap().blocks();
    assert_eq!(rig.ranges(DISCARD, &[(0, 64, 0), (100, 0, 0)]), OK);
    assert!(rig.file.as_file().metadata().unwrap().blocks() < blocks, "the space is given back");
    assert_eq!(rig.ranges(WRITE_ZEROES, &[(64, 8, 0), (80, 8, 1)]), OK);
    let content = rig.content();
    assert_eq!(content[..72 * 512], vec![0; 72 * 512]);
    assert_eq!(content[72 * 512..73 * 512], [72; 512]);
    assert_eq!(content[80 * 512..88 * 512], vec![0; 8 * 512]);
    assert_eq!(content[88 * 512..89 * 512], [88; 512]);
}

#[test]
fn wrong_ranges_change_nothing() {
    let mut rig = rig(false);
    let before = rig.content();
    assert_eq!(rig.ranges(DISCARD, &[(0, 8, 0), (SECTORS, 1, 0)]), IOERR);
    assert_eq!(rig.ranges(DISCARD, &[(u64::MAX, 8, 0)]), IOERR);
    assert_eq!(rig.ranges(DISCARD, &[(0, u32::MAX, 0)]), IOERR);
    assert_eq!(rig.ranges(DISCARD, &[(0, 8, 1)]), UNSUPPORTED, "unmap is for zeroes");
    assert_eq!(rig.ranges(WRITE_ZEROES, &[(0, 8, 2)]), UNSUPPORTED);
    assert_eq!(rig.ranges(WRITE_ZEROES, &[(0, 1, 0); 17]), IOERR);
    assert_eq!(rig.ranges(WRITE_ZEROES, &[]), IOERR);
    let address = rig.driver.alloc(64);
    assert_eq!(rig.request(DISCARD, 0, &[readable(address, 15)]), (IOERR, 1));
    assert!(rig.content() == before);
}

#[test]
fn unknown_requests_are_unsupported() {
    let mut rig = rig(false);
    for kind in [2, 3, 14, 99, u32::MAX] {
        assert_eq!(rig.request(kind, 0, &[]), (UNSUPPORTED, 1));
    }
}

#[test]
fn hostile_chains_do_not_stop_the_disk() {
    let mut rig = rig(false);
    let count = publish_hostile_chains(&mut rig.driver, 0);
    for _ in 0..count {
        assert_eq!(rig.driver.wait_used(0).1, 0);
    }
    // A header that is cut short, and no room for a status.
    let header = rig.driver.alloc_bytes(&[0; 16]);
    let status = rig.driver.alloc_bytes(&[99]);
    assert_eq!(rig.driver.request(0, &[readable(header, 15), writable(status, 1)]), 1);
    assert_eq!(rig.driver.bytes(status, 1), [IOERR]);
    assert_eq!(rig.driver.request(0, &[readable(header, 16)]), 0);
    // Data in the wrong direction is no data.
    assert_eq!(rig.driver.request(0, &[readable(header, 16), readable(header, 512), writable(status, 1)]), 1);
    assert_eq!(rig.request(IN, 1, &[writable(header, 512)]), (OK, 513));
}

#[test]
fn a_truncated_file_is_an_error_not_a_hang() {
    let mut rig = rig(false);
    rig.file.as_file().set_len(512).unwrap();
    let buffer = rig.driver.alloc(1024);
    assert_eq!(rig.request(IN, 0, &[writable(buffer, 1024)]), (IOERR, 1));
}

#[test]
fn a_reset_while_busy_leaves_a_usable_disk() {
    let mut rig = rig(false);
    let header = rig.driver.alloc_bytes(&[0; 16]);
    let buffer = rig.driver.alloc(65536);
    for _ in 0..40 {
        rig.driver.queues[0].add(&[readable(header, 16), writable(buffer, 65536), writable(buffer, 1)]);
    }
    rig.driver.queues[0].kick();
    rig.block.reset();
    rig.block.reset();
    rig.driver = MockDriver::start(&mut rig.block);
    let buffer = rig.driver.alloc(512);
    assert_eq!(rig.request(IN, 2, &[writable(buffer, 512)]), (OK, 513));
    assert_eq!(rig.driver.bytes(buffer, 512), [2; 512]);
}

#[test]
fn the_configuration_space_describes_the_disk() {
    let rig = rig(false);
    let mut config = [0; 64];
    rig.block.read_config(0, &mut config);
    assert_eq!(config[..8], SECTORS.to_le_bytes());
    assert_eq!(config[12..16], 126_u32.to_le_bytes());
    assert_eq!(config[20..24], 512_u32.to_le_bytes());
    assert_eq!(config[44..48], 1_u32.to_le_bytes());
    assert_eq!(config[60..], [0; 4]);
    assert_eq!(rig.block.device_type(), 2);
}

#[test]
fn only_disks_are_taken() {
    let new = |path: PathBuf, read_only: bool, serial: &str| {
        let file = OpenOptions::new().read(true).write(!read_only).open(&path).unwrap();
        Block::new(&BlockConfig { path, read_only, serial: serial.to_owned() }, file)
    };
    let file = NamedTempFile::new().unwrap();
    assert!(matches!(new(file.path().to_owned(), false, ""), Err(BlockError::Empty { .. })));
    file.as_file().set_len(512).unwrap();
    assert!(matches!(
        new(file.path().to_owned(), false, "123456789012345678901"),
        Err(BlockError::Serial { .. })
    ));
    assert!(new(file.path().to_owned(), false, "12345678901234567890").is_ok());
    assert!(matches!(new("/dev/null".into(), true, ""), Err(BlockError::NoDisk { .. })));
    assert!(matches!(new(std::env::temp_dir(), true, ""), Err(BlockError::NoDisk { .. })));
    let opened = File::open(file.path()).unwrap();
    assert!(matches!(Block::new(&config(file.path(), false), opened), Err(BlockError::NotWritable { .. })));
}

#[test]
fn a_qcow2_header_is_just_bytes() {
    // CVE-2026-27211: an image format with a backing file must never be recognised.
    let mut rig = rig(false);
    let mut qcow = b"QFI\xfb\0\0\0\x03".to_vec();
    qcow.resize(512, 1);
    let data = rig.driver.alloc_bytes(&qcow);
    assert_eq!(rig.request(OUT, 0, &[readable(data, 512)]).0, OK);
    let opened = OpenOptions::new().read(true).write(true).open(rig.file.path()).unwrap();
    rig.block = Block::new(&config(rig.file.path(), false), opened).unwrap();
    rig.driver = MockDriver::start(&mut rig.block);
    let buffer = rig.driver.alloc(512);
    assert_eq!(rig.request(IN, 0, &[writable(buffer, 512)]), (OK, 513));
    assert_eq!(rig.driver.bytes(buffer, 512), qcow);
    let mut capacity = [0; 8];
    rig.block.read_config(0, &mut capacity);
    assert_eq!(u64::from_le_bytes(capacity), SECTORS);
}

#[test]
fn the_driver_decides_about_interrupts() {
    let mut rig = rig(false);
    let header = rig.driver.alloc_bytes(&[0; 16]);
    let chain = [readable(header, 16), writable(header + 64, 512), writable(header + 600, 1)];
    assert_interrupts_are_suppressed(&mut rig.block, &mut rig.driver, 0, &chain);
}

#[test]
fn without_flush_every_write_is_stable() {
    let mut rig = rig(false);
    rig.block.reset();
    let features = rig.block.features() & !(1 << 9);
    rig.driver = MockDriver::start_with(&mut rig.block, features);
    let data = rig.driver.alloc_bytes(&[200; 512]);
    assert_eq!(rig.request(OUT, 10, &[readable(data, 512)]), (OK, 1));
    assert_eq!(rig.content()[10 * 512..11 * 512], [200; 512]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is asked, the file keeps its size, what lies behind the disk stays, and the device answers.
    #[test]
    fn any_requests_leave_the_disk_alive(
        requests in proptest::collection::vec(
            (
                prop_oneof![0..15_u32, any::<u32>()],
                prop_oneof![0..300_u64, any::<u64>()],
                proptest::collection::vec((any::<bool>(), prop_oneof![0..2000_u32, Just(512), any::<u32>()]), 0..6),
                0..20_u32,
            ),
            1..60,
        )
    ) {
        let mut rig = rig(false);
        let buffer = rig.driver.alloc(4096);
        let header = rig.driver.alloc(64);
        for (kind, sector, data, header_len) in requests {
            let bytes = [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat();
            vm_memory::Bytes::write_slice(&rig.driver.ram, &bytes, vm_memory::GuestAddress(header)).unwrap();
            let mut chain = vec![readable(header, header_len)];
            chain.extend(data.into_iter().map(|(device_writes, len)| Buf { address: buffer, len, device_writes }));
            rig.driver.request(0, &chain);
        }
        prop_assert_eq!(rig.content().len() as u64, SECTORS * 512 + 256);
        prop_assert_eq!(&rig.content()[SECTORS as usize * 512..], &[77; 256][..]);
        prop_assert_eq!(rig.request(IN, 0, &[writable(buffer, 512)]), (OK, 513));
    }
}
