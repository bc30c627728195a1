//! Every way to change a log that the table has, done to the log and to the naive chain.

use zt_audit::note::{SigningKey, VerifierKey};
use zt_core::{clock::Timestamp, random::SeededEntropy};

use super::{
    files::{Files, commits, records, replace},
    forge, naive,
    world::World,
};
use crate::crash::events::{ORIGIN, signing_key};

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What becomes of the naive chain; `None` where it has no such thing.
    pub(crate) chain: Option<fn(&World) -> Vec<u8>>,
    pub(crate) log: fn(&World) -> Case,
    /// What is expected of the naive chain, of a reader with the key, and of one who has a copy of a
    /// checkpoint as well.
    pub(crate) expected: [&'static str; 3],
}

/// A changed log.
pub(crate) struct Case {
    pub(crate) files: Files,
    /// What is there when nobody changes anything; the reader's copy of a checkpoint is from here.
    pub(crate) honest: Files,
}

impl Case {
    /// The log, changed.
    fn of(world: &World, change: impl FnOnce(&mut Files)) -> Self {
        Self::from(&world.log, change)
    }

    fn from(honest: &Files, change: impl FnOnce(&mut Files)) -> Self {
        let mut files = honest.clone();
        change(&mut files);
        assert_ne!(&files, honest, "nothing was changed");
        Self {
            files,
            honest: honest.clone(),
        }
    }

