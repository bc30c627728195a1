use super::run;

const COMMANDS: [&str; 12] = [
    "verify",
    "status",
    "tail",
    "query",
    "export",
    "prove",
    "consistency",
    "publish",
    "keys",
    "erase",
    "prune",
    "repair",
];

#[test]
fn what_it_does_not_understand_is_3_and_says_where_help_is() {
    for (arguments, says) in [
        (&["check"][..], "there is no command `check`"),
        (&["--frob"], "there is no option `--frob`"),
        (&["help", "frob"], "there is no command `frob`"),
        (&["tail"], "it needs LOG"),
        (&["tail", "a", "b"], "`b` is one too many"),
        (&["tail", "a", "--frob"], "there is no option `--frob`"),
        (&["tail", "a", "-x"], "there is no option `-x`"),
        (&["tail", "a", "-n"], "`-n` needs a value"),
        (&["tail", "a", "-n", "ten"], "`ten` is not a whole number"),
        (&["tail", "a", "-n", "-1"], "`-1` is not a whole number"),
        (
            &["tail", "a", "-n1", "-n2"],
            "`--lines` stands there more than once",
        ),
        (
            &["tail", "a", "--follow=yes"],
            "`--follow` takes no value, and has `yes`",
        ),
        (&["tail", "a", "--color", "pink"], "not `pink`"),
        (&["query", "a", "--kind", "frob"], "there is no kind `frob`"),
        (&["query", "a", "--decision", "maybe"], "not `maybe`"),
        (
            &["query", "a", "--from", "once"],
            "`once` is neither a time",
        ),
        (
            &["query", "a", "--issuer", "i"],
            "`--issuer` needs `--subject`",
        ),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, 3, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(says), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("--help`"), "{arguments:?}: {ran:?}");
        assert_eq!(ran.out, "", "{arguments:?}");
    }
}

#[test]
fn nothing_at_all_is_3_and_shows_the_commands() {
    let ran = run(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    for command in COMMANDS {
        assert!(ran.err.contains(&format!("\n  {command} ")), "{command}");
    }
}

#[test]
fn an_argument_cannot_write_on_the_terminal() {
    for argument in ["\u{1b}[2J", "a\nzt-audit: sound", "\u{202e}"] {
        for arguments in [
            &[argument][..],
            &["tail", argument],
            &["tail", "a", argument],
        ] {
            let ran = run(arguments);
            assert_eq!(ran.code, 3);
            let line = ran.err.strip_suffix('\n').unwrap();
            assert!(
                !line
                    .chars()
                    .any(|shown| shown.is_control() || shown == '\u{202e}'),
                "{line:?}"
            );
        }
    }
}

#[test]
fn help_names_exit_codes_and_two_examples_of_each_command() {
    for command in COMMANDS {
        let ran = run(&[command, "--help"]);
        assert_eq!(ran.code, 0, "{command}");
        assert!(ran.out.starts_with(&format!("zt-audit {command}: ")));
        assert!(ran.out.contains(&format!("usage: zt-audit {command} ")));
        assert!(ran.out.contains("\nexit codes:\n  0  "), "{command}");
        let (_, examples) = ran.out.split_once("\nexamples:\n").unwrap();
        let count = examples.matches("  zt-audit ").count();
        assert!(count >= 2, "{command}: {examples}");
        assert!(ran.out.lines().all(|line| line.len() <= 100), "{command}");
        assert_eq!(run(&["help", command]).out, ran.out);
        assert_eq!(run(&[command, "-h"]).out, ran.out);
    }
    assert_eq!(run(&["--help"]).code, 0);
}

#[test]
fn the_version_is_the_package_s() {
    let expected = format!("zt-audit {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]).out, expected);
    assert_eq!(run(&["-V"]).out, expected);
}
