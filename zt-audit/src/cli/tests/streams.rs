use std::{
    fs,
    io::{self, Write},
    sync::Arc,
};

use zt_core::clock::SystemClock;

use crate::{AuditLog, Options, cli::Surroundings};

/// Whose reader has left.
struct Left;

impl Write for Left {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_bad_verdict_is_no_success_where_its_reader_has_left() {
    let folder = std::env::temp_dir().join(format!("zt-audit-left-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let audit = folder.join("audit");
    let log = AuditLog::open(&audit, Options::default()).unwrap();
    log.close().unwrap();
    let verify = |more: &[&str]| {
        let arguments = ["verify".into(), audit.clone().into_os_string()];
        let more = more.iter().map(Into::into);
        super::super::main(
            arguments.into_iter().chain(more),
            &mut Surroundings {
                input: &mut io::empty(),
                out: &mut Left,
                err: &mut Vec::new(),
                colours: false,
                shows_progress: false,
                clock: Arc::new(SystemClock),
                wait: &mut |_| false,
            },
        )
    };
    assert_eq!(verify(&[]), 0);
    assert_eq!(verify(&["--max-age", "0s"]), 2);
    assert_eq!(verify(&["--max-age", "0s", "--json"]), 2);
    fs::remove_dir_all(&folder).unwrap();
}
