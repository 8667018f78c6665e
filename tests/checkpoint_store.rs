//! A directory of checkpoints survives whatever is done to it: damage is found, told and passed over, a disk that is
//! full costs the checkpoint at hand and nothing else, and one engine at a time has it.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use varpin::checkpoint::{
    Checkpoint, Damage, Disk, FORMAT_VERSION, Fingerprint, Holding, Section, Step, Store, StoreError, list,
};

fn sample(events: u64) -> Checkpoint {
    let section = |name: &str, bytes: usize| Section {
        name: name.to_owned(),
        holdings: vec![Holding { stream: "S".to_owned(), keys: 3, items: 7 }],
        bytes: (0..bytes).map(|at| (at * 7 + events as usize) as u8).collect(),
        further: Vec::new(),
    };
    Checkpoint {
        id: 0,
        created_ns: 1_700_000_000_000_000_000,
        events,
        seq: events + 1,
        fingerprints: vec![Fingerprint { part: "stream S".to_owned(), print: 0xfeed }],
        sections: vec![section("input", 10), section("main", 3000), section("output", 0)],
    }
}

/// A store in which so many checkpoints were written.
fn store_with(directory: &Path, checkpoints: u64) -> Store {
    let mut store = Store::open(directory, 3).unwrap();
    for events in 1..=checkpoints {
        store.write(&mut sample(events)).unwrap();
    }
    store
}

fn newest_file(directory: &Path) -> PathBuf {
    list(directory).unwrap().pop().unwrap().path
}

#[test]
fn what_is_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    drop(store_with(directory.path(), 2));
    let mut store = Store::open(directory.path(), 3).unwrap();
    let found = store.newest().unwrap().unwrap();
    assert_eq!(found.checkpoint, Checkpoint { id: 2, ..sample(2) });
    assert!(found.passed_over.is_empty());
    store.write(&mut sample(3)).unwrap();
    assert_eq!(store.newest().unwrap().unwrap().checkpoint.id, 3, "ids go on");
}

#[test]
fn a_new_directory_is_made_and_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path().join("a/b"), 3).unwrap();
    assert!(store.newest().unwrap().is_none());
}

#[test]
fn the_newest_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    drop(store_with(directory.path(), 7));
    let ids: Vec<u64> =
        list(directory.path()).unwrap().iter().map(|listed| listed.content.as_ref().unwrap().id).collect();
    assert_eq!(ids, [5, 6, 7]);
}

#[test]
fn damage_at_every_byte_is_found_and_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    drop(store_with(directory.path(), 2));
    let newest = newest_file(directory.path());
    let whole = fs::read(&newest).unwrap();
    // Everything in front of the first section, and every hundredth byte from there.
    for at in (0..200).chain((200..whole.len()).step_by(100)).chain([whole.len() - 1]) {
        for mask in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            fs::write(&newest, &bytes).unwrap();
            assert!(Checkpoint::read_from(&bytes).is_err(), "byte {at}");
            let found = Store::open(directory.path(), 3).unwrap().newest().unwrap().unwrap();
            assert_eq!(found.checkpoint.id, 1, "byte {at}");
            assert_eq!(found.passed_over.len(), 1, "byte {at}");
        }
    }
}

#[test]
fn a_file_that_was_cut_anywhere_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    drop(store_with(directory.path(), 2));
    let newest = newest_file(directory.path());
    let whole = fs::read(&newest).unwrap();
    for length in (0..100).chain((100..whole.len()).step_by(97)) {
        fs::write(&newest, &whole[..length]).unwrap();
        let found = Store::open(directory.path(), 3).unwrap().newest().unwrap().unwrap();
        assert_eq!(found.checkpoint.id, 1, "{length} bytes");
        let (path, damage) = &found.passed_over[0];
        assert_eq!(path, &newest);
        assert!(matches!(damage, Damage::Length { .. }), "{length} bytes: {damage}");
    }
}

#[test]
fn where_none_is_whole_nothing_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    drop(store_with(directory.path(), 2));
    for listed in list(directory.path()).unwrap() {
        fs::write(listed.path, "VARPINCP and no more").unwrap();
    }
    let error = Store::open(directory.path(), 3).unwrap().newest().unwrap_err();
    assert!(matches!(&error, StoreError::AllDamaged { damaged, .. } if damaged.len() == 2), "{error}");
    assert!(error.to_string().contains("remove them to begin anew"), "{error}");
}

#[test]
fn another_format_is_named() {
    let mut bytes = Vec::new();
    sample(1).write_to(&mut bytes, |_| Ok(())).unwrap();
    // The first had nothing of results that wait for their checkpoint, the second all state of a stage in one piece.
    for other in [1, 2, 9] {
        bytes[8] = other;
        assert_eq!(Checkpoint::read_from(&bytes), Err(Damage::Version(other.into())));
    }
    assert_eq!(FORMAT_VERSION, 3, "a new version needs a test that the old one is refused by name");
    assert_eq!(Checkpoint::read_from(b"not one of these at all"), Err(Damage::NoCheckpoint));
}

