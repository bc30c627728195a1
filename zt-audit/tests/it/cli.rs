//! The program `zt-audit`.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use zt_audit::{AuditLog, Options};

fn run(arguments: &[&OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zt-audit"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Status and what was printed.
fn verify(file: &Path) -> (i32, String) {
    let output = run(&[OsStr::new("verify"), file.as_os_str()]);
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

/// A folder with a log of three records.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("zt-audit-cli-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for _ in 0..3 {
        let log = AuditLog::open(folder.join("log"), Options::default()).unwrap();
        log.close().unwrap();
    }
    folder
}

#[test]
fn a_damaged_log_is_1_and_the_record_is_named() {
    let folder = folder("damaged");
    let log = folder.join("log");
    let mut bytes = fs::read(&log).unwrap();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let at = second
        + bytes[second..]
            .iter()
            .position(|byte| *byte == b'k')
            .unwrap();
    bytes[at] = b'K';
    fs::write(&log, bytes).unwrap();
    let (status, said) = verify(&log);
    assert_eq!(status, 1);
    assert!(
        said.contains(&format!("record 1 at byte {second}:")),
        "{said}"
    );

    fs::write(&log, b"").unwrap();
    let (status, said) = verify(&log);
    assert_eq!(status, 1);
    assert!(said.contains("record 0 at byte 0"), "{said}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn half_a_record_is_2() {
    let folder = folder("torn");
    let log = folder.join("log");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 1]).unwrap();
    let (status, said) = verify(&log);
    assert_eq!(status, 2);
    assert!(said.contains("record 2 at byte"), "{said}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_it_cannot_read_or_understand_is_3() {
    let nothing = Path::new("/nonexistent/log");
    assert_eq!(verify(nothing).0, 3);
    assert_eq!(verify(Path::new("/")).0, 3);
    for arguments in [
        &[][..],
        &["verify"],
        &["check", "log"],
        &["verify", "a", "b"],
    ] {
        let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout.is_empty());
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .starts_with("usage")
        );
    }
}

#[test]
fn a_good_log_is_0_with_its_count_and_last_hash() {
    let folder = folder("good");
    let (status, said) = verify(&folder.join("log"));
    assert_eq!(status, 0);
    let report = zt_audit::verify(fs::File::open(folder.join("log")).unwrap()).unwrap();
    let hash: String = report
        .last_hash
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let expected = format!("3 records, the last hashes to {hash}\n");
    assert!(said.ends_with(&expected), "{said}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_s_name_cannot_write_on_the_terminal() {
    let folder = folder("name");
    let name = OsStr::from_bytes("a\u{1b}[2J\u{202e}\n\u{9b}".as_bytes());
    fs::rename(folder.join("log"), folder.join(name)).unwrap();
    let (status, said) = verify(&folder.join(name));
    assert_eq!(status, 0);
    let line = said.strip_suffix('\n').unwrap();
    assert!(
        line.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        "{said:?}"
    );
    fs::remove_dir_all(folder).unwrap();
}