    /// The lines of the middle segment, changed.
    fn middle(world: &World, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Self {
        Self::of(world, |files| {
            let name = files.segment(1);
            files.edit(&name, change);
        })
    }
}

const WHO: &str = "\"rule\":\"orders.create\"";
const OTHER: &str = "\"rule\":\"orders.delete\"";

/// The place of a permit in the middle of these lines.
fn permit_in(lines: &[Vec<u8>]) -> usize {
    let is_permit = |line: &[u8]| String::from_utf8_lossy(line).contains(WHO);
    let middle = lines.len() / 2;
    (middle..lines.len())
        .find(|place| is_permit(&lines[*place]))
        .unwrap()
}

fn chain_lines(chain: &[u8]) -> Vec<Vec<u8>> {
    chain
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

fn chain_edit(world: &World, edit: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let mut lines = chain_lines(&world.chain);
    edit(&mut lines);
    let changed = lines.concat();
    assert_ne!(changed, world.chain, "nothing was changed");
    changed
}

/// The naive chain with one event changed from `from` on, and every hash made anew.
fn chain_rewrite(world: &World, number: usize) -> Vec<u8> {
    let mut events = naive::events(&world.chain);
    events[number]["who"] = "mallory".into();
    naive::chain(&events)
}

/// The log with a permit changed in a segment, and every hash made anew.
fn rewrite(files: &mut Files, segment: usize) -> zt_audit::note::Checkpoint {
    let name = files.segment(segment);
    files.edit(&name, |lines| {
        let place = permit_in(lines);
        replace(&mut lines[place], WHO, OTHER);
    });
    forge::relink(files, ORIGIN)
}

fn noon() -> Timestamp {
    Timestamp::from_secs(1_893_456_000)
}

/// A key of the attacker's own, under the log's name.
fn own_key() -> SigningKey {
    SigningKey::generate(ORIGIN, &SeededEntropy::new(99)).unwrap()
}

/// Where the last batch of these lines begins.
fn last_batch(lines: &[Vec<u8>]) -> usize {
    let commits = commits(lines);
    commits[commits.len() - 2] + 1
}

fn hash_of_pruned(files: &Files) -> Vec<u8> {
    // As if the first segment had been dropped by the log itself.
    let lines = files.lines(&files.segment(0));
    let mut tree = zt_audit::merkle::Frontier::new();
    for place in records(&lines) {
        let line = &lines[place];
        tree.append(zt_audit::merkle::leaf_hash(&line[..line.len() - 1]));
    }
    let hashes: Vec<String> = tree
        .hashes()
        .iter()
        .map(|hash| format!("\"{hash}\""))
        .collect();
    format!(
        "{{\"before\":{},\"root\":\"{}\",\"hashes\":[{}]}}\n",
        tree.size(),
        tree.root(),
        hashes.join(",")
    )
    .into_bytes()
}

const FOUND: [&str; 3] = ["found", "tampered", "tampered"];

#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(crate) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "a value in a record changed",
            chain: Some(|world| {
                chain_edit(world, |lines| replace(&mut lines[9], "alice", "mallory"))
            }),
            log: |world| {
                Case::middle(world, |lines| {
                    let place = permit_in(lines);
                    replace(&mut lines[place], WHO, OTHER);
                })
            },
            expected: FOUND,
        },
        Row {
            name: "a space added to a record",
            chain: Some(|world| chain_edit(world, |lines| replace(&mut lines[9], ":{", ": {"))),
            log: |world| {
                Case::middle(world, |lines| {
                    let place = permit_in(lines);
                    replace(&mut lines[place], "\"rule\":", "\"rule\": ");
                })
            },
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "the keys of a record in another order",
            chain: Some(|world| {
                chain_edit(world, |lines| {
                    replace(&mut lines[9], "\"n\":9,", "");
                    replace(
                        &mut lines[9],
                        "\"who\":\"alice\"",
                        "\"who\":\"alice\",\"n\":9",
                    );
                })
            }),
            log: |world| {
                Case::middle(world, |lines| {
                    let place = permit_in(lines);
                    replace(&mut lines[place], &format!("{WHO},"), "");
                    replace(&mut lines[place], "}\n", &format!(",{WHO}}}\n"));
                })
            },
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "a key written twice in a record",
            chain: Some(|world| {
                chain_edit(world, |lines| {
                    let twice = "\"who\":\"mallory\",\"who\":\"alice\"";
                    replace(&mut lines[9], "\"who\":\"alice\"", twice);
                })
            }),
            log: |world| {
                Case::middle(world, |lines| {
                    let place = permit_in(lines);
                    replace(&mut lines[place], WHO, &format!("{OTHER},{WHO}"));
                })
            },
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "a record deleted",
            chain: Some(|world| chain_edit(world, |lines| drop(lines.remove(9)))),
            log: |world| {
                Case::middle(world, |lines| {
                    let place = permit_in(lines);
                    lines.remove(place);
                })
            },
            expected: FOUND,
        },
        Row {
            name: "a batch deleted with its commit line",
            chain: Some(|world| chain_edit(world, |lines| drop(lines.drain(5..9)))),
            log: |world| {
                Case::middle(world, |lines| {
                    let commits = commits(lines);
                    lines.drain(commits[2] + 1..=commits[3]);
                })
            },
            expected: FOUND,
        },
        Row {
            name: "a record inserted",
            chain: Some(|world| {
                chain_edit(world, |lines| {
                    let mut line = lines[9].clone();
                    replace(&mut line, "alice", "mallory");
                    lines.insert(10, line);
                })
            }),
            log: |world| {
                Case::middle(world, |lines| {
                    let place = permit_in(lines);
                    let mut line = lines[place].clone();
                    replace(&mut line, WHO, OTHER);
                    lines.insert(place + 1, line);
                })
            },
            expected: FOUND,
        },
        Row {
            name: "a record written twice",
            chain: Some(|world| chain_edit(world, |lines| lines.insert(10, lines[9].clone()))),
            log: |world| {
                Case::middle(world, |lines| {
                    let place = permit_in(lines);
                    lines.insert(place, lines[place].clone());
                })
            },
            expected: FOUND,
        },
        Row {
            name: "two records swapped",
            chain: Some(|world| chain_edit(world, |lines| lines.swap(9, 10))),
            log: |world| {
                Case::middle(world, |lines| {
                    let places = records(lines);
                    lines.swap(places[20], places[21]);
                })
            },
            expected: FOUND,
        },
        Row {
            name: "a record of a sibling log in the place of one",
            chain: Some(|world| {
                chain_edit(world, |lines| {
                    lines[9] = chain_lines(&world.chain_sibling)[9].clone();
                })
            }),
            log: |world| {
                let sibling = world.sibling.lines(&world.sibling.segment(1));
                Case::middle(world, |lines| {
                    let place = records(lines)[20];
                    lines[place] = sibling[records(&sibling)[20]].clone();
                })
            },
            expected: FOUND,
        },
        Row {
            name: "a segment of a sibling log in the place of one",
            chain: Some(|world| {
                chain_edit(world, |lines| {
                    lines.truncate(10);
                    lines.extend_from_slice(&chain_lines(&world.chain_sibling)[10..]);
                })
            }),
            log: |world| {
                Case::of(world, |files| {
                    let name = files.segment(1);
                    let from = &world.sibling.0[&world.sibling.segment(1)];
                    files.0.insert(name, from.clone());
                })
            },
            expected: FOUND,
        },
        Row {
            name: "a sibling log in the place of the whole log",
            chain: Some(|world| world.chain_sibling.clone()),
            log: |world| Case::of(world, |files| *files = world.sibling.clone()),
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "two segments swapped",
            chain: Some(|world| chain_edit(world, |lines| lines.rotate_left(10))),
            log: |world| {
                Case::of(world, |files| {
                    let (one, two) = (files.segment(0), files.segment(1));
                    let first = files.0.remove(&one).unwrap();
                    let second = files.0.insert(two, first).unwrap();
                    files.0.insert(one, second);
                })
            },
            expected: FOUND,
        },
        Row {
            name: "a segment renamed",
            chain: None,
            log: |world| {
                Case::of(world, |files| {
                    let name = files.segment(1);
                    let bytes = files.0.remove(&name).unwrap();
                    let other = "log/00000000000000000255.jsonl";
                    files.0.insert(other.to_owned(), bytes);
                })
            },
            expected: ["-", "tampered", "tampered"],
        },
        Row {
            name: "the first segment dropped",
            chain: Some(|world| chain_edit(world, |lines| drop(lines.drain(..7)))),
            log: |world| Case::of(world, |files| drop(files.0.remove(&files.segment(0)))),
            expected: FOUND,
        },
        Row {
            name: "the first segment dropped and declared as pruned",
            chain: None,
            log: |world| {
                Case::of(world, |files| {
                    let pruned = hash_of_pruned(files);
                    files.0.remove(&files.segment(0));
                    files.0.insert("pruned".to_owned(), pruned);
                })
            },
            expected: ["-", "tampered", "tampered"],
        },
        Row {
            name: "a segment in the middle dropped",
            chain: Some(|world| chain_edit(world, |lines| drop(lines.drain(7..14)))),
            log: |world| Case::of(world, |files| drop(files.0.remove(&files.segment(1)))),
            expected: FOUND,
        },
        Row {
            name: "the last segment dropped",
            chain: Some(|world| chain_edit(world, |lines| lines.truncate(14))),
            log: |world| Case::of(world, |files| drop(files.0.remove(&files.segment(2)))),
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "cut between records",
            chain: Some(|world| chain_edit(world, |lines| lines.truncate(19))),
            log: |world| {
                Case::of(world, |files| {
                    let name = files.segment(2);
                    files.edit(&name, |lines| lines.truncate(last_batch(lines)));
                })
            },
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "cut between records, and the checkpoint of then put back",
            chain: None,
            log: |world| {
                Case::of(world, |files| {
                    let name = files.segment(1);
                    let earlier = world.earlier.lines(&name).len();
                    files.0.remove(&files.segment(2));
                    files.edit(&name, |lines| lines.truncate(earlier));
                    let checkpoint = world.earlier.0["checkpoint"].clone();
                    files.0.insert("checkpoint".to_owned(), checkpoint);
                })
            },
            expected: ["-", "missed", "tampered"],
        },
        Row {
            name: "cut within a record, under a checkpoint",
            chain: Some(|world| {
                chain_edit(world, |lines| {
                    lines.truncate(19);
                    lines[18].truncate(30);
                })
            }),
            log: |world| {
                Case::of(world, |files| {
                    let name = files.segment(2);
                    files.edit(&name, |lines| {
                        lines.truncate(last_batch(lines) + 2);
                        lines.last_mut().unwrap().truncate(30);
                    });
                })
            },
            expected: ["unreadable", "tampered", "tampered"],
        },
        Row {
            name: "cut within a record that no checkpoint covers (as a crash does)",
            chain: Some(|world| {
                chain_edit(world, |lines| {
                    lines.truncate(20);
                    lines[19].truncate(30);
                })
            }),
            log: |world| {
                Case::from(&world.unsigned, |files| {
                    let name = files.segment(2);
                    files.edit(&name, |lines| {
                        lines.truncate(last_batch(lines) + 2);
                        lines.last_mut().unwrap().truncate(30);
                    });
                })
            },
            expected: ["unreadable", "torn", "torn"],
        },
        Row {
            name: "a page of NUL within a batch, under a checkpoint",
            chain: Some(|world| {
                let mut chain = world.chain.clone();
                chain[700..900].fill(0);
                chain
            }),
            log: |world| {
                Case::of(world, |files| {
                    let name = files.segment(1);
                    files.0.get_mut(&name).unwrap()[4096..8192].fill(0);
                })
            },
            expected: ["unreadable", "tampered", "tampered"],
        },
        Row {
            name: "a page of NUL in a batch before the last that no checkpoint covers",
            chain: None,
            log: |world| {
                Case::from(&world.unsigned, |files| {
                    let name = files.segment(2);
                    files.0.get_mut(&name).unwrap()[4096..8192].fill(0);
                })
            },
            expected: ["-", "tampered", "tampered"],
        },
        Row {
            name: "NUL in the last batch that no checkpoint covers (as a crash does)",
            chain: None,
            log: |world| {
                Case::from(&world.unsigned, |files| {
                    let name = files.segment(2);
                    let before = last_batch(&files.lines(&name));
                    let from: usize = files.lines(&name)[..before].iter().map(Vec::len).sum();
                    files.0.get_mut(&name).unwrap()[from + 10..from + 200].fill(0);
                })
            },
            expected: ["-", "torn", "torn"],
        },
        Row {
            name: "the end rewritten, hashes made anew",
            chain: Some(|world| chain_rewrite(world, 15)),
            log: |world| Case::of(world, |files| drop(rewrite(files, 2))),
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "everything rewritten, hashes made anew",
            chain: Some(|world| chain_rewrite(world, 0)),
            log: |world| Case::of(world, |files| drop(rewrite(files, 0))),
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "an empty file in its place",
            chain: Some(|_| Vec::new()),
            log: |world| {
                Case::of(world, |files| {
                    for name in files.segments() {
                        files.0.insert(name, Vec::new());
                    }
                })
            },
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "every file deleted",
            chain: Some(|_| Vec::new()),
            log: |world| Case::of(world, |files| files.0.clear()),
            expected: ["missed", "tampered", "tampered"],
        },
        Row {
            name: "the signatures stripped off the checkpoint",
            chain: None,
            log: |world| {
                Case::of(world, |files| {
                    let text = String::from_utf8(files.0["checkpoint"].clone()).unwrap();
                    let body = text.split_once("\n\n").unwrap().0;
                    let bytes = format!("{body}\n\n").into_bytes();
                    files.0.insert("checkpoint".to_owned(), bytes);
                })
            },
            expected: ["-", "tampered", "tampered"],
        },
        Row {
            name: "the checkpoint deleted",
            chain: None,
            log: |world| Case::of(world, |files| drop(files.0.remove("checkpoint"))),
            expected: ["-", "unsigned", "unsigned"],
        },
        Row {
            name: "everything rewritten, signed with a key of the attacker's",
            chain: None,
            log: |world| {
                Case::of(world, |files| {
                    let checkpoint = rewrite(files, 0);
                    forge::sign(files, checkpoint, &own_key(), noon());
                })
            },
            expected: ["-", "tampered", "tampered"],
        },
        Row {
            name: "a key of the attacker's put in force by a record, and signed with it",
            chain: None,
            log: |world| {
                Case::of(world, |files| {
                    let name = files.segment(1);
                    let key: VerifierKey = own_key().verifier();
                    files.edit(&name, |lines| {
                        let place = permit_in(lines);
                        let text = String::from_utf8(lines[place].clone()).unwrap();
                        let head = text.split_once("\"kind\":").unwrap().0;
                        let end = text.find("\"origin\":").unwrap();
                        let prev = text.find("\"prev\":").unwrap();
                        let links = &text[end..prev + "\"prev\":\"\"".len() + 64];
                        let rest = format!("\"action\":\"rotated\",\"vkey\":\"{key}\"");
                        lines[place] =
                            format!("{head}\"kind\":\"key\",{links},{rest}}}\n").into_bytes();
                    });
                    let checkpoint = forge::relink(files, ORIGIN);
                    forge::sign(files, checkpoint, &own_key(), noon());
                })
            },
            expected: ["-", "tampered", "tampered"],
        },
        Row {
            name: "the checkpoint of a sibling log in its place",
            chain: None,
            log: |world| {
                Case::of(world, |files| {
                    let bytes = world.sibling.0["checkpoint"].clone();
                    files.0.insert("checkpoint".to_owned(), bytes);
                })
            },
            expected: ["-", "tampered", "tampered"],
        },
        Row {
            name: "the past rewritten, signed with the log's own, stolen key",
            chain: None,
            log: |world| {
                Case::of(world, |files| {
                    let checkpoint = rewrite(files, 0);
                    forge::sign(files, checkpoint, &signing_key(1), noon());
                })
            },
            expected: ["-", "missed", "tampered"],
        },
        Row {
            name: "the whole folder rolled back",
            chain: Some(|world| chain_edit(world, |lines| lines.truncate(10))),
            log: |world| Case::of(world, |files| *files = world.earlier.clone()),
            expected: ["missed", "missed", "tampered"],
        },
        Row {
            name: "two histories for two readers",
            chain: Some(|world| chain_rewrite(world, 10)),
            log: |world| Case::of(world, |files| *files = world.other.clone()),
            expected: ["missed", "missed", "tampered"],
        },
        Row {
            name: "the last second rewritten before it was signed",
            chain: Some(|world| chain_rewrite(world, 19)),
            log: |world| Case::from(&world.unsigned, |files| drop(rewrite(files, 2))),
            expected: ["missed", "missed", "missed"],
        },
        Row {
            name: "sealed data altered",
            chain: None,
            log: |world| {
                Case::middle(world, |lines| {
                    let sealed = "\"sealed\":[[\"";
                    let has = |line: &Vec<u8>| String::from_utf8_lossy(line).contains(sealed);
                    let line = lines.iter_mut().find(|line| has(line)).unwrap();
                    let text = String::from_utf8(line.clone()).unwrap();
                    let begin = text.find(sealed).unwrap() + sealed.len() + 35;
                    let old = line[begin + 8];
                    line[begin + 8] = if old == b'A' { b'B' } else { b'A' };
                })
            },
            expected: ["-", "tampered", "tampered"],
        },
    ]
}