#[test]
fn content_that_only_looks_whole_is_no_panic() {
    // The checksum is right, the content is not: every count is set to something huge.
    let mut whole = Vec::new();
    sample(1).write_to(&mut whole, |_| Ok(())).unwrap();
    for at in 20..whole.len() - 8 {
        let mut bytes = whole[..whole.len() - 4].to_vec();
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let sum = crc32c_of(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        // Either it is found out, or what was changed was plain content.
        let _ = Checkpoint::read_from(&bytes);
    }
}

/// CRC-32C, bit by bit: what the store computes with another implementation.
fn crc32c_of(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !sum
}

#[test]
fn the_checksum_is_crc32c() {
    let mut bytes = Vec::new();
    sample(1).write_to(&mut bytes, |_| Ok(())).unwrap();
    let (content, sum) = bytes.split_at(bytes.len() - 4);
    assert_eq!(crc32c_of(content).to_le_bytes(), sum);
}

#[test]
fn one_engine_at_a_time_has_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), 3).unwrap();
    let error = Store::open(directory.path(), 3).unwrap_err();
    let own = std::process::id();
    assert!(matches!(error, StoreError::Locked { process: Some(process), .. } if process == own), "{error}");
    drop(store);
    Store::open(directory.path(), 3).unwrap();
}

/// Fails at one step, or when more bytes are written than there is room for.
#[derive(Clone)]
struct BadDisk {
    fails_at: Option<Step>,
    room: usize,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl Disk for BadDisk {
    fn at(&mut self, step: Step) -> io::Result<()> {
        self.steps.lock().unwrap().push(step);
        if self.fails_at == Some(step) { Err(io::Error::other("on purpose")) } else { Ok(()) }
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.room);
        if fits == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.room -= fits;
        io::Write::write(file, &bytes[..fits])
    }
}

#[test]
fn a_full_disk_costs_the_checkpoint_at_hand_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    drop(store_with(directory.path(), 1));
    for room in [0, 1, 50, 500, 3000] {
        let disk = BadDisk { fails_at: None, room, steps: Arc::default() };
        let mut store = Store::open(directory.path(), 3).unwrap().on(disk);
        let error = store.write(&mut sample(2)).unwrap_err();
        assert!(matches!(error, StoreError::Write { .. }), "{error}");
        assert_eq!(store.newest().unwrap().unwrap().checkpoint.events, 1);
        let left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the checkpoint and the lock, and no half of another: {left:?}");
    }
    store_with(directory.path(), 1);
}

#[test]
fn a_failure_at_any_step_leaves_a_whole_checkpoint() {
    let every = Arc::new(Mutex::new(Vec::new()));
    for step in Step::ALL {
        let directory = tempfile::tempdir().unwrap();
        drop(store_with(directory.path(), 1));
        let disk = BadDisk { fails_at: Some(step), room: usize::MAX, steps: Arc::clone(&every) };
        let mut store = Store::open(directory.path(), 3).unwrap().on(disk);
        let error = store.write(&mut sample(2)).unwrap_err().to_string();
        assert!(error.contains("on purpose"), "{error}");
        drop(store);
        let found = Store::open(directory.path(), 3).unwrap().newest().unwrap().unwrap();
        assert!(found.passed_over.is_empty());
        let renamed = matches!(step, Step::AfterRename | Step::BeforePrune);
        assert_eq!(found.checkpoint.events, if renamed { 2 } else { 1 }, "{}", step.name());
    }
    assert_eq!(every.lock().unwrap().last(), Some(&Step::BeforePrune), "every step is come to");
}

#[test]
fn what_a_killed_process_left_half_written_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    drop(store_with(directory.path(), 1));
    fs::write(directory.path().join("unfinished.tmp"), "half").unwrap();
    drop(Store::open(directory.path(), 3).unwrap());
    assert!(!directory.path().join("unfinished.tmp").exists());
}

#[test]
fn files_of_others_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["notes.txt", "x.checkpoint", "1.checkpoint.old"] {
        fs::write(directory.path().join(name), "mine").unwrap();
    }
    drop(store_with(directory.path(), 5));
    for name in ["notes.txt", "x.checkpoint", "1.checkpoint.old"] {
        assert_eq!(fs::read_to_string(directory.path().join(name)).unwrap(), "mine");
    }
}

#[test]
fn damaged_ones_do_not_push_whole_ones_out() {
    let directory = tempfile::tempdir().unwrap();
    drop(store_with(directory.path(), 3));
    let newest = newest_file(directory.path());
    OpenOptions::new().write(true).open(&newest).unwrap().set_len(100).unwrap();
    let mut store = Store::open(directory.path(), 3).unwrap();
    assert_eq!(store.newest().unwrap().unwrap().checkpoint.id, 2);
    store.write(&mut sample(4)).unwrap();
    let whole: Vec<u64> = list(directory.path())
        .unwrap()
        .iter()
        .filter_map(|listed| Some(listed.content.as_ref().ok()?.id))
        .collect();
    assert_eq!(whole, [1, 2, 4]);
}

#[test]
fn a_directory_without_permission_is_an_error_that_names_it() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o500)).unwrap();
    let opened = Store::open(&inner, 3);
    // Whoever may do everything is not kept out.
    if let Err(error) = opened {
        assert!(error.to_string().contains("inner"), "{error}");
    }
    // Where a directory is to be made below a file, nobody may.
    let file = outer.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(file.join("below"), 3).unwrap_err();
    assert!(matches!(&error, StoreError::Write { path, .. } if path.ends_with("file/below")), "{error}");
}
